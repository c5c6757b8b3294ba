"""What judges are calibrated on: one service, one weight, one change of the error ratio, and the way of a number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from strategies import limits
from strategies.judges.base import Judge

HOUR: Final = 3600.0
DAY: Final = 86_400.0
#: false alarms are counted up to these times
MARKS_SECONDS: Final = (300.0, 900.0, HOUR)
#: the day is looked at this often at most: 86,400 looks of every judge would take twenty times as long
DAY_LOOK_SECONDS: Final = 15.0
#: effects of the operating curve, as multiples of the change from p0 to p1; 1 is the fault itself
EFFECTS: Final = (0.25, 0.5, 2.0, 4.0)
_LARGEST_RATIO: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Plumbing:
    """The way from a response to a decision and from a decision to traffic: what no statistic can shorten.

    Attributes:
        scrape_seconds: between two scrapes; at a look the newest number is half of it old on average.
        lag_seconds: until a scraped number can be asked for.
        evaluation_seconds: between two looks of whoever runs the judge.
        query_seconds: that one question takes.
        router_seconds: from an accepted weight to traffic that follows it.
        rollback_seconds: of steps on the way down; 0 for an instant one.
    """

    scrape_seconds: float
    lag_seconds: float
    evaluation_seconds: float
    query_seconds: float
    router_seconds: float
    rollback_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A line under the canary's error ratio, as an analysis of the scenario draws it.

    Attributes:
        name: of strategy and metric.
        line: the ratio (0..1) above which a measurement fails.
        window_seconds, interval_seconds: how far a measurement looks back, and how often there is one.
        covered_seconds: of traffic that a measurement rests on: the first and the last scrape of a window lie an
            interval less apart than the window is long.
        failure_limit: failing measurements that are tolerated.
        count: measurements after which it passes; None: it goes on.
        full_window: whether the first measurement waits for a whole window.
        delay_seconds: before the first measurement, as the scenario says; the bench measures from the first interval
            on where that is less than a window.
    """

    name: str
    line: float
    window_seconds: float
    covered_seconds: float
    interval_seconds: float
    failure_limit: int
    count: int | None
    full_window: bool
    delay_seconds: float


@dataclass(frozen=True, slots=True)
class OwnJudge:
    """A judge for counts that the scenario asks itself, and how often it looks."""

    name: str
    judge: Judge
    interval_seconds: float


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A service, a canary's share of its traffic, and a fault, in the numbers that a judge of counts meets.

    Attributes:
        name, title, path, digest: of the scenario.
        rate_per_second: requests of the whole service.
        share: of them that the canary gets, 0..1.
        p0, p1: error ratio of the stable revision and of the bad canary, 0..1.
        fault_seconds: from the begin of the judge to the begin of the fault.
        alpha: probability of taking back a good release that is allowed, over the hour.
        look_seconds: between two looks at the counts.
        horizon_seconds: how long a bad release is watched; at most the hour.
        objective: share of good requests that the service promises.
        step_seconds: how long the first step of the strategy lasts; None where nothing says.
        rules, judges: what the scenario's own analyses ask.
        assumed: every choice that was made for this bench, one line each.
    """

    name: str
    title: str
    path: str
    digest: str
    rate_per_second: float
    share: float
    p0: float
    p1: float
    fault_seconds: float
    alpha: float
    look_seconds: float
    horizon_seconds: float
    objective: float
    step_seconds: float | None
    plumbing: Plumbing
    rules: tuple[Rule, ...]
    assumed: tuple[str, ...]
    judges: tuple[OwnJudge, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def canary_per_second(self) -> float:
        """Requests of the canary."""
        return self.rate_per_second * self.share

    @property
    def pooled(self) -> float:
        """The error ratio of both arms together: the healthy service that is hardest to tell from this fault."""
        return self.share * self.p1 + (1 - self.share) * self.p0

    @property
    def looks(self) -> int:
        """Looks in the hour."""
        return round(HOUR / self.look_seconds)

    @property
    def day_look_seconds(self) -> float:
        """Between two looks where a whole day is looked at."""
        return max(self.look_seconds, DAY_LOOK_SECONDS)

    @cached_property
    def effects(self) -> tuple[float, ...]:
        """Error ratios of the bad canary on the operating curve, rising; p1 is one of them."""
        found = {self.p1, *(self.p0 + (self.p1 - self.p0) * size for size in EFFECTS)}
        return tuple(sorted(ratio for ratio in found if ratio == self.p1 or ratio <= _LARGEST_RATIO))

    def information_per_second(self, *, knows_baseline: bool) -> float:
        """Nats that all requests of a second carry about the fault."""
        if knows_baseline:
            return self.canary_per_second * limits.information_known(self.p0, self.p1)
        return self.rate_per_second * limits.information_comparative(self.p0, self.p1, self.share)

    def limit_seconds(self, *, knows_baseline: bool = False, p1: float | None = None) -> float:
        """The least mean delay of any judge that keeps alpha and misses nothing.

        Args:
            p1: of another bad canary than the bench's own.
        """
        find = limits.time_known_seconds if knows_baseline else limits.time_comparative_seconds
        bad = self.p1 if p1 is None else p1
        return find(self.p0, bad, rate_per_second=self.rate_per_second, share=self.share, alpha=self.alpha)
