"""The local world: replicas are processes, an Envoy routes, our scraper measures. See `chaos.world.RealWorld`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import numpy as np

from chaos.app_settings import told
from chaos.clock import MICROSECONDS, LiveClock
from chaos.local.deployment import Deployment
from chaos.local.envoy import Envoy
from chaos.local.pods import Pod, Pods
from chaos.local.processes import Processes
from chaos.local.runs import Run
from chaos.metrics.answers import answer
from chaos.metrics.prometheus import Prometheus
from chaos.metrics.scraper import Scraper, Target
from chaos.waiting import Waiting
from chaos.world import WorldError
from scenarios.schema import Scenario, Service
from strategies.effects import (
    Approved,
    Ask,
    Available,
    AwaitAvailable,
    AwaitComplete,
    Counts,
    DeadlinePassed,
    Measured,
    Observe,
    Release,
    Revision,
    RollTo,
)

START_SECONDS: Final = 60.0  #: real time within which the stable revision must serve
Settings = Callable[[Pod], Mapping[str, Any]]
Person = Callable[[str], Awaitable[str]]


class LocalWorld:
    """One service on this machine.

    Args:
        run: its run directory.
        scenario: service, router and metrics of it; latencies are real, all other times scenario time.
        clock: scenario time.
        settings: what the application of a pod is told beside what the scenario says of it: the knobs of a fault.
        person: asked for approvals; answers with a name, or raises `strategies.drive.Refused`.
        failed: told of what ends the drill: the router died, the warden is gone.
        tell: hears what happens: kind, who, facts.
        prometheus: answers the questions instead of our own scraper.

    Attributes worth reading: `pods`, `envoy`, `scraper`, `processes`, `weight`, `blind` (metrics are injected away).
    """

    def __init__(
        self,
        run: Run,
        scenario: Scenario,
        clock: LiveClock,
        *,
        seed: int,
        settings: Settings = lambda pod: {},
        person: Person | None = None,
        failed: Callable[[BaseException], None],
        tell: Callable[..., None] | None = None,
        prometheus: Prometheus | None = None,
    ) -> None:
        self.run, self.scenario, self.clock, self.seed = run, scenario, clock, seed
        self._settings, self._person, self._failed, self._tell = settings, person, failed, tell
        self._prometheus = prometheus
        self.rng = np.random.default_rng(seed)
        self.processes = Processes(run)
        self.envoy = Envoy(self.processes)
        self.pods = Pods(
            self.processes,
            self.envoy,
            scenario.service,
            clock,
            self.rng,
            settings=self.settings_of,
            changed=self._pods_changed,
            routed=self._endpoints_changed,
            failed=failed,
        )
        self.pods.log = tell
        self.deployment = Deployment(self.pods)
        self.scraper = Scraper(clock, scenario.metrics.scrape_interval_seconds, self.targets, blind=lambda: self.blind)
        self.blind = False
        self.weight = 0.0
        self._routed = True
        self._by_pods = False  #: traffic follows the pods: no router, or a Deployment rolls
        self._waiting = Waiting(clock, lambda: self.pods.progress_us)
        self._routing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- start and stop -------------------------------------------------------------------------------------------

    async def start(self, release: Release) -> None:
        """See `RealWorld`."""
        self._routed, self._by_pods = release.routed, not release.routed
        if self._by_pods:
            self._follows_pods()
        self.processes.on_lost = self._failed
        await self.processes.start()
        await self.envoy.start()
        assert self.envoy.process is not None
        self.envoy.process.on_exit = lambda _: self._failed(self.envoy.ended())
        if not release.first:
            await self._warm_up(release.replicas)
        self._begin(self.scraper.run())

    async def _warm_up(self, replicas: int) -> None:
        """The stable revision has been running since long before the rollout: it starts without delay."""
        real = self.pods.service
        self.pods.service = _at_once(real)
        try:
            self.pods.scale("stable", replicas)
            async with asyncio.timeout(START_SECONDS):
                while len(self.pods.in_service["stable"]) < replicas:
                    await asyncio.sleep(0.01)
                    for pod in self.pods.active["stable"]:
                        if pod.restarts:
                            raise WorldError(f"{pod.name} ended before the rollout began: {self._words(pod)}")
        except TimeoutError:
            pod = next(pod for pod in self.pods.active["stable"] if not pod.serving)
            raise WorldError(f"{pod.name} was not ready within {START_SECONDS:g} s: {self._words(pod)}") from None
        finally:
            self.pods.service = real
        self.pods.peak = self.pods.least_available = replicas

    def _words(self, pod: Pod) -> str:
        return self.processes.log_tail(f"{pod.name}.log") or "no message"

    async def stop(self) -> None:
        """See `RealWorld`."""
        if self.envoy.process is not None:
            self.envoy.process.on_exit = None
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._prometheus is not None:
            await self._prometheus.close()
        await self.pods.close()
        await self.envoy.stop()
        await self.processes.stop()

    # -- orders ---------------------------------------------------------------------------------------------------

    async def scale(self, revision: Revision, replicas: int) -> None:
        """See `RealWorld`."""
        self.deployment.rest()
        self.pods.scale(revision, replicas)

    async def roll_to(self, effect: RollTo) -> None:
        """See `RealWorld`."""
        self._by_pods = True
        self._follows_pods()
        self.deployment.roll_to(effect)
        await self._follow_pods()

    async def set_weight(self, weight: float) -> None:
        """See `RealWorld`."""
        if not self._routed:
            return
        self._by_pods = False
        await self._set_routes(weight, ordered_seconds=self._seconds())

    async def mark(self, decision: str, reason: str) -> None:
        """See `RealWorld`."""
        if self._tell is not None:
            self._tell("decision" if decision else "note", "strategy", outcome=decision, text=reason)

    def _follows_pods(self) -> None:
        if self._tell is not None:
            self._tell("follows_pods", "router")

    async def _set_routes(self, weight: float, **facts: float) -> None:
        async with self._routing:
            self.weight = weight
            await self.envoy.set_routes(canary_weight=weight)
        if self._tell is not None:
            self._tell("weight_effective", "router", weight=weight, **facts)

    # -- waits ----------------------------------------------------------------------------------------------------

    async def await_available(self, effect: AwaitAvailable) -> Available | DeadlinePassed:
        """See `RealWorld`."""
        self.pods.min_ready_seconds = effect.min_ready_seconds
        there = await self._waiting.until(
            lambda: self.pods.available(effect.revision) >= effect.replicas, effect.deadline_seconds
        )
        return Available(self._seconds()) if there else DeadlinePassed(self._seconds())

    async def await_complete(self, effect: AwaitComplete) -> Available | DeadlinePassed:
        """See `RealWorld`."""
        there = await self._waiting.until(self.deployment.complete, effect.deadline_seconds)
        return Available(self._seconds()) if there else DeadlinePassed(self._seconds())

    async def observe(self, effect: Observe) -> Counts | DeadlinePassed:
        """See `RealWorld`."""
        self.pods.min_ready_seconds = effect.min_ready_seconds
        there = await self._waiting.until(lambda: self._counts() != effect.changed_from, effect.deadline_seconds)
        return Counts(self._seconds(), *self._counts()) if there else DeadlinePassed(self._seconds())

    async def ask_person(self, reason: str) -> Approved:
        """See `RealWorld`."""
        if self._person is None:
            await asyncio.Event().wait()  # nobody comes
            raise AssertionError("an event that nobody sets was set")
        return Approved(by=await self._person(reason), at_seconds=self._seconds())

    async def measure(self, ask: Ask) -> Measured:
        """See `RealWorld`."""
        if self._prometheus is not None:
            value = await self._prometheus.answer(ask, self._seconds())
        else:
            value = answer(ask, self.scraper.store, self.clock.now_us() // 1000, self.scenario.metrics)
        await self.clock.sleep(self.scenario.metrics.query_seconds)
        value.at_seconds = self._seconds()
        return value

    def _counts(self) -> tuple[tuple[int, int], tuple[int, int]]:
        pods = self.pods
        return (pods.spec["canary"], pods.available("canary")), (pods.spec["stable"], pods.available("stable"))

    # -- what pods tell -------------------------------------------------------------------------------------------

    def _pods_changed(self) -> None:
        self.deployment.sync()
        self._waiting.changed()

    def _endpoints_changed(self) -> None:
        if self._by_pods:
            self._begin(self._follow_pods())

    async def _follow_pods(self) -> None:
        """Every replica that takes traffic gets the same share."""
        stable, canary = (len(self.pods.in_service[revision]) for revision in ("stable", "canary"))
        weight = canary / (stable + canary) if stable + canary else float(self.pods.spec["stable"] == 0)
        if self._by_pods and weight != self.weight:
            await self._set_routes(weight)

    def settings_of(self, pod: Pod) -> dict[str, Any]:
        """What the application of a pod is told when it starts."""
        # the application adds the name of the pod to the seed
        common = told(self.scenario, speed=self.clock.speed, seed=self.seed + 1_000_003 * pod.restarts)
        own = {"APP_REVISION": pod.revision, "APP_VERSION": pod.revision, "APP_POD": pod.name, "APP_PORT": pod.port}
        warming_up = self.pods.service is not self.scenario.service
        return {**common, **own, **({"START_SECONDS": 0.0} if warming_up else {}), **self._settings(pod)}

    def targets(self) -> list[Target]:
        """What is scraped: every replica that listens, and the router."""
        found = [
            Target(pod.name, f"http://127.0.0.1:{pod.port}/metrics", {"instance": f"127.0.0.1:{pod.port}"})
            for pod in self.pods.all()
            if pod.port and pod.process is not None and pod.process.alive
        ]
        host, port = self.envoy.admin
        return [*found, Target("envoy", f"http://{host}:{port}/stats/prometheus?usedonly", {"instance": "envoy"})]

    def _seconds(self) -> float:
        return self.clock.now_us() / MICROSECONDS

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(error)


def _at_once(service: Service) -> Service:
    """The same service, whose pods need no time beyond what a process needs."""
    startup = service.startup.model_copy(update={"schedule_seconds": 0.0, "pull_seconds": 0.0, "start_seconds": 0.0})
    return service.model_copy(update={"startup": startup, "endpoint_lag_seconds": (0.0, 0.0)})
