"""Counts as a judge sees them, drawn in chunks of 256 replications: the same for any number of workers.

Requests come as a Poisson process and each fails with its arm's probability, so failures and successes of each arm are
four independent Poisson processes (thinning): exact, and quicker than drawing requests and then failures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.seeds import CHUNK
from strategies.judges.base import FloatArray, IntArray

_STREAM: Final = 64  #: beside those of `sim.seeds`, far from them


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What happens in the replications of one set.

    Attributes:
        number: keys the random numbers; sets of one bench have different numbers.
        good: error ratio of both arms, and of the canary before the fault.
        bad: error ratio of the canary from the fault on.
        fault_seconds: when it begins; infinite for a good release.
        looks, look_seconds: how many looks there are, and the time between two.
    """

    number: int
    rate_per_second: float
    share: float
    good: float
    bad: float
    fault_seconds: float
    looks: int
    look_seconds: float

    @property
    def at_seconds(self) -> FloatArray:
        """Times of the looks, shape [T]."""
        return self.look_seconds * np.arange(1, self.looks + 1, dtype=np.float64)


def draw(scene: Scene, *, seed: int, chunk: int) -> IntArray:
    """Cumulative counts of one chunk, whole.

    Returns:
        shape [256, T, 4]: canary requests, canary errors, stable requests, stable errors.
    """
    key = np.random.SeedSequence(seed, spawn_key=(chunk, _STREAM, scene.number))
    rng = np.random.Generator(np.random.PCG64DXSM(key))
    ends = scene.at_seconds
    after = np.clip(ends - scene.fault_seconds, 0.0, scene.look_seconds) / scene.look_seconds  # of each look, [T]
    bad = scene.good + (scene.bad - scene.good) * after
    canary = scene.rate_per_second * scene.share * scene.look_seconds
    stable = scene.rate_per_second * (1 - scene.share) * scene.look_seconds
    counts = np.empty((CHUNK, scene.looks, 4), dtype=np.int64)
    for place, requests, ratio in ((0, canary, bad), (2, stable, np.full_like(bad, scene.good))):
        failed = rng.poisson(requests * ratio, size=(CHUNK, scene.looks))
        passed = rng.poisson(requests * (1 - ratio), size=(CHUNK, scene.looks))
        np.cumsum(failed + passed, axis=1, out=counts[:, :, place])
        np.cumsum(failed, axis=1, out=counts[:, :, place + 1])
    return counts
