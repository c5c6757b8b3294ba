"""What scrapes of pods have stored: a ring of each pod's counters and gauges, and whether there was a target at all.

Axes: T scrapes (scrape k in place k mod T), A or R replications, V revisions, P pods by ordinal, C latency classes. A
process counts from 0; when it dies its counters are gone, with what it counted since the last scrape.
"""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from scenarios.schema import MemoryLeakFault, PoolLeakFault
from sim.board import Board
from sim.model import Model

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Kind = TypeVar("Kind", bound=np.generic)
MIB: Final = float(1 << 20)
EXISTS: Final = 1  #: flags of a pod at a scrape: the cluster has it,
TARGET: Final = 2  #: its first container runs, so that Prometheus scrapes it,
SCRAPED: Final = 4  #: it answered,
RUNNING: Final = 8  #: its container runs now


class PodRing:
    """Samples of the pods of all replications of a store."""

    def __init__(self, model: Model, board: Board, length: int) -> None:
        self.board, self.length, self._model = board, length, model
        self._columns = 1 + len(model.buckets_seconds)
        self._gauges = tuple(signal for signal in model.asked.gauges if signal not in ("restarts", "ready"))
        self._kinds = tuple(_leak_kinds(model, revision) for revision in ("stable", "canary"))
        self.flags: NDArray[np.uint8] = np.zeros((length, board.replications, 2, 0), dtype=np.uint8)
        self.counts: IntArray = np.zeros((length, board.replications, 2, 0, self._columns), dtype=np.int64)
        self.gauges: dict[str, FloatArray] = {
            signal: np.zeros((length, board.replications, 2, 0)) for signal in model.asked.gauges
        }
        self.told: IntArray = np.zeros((length, board.replications, 2, 2), dtype=np.int64)  #: (requests, errors)
        self._sum: IntArray = np.zeros((board.replications, 2, 2), dtype=np.int64)
        shape = (board.replications, 2, 0)
        self._life: IntArray = np.zeros(shape, dtype=np.int64)
        self._counters: IntArray = np.zeros((*shape, self._columns), dtype=np.int64)
        self._scraped: IntArray = np.zeros((*shape, self._columns), dtype=np.int64)  #: counters as last scraped
        self._fit()

    def put(
        self, k: int, rows: IntArray, time_us: IntArray, counts: IntArray, failed: BoolArray | None, cluster: BoolArray
    ) -> None:
        """Store scrape k of some replications.

        Args:
            k: its number.
            rows: shape [A].
            time_us: shape [A].
            counts: shape [A, V, P, 1 + C], responses of each pod since the last scrape.
            failed: shape [A, V, P], scrapes of pods that failed; None: none.
            cluster: shape [A], the scrape of the cluster's exporters failed.
        """
        self._fit()
        board, place = self.board, k % self.length
        now = time_us[:, None, None]
        life = board.restarts[rows]
        new = life != self._life[rows]
        counters = np.where(new[..., None], 0, self._counters[rows])
        scraped = np.where(new[..., None], 0, self._scraped[rows])
        counters = counters + counts
        self._life[rows], self._counters[rows] = life, counters
        there = now < board.gone_us[rows]
        exists = (board.created_us[rows] <= now) & there
        target = (board.target_us[rows] <= now) & there
        running = board.running[rows] & target
        answers = (board.answers_us[rows] <= now) & target
        if failed is not None:
            answers &= ~failed
        seen = ~cluster[:, None, None]
        self.flags[place, rows] = (
            EXISTS * (exists & seen) + TARGET * target + SCRAPED * answers + RUNNING * (running & seen)
        )
        self.counts[place, rows] = counters
        told = np.where(answers[..., None], counters - scraped, 0)
        self._scraped[rows] = np.where(answers[..., None], counters, scraped)
        self._sum[rows] += np.stack([told.sum(axis=(2, 3)), told[..., 0].sum(axis=2)], axis=2)
        self.told[place, rows] = self._sum[rows]
        self._put_gauges(place, rows, now)

    def _put_gauges(self, place: int, rows: IntArray, now: IntArray) -> None:
        board = self.board
        for signal, ring in self.gauges.items():
            if signal == "restarts":
                ring[place, rows] = board.restarts[rows]
            elif signal == "ready":
                ring[place, rows] = board.ready[rows]
            else:
                ring[place, rows] = self._leaky(signal, rows, now)

    def _leaky(self, signal: str, rows: IntArray, now: IntArray) -> FloatArray:
        """Memory in bytes or connections: what a fresh pod has, and the share of the rest that leaked."""
        board, resources = self.board, self._model.scenario.service.resources
        what = "pool" if signal == "pool_in_use" else "memory"
        share = np.zeros((rows.size, 2, board.pods))
        for revision, kinds in enumerate(self._kinds):
            if f"{what} by request" in kinds:
                share[:, revision] = board.leaked[rows, revision]
            elif f"{what} by minute" in kinds:
                since = np.maximum(now[:, 0] - board.leaks_us[rows, revision], 0)
                share[:, revision] = np.minimum(since / board.leaks_for_us[rows, revision], 1.0)
        if what == "pool":
            return np.floor(share * resources.pool_size)
        room = resources.memory_limit_mib - resources.memory_base_mib
        return (resources.memory_base_mib + share * room) * MIB

    @property
    def reads_leaks(self) -> bool:
        """A gauge is asked for that leaks by request fill."""
        return bool(self._gauges) and any(" by request" in kind for kinds in self._kinds for kind in kinds)

    def _fit(self) -> None:
        """Make room for as many pods as the board has."""
        more = self.board.pods - self.flags.shape[3]
        if more <= 0:
            return
        self.flags, self.counts = _wider(self.flags, 3, more), _wider(self.counts, 3, more)
        self.gauges = {signal: _wider(ring, 3, more) for signal, ring in self.gauges.items()}
        self._life, self._counters = _wider(self._life, 2, more), _wider(self._counters, 2, more)
        self._scraped = _wider(self._scraped, 2, more)


def _wider(array: NDArray[Kind], axis: int, more: int) -> NDArray[Kind]:
    shape = (*array.shape[:axis], more, *array.shape[axis + 1 :])
    return np.concatenate([array, np.zeros(shape, dtype=array.dtype)], axis=axis)


def _leak_kinds(model: Model, revision: str) -> set[str]:
    """Which leaks of this scenario sit in the pods of a revision."""
    kinds = set()
    for fault in model.scenario.faults:
        if fault.on not in (revision, "both"):
            continue
        if isinstance(fault, MemoryLeakFault):
            kinds.add("memory by minute" if fault.mib_per_minute is not None else "memory by request")
        elif isinstance(fault, PoolLeakFault) and fault.scope == "pod":
            kinds.add("pool by request")
    return kinds


def fitted(counts: IntArray, pods: int) -> IntArray:
    """Counts per pod, shape [A, V, 1 + P, G, 1 + C], with places for exactly this many pods; what is cut is empty."""
    have = counts.shape[2] - 1
    return counts[:, :, : 1 + pods] if have >= pods else _wider(counts, 2, pods - have)
