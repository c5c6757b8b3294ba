"""The walk over a parsed query that works out its value, in every replication at its own time.

Source: prometheus promql/engine.go eval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast

import numpy as np

from strategies.metrics.promql import aggregate, binary
from strategies.metrics.promql.elementwise import SETS
from strategies.metrics.promql.errors import PromqlError
from strategies.metrics.promql.functions import FUNCTIONS
from strategies.metrics.promql.rules import Rules
from strategies.metrics.promql.tree import (
    Aggregate,
    At,
    Binary,
    Call,
    Negate,
    Node,
    Number,
    Place,
    Range,
    Select,
    Subquery,
    Text,
)
from strategies.metrics.promql.values import Samples, Table, collect, without_name
from strategies.metrics.promql.windows import instant, window
from strategies.metrics.series import (
    MAX_SERIES,
    BoolArray,
    FloatArray,
    IntArray,
    Labels,
    Matcher,
    Selected,
    Source,
)

Value: TypeAlias = FloatArray | Table
MAX_SAMPLES: Final = 50_000_000  #: of a subquery in all replications; Prometheus' own bound for one query


@dataclass(slots=True)
class Evaluation:
    """One query, evaluated once: what it has selected, and in which replications it has failed."""

    source: Source
    rules: Rules
    query_ms: IntArray  #: [R] the time of the query; inside a subquery others are evaluated
    active: BoolArray  #: [R] replications whose errors count at this moment
    failures: dict[int, PromqlError] = field(default_factory=dict)  #: the first of each replication
    found: dict[tuple[Matcher, ...], Selected] = field(default_factory=dict)

    def fail(self, rows: BoolArray, problem: str, place: Place) -> None:
        """Note that Prometheus would refuse the query in some replications (shape [R])."""
        for row in np.flatnonzero(rows & self.active):
            self.failures.setdefault(int(row), PromqlError(problem, *place))

    def reporter(self, place: Place) -> binary.Report:
        """`fail` for one node."""
        return lambda rows, problem: self.fail(rows, problem, place)

    def clash(self, place: Place) -> Callable[[BoolArray], None]:
        """What to do where two series of a result have one label set."""
        return lambda rows: self.fail(rows, "vector cannot contain metrics with the same labelset", place)

    # --- nodes -----------------------------------------------------------------------------------------------

    def value(self, node: Node, at_ms: IntArray) -> Value:
        """The value of a node at a time of each replication (shape [R])."""
        if isinstance(node, Number):
            return np.full(at_ms.shape, node.value)
        if isinstance(node, Select):
            return self.instant(node, at_ms, self.rules.lookback_ms)[0]
        if isinstance(node, Call):
            return FUNCTIONS[node.name](self, node, at_ms)
        if isinstance(node, Aggregate):
            return self._aggregate(node, at_ms)
        if isinstance(node, Binary):
            return self._binary(node, at_ms)
        assert isinstance(node, Negate), "a range vector or a string is no value"
        return self._negate(node, at_ms)

    def table(self, node: Node, at_ms: IntArray) -> Table:
        """The value of a node that is a vector."""
        return cast("Table", self.value(node, at_ms))

    def number(self, node: Node, at_ms: IntArray) -> FloatArray:
        """The value of a node that is a number: shape [R]."""
        return cast("FloatArray", self.value(node, at_ms))

    def instant(self, node: Select, at_ms: IntArray, lookback_ms: int) -> tuple[Table, IntArray]:
        """What a selector finds, and the times of its samples, shape [S, R]."""
        when = self.moment(node.at, node.offset_ms, at_ms)
        return instant(self._select(node), when, lookback_ms, left_open=self.rules.left_open)

    def samples(self, node: Node, at_ms: IntArray) -> Samples:
        """The windows of a node that is a range vector."""
        if isinstance(node, Range):
            when = self.moment(node.select.at, node.select.offset_ms, at_ms)
            return window(self._select(node.select), when, node.range_ms, left_open=self.rules.left_open)
        assert isinstance(node, Subquery)
        return self._steps(node, self.moment(node.at, node.offset_ms, at_ms))

    def moment(self, at: At, offset_ms: int, at_ms: IntArray) -> IntArray:
        """The time that a selector looks at; `@ start()` and `@ end()` are the time of the query."""
        if at is None:
            return at_ms - offset_ms
        if isinstance(at, str):
            return self.query_ms - offset_ms
        return np.full(at_ms.shape, at - offset_ms, dtype=np.int64)

    def _select(self, node: Select) -> Selected:
        if node.matchers not in self.found:
            found = self.source.select(node.matchers)
            if len(found.labels) > MAX_SERIES:
                raise PromqlError(f"the selector finds more than {MAX_SERIES} series", *node.place)
            self.found[node.matchers] = found
        return self.found[node.matchers]

    def _steps(self, node: Subquery, end_ms: IntArray) -> Samples:
        """The expression of a subquery at every multiple of its step inside the window, as samples."""
        start = end_ms - node.range_ms
        first = -(-start // node.step_ms)
        if self.rules.left_open:
            first = start // node.step_ms + 1
        last = end_ms // node.step_ms
        steps = int((last - first).max()) + 1 if len(end_ms) else 0
        outer = self.active
        tables, times, there = [], [], []
        for step in range(max(steps, 1)):
            inside = first + step <= last
            when = (first + step) * node.step_ms
            self.active = outer & inside
            tables.append(as_table(self.value(node.node, when)))
            times.append(when)
            there.append(inside)
        self.active = outer
        labels = tuple(sorted({key for table in tables for key in table.labels}))
        if len(tables) * len(labels) * len(end_ms) > MAX_SAMPLES:
            raise PromqlError(f"a subquery makes more than {MAX_SAMPLES} samples", *node.place)
        values = np.zeros((len(tables), len(labels), len(end_ms)))
        kept = np.zeros(values.shape, dtype=np.bool_)
        row_of = {key: row for row, key in enumerate(labels)}
        for step, table in enumerate(tables):
            rows = [row_of[key] for key in table.labels]
            values[step, rows], kept[step, rows] = table.values, table.kept & there[step]
        return Samples(labels, np.array(times)[:, None, :], values, kept, end_ms, node.range_ms)

    def _aggregate(self, node: Aggregate, at_ms: IntArray) -> Table:
        if isinstance(node.param, Text):
            return aggregate.by_value(node, self.table(node.node, at_ms), node.param.value)
        number = None if node.param is None else self.number(node.param, at_ms)
        if number is None or node.op == "quantile":
            steady = self.rules.one_is_steady
            return aggregate.aggregate(node, self.table(node.node, at_ms), number, one_is_steady=steady)
        wrong = ~(np.abs(number) < 2.0**63)
        if wrong.any():
            self.fail(wrong, f"the parameter of {node.op} is no whole number that a machine can hold", node.place)
        return aggregate.ranked(node, self.table(node.node, at_ms), np.where(wrong, 0.0, number))

    def _binary(self, node: Binary, at_ms: IntArray) -> Value:
        left, right = self.value(node.left, at_ms), self.value(node.right, at_ms)
        report = self.reporter(node.place)
        stay = node.op == "atan2" and self.rules.atan2_keeps_name
        if isinstance(left, Table) and isinstance(right, Table):
            if node.op in SETS:
                return binary.of_sets(node, left, right, report)
            return binary.of_vectors(node, left, right, report, names_stay=stay)
        if isinstance(left, Table):
            number = cast("FloatArray", right)
            return binary.with_scalar(node, left, number, report, number_first=False, names_stay=stay)
        if isinstance(right, Table):
            return binary.with_scalar(node, right, left, report, number_first=True, names_stay=stay)
        return binary.of_scalars(node, left, right)

    def _negate(self, node: Negate, at_ms: IntArray) -> Value:
        value = self.value(node.node, at_ms)
        return self.renamed(value, -value.values, node.place) if isinstance(value, Table) else -value

    def renamed(self, table: Table, values: FloatArray, place: Place) -> Table:
        """New values under the old labels, without the metric's name."""
        return self.relabelled([without_name(key) for key in table.labels], values, table.kept, place)

    def relabelled(self, labels: Sequence[Labels], values: FloatArray, kept: BoolArray, place: Place) -> Table:
        """Rows with new labels; two that are the same in one replication are an error."""
        return collect(labels, values, kept, self.clash(place))


def as_table(value: Value) -> Table:
    """A number is the one series without labels."""
    if isinstance(value, Table):
        return value
    return Table(((),), value[None], np.ones((1, len(value)), dtype=np.bool_))
