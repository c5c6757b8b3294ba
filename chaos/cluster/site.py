"""Drills in a cluster: see `chaos.site.Site`."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import math
import time
from typing import Any, Final

from chaos.clock import MICROSECONDS
from chaos.cluster import door as doors
from chaos.cluster import gateway, objects, sweeping
from chaos.cluster import place as places
from chaos.cluster.injectors import Injectors
from chaos.cluster.objects import Drilled
from chaos.cluster.observed import ObservedWorld
from chaos.cluster.pod import ADMIN_PORT, Pod
from chaos.cluster.safety import Hold
from chaos.cluster.world import ClusterWorld
from chaos.faults.knobs import Circumstances, Knobs
from chaos.faults.plan import FaultPlan
from chaos.injectors.board import KnobBoard
from chaos.injectors.protocol import FaultInjector
from chaos.local.processes import Processes
from chaos.local.runs import Run
from chaos.metrics.scraper import Scraper
from chaos.results import Pods
from chaos.site import Around, Target, prometheus_of
from chaos.world import WorldError

_RESIDENT_MIB: Final = 45.0  #: of a replica without a leak, where no scrape has told yet
_SPARE_SECONDS: Final = 600.0
_REACH_SECONDS: Final = 10.0  #: real time within which the first connection must succeed


class ClusterSite:
    """One drill in a namespace of a cluster; its journal, its traffic and its warden are on this machine."""

    name = "cluster"

    def __init__(self, around: Around) -> None:
        plan, run = around.plan, around.run
        assert plan.settings.cluster is not None
        self._around, self._settings = around, plan.settings.cluster
        self._door = doors.opened(self._settings)
        self._router = None if self._settings.observe else gateway.router(self._door, self._settings)
        self.processes = Processes(run)
        circumstances = Circumstances(service=plan.scenario.service, speed=plan.speed, resident_mib=_RESIDENT_MIB)
        self._board = KnobBoard(circumstances, tell=self._turn)
        lasts = plan.lead_seconds + plan.deadline_seconds + plan.tail_seconds + _SPARE_SECONDS
        self.drilled = Drilled(
            id=run.id.lower(),
            name=object_name(plan.scenario.service.name, run),
            namespace=self._settings.namespace,
            image=self._settings.image,
            speed=plan.speed,
            expires=math.ceil(self._door.kube.now() + lasts),
        )
        self.world = self._observed() if self._settings.observe else self._own()
        self._injectors = Injectors(
            self._door.kube,
            lambda: self.world.made.drilled if isinstance(self.world, ClusterWorld) else self.drilled,
            lambda: self.world.fleet,
            board=self._board,
            blind=self.world,
            node=self._door.node,
        )
        self._hold = Hold(self._door.kube, self._settings.namespace, self.drilled.id, self._lost)
        self._loop: asyncio.AbstractEventLoop | None = None

    def _own(self) -> ClusterWorld:
        around = self._around
        return ClusterWorld(
            self._door.kube,
            self.drilled,
            around.plan.scenario,
            around.clock,
            gateway=self._router.gateway if self._router is not None else None,
            seed=around.plan.settings.seed,
            extra=self._board.template,
            person=around.person,
            failed=around.failed,
            tell=self._told,
            router_metrics=gateway.router_metrics(self._door, self._settings),
            prometheus=prometheus_of(around),
        )

    def _observed(self) -> ObservedWorld:
        around, settings = self._around, self._settings
        return ObservedWorld(
            self._door.kube,
            settings.namespace,
            settings.observe,
            around.clock,
            tell=around.tell,
            failed=around.failed,
        )

    async def start(self) -> None:
        """See `Site`."""
        self._loop = asyncio.get_running_loop()
        where = await asyncio.to_thread(places.place_of, self._door, self.drilled.namespace, self.drilled.id)
        places.write(self._around.run, where)  # before the first object is made
        await asyncio.to_thread(self._hold.take)
        self.processes.on_lost = self._around.failed
        await self.processes.start(replicas=False)
        await self.world.start(self._around.plan.release)
        await self._reached()

    async def _reached(self) -> None:
        """Whether requests arrive at all; a Service without a Gateway has an address of the cluster's inside.

        Raises:
            WorldError: nobody listens there.
        """
        target, deadline = self.target(), time.monotonic() + _REACH_SECONDS
        while why := await asyncio.to_thread(gateway.unreached, (target.host, target.port)):
            if time.monotonic() > deadline:
                raise WorldError(
                    f"nothing listens at {target.host} port {target.port} as seen from here ({why}): drill from inside "
                    f"the cluster (`rolloutlab schedule`), or through a Gateway (`rolloutlab doctor`)"
                )
            await asyncio.sleep(0.2)

    def target(self) -> Target:
        """See `Site`."""
        settings = self._settings
        if settings.observe:
            assert settings.endpoint is not None
            host, port = settings.endpoint
            headers = {"Host": settings.host} if settings.host else {}
            return Target(
                host=host,
                port=port,
                headers=headers,
                allow=(str(ipaddress.ip_network(host)),),
                by_connection=True,
                version_header=settings.version_header,
            )
        if self._router is not None:
            host, port = self._router.address
        else:
            host, port = gateway.service_address(self._door, self.drilled.named("all"), self.drilled.namespace)
        return Target(
            host=host,
            port=port,
            headers={"Host": objects.host(self.drilled)},
            allow=(str(ipaddress.ip_network(host)),),
            by_connection=self._router is None,
        )

    def arm(self, fault: FaultPlan) -> None:
        """See `Site`."""
        if fault.engine == "application":
            self._board.begin(fault)

    def injector(self, fault: FaultPlan) -> FaultInjector:
        """See `Site`."""
        return self._injectors.of(fault)

    def scraper(self) -> Scraper | None:
        """See `Site`."""
        return self.world.scraper if isinstance(self.world, ClusterWorld) else None

    def ready(self) -> int:
        """See `Site`."""
        return self.world.fleet.ready()

    def pods(self, until: float) -> Pods:
        """See `Site`."""
        plan, clock = self._around.plan, self._around.clock
        seconds = min((until - clock.began) * plan.speed, plan.scenario.horizon_seconds)
        return self.world.fleet.summary(seconds * MICROSECONDS)

    def end(self) -> bool:
        """See `Site`: the objects of the drill are deleted, which ends its pods and its route."""
        if isinstance(self.world, ClusterWorld):
            self.world.made.remove()
        return True

    async def stop(self) -> None:
        """See `Site`."""
        await self.world.stop()
        await self._injectors.close()
        await self.processes.stop()

    async def clear(self) -> list[str]:
        """See `Site`."""
        loop = asyncio.get_running_loop()

        def away(reason: str) -> None:
            loop.call_soon_threadsafe(functools.partial(self._around.tell, "trouble", "sweep", reason=reason))

        try:
            left = await asyncio.to_thread(
                sweeping.clear, self._door.kube, self.drilled.namespace, self.drilled.id, away=away
            )
            await asyncio.to_thread(self._hold.release)
        except WorldError as error:
            await asyncio.to_thread(self._hold.let_go)
            left = [f"objects of drill {self.drilled.id} in namespace {self.drilled.namespace}: {error}"]
        if left:
            return left
        return await asyncio.to_thread(self._around.run.clear)

    # -- knobs ----------------------------------------------------------------------------------------------------

    def _told(self, kind: str, who: str, **facts: Any) -> None:
        """A container that runs is one whose knobs are known: those of its template."""
        if kind == "container_started" and isinstance(self.world, ClusterWorld):
            pod = self.world.fleet.pods[who]
            self._board.began(pod, self.world.made.given.get(pod.revision, {}), time.monotonic())
        self._around.tell(kind, who, **facts)

    async def _turn(self, pod: Pod, knobs: Knobs) -> bool:
        assert isinstance(self.world, ClusterWorld)  # nobody else's application has knobs
        try:
            await self.world.reach.post(pod, ADMIN_PORT, "/admin/knobs", knobs)
        except WorldError:
            return False
        return True

    def _lost(self, error: WorldError) -> None:
        """In the thread of the lease."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._around.failed, error)


def object_name(service: str, run: Run) -> str:
    """Begins the names of all objects: the service's, as far as Kubernetes takes it, and what tells runs apart."""
    plain = "".join(each if each.isalnum() and each.isascii() else "-" for each in service.lower()).strip("-")[:30]
    if not plain[:1].isalpha():  # the name of a Service begins with a letter
        plain = f"service-{plain}"[:30]
    return f"{plain.rstrip('-')}-{run.id.rpartition('-')[2]}"
