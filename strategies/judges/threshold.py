"""A line for the error ratio over a window, with `for`: the alert rule that most services have.

`sum(rate(errors[5m])) / sum(rate(requests[5m])) > line`, `for: 1m`. It fails the canary at the first evaluation where
the ratio has been above the line at every evaluation for at least `for_seconds`. The statistic is the smallest ratio
over that time. A window without requests is no number: it breaks the run, as NaN > line does in Prometheus.

Source: prometheus rules/alerting.go (pending, firing); the delay and false-positive formulas are ours,
tests/published/judges.yaml.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from scipy.special import bdtr, bdtrc

from strategies.judges.base import (
    SILENT,
    FloatArray,
    IntArray,
    Look,
    Reading,
    Session,
    check_enough,
    due,
    due_looks,
    hold,
    stop_at,
)
from strategies.judges.windows import Arm, Window, check_arm, full_windows, ratios, trailing_min, window_counts

_SLACK_SECONDS: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Fails the canary when its error ratio over a window is above a line for long enough."""

    name: ClassVar[str] = "threshold"
    line: float  #: 0..1; the ratio must be above it, not at it
    window_seconds: float = 300.0
    for_seconds: float = 0.0
    every_seconds: float | None = 15.0  #: evaluation interval; None: at every look
    min_requests: int = 1  #: a window with fewer says nothing
    full_window: bool = True  #: wait for the first whole window; False: a shorter one from the beginning will do
    arm: Arm = "canary"  #: whose requests are counted; "all" is a rule without a label for the version
    enough: int | None = None  #: canary requests after which silence is a pass; None: it never passes

    def __post_init__(self) -> None:
        check_line(self.line)
        check_window(self.window_seconds, self.every_seconds, self.min_requests)
        check_arm(self.arm)
        check_enough(self.enough)
        if not 0 <= self.for_seconds < math.inf:
            raise ValueError(f"for_seconds must be 0 or more, got {self.for_seconds}")

    @property
    def threshold(self) -> float:
        """The smallest ratio above the line."""
        return math.nextafter(self.line, math.inf)

    def begin(self) -> Session:
        """The judge of one rollout."""
        return Session(self.threshold, _Rule(self).read, self.enough)

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The smallest ratio of the last `for_seconds` at every look; see `Judge.paths`."""
        looks = due_looks(at_seconds, self.every_seconds)
        if self.full_window:
            looks = full_windows(at_seconds, looks, self.window_seconds)
        seen = ratios(*window_counts(at_seconds, counts, looks, self.window_seconds, self.arm), self.min_requests)
        if self.for_seconds > 0:
            at = at_seconds[looks]
            seen = trailing_min(seen, np.searchsorted(at, at - self.for_seconds + _SLACK_SECONDS, side="right") - 1)
        return stop_at(hold(seen, looks, at_seconds.size), counts, self.enough)


class _Rule:
    """The evaluations of one rollout."""

    def __init__(self, judge: Threshold) -> None:
        self.judge = judge
        self.window = Window(judge.window_seconds, judge.arm, full=judge.full_window)
        self.before_seconds = 0.0
        self.run: deque[tuple[float, float]] = deque()  #: (time, ratio) since the last evaluation that is old enough
        self.reading = Reading(SILENT, "no evaluation yet", None, judge.min_requests)

    def read(self, look: Look) -> Reading:
        window = self.window.put(look)
        is_due = due(look.at_seconds, self.before_seconds, self.judge.every_seconds)
        self.before_seconds = look.at_seconds
        if is_due:
            self.reading = self._evaluate(look.at_seconds, window)
        return self.reading

    def _evaluate(self, at_seconds: float, window: tuple[int, int] | None) -> Reading:
        judge = self.judge
        if window is None:
            return Reading(SILENT, f"no full window of {judge.window_seconds:g} s yet", None, judge.min_requests)
        requests, errors = window
        ratio = errors / requests if requests >= max(judge.min_requests, 1) else SILENT
        text = seen(errors, requests, judge.window_seconds, judge.line, judge.min_requests)
        if judge.for_seconds == 0:
            return _reading(ratio, text, judge.min_requests)
        run = self.run
        run.append((at_seconds, ratio))
        oldest = at_seconds - judge.for_seconds + _SLACK_SECONDS
        while len(run) > 1 and run[1][0] <= oldest:
            run.popleft()
        statistic = min(value for _, value in run) if run[0][0] <= oldest else SILENT
        since = f"for {judge.for_seconds:g} s asked, lowest ratio meanwhile "
        since += "not known" if statistic == SILENT else f"{statistic:.3%}"
        return _reading(statistic, f"{text}; {since}", judge.min_requests)


def _reading(statistic: float, text: str, least: int) -> Reading:
    return Reading(statistic, text, None, max(least, 1) if statistic == SILENT else None)


def seen(errors: int, requests: int, window_seconds: float, line: float, least: int) -> str:
    """A window in words.

    >>> seen(16, 312, 300, 0.03, 50), seen(0, 3, 300, 0.03, 50)
    ('16 of 312 requests failed in 300 s, 5.128% > 3%', 'have 3 requests in 300 s, need 50')
    """
    if requests < max(least, 1):
        return f"have {requests:,} requests in {window_seconds:g} s, need {max(least, 1):,}"
    ratio = errors / requests
    sign = ">" if ratio > line else "<="
    return f"{errors:,} of {requests:,} requests failed in {window_seconds:g} s, {ratio:.3%} {sign} {100 * line:g}%"


def check_line(line: float) -> None:
    """ValueError unless the line lies in 0..1."""
    if not 0 <= line < 1:
        raise ValueError(f"line must lie in [0, 1), got {line}")


def check_window(window_seconds: float, every_seconds: float | None, min_requests: int) -> None:
    """ValueError unless these describe a window and its evaluations."""
    if not 0 < window_seconds < math.inf:
        raise ValueError(f"window_seconds must be above 0 and finite, got {window_seconds}")
    if every_seconds is not None and not 0 < every_seconds < math.inf:
        raise ValueError(f"every_seconds must be above 0 and finite, or None, got {every_seconds}")
    if min_requests < 0:
        raise ValueError(f"min_requests must be 0 or more, got {min_requests}")


# --- what such a rule can do, without a simulation ---------------------------------------------------------------


def delay_seconds(window_seconds: float, line: float, p0: float, p1: float) -> float:
    """How long the mean ratio over the window needs to rise to the line after a step from p0 to p1.

    This is for a series that existed before, with steady traffic; infinite when the line is at p1 or above.

    >>> round(delay_seconds(300, 0.015, 0.01, 0.02), 6), delay_seconds(300, 0.015, 0.01, 0.015)
    (150.0, inf)
    """
    if line >= p1:
        return math.inf
    return max(0.0, window_seconds * (line - p0) / (p1 - p0))


def false_positive(requests: float, p0: float, line: float) -> float:
    """Probability that one window of so many requests lies above the line while every request fails with p0.

    Args:
        requests: of the window; a mean is rounded to the nearest whole number.
    """
    number = round(requests)
    return float(bdtrc(math.floor(line * number + 1e-9), number, p0))


def fails(count: int, ratio: float, limit: int) -> float:
    """Probability that more than `limit` of `count` independent measurements fail, each with the probability `ratio`.

    >>> round(fails(10, 0.01, 0), 4)
    0.0956
    """
    return float(1 - bdtr(limit, count, ratio)) if ratio > 0.5 else float(bdtrc(limit, count, ratio))
