"""What can happen in a drill: the events of its state machine, as they stand in the journal.

`at` is monotonic seconds; faults are known by their place in the plan.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from strategies.tape import Entry

KIND: Final = "drill"  #: of journal entries that hold events


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked(Event):
    """Preflight is over; with problems the drill is refused."""

    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady(Event):
    """The baseline was measured from `since` on; a `problem` refuses the drill."""

    since: float
    bad_ratio: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutBegan(Event):
    """Scenario time 0 is at `at`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultDue(Event):
    """The time or the weight of a fault has come; faults are known by their place in the scenario."""

    fault: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInjected(Event):
    """The injector of a fault says that it is in place: asked for at `asked`, there after `lo` and at `at`."""

    fault: int
    asked: float
    lo: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRefused(Event):
    """A fault could not be put in place."""

    fault: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLook(Event):
    """A look of the strategy was bad; asked for at `lo`."""

    lo: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided(Event):
    """The strategy decided between `lo` and `at`: promoted, rolled_back or stalled."""

    lo: float
    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutEnded(Event):
    """The strategy returned its fate."""

    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(Event):
    """There is nothing more to see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed(Event):
    """The drill has taken as long as it may."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """The world, the strategy or the harness cannot go on; `work` is the command that failed, if it was one."""

    reason: str
    work: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tripped(Event):
    """A guard saw a hard limit exceeded."""

    guard: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted(Event):
    """Somebody wants it to end; the second time at once."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """A new harness goes on with the drill of a killed one; `undo`: it takes the rollout back."""

    undo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(Event):
    """The verdict was reached."""

    verdict: str
    exit_code: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered(Event):
    """The faults were taken back, but for what is `left`."""

    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept(Event):
    """Processes, ports and files are gone, but for what is `left`."""

    left: tuple[str, ...] = ()


EVENTS: Final[dict[str, type[Event]]] = {
    each.__name__: each
    for each in (
        Checked, Steady, RolloutBegan, FaultDue, FaultInjected, FaultRefused, BadLook, Decided, RolloutEnded, Settled,
        DeadlinePassed, Failed, Tripped, Interrupted, Resumed, Judged, Recovered, Swept,
    )
}  # fmt: skip


def to_plain(event: Event) -> dict[str, Any]:
    """An event as a journal holds it."""
    return {each.name: getattr(event, each.name) for each in dataclasses.fields(event)}


def from_plain(name: str, told: Mapping[str, Any]) -> Event:
    """The event of a journal line; ValueError for anything else."""
    if name not in EVENTS:
        raise ValueError(f"unknown event {name[:64]!r}; known: {', '.join(EVENTS)}")
    try:
        return EVENTS[name](**told)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None


def events_of(entries: Iterable[Entry]) -> list[Event]:
    """The events among the entries of a journal."""
    return [from_plain(entry.name, entry.what) for entry in entries if entry.kind == KIND]
