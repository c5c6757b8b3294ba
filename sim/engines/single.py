"""One replication at a time: its world, its scrapes and its queries, around any clock and any source of counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.board import Board, BoardRow
from sim.clock import Clock
from sim.exposure import Exposure, Segment
from sim.model import US, ChunkDraws
from sim.pod_ring import fitted
from sim.pods import Pod
from sim.rows import Ends, Rows, assemble
from sim.scrape import Store
from sim.traffic import Arrivals
from sim.uncounted import of_router, of_users
from sim.world import DataPlane, SimulatedCluster
from strategies.drive import Recorder, Reply, Runtime
from strategies.effects import Ask, Measured, Strategy

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
#: counts [V, G, 1 + C] since the last call, or [V, 1 + P, G, 1 + C] where pods are counted one by one, with one column
#: more where the router does not count all (`sim.uncounted`): (scrape k, or -1 after the last one; microseconds) ->
#: counts
Count = Callable[[int, int], IntArray]
Tap = Callable[[int, IntArray], None]
Log = Callable[[int, str, str, dict[str, Any]], None]
TAIL: Final = -1
ROW: Final = np.zeros(1, dtype=np.int64)  #: the only replication of the store


class ScrapeClock(Clock, Protocol):
    """A clock that can put a scrape before everything else of its instant."""

    def call_first_at(self, time_us: int, function: Callable[[Any], None], argument: Any) -> None:
        """As `call_at`, but before everything that `call_at` put at this instant."""
        ...


class SinglePlane(DataPlane, Protocol):
    """The data plane of one replication; `segments` and `classes` (shape [V, G, C]) are as of the batch engine."""

    segments: list[Segment]
    classes: FloatArray

    def lost(self, pod: Pod) -> None:
        """The process of a pod died: what it counted since the last scrape nobody will tell."""
        ...

    def attach(self, world: SimulatedCluster, ask: Callable[[Ask, Reply], None]) -> None:
        """The world exists now; `ask` answers its queries."""
        ...


class Single:
    """One replication of one strategy.

    Attributes worth reading: `world`, `runtime`, `ends`, `exposure`.
    """

    def __init__(
        self,
        strategy: Strategy,
        draws: ChunkDraws,
        row: int,
        clock: ScrapeClock,
        plane: SinglePlane,
        *,
        arrivals: Arrivals,
        count: Count,
        record: Recorder | None = None,
        log: Log | None = None,
        tap: Tap | None = None,
    ) -> None:
        """`row` is the place of the replication in its chunk; `tap` sees all counts with their k."""
        model = self.model = draws.model
        self.strategy, self.clock, self.count, self.tap = strategy, clock, count, tap
        self.world = SimulatedCluster(model, draws, row, clock, plane, arrivals, log=log)
        self.draws, self.row = draws, row
        self.board = Board(1, model.regimes, model.release.replicas) if model.asked.per_pod else None
        if self.board is not None:
            watcher = BoardRow(self.board, 0, self.world, lost=plane.lost)
            self.world.pods.watcher = watcher
            watcher.traffic(*self.world.router.shares())
        plane.attach(self.world, self._ask)
        self.runtime = Runtime(self.world, strategy, model.release, record=record)
        self.exposure = Exposure(plane.segments, arrivals, plane.classes)
        self.store = Store(model, 1, self.board)
        self.store.phase_us[0] = draws.phase_us[row]
        self.ends = Ends(model, 1)
        self.scrapes = 0
        self.total: IntArray = np.zeros((2, 1 + len(model.buckets_seconds)), dtype=np.int64)

    def start(self) -> None:
        """Plan the first instant and the first scrape."""
        self.clock.call_at(0, _start, self.runtime)
        if self.strategy.reads:
            self._plan_scrape()

    def rows(self, first: FloatArray, last: FloatArray) -> Rows:
        """The row of the results, after `end`; t3 and t6 in microseconds, shape [1]."""
        ends = self.ends
        return assemble(
            self.model,
            [self.world],
            [self.runtime],
            [self.exposure],
            failed=ends.failed,
            slow=ends.slow,
            first=first,
            last=last,
        )

    def end(self) -> None:
        """The horizon is reached: count what came after the last scrape."""
        self._take(TAIL, self.model.horizon_us)

    # -- scrapes and queries --------------------------------------------------------------------------------------

    def _plan_scrape(self) -> None:
        at = int(self.store.phase_us[0]) + self.scrapes * self.model.interval_us
        if not self.model.even:
            at += int(self.draws.scrape(self.scrapes).late_us[self.row])
        if at <= self.model.horizon_us:
            self.clock.call_first_at(at, self._scrape, self.scrapes)

    def _scrape(self, k: int) -> None:
        if self.runtime.fate is not None:
            return  # nobody reads any more
        now = self.clock.now_us
        self._take(k, now)
        self.store.put(k, ROW, self.total[None])
        if not self.model.even:
            self.store.mark(k, ROW, np.array([now]), self.draws.scrape(k).failed[self.row : self.row + 1])
        born = self.store.born[0]
        for revision, since in enumerate(self.world.pods.born_us):
            if 0 <= since <= now and born[revision] > k:
                born[revision] = k
        self.scrapes = k + 1
        self._plan_scrape()

    def _take(self, k: int, now_us: int) -> None:
        counts = self.count(k, now_us)
        if self.tap is not None:
            self.tap(k, counts)
        if self.board is not None:
            self._put_pods(k, now_us, fitted(of_users(self.model, counts)[None], self.board.pods))
            counts = counts.sum(axis=1)
        self.total += of_router(self.model, counts).sum(axis=1)
        self.ends.interval(ROW, np.array([now_us]), of_users(self.model, counts)[None])

    def _put_pods(self, k: int, now_us: int, counts: IntArray) -> None:
        ring, watcher = self.store.pods, self.world.pods.watcher
        if k == TAIL or ring is None or watcher is None:
            return
        if ring.reads_leaks:
            watcher.read_leaks(now_us)
        failed, cluster = None, np.zeros(1, dtype=bool)
        if not self.model.even:
            failed = self.draws.pod_scrapes(k, ring.board.pods)[self.row : self.row + 1]
            cluster = self.draws.scrape(k).failed[self.row : self.row + 1, 1]
        ring.put(k, ROW, np.array([now_us]), counts[:, :, 1:].sum(axis=3), failed, cluster)

    def _ask(self, query: Ask, reply: Reply) -> None:
        now = self.clock.now_us
        at = now + self.model.query_us
        measured = self.store.measured(query, ROW, np.array([now]), self.scrapes - 1, [at / US])[0]
        self.clock.call_at(at, _deliver, (reply, measured))


def _start(runtime: Runtime) -> None:
    runtime.start()


def _deliver(due: tuple[Reply, Measured]) -> None:
    due[0](due[1])
