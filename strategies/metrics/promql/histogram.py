"""`histogram_quantile` of classic buckets: series that differ in `le` alone are one histogram."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from strategies.metrics.promql.numbers import go_float
from strategies.metrics.promql.quantile import bucket_quantile
from strategies.metrics.promql.values import Table, anywhere, except_for
from strategies.metrics.series import BoolArray, FloatArray, Labels

BUCKET = "le"


def histogram_quantile(q: FloatArray, table: Table, *, merge_close: bool) -> Table:
    """The quantile of each histogram; series without a readable `le` are left out.

    Args:
        q: shape [R].
        table: the buckets.
        merge_close: see `bucket_quantile`.
    """
    found = _histograms(table.labels)
    values = np.zeros((len(found), table.values.shape[1]))
    kept = np.zeros(values.shape, dtype=np.bool_)
    for place, (_, rows, bounds) in enumerate(found):
        there = table.kept[list(rows)]
        kept[place] = anywhere(there)
        for columns, present in _patterns(there):
            counts = table.values[list(rows)][present][:, columns]
            upper, cumulative = _joined(np.array(bounds)[present], counts)
            values[place, columns] = bucket_quantile(q[columns], upper, cumulative, merge_close=merge_close)
    return Table(tuple(key for key, _, _ in found), values, kept)


@lru_cache(maxsize=256)
def _histograms(labels: tuple[Labels, ...]) -> list[tuple[Labels, tuple[int, ...], tuple[float, ...]]]:
    """Label set, rows and bounds of each histogram; rows in ascending order of their bounds."""
    found: dict[Labels, list[tuple[float, int]]] = {}
    for row, key in enumerate(labels):
        bound = go_float(dict(key).get(BUCKET, ""))
        if bound is not None:
            found.setdefault(except_for(key, (BUCKET,)), []).append((bound, row))
    return [
        (key, tuple(row for _, row in sorted(rows)), tuple(bound for bound, _ in sorted(rows)))
        for key, rows in sorted(found.items())
    ]


def _patterns(there: BoolArray) -> list[tuple[BoolArray, BoolArray]]:
    """Replications that have the same buckets: which (shape [R]), and the buckets (shape [B]); none without any."""
    if there.all():
        return [(np.ones(there.shape[1], dtype=np.bool_), np.ones(len(there), dtype=np.bool_))]
    patterns, number = np.unique(there, axis=1, return_inverse=True)
    return [
        (number.reshape(-1) == place, patterns[:, place])
        for place in range(patterns.shape[1])
        if patterns[:, place].any()
    ]


def _joined(bounds: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Buckets of one bound, written differently, are one bucket."""
    if len(bounds) < 2 or (np.diff(bounds) > 0).all():
        return bounds, counts
    upper, first = np.unique(bounds, return_index=True)
    return upper, np.add.reduceat(counts, first, axis=0)
