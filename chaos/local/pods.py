"""Replicas as processes: what ReplicaSet controllers, kubelets and endpoint controllers do for pods, done for them.

All times are scenario time, but for the time limit of a probe, which is real and at least `PROBE_SECONDS`: a busy
machine is no sick replica. Scheduling and the pull of the image are waits; the start of the process is real, made
longer by the application itself where the scenario says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import aiohttp
import numpy as np

from chaos.clock import MICROSECONDS, LiveClock
from chaos.local.envoy import HOST, Envoy
from chaos.local.processes import Process, Processes
from chaos.world import WorldError
from scenarios.schema import Probe, Service
from strategies.effects import Revision
from strategies.models import kubernetes

PROBE_SECONDS: Final = 1.0
_GONE_SECONDS: Final = 0.05  #: real time between two looks at a process that is ending


class Pod:
    """One replica of a revision, over the restarts of its process."""

    def __init__(self, revision: Revision, ordinal: int, created_us: int) -> None:
        self.revision, self.ordinal, self.created_us = revision, ordinal, created_us
        self.name = f"{revision}-{ordinal}"
        self.process: Process | None = None
        self.starting: asyncio.Task[Process] | None = None
        self.port = 0  #: of the service on loopback, the same over restarts; 0 before anything listened
        self.admin_port = 0  #: of its knobs
        self.running_us = -1
        self.ready = False
        self.ready_us = -1
        self.available = False
        self.serving = False  #: the router sends it requests
        self.terminating = False
        self.restarts = 0
        self.living: asyncio.Task[None] | None = None

    @property
    def life(self) -> tuple[str, int]:
        """Its present process: the pod, and how often it had been restarted."""
        return self.name, self.restarts

    @property
    def alive(self) -> bool:
        """It has a process."""
        return self.process is not None and self.process.alive

    @property
    def listens(self) -> bool:
        """Its knobs can be turned."""
        return bool(self.admin_port)

    def rank(self) -> tuple[Any, ...]:
        """Pods of a low rank are deleted first (`ActivePods.Less` of Kubernetes, without cost and node rank)."""
        return (self.running_us >= 0, self.ready, -self.ready_us, -self.restarts, -self.created_us, -self.ordinal)


class Pods:
    """All replicas of one service.

    Args:
        settings: the settings of the application for a replica.
        changed: called when readiness, availability or the number of pods changed.
        routed: called when the set of pods that take traffic changed.

    Attributes worth reading: `spec`, `active` (not terminating, oldest first), `progress_us` (when something last
    moved), `peak` (most pods at the same time, terminating ones included), `lives` (created, gone; of pods that ended).
    """

    def __init__(
        self,
        processes: Processes,
        envoy: Envoy,
        service: Service,
        clock: LiveClock,
        rng: np.random.Generator,
        *,
        settings: Callable[[Pod], Mapping[str, Any]],
        changed: Callable[[], None],
        routed: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.processes, self.envoy, self.service, self.clock = processes, envoy, service, clock
        self._rng, self._settings, self._changed, self._routed, self._failed = rng, settings, changed, routed, failed
        self.spec: dict[Revision, int] = {"stable": 0, "canary": 0}
        self.active: dict[Revision, list[Pod]] = {"stable": [], "canary": []}
        self.in_service: dict[Revision, list[Pod]] = {"stable": [], "canary": []}
        self.ending: list[Pod] = []
        self.created: dict[Revision, int] = {"stable": 0, "canary": 0}
        self.min_ready_seconds = 0.0
        self.progress_us = 0
        self.peak = 0
        self.least_available = 1 << 30
        self.lives: list[tuple[int, int]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._dirty: set[Revision] = set()
        self._telling: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    def available(self, revision: Revision) -> int:
        """Pods of a revision that are available."""
        return sum(pod.available for pod in self.active[revision])

    def all(self) -> list[Pod]:
        """Every pod that exists, terminating ones too."""
        return [*self.active["stable"], *self.active["canary"], *self.ending]

    def scale(self, revision: Revision, replicas: int) -> None:
        """Set the wanted number of pods of a revision."""
        if self.spec[revision] == replicas:
            return
        self.spec[revision] = replicas
        self.progress_us = self.clock.now_us()
        active = self.active[revision]
        for pod in sorted(active, key=Pod.rank)[: max(0, len(active) - replicas)]:
            self.terminate(pod)
        for _ in range(replicas - len(active)):
            pod = Pod(revision, self.created[revision], self.clock.now_us())
            self.created[revision] += 1
            active.append(pod)
            self._log("pod_made", pod)
            pod.living = self._begin(self._live(pod))
        self.peak = max(self.peak, len(self.all()))
        self._changed()

    def terminate(self, pod: Pod) -> None:
        """Delete a pod: it leaves the endpoints and runs its preStop at the same time."""
        self.active[pod.revision].remove(pod)
        pod.terminating = True
        self._log("pod_deleted", pod)
        self._unready(pod)
        if pod.living is not None:
            pod.living.cancel()
        self.ending.append(pod)
        self._begin(self._leave(pod))
        self._begin(self._end(pod))

    async def close(self) -> None:
        """Stop looking after them; the processes end with the run."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    # -- one pod --------------------------------------------------------------------------------------------------

    async def _live(self, pod: Pod) -> None:
        """Schedule, pull, and keep the container running, as a kubelet does."""
        startup = self.service.startup
        await self.clock.sleep(self._drawn(startup.schedule_seconds) + self._drawn(startup.pull_seconds))
        backoff = 0
        while True:
            code = await self._run(pod)
            ran = (self.clock.now_us() - pod.running_us) / MICROSECONDS
            backoff = 0 if ran > kubernetes.CRASH_LOOP_RESET_SECONDS else backoff
            delay = kubernetes.crash_loop_delay_seconds(backoff, ran)
            backoff += 1
            pod.restarts += 1
            self._log("container_died", pod, code=code, restart_in_seconds=delay)
            self._unready(pod)
            self._begin(self._leave(pod))
            self._changed()
            await self.clock.sleep(delay)

    async def _run(self, pod: Pod) -> int:
        """One container, from its start to its end; its exit code."""
        replica = self.processes.replica(pod.name, self._settings(pod), f"{pod.name}.log")
        pod.starting = asyncio.create_task(replica)
        pod.starting.add_done_callback(_looked_at)
        pod.process = process = await asyncio.shield(pod.starting)  # a pod that is deleted now must know its process
        pod.running_us = self.clock.now_us()
        self._log("container_started", pod)
        probing = self._begin(self._probe(pod, process))
        try:
            return await asyncio.shield(process.exited)
        finally:
            probing.cancel()

    async def _probe(self, pod: Pod, process: Process) -> None:
        """Probe a container for as long as it runs."""
        try:
            told = await asyncio.shield(process.ready)
        except WorldError:
            return  # it ended before it listened: a crash like any other
        pod.port, pod.admin_port = told["port"], told["admin_port"]
        probes = self.service.probes
        if probes.startup is not None:
            await self._until(pod, process, probes.startup, "/healthz", kill=True)
        if probes.liveness is not None:
            self._begin(self._until(pod, process, probes.liveness, "/healthz", kill=True, forever=True))
        if probes.readiness is None:
            self._become_ready(pod)
        else:
            await self._until(pod, process, probes.readiness, "/readyz", forever=True)

    async def _until(
        self, pod: Pod, process: Process, probe: Probe, path: str, *, kill: bool = False, forever: bool = False
    ) -> None:
        """Run one probe until it passes, or for ever; `kill`: a failure ends the container, else it is not ready."""
        tick, passed, failed = 0, 0, 0
        while process.alive and not pod.terminating:
            due_us = pod.running_us + round((probe.initial_delay_seconds + tick * probe.period_seconds) * MICROSECONDS)
            late_us = self.clock.now_us() - due_us
            period_us = round(probe.period_seconds * MICROSECONDS)
            if late_us > period_us:
                tick += late_us // period_us
                continue  # the process did not listen yet, or the machine slept
            if late_us < 0:
                await self.clock.sleep(-late_us / MICROSECONDS)
            tick += 1
            if await self._answers(pod, path, probe.timeout_seconds):
                passed, failed = passed + 1, 0
                if passed >= probe.success_threshold:
                    if not kill:
                        self._become_ready(pod)
                    if not forever:
                        return
            else:
                passed, failed = 0, failed + 1
                if failed >= probe.failure_threshold and kill:
                    self._log("probe_killed", pod)
                    await self.processes.signal(process, signal.SIGKILL)
                    return
                if failed >= probe.failure_threshold and pod.ready:
                    self._unready(pod)
                    self._begin(self._leave(pod))
                    self._changed()

    async def _answers(self, pod: Pod, path: str, timeout_seconds: float) -> bool:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        limit = aiohttp.ClientTimeout(total=max(PROBE_SECONDS, self.clock.real_seconds(timeout_seconds)))
        try:
            async with self._session.get(f"http://{HOST}:{pod.port}{path}", timeout=limit) as response:
                return 200 <= response.status < 400
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _become_ready(self, pod: Pod) -> None:
        if pod.ready or pod.terminating:
            return
        pod.ready = True
        pod.ready_us = self.progress_us = self.clock.now_us()
        self._log("pod_ready", pod)
        self._begin(self._join(pod))
        self._begin(self._become_available(pod, pod.ready_us))
        self._changed()

    async def _become_available(self, pod: Pod, ready_us: int) -> None:
        await self.clock.sleep(self.min_ready_seconds)
        if pod.ready and pod.ready_us == ready_us:
            pod.available = True
            self.progress_us = self.clock.now_us()
            self._changed()

    def _unready(self, pod: Pod) -> None:
        pod.ready = pod.available = False
        total = self.available("stable") + self.available("canary")
        self.least_available = min(self.least_available, total)

    async def _end(self, pod: Pod) -> None:
        """PreStop, SIGTERM, and SIGKILL when the grace period is over."""
        shutdown = self.service.shutdown
        process = await pod.starting if pod.starting is not None else None
        if process is not None and process.alive:
            await self.clock.sleep(min(shutdown.pre_stop_seconds, shutdown.grace_seconds))
            await self.processes.signal(process, signal.SIGTERM if shutdown.graceful else signal.SIGKILL)
            rest = max(0.0, shutdown.grace_seconds - shutdown.pre_stop_seconds)
            with contextlib.suppress(TimeoutError):
                limit = max(_GONE_SECONDS, self.clock.real_seconds(rest))
                await asyncio.wait_for(asyncio.shield(process.exited), limit)
            if process.alive:
                await self.processes.signal(process, signal.SIGKILL)
                await asyncio.shield(process.exited)
        self.ending.remove(pod)
        self.lives.append((pod.created_us, self.clock.now_us()))
        self._log("pod_gone", pod)
        self._changed()

    # -- endpoints ------------------------------------------------------------------------------------------------

    async def _join(self, pod: Pod) -> None:
        await self.clock.sleep(self._lag())
        if pod.ready and not pod.serving:
            pod.serving = True
            self.in_service[pod.revision].append(pod)
            self._tell(pod.revision)

    async def _leave(self, pod: Pod) -> None:
        await self.clock.sleep(self._lag())
        if pod.serving and not pod.ready:
            pod.serving = False
            self.in_service[pod.revision].remove(pod)
            self._tell(pod.revision)

    def _tell(self, revision: Revision) -> None:
        """Let the router know, one change at a time."""
        self._dirty.add(revision)
        self._routed()
        if self._telling is None or self._telling.done():
            self._telling = self._begin(self._tell_router())

    async def _tell_router(self) -> None:
        while self._dirty:
            revision = self._dirty.pop()
            await self.envoy.set_endpoints(revision, [pod.port for pod in self.in_service[revision]])

    def _lag(self) -> float:
        low, high = self.service.endpoint_lag_seconds
        return float(low + (high - low) * self._rng.random())

    def _drawn(self, median_seconds: float) -> float:
        return float(median_seconds * math.exp(self.service.startup.spread * self._rng.standard_normal()))

    # -- tasks ----------------------------------------------------------------------------------------------------

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(error)

    log: Callable[..., None] | None = None  #: told of what happens to pods: kind, name, and facts

    def _log(self, kind: str, pod: Pod, **facts: Any) -> None:
        if self.log is not None:
            self.log(kind, pod.name, **facts)


def _looked_at(task: asyncio.Task[Process]) -> None:
    """Who waits for a process gets its error; where nobody waits any more, nobody need."""
    if not task.cancelled():
        task.exception()
