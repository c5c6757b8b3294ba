"""Multi-window burn-rate alerts: is the error budget spent so fast that it will not last?

The burn rate is the error ratio over the ratio that the objective allows. Each alert has a long window, so that a blip
does not wake anybody, and a short one, so that it stops soon; it fires while the burn rate over both is above its line.
The statistic is the largest, over the alerts, of the smaller of both burn rates over the line.

Source: The Site Reliability Workbook, chapter 5; its times are in tests/published/judges.yaml.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import numpy as np

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
from strategies.judges.threshold import check_window
from strategies.judges.windows import Arm, Window, check_arm, ratios, window_counts

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR


class Burn(NamedTuple):
    """One alert: it fires while the budget burns this many times too fast over both windows."""

    rate: float
    long_seconds: float
    short_seconds: float
    page: bool  #: wakes somebody; False: a ticket


RECOMMENDED: Final = (
    Burn(14.4, HOUR, 300.0, True),
    Burn(6.0, 6 * HOUR, 1800.0, True),
    Burn(1.0, 3 * DAY, 6 * HOUR, False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnRate:
    """Fails the canary when one of the alerts fires.

    A window that begins before the judge is cut there, as it is for a new series. Then even three days are a few
    requests at first and one failure is a fire: give `min_requests`, or look at the pages only.
    """

    name: ClassVar[str] = "burn_rate"
    objective: float  #: share of requests that must be good, such as 0.999
    alerts: tuple[Burn, ...] = RECOMMENDED
    pages_only: bool = False  #: leave out the alerts that only write a ticket
    every_seconds: float | None = 15.0  #: evaluation interval; None: at every look
    min_requests: int = 1  #: a window with fewer says nothing
    arm: Arm = "all"  #: an objective is the service's; "canary" holds the canary alone to it
    enough: int | None = None  #: canary requests after which silence is a pass; None: it never passes

    def __post_init__(self) -> None:
        if not 0 < self.objective < 1:
            raise ValueError(f"objective must lie between 0 and 1, got {self.objective}")
        check_arm(self.arm)
        check_enough(self.enough)
        if not self.watched:
            raise ValueError("expected at least one alert")
        for alert in self.watched:
            check_window(alert.long_seconds, self.every_seconds, self.min_requests)
            if not (alert.rate > 0 and 0 < alert.short_seconds <= alert.long_seconds):
                raise ValueError(f"expected a rate above 0 and a short window no longer than the long one, got {alert}")
            if alert.rate * (1 - self.objective) >= 1:
                raise ValueError(f"{alert} can never fire: {alert.rate:g} times the budget is more than every request")

    @property
    def watched(self) -> tuple[Burn, ...]:
        """The alerts that count."""
        return tuple(Burn(*alert) for alert in self.alerts if Burn(*alert).page or not self.pages_only)

    @property
    def threshold(self) -> float:
        """The smallest number above 1: a burn rate must be above its line."""
        return math.nextafter(1.0, math.inf)

    def begin(self) -> Session:
        """The judge of one rollout."""
        return Session(self.threshold, _Alerts(self).read, self.enough)

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The largest burn rate over its line at every look; see `Judge.paths`."""
        looks = due_looks(at_seconds, self.every_seconds)
        worst = np.full((counts.shape[0], looks.size), SILENT)
        for alert in self.watched:
            both = np.minimum(
                *(
                    ratios(*window_counts(at_seconds, counts, looks, seconds, self.arm), self.min_requests)
                    for seconds in (alert.long_seconds, alert.short_seconds)
                )
            )
            np.maximum(worst, both / (alert.rate * (1 - self.objective)), out=worst)
        return stop_at(hold(worst, looks, at_seconds.size), counts, self.enough)


class _Alerts:
    """The evaluations of one rollout."""

    def __init__(self, judge: BurnRate) -> None:
        self.judge = judge
        self.watched = judge.watched
        lengths = {seconds for alert in self.watched for seconds in (alert.long_seconds, alert.short_seconds)}
        self.windows = {seconds: Window(seconds, judge.arm, full=False) for seconds in lengths}
        self.before_seconds = 0.0
        self.reading = Reading(SILENT, "no evaluation yet", None, judge.min_requests)

    def read(self, look: Look) -> Reading:
        seen = {seconds: window.put(look) for seconds, window in self.windows.items()}
        is_due = due(look.at_seconds, self.before_seconds, self.judge.every_seconds)
        self.before_seconds = look.at_seconds
        if is_due:
            self.reading = self._evaluate({seconds: self._ratio(of) for seconds, of in seen.items()})
        return self.reading

    def _ratio(self, of: tuple[int, int] | None) -> float:
        assert of is not None  # windows are cut where the judge began
        requests, errors = of
        return errors / requests if requests >= max(self.judge.min_requests, 1) else SILENT

    def _evaluate(self, ratio: dict[float, float]) -> Reading:
        budget, least = 1 - self.judge.objective, max(self.judge.min_requests, 1)
        burning = [
            (min(ratio[alert.long_seconds], ratio[alert.short_seconds]) / (alert.rate * budget), alert)
            for alert in self.watched
        ]
        statistic, alert = max(burning)
        if statistic == SILENT:
            return Reading(SILENT, f"fewer than {least:,} requests in every pair of windows", None, least)
        what = "page" if alert.page else "ticket"
        long, short = (ratio[seconds] / budget for seconds in (alert.long_seconds, alert.short_seconds))
        reason = (
            f"the budget burns {long:.3g} times too fast over {_span(alert.long_seconds)} and {short:.3g} times "
            f"over {_span(alert.short_seconds)}, line {alert.rate:g} ({what})"
        )
        return Reading(statistic, reason)


def _span(seconds: float) -> str:
    """A window in the words of Prometheus."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (60.0, "m")):
        if seconds % unit == 0:
            return f"{seconds / unit:g}{name}"
    return f"{seconds:g}s"


# --- what such an alert can do, without a simulation -------------------------------------------------------------


def alert_seconds(objective: float, error_ratio: float, window_seconds: float, rate: float) -> float:
    """How long until the burn rate over a window reaches its line, after a healthy service begins to fail.

    Infinite when the error ratio is below the line.

    >>> round(alert_seconds(0.999, 1.0, 600, 1), 6), alert_seconds(0.999, 0.0005, 600, 1)
    (0.6, inf)
    """
    line = (1 - objective) * rate
    return window_seconds * line / error_ratio if error_ratio >= line else math.inf


def budget_spent(window_seconds: float, rate: float, period_seconds: float = 30 * DAY) -> float:
    """Share of the period's error budget that is gone when the alert fires.

    >>> round(budget_spent(3600, 14.4), 4)
    0.02
    """
    return rate * window_seconds / period_seconds


def exhausted_seconds(rate: float, period_seconds: float = 30 * DAY) -> float:
    """How long the budget of a period lasts at a burn rate.

    >>> exhausted_seconds(2) / DAY
    15.0
    """
    return period_seconds / rate
