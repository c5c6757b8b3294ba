"""Functions of a range vector: one value for each window of samples.

Each takes the samples of the windows and returns a value and whether there is one, shape [S, R] both. Loops run over
the samples in time, as Prometheus' do, with all series and replications side by side.

Source: prometheus promql/functions.go.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from strategies.metrics.promql.extrapolate import extrapolated
from strategies.metrics.promql.quantile import value_quantile
from strategies.metrics.promql.rules import Rules
from strategies.metrics.promql.sums import Compensated
from strategies.metrics.promql.values import Samples, anywhere, everywhere, first_inside, last_inside, pick
from strategies.metrics.series import BoolArray, FloatArray, IntArray

Found: TypeAlias = tuple[FloatArray, BoolArray]


def stretched(samples: Samples, rules: Rules, *, is_counter: bool, is_rate: bool) -> Found:
    """`rate`, `increase` and `delta`."""
    first, last = first_inside(samples.inside), last_inside(samples.inside)
    first_value, last_value = pick(samples.values, first), pick(samples.values, last)
    increase = last_value - first_value
    if is_counter:
        increase = _with_resets(samples, increase, whole=_without_gaps(samples.inside, first, last))
    return extrapolated(
        pick(samples.times_ms, first),
        first_value,
        pick(samples.times_ms, last),
        increase,
        samples.inside.sum(axis=0),
        samples.end_ms,
        samples.range_ms,
        is_counter=is_counter,
        is_rate=is_rate,
        clamp_first=rules.clamp_first,
    )


def _without_gaps(inside: BoolArray, first: IntArray, last: IntArray) -> bool:
    """Whether every window is one run of places: none between its first and its last is empty."""
    count = inside.sum(axis=0)
    return bool(np.all((count == last - first + 1) | (count == 0)))


def _with_resets(samples: Samples, increase: FloatArray, *, whole: bool) -> FloatArray:
    """Add the value before each reset, in the order of time; the same sum with and without gaps, the latter faster."""
    if whole:
        inside = samples.inside[1:] & samples.inside[:-1]
        falls = inside & (samples.values[1:] < samples.values[:-1])
        for place in np.flatnonzero(falls.any(axis=(1, 2))):
            increase = np.where(falls[place], increase + samples.values[place], increase)
        return increase
    before = np.full(increase.shape, -np.inf)  # nothing is below it: the first sample is no reset
    for value, inside in zip(samples.values, samples.inside, strict=True):
        fell = inside & (value < before)
        if fell.any():
            increase = np.where(fell, increase + before, increase)
        before = np.where(inside, value, before)
    return increase


def last_two(samples: Samples, *, is_rate: bool) -> Found:
    """`irate` and `idelta`."""
    last = last_inside(samples.inside)
    rest = samples.inside.copy()
    np.put_along_axis(rest, last[None], False, axis=0)
    earlier = last_inside(rest)
    value, before = pick(samples.values, last), pick(samples.values, earlier)
    seconds = (pick(samples.times_ms, last) - pick(samples.times_ms, earlier)) / 1000
    change = value - before
    if is_rate:
        change = np.where(value < before, value, change) / seconds
    return change, anywhere(rest) & anywhere(samples.inside)


def regression(samples: Samples, intercept_ms: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Least squares through the samples: the slope per second and the value at `intercept_ms` (shape [S, R] or [R])."""
    shape = samples.inside.shape[1:]
    count = np.zeros(shape)
    x, y, xy, xx = (Compensated.zero(shape) for _ in range(4))
    first = pick(samples.values, first_inside(samples.inside))
    constant = np.ones(shape, dtype=np.bool_)
    for times, value, inside in zip(samples.times_ms, samples.values, samples.inside, strict=True):
        constant &= ~inside | (value == first)
        count += inside
        seconds = (times - intercept_ms) / 1e3
        x.add(np.broadcast_to(seconds, shape), inside)
        y.add(value, inside)
        xy.add(seconds * value, inside)
        xx.add(np.broadcast_to(seconds * seconds, shape), inside)
    sum_x, sum_y = x.total + x.lost, y.total + y.lost
    covariance = xy.total + xy.lost - sum_x * sum_y / count
    variance = xx.total + xx.lost - sum_x * sum_x / count
    slope = covariance / variance
    intercept = sum_y / count - slope * sum_x / count
    slope, intercept = np.where(constant, 0.0, slope), np.where(constant, first, intercept)
    spoilt = constant & np.isinf(first)  # an infinity among others makes a NaN by itself
    return np.where(spoilt, np.nan, slope), np.where(spoilt, np.nan, intercept)


def derivative(samples: Samples) -> Found:
    """`deriv`: the slope, measured from the first sample for its precision."""
    start = pick(samples.times_ms, first_inside(samples.inside))
    slope, _ = regression(samples, start.astype(np.float64))
    return slope, samples.inside.sum(axis=0) >= 2


def predicted(samples: Samples, at_ms: FloatArray, seconds: FloatArray) -> Found:
    """`predict_linear`: the line at so many seconds after the time of evaluation."""
    slope, intercept = regression(samples, at_ms)
    return slope * seconds + intercept, samples.inside.sum(axis=0) >= 2


def changed(samples: Samples, *, only_down: bool) -> Found:
    """`resets` (only down) and `changes`."""
    before = pick(samples.values, first_inside(samples.inside))
    count = np.zeros(before.shape)
    for value, inside in zip(samples.values, samples.inside, strict=True):
        if only_down:
            count += inside & (value < before)
        else:
            count += inside & (value != before) & ~(np.isnan(value) & np.isnan(before))
        before = np.where(inside, value, before)
    return count, anywhere(samples.inside)


def _sum(samples: Samples) -> Found:
    total = Compensated.zero(samples.inside.shape[1:])
    for value, inside in zip(samples.values, samples.inside, strict=True):
        total.add(value, inside)
    return total.value, anywhere(samples.inside)


def _average(samples: Samples) -> Found:
    """The sum over the count; where the sum of finite values is too large for a number, the sum of the shares."""
    count = samples.inside.sum(axis=0)
    total = Compensated.zero(count.shape)
    for value, inside in zip(samples.values, samples.inside, strict=True):
        total.add(value, inside)
    mean = total.total / count + total.lost / count
    mean = np.where(np.isinf(total.total), total.total, mean)
    overflow = ~np.isfinite(mean) & everywhere(~samples.inside | np.isfinite(samples.values)) & (count > 0)
    if overflow.any():
        shares = Compensated.zero(count.shape)
        for value, inside in zip(samples.values, samples.inside, strict=True):
            shares.add(value / count, inside)
        mean = np.where(overflow, shares.value, mean)
    return mean, count > 0


def _spread(samples: Samples, *, root: bool) -> Found:
    shape = samples.inside.shape[1:]
    count = np.zeros(shape)
    mean, squares = Compensated.zero(shape), Compensated.zero(shape)
    for value, inside in zip(samples.values, samples.inside, strict=True):
        count = count + inside
        delta = value - (mean.total + mean.lost)
        mean.add(delta / count, inside)
        squares.add(delta * (value - (mean.total + mean.lost)), inside)
    variance = (squares.total + squares.lost) / count
    return np.sqrt(variance) if root else variance, count > 0


def _extreme(samples: Samples, *, largest: bool) -> Found:
    """NaN counts only when there is nothing else."""
    numbers = samples.inside & ~np.isnan(samples.values)
    filler = -np.inf if largest else np.inf
    masked = np.where(numbers, samples.values, filler)
    value = masked.max(axis=0) if largest else masked.min(axis=0)
    return np.where(anywhere(numbers), value, np.nan), anywhere(samples.inside)


def _last(samples: Samples) -> Found:
    return pick(samples.values, last_inside(samples.inside)), anywhere(samples.inside)


def _count(samples: Samples) -> Found:
    count = samples.inside.sum(axis=0)
    return count.astype(np.float64), count > 0


def _present(samples: Samples) -> Found:
    there = anywhere(samples.inside)
    return np.ones(there.shape), there


def quantile(samples: Samples, q: FloatArray) -> Found:
    """`quantile_over_time`."""
    wanted = np.broadcast_to(q, samples.inside.shape[1:])
    return value_quantile(wanted, samples.values, samples.inside), anywhere(samples.inside)


#: functions of one range vector and nothing else; all but last_over_time drop the metric's name
PLAIN: Final[dict[str, Callable[[Samples], Found]]] = {
    "avg_over_time": _average,
    "changes": partial(changed, only_down=False),
    "count_over_time": _count,
    "deriv": derivative,
    "idelta": partial(last_two, is_rate=False),
    "irate": partial(last_two, is_rate=True),
    "last_over_time": _last,
    "max_over_time": partial(_extreme, largest=True),
    "min_over_time": partial(_extreme, largest=False),
    "present_over_time": _present,
    "resets": partial(changed, only_down=True),
    "stddev_over_time": partial(_spread, root=True),
    "stdvar_over_time": partial(_spread, root=False),
    "sum_over_time": _sum,
}

#: functions whose arithmetic differs between versions of Prometheus
BY_RULES: Final[dict[str, Callable[[Samples, Rules], Found]]] = {
    "delta": partial(stretched, is_counter=False, is_rate=False),
    "increase": partial(stretched, is_counter=True, is_rate=False),
    "rate": partial(stretched, is_counter=True, is_rate=True),
}
