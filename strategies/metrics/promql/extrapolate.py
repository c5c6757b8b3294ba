"""The arithmetic of `rate`, `increase` and `delta`: from what the samples saw to the whole window."""

from __future__ import annotations

import numpy as np

from strategies.metrics.series import BoolArray, FloatArray, IntArray

THRESHOLD = 1.1  #: a window is taken to be covered when its edge is nearer than this many spacings of samples


def extrapolated(
    first_ms: IntArray,
    first_value: FloatArray,
    last_ms: IntArray,
    increase: FloatArray,
    samples: IntArray,
    at_ms: IntArray,
    range_ms: int,
    *,
    is_counter: bool,
    is_rate: bool,
    clamp_first: bool = False,
) -> tuple[FloatArray, BoolArray]:
    """Stretch the difference between the first and the last sample to the window that ends at `at_ms`.

    All arrays have one shape, or shapes that broadcast to it; the arithmetic is element by element.

    Args:
        first_ms: time of the first sample in the window.
        first_value: its value.
        last_ms: time of the last sample.
        increase: last value less first value, plus, for a counter, the value before each reset.
        samples: number of samples in the window.
        at_ms: end of the window (the time of evaluation, less the offset).
        range_ms: length of the window.
        is_counter: the value cannot have been below zero: the stretch to the left ends where it would have been zero.
        is_rate: divide by the length of the window in seconds.
        clamp_first: compare with the zero point before the rule of 1.1 spacings: Prometheus before pull request 13725.

    Returns:
        the value, and where there is one: two samples at least.

    Source:
        prometheus promql/functions.go extrapolatedRate; the order of the clamp: prometheus pull request 13725.

    >>> value, ok = extrapolated(*map(np.array, (15_000, 3.0, 285_000, 54.0, 19, 300_000)), 300_000,
    ...                          is_counter=True, is_rate=False)
    >>> float(value), bool(ok)
    (60.0, True)
    """
    ok = samples >= 2
    with np.errstate(all="ignore"):
        to_start = (first_ms - (at_ms - range_ms)) / 1000
        to_end = (at_ms - last_ms) / 1000
        sampled = (last_ms - first_ms) / 1000
        spacing = sampled / (samples - 1)
        threshold = spacing * THRESHOLD
        to_zero: FloatArray = np.array(np.inf)
        if is_counter:
            rising = (increase > 0) & (first_value >= 0)
            to_zero = np.where(rising, sampled * (first_value / increase), np.inf)
        if clamp_first:
            to_start = np.where(to_zero < to_start, to_zero, to_start)
        to_start = np.where(to_start >= threshold, spacing / 2, to_start)
        if is_counter and not clamp_first:
            to_start = np.where(to_zero < to_start, to_zero, to_start)
        to_end = np.where(to_end >= threshold, spacing / 2, to_end)
        factor = (sampled + to_start + to_end) / sampled
        if is_rate:
            factor = factor / (range_ms / 1000)
        value = increase * factor
    return value, ok
