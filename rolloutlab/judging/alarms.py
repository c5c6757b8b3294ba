"""From paths of a statistic to alarms, and from alarms to what they come to: rates, delays, matched thresholds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim import intervals
from sim.intervals import Interval
from strategies.judges.base import FloatArray, IntArray


def first_alarms(statistic: FloatArray, thresholds: FloatArray) -> IntArray:
    """The first look at which the statistic reaches each threshold.

    Args:
        statistic: shape [R, T].
        thresholds: shape [H].

    Returns:
        shape [H, R]; T where it never does.
    """
    found = np.empty((len(thresholds), len(statistic)), dtype=np.int64)
    for row, threshold in enumerate(thresholds):
        reached = statistic >= threshold
        found[row] = np.where(reached.any(axis=1), reached.argmax(axis=1), statistic.shape[1])
    return found


@dataclass(frozen=True, slots=True)
class Matched:
    """The threshold at which a judge takes back as many good releases as is allowed.

    Attributes:
        value: the lowest at which at most alpha of the good runs of the sample alarm.
        lo, hi: between them lies the threshold whose probability is alpha, in 95 of 100 samples; `hi` is infinite
            where the sample is too small to say.
    """

    value: float
    lo: float
    hi: float


def matched(highest: FloatArray, alpha: float) -> Matched | None:
    """The threshold that matches a false-positive rate.

    Args:
        highest: shape [R], the highest statistic of each good run; minus infinity where the judge never spoke.
        alpha: the rate to match.

    Returns:
        None when the judge spoke in too few runs for any threshold to matter.

    Source:
        How many of R maxima lie above the true quantile is binomial (R, alpha); order statistics of those ranks.
    """
    from scipy.special import bdtr

    n = len(highest)
    falling = np.sort(highest)[::-1]
    ranks = np.arange(n + 1)
    below = bdtr(ranks, n, alpha)
    most, fewest = int(np.searchsorted(below, 0.975)), int(np.searchsorted(below, 0.025))
    allowed = math.floor(alpha * n + 1e-9)
    if not math.isfinite(falling[allowed]):
        return None
    return Matched(
        value=_above(falling[allowed]),
        lo=_above(falling[min(most, n - 1)]),
        hi=_above(falling[fewest - 1]) if fewest >= 1 else math.inf,
    )


def _above(value: float) -> float:
    """The next larger number: ties with the value itself are no alarm."""
    return float(np.nextafter(value, math.inf))


@dataclass(frozen=True, slots=True)
class Delays:
    """How late bad releases were seen, in seconds from the begin of the fault.

    Attributes:
        runs: bad releases.
        missed: of them that were not seen within the horizon.
        detected: the share that was seen.
        mean: of all runs; one that was missed counts with the whole horizon.
        p50, p90, p99: of all runs; infinite where so many were not seen within the horizon.
        exposed_p50, exposed_p90, exposed_mean: requests that the bad canary answered until the alarm.
    """

    runs: int
    missed: int
    detected: Interval
    mean: Interval
    p50: float
    p90: float
    p99: float
    exposed_p50: float
    exposed_p90: float
    exposed_mean: Interval


def delays(seconds: FloatArray, exposed: FloatArray, *, longest_seconds: float) -> Delays:
    """Sum up the bad runs of one judge.

    Args:
        seconds: shape [R], from the begin of the fault to the alarm; infinite without an alarm.
        exposed: shape [R], canary requests from the begin of the fault to the alarm, or to the horizon.
        longest_seconds: from the begin of the fault to the horizon.
    """
    missed = int(np.isinf(seconds).sum())
    return Delays(
        runs=len(seconds),
        missed=missed,
        detected=intervals.wilson(len(seconds) - missed, len(seconds)),
        mean=intervals.mean(np.minimum(seconds, longest_seconds)),
        p50=_quantile(seconds, 0.5),
        p90=_quantile(seconds, 0.9),
        p99=_quantile(seconds, 0.99),
        exposed_p50=_quantile(exposed, 0.5),
        exposed_p90=_quantile(exposed, 0.9),
        exposed_mean=intervals.mean(exposed),
    )


def _quantile(values: FloatArray, q: float) -> float:
    """A quantile that is a value of the sample (the next higher), so that infinity stays what it is."""
    rank = math.ceil(q * (len(values) - 1))
    return float(np.partition(values, rank)[rank])
