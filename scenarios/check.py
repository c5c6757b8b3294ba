"""The schema applied to the nodes of a file: a Scenario, or every error with its place, in the words of the file."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from scenarios.errors import Place, ScenarioError, dotted, shown, unknown
from scenarios.fields import LOADER_WORDS, known_at, models_at
from scenarios.schema import Scenario
from scenarios.yaml_nodes import Key, Node

Path = tuple[Key, ...]


def validated(root: Node) -> tuple[Scenario | None, list[ScenarioError]]:
    """The scenario, or None and what is wrong."""
    data = root.plain()
    if not isinstance(data, dict):
        return None, [ScenarioError(expected="a mapping", got=data, place=root.place)]
    try:
        return Scenario.model_validate(data, by_alias=True, by_name=False), []
    except ValidationError as found:
        return None, [_error(root, data, each) for each in found.errors(include_url=False)]


def _error(root: Node, data: dict[str, Any], each: Mapping[str, Any]) -> ScenarioError:
    """One error of pydantic in our words."""
    path, node, rest = _walk(root, each["loc"])
    kind: str = each["type"]
    if kind == "extra_forbidden":
        place = node.key_place
        if path[-1] in LOADER_WORDS:
            return ScenarioError(f"{path[-1]} is for a whole file", field=dotted(path), place=place)
        return unknown(path[-1], known_at(path[:-1], data), field=dotted(path), place=place, what="field")
    if kind == "missing":
        field = dotted((*path, *rest[-1:]))
        return ScenarioError("expected a value, got nothing", field=field, place=node.key_place)
    if kind.startswith("union_tag") or (kind == "model_attributes_type" and len(models_at(path)) > 1):
        return _kind_error(node, path, data)
    got = node.value if not isinstance(node.value, dict | list) else node.plain()
    place = node.place
    context: Mapping[str, Any] = each.get("ctx") or {}
    if kind == "literal_error":
        return _word_error(got, re.findall(r"'([^']*)'", str(context["expected"])), dotted(path), place)
    if kind == "value_error":
        return ScenarioError(str(context["error"]), field=dotted(path), place=place, got=got)
    say = _EXPECTED.get(kind)
    expected = say(context) if say else re.sub(r"^Input should be ", "", str(each["msg"]))
    return ScenarioError(expected=expected, got=got, field=dotted(path), place=place)


def _walk(root: Node, loc: tuple[Key, ...]) -> tuple[Path, Node, Path]:
    """The path of an error in the file, the node there, and what of the location the file does not have.

    Pydantic puts the names of union members between the keys; the file has no such keys, so they fall out.
    """
    path: list[Key] = []
    rest: list[Key] = []
    node = root
    for key in loc:
        below = node.child(key)
        if below is None:
            rest.append(key)
        else:
            path.append(key)
            node, rest = below, []
    return tuple(path), node, tuple(rest)


def _kind_error(node: Node, path: Path, data: dict[str, Any]) -> ScenarioError:
    """`kind` is missing or unknown, or there is no mapping that could have one."""
    fields = [model.model_fields["kind"] for model in models_at(path, data) if "kind" in model.model_fields]
    known = sorted(word for field in fields for word in typing.get_args(field.annotation))
    if not isinstance(node.value, dict):
        return ScenarioError(
            expected="a mapping with a kind", got=node.plain(), field=dotted(path), place=node.place, known=known
        )
    given = node.child("kind")
    field = dotted((*path, "kind"))
    if given is None:
        return ScenarioError("expected a value, got nothing", field=field, place=node.place, known=known)
    return unknown(given.value, known, field=field, place=given.place, what="kind")


def _word_error(got: Any, known: list[str], field: str, place: Place) -> ScenarioError:
    if len(known) == 1:
        return ScenarioError(expected=known[0], got=got, field=field, place=place)
    if isinstance(got, str):
        return unknown(got, known, field=field, place=place, what="word")
    return ScenarioError(
        f"expected one word of {', '.join(known)}, got {shown(got)}", field=field, place=place, known=known
    )


_Say = Callable[[Mapping[str, Any]], str]


def _fixed(text: str) -> _Say:
    return lambda _: text


def _items(low: bool) -> _Say:
    """Too few or too many items."""

    def say(context: Mapping[str, Any]) -> str:
        count = context["min_length" if low else "max_length"]
        return f"at {'least' if low else 'most'} {count} item{'s' if count != 1 else ''}"

    return say


_EXPECTED: dict[str, _Say] = {
    "greater_than": lambda context: f"more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"{context['ge']:g} or more",
    "less_than": lambda context: f"less than {context['lt']:g}",
    "less_than_equal": lambda context: f"at most {context['le']:g}",
    "too_short": _items(low=True),
    "too_long": _items(low=False),
    "string_type": _fixed("a text"),
    "string_too_short": _fixed("some text"),
    "bool_type": _fixed("true or false"),
    "bool_parsing": _fixed("true or false"),
    "dict_type": _fixed("a mapping"),
    "model_type": _fixed("a mapping"),
    "model_attributes_type": _fixed("a mapping"),
    "tuple_type": _fixed("a list"),
    "list_type": _fixed("a list"),
    "finite_number": _fixed("a finite number"),
}
