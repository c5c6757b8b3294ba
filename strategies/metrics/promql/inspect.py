"""What a query looks at, found without evaluating it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from strategies.metrics.promql.rules import PROMETHEUS_3
from strategies.metrics.promql.tree import Node, Place, Query, Range, Select, Subquery, children, walk
from strategies.metrics.series import Matcher

_AT: Final = re.compile(r"@\s*[-+]?[\w.]+")


class Selector(NamedTuple):
    """One selector of a query."""

    matchers: tuple[Matcher, ...]
    range_ms: int  #: 0 for an instant selector
    offset_ms: int
    place: Place


def names_of(query: Query) -> list[Selector]:
    """The selectors of a query, in the order of the text.

    >>> from strategies.metrics.promql import parse
    >>> [one] = names_of(parse('rate(hits{code="500"}[5m] offset 1m)'))
    >>> one.matchers[1], one.range_ms, one.offset_ms
    (Matcher(label='code', op='=', value='500'), 300000, 60000)
    """
    ranges = {id(node.select): node.range_ms for node in walk(query.root) if isinstance(node, Range)}
    return [
        Selector(node.matchers, ranges.get(id(node), 0), node.offset_ms, node.place)
        for node in walk(query.root)
        if isinstance(node, Select)
    ]


def fixed_at(query: Query) -> Place | None:
    """Where a query names a time of the calendar by `@`; None where it does not.

    >>> from strategies.metrics.promql import parse
    >>> fixed_at(parse("up - up @ 1700000000")), fixed_at(parse("up @ end()"))
    (Place(start=8, end=20), None)
    """
    for node in walk(query.root):
        if isinstance(node, Select | Subquery) and isinstance(node.at, int):
            start, end = node.place
            sign = query.text.find("@", end) if isinstance(node, Select) else query.text.rfind("@", start, end)
            found = _AT.match(query.text, sign)
            return Place(*found.span()) if found else node.place
    return None


def longest_ms(query: Query, lookback_ms: int = PROMETHEUS_3.lookback_ms) -> int | None:
    """How far back from the time of the query a sample may matter, 0 or more; None when `@` fixes a time.

    >>> from strategies.metrics.promql import parse
    >>> longest_ms(parse("max_over_time(rate(hits[5m] offset 1m)[1h:1m]) / up"))
    3960000
    """
    longest = _longest(query.root, 0, lookback_ms)
    return None if longest is None else max(longest, 0)


def _longest(node: Node, before_ms: int, lookback_ms: int) -> int | None:
    """`before_ms`: how far before the query this node is evaluated, at most."""
    if isinstance(node, Select | Subquery) and node.at is not None:
        if isinstance(node.at, int):
            return None
        before_ms = 0
    if isinstance(node, Select):
        return before_ms + node.offset_ms + lookback_ms
    if isinstance(node, Range):
        return _longest(node.select, before_ms + node.range_ms, 0)
    if isinstance(node, Subquery):
        before_ms += node.range_ms + node.offset_ms
    longest = 0
    for child in children(node):
        found = _longest(child, before_ms, lookback_ms)
        if found is None:
            return None
        longest = max(longest, found)
    return longest
