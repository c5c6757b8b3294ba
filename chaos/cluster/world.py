"""The world of a cluster: Deployments, Services and a route that the strategy's effects change. See `chaos.world`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from chaos.app_settings import told
from chaos.clock import MICROSECONDS, LiveClock
from chaos.cluster import traefik
from chaos.cluster.fleet import REVISIONS, Fleet, starved, trouble, unplaced
from chaos.cluster.informer import Informer
from chaos.cluster.kinds import DEPLOYMENT, POD, REPLICA_SET
from chaos.cluster.kube import Kube, Object
from chaos.cluster.made import Made
from chaos.cluster.objects import Drilled, meddled, revision_of
from chaos.cluster.pod import DRILL, PORT, Pod
from chaos.cluster.reach import Reach
from chaos.cluster.wire import FIELD_MANAGER
from chaos.metrics.answers import answer
from chaos.metrics.prometheus import Prometheus
from chaos.metrics.scraper import Scraper, Target
from chaos.waiting import Waiting
from chaos.world import WorldError
from scenarios.schema import Scenario
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

START_SECONDS: Final = 180.0  #: real time within which the stable revision must serve
HUNGRY_SECONDS: Final = 10.0  #: that a quota may be taken up by pods that are just ending, and nodes may be not ready


class ClusterWorld:
    """One service in one namespace.

    Args:
        drilled: names and labels of everything that is made.
        router_metrics: URL of what the router exports; empty: only pods count.
        gateway: (namespace, name) of the Gateway; None: no router, traffic follows pods and Services.
        extra: settings of the application of a revision beside what the scenario says: the knobs of a fault.
        person, failed, tell, prometheus: as of `LocalWorld`.

    Attributes worth reading: `fleet`, `made`, `scraper`, `reach`, `weight`, `blind`.
    """

    def __init__(
        self,
        kube: Kube,
        drilled: Drilled,
        scenario: Scenario,
        clock: LiveClock,
        *,
        gateway: tuple[str, str] | None,
        seed: int,
        extra: Callable[[Revision], Mapping[str, Any]],
        person: Callable[[str], Awaitable[str]],
        failed: Callable[[BaseException], None],
        tell: Callable[..., None],
        router_metrics: str = "",
        prometheus: Prometheus | None = None,
    ) -> None:
        self.kube, self.scenario, self.clock, self.seed = kube, scenario, clock, seed
        self._extra, self._person, self._failed, self._tell = extra, person, failed, tell
        self._prometheus = prometheus
        self.made = Made(kube, drilled, scenario, gateway=gateway, settings=self._settings)
        self._waiting = Waiting(clock, lambda: self.fleet.progress_us)
        labels = f"{DRILL}={drilled.id}"
        self.fleet = Fleet(kube, drilled.namespace, labels, clock, tell=tell, changed=self._pods_changed, failed=failed)
        self._sets = Informer(kube, REPLICA_SET, drilled.namespace, labels=labels, changed=self._changed, lost=failed)
        self._deployments = Informer(
            kube, DEPLOYMENT, drilled.namespace, labels=labels, changed=self._deployment_changed, lost=failed
        )
        self.reach = Reach(kube)
        self._router_metrics = router_metrics if gateway is not None else ""
        self._of_pods = scenario.metrics.model_copy(update={"source": "pods"})
        self.scraper = Scraper(
            clock,
            scenario.metrics.scrape_interval_seconds,
            self.targets,
            blind=lambda: self.blind,
            relabel=self._relabelled,
            fetch=self._fetch,
        )
        self.blind = False
        self.weight = 0.0
        self._spec: dict[Revision, int] = {"stable": 0, "canary": 0}
        self._rolling: RollTo | None = None
        self._routed = True
        self._by_pods = False
        self._scraping: asyncio.Task[None] | None = None

    # -- start and stop -------------------------------------------------------------------------------------------

    async def start(self, release: Release) -> None:
        """See `RealWorld`; what a killed harness left is taken over as it stands."""
        self._routed, self._by_pods = release.routed, not release.routed
        taken_over = await self.made.anchor({"service": self.scenario.service.name, "replicas": release.replicas})
        taken_over = taken_over and await self.made.found()  # one that was killed before all was there is no help
        if not taken_over:
            await self.made.service(release.replicas)
            if self._by_pods:
                await self.made.weight(None)
        if self._by_pods:
            self._tell("follows_pods", "router")
        self._spec["stable"] = release.replicas
        for informer in (self._sets, self._deployments):
            await informer.start()
        await self.fleet.start()
        await self._serving(release.replicas, taken_over=taken_over)
        await self.made.accepted()
        self.fleet.reset()
        self._scraping = asyncio.create_task(self.scraper.run())
        self._scraping.add_done_callback(self._ended)

    async def _serving(self, replicas: int, *, taken_over: bool) -> None:
        """Wait for the stable pods, and find out how pods are reached."""
        fleet, deadline = self.fleet, time.monotonic() + START_SECONDS
        while not taken_over and fleet.available("stable") < replicas:
            hungry = time.monotonic() > deadline - START_SECONDS + HUNGRY_SECONDS
            for problem in self._in_the_way(for_long=hungry):
                raise problem
            for pod in fleet.active("stable"):
                if pod.restarts:
                    raise WorldError(f"{pod.name} ended before the rollout began: {await self._words(pod)}")
            if time.monotonic() > deadline:
                late = next((pod for pod in fleet.active("stable") if not pod.ready), None)
                what = f"{late.name}: {_standing(late)}, {await self._words(late)}" if late else "no pods"
                raise WorldError(f"{replicas} stable pods were not ready within {START_SECONDS:g} s ({what})")
            await asyncio.sleep(0.05)
        for pod in fleet.running():
            await self.reach.find_out(pod)
            break

    def _in_the_way(self, *, for_long: bool) -> Iterator[WorldError]:
        """Why pods do not come; `for_long`: what often passes by itself had the time to."""
        for pod in self.fleet.active("stable"):
            found = self.fleet.informer.objects[pod.name]
            if problem := trouble(pod, found) or (unplaced(pod, found) if for_long else None):
                yield problem
        for found in self._sets.objects.values() if for_long else ():
            if problem := starved(found):
                yield problem

    async def _words(self, pod: Pod) -> str:
        """The last lines that a pod wrote."""
        path = POD.path(pod.namespace, pod.name, "log") + "?tailLines=3"
        with contextlib.suppress(WorldError):
            text = await asyncio.to_thread(self.kube.text, "GET", path)
            return text.decode(errors="replace").strip()[:400] or "no message"
        return "no message"

    async def stop(self) -> None:
        """See `RealWorld`: listen and measure no more; what was made stays until it is removed."""
        for informer in (self._sets, self._deployments):
            informer.stop()
        self.fleet.stop()
        scraping, self._scraping = self._scraping, None
        if scraping is not None:
            scraping.cancel()
            await asyncio.gather(scraping, return_exceptions=True)
        await self.reach.close()
        if self._prometheus is not None:
            await self._prometheus.close()

    # -- orders ---------------------------------------------------------------------------------------------------

    async def scale(self, revision: Revision, replicas: int) -> None:
        """See `RealWorld`."""
        self._rolling = None
        self._spec[revision] = replicas
        self.fleet.progress_us = self.clock.now_us()
        await self.made.scale(revision, replicas)
        self._waiting.changed()

    async def roll_to(self, effect: RollTo) -> None:
        """See `RealWorld`."""
        self._rolling, self._by_pods = effect, True
        self.fleet.min_ready_seconds = effect.min_ready_seconds
        self.fleet.progress_us = self.clock.now_us()
        await self.made.weight(None)
        self._tell("follows_pods", "router")
        await self.made.roll_to(effect, self.clock.real_seconds(effect.min_ready_seconds))

    async def set_weight(self, weight: float) -> None:
        """See `RealWorld`."""
        if not self._routed:
            return
        self._by_pods = False
        ordered = self._seconds()
        await self.made.weight(weight)
        self._weighed(weight, ordered_seconds=ordered)

    async def mark(self, decision: str, reason: str) -> None:
        """See `RealWorld`."""
        self._tell("decision" if decision else "note", "strategy", outcome=decision, text=reason)

    def _weighed(self, weight: float, **facts: float) -> None:
        self.weight = weight
        self._tell("weight_effective", "router", weight=weight, **facts)

    # -- waits ----------------------------------------------------------------------------------------------------

    async def await_available(self, effect: AwaitAvailable) -> Available | DeadlinePassed:
        """See `RealWorld`."""
        self.fleet.min_ready_seconds = effect.min_ready_seconds
        there = await self._waiting.until(
            lambda: self.fleet.available(effect.revision) >= effect.replicas, effect.deadline_seconds
        )
        return Available(self._seconds()) if there else DeadlinePassed(self._seconds())

    async def await_complete(self, effect: AwaitComplete) -> Available | DeadlinePassed:
        """See `RealWorld`."""
        there = await self._waiting.until(lambda: self._complete(effect), effect.deadline_seconds)
        return Available(self._seconds()) if there else DeadlinePassed(self._seconds())

    async def observe(self, effect: Observe) -> Counts | DeadlinePassed:
        """See `RealWorld`."""
        self.fleet.min_ready_seconds = effect.min_ready_seconds
        there = await self._waiting.until(lambda: self._counts() != effect.changed_from, effect.deadline_seconds)
        return Counts(self._seconds(), *self._counts()) if there else DeadlinePassed(self._seconds())

    async def ask_person(self, reason: str) -> Approved:
        """See `RealWorld`."""
        return Approved(by=await self._person(reason), at_seconds=self._seconds())

    async def measure(self, ask: Ask) -> Measured:
        """See `RealWorld`."""
        if self._prometheus is not None:
            value = await self._prometheus.answer(ask, self._seconds())
        else:
            # while traffic follows pods, one Service has both revisions, and the router cannot tell them apart
            by_router = bool(self._router_metrics) and not self._by_pods
            metrics = self.scenario.metrics if by_router else self._of_pods
            value = answer(ask, self.scraper.store, self.clock.now_us() // 1000, metrics, router=traefik.FAMILIES)
        await self.clock.sleep(self.scenario.metrics.query_seconds)
        value.at_seconds = self._seconds()
        return value

    def _complete(self, effect: AwaitComplete) -> bool:
        """As `DeploymentComplete` of Kubernetes says it, and no pod of the other revision is left in service."""
        found = self._deployments.objects.get(self.made.drilled.named("main"))
        if found is None or revision_of(found) != effect.revision:
            return False
        status, wanted = found.get("status", {}), found["spec"]["replicas"]
        same = all(status.get(name, 0) == wanted for name in ("replicas", "updatedReplicas", "availableReplicas"))
        seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        return same and seen and wanted == effect.replicas and not self.fleet.active(_other(effect.revision))

    def _counts(self) -> tuple[tuple[int, int], tuple[int, int]]:
        spec = self._spec if self._rolling is None else self._set_sizes()
        fleet = self.fleet
        return (spec["canary"], fleet.available("canary")), (spec["stable"], fleet.available("stable"))

    def _set_sizes(self) -> dict[Revision, int]:
        """Wanted pods of each revision while the Deployment controller shares them out."""
        sizes: dict[Revision, int] = {"stable": 0, "canary": 0}
        for found in self._sets.objects.values():
            sizes[revision_of(found)] += found["spec"].get("replicas", 0)
        return sizes

    # -- what the cluster tells -----------------------------------------------------------------------------------

    def _changed(self, found: Object, deleted: bool) -> None:
        self._waiting.changed()

    def _deployment_changed(self, found: Object, deleted: bool) -> None:
        if said := meddled(found, deleted=deleted, manager=FIELD_MANAGER):
            self._failed(WorldError(f"{said}: what was measured since is not the release's doing"))
        self._waiting.changed()

    def _pods_changed(self) -> None:
        self._waiting.changed()
        if self._by_pods:
            canary, stable = (sum(pod.ready for pod in self.fleet.active(each)) for each in ("canary", "stable"))
            weight = canary / (canary + stable) if canary + stable else self.weight
            if weight != self.weight:
                self._weighed(weight)

    def _settings(self, revision: Revision) -> dict[str, Any]:
        """What the application of a revision is told at its start; it adds its pod's name to the seed."""
        common = told(self.scenario, speed=self.clock.speed, seed=self.seed)
        own = {"APP_REVISION": revision, "APP_VERSION": revision, "APP_NAMESPACE": self.made.drilled.namespace}
        # the stable revision has been running since long before the rollout
        start = {"START_SECONDS": 0.0} if revision == "stable" and not self.made.given else {}
        return {**common, **own, **start, **self._extra(revision)}

    # -- metrics --------------------------------------------------------------------------------------------------

    def targets(self) -> list[Target]:
        """What is scraped: every pod whose container runs, and the router."""
        found = [Target(pod.name, pod.name, {"instance": f"{pod.ip}:{PORT}"}) for pod in self.fleet.running() if pod.ip]
        if self._router_metrics:
            found.append(Target(traefik.TARGET, self._router_metrics, {"instance": traefik.TARGET}))
        return found

    def _relabelled(self, target: Target, labels: Mapping[str, str]) -> Mapping[str, str] | None:
        return traefik.revision_series(self.made.drilled, labels) if target.name == traefik.TARGET else labels

    async def _fetch(self, target: Target) -> bytes:
        pod = self.fleet.pods.get(target.name)
        try:
            if target.name == traefik.TARGET:
                return await self.reach.url(target.url)
            if pod is None:
                raise ValueError(f"{target.name} is gone")
            return await self.reach.get(pod, PORT, "/metrics")
        except WorldError as error:
            raise ValueError(str(error)) from None

    def _seconds(self) -> float:
        return self.clock.now_us() / MICROSECONDS

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(error)


def _standing(pod: Pod) -> str:
    """How a pod stands that is not ready."""
    if pod.running:
        return "its container runs but its probes fail: is --image the application under test?"
    return pod.waiting or pod.phase


def _other(revision: Revision) -> Revision:
    return REVISIONS[0] if revision == REVISIONS[1] else REVISIONS[1]
