"""Named schedules and services, and how a file takes them: `service: checkout`, `steps: classic-30`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scenarios.errors import ScenarioError, dotted, pick, shown
from scenarios.merge import Path as Keys
from scenarios.merge import merge, replaced
from scenarios.yaml_nodes import Node, parse, read_bytes

FILE = Path(__file__).with_name("presets.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A named list of Argo canary steps."""

    name: str
    about: str
    source: str
    minutes: float  #: sum of the pauses; start-up of pods comes on top
    full_traffic_minutes: float  #: sum of weight x minutes: exposure of a release that nobody stops
    steps: tuple[dict[str, Any], ...]


@cache
def _root() -> Node:
    return parse(read_bytes(FILE), str(FILE))


def _section(name: str) -> dict[str, Node]:
    node = _root().child(name)
    assert node is not None
    assert isinstance(node.value, dict)
    return node.value


@cache
def schedules() -> dict[str, Schedule]:
    """All named schedules."""
    found = {}
    for name, node in _section("schedules").items():
        given = node.plain()
        given["full_traffic_minutes"] = given.pop("fullTrafficMinutes")
        found[name] = Schedule(name=name, **{**given, "steps": tuple(given["steps"])})
    return found


def services() -> dict[str, str]:
    """Names of all service presets, with what they are."""
    return {name: node.plain()["about"] for name, node in _section("services").items()}


def named(root: Node) -> Node:
    """One layer of a file with `service: NAME` and `steps: NAME` written as `{preset: NAME}`, so that layers merge."""
    service = root.child("service")
    if service is not None and isinstance(service.value, str):
        root = replaced(root, ("service",), _preset_mapping(service))
    for keys, steps in _steps(root):
        if isinstance(steps.value, str):
            root = replaced(root, keys, _preset_mapping(steps))
    return root


def _preset_mapping(name: Node) -> Node:
    return Node({"preset": Node(name.value, name.place, name.key_place)}, name.key_place, name.key_place, 2)


def expanded(root: Node, errors: list[ScenarioError]) -> tuple[Node, str | None]:
    """The file with its presets laid under it, and the name of the service preset (or None).

    Unknown names are added to `errors`, with all known ones.
    """
    for keys, steps in _steps(root):
        if isinstance(steps.value, dict):
            found = _look_up(steps, _section("schedules"), keys, errors, alone=True)
            given = found.child("steps") if found else None
            if given is not None:
                root = replaced(root, keys, Node(given.value, steps.place, steps.key_place, given.size))
    service = root.child("service")
    if service is None or not isinstance(service.value, dict) or "preset" not in service.value:
        return root, None
    found = _look_up(service, _section("services"), ("service",), errors)
    kept = {name: node for name, node in service.value.items() if name != "preset"}
    root = replaced(root, ("service",), Node(kept, service.place, service.key_place, service.size))
    if found is None or not isinstance(found.value, dict):
        return root, None
    below = {name: node for name, node in found.value.items() if name != "about"}
    root = merge(Node(below, found.place, found.key_place, found.size), root)
    return root, str(service.value["preset"].value)


def _look_up(
    node: Node, known: dict[str, Node], keys: Keys, errors: list[ScenarioError], *, alone: bool = False
) -> Node | None:
    """The preset that a `{preset: NAME}` names; None, with an error, when there is none."""
    assert isinstance(node.value, dict)
    name = node.value.get("preset")
    field = dotted((*keys, "preset"))
    try:
        if name is None or not isinstance(name.value, str):
            got = "nothing" if name is None else shown(name.value)
            place = node.key_place if name is None else name.place
            raise ScenarioError(
                f"expected the name of a preset, got {got}", field=field, place=place, known=sorted(known)
            )
        if alone and len(node.value) > 1:
            raise ScenarioError(
                "expected a list of steps, or {preset: NAME} alone", field=dotted(keys), place=node.place
            )
        return pick(name.value, known, field=field, place=name.place, what="preset")
    except ScenarioError as error:
        errors.append(error)
        return None


def _steps(root: Node) -> list[tuple[Keys, Node]]:
    """Every `strategies.NAME.canary.steps` of a layer, those inside its variants too."""
    found: list[tuple[Keys, Node]] = []
    _each(root.child("strategies"), ("strategies",), lambda keys, node: _steps_of(keys, node, found))

    def variant(keys: Keys, node: Node) -> None:
        _each(node.child("strategies"), (*keys, "strategies"), lambda k, n: _steps_of(k, n, found))

    _each(root.child("variants"), ("variants",), variant)
    return found


def _each(node: Node | None, keys: Keys, do: Callable[[Keys, Node], None]) -> None:
    if node is not None and isinstance(node.value, dict):
        for name, below in node.value.items():
            do((*keys, name), below)


def _steps_of(keys: Keys, strategy: Node, found: list[tuple[Keys, Node]]) -> None:
    canary = strategy.child("canary")
    steps = canary.child("steps") if canary is not None else None
    if steps is not None:
        found.append(((*keys, "canary", "steps"), steps))
