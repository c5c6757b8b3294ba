"""The knobs of all replicas as the active faults want them: told to those that run, given to those that start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import aiohttp

from chaos.faults.knobs import Bearer, Circumstances, Knobs, Turn, base, start_seconds, turn_of
from chaos.faults.plan import FaultPlan
from chaos.local.pods import Pod, Pods
from chaos.timeline import Moment

_LIMIT: Final = aiohttp.ClientTimeout(total=2.0)
Life: TypeAlias = tuple[str, int]  #: a process: the name of its pod, and how often that had been restarted


class KnobBoard:
    """Which faults act in the applications of which pods.

    One board serves all application faults of a drill: several faults of one pod are turned together, so that none
    undoes another. `settings` is what a starting process gets, so that it bears a fault from its first request on;
    every process that a world starts must ask for it.
    """

    def __init__(self, around: Circumstances) -> None:
        self.around = around
        self._active: dict[int, tuple[FaultPlan, Turn, float]] = {}  #: by number; since when, in monotonic seconds
        self._chosen: dict[int, frozenset[str]] = {}  #: faults that act in some pods only
        self._started: dict[Life, float] = {}
        self._known: dict[Life, tuple[Knobs, Moment]] = {}  #: what a process is known to have, and when it got it
        self._turning = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

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

    def settings(self, pod: Pod) -> Mapping[str, Any]:
        """What a process of a pod gets at its start, beside what the scenario says."""
        now, life = time.monotonic(), _life(pod)
        self._started[life] = now
        self._known[life] = (self._knobs(pod), Moment(now, now))
        plans = self._plans(pod)
        if not plans:
            return {}
        late = sum(start_seconds(plan, self.around) for plan, _, _ in plans)
        start = {"START_SECONDS": self.around.service.startup.start_seconds / self.around.speed + late} if late else {}
        return {**self._known[life][0], **start}

    def bearers(self, plan: FaultPlan, pods: Pods) -> dict[str, Moment]:
        """Pods whose process is known to bear a fault, and when it was given to them."""
        found = {}
        for pod in pods.all():
            if any(each is plan for each, _, _ in self._plans(pod)) and self._there(pod) and self._has(pod):
                found[pod.name] = self._known[_life(pod)][1]
        return found

    def behind(self, pods: Pods) -> list[Pod]:
        """Running pods that do not have their knobs yet."""
        return [pod for pod in pods.all() if pod.admin_port and self._there(pod) and not self._has(pod)]

    async def turn(self, pods: Pods) -> list[str]:
        """Tell every running process its knobs; the names of pods that have them only now."""
        async with self._turning:
            behind = self.behind(pods)
            done = await asyncio.gather(*(self._tell(pod) for pod in behind))
        return [pod.name for pod, told in zip(behind, done, strict=True) if told]

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # -- one pod --------------------------------------------------------------------------------------------------

    def _plans(self, pod: Pod) -> list[tuple[FaultPlan, Turn, float]]:
        found = []
        for number, (plan, turn, since) in sorted(self._active.items()):
            if pod.revision in plan.revisions and pod.name in self._chosen.get(number, (pod.name,)):
                found.append((plan, turn, since))
        return found

    def _knobs(self, pod: Pod) -> Knobs:
        knobs = base(self.around)
        for _, turn, since in self._plans(pod):
            turn(knobs, Bearer(max(0.0, since - self._started[_life(pod)])))
        return knobs

    def _there(self, pod: Pod) -> bool:
        """It has a process, and that was started by what `settings` said."""
        return pod.process is not None and pod.process.alive and _life(pod) in self._started

    def _has(self, pod: Pod) -> bool:
        return self._known[_life(pod)][0] == self._knobs(pod)

    async def _tell(self, pod: Pod) -> bool:
        """Turn the knobs of one process; false when it does not answer, as one that is ending or hangs."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_LIMIT)
        life, knobs, asked = _life(pod), self._knobs(pod), time.monotonic()
        try:
            url = f"http://127.0.0.1:{pod.admin_port}/admin/knobs"
            async with self._session.post(url, json=knobs) as response:
                if response.status != 200:
                    return False
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        self._known[life] = (knobs, Moment(asked, time.monotonic()))
        return True


def _life(pod: Pod) -> Life:
    return pod.name, pod.restarts
