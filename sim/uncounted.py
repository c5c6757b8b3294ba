"""Counts where the router does not count what it cannot deliver: one column more than elsewhere.

Column 0 holds all failed requests, as users see them. The last one, which is there only where `Model.uncounted` says
so, holds those of them that no series of their revision shows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.model import Model

IntArray = NDArray[np.int64]


def of_users(model: Model, counts: IntArray) -> IntArray:
    """Counts as users see them; shape [..., 1 + C]."""
    return counts[..., :-1] if model.uncounted else counts


def of_router(model: Model, counts: IntArray) -> IntArray:
    """Counts as the router's series of the revisions show them; shape [..., 1 + C]."""
    if not model.uncounted:
        return counts
    shown = counts[..., :-1].copy()
    shown[..., 0] -= counts[..., -1]
    return shown
