"""The knobs of all replicas as the active faults want them: told to those that run, given to those that start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

from chaos.faults.knobs import Bearer, Circumstances, Knobs, Turn, base, start_seconds, turn_of
from chaos.faults.plan import FaultPlan
from chaos.timeline import Moment
from strategies.effects import Revision

Life: TypeAlias = tuple[str, int]  #: a process: its pod, and how often that had been restarted


class Bearing(Protocol):
    """A pod whose application has knobs.

    Attributes: `life` of its present process; `listens`: its knobs can be turned now.
    """

    @property
    def name(self) -> str: ...
    @property
    def revision(self) -> Revision: ...
    @property
    def life(self) -> Life: ...
    @property
    def alive(self) -> bool: ...
    @property
    def listens(self) -> bool: ...


#: turns the knobs of one process; false when it does not answer, as one that is ending or hangs
Tell = Callable[[Any, Knobs], Awaitable[bool]]


class KnobBoard:
    """Which faults act in the applications of which pods.

    One board serves all application faults of a drill: several faults of one pod are turned together, so that none
    undoes another. `settings` is what a starting process gets, so that it bears a fault from its first request on;
    every process that a world starts must ask for it, or be told of by `began`.
    """

    def __init__(self, around: Circumstances, *, tell: Tell) -> None:
        self.around, self._send = around, tell
        self._active: dict[int, tuple[FaultPlan, Turn, float]] = {}  #: by number; since when, in monotonic seconds
        self._chosen: dict[int, frozenset[str]] = {}  #: faults that act in some pods only
        self._started: dict[Life, float] = {}
        self._known: dict[Life, tuple[Knobs, Moment]] = {}  #: what a process is known to have, and when it got it
        self._turning = asyncio.Lock()

    def begin(self, plan: FaultPlan, pods: frozenset[str] | None = None) -> None:
        """Let a fault act from now on; in these pods only, where they are given."""
        if plan.number not in self._active:
            self._active[plan.number] = (plan, turn_of(plan, self.around), time.monotonic())
            if pods is not None:
                self._chosen[plan.number] = pods

    def end(self, plan: FaultPlan) -> None:
        """Let it act no longer."""
        self._active.pop(plan.number, None)
        self._chosen.pop(plan.number, None)

    def settings(self, pod: Bearing) -> Mapping[str, Any]:
        """What a process of a pod gets at its start, beside what the scenario says."""
        now = time.monotonic()
        self._started[pod.life] = now
        self._known[pod.life] = (self._knobs(pod, now), Moment(now, now))
        return self._of_start(self._known[pod.life][0], self._plans(pod.revision, pod.name))

    def template(self, revision: Revision) -> Mapping[str, Any]:
        """The same for all pods that will be made from one template now."""
        now, plans = time.monotonic(), self._plans(revision, "")
        knobs = base(self.around)
        for _, turn, since in plans:
            turn(knobs, Bearer(max(0.0, since - now)))
        return self._of_start(knobs, plans)

    def _of_start(self, knobs: Knobs, plans: list[tuple[FaultPlan, Turn, float]]) -> Mapping[str, Any]:
        if not plans:
            return {}
        late = sum(start_seconds(plan, self.around) for plan, _, _ in plans)
        start = {"START_SECONDS": self.around.service.startup.start_seconds / self.around.speed + late} if late else {}
        return {**knobs, **start}

    def began(self, pod: Bearing, given: Mapping[str, Any], at: float) -> None:
        """A process that was started by somebody else was seen to run, with what `template` had given."""
        if pod.life not in self._started:
            self._started[pod.life] = at
            knobs = base(self.around)
            self._known[pod.life] = ({name: given.get(name, value) for name, value in knobs.items()}, Moment(at, at))

    def bearers(self, plan: FaultPlan, pods: Iterable[Bearing]) -> dict[str, Moment]:
        """Pods whose process is known to bear a fault, and when it was given to them."""
        found = {}
        for pod in pods:
            if self._there(pod) and self._bears(pod, plan) and self._has(pod):
                found[pod.name] = self._known[pod.life][1]
        return found

    def _bears(self, pod: Bearing, plan: FaultPlan) -> bool:
        return any(each is plan for each, _, _ in self._plans(pod.revision, pod.name))

    def behind(self, pods: Iterable[Bearing]) -> list[Bearing]:
        """Running pods that do not have their knobs yet."""
        return [pod for pod in pods if pod.listens and self._there(pod) and not self._has(pod)]

    async def turn(self, pods: Iterable[Bearing]) -> list[str]:
        """Tell every running process its knobs; the names of pods that have them only now."""
        async with self._turning:
            behind = self.behind(pods)
            done = await asyncio.gather(*(self._tell(pod) for pod in behind))
        return [pod.name for pod, told in zip(behind, done, strict=True) if told]

    # -- one pod --------------------------------------------------------------------------------------------------

    def _plans(self, revision: Revision, name: str) -> list[tuple[FaultPlan, Turn, float]]:
        found = []
        for number, (plan, turn, since) in sorted(self._active.items()):
            if revision in plan.revisions and name in self._chosen.get(number, (name,)):
                found.append((plan, turn, since))
        return found

    def _knobs(self, pod: Bearing, started: float | None = None) -> Knobs:
        began = self._started[pod.life] if started is None else started
        knobs = base(self.around)
        for _, turn, since in self._plans(pod.revision, pod.name):
            turn(knobs, Bearer(max(0.0, since - began)))
        return knobs

    def _there(self, pod: Bearing) -> bool:
        """It has a process, and it is known what that was started with."""
        return pod.alive and pod.life in self._started

    def _has(self, pod: Bearing) -> bool:
        return self._known[pod.life][0] == self._knobs(pod)

    async def _tell(self, pod: Bearing) -> bool:
        life, knobs, asked = pod.life, self._knobs(pod), time.monotonic()
        if not await self._send(pod, knobs):
            return False
        self._known[life] = (knobs, Moment(asked, time.monotonic()))
        return True
