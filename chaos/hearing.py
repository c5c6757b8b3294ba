"""What a harness hears of the strategy and of the world: happenings for people, and events for the state machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from chaos.clock import MICROSECONDS, LiveClock
from chaos.drill_events import BadLook, Decided, Event, FaultDue
from chaos.lives import Lives
from chaos.looks import Looks
from chaos.plan import Plan
from chaos.results import Happening
from strategies.effects import Ask, DeadlinePassed, Measure, Measured, Note, Promote, Undo

Tell = Callable[[Happening], None]
DEADLINE: Final = "the progress deadline passed"
_MOST: Final = 20_000  #: happenings that are kept


class Hearing:
    """Attributes worth reading: `happenings` (in order, traffic left out), `lives`, `looks`."""

    def __init__(self, plan: Plan, clock: LiveClock, *, post: Callable[[Event], None], tell: Tell | None) -> None:
        self._plan, self._clock, self._post, self._tell = plan, clock, post, tell
        self.happenings: list[Happening] = []
        self.lives = Lives()
        self.looks = Looks(plan.strategy)
        self._asked: dict[int, tuple[float, Ask]] = {}

    def happened(self, kind: str, who: str, **facts: Any) -> None:
        """Take down and tell what happened now."""
        happening = self._now(kind, who, facts)
        if len(self.happenings) < _MOST:
            self.happenings.append(happening)
        if self._tell is not None:
            self._tell(happening)

    def traffic(self, facts: dict[str, Any]) -> None:
        """Tell of traffic, which is kept elsewhere."""
        if self._tell is not None:
            self._tell(self._now("traffic", "load", facts))

    def _now(self, kind: str, who: str, facts: dict[str, Any]) -> Happening:
        return Happening(at_seconds=self._clock.now_us() / MICROSECONDS, kind=kind, who=who, facts=facts)

    def waits_for_person(self) -> bool:
        """Somebody was asked for an approval."""
        return any(each.kind == "approval" for each in self.happenings)

    def world(self, kind: str, who: str, **facts: Any) -> None:
        """The world says what happens to pods and weights."""
        self.lives.told(kind, who, facts, time.monotonic())
        self.happened(kind, who, **facts)
        if kind == "weight_effective":
            for fault in self._plan.faults:
                if fault.from_weight is not None and facts["weight"] >= fault.from_weight > 0:
                    self._post(FaultDue(at=time.monotonic(), fault=fault.number))

    def strategy(self, at_us: int, kind: str, task: int, name: str, what: Any) -> None:
        """A `Recorder`: what the strategy asks and learns, as it happens."""
        now = time.monotonic()
        then = min(now, self._clock.real(at_us))  # whole microseconds may be rounded up
        match kind, what:
            case "effect", Measure(query):
                self._asked[task] = (then, query)
            case "effect", Note(text):
                self.happened("note", name, text=text)
            case "answer", Measured():
                self._look(task, name, then, what)
            case "stop", _:
                self.happened("stopped", name, reason=str(what))
        decision = decided(kind, what, lo=then, at=now)
        if decision is not None:
            self._post(decision)

    def _look(self, task: int, name: str, then: float, look: Measured) -> None:
        asked, query = self._asked.pop(task, (then, None))
        bad = query is not None and self.looks.bad(query, look)
        self.happened("look", name, value=look.value, bad=bad, requests=look.requests, errors=look.errors)
        if bad:
            self._post(BadLook(at=time.monotonic(), lo=asked))


def decided(kind: str, what: Any, *, lo: float, at: float) -> Decided | None:
    """The decision that an entry of a journal is, if it is one."""
    match kind, what:
        case "effect", Undo(reason):
            return Decided(at=at, lo=lo, outcome="rolled_back", reason=reason)
        case "effect", Promote():
            return Decided(at=at, lo=lo, outcome="promoted")
        case "answer", DeadlinePassed():
            return Decided(at=at, lo=lo, outcome="stalled", reason=DEADLINE)
    return None
