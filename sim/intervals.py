"""How sure a run of n replications is: intervals of a mean, a share and a quantile."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE: Final = 0.95  #: of every interval that a result shows


class Interval(NamedTuple):
    """A value and the bounds between which the truth lies; NaN and infinite where there is too little evidence."""

    value: float
    lo: float
    hi: float


def wilson(count: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """The share `count / n` with its score interval.

    Args:
        count: how many of the n replications have the property.
        n: replications; 0 gives NaN between 0 and 1.
        confidence: of the interval, in 0..1.

    Source:
        Wilson (1927), without correction for continuity.

    >>> tuple(round(x, 4) for x in wilson(0, 100))
    (0.0, 0.0, 0.037)
    """
    if n == 0:
        return Interval(math.nan, 0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = count / n
    middle = share + z * z / (2 * n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    lo = 0.0 if count == 0 else (middle - reach) / scale
    hi = 1.0 if count == n else (middle + reach) / scale
    return Interval(share, lo, hi)


def mean(values: NDArray[Any], confidence: float = CONFIDENCE) -> Interval:
    """The mean of independent values with Student's interval from their own standard error.

    Args:
        values: shape [R], no NaN. One value has a mean but no bounds; none have neither.
        confidence: of the interval, in 0..1.
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, -math.inf, math.inf)
    middle = float(values.mean())
    if n == 1:
        return Interval(middle, -math.inf, math.inf)
    spread = float(values.std(ddof=1, dtype=np.float64))
    reach = _student(n - 1, confidence) * spread / math.sqrt(n) if spread > 0 else 0.0
    return Interval(middle, middle - reach, middle + reach)


def quantile(values: NDArray[Any], q: float, confidence: float = CONFIDENCE) -> Interval:
    """A quantile with the interval between two order statistics, valid for every distribution.

    Args:
        values: shape [R], no NaN, in any order.
        q: 0.5 for the median.
        confidence: of the interval, at least; a bound that no value of the sample gives is infinite.

    Source:
        The number of values at or below the true quantile is binomial (n, q); David & Nagaraja, Order Statistics, 7.1.

    >>> quantile(np.arange(1.0, 101.0), 0.5)
    Interval(value=50.5, lo=40.0, hi=61.0)
    """
    n = len(values)
    if n == 0:
        return Interval(math.nan, -math.inf, math.inf)
    low, high = _ranks(n, q, (1 - confidence) / 2)
    inside = [rank - 1 for rank in (low, high) if 1 <= rank <= n]
    ordered = np.partition(values, inside) if inside else values
    lo = float(ordered[low - 1]) if low >= 1 else -math.inf
    hi = float(ordered[high - 1]) if high <= n else math.inf
    return Interval(float(np.quantile(values, q)), lo, hi)


def paired_share(more: int, fewer: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """The difference of two shares that were taken of the same n replications.

    Args:
        more: replications that have the property in the first sample only.
        fewer: those that have it in the second only.
        n: all of them; 0 gives NaN between -1 and 1.

    Source:
        Agresti & Min (2005), "simple improved": Wald's interval after half a replication more in each of the four
        cells, so that it has a width even where nothing, or everything, differs.

    >>> tuple(round(x, 3) for x in paired_share(40, 0, 40))
    (1.0, 0.873, 1.0)
    """
    if n == 0:
        return Interval(math.nan, -1.0, 1.0)
    gain, loss, size = more + 0.5, fewer + 0.5, n + 2
    middle = (gain - loss) / size
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt((gain + loss) / size - middle**2) / math.sqrt(size)
    share = (more - fewer) / n
    return Interval(share, max(-1.0, min(middle - reach, share)), min(1.0, max(middle + reach, share)))


def _ranks(n: int, q: float, tail: float) -> tuple[int, int]:
    """The largest rank that lies above the quantile with probability <= tail, the smallest that lies below it so."""
    from scipy.special import bdtr, bdtrc

    reach = 2 + int(8 * math.sqrt(n * q * (1 - q)) + 40)
    ranks = np.arange(max(0, int(n * q) - reach), min(n + 1, int(n * q) + reach) + 1)
    # rank r > quantile: at most r - 1 values lie at or below it; rank r < quantile: at least r do
    above = np.where(ranks >= 1, bdtr(np.maximum(ranks - 1, 0), n, q), 0.0)
    below = np.where(ranks <= n, bdtrc(np.maximum(ranks - 1, 0), n, q), 0.0)
    below = np.where(ranks == 0, 1.0, below)
    return int(ranks[above <= tail].max()), int(ranks[below <= tail].min())


def _student(degrees: int, confidence: float) -> float:
    """The two-sided quantile of Student's t; the normal one where they agree to five digits."""
    if degrees > 100_000:
        return NormalDist().inv_cdf(0.5 + confidence / 2)
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + confidence / 2))
