"""Aggregations: the series of each group put together, in the order of their labels.

Source: prometheus promql/engine.go aggregation, aggregationK, aggregationCountValues. Prometheus 3 corrects sums of
series for rounding, Prometheus 2 does not; here they are plain sums, which differ from both in the last bits at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from strategies.metrics.promql.errors import PromqlError
from strategies.metrics.promql.quantile import value_quantile
from strategies.metrics.promql.sums import in_order
from strategies.metrics.promql.tree import Aggregate
from strategies.metrics.promql.values import Table, anywhere, everywhere, except_for, only, replaced
from strategies.metrics.series import MAX_SERIES, BoolArray, FloatArray, Labels


def _sum(values: FloatArray, kept: BoolArray) -> FloatArray:
    return in_order(values, kept)


def _average(values: FloatArray, kept: BoolArray) -> FloatArray:
    count = kept.sum(axis=0)
    mean = in_order(values, kept) / count
    overflow = ~np.isfinite(mean) & everywhere(~kept | np.isfinite(values))
    return np.where(overflow, in_order(values / count, kept), mean)


def _least(values: FloatArray, kept: BoolArray) -> FloatArray:
    numbers = kept & ~np.isnan(values)
    return np.where(anywhere(numbers), np.where(numbers, values, np.inf).min(axis=0), np.nan)


def _most(values: FloatArray, kept: BoolArray) -> FloatArray:
    numbers = kept & ~np.isnan(values)
    return np.where(anywhere(numbers), np.where(numbers, values, -np.inf).max(axis=0), np.nan)


def _count(values: FloatArray, kept: BoolArray) -> FloatArray:
    return np.asarray(kept.sum(axis=0), dtype=np.float64)


def _one(values: FloatArray, kept: BoolArray) -> FloatArray:
    return np.ones(values.shape[1:])


def _variance(values: FloatArray, kept: BoolArray) -> FloatArray:
    """Welford's running mean and sum of squares."""
    count, mean, squares = (np.zeros(values.shape[1:]) for _ in range(3))
    for value, there in zip(values, kept, strict=True):
        count = count + there
        delta = value - mean
        mean = np.where(there, mean + delta / count, mean)
        squares = np.where(there, squares + delta * (value - mean), squares)
    return squares / count


def _deviation(values: FloatArray, kept: BoolArray) -> FloatArray:
    return np.sqrt(_variance(values, kept))


REDUCERS: Final[dict[str, Callable[[FloatArray, BoolArray], FloatArray]]] = {
    "avg": _average,
    "count": _count,
    "group": _one,
    "max": _most,
    "min": _least,
    "stddev": _deviation,
    "stdvar": _variance,
    "sum": _sum,
}
WITH_NUMBER: Final = ("bottomk", "quantile", "topk")
OPERATORS: Final = (*REDUCERS, *WITH_NUMBER, "count_values")


def groups(node: Aggregate, labels: tuple[Labels, ...]) -> dict[Labels, list[int]]:
    """The groups of an aggregation, sorted by labels, and the rows of each."""
    found: dict[Labels, list[int]] = {}
    for row, key in enumerate(labels):
        group = except_for(key, node.labels) if node.without else only(key, node.labels)
        found.setdefault(group, []).append(row)
    return dict(sorted(found.items()))


def aggregate(node: Aggregate, table: Table, number: FloatArray | None, *, one_is_steady: bool) -> Table:
    """One value for each group; `number` is the parameter of `quantile`, shape [R]; see `Rules.one_is_steady`."""
    found = groups(node, table.labels)
    values = np.zeros((len(found), table.values.shape[1]))
    kept = np.zeros(values.shape, dtype=np.bool_)
    for place, rows in enumerate(found.values()):
        inside, there = table.values[rows], table.kept[rows]
        kept[place] = anywhere(there)
        values[place] = REDUCERS[node.op](inside, there) if number is None else value_quantile(number, inside, there)
        if one_is_steady and node.op in ("stddev", "stdvar"):
            values[place] = np.where(there.sum(axis=0) == 1, 0.0, values[place])
    return Table(tuple(found), values, kept)


def ranked(node: Aggregate, table: Table, count: FloatArray) -> Table:
    """`topk` and `bottomk`: the best of each group, best first; NaN is the worst. `count` has shape [R]."""
    kept = np.zeros(table.kept.shape, dtype=np.bool_)
    position = np.zeros(table.kept.shape, dtype=np.int64)
    for number, rows in enumerate(groups(node, table.labels).values()):
        rank = _ranks(table.values[rows], table.kept[rows], largest=node.op == "topk")
        kept[rows] = table.kept[rows] & (rank < np.trunc(count))
        position[rows] = number * len(table.labels) + rank
    return Table(table.labels, table.values, kept, np.argsort(position, axis=0, kind="stable"))


def ordered(table: Table, *, largest: bool) -> Table:
    """`sort` and `sort_desc`; NaN comes last."""
    rank = _ranks(table.values, table.kept, largest=largest)
    return Table(table.labels, table.values, table.kept, np.argsort(rank, axis=0, kind="stable"))


def _ranks(values: FloatArray, kept: BoolArray, *, largest: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Place of each row among the kept ones: numbers, then NaN, then what is not kept; equal ones as they stand."""
    part = np.where(kept, np.where(np.isnan(values), 1, 0), 2)
    key = np.where(part == 0, -values if largest else values, 0.0)
    order = np.lexsort((key, part), axis=0)
    rank = np.empty(order.shape, dtype=np.int64)
    np.put_along_axis(rank, order, np.arange(len(values))[:, None], axis=0)
    return rank


def by_value(node: Aggregate, table: Table, label: str) -> Table:
    """`count_values`: how many series of a group have each value, which becomes a label."""
    found: dict[Labels, FloatArray] = {}
    names = node.labels if node.without else (*node.labels, label)
    for row, key in enumerate(table.labels):
        kept = table.kept[row]
        values, column = np.unique(table.values[row], return_inverse=True)
        for place, value in enumerate(values):
            there = kept & (column == place)
            if there.any():
                full = replaced(key, label, go_number(float(value)))
                if len(found) >= MAX_SERIES:
                    raise PromqlError(f"count_values makes more than {MAX_SERIES} series", *node.place)
                group = except_for(full, names) if node.without else only(full, names)
                found[group] = found.get(group, np.zeros(kept.shape)) + there
    labels = tuple(sorted(found))
    counts = np.array([found[key] for key in labels]).reshape(len(labels), table.values.shape[1])
    return Table(labels, counts, counts > 0)


def go_number(value: float) -> str:
    """A number as Go prints it without an exponent.

    >>> go_number(0.1), go_number(1e21), go_number(float("inf"))
    ('0.1', '1000000000000000000000', '+Inf')
    """
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return np.format_float_positional(value, trim="-")
