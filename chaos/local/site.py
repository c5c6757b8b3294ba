"""Drills on this machine: replicas are processes, an Envoy routes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Final

import aiohttp

from chaos.clock import MICROSECONDS
from chaos.faults.knobs import Circumstances, Knobs
from chaos.faults.plan import FaultPlan
from chaos.injectors.board import KnobBoard
from chaos.injectors.local import injector_of
from chaos.injectors.protocol import FaultInjector
from chaos.local.pods import Pod
from chaos.local.processes import Processes
from chaos.local.world import LocalWorld
from chaos.metrics.scraper import Scraper
from chaos.results import Pods
from chaos.site import Around, Target, prometheus_of
from scenarios.schema import MemoryLeakFault

_LIMIT: Final = aiohttp.ClientTimeout(total=2.0)


class LocalSite:
    """See `chaos.site.Site`."""

    name = "local"

    def __init__(self, around: Around) -> None:
        plan = around.plan
        self._around = around
        circumstances = Circumstances(service=plan.scenario.service, speed=plan.speed, resident_mib=0.0)
        self._board = KnobBoard(circumstances, tell=self._turn)
        self._session: aiohttp.ClientSession | None = None
        self.world = LocalWorld(
            around.run,
            plan.scenario,
            around.clock,
            seed=plan.settings.seed,
            settings=self._board.settings,
            person=around.person,
            failed=around.failed,
            tell=around.tell,
            prometheus=prometheus_of(around),
        )
        self.processes: Processes = self.world.processes

    async def start(self) -> None:
        """See `Site`."""
        await self.world.start(self._around.plan.release)
        if any(isinstance(each.fault, MemoryLeakFault) for each in self._around.plan.faults):
            self._board.around = replace(self._board.around, resident_mib=_resident_mib(self.world))

    def target(self) -> Target:
        """See `Site`."""
        host, port = self.world.envoy.address
        return Target(host=host, port=port)

    def arm(self, fault: FaultPlan) -> None:
        """See `Site`."""
        if fault.engine == "application":
            self._board.begin(fault)

    async def _turn(self, pod: Pod, knobs: Knobs) -> bool:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_LIMIT)
        try:
            url = f"http://127.0.0.1:{pod.admin_port}/admin/knobs"
            async with self._session.post(url, json=knobs) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def injector(self, fault: FaultPlan) -> FaultInjector:
        """See `Site`."""
        return injector_of(fault, self.world, self._board)

    def scraper(self) -> Scraper | None:
        """See `Site`."""
        return self.world.scraper

    def ready(self) -> int:
        """See `Site`."""
        active = self.world.pods.active
        return sum(pod.ready for revision in ("stable", "canary") for pod in tuple(active[revision]))

    def pods(self, until: float) -> Pods:
        """See `Site`."""
        plan, clock, pods = self._around.plan, self._around.clock, self.world.pods
        end_us = min((until - clock.began) * plan.speed, plan.scenario.horizon_seconds) * MICROSECONDS
        lives = [*pods.lives, *((pod.created_us, end_us) for pod in pods.all())]
        total_us = sum(max(0.0, min(gone, end_us) - max(0, made)) for made, gone in lives)
        return Pods(least_available=pods.least_available, peak=pods.peak, seconds=total_us / MICROSECONDS)

    def end(self) -> bool:
        """See `Site`: replicas, router and all end with it."""
        for pid in self._around.run.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return True

    async def stop(self) -> None:
        """See `Site`."""
        await self.world.stop()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def clear(self) -> list[str]:
        """See `Site`."""
        return await asyncio.to_thread(self._around.run.clear)


def _resident_mib(world: LocalWorld) -> float:
    """What a replica needs without a leak: that of one that runs."""
    for pod in world.pods.active["stable"]:
        if pod.process is not None and pod.process.alive:
            pages = int(Path(f"/proc/{pod.process.pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return 0.0
