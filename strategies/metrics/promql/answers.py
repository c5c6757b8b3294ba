"""The answers to a query, as a caller wants them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from strategies.metrics.promql.errors import PromqlError
from strategies.metrics.promql.evaluate import Evaluation
from strategies.metrics.promql.rules import PROMETHEUS_3, Rules
from strategies.metrics.promql.tree import Query
from strategies.metrics.promql.values import Table, anywhere
from strategies.metrics.series import BoolArray, FloatArray, IntArray, Source


@dataclass(frozen=True, slots=True)
class Vector:
    """An instant vector in every replication: S series, R replications."""

    labels: tuple[Mapping[str, str], ...]  #: S label sets, sorted
    values: FloatArray  #: [S, R]
    kept: BoolArray  #: [S, R] the series is in the answer
    order: IntArray | None = None  #: [S, R] rows in the order of the answer (`sort`, `topk`); None: sorted by labels

    def numbers(self, row: int) -> list[float]:
        """The values of one replication, in the order of its answer."""
        places = range(len(self.labels)) if self.order is None else self.order[:, row].tolist()
        return [float(self.values[place, row]) for place in places if self.kept[place, row]]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number in every replication."""

    values: FloatArray  #: [R]


def evaluate(
    query: Query,
    source: Source,
    at_ms: IntArray,
    *,
    lookback_ms: int | None = None,
    rules: Rules = PROMETHEUS_3,
) -> Vector | Scalar:
    """The value of a query in every replication.

    Args:
        query: from `parse`.
        source: the series, of R replications.
        at_ms: shape [R], the time of the query in each.
        lookback_ms: how old a sample may be that an instant selector finds; None: as the rules say.
        rules: whose arithmetic is followed.

    Raises:
        PromqlError: Prometheus would refuse the query over these series in one replication at least.
    """
    answer, failures = evaluate_each(query, source, at_ms, lookback_ms=lookback_ms, rules=rules)
    for row in sorted(failures):
        raise failures[row]
    return answer


def evaluate_each(
    query: Query,
    source: Source,
    at_ms: IntArray,
    *,
    lookback_ms: int | None = None,
    rules: Rules = PROMETHEUS_3,
) -> tuple[Vector | Scalar, dict[int, PromqlError]]:
    """As `evaluate`, with the error of each replication that has one; what the answer says of those means nothing."""
    times = np.asarray(at_ms, dtype=np.int64)
    if times.shape != (source.replications,):
        raise ValueError(f"at_ms must have shape ({source.replications},), got {times.shape}")
    if lookback_ms is not None:
        rules = replace(rules, lookback_ms=lookback_ms)
    run = Evaluation(source, rules, times, np.ones(times.shape, dtype=np.bool_))
    with np.errstate(all="ignore"):
        value = run.value(query.root, times)
    return _answer(value), run.failures


def _answer(value: FloatArray | Table) -> Vector | Scalar:
    """The public form; series that no replication has are left out."""
    if not isinstance(value, Table):
        return Scalar(value)
    there = anywhere(value.kept.T)
    labels = tuple(dict(key) for key, any_ in zip(value.labels, there, strict=True) if any_)
    order = value.order
    if order is not None and not there.all():
        rows = np.cumsum(there) - 1
        order = np.stack([rows[column[there[column]]] for column in order.T], axis=1)
    return Vector(labels, value.values[there], value.kept[there], order)
