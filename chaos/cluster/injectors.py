"""What puts a fault in place in a cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from chaos.cluster.kinds import POD
from chaos.cluster.kube import Kube
from chaos.cluster.pod import Pod
from chaos.cluster.world import ClusterWorld
from chaos.faults.plan import FaultPlan, ProcessFault
from chaos.injectors.blindness import MetricsBlindness
from chaos.injectors.board import KnobBoard
from chaos.injectors.knobs import AppKnobs, targets_of
from chaos.injectors.protocol import FaultInjector, Targets
from chaos.timeline import Moment
from chaos.world import WorldError

_LOOK_SECONDS: Final = 0.05


def injector_of(plan: FaultPlan, world: ClusterWorld, board: KnobBoard) -> FaultInjector:
    """The injector of a fault; what this world cannot do was refused before."""

    def targets() -> list[Pod]:
        most = plan.fault.replicas if isinstance(plan.fault, ProcessFault) else None
        return [pod for revision in plan.revisions for pod in world.fleet.active(revision)[:most]]

    match plan.engine:
        case "application":
            return AppKnobs(plan, board, everyone=lambda: list(world.fleet.pods.values()), targets=targets)
        case "scraper":
            return MetricsBlindness(plan, world)
        case "processes" if isinstance(plan.fault, ProcessFault) and plan.fault.kind == "kill":
            return PodKill(plan, world.kube, targets)
    raise WorldError(f"{plan.kind} by {plan.engine}: this world cannot do it")


class PodKill:
    """Deletes pods through the API with no grace, once: their containers are killed, their controller replaces them."""

    def __init__(self, plan: FaultPlan, kube: Kube, targets: Callable[[], Sequence[Pod]]) -> None:
        self._fault, self._kube, self._targets = plan, kube, targets
        self._hit: dict[str, Moment] = {}

    def plan(self) -> Targets:
        """See `FaultInjector`."""
        return targets_of(self._fault, "api", "pods are deleted with no grace, once", self._targets())

    async def inject(self) -> None:
        """See `FaultInjector`."""
        await self.ensure()

    async def await_injected(self) -> Moment:
        """See `FaultInjector`."""
        while not self._hit:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.ensure()
        return min(self._hit.values(), key=lambda moment: moment.hi)

    async def ensure(self) -> list[str]:
        """See `FaultInjector`: replacements are left alone."""
        if self._hit:
            return []
        pods = [pod for pod in self._targets() if pod.running]
        asked = time.monotonic()
        for pod in pods:
            await asyncio.to_thread(self._kube.delete, POD, pod.name, pod.namespace, grace_seconds=0)
            self._hit[pod.name] = Moment(asked, time.monotonic())
        return [pod.name for pod in pods]

    async def recover(self) -> None:
        """See `FaultInjector`: what is dead stays dead."""

    async def await_recovered(self) -> list[str]:
        """See `FaultInjector`."""
        return []

    async def sweep(self) -> list[str]:
        """See `FaultInjector`."""
        return []

    def capabilities(self) -> frozenset[str]:
        """See `FaultInjector`."""
        return frozenset({"kill"})
