"""Common queries compiled to arithmetic on the cumulative counters of a router.

A shape is `sum(rate(...))` or `sum(increase(...))` of a router's series, a quantile of its buckets, and sums,
differences, products and ratios of these and of numbers. It reads two samples of each counter instead of all of a
window; on an even grid of scrapes that is all that Prometheus' arithmetic needs, since these counters never fall. Every
number is that of the general evaluator to the last bit: the arithmetic is the same and so is its order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from strategies.effects import Query
from strategies.metrics.exported import REVISIONS, Exported, Facts, selected
from strategies.metrics.series import pairs

if TYPE_CHECKING:
    from strategies.metrics.promql.tree import Aggregate, Call, Node
    from strategies.metrics.promql.tree import Query as Parsed

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
OPERATORS: Final[dict[str, Callable[[FloatArray, FloatArray], FloatArray]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}


class Counter(NamedTuple):
    """One counter of a router's series over one window."""

    revision: int
    columns: slice  #: of the store's counts
    born: int  #: 0: from the first scrape of its revision on; 1: after the first failed, 2: the first succeeded one
    range_ms: int
    offset_ms: int
    is_rate: bool


@dataclass(frozen=True)
class Total:
    """The sum of some counters, by their places in `Shape.counters`, in the order of their labels."""

    counters: tuple[int, ...]


@dataclass(frozen=True)
class Quantile:
    """A quantile of buckets, each a sum of counters."""

    q: float
    bounds: tuple[float, ...]  #: as in the label `le`, ascending
    buckets: tuple[Total, ...]


@dataclass(frozen=True)
class Both:
    """Two sides and an operator."""

    op: str
    left: Part
    right: Part


Part: TypeAlias = Total | Quantile | Both | float


@dataclass
class Shape:
    """A compiled query."""

    root: Part
    counters: list[Counter] = field(default_factory=list)


class _NotCommon(Exception):
    """The query is not one of the shapes."""


class _Compiler:
    def __init__(self, facts: Facts, classes: Callable[[float], int]) -> None:
        self._facts, self._classes = facts, classes
        self.counters: dict[tuple[object, ...], int] = {}
        self.list: list[Counter] = []

    def part(self, node: Node) -> Part:
        from strategies.metrics.promql.tree import Aggregate, Binary, Call, Number

        if isinstance(node, Number):
            return node.value
        if isinstance(node, Aggregate):
            return self._total(node)
        if isinstance(node, Call) and node.name == "histogram_quantile":
            return self._quantile(node)
        if isinstance(node, Binary) and node.op in OPERATORS and not (node.matching.labels or node.matching.on):
            left, right = self.part(node.left), self.part(node.right)
            if isinstance(left, float) and isinstance(right, float):
                raise _NotCommon
            if any(isinstance(side, Quantile) for side in (left, right)):
                raise _NotCommon  # what is left of the labels of a quantile decides whether it finds its other side
            return Both(node.op, left, right)
        raise _NotCommon

    def _total(self, node: Aggregate) -> Total:
        if node.op != "sum" or node.labels or node.without or node.param is not None:
            raise _NotCommon
        found = self._window(node.node)
        return Total(tuple(place for _, place in found))

    def _quantile(self, node: Call) -> Quantile:
        from strategies.metrics.promql.tree import Aggregate, Number

        share, inner = node.args
        if not isinstance(share, Number):
            raise _NotCommon
        if isinstance(inner, Aggregate):
            if inner.op != "sum" or inner.labels != ("le",) or inner.without or inner.param is not None:
                raise _NotCommon
            found = self._window(inner.node)
        else:
            found = self._window(inner)
            if len({series.revision for series, _ in found}) > 1:
                raise _NotCommon  # a quantile for each revision
        buckets: dict[float, list[int]] = {}
        for series, place in found:
            if "le" not in series.labels:
                raise _NotCommon
            buckets.setdefault(float(series.labels["le"].replace("+Inf", "inf")), []).append(place)
        bounds = tuple(sorted(buckets))
        return Quantile(share.value, bounds, tuple(Total(tuple(buckets[bound])) for bound in bounds))

    def _window(self, node: Node) -> list[tuple[Exported, int]]:
        """The counters of `rate(...)` or `increase(...)`, in the order of their labels."""
        from strategies.metrics.promql.tree import Call, Range

        if not (isinstance(node, Call) and node.name in ("rate", "increase") and isinstance(node.args[0], Range)):
            raise _NotCommon
        window = node.args[0]
        select = window.select
        found = sorted(selected(self._facts, select.matchers), key=lambda series: pairs(series.labels))
        plain = all(not series.family.per_pod and series.family.type != "gauge" for series in found)
        if select.at is not None or select.offset_ms < 0 or not found or not plain:
            raise _NotCommon
        return [
            (series, self._place(series, window.range_ms, select.offset_ms, node.name == "rate")) for series in found
        ]

    def _place(self, series: Exported, range_ms: int, offset_ms: int, is_rate: bool) -> int:
        born = 0 if series.born == "start" else 1 if series.part == "failed" else 2
        columns = _columns(series, self._classes)
        return self.add(Counter(series.revision, columns, born, range_ms, offset_ms, is_rate))

    def add(self, counter: Counter) -> int:
        key = (counter.revision, counter.columns.start, counter.columns.stop, *counter[2:])
        if key not in self.counters:
            self.counters[key] = len(self.list)
            self.list.append(counter)
        return self.counters[key]


def _columns(series: Exported, classes: Callable[[float], int]) -> slice:
    from sim.sight import column

    return column(series, classes)


def shape_of(query: Parsed, facts: Facts, classes: Callable[[float], int]) -> Shape | None:
    """The shape of a query; None when it is none, so that the general evaluator must answer it.

    Args:
        query: as parsed.
        facts: of the catalogue.
        classes: how many latency classes of the store lie below a bound in seconds.
    """
    compiler = _Compiler(facts, classes)
    try:
        root = compiler.part(query.root)
    except _NotCommon:
        return None
    return None if isinstance(root, float) else Shape(root, compiler.list)


def typed_shape(query: Query, facts: Facts, classes: Callable[[float], int]) -> Shape:
    """A typed question as arithmetic on a router's counters.

    Sums run over the canary before the stable revision and over successes before failures, as those of Istio's series.
    """
    compiler = _Compiler(facts, classes)
    range_ms = round(query.window_seconds * 1000)
    late = facts.codes_born == "first_event"
    wanted = [revision for revision in (1, 0) if query.revision in ("all", REVISIONS[revision])]

    def total(*parts: tuple[slice, int]) -> Total:
        return Total(
            tuple(
                compiler.add(Counter(revision, columns, born if late else 0, range_ms, 0, True))
                for revision in wanted
                for columns, born in parts
            )
        )

    failed, succeeded = (slice(0, 1), 1), (slice(1, None), 2)
    every = total(succeeded, failed)
    root: Part
    if query.quantity == "request_rate":
        root = every
    elif query.quantity == "error_ratio":
        root = Both("/", total(failed), every)
    elif query.quantity == "success_ratio":
        root = Both("/", total(succeeded), every)
    else:
        bounds = (*facts.buckets_seconds, np.inf)
        root = Quantile(query.quantile, bounds, tuple(total((slice(1, 1 + classes(bound)), 2)) for bound in bounds))
    return Shape(root, compiler.list)


def evidence(shape: Shape) -> Sequence[tuple[int, bool]]:
    """Places of the counters of all responses in a typed shape, and which count failed ones."""
    return [
        (place, counter.columns == slice(0, 1))
        for place, counter in enumerate(shape.counters)
        if counter.columns in (slice(0, 1), slice(1, None))
    ]


def value_of(part: Part, rates: FloatArray, there: BoolArray) -> tuple[FloatArray, BoolArray]:
    """The value of a shape.

    Args:
        part: its root.
        rates: shape [S, A], of its counters.
        there: shape [S, A], where each has one.

    Returns:
        value and whether there is one, shape [A].
    """
    from strategies.metrics.promql.quantile import bucket_quantile
    from strategies.metrics.promql.sums import in_order

    if isinstance(part, Total):
        places = list(part.counters)
        kept = there[places]
        return in_order(rates[places], kept), np.logical_or.reduce(kept)
    if isinstance(part, Quantile):
        sums = [value_of(bucket, rates, there) for bucket in part.buckets]
        kept = sums[-1][1]
        return bucket_quantile(part.q, np.asarray(part.bounds), np.array([value for value, _ in sums])), kept
    assert isinstance(part, Both)
    (left, left_kept), (right, right_kept) = (
        (np.full(rates.shape[1], side), np.ones(rates.shape[1], dtype=bool))
        if isinstance(side, float)
        else value_of(side, rates, there)
        for side in (part.left, part.right)
    )
    return OPERATORS[part.op](left, right), left_kept & right_kept
