"""Argo's counter on an error ratio: measure every so often, fail with more than `failure_limit` bad measurements.

The statistic is the (failure_limit + 1)-th largest ratio measured so far. `count` measurements without that many bad
ones pass the canary. Windows that overlap fail together: with a window longer than the interval the limit is worth less
than it looks. A measurement without requests is not counted here; what Argo makes of it depends on the conditions of
the metric and is `strategies.analysis`.

Source: argo-rollouts analysis/analysis.go @9f8d111d8 (assessMetricStatus); `strategies.judges.threshold.fails` has the
exact chances for independent measurements.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from strategies.judges.base import (
    SILENT,
    FloatArray,
    IntArray,
    Look,
    Reading,
    Session,
    due,
    due_looks,
    hold,
    silence_after,
)
from strategies.judges.threshold import check_line, check_window, seen
from strategies.judges.windows import Arm, Window, check_arm, full_windows, ratios, window_counts


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLimit:
    """Fails the canary at its (failure_limit + 1)-th measurement above the line, passes it after `count`."""

    name: ClassVar[str] = "failure_limit"
    line: float  #: 0..1; the ratio must be above it, not at it
    window_seconds: float = 300.0
    every_seconds: float = 60.0  #: interval of the measurements
    failure_limit: int = 0
    count: int | None = None  #: measurements after which the canary passes; None: it never does
    min_requests: int = 1  #: a window with fewer is not counted
    full_window: bool = True  #: the first measurement waits for a whole window
    arm: Arm = "canary"

    def __post_init__(self) -> None:
        check_line(self.line)
        check_window(self.window_seconds, self.every_seconds, self.min_requests)
        check_arm(self.arm)
        if self.failure_limit < 0:
            raise ValueError(f"failure_limit must be 0 or more, got {self.failure_limit}")
        if self.count is not None and self.count <= self.failure_limit:
            raise ValueError(f"count must be above failure_limit {self.failure_limit}, got {self.count}")

    @property
    def threshold(self) -> float:
        """The smallest ratio above the line."""
        return math.nextafter(self.line, math.inf)

    def begin(self) -> Session:
        """The judge of one rollout."""
        return Session(self.threshold, _Run(self).read)

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The (failure_limit + 1)-th largest ratio so far at every look; see `Judge.paths`."""
        looks = due_looks(at_seconds, self.every_seconds)
        if self.full_window:
            looks = full_windows(at_seconds, looks, self.window_seconds)
        ratio = ratios(*window_counts(at_seconds, counts, looks, self.window_seconds, self.arm), self.min_requests)
        measured = np.cumsum(ratio > SILENT, axis=1)
        statistic = np.where(measured > 0, _nth_largest(ratio, self.failure_limit + 1), SILENT)
        if self.count is not None:
            statistic = silence_after(statistic, measured >= self.count)
        return hold(statistic, looks, at_seconds.size)


class _Run:
    """The measurements of one rollout."""

    def __init__(self, judge: FailureLimit) -> None:
        self.judge = judge
        self.window = Window(judge.window_seconds, judge.arm, full=judge.full_window)
        self.before_seconds = 0.0
        self.worst = [0.0] * (judge.failure_limit + 1)  #: ascending
        self.measured = self.failed = 0
        self.reading = Reading(SILENT, "no measurement yet", None, judge.min_requests)

    def read(self, look: Look) -> Reading:
        window = self.window.put(look)
        is_due = due(look.at_seconds, self.before_seconds, self.judge.every_seconds)
        self.before_seconds = look.at_seconds
        if is_due:
            self.reading = self._measure(window)
        return self.reading

    def _measure(self, window: tuple[int, int] | None) -> Reading:
        judge = self.judge
        if window is None:
            return Reading(SILENT, f"no full window of {judge.window_seconds:g} s yet", None, judge.min_requests)
        requests, errors = window
        if requests >= max(judge.min_requests, 1):
            self.measured += 1
            self.failed += errors / requests > judge.line
            insort(self.worst, errors / requests)
            del self.worst[0]
        text = seen(errors, requests, judge.window_seconds, judge.line, judge.min_requests)
        text = f"{self.failed} of {self.measured} measurements failed, {judge.failure_limit} allowed; last {text}"
        statistic = self.worst[0] if self.measured else SILENT
        accepts = judge.count is not None and self.measured >= judge.count
        return Reading(statistic, text, None, None if self.measured else max(judge.min_requests, 1), accepts)


def _nth_largest(values: FloatArray, n: int) -> FloatArray:
    """The n-th largest value of each row so far, shape [R, T]; values below 0 and missing ones count as 0."""
    if n == 1:
        return np.maximum.accumulate(np.maximum(values, 0.0), axis=1)
    worst = np.zeros((values.shape[0], n))
    result = np.empty_like(values)
    for look in range(values.shape[1]):
        np.maximum(worst[:, 0], values[:, look], out=worst[:, 0])
        worst.sort(axis=1)
        result[:, look] = worst[:, 0]
    return result
