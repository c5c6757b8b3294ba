"""The window of a PromQL query, found without evaluating it, and what is wrong with one."""

from __future__ import annotations

import re

from scenarios.pointer import Fault
from scenarios.units import duration

_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`")
_COMMENT = re.compile(r"#[^\n]*")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")


def ranges(query: str) -> dict[str, float | None]:
    """The distinct range selectors of a query, as written, with their seconds; None for a subquery or a variable.

    >>> ranges('sum(rate(hits{path=~"/[a-z]+"}[5m])) / sum(rate(hits[5m]))')
    {'5m': 300.0}
    >>> ranges("max_over_time(rate(hits[1m])[30m:1m])")
    {'1m': 60.0, '30m:1m': None}
    """
    text = _COMMENT.sub("", _QUOTED.sub('""', query))
    return {inside.strip(): _seconds(inside.strip()) for inside in _BRACKETS.findall(text)}


def _seconds(text: str) -> float | None:
    if not _RANGE.fullmatch(text):
        return None
    total = 0.0
    for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", text):
        total += 365 * 86400.0 * int(number) if unit == "y" else duration(f"{number}{unit}")
    return total or None


def one_window(query: str) -> float | None:
    """Seconds of the range of a query when all its ranges are the same; else None."""
    found = set(ranges(query).values())
    return found.pop() if len(found) == 1 else None


def fault_of(query: str) -> Fault | None:
    """What is wrong with a query, and where; None when it can be answered."""
    from strategies.metrics.promql import PromqlError, parse

    try:
        parse(query)
    except PromqlError as error:
        return Fault(error.problem, error.start, error.end)
    return None
