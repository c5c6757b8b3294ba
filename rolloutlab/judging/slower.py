"""A judge that looks less often than the counts of a bench come."""

from __future__ import annotations

from dataclasses import dataclass

from strategies.judges.base import FloatArray, IntArray, Judge, Session, due_looks, hold


@dataclass(frozen=True, slots=True)
class Slower:
    """Another judge, shown one look in each interval; between them it says what it said last."""

    judge: Judge
    every_seconds: float

    @property
    def name(self) -> str:
        """That of the judge."""
        return self.judge.name

    @property
    def threshold(self) -> float:
        """That of the judge."""
        return self.judge.threshold

    def begin(self) -> Session:
        """The judge itself: who shows it looks decides how often."""
        return self.judge.begin()

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The statistic of its last look at every look; see `Judge.paths`."""
        looks = due_looks(at_seconds, self.every_seconds)
        return hold(self.judge.paths(at_seconds[looks], counts[:, looks]), looks, at_seconds.size)
