"""Typed access to a mapping of a manifest: which fields are known, which are modelled, and where each stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from scenarios.errors import Place, ScenarioError, dotted, raise_all, shown, unknown
from scenarios.pointer import excerpt_at
from scenarios.strategy_values import pods_or_percent
from scenarios.units import LONGEST_SECONDS, bounded, duration
from scenarios.yaml_nodes import Key, Node

T = TypeVar("T")

_GO_DURATION = re.compile(r"\+?(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+|0")


@dataclass(slots=True)
class Notes:
    """What is found while a manifest is read: errors (raised together), what is assumed, what is left out."""

    errors: list[ScenarioError] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ignored: list[tuple[Place, str]] = field(default_factory=list)

    def finish(self) -> None:
        """Raise what was collected; else turn the ignored fields into one warning a file."""
        once = {(error.place, error.field, error.problem): error for error in self.errors}
        raise_all(sorted(once.values(), key=lambda error: (error.file, error.line, error.column)))
        for file in dict.fromkeys(place.file for place, _ in self.ignored):
            names = [f"{name} (line {place.line})" for place, name in self.ignored if place.file == file]
            self.warnings.append(f"{file}: known but not simulated, ignored: {', '.join(dict.fromkeys(names))}")


def words(text: str) -> tuple[str, ...]:
    """Names written one after the other."""
    return tuple(text.split())


class Section:
    """A mapping of a manifest. A field of a wrong type is noted as an error and read as if not given."""

    def __init__(self, node: Node, path: tuple[Key, ...], notes: Notes) -> None:
        self.node = node
        self.path = path
        self.notes = notes
        self.clean = True  #: no field so far that is unknown or refused
        if not isinstance(node.value, dict):
            self._refuse(ScenarioError(expected="a mapping", got=node.plain(), field=dotted(path), place=node.place))
            self.node = Node({}, node.place, node.key_place)

    def fields(
        self,
        *,
        read: Iterable[str] = (),
        quiet: Iterable[str] = (),
        ignored: Iterable[str] = (),
        refused: Iterable[str] = (),
        shown: bool = False,
    ) -> Section:
        """Say which fields exist; note those that nobody knows, those left out and those that cannot be simulated.

        Args:
            read: modelled here.
            quiet: no part of the question (names, labels, images).
            ignored: bear on the question and are not modelled: a warning.
            refused: would change the meaning: an error.
            shown: the error of an unknown field shows its line.
        """
        read, quiet, ignored, refused = tuple(read), tuple(quiet), tuple(ignored), tuple(refused)
        known = (*read, *quiet, *ignored, *refused)
        assert isinstance(self.node.value, dict)
        for name, node in self.node.value.items():
            path = dotted((*self.path, name))
            if name not in known:
                excerpt = excerpt_at(node.key_place, len(name)) if shown else ()
                self._refuse(unknown(name, known, field=path, place=node.key_place, what="field", excerpt=excerpt))
            elif node.value is None:
                continue
            elif name in refused:
                self._refuse(ScenarioError(f"{name} is not simulated yet", field=path, place=node.key_place))
            elif name in ignored:
                self.notes.ignored.append((node.key_place, path))
        return self

    def _refuse(self, error: ScenarioError) -> None:
        self.notes.errors.append(error)
        self.clean = False

    def fail(self, name: str | None, problem: str, **more: Any) -> None:
        """Note an error at a field (or at this mapping)."""
        node = self.get(name) if name else None
        path = dotted((*self.path, name) if name else self.path)
        place = node.place if node else self.node.key_place
        self.notes.errors.append(ScenarioError(problem, field=path, place=place, **more))

    def get(self, name: str) -> Node | None:
        """The node of a field; None when it is not given or null."""
        node = self.node.child(name)
        return None if node is None or node.value is None else node

    def has(self, name: str) -> bool:
        """Is the field given (and not null)?"""
        return self.get(name) is not None

    def place(self, name: str | None = None) -> Place:
        """Where a field stands, or this mapping."""
        node = self.get(name) if name else None
        return node.place if node else self.node.key_place

    def where(self, name: str | None = None) -> str:
        """`file:line` of a field or of this mapping."""
        place = self.place(name)
        return f"{place.file}:{place.line}"

    def section(self, name: str) -> Section | None:
        """The mapping under a field."""
        node = self.get(name)
        return None if node is None else Section(node, (*self.path, name), self.notes)

    def sections(self, name: str) -> list[Section]:
        """The mappings of a list."""
        node = self.get(name)
        if node is None:
            return []
        if not isinstance(node.value, list):
            self.fail(name, "", expected="a list", got=node.plain())
            return []
        return [Section(item, (*self.path, name, i), self.notes) for i, item in enumerate(node.value)]

    def read(self, name: str, parse: Callable[[Any], T]) -> T | None:
        """The value of a field through a parser; its ValueError is noted at the field."""
        node = self.get(name)
        if node is None:
            return None
        try:
            return parse(node.plain())
        except ValueError as error:
            self.fail(name, str(error), got=node.value if not isinstance(node.value, dict | list) else None)
            return None

    def text(self, name: str) -> str | None:
        """A text."""
        return self.read(name, _text)

    def boolean(self, name: str, default: bool = False) -> bool:
        """A truth value."""
        value = self.read(name, _boolean)
        return default if value is None else value

    def integer(self, name: str, *, low: int = 0, high: int | None = None) -> int | None:
        """A whole number between two bounds."""
        return self.read(name, lambda value: integer(value, low=low, high=high))

    def pods(self, name: str) -> int | str | None:
        """A number of pods or a percentage."""
        return self.read(name, pods_or_percent)

    def go_duration(self, name: str, *, bare: bool = False) -> float | None:
        """Seconds of a duration as Go writes it; `bare`: a number of seconds will do."""
        return self.read(name, lambda value: go_duration(value, bare=bare))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {shown(value)}")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {shown(value)}")
    return value


def integer(value: Any, *, low: int = 0, high: int | None = None) -> int:
    """A whole number between two bounds (an int32 at most, as in the CRDs); ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected a whole number, got {shown(value)}")
    if value < low:
        raise ValueError(f"expected {low} or more, got {value}")
    most = LONGEST_SECONDS if high is None else high
    if value > most:
        raise ValueError(f"expected at most {most}, got {shown(value)}")
    return value


def go_duration(value: Any, *, bare: bool = False) -> float:
    """Seconds of a Go duration; ValueError.

    >>> go_duration("1h30m"), go_duration("1.5s"), go_duration(90, bare=True), go_duration("90", bare=True)
    (5400.0, 1.5, 90.0, 90.0)
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if bare and isinstance(text, str) and re.fullmatch(r"\d{1,9}", text):
        return float(text)
    if not isinstance(value, str) or not _GO_DURATION.fullmatch(value):
        example = "a number of seconds, or a duration such as 30s or 5m" if bare else "a duration such as 30s or 5m"
        raise ValueError(f"expected {example} (units: ms, s, m, h), got {shown(value)}")
    total = 0.0
    for number, unit in re.findall(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)", value):
        total += (
            float(number)
            * {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3}.get(unit, 1.0)
            * (duration(f"1{unit}") if unit in ("s", "m", "h") else 1.0)
        )
    return bounded(total, value)
