"""The history of one replication's traffic as segments, and questions that it answers after the run."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.traffic import Arrivals
from sim.world import Flow

Segment = tuple[int, float, Flow, int]  #: (since when, Lambda there, flow, regime)


@dataclass(slots=True)
class Exposure:
    """Segments of constant flow, in order, and the latency classes of successful responses, shape [V, G, C]."""

    segments: list[Segment]
    arrivals: Arrivals
    classes: NDArray[np.float64]

    def pieces(self, from_us: int, to_us: int) -> list[tuple[float, float, Flow, int]]:
        """(Lambda at start, Lambda at end, flow, regime) of the parts of segments inside an interval."""
        first = max(bisect_right(self.segments, from_us, key=_since) - 1, 0)
        found = []
        at_us = self.arrivals.at_us
        start = at_us(max(from_us, 0))
        for i in range(first, len(self.segments)):
            since, cumulative, flow, regime = self.segments[i]
            if since >= to_us:
                break
            low = max(start, cumulative)
            last = i + 1 == len(self.segments) or self.segments[i + 1][0] >= to_us
            high = at_us(to_us) if last else self.segments[i + 1][1]
            if high > low:
                found.append((low, high, flow, regime))
        return found

    def met(self, end_us: int, first_regime: int) -> float:
        """Expected requests of the canary from a regime on."""
        return sum((b - a) * flow[2] for a, b, flow, regime in self.pieces(0, end_us) if regime >= first_regime)

    def bad(
        self, from_us: int, to_us: int, targets: tuple[bool, bool], fast: int, first_regime: int
    ) -> list[tuple[float, float, float]]:
        """(Lambda from, Lambda to, share of all requests answered badly by the revisions with a fault) of the parts."""
        slow = self.classes[:, :, fast:].sum(axis=2).tolist()
        sides = [revision for revision in (0, 1) if targets[revision]]
        weighted = []
        for low, high, flow, regime in self.pieces(from_us, to_us):
            share = 0.0
            if regime >= first_regime:
                for revision in sides:
                    fails = flow[2 * revision + 1]
                    share += flow[2 * revision] * (fails + (1.0 - fails) * slow[revision][regime])
            weighted.append((low, high, share))
        return weighted

    def place(self, weighted: list[tuple[float, float, float]], fraction: float, fallback_us: int) -> int:
        """The time by which a fraction of the mass has passed; pieces are (Lambda from, Lambda to, weight)."""
        total = sum((high - low) * weight for low, high, weight in weighted)
        if total <= 0:
            return fallback_us
        left, end = fraction * total, 0.0
        for low, high, weight in weighted:
            mass = (high - low) * weight
            if mass > 0:
                if left <= mass:
                    return self.arrivals.inverse_us(low + left / weight)
                left, end = left - mass, high
        return self.arrivals.inverse_us(end)  # rounding left a rest beyond the last piece with mass

    def sticky_levels(self, end_us: int, first_regime: int) -> list[tuple[float, float]]:
        """(share of users, expected requests of the whole service) of each band of users that met the canary.

        A sticky router sends the users below its weight to the canary, so each band between two weights has met it
        while the weight was above the band.
        """
        pieces = [
            (flow[2], high - low)
            for low, high, flow, regime in self.pieces(0, end_us)
            if regime >= first_regime and flow[2] > 0
        ]
        bands = []
        below = 0.0
        for level in sorted({share for share, _ in pieces}):
            bands.append((level - below, sum(requests for share, requests in pieces if share >= level)))
            below = level
        return bands


def _since(segment: Segment) -> int:
    return segment[0]


@lru_cache(maxsize=16)
def activity(users: int, zipf: float) -> Activity:
    """The table of a law of activity; made once, it takes as long as a hundred replications."""
    return Activity(users, zipf)


class Activity:
    """How many different users a number of requests comes from, by the closed form for a Zipf law of activity.

    The expected number of users among m requests is the sum over users of 1 - exp(-r_i m), r_i the user's share of the
    requests. Users are binned by activity (64 logarithmic bins of ranks), and the sum is tabulated over m.

    Source:
        Poisson thinning; checked against a user-by-user sum in tests/sim/test_exposure.py.
    """

    def __init__(self, users: int, zipf: float) -> None:
        edges = np.unique(np.rint(np.geomspace(1, users + 1, 65)))
        lows, highs = edges[:-1], edges[1:]
        number = highs - lows
        # mean of rank**-zipf over a bin by the integral with half-integer ends, exact enough from rank 2 on
        mass = np.where(number == 1, lows**-zipf, _power_sum(lows - 0.5, highs - 0.5, zipf))
        self._number = number
        self._share = mass / mass.sum() / number
        top = 60.0 / self._share.min()
        self._grid = np.concatenate([[0.0], np.geomspace(1e-6, max(top, 1.0), 4000)])
        self._users = np.array([float(np.sum(number * -np.expm1(-self._share * m))) for m in self._grid])

    def users(self, requests: NDArray[Any] | float) -> NDArray[np.float64]:
        """Expected number of different users behind an expected number of requests, any shape."""
        return np.asarray(np.interp(requests, self._grid, self._users))


def _power_sum(low: NDArray[np.float64], high: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    if math.isclose(power, 1.0):
        return np.log(high / low)
    return (high ** (1 - power) - low ** (1 - power)) / (1 - power)
