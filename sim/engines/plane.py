"""The `iid` data plane of a chunk: exposure per revision, regime and outcome, and the counts drawn from it.

Between two control events everything is constant but the rate of traffic, whose integral is Lambda. So requests are
drawn, not walked: the exposure of an interval is the integral of rate x share x P(outcome), and independent Poisson
counts with these means are exact (thinning). Where the router does not count what finds no endpoint, that part of the
failed exposure is kept beside it, and each failed count is split by it (thinning again). Axes: R replications, V
revisions, G regimes, C latency classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.clock import Heap
from sim.model import Model
from sim.traffic import Arrivals
from sim.world import Flow
from strategies.drive import Reply
from strategies.effects import Ask

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Segment = tuple[int, float, Flow, int]  #: (since when, Lambda there, flow, regime)


class Plane:
    """Exposure of a whole chunk, as arrays that lanes write one element at a time and scrapes read at once."""

    def __init__(self, model: Model, replications: int, offsets_seconds: list[float]) -> None:
        regimes, classes = model.regimes, len(model.buckets_seconds)
        self.model = model
        self.exposure = np.zeros((replications, 2, regimes, 2))  #: since the last scrape: (failed, succeeded)
        self.rate = np.zeros((replications, 2, 2))  #: per request: share x P(failed), share x P(succeeded)
        self.regime = np.zeros(replications, dtype=np.int64)
        self.seen = np.zeros(replications)  #: Lambda up to which exposure is counted
        self.classes = np.zeros((replications, 2, regimes, classes))  #: P(latency class | succeeded)
        self.total = np.zeros((replications, 2, regimes, 2))  #: exposure of the whole run
        self.empty = np.zeros((replications, 2))  #: 1 where a revision has no endpoint and nothing counts for it
        self.uncounted = np.zeros((replications, 2, regimes))  #: of the failed exposure since the last scrape
        self.offset = np.asarray(offsets_seconds)
        self.base = model.law.at(self.offset)
        self.views = (_flat(self.exposure), _flat(self.rate), _flat(self.seen))
        self.pending: list[tuple[int, Ask, Reply, int]] = []

    def cumulative(self, rows: IntArray, time_us: IntArray) -> FloatArray:
        """Lambda of each replication at its own time; shape [A]."""
        return self.model.law.at(self.offset[rows] + time_us * 1e-6) - self.base[rows]

    def collect(self, rows: IntArray, time_us: IntArray) -> FloatArray:
        """Exposure since the last scrape, which is set back to 0; shape [A, V, G, 2]; rows are in order."""
        at = self._at(rows)
        now = self.cumulative(rows, time_us)
        passed = np.maximum(now - self.seen[at], 0.0)
        self.seen[at] = now
        exposure = self.exposure[at].copy() if isinstance(at, slice) else self.exposure[at]
        fresh = passed[:, None, None] * self.rate[at]
        if self.model.uncounted:
            self.uncounted[rows, :, self.regime[rows]] += fresh[..., 0] * self.empty[rows]
        if exposure.shape[2] == 1:
            exposure[:, :, 0] += fresh
        else:
            exposure[np.arange(rows.size), :, self.regime[at]] += fresh
        self.exposure[at] = 0.0
        self.total[at] += exposure
        return exposure

    def split(self, rows: IntArray, exposure: FloatArray, failed: IntArray, rng: np.random.Generator) -> IntArray:
        """How many of the failed requests no series counts; what is collected of them is set back to 0.

        Args:
            rows: shape [A], in order, after `collect`.
            exposure: shape [A, V, G], that of the failed requests.
            failed: shape [A, V, G], drawn from it.
        """
        uncounted = self.uncounted[rows]
        self.uncounted[rows] = 0.0
        found = np.zeros_like(failed)
        some = (uncounted > 0) & (failed > 0)
        found[some] = rng.binomial(failed[some], np.minimum(uncounted[some] / exposure[some], 1.0))
        return found

    def draw(self, rows: IntArray, exposure: FloatArray, rng: np.random.Generator) -> IntArray:
        """Counts of an interval; shape [A, V, G, 1 + C]: failed, then successful by latency class."""
        means = np.empty((*exposure.shape[:3], 1 + self.classes.shape[3]))
        means[..., 0] = exposure[..., 0]
        np.multiply(exposure[..., 1:], self.classes[self._at(rows)], out=means[..., 1:])
        return rng.poisson(means)

    def draw_pods(self, rows: IntArray, exposure: FloatArray, rng: np.random.Generator) -> IntArray:
        """Counts of an interval pod by pod; exposure [A, V, 1 + P, G, 2] -> [A, V, 1 + P, G, 1 + C]."""
        counts = np.zeros((*exposure.shape[:4], 1 + self.classes.shape[3]), dtype=np.int64)
        some = exposure.any(axis=4)
        at, revision, _, regime = np.nonzero(some)
        means = np.empty((at.size, counts.shape[4]))
        means[:, 0] = exposure[some][:, 0]
        np.multiply(exposure[some][:, 1:], self.classes[rows[at], revision, regime], out=means[:, 1:])
        counts[some] = rng.poisson(means)
        return counts

    def _at(self, rows: IntArray) -> IntArray | slice:
        """All replications as a slice, which numpy copies much faster than a list of rows."""
        return slice(None) if rows.size == self.seen.size else rows


def _flat(array: FloatArray) -> memoryview[float]:
    """Elements of an array one by one: reading and writing them is three times as fast as by numpy's own index."""
    return memoryview(array.reshape(-1))  # type: ignore[arg-type]


class Lane:
    """The data plane of one replication inside a chunk's `Plane`."""

    __slots__ = (
        "_at_us", "_clock", "_empty", "_exposure", "_plane", "_rate", "_regime", "_regimes", "_row", "_seen",
        "segments",
    )  # fmt: skip

    def __init__(self, plane: Plane, row: int, clock: Heap, arrivals: Arrivals) -> None:
        self._plane, self._row, self._clock = plane, row, clock
        self._at_us: Callable[[int], float] = arrivals.at_us
        self._exposure, self._rate, self._seen = plane.views
        self._regime = 0
        self._empty: tuple[int, ...] = ()
        self._regimes = plane.model.regimes
        self.segments: list[Segment] = []

    def _advance(self) -> float:
        now = self._at_us(self._clock.now_us)
        row = self._row
        passed = now - self._seen[row]
        if passed > 0:
            exposure, rate, regimes = self._exposure, self._rate, self._regimes
            stable = 2 * (2 * row * regimes + self._regime)
            canary = stable + 2 * regimes
            at = 4 * row
            exposure[stable] += passed * rate[at]
            exposure[stable + 1] += passed * rate[at + 1]
            exposure[canary] += passed * rate[at + 2]
            exposure[canary + 1] += passed * rate[at + 3]
            for revision in self._empty:
                self._plane.uncounted[row, revision, self._regime] += passed * rate[at + 2 * revision]
            self._seen[row] = now
        return now

    def flow(self, flow: Flow) -> None:
        """See `DataPlane`."""
        now = self._advance()
        stable, stable_fails, canary, canary_fails = flow
        rate, at = self._rate, 4 * self._row
        rate[at] = stable * stable_fails
        rate[at + 1] = stable * (1.0 - stable_fails)
        rate[at + 2] = canary * canary_fails
        rate[at + 3] = canary * (1.0 - canary_fails)
        self.segments.append((self._clock.now_us, now, flow, self._regime))

    def regime(self, regime: int, slow: tuple[Any, Any]) -> None:
        """See `DataPlane`."""
        now = self._advance()
        self._regime = regime
        self._plane.regime[self._row] = regime
        self._plane.classes[self._row, 0, regime] = slow[0]
        self._plane.classes[self._row, 1, regime] = slow[1]
        if self.segments:
            self.segments.append((self._clock.now_us, now, self.segments[-1][2], regime))

    def empty(self, revisions: tuple[int, ...]) -> None:
        """See `DataPlane`."""
        self._advance()
        self._empty = revisions
        self._plane.empty[self._row] = [revision in revisions for revision in (0, 1)]

    def measure(self, query: Ask, reply: Reply) -> None:
        """See `DataPlane`; the replication stands still until the whole chunk is answered."""
        self._plane.pending.append((self._row, query, reply, self._clock.now_us))
        self._clock.blocked = True
