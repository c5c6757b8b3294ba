"""Counts as judges see them, drawn in chunks of 256 replications: the same for any number of workers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.seeds import CHUNK
from strategies.judges.base import FloatArray, IntArray
from strategies.judges.bench import draw_counts, look_seconds

_STREAM: Final = 64  #: beside those of `sim.seeds`, far from them


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What happens in the replications of one set.

    Attributes:
        number: keys the random numbers; sets of one bench have different numbers.
        good: error ratio of both arms, and of the canary before the fault.
        bad: error ratio of the canary from the fault on.
        fault_seconds: when it begins; infinite for a good release.
        seconds: how long the judges look.
        look_seconds: between two looks.
    """

    number: int
    rate_per_second: float
    share: float
    good: float
    bad: float
    fault_seconds: float
    seconds: float
    look_seconds: float

    @property
    def at_seconds(self) -> FloatArray:
        """Times of the looks, shape [T]."""
        return look_seconds(self.seconds, self.look_seconds)

    @property
    def start_seconds(self) -> float:
        """From when delays are counted: the fault, or the begin of the judge where there is none."""
        return self.fault_seconds if math.isfinite(self.fault_seconds) else 0.0


def draw(scene: Scene, *, seed: int, chunk: int) -> IntArray:
    """Cumulative counts of one chunk, whole.

    Returns:
        shape [256, T, 4]: canary requests, canary errors, stable requests, stable errors.
    """
    key = np.random.SeedSequence(seed, spawn_key=(chunk, _STREAM, scene.number))
    return draw_counts(
        np.random.Generator(np.random.PCG64DXSM(key)),
        CHUNK,
        scene.seconds,
        scene.rate_per_second,
        scene.share,
        scene.good,
        scene.bad,
        fault_at=scene.start_seconds,
        bin_seconds=scene.look_seconds,
    )
