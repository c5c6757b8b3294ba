"""Sums in one fixed order, so that a replication gets the same bits alone and among others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from strategies.metrics.series import BoolArray, FloatArray


def in_order(values: FloatArray, kept: BoolArray) -> FloatArray:
    """The plain sum of the kept values, one after the other along the first axis.

    This is what `sum` does over series: shape [S, R] -> [R], in the order of the labels. numpy's own sum adds in pairs
    or not as the shape wants it, which would give one replication other bits alone than among others.
    """
    total = np.zeros(values.shape[1:])
    for value, there in zip(values, kept, strict=True):
        total = total + np.where(there, value, 0.0)
    return total


@dataclass(slots=True)
class Compensated:
    """A running sum with Neumaier's correction.

    Source: prometheus promql/functions.go kahanSumInc.
    """

    total: FloatArray
    lost: FloatArray

    @classmethod
    def zero(cls, shape: tuple[int, ...]) -> Compensated:
        """Nothing yet."""
        return cls(np.zeros(shape), np.zeros(shape))

    def add(self, value: FloatArray, there: BoolArray) -> None:
        """Add where there is something to add."""
        total = self.total + value
        bigger = np.abs(self.total) >= np.abs(value)
        slip = np.where(bigger, (self.total - total) + value, (value - total) + self.total)
        lost = np.where(np.isinf(total), 0.0, self.lost + slip)
        self.total = np.where(there, total, self.total)
        self.lost = np.where(there, lost, self.lost)

    @property
    def value(self) -> FloatArray:
        """The sum so far."""
        return np.where(np.isinf(self.total), self.total, self.total + self.lost)
