"""Binary operators: of two numbers, of a vector and a number, and of two vectors that find each other by labels.

Source: prometheus promql/engine.go VectorBinop, VectorscalarBinop, VectorAnd, VectorOr, VectorUnless, resultMetric.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from strategies.metrics.promql.elementwise import ARITHMETIC, COMPARISONS
from strategies.metrics.promql.tree import Binary, Matching
from strategies.metrics.promql.values import Table, anywhere, collect, except_for, only, replaced, without_name
from strategies.metrics.series import NAME, BoolArray, FloatArray, Labels

Report = Callable[[BoolArray, str], None]  #: told in which replications (shape [R]) Prometheus would refuse, and why


def of_scalars(node: Binary, left: FloatArray, right: FloatArray) -> FloatArray:
    """Two numbers; a comparison gives 1 or 0."""
    if node.op in COMPARISONS:
        return COMPARISONS[node.op](left, right).astype(np.float64)
    return ARITHMETIC[node.op](left, right)


def with_scalar(
    node: Binary, table: Table, number: FloatArray, report: Report, *, number_first: bool, names_stay: bool
) -> Table:
    """A vector and a number; a comparison without `bool` keeps the series that satisfy it, with their values."""
    numbers = np.ascontiguousarray(np.broadcast_to(number, table.values.shape))
    left, right = (numbers, table.values) if number_first else (table.values, numbers)
    if node.op in COMPARISONS:
        holds = COMPARISONS[node.op](left, right)
        if not node.as_bool:
            return Table(table.labels, table.values, table.kept & holds, table.order)
        values = holds.astype(np.float64)
    else:
        values = ARITHMETIC[node.op](left, right)
    labels = table.labels if names_stay else [without_name(key) for key in table.labels]
    return collect(labels, values, table.kept, _twice(report))


def _twice(report: Report) -> Callable[[BoolArray], None]:
    return lambda rows: report(rows, "vector cannot contain metrics with the same labelset")


class _Pairs(NamedTuple):
    """Which rows of the two sides meet, what each meeting is called, and the rows that must be one of a kind."""

    left: list[int]
    right: list[int]
    labels: list[Labels]
    groups: list[list[int]]  #: meetings of one match group, when the groups have more than one
    ones: list[list[int]]  #: rows of the side of one with the same match group, when there is more than one


def of_vectors(node: Binary, left: Table, right: Table, report: Report, *, names_stay: bool) -> Table:
    """Two vectors: each series meets the one of the other side in its match group."""
    names_stay = names_stay or (node.op in COMPARISONS and not node.as_bool)
    pairs = _pairs(left.labels, right.labels, node.matching, names_stay)
    one_side = left if node.matching.many == "right" else right
    both = anywhere(left.kept) & anywhere(right.kept)
    for rows in pairs.ones:
        several = (one_side.kept[rows].sum(axis=0) > 1) & both
        if several.any():
            side = "left" if node.matching.many == "right" else "right"
            group = _shown(_signature(one_side.labels[rows[0]], node.matching))
            report(
                several,
                f"found duplicate series for the match group {group} on the {side} hand-side of the operation: "
                "many-to-many matching not allowed: matching labels must be unique on one side",
            )
    a, b = left.values[pairs.left], right.values[pairs.right]
    kept = left.kept[pairs.left] & right.kept[pairs.right]
    if node.op in COMPARISONS:
        holds = COMPARISONS[node.op](a, b)
        values = holds.astype(np.float64) if node.as_bool else a
        kept = kept if node.as_bool else kept & holds
    else:
        values = ARITHMETIC[node.op](a, b)
    for meetings in pairs.groups:
        several = kept[meetings].sum(axis=0) > 1
        if several.any():
            report(
                several,
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            )
    return collect(
        pairs.labels,
        values,
        kept,
        lambda rows: report(rows, "multiple matches for labels: grouping labels must ensure unique matches"),
    )


@lru_cache(maxsize=512)
def _pairs(left: tuple[Labels, ...], right: tuple[Labels, ...], matching: Matching, names_stay: bool) -> _Pairs:
    swapped = matching.many == "right"
    many, one = (right, left) if swapped else (left, right)
    ones: dict[Labels, list[int]] = {}
    for row, key in enumerate(one):
        ones.setdefault(_signature(key, matching), []).append(row)
    many_rows: list[int] = []
    one_rows: list[int] = []
    labels: list[Labels] = []
    groups: dict[Labels, list[int]] = {}
    for row, key in enumerate(many):
        signature = _signature(key, matching)
        for other in ones.get(signature, ()):
            if matching.many == "neither":
                groups.setdefault(signature, []).append(len(labels))
            many_rows.append(row)
            one_rows.append(other)
            labels.append(_result(key, one[other], matching, names_stay))
    return _Pairs(
        one_rows if swapped else many_rows,
        many_rows if swapped else one_rows,
        labels,
        [meetings for meetings in groups.values() if len(meetings) > 1],
        [rows for rows in ones.values() if len(rows) > 1],
    )


def _signature(labels: Labels, matching: Matching) -> Labels:
    return only(labels, matching.labels) if matching.on else except_for(labels, matching.labels)


def _result(many: Labels, one: Labels, matching: Matching, names_stay: bool) -> Labels:
    """What a meeting is called."""
    labels = many if names_stay else without_name(many)
    if matching.many == "neither":
        if matching.on:
            labels = only(labels, matching.labels)
        else:
            gone = frozenset(matching.labels)
            labels = tuple(pair for pair in labels if pair[0] not in gone)
    values = dict(one)
    for name in matching.include:
        labels = replaced(labels, name, values.get(name, ""))
    return labels


def of_sets(node: Binary, left: Table, right: Table, report: Report) -> Table:
    """`and`, `or`, `unless`: series stay as they are; what counts is whether the other side has their match group."""
    wanted = node.matching
    if node.op == "or":
        free = right.kept & ~_has(right, left, wanted)
        labels = [*left.labels, *right.labels]
        values, kept = np.concatenate([left.values, right.values]), np.concatenate([left.kept, free])
        return collect(labels, values, kept, _twice(report))
    has = _has(left, right, wanted)
    return Table(left.labels, left.values, left.kept & (has if node.op == "and" else ~has))


def _has(table: Table, other: Table, matching: Matching) -> BoolArray:
    """Where the other side has a series of the same match group: shape of the table."""
    there: dict[Labels, BoolArray] = {}
    for row, key in enumerate(other.labels):
        signature = _signature(key, matching)
        there[signature] = there[signature] | other.kept[row] if signature in there else other.kept[row]
    nowhere = np.zeros(table.kept.shape[1:], dtype=np.bool_)
    rows = [there.get(_signature(key, matching), nowhere) for key in table.labels]
    return np.array(rows, dtype=np.bool_).reshape(table.kept.shape)


def _shown(labels: Labels) -> str:
    name = dict(labels).get(NAME, "")
    return name + "{" + ", ".join(f'{key}="{value}"' for key, value in labels if key != NAME) + "}"
