"""Quantiles: of classic histogram buckets, and of plain values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from strategies.metrics.series import BoolArray, FloatArray, IntArray

TOLERANCE = 1e-12  #: two buckets whose counts differ by less than this, relatively, count as equal
SMALLEST = 2.2250738585072014e-308


def bucket_quantile(
    q: ArrayLike, bounds: FloatArray, cumulative: FloatArray, *, merge_close: bool = True
) -> FloatArray:
    """The quantile of classic histograms, linear inside a bucket.

    Args:
        q: shape [R] or a number; below 0 gives -Inf, above 1 gives +Inf, NaN gives NaN.
        bounds: shape [B], upper bounds of the buckets, ascending, no two equal.
        cumulative: shape [B, R], observations at or below each bound; rates will do.
        merge_close: take counts that differ by rounding only for equal, as Prometheus does since pull request 13153.

    Returns:
        shape [R]; NaN without observations, with fewer than two buckets, or when the last bound is not +Inf; the
        second highest bound when the quantile lies in the last bucket.

    Source:
        prometheus promql/quantile.go BucketQuantile, ensureMonotonicAndIgnoreSmallDeltas.

    >>> bucket_quantile(0.5, np.array([0.1, 0.2, np.inf]), np.array([[10.0], [20.0], [20.0]])).tolist()
    [0.1]
    """
    wanted = np.broadcast_to(np.asarray(q, dtype=np.float64), cumulative.shape[1:])
    if len(bounds) < 2 or bounds[-1] != np.inf:
        return _outside(wanted, np.full(wanted.shape, np.nan))
    counts = _ascending(cumulative, merge_close=merge_close)
    total = counts[-1]
    rank = wanted * total
    bucket = _search(counts[:-1], rank)
    columns = np.arange(counts.shape[1])
    inside = np.minimum(bucket, len(bounds) - 2)
    below = np.maximum(inside - 1, 0)
    lowest = inside == 0
    start = np.where(lowest, 0.0, bounds[below])
    before = np.where(lowest, 0.0, counts[below, columns])
    with np.errstate(all="ignore"):
        share = (rank - before) / (counts[inside, columns] - before)
        value = start + (bounds[inside] - start) * share
    value = np.where(lowest & (bounds[0] <= 0), bounds[0], value)
    value = np.where(bucket == len(bounds) - 1, bounds[-2], value)
    return _outside(wanted, np.where(total == 0, np.nan, value))


def _outside(q: FloatArray, value: FloatArray) -> FloatArray:
    """The value, but for a q that is no share of anything."""
    value = np.where(q < 0, -np.inf, value)
    value = np.where(q > 1, np.inf, value)
    return np.where(np.isnan(q), np.nan, value)


def _ascending(cumulative: FloatArray, *, merge_close: bool) -> FloatArray:
    """Counts that never fall: a count below the one before it is raised to it."""
    counts = cumulative.copy()
    previous = counts[0]
    with np.errstate(all="ignore"):
        for row in range(1, len(counts)):
            current = counts[row]
            lower = current < previous
            if merge_close:
                lower = lower | _close(previous, current)
            counts[row] = np.where(lower, previous, current)
            previous = np.where(np.isnan(counts[row]), previous, counts[row]) if not merge_close else counts[row]
    return counts


def _close(a: FloatArray, b: FloatArray) -> BoolArray:
    """Source: prometheus util/almost/almost.go Equal."""
    apart, size = np.abs(a - b), np.abs(a) + np.abs(b)
    tiny = (a == 0) | (b == 0) | (size < SMALLEST)
    return np.where(tiny, apart < TOLERANCE * SMALLEST, apart / np.minimum(size, np.finfo(np.float64).max) < TOLERANCE)


def _search(counts: FloatArray, rank: FloatArray) -> IntArray:
    """The first row of each column that is at least the rank, by halving; the number of rows when none is.

    Halving, not counting: with NaN among the counts the two differ, and Prometheus halves.
    """
    low = np.zeros(rank.shape, dtype=np.int64)
    high = np.full(rank.shape, len(counts), dtype=np.int64)
    columns = np.arange(len(rank))
    while np.any(low < high):
        open_ = low < high
        middle = (low + high) // 2
        reached = counts[np.minimum(middle, len(counts) - 1), columns] >= rank
        high = np.where(open_ & reached, middle, high)
        low = np.where(open_ & ~reached, middle + 1, low)
    return low


def value_quantile(q: ArrayLike, values: FloatArray, kept: BoolArray) -> FloatArray:
    """The quantile of the kept values of each column, linear between neighbours; NaN sorts below every number.

    Args:
        q: shape of a column or a number; below 0 gives -Inf, above 1 gives +Inf, NaN gives NaN.
        values: shape [N, ...].
        kept: shape [N, ...].

    Returns:
        shape [...]; NaN where nothing is kept.

    Source:
        prometheus promql/quantile.go quantile.
    """
    wanted = np.broadcast_to(np.asarray(q, dtype=np.float64), values.shape[1:])
    count = kept.sum(axis=0)
    # NaN of a kept value first, then the numbers, then what is not kept
    rank_of = np.where(kept, np.where(np.isnan(values), 0, 1), 2)
    order = np.lexsort((np.where(kept, values, np.inf), rank_of), axis=0)
    ordered = np.take_along_axis(values, order, axis=0)
    with np.errstate(all="ignore"):
        rank = np.where((wanted >= 0) & (wanted <= 1), wanted, 0.0) * (count - 1)
        low = np.maximum(0.0, np.floor(rank))
        high = np.maximum(0.0, np.minimum(count - 1.0, low + 1))
        weight = rank - np.floor(rank)
        lower = np.take_along_axis(ordered, low.astype(np.int64)[None], axis=0)[0]
        upper = np.take_along_axis(ordered, high.astype(np.int64)[None], axis=0)[0]
        value = lower * (1 - weight) + upper * weight
    value = _outside(wanted, value)
    return np.where(count == 0, np.nan, value)
