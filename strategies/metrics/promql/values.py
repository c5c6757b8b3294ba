"""Values between the nodes of a query: tables of series with a leading series axis, and windows of samples.

Axes: S series, R replications, T samples. Every number is worked out element by element over R, so a replication gets
the same bits whether it is evaluated alone or among others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from strategies.metrics.series import NAME, BoolArray, FloatArray, IntArray, Labels

Kind = TypeVar("Kind", np.float64, np.int64, np.bool_)


@dataclass(frozen=True, slots=True)
class Table:
    """An instant vector in every replication."""

    labels: tuple[Labels, ...]  #: S label sets, sorted, no two the same
    values: FloatArray  #: [S, R]
    kept: BoolArray  #: [S, R] the series is there
    order: IntArray | None = None  #: [S, R] the rows of each replication in the order of the answer; None: as they are


@dataclass(frozen=True, slots=True)
class Samples:
    """A range vector in every replication: the samples of each window, time first."""

    labels: tuple[Labels, ...]
    times_ms: IntArray  #: [T, S or 1, R] ascending along T
    values: FloatArray  #: [T, S, R]
    inside: BoolArray  #: [T, S, R] a sample of the window
    end_ms: IntArray  #: [R]
    range_ms: int


def empty(replications: int) -> Table:
    """The vector without series."""
    return Table((), np.zeros((0, replications)), np.zeros((0, replications), dtype=np.bool_))


def without_name(labels: Labels) -> Labels:
    """A label set that has lost the metric's name."""
    return labels[1:] if labels and labels[0][0] == NAME else tuple(pair for pair in labels if pair[0] != NAME)


def only(labels: Labels, names: Iterable[str]) -> Labels:
    """The labels of these names."""
    wanted = frozenset(names)
    return tuple(pair for pair in labels if pair[0] in wanted)


def except_for(labels: Labels, names: Iterable[str]) -> Labels:
    """The labels but these, and but the metric's name."""
    gone = frozenset(names) | {NAME}
    return tuple(pair for pair in labels if pair[0] not in gone)


def replaced(labels: Labels, name: str, value: str) -> Labels:
    """A label set with one label set anew; an empty value removes it."""
    rest = [pair for pair in labels if pair[0] != name]
    return tuple(sorted([*rest, (name, value)])) if value else tuple(rest)


def collect(labels: Sequence[Labels], values: FloatArray, kept: BoolArray, clash: Callable[[BoolArray], None]) -> Table:
    """Rows with a label set each, as a table: rows of one label set become one series.

    In one replication at most one of the rows of a label set may be kept; where more are, `clash` is told (shape [R]).
    """
    unique = sorted(set(labels))
    if len(unique) == len(labels):
        if list(labels) == unique:
            return Table(tuple(labels), values, kept)
        order = sorted(range(len(labels)), key=labels.__getitem__)
        return Table(tuple(unique), values[order], kept[order])
    rows_of: dict[Labels, list[int]] = {key: [] for key in unique}
    for row, key in enumerate(labels):
        rows_of[key].append(row)
    merged = np.zeros((len(unique), values.shape[1]))
    there = np.zeros(merged.shape, dtype=np.bool_)
    twice = np.zeros(values.shape[1], dtype=np.bool_)
    for place, key in enumerate(unique):
        for row in rows_of[key]:
            twice |= there[place] & kept[row]
            merged[place] = np.where(kept[row], values[row], merged[place])
            there[place] |= kept[row]
    if twice.any():
        clash(twice)
    return Table(tuple(unique), merged, there)


def first_inside(inside: BoolArray) -> IntArray:
    """Place of the first sample of each window, shape [S, R]; 0 where there is none."""
    return np.asarray(np.argmax(inside, axis=0), dtype=np.int64)


def last_inside(inside: BoolArray) -> IntArray:
    """Place of the last sample of each window, shape [S, R]; the last place where there is none."""
    return np.asarray(len(inside) - 1 - np.argmax(inside[::-1], axis=0), dtype=np.int64)


def anywhere(mask: BoolArray) -> BoolArray:
    """Whether anything is there along the first axis: shape [N, ...] -> [...]."""
    return np.asarray(mask.any(axis=0), dtype=np.bool_)


def everywhere(mask: BoolArray) -> BoolArray:
    """Whether all is there along the first axis: shape [N, ...] -> [...]."""
    return np.asarray(mask.all(axis=0), dtype=np.bool_)


def pick(array: NDArray[Kind], place: IntArray) -> NDArray[Kind]:
    """The element of each window at a place: array [T, S or 1, R], place [S, R] -> [S, R]."""
    wide = np.broadcast_to(array, (len(array), *place.shape))
    return cast("NDArray[Kind]", np.take_along_axis(wide, place[None], axis=0)[0])
