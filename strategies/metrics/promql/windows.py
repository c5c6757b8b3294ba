"""Which samples a selector sees: the last one not too old, or those of a window."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from strategies.metrics.promql.values import Kind, Samples, Table, anywhere, last_inside, pick
from strategies.metrics.series import BoolArray, IntArray, Labels, Selected, pairs

_LONG: Final = 50_000  #: samples from which on it pays to look for the part that matters


def window(found: Selected, end_ms: IntArray, range_ms: int, *, left_open: bool) -> Samples:
    """The samples of the window that ends at `end_ms` in each replication, staleness markers left out.

    Args:
        found: what the selector found.
        end_ms: shape [R].
        range_ms: length of the window.
        left_open: a sample exactly at its beginning is outside (Prometheus 3); else inside (Prometheus 2).
    """
    samples, stale = _between(found, end_ms, range_ms, left_open=left_open)
    return samples if stale is None else replace(samples, inside=samples.inside & ~stale)


def instant(found: Selected, at_ms: IntArray, lookback_ms: int, *, left_open: bool) -> tuple[Table, IntArray]:
    """The last sample of each series that is not older than the look-back, and its time.

    A series whose last sample is a staleness marker is not there.

    Returns:
        the table, and the times of its samples, shape [S, R].
    """
    samples, stale = _between(found, at_ms, lookback_ms, left_open=left_open)
    last = last_inside(samples.inside)
    kept = anywhere(samples.inside)
    if stale is not None:
        kept = kept & ~pick(stale, last)
    return Table(samples.labels, pick(samples.values, last), kept), pick(samples.times_ms, last)


def _between(found: Selected, end_ms: IntArray, range_ms: int, *, left_open: bool) -> tuple[Samples, BoolArray | None]:
    """The samples of the window, markers among them, and which are markers; T is cut to what any window needs."""
    labels, order = _sorted(found)
    found = _cut(found, end_ms, range_ms)
    times = found.times_ms
    start = (end_ms - range_ms)[:, None]
    inside = ((times > start) if left_open else (times >= start)) & (times <= end_ms[:, None])
    needed = np.flatnonzero(inside.any(axis=(0, 1)))
    if not needed.size:  # one place without a sample, so that a first and a last place exist
        shape = (1, len(labels), len(end_ms))
        nothing = np.zeros(shape, dtype=np.bool_)
        return Samples(labels, np.zeros(shape, dtype=np.int64), np.zeros(shape), nothing, end_ms, range_ms), None
    part = slice(int(needed[0]), int(needed[-1]) + 1)
    kept = inside[:, :, part] & found.kept[:, :, part]
    one = len(times) == 1
    samples = Samples(
        labels,
        _time_first(times[:, :, part], None if one else order),
        _time_first(found.values[:, :, part], order),
        _time_first(kept, order),
        end_ms,
        range_ms,
    )
    return samples, None if found.stale is None else _time_first(found.stale[:, :, part], order)


def _cut(found: Selected, end_ms: IntArray, range_ms: int) -> Selected:
    """Long series without the places before and after all windows; times ascend, so that few places are looked at."""
    times = found.times_ms
    if times.size < _LONG or not times.size:
        return found
    begin, end = end_ms.min() - range_ms, end_ms.max()
    places = range(times.shape[2])
    first = bisect_left(places, True, key=lambda place: bool((times[:, :, place] >= begin).any()))
    last = bisect_left(places, True, key=lambda place: bool((times[:, :, place] > end).all()))
    part = slice(first, max(last, first + 1))
    stale = None if found.stale is None else found.stale[:, :, part]
    return Selected(found.labels, times[:, :, part], found.values[:, :, part], found.kept[:, :, part], stale)


def _sorted(found: Selected) -> tuple[tuple[Labels, ...], list[int] | None]:
    """The label sets in order, and where each stood; None when they stood so."""
    labels = tuple(pairs(one) for one in found.labels)
    order = sorted(range(len(labels)), key=labels.__getitem__)
    if order == list(range(len(labels))):
        return labels, None
    return tuple(labels[row] for row in order), order


def _time_first(array: NDArray[Kind], order: list[int] | None) -> NDArray[Kind]:
    """[S, R, T] -> [T, S, R], contiguous: what follows runs over T one slice after the other."""
    rows = array if order is None else array[order]
    return np.ascontiguousarray(np.moveaxis(rows, 2, 0))
