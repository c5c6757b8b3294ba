"""Which PromQL is the error ratio, or the success ratio, of the canary's responses over one window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from scenarios.schema import Scenario
from scenarios.series import facts_of
from strategies.metrics.exported import Facts, selected

if TYPE_CHECKING:
    from strategies.metrics.promql.tree import Node

_CANARY: Final = 1


class Asks(NamedTuple):
    """What the number of a metric is: a ratio of the canary's responses over a window."""

    kind: Literal["error_ratio", "success_ratio"]
    window_seconds: float


class _Sum(NamedTuple):
    """A sum of rates of one family of counters."""

    family: str
    parts: frozenset[str]  #: of failed and succeeded
    function: str
    range_ms: int


def ratio_of(text: str, scenario: Scenario) -> Asks | None:
    """What a query asks, where it is the ratio of two sums of rates of the canary's responses, or 1 minus it.

    Returns:
        None for any other query: it is not judged on counts.
    """
    from strategies.metrics.promql import parse
    from strategies.metrics.promql.tree import Binary, Number

    root, swapped = parse(text).root, False
    if isinstance(root, Binary) and root.op == "-" and root.left == Number(1.0):
        root, swapped = root.right, True
    if not (isinstance(root, Binary) and root.op == "/") or root.matching.labels or root.matching.on:
        return None
    facts = facts_of(scenario)
    top, bottom = _sum(root.left, facts), _sum(root.right, facts)
    if top is None or bottom is None or top[2:] != bottom[2:] or top.family != bottom.family:
        return None
    if len(bottom.parts) != 2 or len(top.parts) != 1:
        return None
    failed = ("failed" in top.parts) is not swapped
    return Asks("error_ratio" if failed else "success_ratio", top.range_ms / 1000)


def _sum(node: Node, facts: Facts) -> _Sum | None:
    """`sum(rate(...))` or `sum(increase(...))` of responses of the canary alone."""
    from strategies.metrics.promql.tree import Aggregate, Call, Range

    plain = isinstance(node, Aggregate) and node.op == "sum" and not node.labels and not node.without
    inner = node.node if isinstance(node, Aggregate) and plain else None
    if not (isinstance(inner, Call) and inner.name in ("rate", "increase") and isinstance(inner.args[0], Range)):
        return None
    window = inner.args[0]
    select = window.select
    found = selected(facts, select.matchers)
    if not found or select.at is not None or select.offset_ms:
        return None
    names = {matcher.label for matcher in select.matchers}
    some = any(series.revision != _CANARY or names & set(series.of_pod) for series in found)
    families = {series.family.name for series in found}
    if some or len(families) > 1 or found[0].family.signal != "responses":
        return None
    return _Sum(families.pop(), frozenset(series.part for series in found), inner.name, window.range_ms)
