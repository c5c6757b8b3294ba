"""The reference engine: the same cluster on SimPy, one replication, and a process for every request.

Only the source of requests differs from the batch engine. A request arrives by inversion of Lambda, is sent to a
revision by the router's present shares and to any pod of it that takes traffic with equal chance, waits for one of the
pod's threads first come first served, and is counted when it is answered: in the revision and the regime of its
arrival, as failed or by the class of its sojourn time. It fails at once where there is no pod, a dead or exhausted one,
or an empty shared pool, and after its service with the error ratio of its arrival. What a pod was serving when its
container died is answered all the same: the world already counts those as lost, by letting the pod refuse requests for
one mean response time longer. Requests still in flight at the horizon are not counted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from simpy import Environment
from simpy.events import URGENT, Event, Process, Timeout

from sim.engines.single import Log, Single, Tap
from sim.exposure import Segment
from sim.model import US, ChunkDraws, Model, delays_of
from sim.pods import NAMES, Pod
from sim.rows import Rows, drawn_times
from sim.seeds import CHUNK, place, stream
from sim.traffic import Arrivals
from sim.world import Flow, SimulatedCluster
from strategies.drive import Recorder, Reply
from strategies.effects import Ask, Strategy

IntArray = NDArray[np.int64]
#: counts [V, G, 1 + C] (or [V, 1 + P, G, 1 + C], pod by pod) of scrape k, or of what follows the last scrape (k = -1),
#: instead of requests; one column more where the router does not count all (`sim.uncounted`)
Source = Callable[[int], IntArray]
BLOCK: Final = 4096  #: random numbers drawn at a time


def run_one(
    model: Model,
    strategy: Strategy,
    root: int,
    replication: int,
    *,
    record: Recorder | None = None,
    log: Log | None = None,
    source: Source | None = None,
    tap: Tap | None = None,
    draws: ChunkDraws | None = None,
    told: list[str] | None = None,
) -> Rows:
    """Run one replication, request by request.

    Args:
        model: the compiled scenario.
        strategy: what to run in it.
        root: root of all random numbers.
        replication: its number; the world is that of the same replication in the batch engine.
        record: sees what the strategy asks and learns.
        log: sees what the world does.
        source: recorded counts instead of requests; no request is started then.
        tap: sees the counts of each scrape interval, shape [V, G, 1 + C], and with k = -1 those after the last scrape.
        draws: the draws of its chunk, when the caller runs several replications of it; they are made here otherwise.
        told: takes the notes of the strategy.

    Returns:
        Columns of one row, as those of the batch engine.
    """
    chunk, row = place(replication)
    draws = draws or ChunkDraws(model, root, chunk)
    clock = SimpyClock(Environment())
    arrivals = Arrivals(model.law, draws.offset_seconds[row], model.knots, model.cumulative)
    requests = Requests(model, clock, arrivals, stream(root, chunk, "requests", row))
    count = requests.count if source is None else lambda k, _: source(k)
    single = Single(
        strategy, draws, row, clock, requests, arrivals=arrivals, count=count, record=record, log=log, tap=tap
    )
    single.start()
    if source is None:
        Process(clock.env, requests.arrive())
    clock.env.run(until=model.horizon_us + 1)
    single.end()
    if told is not None:
        told += single.world.told
    if source is None:
        return single.rows(*requests.times(single.ends.watched))
    uniform = stream(root, chunk, "finish").random((2, CHUNK))[:, row:]
    return single.rows(*drawn_times(model, [single.world], single.ends, [single.exposure], uniform))


class SimpyClock:
    """`sim.clock.Clock` on a SimPy environment whose time is whole microseconds."""

    __slots__ = ("env", "now_us")

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.now_us = 0

    def call_at(self, time_us: int, function: Callable[[Any], None], argument: Any) -> None:
        """See `Clock`; SimPy keeps the order of events of the same instant and priority."""
        Timeout(self.env, time_us - self.env.now, (function, argument)).callbacks.append(self._call)

    def call_first_at(self, time_us: int, function: Callable[[Any], None], argument: Any) -> None:
        """See `ScrapeClock`."""
        event = Event(self.env)
        event._ok, event._value = True, (function, argument)
        event.callbacks.append(self._call)
        self.env.schedule(event, URGENT, time_us - self.env.now)

    def _call(self, event: Event) -> None:
        self.now_us = int(self.env.now)
        function, argument = cast("tuple[Callable[[Any], None], Any]", event.value)
        function(argument)


class _Threads:
    """The threads of one pod: how many are busy, and the requests that wait for one."""

    __slots__ = ("busy", "waiting")

    def __init__(self) -> None:
        self.busy = 0
        self.waiting: deque[Event] = deque()


class Requests:
    """The data plane of one replication: every request a process, counted when it is answered.

    Attributes worth reading: `counts[revision][pod][regime]` (responses since the last scrape: failed, then by latency
    class, and at last the failed ones that no series counts, where there are such; pod 0 stands for those that no pod
    tells of, or for all where pods are not counted), `segments` (as of the batch engine), `first_us` (the first bad
    response of a revision with a fault in a regime with a fault, -1 before), `last_us` (the last response of each
    revision).
    """

    def __init__(self, model: Model, clock: SimpyClock, arrivals: Arrivals, rng: np.random.Generator) -> None:
        classes = len(model.buckets_seconds)
        self.model, self.clock, self.arrivals, self.rng = model, clock, arrivals, rng
        self._columns = 1 + classes + model.uncounted
        self.counts = [[self._cells()] for _ in range(2)]
        self.classes = np.zeros((2, model.regimes, classes))
        self.segments: list[Segment] = []
        self.first_us = -1.0
        self.last_us = [-1.0, -1.0]
        self.ask: Callable[[Ask, Reply], None]
        self.world: SimulatedCluster
        self._regime = 0
        self._canary_share = 0.0
        self._delays: list[list[tuple[int, float]]] = [[], []]
        self._threads: dict[Pod, _Threads] = {}
        self._limit = model.scenario.service.threads
        self._bounds_us = [bound * US for bound in model.buckets_seconds]
        self._uniform = _uniforms(rng)
        self._per_pod = model.asked.per_pod

    def attach(self, world: SimulatedCluster, ask: Callable[[Ask, Reply], None]) -> None:
        """The world exists now: read what its faults do to response times; `ask` answers its queries."""
        self.world, self.ask = world, ask
        self._read_delays()

    # -- what the world tells and asks ----------------------------------------------------------------------------

    def flow(self, flow: Flow) -> None:
        """See `DataPlane`."""
        self._canary_share = flow[2]
        now = self.clock.now_us
        self.segments.append((now, self.arrivals.at_us(now), flow, self._regime))

    def regime(self, regime: int, slow: tuple[Any, Any]) -> None:
        """See `DataPlane`."""
        self._regime = regime
        self.classes[0, regime], self.classes[1, regime] = slow
        if self.segments:
            now = self.clock.now_us
            self.segments.append((now, self.arrivals.at_us(now), self.segments[-1][2], regime))
            self._read_delays()

    def empty(self, revisions: tuple[int, ...]) -> None:
        """See `DataPlane`; each request sees by itself whether there is a pod."""

    def measure(self, query: Ask, reply: Reply) -> None:
        """See `DataPlane`."""
        self.ask(query, reply)

    def _read_delays(self) -> None:
        world = self.world
        self._delays = [
            [
                (round(added * US), share)
                for added, share in delays_of(self.model.scenario, name, world.started, world.severity)
            ]
            for name in NAMES
        ]

    # -- what the run asks ----------------------------------------------------------------------------------------

    def count(self, k: int, now_us: int) -> IntArray:
        """Responses since the last call, a `Source`: shape [V, G, 1 + C], or [V, 1 + P, G, 1 + C] pod by pod."""
        fresh, self.counts = self.counts, [[self._cells() for _ in pods] for pods in self.counts]
        if not self._per_pod:
            return np.array([pods[0] for pods in fresh])
        slots = max(map(len, fresh))
        return np.array([[*pods, *(self._cells() for _ in range(slots - len(pods)))] for pods in fresh])

    def times(self, watched: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """t3 and t6 as seen, in microseconds; NaN when there is none, or the bad revision still takes traffic."""
        good = self.world.fault_us < 0
        first, last = self.first_us, self.last_us[watched]
        still = self.segments[-1][2][2 * watched] > 0
        return (
            np.array([np.nan if good or first < 0 else first]),
            np.array([np.nan if good or still or last < 0 else last]),
        )

    # -- requests -------------------------------------------------------------------------------------------------

    def arrive(self) -> Generator[Event, Any, None]:
        """The process that starts a process for each request."""
        env, request, inverse_us = self.clock.env, self._request, self.arrivals.inverse_us
        latency = self.model.latency
        expected = self.arrivals.at_us(self.model.horizon_us)
        block = min(BLOCK, 16 + int(expected + 6 * expected**0.5))
        seen = 0.0
        while True:
            passed = seen + np.cumsum(self.rng.standard_exponential(block))
            route, where, fails = self.rng.random((3, block)).tolist()
            service = np.exp(latency.log_median + latency.sigma * self.rng.standard_normal(block)) * US
            service_us = np.maximum(np.rint(service), 1).astype(np.int64).tolist()
            for due, *drawn in zip(passed.tolist(), route, where, fails, service_us, strict=True):
                if due >= expected:
                    return
                yield Timeout(env, max(0, inverse_us(due) - env.now))
                Process(env, request(*drawn))
            seen = float(passed[-1])

    def _request(self, route: float, where: float, fails: float, service_us: int) -> Generator[Event, Any, None]:
        """One request, from its arrival to its answer; `route`, `where` and `fails` are uniform in 0..1."""
        env, world = self.clock.env, self.world
        revision = 1 if route < self._canary_share else 0
        regime = self._regime
        pods = world.pods.in_service[revision]
        if not pods:
            cell = self.counts[revision][0][regime]
            cell[-1] += self.model.uncounted
            self._bad(revision, regime, cell, 0)
            return
        pod = pods[int(where * len(pods))]
        if world.shared_pool_empty or pod.dead or pod.exhausted:
            self._bad(revision, regime, self._cell(pod, regime, lives=not pod.dead), 0)
            return
        life = pod.restarts
        began = env.now
        failed = fails < world.base_error[revision]
        for added_us, share in self._delays[revision]:
            if share == 1.0 or next(self._uniform) < share:
                service_us += added_us
        try:
            threads = self._threads[pod]
        except KeyError:
            threads = self._threads[pod] = _Threads()
        if threads.busy < self._limit:
            threads.busy += 1
        else:
            turn = Event(env)
            threads.waiting.append(turn)
            yield turn  # whoever ends hands its thread over
        yield Timeout(env, service_us)
        if threads.waiting:
            threads.waiting.popleft().succeed()
        else:
            threads.busy -= 1
        now = env.now
        column = 0 if failed else 1 + bisect_left(self._bounds_us, now - began)
        cell = (
            self._cell(pod, regime, lives=pod.restarts == life) if self._per_pod else self.counts[revision][0][regime]
        )
        if failed or column > self.model.fast_classes:
            self._bad(revision, regime, cell, column)
        else:
            cell[column] += 1
            self.last_us[revision] = now

    def _cells(self) -> list[list[int]]:
        """Counts of one pod: [regime][failed, then by latency class, then failed ones that no series counts]."""
        return [[0] * self._columns for _ in range(self.model.regimes)]

    def _cell(self, pod: Pod, regime: int, *, lives: bool) -> list[int]:
        """Where an answer is counted: at its pod, where pods are counted and the process that was asked still lives."""
        pods = self.counts[pod.revision]
        if not (self._per_pod and lives):
            return pods[0][regime]
        while len(pods) <= 1 + pod.ordinal:
            pods.append(self._cells())
        return pods[1 + pod.ordinal][regime]

    def lost(self, pod: Pod) -> None:
        """See `SinglePlane`."""
        pods = self.counts[pod.revision]
        if 1 + pod.ordinal < len(pods):
            for regime, cell in enumerate(pods[1 + pod.ordinal]):
                pods[0][regime] = [a + b for a, b in zip(pods[0][regime], cell, strict=True)]
            pods[1 + pod.ordinal] = self._cells()

    def _bad(self, revision: int, regime: int, cell: list[int], column: int) -> None:
        """Count a failed or slow response."""
        now = self.clock.env.now
        cell[column] += 1
        self.last_us[revision] = now
        if self.first_us < 0 and self.model.targets[revision] and (self.model.from_start or regime):
            self.first_us = now


def _uniforms(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(BLOCK).tolist()
