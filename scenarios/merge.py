"""Laying one part of a scenario over another: `extends`, presets, variants, overrides.

Mappings merge field by field; lists and scalars replace; `null` takes a field away (where the schema knows null, it
says null). A mapping that names another `kind` than the one below replaces it: a daily curve keeps nothing of a
constant rate. Every value keeps the place in the file in which it stands.
"""

from __future__ import annotations

from typing import Any

from scenarios.errors import Place, ScenarioError, dotted, unknown
from scenarios.fields import nullable
from scenarios.yaml_nodes import MAX_DEPTH, Key, Node, from_plain, parse

Path = tuple[Key, ...]


def merge(base: Node, over: Node, path: Path = ()) -> Node:
    """`over` laid over `base`; neither is changed."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict) or _other_kind(base, over, path):
        return _without_nulls(over, path)
    merged = dict(base.value)
    for name, node in over.value.items():
        here = (*path, name)
        below = merged.get(name)
        if node.value is None and below is not None and not nullable(here):
            del merged[name]
        else:
            merged[name] = merge(below, node, here) if below is not None else node
    return Node(merged, over.place, over.key_place, 1 + sum(node.size for node in merged.values()))


def _other_kind(base: Node, over: Node, path: Path) -> bool:
    """Does `over` mean another kind of thing than `base`? Traffic with a rate and no kind is constant."""
    if not path:
        return False
    kind, before = over.child("kind"), base.child("kind")
    if kind is not None:
        return before is None or before.value != kind.value
    constant = path[-1] == "traffic" and over.child("rate") is not None
    return constant and before is not None and before.value != "constant"


def _without_nulls(node: Node, path: Path) -> Node:
    """A mapping that replaces something else: its nulls take nothing away, so only meaningful ones stay."""
    if not isinstance(node.value, dict):
        return node
    kept = {
        name: _without_nulls(below, (*path, name))
        for name, below in node.value.items()
        if below.value is not None or nullable((*path, name))
    }
    return Node(kept, node.place, node.key_place, 1 + sum(below.size for below in kept.values()))


def replaced(root: Node, path: Path, value: Node) -> Node:
    """The tree with the value at `path` replaced or added; mappings on the way are made where they are missing."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(key, int):
        assert isinstance(root.value, list)
        items = list(root.value)
        items[key] = replaced(items[key], rest, value)
        return Node(items, root.place, root.key_place, 1 + sum(node.size for node in items))
    fields = dict(root.value) if isinstance(root.value, dict) else {}
    below = fields.get(key) or Node({}, value.place, value.key_place)
    fields[key] = replaced(below, rest, value)
    return Node(fields, root.place, root.key_place, 1 + sum(node.size for node in fields.values()))


def override(root: Node, name: str, value: Any) -> Node:
    """The tree with one override: `service.replicas`, `faults.0.ratio`, or a section with a mapping.

    A text value is read as YAML (`20` is a number, `5%` a text, `[]` an empty list), as on a command line.

    Raises:
        ScenarioError: a position that no list of the file has, or a text that is not YAML.
    """
    place = Place(f"override {name}")
    if name.count(".") >= MAX_DEPTH:
        problem = f"expected at most {MAX_DEPTH} names joined by points, got {name.count('.') + 1}"
        raise ScenarioError(problem, place=place)
    node = _from_override(value, place)
    path: Path = ()
    at: Node | None = root
    for part in name.split("."):
        key: Key = part
        if at is not None and isinstance(at.value, list):
            positions = [str(number) for number in range(len(at.value))]
            if part not in positions:
                raise unknown(part, positions, field=dotted(path), place=place, what="position")
            key = int(part)
        elif not part:
            raise ScenarioError("expected names joined by points, such as service.replicas", place=place)
        path = (*path, key)
        at = at.child(key) if at is not None else None
    if at is None:
        return replaced(root, path, _without_nulls(node, path)) if node.value is not None or nullable(path) else root
    if node.value is None and not nullable(path):
        return _removed(root, path)
    return replaced(root, path, merge(at, node, path))


def _from_override(value: Any, place: Place) -> Node:
    if not isinstance(value, str):
        return from_plain(value, place)
    if not value.strip():
        return Node(value or None, place, place)
    try:
        return from_plain(parse(value, str(place)).plain(), place)
    except ScenarioError as error:
        raise ScenarioError(error.problem, field=error.field, place=place) from None


def _removed(root: Node, path: Path) -> Node:
    above, last = path[:-1], path[-1]
    node, _ = root.nearest(above)
    if not isinstance(node.value, dict):
        raise ScenarioError("expected a value, got null", field=dotted(path))
    kept = {name: below for name, below in node.value.items() if name != last}
    return replaced(root, above, Node(kept, node.place, node.key_place, 1 + sum(below.size for below in kept.values())))
