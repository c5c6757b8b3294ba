"""Abort guards: hard limits, watched from a thread of their own, so that they work while the event loop does not.

A guard that trips asks the loop to stop the rollout. A loop that does not say within `react_seconds` that it has heard
is taken for hung, and the processes of the run are ended from here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from chaos.evidence import US, answered
from chaos.load.log import DTYPE, Records, TrafficLog, failed, latency_seconds

TICK_SECONDS: Final = 0.1
USUAL_ERROR_RATIO: Final = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Hard limits of a drill, in real time; None switches one off.

    Attributes:
        error_ratio: of all traffic of the last `window_seconds`, 0..1.
        p99_seconds: of its latency.
        ready_replicas: of both revisions together, fewest.
        wall_seconds: of the whole drill.
        window_seconds: what error ratio and latency look back on.
        fewest_requests: in a window, without which these two say nothing.
        react_seconds: the event loop must have reacted by then.
        strict: the error ratio is limited whatever the drill's own faults may do; without, `sparing` takes it away.
    """

    error_ratio: float | None = USUAL_ERROR_RATIO
    p99_seconds: float | None = None
    ready_replicas: int | None = None
    wall_seconds: float | None = 1800.0
    window_seconds: float = 5.0
    fewest_requests: int = 100
    react_seconds: float = 3.0
    strict: bool = False

    def sparing(self) -> Limits:
        """The same for a drill whose own faults may fail every request: the usual limit would end what it is about."""
        usual = not self.strict and self.error_ratio == USUAL_ERROR_RATIO
        return replace(self, error_ratio=None) if usual else self

    def __post_init__(self) -> None:
        if self.error_ratio is not None and not 0 <= self.error_ratio <= 1:
            raise ValueError(f"error_ratio must lie in 0..1, got {self.error_ratio}")
        for name in ("p99_seconds", "wall_seconds", "window_seconds", "react_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        for name in ("ready_replicas", "fewest_requests"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must be 0 or more, got {value}")


@dataclass(frozen=True, slots=True)
class Trip:
    """A limit that was exceeded."""

    guard: str
    reason: str
    at: float  #: monotonic seconds


class Guards:
    """The thread that watches.

    Args:
        traffic: the log of the requests; its own reader.
        ready: how many replicas are ready; must be safe to call from another thread.
        tripped: called from this thread, once, with the first trip; it hands it to the event loop.
        end: ends the processes of the run; called from this thread when the loop does not react.

    Attributes worth reading: `trip`, `ended` (the loop did not react).
    """

    def __init__(
        self,
        limits: Limits,
        *,
        traffic: Callable[[], TrafficLog | None],
        ready: Callable[[], int],
        tripped: Callable[[Trip], None],
        end: Callable[[], None],
    ) -> None:
        self.limits = limits
        self.trip: Trip | None = None
        self.ended = False
        self._traffic, self._ready, self._tripped, self._end = traffic, ready, tripped, end
        self._log: TrafficLog | None = None
        self._recent: Records = np.zeros(0, DTYPE)
        self._heard = threading.Event()
        self._over = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="guards", daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        self._began = time.monotonic()
        self._thread.start()

    def heard(self) -> None:
        """The event loop has heard of the trip and acts."""
        self._heard.set()

    def stop(self) -> None:
        """Watch no longer; may be called twice."""
        self._over.set()
        self._heard.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    # -- the thread -----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            trip = self.look(time.monotonic())
            if trip is not None:
                self.trip = trip
                self._tripped(trip)
                if not self._heard.wait(self.limits.react_seconds):
                    self.ended = True
                    self._end()
                return

    def look(self, now: float) -> Trip | None:
        """Look once: the first limit that is exceeded."""
        limits = self.limits
        if limits.wall_seconds is not None and now - self._began > limits.wall_seconds:
            return Trip("wall time", f"more than {limits.wall_seconds:g} s", now)
        if limits.ready_replicas is not None and (ready := self._ready()) < limits.ready_replicas:
            return Trip("ready replicas", f"{ready} ready, at least {limits.ready_replicas} must be", now)
        recent = self._of_window(now)
        if len(recent) < max(1, limits.fewest_requests):
            return None
        if limits.error_ratio is not None:
            ratio = float(failed(recent).mean())
            if ratio > limits.error_ratio:
                text = f"{ratio:.1%} of {len(recent)} requests failed, at most {limits.error_ratio:.1%} may"
                return Trip("error ratio", text, now)
        if limits.p99_seconds is not None:
            p99 = float(np.quantile(latency_seconds(recent), 0.99, method="higher"))
            if p99 > limits.p99_seconds:
                return Trip("latency", f"p99 of {p99:.2f} s, at most {limits.p99_seconds:g} s", now)
        return None

    def _of_window(self, now: float) -> Records:
        if self._log is None:
            found = self._traffic()
            if found is None:
                return self._recent
            self._log = TrafficLog(found.path)
        fresh = answered(self._log.read_new())
        if len(fresh):
            self._recent = np.concatenate([self._recent, fresh])
        kept: Records = self._recent[self._recent["done_us"] >= (now - self.limits.window_seconds) * US]
        self._recent = kept
        return kept
