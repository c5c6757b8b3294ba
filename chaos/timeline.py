"""When things happened in a drill: t0 to t8, each between two instants of one monotonic clock.

| | |
|---|---|
| t0 | the baseline was in order |
| t1 | the first fault was asked for |
| t2 | its injector says that it is in place |
| t3 | the first bad response of a target revision after t1, as its user saw it |
| t4 | the first bad look of the strategy |
| t5 | the decision: `Undo` or `Promote`, or a deadline that was reported |
| t6 | the last response of the bad revision, told by a response header |
| t7 | the first of N windows in a row within the objective |
| t8 | faults recovered, processes and files swept |

A moment is an interval, because nobody looks all the time: something happened after `lo` and not after `hi`. What did
not happen before the drill stopped looking is censored, not missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

NAMES: Final = ("t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8")


@dataclass(frozen=True, slots=True)
class Moment:
    """When one thing happened, in real monotonic seconds.

    Attributes:
        lo: it had not happened before.
        hi: it had happened then; infinite when it was not seen until `lo`, where the drill stopped looking (censored).
    """

    lo: float
    hi: float

    def __post_init__(self) -> None:
        if not self.lo <= self.hi:
            raise ValueError(f"a moment must have lo <= hi, got [{self.lo}, {self.hi}]")

    @property
    def censored(self) -> bool:
        """It was not seen while the drill looked."""
        return math.isinf(self.hi)

    @classmethod
    def never(cls, until: float) -> Moment:
        """What was not seen although the drill looked until then."""
        return cls(until, math.inf)


@dataclass(frozen=True, slots=True)
class Span:
    """A time between two moments, in seconds; `hi` is infinite where the second one is censored."""

    value: float  #: the best single figure: from the first `hi` to the second `hi`; NaN when censored
    lo: float
    hi: float

    def scaled(self, speed: float) -> Span:
        """The same in scenario seconds."""
        return Span(self.value * speed, self.lo * speed, self.hi * speed)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The moments of one drill; None where something does not apply (no fault, no decision before the end).

    Attributes:
        began: monotonic seconds at scenario time 0, when the rollout began.
        speed: scenario seconds per real second.
    """

    began: float
    speed: float
    t0: Moment | None = None
    t1: Moment | None = None
    t2: Moment | None = None
    t3: Moment | None = None
    t4: Moment | None = None
    t5: Moment | None = None
    t6: Moment | None = None
    t7: Moment | None = None
    t8: Moment | None = None

    @property
    def detection(self) -> Span | None:
        """From the first bad response to the decision, t5 - t3, in real seconds."""
        return span(self.t3, self.t5)

    @property
    def rollback(self) -> Span | None:
        """From the decision to the last response of the bad revision, t6 - t5, in real seconds."""
        return span(self.t5, self.t6)

    @property
    def exposure(self) -> Span | None:
        """From the first bad response to the last of the bad revision, t6 - t3, in real seconds."""
        return span(self.t3, self.t6)

    @property
    def user_recovery(self) -> Span | None:
        """From the first bad response until the objective holds again, t7 - t3, in real seconds."""
        return span(self.t3, self.t7)

    def scenario_seconds(self, moment: Moment) -> Moment:
        """A moment in scenario seconds since the rollout began."""
        return Moment((moment.lo - self.began) * self.speed, (moment.hi - self.began) * self.speed)

    def moments(self) -> dict[str, Moment]:
        """All moments that apply, by name."""
        found = {name: getattr(self, name) for name in NAMES}
        return {name: moment for name, moment in found.items() if moment is not None}

    def plain(self) -> dict[str, Any]:
        """As JSON holds it: each moment with both clocks; an infinite bound is null and `censored` true."""
        told: dict[str, Any] = {"began_monotonic": self.began, "speed": self.speed}
        for name, moment in self.moments().items():
            there = self.scenario_seconds(moment)
            told[name] = {
                "monotonic": [moment.lo, None if moment.censored else moment.hi],
                "scenario_seconds": [there.lo, None if moment.censored else there.hi],
                "censored": moment.censored,
            }
        return told

    @classmethod
    def from_plain(cls, told: Mapping[str, Any]) -> Timeline:
        """The timeline that `plain` told of; ValueError for anything else."""
        try:
            moments = {
                name: Moment(low, math.inf if high is None else high)
                for name in NAMES
                if name in told
                for low, high in [told[name]["monotonic"]]
            }
            return cls(told["began_monotonic"], told["speed"], **moments)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a timeline: {error}") from None


def span(first: Moment | None, second: Moment | None) -> Span | None:
    """The time between two moments; None unless both apply and the first was seen.

    A negative time is possible: the last response may come before the decision.
    """
    if first is None or second is None or first.censored:
        return None
    if second.censored:
        return Span(math.nan, max(0.0, second.lo - first.hi), math.inf)
    return Span(second.hi - first.hi, second.lo - first.hi, second.hi - first.lo)


assert [each.name for each in fields(Timeline)][2:] == list(NAMES)
