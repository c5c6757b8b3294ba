"""Does a result say what its scenario file expects? Yes, no, or: too few replications to say."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from scenarios.schema import Expectation
from sim.intervals import Interval
from sim.results import Cell

CONFIDENCE: Final = 0.999
_QUANTILES: Final = {"p50": 0.5, "p90": 0.9}


class Holds(enum.StrEnum):
    """What a run says about an expectation."""

    YES = "holds"
    NO = "fails"
    UNSURE = "inconclusive"


@dataclass(frozen=True)
class Checked:
    """An expectation and what a run says about it.

    Attributes:
        value, lo, hi: the statistic and its 99.9 % interval; NaN and infinite without values.
        n: replications that have a value.
        reason: one sentence with the numbers.
    """

    scenario: str
    expectation: Expectation
    holds: Holds
    value: float
    lo: float
    hi: float
    n: int
    reason: str


def check(cells: Sequence[Cell], expectations: Iterable[Expectation]) -> list[Checked]:
    """Hold cells against expectations; one that names no cell of these is left out.

    An expectation holds when its 99.9 % interval lies inside the bounds (both ends belong to them), fails when it lies
    outside, and is inconclusive when it straddles a bound, or when there is no value at all.
    """
    found = []
    for expectation in expectations:
        for cell in cells:
            if (cell.strategy, cell.variant) == (expectation.strategy, expectation.variant):
                found.append(_check(cell, expectation))
    return found


def _check(cell: Cell, expectation: Expectation) -> Checked:
    value, n = _statistic(cell, expectation)
    low, high = expectation.between
    if n and low <= value.lo and value.hi <= high:
        holds = Holds.YES
    elif n and (value.hi < low or value.lo > high):
        holds = Holds.NO
    else:
        holds = Holds.UNSURE
    return Checked(
        cell.scenario, expectation, holds, value.value, value.lo, value.hi, n, _reason(expectation, value, n)
    )


def _statistic(cell: Cell, expectation: Expectation) -> tuple[Interval, int]:
    """The statistic of a cell with its interval, and how many values it rests on."""
    column = expectation.column
    n = len(cell.values(column))
    if expectation.statistic in _QUANTILES:
        return cell.quantile(column, _QUANTILES[expectation.statistic], CONFIDENCE), n
    return cell.mean(column, CONFIDENCE), n


def _reason(expectation: Expectation, value: Interval, n: int) -> str:
    what = f"{expectation.statistic} of {expectation.column}"
    low, high = expectation.between
    wanted = f"expected {low:g} to {high:g}"
    if not n:
        return f"{what}: no replication has a value, {wanted}"
    bounds = " to ".join(f"{bound:.6g}" if math.isfinite(bound) else "unknown" for bound in (value.lo, value.hi))
    return f"{what} is {value.value:.6g}, with 99.9 % confidence {bounds} ({n} values); {wanted}"
