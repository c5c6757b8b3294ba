"""Counts of many rollouts drawn at once, and when judges raise the alarm on them.

The dice come from outside (`rng`, a `numpy.random.Generator`): strategies draw nothing themselves. A day of one-second
looks of many rollouts does not fit into memory; `alarms` works through blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from strategies.judges.base import FloatArray, IntArray, Judge

BLOCK_BYTES: Final = 64 * 2**20  #: of the counts of one block; judges need a few times that


class Dice(Protocol):
    """What is used of a `numpy.random.Generator`."""

    def poisson(self, lam: float | FloatArray, size: tuple[int, ...]) -> NDArray[np.int64]:
        """Poisson numbers."""


def look_seconds(seconds: float, bin_seconds: float = 1.0) -> FloatArray:
    """Times of the looks, shape [T]: at the end of each bin.

    >>> look_seconds(3).tolist()
    [1.0, 2.0, 3.0]
    """
    return np.arange(1, round(seconds / bin_seconds) + 1, dtype=np.float64) * bin_seconds


def draw_counts(
    rng: Dice,
    runs: int,
    seconds: float,
    rate_per_second: float,
    share: float,
    p0: float,
    p1: float,
    *,
    fault_at: float = 0.0,
    bin_seconds: float = 1.0,
) -> IntArray:
    """Cumulative counts of both revisions at the end of each bin.

    Requests arrive as a Poisson process and fail independently of each other, so failed and good requests of each
    revision are four independent Poisson processes.

    Args:
        rng: a `numpy.random.Generator`.
        runs: R, rollouts.
        seconds: how long each is watched; T is `seconds / bin_seconds`.
        rate_per_second: requests of both revisions together.
        share: the canary's share of them, 0..1.
        p0: error ratio of the stable revision, and of the canary before the fault.
        p1: error ratio of the canary from the fault on; p1 = p0 is an A/A run.
        fault_at: seconds after the first request; inside a bin the mean of the bin is drawn.
        bin_seconds: distance of the looks.

    Returns:
        shape [R, T, 4] in the order of `Look`.

    Raises:
        ValueError: a number below zero, a ratio outside 0..1, no bin.
    """
    _check(runs, seconds, rate_per_second, share, p0, p1, fault_at, bin_seconds)
    ends = look_seconds(seconds, bin_seconds)
    bad = np.clip((ends - fault_at) / bin_seconds, 0.0, 1.0)  # how much of each bin lies after the fault
    ratio = p0 + (p1 - p0) * bad
    exposure = rate_per_second * bin_seconds
    # columns lie one after the other in memory: judges read one of them at a time
    counts = np.empty((4, runs, ends.size), dtype=np.int64)
    size = (runs, ends.size)
    counts[1] = rng.poisson(exposure * share * ratio, size)
    counts[0] = rng.poisson(exposure * share * (1 - ratio), size)
    counts[3] = rng.poisson(exposure * (1 - share) * p0, size)
    counts[2] = rng.poisson(exposure * (1 - share) * (1 - p0), size)
    counts[0] += counts[1]
    counts[2] += counts[3]
    np.cumsum(counts, axis=2, out=counts)
    return np.moveaxis(counts, 0, 2)


def first_alarm(paths: FloatArray, threshold: float) -> IntArray:
    """The first look of each run whose statistic reaches the threshold; -1 where none does. Shape [R]."""
    reached = paths >= threshold
    first = reached.argmax(axis=1)
    return np.where(reached.any(axis=1), first, -1)


def alarm_seconds(judge: Judge, at_seconds: FloatArray, counts: IntArray, threshold: float | None = None) -> FloatArray:
    """When a judge fails each run, shape [R]; NaN where it does not."""
    first = first_alarm(judge.paths(at_seconds, counts), judge.threshold if threshold is None else threshold)
    return np.where(first >= 0, at_seconds[first], np.nan)


def blocks(runs: int, looks: int) -> Iterator[int]:
    """Sizes of the blocks in which so many runs of so many looks fit into `BLOCK_BYTES` each."""
    most = max(1, BLOCK_BYTES // (32 * max(looks, 1)))
    for first in range(0, runs, most):
        yield min(most, runs - first)


def alarms(
    judges: Mapping[str, Judge],
    rng: Dice,
    runs: int,
    seconds: float,
    rate_per_second: float,
    share: float,
    p0: float,
    p1: float,
    *,
    fault_at: float = 0.0,
    bin_seconds: float = 1.0,
) -> dict[str, FloatArray]:
    """When each judge fails each run, all of them on the same counts; arguments as in `draw_counts`.

    Returns:
        For each judge seconds since the first request, shape [R], NaN where it does not fail the run.
    """
    at_seconds = look_seconds(seconds, bin_seconds)
    found: dict[str, list[FloatArray]] = {name: [] for name in judges}
    for some in blocks(runs, at_seconds.size):
        counts = draw_counts(
            rng, some, seconds, rate_per_second, share, p0, p1, fault_at=fault_at, bin_seconds=bin_seconds
        )
        for name, judge in judges.items():
            found[name].append(alarm_seconds(judge, at_seconds, counts))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _check(
    runs: int,
    seconds: float,
    rate_per_second: float,
    share: float,
    p0: float,
    p1: float,
    fault_at: float,
    bin_seconds: float,
) -> None:
    if runs < 1:
        raise ValueError(f"runs must be 1 or more, got {runs}")
    if not bin_seconds > 0 or round(seconds / bin_seconds) < 1:
        raise ValueError(f"expected at least one bin, got {seconds} s in bins of {bin_seconds} s")
    for name, value in (("rate_per_second", rate_per_second), ("fault_at", fault_at)):
        if not 0 <= value < np.inf:
            raise ValueError(f"{name} must be 0 or more and finite, got {value}")
    for name, value in (("share", share), ("p0", p0), ("p1", p1)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in 0..1, got {value}")
