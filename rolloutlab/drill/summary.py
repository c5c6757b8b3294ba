"""Repeated drills together: median, worst and interval of what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rolloutlab.drill.record import Record
from sim import intervals
from sim.intervals import Interval


def groups(drills: Sequence[Record]) -> list[list[Record]]:
    """The drills of each scenario, variant and strategy, in order."""
    found: dict[tuple[str, str], list[Record]] = {}
    for one in drills:
        found.setdefault((one.name, one.where.world), []).append(one)
    return list(found.values())


def values(drills: Sequence[Record], column: str) -> NDArray[np.float64]:
    """The values of a column that apply, shape [n]."""
    found: NDArray[np.float64] = np.array([one.number(column) for one in drills], dtype=np.float64)
    return np.asarray(found[~np.isnan(found)])


def median(drills: Sequence[Record], column: str) -> Interval:
    """The median with the 95 % interval of its order statistics; infinite bounds where there are too few drills."""
    return intervals.quantile(values(drills, column), 0.5)


def worst(drills: Sequence[Record], column: str) -> float:
    """The largest value; NaN without values."""
    found = values(drills, column)
    return float(found.max()) if len(found) else math.nan
