"""The obvious hybrid, as a yardstick: the same world on SimPy, one replication at a time, a scalar draw per count.

It is written as one would write it with care: plain Python numbers everywhere, no numpy array of one element, no draw
where the mean is 0, and the rows of the results put together once for all replications.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from simpy import Environment

from sim.engines.event import SimpyClock
from sim.exposure import Exposure, Segment
from sim.model import US, ChunkDraws, Model
from sim.rows import Ends, Rows, assemble, drawn_times
from sim.seeds import stream
from sim.traffic import Arrivals
from sim.world import Flow, SimulatedCluster
from strategies.drive import Reply, Runtime
from strategies.effects import Measured, Query, Strategy


def run(model: Model, strategy: Strategy, seed: int, replications: int) -> Rows:
    """The first replications of chunk 0."""
    draws = ChunkDraws(model, seed, 0)
    done = [_Replication(model, strategy, draws, row) for row in range(replications)]
    for one in done:
        one.run()
    ends = Ends(model, replications)
    for row, one in enumerate(done):
        ends.failed[row], ends.slow[row] = one.failed, one.slow
        ends.first_from[row], ends.first_to[row], ends.first_count[row] = one.first
        ends.last_from[row], ends.last_to[row], ends.last_count[row] = one.last
    worlds = [one.world for one in done]
    exposures = [Exposure(one.segments, one.arrivals, np.array(one.classes)) for one in done]
    first, last = drawn_times(model, worlds, ends, exposures, stream(seed, 0, "finish").random((2, replications)))
    runtimes = [one.runtime for one in done]
    return assemble(model, worlds, runtimes, exposures, failed=ends.failed, slow=ends.slow, first=first, last=last)


class _Replication:
    """The world of one replication, its data plane and its scrapes."""

    def __init__(self, model: Model, strategy: Strategy, draws: ChunkDraws, row: int) -> None:
        self.model, self.strategy = model, strategy
        self.env = Environment()
        self.clock = SimpyClock(self.env)
        self.poisson = stream(draws.root, draws.chunk, "requests", row).poisson
        self.arrivals = Arrivals(model.law, draws.offset_seconds[row], model.knots, model.cumulative)
        self.phase_us = draws.phase_us[row]
        self.segments: list[Segment] = []
        self.classes = [[(0.0,) * len(model.buckets_seconds) for _ in range(model.regimes)] for _ in range(2)]
        self.exposure = [[[0.0, 0.0] for _ in range(model.regimes)] for _ in range(2)]
        self.now_regime = 0
        self.seen = 0.0
        self.scraped: list[tuple[int, int, int, int]] = []  #: requests and errors of stable, of canary
        self.born = [1 << 40, 1 << 40]
        self.until_us = 0
        self.failed = self.slow = 0
        self.first = self.last = (0, 0, 0)
        ends = Ends(model, 1)
        self.watched, self.low = ends.watched, 0 if model.from_start else 1
        self.world = SimulatedCluster(model, draws, row, self.clock, self, self.arrivals)
        self.runtime = Runtime(self.world, strategy, model.release)

    def run(self) -> None:
        self.clock.call_at(0, _start, self.runtime)
        self._plan_scrape()
        self.env.run(until=self.model.horizon_us + 1)
        self._count(self.model.horizon_us)

    # -- the data plane -------------------------------------------------------------------------------------------

    def _advance(self, now_us: int) -> float:
        now = self.arrivals.at_us(now_us)
        passed = now - self.seen
        if passed > 0 and self.segments:
            stable, stable_fails, canary, canary_fails = self.segments[-1][2]
            of_stable, of_canary = self.exposure[0][self.now_regime], self.exposure[1][self.now_regime]
            of_stable[0] += passed * stable * stable_fails
            of_stable[1] += passed * stable * (1.0 - stable_fails)
            of_canary[0] += passed * canary * canary_fails
            of_canary[1] += passed * canary * (1.0 - canary_fails)
            self.seen = now
        return now

    def flow(self, flow: Flow) -> None:
        now = self._advance(self.clock.now_us)
        self.segments.append((self.clock.now_us, now, flow, self.now_regime))

    def regime(self, regime: int, slow: tuple[Any, Any]) -> None:
        now = self._advance(self.clock.now_us)
        self.now_regime = regime
        self.classes[0][regime], self.classes[1][regime] = slow
        if self.segments:
            self.segments.append((self.clock.now_us, now, self.segments[-1][2], regime))

    def empty(self, revisions: tuple[int, ...]) -> None:
        raise NotImplementedError("router.noEndpoints: uncounted is not in this benchmark")

    def measure(self, query: Query, reply: Reply) -> None:
        now = self.clock.now_us
        at = now + self.model.query_us
        self.clock.call_at(at, _deliver, (reply, self._answer(query, now, at / US)))

    def _answer(self, query: Query, now_us: int, at_seconds: float) -> Measured:
        """As `sim.scrape.Store.answer`, for an error ratio of one revision."""
        assert (query.quantity, query.revision) == ("error_ratio", "canary")
        start = now_us - round(query.window_seconds * 1e6)
        oldest = (start - self.phase_us) // self.model.interval_us + 1
        first, last = max(oldest, self.born[1], 0), len(self.scraped) - 1
        if last - first < 1:
            return Measured(at_seconds, None)
        requests = self.scraped[last][2] - self.scraped[first][2]
        errors = self.scraped[last][3] - self.scraped[first][3]
        return Measured(at_seconds, errors / requests if requests else float("nan"), requests, errors)

    # -- scrapes --------------------------------------------------------------------------------------------------

    def _plan_scrape(self) -> None:
        at = self.phase_us + len(self.scraped) * self.model.interval_us
        if at <= self.model.horizon_us:
            self.clock.call_first_at(at, self._scrape, None)

    def _scrape(self, _: None) -> None:
        if self.runtime.fate is not None:
            return
        now = self.clock.now_us
        drawn = self._count(now)
        before = self.scraped[-1] if self.scraped else (0, 0, 0, 0)
        for revision, since in enumerate(self.world.pods.born_us):
            if 0 <= since <= now and self.born[revision] > len(self.scraped):
                self.born[revision] = len(self.scraped)
        self.scraped.append(tuple(map(sum, zip(before, drawn, strict=True))))  # type: ignore[arg-type]
        self._plan_scrape()

    def _count(self, now_us: int) -> tuple[int, int, int, int]:
        """Draw the counts since the last call; returns requests and errors of stable, and of canary."""
        self._advance(now_us)
        poisson, fast, model = self.poisson, self.model.fast_classes, self.model
        drawn, caused, seen = [], 0, 0
        for revision in (0, 1):
            requests = errors = 0
            for regime, cell in enumerate(self.exposure[revision]):
                fails, succeeds = cell
                bad = int(poisson(fails)) if fails else 0
                errors += bad
                self.failed += bad
                requests += bad
                if succeeds:
                    for number, share in enumerate(self.classes[revision][regime]):
                        count = int(poisson(succeeds * share)) if share else 0
                        requests += count
                        if number >= fast:
                            self.slow += count
                            bad += count
                if model.targets[revision] and regime >= self.low:
                    caused += bad
                cell[0] = cell[1] = 0.0
            if revision == self.watched:
                seen = requests
            drawn += [requests, errors]
        if caused and not self.first[2]:
            self.first = (self.until_us, now_us, caused)
        if seen:
            self.last = (self.until_us, now_us, seen)
        self.until_us = now_us
        return drawn[0], drawn[1], drawn[2], drawn[3]


def _start(runtime: Runtime) -> None:
    runtime.start()


def _deliver(due: tuple[Callable[[Any], None], Measured]) -> None:
    due[0](due[1])
