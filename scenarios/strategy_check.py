"""One entry under `strategies:` as typed words, or every error with its place."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from scenarios import check
from scenarios.errors import ScenarioError, dotted, raise_all, unknown
from scenarios.fields import words
from scenarios.pointer import TextError, pointed
from scenarios.schema import Model
from scenarios.strategy_spec import StrategyWords
from scenarios.yaml_nodes import Key, Node

_NOT_YET: Final = ("experiment", "plugin", "setHeaderRoute", "setMirrorRoute")  #: step kinds of Argo


def strategy_words(entry: Node, path: tuple[str, ...]) -> StrategyWords:
    """The words of one entry.

    Args:
        entry: the entry's tree.
        path: where it stands in the file, for the field names of errors.

    Raises:
        ScenarioErrors: everything wrong with it.
    """
    data = entry.plain()
    if not isinstance(data, dict):
        raise ScenarioError(expected="a mapping", got=data, field=dotted(path), place=entry.place)
    try:
        return StrategyWords.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as found:
        given = found.errors(include_url=False)
        errors = [_error(entry, path, data, each) for each in given if not _follows(each, given)]
    raise_all(sorted(errors, key=lambda error: (error.file, error.line, error.column)))
    raise AssertionError("pydantic raised without an error")


def _follows(each: Mapping[str, Any], given: list[Any]) -> bool:
    """Is a list too short only because its items are wrong?"""
    loc = each["loc"]
    return each["type"] == "too_short" and any(
        len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in given
    )


def _error(entry: Node, path: tuple[str, ...], data: dict[str, Any], each: Mapping[str, Any]) -> ScenarioError:
    """One error of pydantic in our words, its field from the top of the file."""
    if each["type"] == "extra_forbidden":
        return _unknown_word(entry, path, each["loc"])
    error = check._error(entry, data, each)
    field = ".".join(part for part in (dotted(path), error.field) if part)
    field = field.replace(".[", "[")
    inner = (each.get("ctx") or {}).get("error")
    if isinstance(inner, TextError):
        return pointed(inner.fault, each["input"], field=field, place=error.place)
    return ScenarioError(
        error.problem, field=field, place=error.place, got=error.got, nearest=error.nearest, known=error.known
    )


def _unknown_word(entry: Node, path: tuple[str, ...], loc: tuple[Key, ...]) -> ScenarioError:
    here = [key for depth, key in enumerate(loc) if _in_file(entry, loc[:depth], key)]
    node, _ = entry.nearest(here)
    known = _known(tuple(here[:-1]))
    field = dotted((*path, *here))
    if here[-1] in _NOT_YET and "setWeight" in known:
        return ScenarioError(f"{here[-1]} is not simulated yet", field=field, place=node.key_place)
    return unknown(here[-1], known, field=field, place=node.key_place, what="field")


def _in_file(entry: Node, above: tuple[Key, ...], key: Key) -> bool:
    """Is this key of pydantic's path in the file? (Names of union members are not.)"""
    node = entry
    for each in above:
        node = node.child(each) or node
    return node.child(key) is not None


def _known(path: tuple[Key, ...]) -> list[str]:
    """The words of the models at a path of an entry."""
    models: list[type[Model]] = [StrategyWords]
    for key in path:
        if isinstance(key, str):
            fields = [words(model)[key] for model in models if key in words(model)]
            models = [below for field in fields for below in _inside(field.annotation)]
    return list(dict.fromkeys(name for model in models for name in words(model)))


def _inside(annotation: Any) -> list[type[Model]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Model) else []
    return [model for part in typing.get_args(annotation) for model in _inside(part)]
