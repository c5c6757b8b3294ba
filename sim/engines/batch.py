"""The Monte Carlo engine: a chunk of replications at once, each with its own heap and its own exact times.

One round is one scrape: each replication runs its control events up to its own k-th scrape, then the counts of all are
drawn in one call. A replication whose strategy measures stands still until the question is answered for all who ask.
One that has ended, or that reads nothing, runs to the horizon and leaves the rounds; the rest of its counts is one
draw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sim.board import Board, BoardRow
from sim.clock import FAR, Heap
from sim.engines.plane import Lane, Plane
from sim.exposure import Exposure
from sim.model import US, ChunkDraws, Model
from sim.pod_ring import fitted
from sim.rows import Ends, Rows, finish
from sim.scrape import Store
from sim.seeds import CHUNK, stream
from sim.traffic import Arrivals
from sim.uncounted import of_router, of_users
from sim.world import SimulatedCluster
from strategies.drive import Recorder, Reply, Runtime
from strategies.effects import Ask, Measured, Strategy

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
#: counts of an interval instead of drawn ones: (rows [A], scrape k or -1 for the end) -> [A, V, G, 1 + C], or
#: [A, V, 1 + P, G, 1 + C] where pods are counted one by one (place 0: what no pod tells of); one column more where
#: the router does not count all (`sim.uncounted`)
Source = Callable[[IntArray, int, Any], IntArray]
TAIL: Final = -1


class Chunk:
    """One chunk of replications of one strategy in one scenario."""

    def __init__(
        self,
        model: Model,
        strategy: Strategy,
        root: int,
        chunk: int,
        *,
        replications: int = CHUNK,
        record: Callable[[int], Recorder | None] | None = None,
        log: Callable[[int], Callable[[int, str, str, dict[str, Any]], None] | None] | None = None,
        source: Source | None = None,
        tap: Callable[[IntArray, int, IntArray], None] | None = None,
    ) -> None:
        """`record` and `log` give an observer of a replication, or None; `source` replaces draws, `tap` sees them."""
        self.model, self.strategy, self.chunk = model, strategy, chunk
        self.count = replications
        draws = self.draws = ChunkDraws(model, root, chunk)
        self.rng = stream(root, chunk, "counts")
        self.finish_rng = stream(root, chunk, "finish")
        self.uncounted_rng = stream(root, chunk, "uncounted")
        self.plane = Plane(model, CHUNK, draws.offset_seconds)
        self.board = Board(CHUNK, model.regimes, model.release.replicas) if model.asked.per_pod else None
        self.store = Store(model, CHUNK, self.board)
        self.store.phase_us[:] = draws.phase_us
        self.source, self.tap = source, tap
        self.clocks = [Heap() for _ in range(replications)]
        self.lanes: list[Lane] = []
        self.worlds: list[SimulatedCluster] = []
        self.runtimes: list[Runtime] = []
        for row in range(replications):
            self._build(row, record(row) if record else None, log(row) if log else None)
        self.cumulative = np.zeros((CHUNK, 2, 1 + len(model.buckets_seconds)), dtype=np.int64)
        self.ends = Ends(model, CHUNK)
        self.next_us = np.zeros(replications, dtype=np.int64)
        self.reading = np.ones(replications, dtype=bool)  #: until the strategy has returned its fate
        self.unborn = True  #: of some replication a series does not exist yet

    def _build(self, row: int, record: Recorder | None, log: Any) -> None:
        clock = self.clocks[row]
        arrivals = Arrivals(self.model.law, self.draws.offset_seconds[row], self.model.knots, self.model.cumulative)
        lane = Lane(self.plane, row, clock, arrivals)
        world = SimulatedCluster(self.model, self.draws, row, clock, lane, arrivals, log=log)
        self.lanes.append(lane)
        self.worlds.append(world)
        if self.board is not None:
            world.pods.watcher = watcher = BoardRow(self.board, row, world)
            watcher.traffic(*world.router.shares())
        self.runtimes.append(Runtime(world, self.strategy, self.model.release, record=record))

    # -- the run --------------------------------------------------------------------------------------------------

    def run(self) -> Rows:
        """Run all replications to the horizon."""
        model = self.model
        for row, runtime in enumerate(self.runtimes):
            self.clocks[row].call_at(0, _start, runtime)
        if not self.strategy.reads:
            self.reading[:] = False
        active: IntArray = np.arange(self.count, dtype=np.int64)
        k = 0
        while active.size:
            scrape_us = self.store.phase_us[active] + k * model.interval_us
            if not model.even:
                scrape_us += self.draws.scrape(k).late_us[active]
            inside = scrape_us <= model.horizon_us
            self._run_until(active, np.where(inside, scrape_us, model.horizon_us + 1), k - 1)
            stays = inside & self.reading[active]
            if not stays.all():
                for row in active[~stays].tolist():
                    self.clocks[row].run_until(model.horizon_us + 1)
                active, scrape_us = active[stays], scrape_us[stays]
            if active.size:
                self._scrape(active, scrape_us, k)
            k += 1
        return self._finish()

    def _run_until(self, rows: IntArray, limits: IntArray, k: int) -> None:
        """Run control events due before each replication's limit; all that measure are answered together."""
        due = self.next_us[rows] < limits
        waiting = list(zip(rows[due].tolist(), limits[due].tolist(), strict=True))
        clocks, runtimes = self.clocks, self.runtimes
        next_us = memoryview(self.next_us)  # type: ignore[arg-type]
        reading = memoryview(self.reading)  # type: ignore[arg-type]
        while waiting:
            blocked = []
            for row, limit in waiting:
                clock = clocks[row]
                clock.run_until(limit)
                if clock.blocked:
                    blocked.append((row, limit))
                else:
                    next_us[row] = clock.heap[0][0] if clock.heap else FAR
                    if runtimes[row].fate is not None:
                        reading[row] = False
            if blocked:
                self._answer(k, dict(blocked))
            waiting = blocked

    def _answer(self, k: int, limits: dict[int, int]) -> None:
        """Answer all who measure; `limits` says up to when each may go on by itself."""
        pending, self.plane.pending = self.plane.pending, []
        groups: dict[int, tuple[Ask, list[tuple[int, Reply, int]]]] = {}
        for row, query, reply, now in pending:
            group = groups.get(id(query))  # by identity: hashing a query costs more than answering it
            if group is None:
                group = groups[id(query)] = (query, [])
            group[1].append((row, reply, now))
        for query, asked in groups.values():
            rows = np.array([row for row, _, _ in asked], dtype=np.int64)
            now_us = np.array([now for _, _, now in asked], dtype=np.int64)
            later = self.model.query_us
            answers = self.store.measured(query, rows, now_us, k, [(now + later) / US for _, _, now in asked])
            for (row, reply, now), measured in zip(asked, answers, strict=True):
                at = now + later
                clock = self.clocks[row]
                clock.blocked = False
                if at < limits[row] and at < clock.next_us():
                    clock.now_us = at  # nothing else happens until then: no need to queue
                    reply(measured)
                else:
                    clock.call_at(at, _deliver, (reply, measured))

    def _scrape(self, rows: IntArray, time_us: IntArray, k: int) -> None:
        counts = self._counts(rows, time_us, k)
        at = slice(None) if rows.size == CHUNK else rows
        self.cumulative[at] += counts[:, :, 0] if counts.shape[2] == 1 else counts.sum(axis=2)
        self.store.put(k, at, self.cumulative[at])
        if not self.model.even:
            self.store.mark(k, rows, time_us, self.draws.scrape(k).failed[rows])
        if self.unborn:
            self._bear(rows, time_us, k)

    def _bear(self, rows: IntArray, time_us: IntArray, k: int) -> None:
        """Let series exist from this scrape on whose first container has run."""
        born = self.store.born
        late = (born[rows] > k).any(axis=1)
        if not late.any():
            self.unborn = False
            return
        of_late = rows[late]
        since = np.array([self.worlds[row].pods.born_us for row in of_late.tolist()])
        exists = (since >= 0) & (since <= time_us[late][:, None])
        born[of_late] = np.where(exists, np.minimum(born[of_late], k), born[of_late])

    def _counts(self, rows: IntArray, time_us: IntArray, k: int) -> IntArray:
        """What the router counts of an interval, shape [A, V, G, 1 + C]; `ends` and the pods' ring see the rest."""
        exposure = self.plane.collect(rows, time_us)
        board = self.board
        if board is not None:
            of_pods = board.collect(rows, self.plane.seen[rows])
            counts = (
                self._drawn(rows, of_pods) if self.source is None else fitted(self.source(rows, k, of_pods), board.pods)
            )
        elif self.source is None:
            counts = self._drawn(rows, exposure)
        else:
            counts = self.source(rows, k, exposure)
        if self.tap is not None:
            self.tap(rows, k, counts)
        if board is not None:
            self._put_pods(rows, time_us, k, of_users(self.model, counts))
            counts = counts.sum(axis=2)
        self.ends.interval(rows, time_us, of_users(self.model, counts))
        return of_router(self.model, counts)

    def _drawn(self, rows: IntArray, exposure: FloatArray) -> IntArray:
        """Counts drawn from exposure [A, V, G, 2], or [A, V, 1 + P, G, 2] pod by pod."""
        by_pod = self.board is not None
        counts = (self.plane.draw_pods if by_pod else self.plane.draw)(rows, exposure, self.rng)
        if not self.model.uncounted:
            return counts
        nobody = (slice(None), slice(None), 0) if by_pod else ()  # where there is no endpoint there is no pod to tell
        wide = np.concatenate([counts, np.zeros((*counts.shape[:-1], 1), dtype=np.int64)], axis=-1)
        wide[(*nobody, ..., -1)] = self.plane.split(
            rows, exposure[(*nobody, ..., 0)], counts[(*nobody, ..., 0)], self.uncounted_rng
        )
        return wide

    def _put_pods(self, rows: IntArray, time_us: IntArray, k: int, counts: IntArray) -> None:
        ring = self.store.pods
        if k == TAIL or ring is None:
            return
        if ring.reads_leaks:
            for row, at_us in zip(rows.tolist(), time_us.tolist(), strict=True):
                watcher = self.worlds[row].pods.watcher
                assert watcher is not None, "every world of a chunk with a board has a watcher"
                watcher.read_leaks(at_us)
        failed, cluster = None, np.zeros(rows.size, dtype=bool)
        if not self.model.even:
            failed = self.draws.pod_scrapes(k, ring.board.pods)[rows]
            cluster = self.draws.scrape(k).failed[rows, 1]
        ring.put(k, rows, time_us, counts[:, :, 1:].sum(axis=3), failed, cluster)

    def _finish(self) -> Rows:
        rows = np.arange(self.count, dtype=np.int64)
        end = np.full(self.count, self.model.horizon_us, dtype=np.int64)
        counts = self._counts(rows, end, TAIL)
        self.cumulative[rows] += counts.sum(axis=2)
        return finish(self.model, self.draws, self.worlds, self.runtimes, self.ends, self._exposures(), self.finish_rng)

    def dissolve(self) -> None:
        """Break the cycles between worlds, runtimes and clocks, so that memory is freed without a search."""
        for clock, world, runtime in zip(self.clocks, self.worlds, self.runtimes, strict=True):
            clock.heap.clear()
            runtime.dissolve()
            world.pods.__dict__.clear()
            world.__dict__.clear()
        self.worlds.clear()
        self.runtimes.clear()
        self.lanes.clear()

    def _exposures(self) -> list[Exposure]:
        return [
            Exposure(lane.segments, world.arrivals, self.plane.classes[row])
            for row, (lane, world) in enumerate(zip(self.lanes, self.worlds, strict=True))
        ]


def _start(runtime: Runtime) -> None:
    runtime.start()


def _deliver(due: tuple[Reply, Measured]) -> None:
    due[0](due[1])
