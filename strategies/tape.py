"""Record what a rollout asked and learned; replay it, and find the first difference.

A `Tape` is the recorder of a `Runtime`. Everything a strategy can know comes through an answer, so a tape replays to
the same effects, spawned and thrown programs included, from any of its prefixes. Tapes are JSON lines: effects and
answers by the name of their class, NaN and infinities by name.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import IO, Any, Final, NamedTuple

from strategies import effects
from strategies.drive import MICROSECONDS, PENDING, Reply, Runtime, StrategyError, _Pending
from strategies.effects import (
    Abort,
    Answer,
    Effect,
    Inconclusive,
    Outcome,
    Program,
    Release,
    Spawn,
    Strategy,
)


class Entry(NamedTuple):
    """One line of a tape: when, what kind (start, effect, answer, throw, stop, end), which program, and what."""

    at_us: int
    kind: str
    task: int
    name: str
    what: Any


@dataclass(slots=True)
class Tape:
    """The record of one rollout; give it to `Runtime(record=…)`."""

    entries: list[Entry] = field(default_factory=list)

    def __call__(self, at_us: int, kind: str, task: int, name: str, what: Any) -> None:
        """Take one more entry."""
        self.entries.append(Entry(at_us, kind, task, name, what))


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replay first departs from its tape."""

    place: int  #: index of the entry
    at_seconds: float
    program: str
    expected: str  #: what the tape says
    got: str  #: what the strategy did

    def __str__(self) -> str:
        return f"entry {self.place}, {self.at_seconds:.6f} s, {self.program}: expected {self.expected}, got {self.got}"


# --- replay ------------------------------------------------------------------------------------------------------


def replay(strategy: Strategy, release: Release, tape: Tape, upto: int | None = None) -> Difference | None:
    """Feed the recorded answers of the first `upto` entries and compare every effect; None: no difference."""
    return _Replay(strategy, release, tape.entries[:upto]).run()


class _Replay:
    """A world without hands: every answer is the tape's."""

    def __init__(self, strategy: Strategy, release: Release, entries: list[Entry]) -> None:
        self.entries = entries
        self.place = 0
        self.at_us = 0
        self.difference: Difference | None = None
        self.runtime = Runtime(self, strategy, release, record=self.compare)

    def now_us(self) -> int:
        return self.at_us

    def call_later(self, delay_us: int, function: Callable[[], None]) -> None:
        """Nothing happens by itself: the tape says when a wait ends and when a program starts."""

    def perform(self, effect: Effect, reply: Reply) -> Answer | _Pending:
        return PENDING

    def run(self) -> Difference | None:
        while self.difference is None and self.place < len(self.entries):
            entry = self.entries[self.place]
            self.at_us = entry.at_us
            place = self.place
            try:
                if not self._feed(entry):
                    return self._differs(entry, "nothing")
            except StrategyError as error:
                return self.difference or self._differs(
                    self.entries[min(self.place, len(self.entries) - 1)], str(error)
                )
            if self.place == place and self.difference is None:
                return self._differs(entry, "nothing")
        return self.difference

    def _feed(self, entry: Entry) -> bool:
        """Hand one input of the tape to its program; False when no program can take it."""
        task = self.runtime.tasks.get(entry.task)
        if task is None or task.ended:
            return False
        if entry.kind == "start":
            self.runtime.start_task(entry.task)
        elif entry.kind in ("answer", "throw"):
            self.runtime.deliver(entry.task, entry.what)
        elif entry.kind == "stop":
            return self.runtime.stop(str(entry.what))
        else:
            return False
        return True

    def compare(self, at_us: int, kind: str, task: int, name: str, what: Any) -> None:
        if self.place >= len(self.entries) or self.difference is not None:
            return
        entry, got = self.entries[self.place], Entry(at_us, kind, task, name, what)
        if entry is got or _plain(entry) == _plain(got):
            self.place += 1
            return
        self._differs(entry, _shown(got), name)

    def _differs(self, entry: Entry, got: str, program: str | None = None) -> Difference:
        seconds = entry.at_us / MICROSECONDS
        self.difference = Difference(self.place, seconds, program or entry.name, _shown(entry), got)
        return self.difference


def _plain(entry: Entry) -> Any:
    return (entry.at_us, entry.kind, entry.task, entry.name, encode(entry.what))


def _shown(entry: Entry) -> str:
    if entry.what is None:
        return f"{entry.kind} of {entry.name}"
    return f"{entry.kind} {entry.what!r} at {entry.at_us / MICROSECONDS:.6f} s"


# --- JSON lines --------------------------------------------------------------------------------------------------

_CLASSES: Final[dict[str, Any]] = {
    name: thing
    for name, thing in vars(effects).items()
    if dataclasses.is_dataclass(thing) and name not in ("Effect", "Release", "Strategy")
}
_FAILURES: Final[dict[str, type[Abort | Inconclusive]]] = {"Abort": Abort, "Inconclusive": Inconclusive}
_NUMBERS: Final = ("nan", "inf", "-inf")


def dump(tape: Tape, stream: IO[str]) -> None:
    """Write a tape, one entry a line."""
    for entry in tape.entries:
        line = {**entry._asdict(), "what": encode(entry.what)}
        stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")


def load(lines: Iterable[str]) -> Tape:
    """Read a tape; ValueError names the line that cannot be read."""
    tape = Tape()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            words = json.loads(line)
            tape.entries.append(Entry(**{**words, "what": decode(words["what"])}))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"line {number}: not an entry of a tape: {error}") from error
    return tape


def encode(value: Any) -> Any:
    """A value as plain JSON.

    A dataclass is {name: fields}, a tuple a list, NaN {"float": "nan"}, a list {"list": items}, a mapping
    {"mapping": items}.
    """
    if isinstance(value, Outcome):
        return {"Outcome": value.value}
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, list):
        return {"list": [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"mapping": {str(key): encode(item) for key, item in value.items()}}
    if isinstance(value, Spawn):
        return {"Spawn": {"name": value.name}}
    if isinstance(value, Abort | Inconclusive):
        return {type(value).__name__: str(value)}
    name = type(value).__name__
    if _CLASSES.get(name) is type(value):
        return {name: {each.name: encode(getattr(value, each.name)) for each in dataclasses.fields(value)}}
    return {"repr": repr(value)}


def decode(plain: Any) -> Any:
    """The value that `encode` made plain; ValueError for a word it does not know."""
    if isinstance(plain, list):
        return tuple(decode(item) for item in plain)
    if not isinstance(plain, dict):
        return plain
    if len(plain) != 1:
        raise ValueError(f"expected one name, got {sorted(plain)}")
    name, content = next(iter(plain.items()))
    if name == "float" and content in _NUMBERS:
        return float(content)
    if name == "list":
        return [decode(item) for item in content]
    if name == "mapping":
        return {key: decode(item) for key, item in content.items()}
    if name == "Outcome":
        return Outcome(content)
    if name == "repr":
        return _Opaque(content)
    if name in _FAILURES:
        return _FAILURES[name](content)
    if name == "Spawn":
        return Spawn(_no_program, content["name"])
    if name in _CLASSES:
        return _CLASSES[name](**{field_name: decode(item) for field_name, item in content.items()})
    raise ValueError(f"unknown name {name!r}; known: {', '.join(sorted([*_CLASSES, *_FAILURES]))}")


class _Opaque:
    """A value that a tape can only show."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _no_program() -> Program:
    raise StrategyError("a tape does not hold programs; a replay starts those of its strategy")
