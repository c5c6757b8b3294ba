"""The injectors of the local world: application knobs, the router's fault filter, signals, and blind metrics."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from chaos.faults.plan import FaultPlan, ProcessFault
from chaos.injectors.blindness import MetricsBlindness
from chaos.injectors.board import KnobBoard
from chaos.injectors.knobs import AppKnobs, targets_of
from chaos.injectors.protocol import FaultInjector, Targets
from chaos.local.envoy import RouterFault
from chaos.local.pods import Pod
from chaos.local.world import LocalWorld
from chaos.timeline import Moment
from chaos.world import WorldError
from scenarios.schema import ErrorRatioFault, LatencyFault
from strategies.effects import Revision

_LOOK_SECONDS: Final = 0.02  #: real time between two looks at what is waited for


def injector_of(plan: FaultPlan, world: LocalWorld, board: KnobBoard) -> FaultInjector:
    """The injector of a fault in the local world."""
    match plan.engine:
        case "application":
            return AppKnobs(plan, board, everyone=world.pods.all, targets=lambda: _targets(plan, world))
        case "router":
            return EnvoyFault(plan, world)
        case "processes":
            return Signals(plan, world)
        case "scraper":
            return MetricsBlindness(plan, world)
    raise WorldError(f"{plan.kind} by {plan.engine}: this world cannot do it")


def _targets(plan: FaultPlan, world: LocalWorld) -> list[Pod]:
    """Pods that a fault hits now: all of its revisions, or the oldest few of each."""
    most = plan.fault.replicas if isinstance(plan.fault, ProcessFault) else None
    return [pod for revision in plan.revisions for pod in world.pods.active[revision][:most]]


class EnvoyFault:
    """The router's fault filter: it answers a share of a revision's requests itself, or holds them.

    With `header` (name, value) only requests that bear it are hit.
    """

    def __init__(self, plan: FaultPlan, world: LocalWorld, header: tuple[str, str] | None = None) -> None:
        self._fault, self._world, self._header = plan, world, header
        self._injected: Moment | None = None

    def plan(self) -> Targets:
        """See `FaultInjector`."""
        what = f"{self._fault.kind} by the router's fault filter, on all requests that it sends to the revision"
        return targets_of(self._fault, "router", what, [])

    async def inject(self) -> None:
        """See `FaultInjector`."""
        asked = time.monotonic()
        await self._change(self._with)
        self._injected = Moment(asked, time.monotonic())

    async def await_injected(self) -> Moment:
        """See `FaultInjector`: Envoy had taken the configuration when `inject` returned."""
        if self._injected is None:
            raise WorldError(f"{self._fault.kind} was not asked for")
        return self._injected

    async def ensure(self) -> list[str]:
        """See `FaultInjector`: the router does not care which pods there are."""
        return []

    async def recover(self) -> None:
        """See `FaultInjector`."""
        await self._change(lambda _: None)

    async def await_recovered(self) -> list[str]:
        """See `FaultInjector`."""
        faults = self._world.envoy.routes.faults
        return [revision for revision in self._fault.revisions if revision in faults]

    async def sweep(self) -> list[str]:
        """See `FaultInjector`: the router ends with the drill."""
        return []

    def capabilities(self) -> frozenset[str]:
        """See `FaultInjector`."""
        return frozenset({"error_ratio", "added_latency"})

    async def _change(self, of: Callable[[RouterFault | None], RouterFault | None]) -> None:
        faults: dict[Revision, RouterFault] = dict(self._world.envoy.routes.faults)
        for revision in self._fault.revisions:
            changed = of(faults.pop(revision, None))
            if changed is not None:
                faults[revision] = changed
        await self._world.envoy.set_routes(faults=faults)

    def _with(self, had: RouterFault | None) -> RouterFault:
        fault, more = self._fault.fault, dict[str, Any]()
        if isinstance(fault, ErrorRatioFault):
            more = {"abort_ratio": min(1.0, fault.ratio * self._fault.severity), "abort_status": 503}
        elif isinstance(fault, LatencyFault):
            more = {"delay_ratio": fault.share, "delay_seconds": fault.add_seconds * self._fault.severity}
        known = {} if had is None else {name: getattr(had, name) for name in RouterFault.__slots__}
        return RouterFault(**{**known, **more, "header": self._header})


class Signals:
    """Kills processes, or stops them with SIGSTOP so that they hang."""

    def __init__(self, plan: FaultPlan, world: LocalWorld) -> None:
        assert isinstance(plan.fault, ProcessFault)
        self._fault, self._world, self._kind, self._most = plan, world, plan.fault.kind, plan.fault.replicas
        self._hit: dict[tuple[str, int], Moment] = {}  #: processes, by pod and process id
        self._names: set[str] = set()
        self._active = False

    def plan(self) -> Targets:
        """See `FaultInjector`."""
        what = "SIGKILL once" if self._kind == "kill" else "SIGSTOP for as long as the fault lasts"
        return targets_of(self._fault, "processes", what, _targets(self._fault, self._world))

    async def inject(self) -> None:
        """See `FaultInjector`."""
        self._active = True
        await self.ensure()

    async def await_injected(self) -> Moment:
        """See `FaultInjector`."""
        while not self._hit:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.ensure()
        return min(self._hit.values(), key=lambda moment: moment.hi)

    async def ensure(self) -> list[str]:
        """See `FaultInjector`."""
        fresh = []
        for pod in self._due():
            assert pod.process is not None
            asked = time.monotonic()
            await self._world.processes.signal(pod.process, signal.SIGKILL if self._kind == "kill" else signal.SIGSTOP)
            self._hit[pod.name, pod.process.pid] = Moment(asked, time.monotonic())
            fresh.append(pod.name)
        return fresh

    def _due(self) -> list[Pod]:
        """Running pods that are meant and were not hit; a restarted process hangs again and is not killed again."""
        found = []
        for pod in self._running():
            if self._meant(pod) and not self._was_hit(pod):
                self._names.add(pod.name)
                found.append(pod)
        return found

    def _running(self) -> list[Pod]:
        pods = [pod for revision in self._fault.revisions for pod in self._world.pods.active[revision]]
        return [pod for pod in pods if pod.admin_port and pod.process is not None and pod.process.alive]

    def _meant(self, pod: Pod) -> bool:
        if not self._active or pod.name in self._names:
            return self._active
        if self._most is not None:
            return sum(name.startswith(pod.revision) for name in self._names) < self._most
        return self._kind == "hang" or not self._hit  # a kill is of those that are there when it comes

    def _was_hit(self, pod: Pod) -> bool:
        assert pod.process is not None
        if self._kind == "kill":
            return pod.name in self._names
        return (pod.name, pod.process.pid) in self._hit

    async def recover(self) -> None:
        """See `FaultInjector`."""
        self._active = False
        if self._kind == "hang":
            for process in self._stopped():
                await self._world.processes.signal(process, signal.SIGCONT)

    def _stopped(self) -> list[Any]:
        living = self._world.processes.processes
        return [living[pid] for _, pid in self._hit if pid in living]

    async def await_recovered(self) -> list[str]:
        """See `FaultInjector`: a signal is handled before the warden answers."""
        return []

    async def sweep(self) -> list[str]:
        """See `FaultInjector`: a stopped process can be killed."""
        return []

    def capabilities(self) -> frozenset[str]:
        """See `FaultInjector`."""
        return frozenset({"kill", "hang"})
