"""The injector of Chaos Mesh: a fault is one object for the pods that are there, and a small one for each later pod.

Chaos Mesh selects once, when an object is created, and counts its duration from there. So pods are named, a pod that
comes later gets an object of its own with the rest of the duration, and where a fault ends with the container (stress,
HTTP) so does a pod whose container was restarted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from chaos.cluster.pod import Pod
from chaos.faults.chaos_mesh import Chaos
from chaos.injectors.chaos_mesh_ledger import LEAST_SECONDS, LOOK_SECONDS, Ledger, Place
from chaos.injectors.chaos_mesh_objects import remove, told
from chaos.injectors.coverage import Covered
from chaos.injectors.protocol import Targets
from chaos.timeline import Moment
from chaos.world import WorldError

_SLACK_SECONDS: Final = 30.0  #: a duration counts from creation, and injection takes its time


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshFault:
    """One fault of a drill as Chaos Mesh does it.

    Attributes:
        number: its place among the faults of the drill.
        chaos: what happens; whom it hits is said anew for each object.
        replicas: how many pods of each revision, the first ones; None: all, also those that come later.
        for_seconds: real time after which it is to end by itself; None: when it is taken back.
        notes: what is not as the scenario says, in words.
    """

    number: int
    kind: str
    chaos: Chaos
    revisions: tuple[str, ...]
    replicas: int | None = None
    for_seconds: float | None = None
    notes: tuple[str, ...] = ()


class ChaosMesh:
    """Satisfies `FaultInjector`.

    Args:
        pods: all pods of the service as they are now; those of the fault's revisions are chosen from them.
        can: what `capabilities` answers.
    """

    def __init__(
        self, fault: MeshFault, place: Place, pods: Callable[[], Sequence[Pod]], *, can: frozenset[str] = frozenset()
    ) -> None:
        self._fault, self._place, self._pods, self._can = fault, place, pods, can
        self._ledger = Ledger(fault.chaos, fault.number, place)
        self._active = False
        self._ends = place.expires_at
        self._changing = asyncio.Lock()

    @property
    def engine(self) -> str:
        """Who injects: `chaos-mesh`, unless an object says that somebody else acts on it."""
        return self._ledger.engine

    def plan(self) -> Targets:
        """See `FaultInjector`; `check` asks the server as well."""
        fault = self._fault
        what = f"{fault.kind} by {fault.chaos.kind.kind}: {'; '.join((_short(fault.chaos), *fault.notes))}"
        pods = tuple(pod.name for pod in self._chosen())
        return Targets(what=what, engine=self.engine, revisions=fault.revisions, pods=pods)

    async def check(self) -> None:
        """Have the server look at the object, webhooks included, without making it.

        Raises:
            WorldError: it would be refused, and why.
        """
        await self._ledger.create(self._ledger.body(self._chosen(), self._place.expires_at), dryRun="All")

    async def inject(self) -> None:
        """See `FaultInjector`; objects of a harness that was killed are taken over."""
        if self._active:
            return
        async with self._changing:
            rest = self._place.expires_at - time.time()
            if self._fault.for_seconds is not None:
                rest = min(rest, self._fault.for_seconds + _SLACK_SECONDS)
            if rest < LEAST_SECONDS:
                raise WorldError(f"{self._fault.kind}: the time of the drill is over, {-rest:.0f} s ago")
            self._ends = await self._ledger.adopt() or time.time() + rest
            if not self._ledger.entries and (due := self._due()):
                await self._ledger.give(due, self._ends)
            self._active = True

    async def await_injected(self) -> Moment:
        """See `FaultInjector`; as long as there is no pod there is nothing to wait for but pods.

        Raises:
            WorldError: an object was not in place in time; with its name, and what its events and records say.
        """
        while True:
            await self.ensure()
            placed = [each.placed for each in self._ledger.entries.values() if each.placed is not None]
            if placed:
                return min(placed, key=lambda moment: moment.hi)
            if (late := self._ledger.late()) is not None:
                raise WorldError(await self._ledger.why(late))
            await asyncio.sleep(LOOK_SECONDS)

    async def ensure(self) -> list[str]:
        """See `FaultInjector`; a kill is of the pods that were there, and is not repeated."""
        async with self._changing:
            if not self._active:
                return []
            once = self._fault.chaos.bound == "once"
            due = [] if once and self._ledger.entries else self._due()
            if due and self._ends - time.time() > LEAST_SECONDS:
                # The first pods share an object; each later one gets its own, so that none waits for another.
                for some in [[pod] for pod in due] if self._ledger.entries else [due]:
                    await self._ledger.give(some, self._ends)
            fresh = await self._ledger.look(self._pods())
            if not once:
                await self._ledger.tidy(self._pods())
            return fresh

    async def recover(self) -> None:
        """See `FaultInjector`."""
        self._ledger.coverage.over(time.monotonic())
        async with self._changing:
            self._active = False
            await self._ledger.delete(await self._ledger.mine())

    async def await_recovered(self) -> list[str]:
        """See `FaultInjector`: an object goes when no target bears the fault any more."""
        deadline = time.monotonic() + self._place.patience_seconds
        while (left := await self._ledger.mine()) and time.monotonic() < deadline:
            await self._ledger.delete(left)
            await asyncio.sleep(LOOK_SECONDS)
        return [told(self._fault.chaos.kind, each) for each in left]

    async def sweep(self) -> list[str]:
        """See `FaultInjector`: all objects of the drill, also those of a harness that was killed."""
        place = self._place
        return await remove(place.kube, place.namespace, drill=place.drill, seconds=place.patience_seconds)

    def capabilities(self) -> frozenset[str]:
        """See `FaultInjector`."""
        return self._can

    def coverage(self) -> Covered | None:
        """How much of the time of its targets the fault was there; None for a kill, which takes no time."""
        return None if self._fault.chaos.bound == "once" else self._ledger.coverage.covered(time.monotonic())

    # -- pods -----------------------------------------------------------------------------------------------------

    def _chosen(self) -> list[Pod]:
        """Pods that are meant: all that are ready, or the first so many of each revision.

        One that is not ready yet would never get so, which is another fault; one that was hit before stays chosen.
        """
        found, most = list[Pod](), self._fault.replicas
        for revision in self._fault.revisions:
            running = [pod for pod in self._pods() if pod.revision == revision and pod.running and not pod.terminating]
            able = [pod for pod in running if pod.ready or self._ledger.knows(pod)]
            found += sorted(able, key=lambda pod: not self._ledger.knows(pod))[:most]
        return found

    def _due(self) -> list[Pod]:
        """Chosen pods that no object is for; all chosen ones are targets from now on."""
        chosen, now = self._chosen(), time.monotonic()
        for pod in chosen:
            self._ledger.coverage.meant(self._ledger.life(pod), pod.name, now)
        return [pod for pod in chosen if not self._ledger.given(pod)]


def _short(chaos: Chaos) -> str:
    """The spec but for whom it hits, in one line."""
    spec = {key: value for key, value in chaos.spec().items() if key not in ("selector", "mode", "value", "duration")}
    return ", ".join(f"{key}={value}" for key, value in spec.items())
