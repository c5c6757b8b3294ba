"""Which PromQL is the error ratio, or the success ratio, of the canary's responses over one window."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from scenarios.schema import Scenario
from scenarios.series import facts_of
from sim.shapes import Both, Counter, Part, Shape, Total, shape_of

_CANARY: Final = 1
_FAILED, _SUCCEEDED = slice(0, 1), slice(1, None)


class Asks(NamedTuple):
    """What the number of a metric is: a ratio of the canary's responses over a window."""

    kind: Literal["error_ratio", "success_ratio"]
    window_seconds: float


def ratio_of(text: str, scenario: Scenario) -> Asks | None:
    """What a query asks, where it is the ratio of two sums of rates of a router's counters, or 1 minus it.

    Returns:
        None for any other query: it is not judged on counts.
    """
    from strategies.metrics.promql import parse

    shape = shape_of(parse(text), facts_of(scenario), lambda bound: 0)
    if shape is None:
        return None
    root, swapped = shape.root, False
    if isinstance(root, Both) and root.op == "-" and root.left == 1.0:
        root, swapped = root.right, True
    failed = _failed(shape, root)
    window = {counter.range_ms for counter in shape.counters}
    plain = len(window) == 1 and all(not counter.offset_ms for counter in shape.counters)
    if failed is None or not plain:
        return None
    return Asks("error_ratio" if failed is not swapped else "success_ratio", window.pop() / 1000)


def _failed(shape: Shape, root: Part) -> bool | None:
    """Whether failed responses stand over all of them, or those that succeeded; None: something else does."""
    if not (isinstance(root, Both) and root.op == "/"):
        return None
    above, below = root.left, root.right
    if not (isinstance(above, Total) and isinstance(below, Total)):
        return None
    top, bottom = ([shape.counters[place] for place in part.counters] for part in (above, below))
    if (
        any(counter.revision != _CANARY for counter in (*top, *bottom))
        or len({one.is_rate for one in top + bottom}) > 1
    ):
        return None
    if not (_has(bottom, _FAILED) and _has(bottom, _SUCCEEDED)) or _has(top, _FAILED) == _has(top, _SUCCEEDED):
        return None
    return _has(top, _FAILED)


def _has(counters: list[Counter], columns: slice) -> bool:
    return any(counter.columns == columns for counter in counters)
