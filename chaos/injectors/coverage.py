"""How much of the time of its targets a fault was there: pod-seconds under fault, of all pod-seconds of targets."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field

from chaos.timeline import Moment


@dataclass(frozen=True, slots=True)
class Covered:
    """What a fault reached.

    Attributes:
        pod_seconds: time of all targets, from when they were meant until they were gone or the fault was taken back.
        lo_seconds, hi_seconds: of it under fault, at least and at most: nobody looks all the time.
        bare: names of targets that never bore it.
    """

    pod_seconds: float
    lo_seconds: float
    hi_seconds: float
    bare: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """At least this share (0..1) was under fault; NaN when there was no target.

        >>> Covered(10.0, 8.0, 9.0).share
        0.8
        """
        return self.lo_seconds / self.pod_seconds if self.pod_seconds > 0 else math.nan


@dataclass(slots=True)
class _Target:
    name: str
    since: float
    borne: Moment | None = None
    until: float = math.inf


@dataclass(slots=True)
class Coverage:
    """Takes down when targets came, bore a fault and went; monotonic seconds, keys as the injector likes."""

    _targets: dict[Hashable, _Target] = field(default_factory=dict)

    def meant(self, key: Hashable, name: str, at: float) -> None:
        """It should bear the fault from now on; the first word counts."""
        self._targets.setdefault(key, _Target(name, at))

    def bore(self, key: Hashable, moment: Moment) -> bool:
        """It bears the fault since then; false when that was known, or it is no target."""
        target = self._targets.get(key)
        if target is None or target.borne is not None:
            return False
        target.borne = moment
        return True

    def gone(self, key: Hashable, at: float) -> None:
        """It is no target any more."""
        if key in self._targets:
            self._targets[key].until = min(self._targets[key].until, at)

    def over(self, at: float) -> None:
        """The fault was taken back: what comes later does not count."""
        for key in self._targets:
            self.gone(key, at)

    def covered(self, now: float) -> Covered:
        """Up to now."""
        whole = lo = hi = 0.0
        for target in self._targets.values():
            until = min(target.until, now)
            whole += max(0.0, until - target.since)
            if target.borne is not None:
                lo += max(0.0, until - max(target.borne.hi, target.since))
                hi += max(0.0, until - max(target.borne.lo, target.since))
        bare = tuple(sorted(target.name for target in self._targets.values() if target.borne is None))
        return Covered(whole, lo, hi, bare)
