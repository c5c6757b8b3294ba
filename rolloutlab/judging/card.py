"""The calibration card of a judge: how often it is wrong, how late it is, how far from the limit, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from rolloutlab.judging.alarms import Delays, Matched, delays
from rolloutlab.judging.bench import DAY, HOUR, MARKS_SECONDS, Bench
from rolloutlab.judging.entrant import Entrant
from rolloutlab.judging.segments import Segment, segments
from sim import intervals
from sim.intervals import Interval
from strategies import limits
from strategies.judges.base import FloatArray

#: of each bound that the physics test rests on: a right simulator fails it for one judge in 5,000
CERTAIN: Final = 0.9999


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """How many good releases a judge takes back within a time.

    Attributes:
        seconds: since the judge began.
        look_seconds: between two looks of the runs that were counted.
        share: of the runs, with its 95 % interval (Wilson).
        alarms, runs: as counted.
    """

    seconds: float
    look_seconds: float
    share: Interval
    alarms: int
    runs: int


@dataclass(frozen=True, slots=True)
class Efficiency:
    """A judge against the limit at the error probabilities that it showed.

    Attributes:
        value: limit ÷ mean delay; 1 is the best there can be.
        least: what the value is at least, but for one sample in 5,000 or so: all three measured numbers at the ends of
            their intervals that favour the judge least. Above 1 the simulation would be wrong.
        limit_seconds: the least mean delay at these probabilities.
        alpha, beta: measured; alpha is 3 / runs where no good release was taken back.
        null: error ratio of the good releases on which alpha was measured.
    """

    value: float
    least: float
    limit_seconds: float
    alpha: float
    beta: float
    null: float


@dataclass(frozen=True, slots=True)
class Point:
    """One effect of the operating curve: an error ratio of the bad canary, and how late it is seen.

    Attributes:
        limit_seconds: the least mean delay of any judge at the nominal alpha.
        plain: with the judge's own threshold.
        matched: with the threshold that matches the false-positive rate; None where there is none.
    """

    p1: float
    limit_seconds: float
    plain: Delays
    matched: Delays | None


@dataclass(frozen=True, slots=True)
class AtMatched:
    """The judge with the threshold that takes back alpha of the good releases.

    Attributes:
        threshold: with the interval in which the true one lies.
        delays: of the bench's fault.
        mean: of the delay, over what sampling and the threshold leave open; an end is infinite where it is open.
    """

    threshold: Matched
    delays: Delays
    mean: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """All that is known of one judge on one bench."""

    bench: Bench
    entrant: Entrant
    false_alarms: tuple[FalseAlarms, ...]
    fault: Delays
    curve: tuple[Point, ...]
    matched: AtMatched | None
    efficiency: Efficiency | None  #: None where the judge never alarmed on the fault
    segments: tuple[Segment, ...]

    @property
    def hour(self) -> FalseAlarms:
        """Good releases that are taken back within the hour."""
        return next(one for one in self.false_alarms if one.seconds == HOUR)

    @property
    def valid(self) -> bool:
        """Whether it keeps alpha over the hour, as far as the runs can tell."""
        return self.hour.share.lo <= self.bench.alpha

    @property
    def ratio(self) -> Interval:
        """Mean delay over the limit at the nominal alpha that holds for a judge that learns p0."""
        limit = self.bench.limit_seconds()
        return Interval(*(value / limit for value in self.fault.mean))

    @property
    def beats_physics(self) -> bool:
        """Whether it is faster than any judge can be, beyond what chance allows."""
        return self.efficiency is not None and self.efficiency.least > 1

    @property
    def end_seconds(self) -> float:
        """Mean time from the fault to the end of its traffic, plumbing included."""
        return sum(segment.seconds for segment in self.segments)


def false_alarms(seconds: FloatArray, marks: tuple[float, ...], look_seconds: float) -> tuple[FalseAlarms, ...]:
    """Good releases taken back until each of some times; `seconds` of shape [R] are those of the first alarms."""
    found = []
    for mark in marks:
        count = int((seconds <= mark + 1e-9).sum())
        share = intervals.wilson(count, len(seconds))
        found.append(FalseAlarms(mark, look_seconds, share, count, len(seconds)))
    return tuple(found)


def marks_of_hour(bench: Bench, seconds: FloatArray) -> tuple[FalseAlarms, ...]:
    """Those of the hour, looked at finely."""
    return false_alarms(seconds, MARKS_SECONDS, bench.look_seconds)


def mark_of_day(bench: Bench, seconds: FloatArray) -> tuple[FalseAlarms, ...]:
    """That of the day, looked at coarsely."""
    return false_alarms(seconds, (DAY,), bench.day_look_seconds)


def efficiency(bench: Bench, entrant: Entrant, good_seconds: FloatArray, fault: Delays) -> Efficiency | None:
    """How near a judge comes to the limit at its own error probabilities.

    The limit of a judge that learns p0 is set by the good service that is hardest to tell from the fault: both arms
    fail with the mean of the two ratios. So its alpha is measured there; that of a judge that was told p0, at p0.

    Args:
        good_seconds: shape [R], first alarms on good releases of that error ratio.
    """
    count, runs = int((good_seconds <= bench.horizon_seconds + 1e-9).sum()), len(good_seconds)
    if fault.missed == fault.runs or not fault.mean.value > 0:
        return None
    information = bench.information_per_second(knows_baseline=entrant.knows_baseline)
    found = limits.efficiency(
        fault.mean.value,
        false_alarms=count,
        good_runs=runs,
        misses=fault.missed,
        bad_runs=fault.runs,
        information_per_second=information,
    )
    alpha = intervals.wilson(count, runs, CERTAIN).hi
    beta = intervals.wilson(fault.missed, fault.runs, CERTAIN).hi
    middle, hi = fault.mean.value, fault.mean.hi
    reach = (hi - middle) * _reach(fault.runs)
    least = limits.evidence(min(alpha, 1.0), beta) / information / (middle + reach) if math.isfinite(reach) else 0.0
    null = bench.p0 if entrant.knows_baseline else bench.pooled
    return Efficiency(found.value, least, found.limit_seconds, found.alpha, found.beta, null)


def _reach(runs: int) -> float:
    """How much wider the certain interval of a mean is than the one shown."""
    from scipy.special import stdtrit

    wide, shown = (float(stdtrit(max(runs - 1, 1), 0.5 + level / 2)) for level in (CERTAIN, intervals.CONFIDENCE))
    return wide / shown


def at_matched(bench: Bench, threshold: Matched | None, seconds: FloatArray, exposed: FloatArray) -> AtMatched | None:
    """The delays with the matched threshold.

    Args:
        seconds, exposed: shape [3, R], with the threshold itself, the low and the high end of its interval.
    """
    if threshold is None:
        return None
    longest = bench.horizon_seconds - bench.fault_seconds
    here, low, high = (delays(seconds[row], exposed[row], longest_seconds=longest) for row in range(3))
    top = high.mean.hi if math.isfinite(threshold.hi) else math.inf
    return AtMatched(threshold, here, Interval(here.mean.value, min(low.mean.lo, here.mean.lo), max(top, here.mean.hi)))


def card(
    bench: Bench,
    entrant: Entrant,
    *,
    good: FloatArray,
    hardest: FloatArray,
    day: FloatArray,
    threshold: Matched | None,
    seconds: FloatArray,
    exposed: FloatArray,
    effects: list[tuple[float, FloatArray, FloatArray]],
) -> Card:
    """Put the card of one judge together.

    Args:
        good, hardest, day: shape [R], first alarms on good releases: of the service, of the one that is hardest to
            tell from the fault, and over a day.
        seconds, exposed: shape [4, R], of the fault: with the judge's own threshold, and as `at_matched`.
        effects: of the other effects: ratio, seconds and exposed, shape [2, R]: own and matched threshold.
    """
    longest = bench.horizon_seconds - bench.fault_seconds

    def told(times: FloatArray, requests: FloatArray) -> Delays:
        return delays(times, requests, longest_seconds=longest)

    fault = told(seconds[0], exposed[0])
    match = at_matched(bench, threshold, seconds[1:], exposed[1:])
    points = [Point(bench.p1, bench.limit_seconds(), fault, match.delays if match else None)]
    for ratio, times, requests in effects:
        other = told(times[1], requests[1]) if threshold is not None else None
        points.append(Point(ratio, bench.limit_seconds(p1=ratio), told(times[0], requests[0]), other))
    return Card(
        bench=bench,
        entrant=entrant,
        false_alarms=(*marks_of_hour(bench, good), *mark_of_day(bench, day)),
        fault=fault,
        curve=tuple(sorted(points, key=lambda point: point.p1)),
        matched=match,
        efficiency=efficiency(bench, entrant, good if entrant.knows_baseline else hardest, fault),
        segments=segments(bench, entrant, fault.mean.value),
    )


def thresholds_of(entrants: tuple[Entrant, ...], highest: FloatArray, alpha: float) -> list[Matched | None]:
    """The matched threshold of every judge; `highest` of shape [E, R] is from good releases of the hour."""
    from rolloutlab.judging.alarms import matched

    return [matched(row, alpha) for row in np.asarray(highest)][: len(entrants)]
