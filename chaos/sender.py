"""The load generator of a drill: started in the run, watched, ended, and its report."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from chaos.clock import MICROSECONDS
from chaos.load.config import Load, Users
from chaos.local.processes import Process, Processes
from chaos.plan import Plan
from chaos.site import Target
from chaos.tail import Tail
from chaos.world import WorldError

_BEGIN_SECONDS: Final = 15.0  #: real time within which it must have begun
_END_SECONDS: Final = 20.0  #: real time that it may take: a second for answers, then its report
_SPARE_SECONDS: Final = 10.0  #: beyond what a drill can take: it ends by itself when nobody ends it
_MOST_USERS: Final = 1_000_000


class Sender:
    """One generator; `report` is there after `end`."""

    def __init__(self, plan: Plan, tail: Tail, *, failed: Callable[[BaseException], None]) -> None:
        self._plan, self._tail, self._failed = plan, tail, failed
        self._process: Process | None = None
        self._processes: Processes | None = None
        self.report: dict[str, Any] | None = None

    @property
    def began(self) -> bool:
        """It was started."""
        return self._process is not None

    async def start(self, processes: Processes, target: Target, *, lead_seconds: float, seed: int) -> float:
        """Start it so many real seconds before the rollout (negative: after); monotonic seconds of its second 0.

        Raises:
            WorldError: it does not begin.
        """
        path = self._tail.next_path
        config = path.with_suffix(".json")
        config.write_text(self._load(target, path, lead_seconds, seed).to_json())
        argv = [sys.executable, "-m", "chaos.load", "--config", str(config)]
        self._processes = processes
        self._process = process = await processes.execute("load", argv, "load.log")
        try:
            async with asyncio.timeout(_BEGIN_SECONDS):
                began = await self._second_0(process, path)
        except TimeoutError:
            raise WorldError(f"the load generator did not begin within {_BEGIN_SECONDS:g} s") from None
        process.on_exit = self._died
        return began

    async def _second_0(self, process: Process, path: Path) -> float:
        while True:
            self._tail.read()
            log = self._tail.latest
            if log is not None and log.path == path and log.began_us is not None:
                return log.began_us / MICROSECONDS
            if not process.alive:
                raise WorldError(f"the load generator ended: {self._words()}")
            await asyncio.sleep(0.02)

    def _load(self, target: Target, path: Path, lead_seconds: float, seed: int) -> Load:
        plan, users = self._plan, self._plan.scenario.users
        duration = max(0.0, lead_seconds) + plan.deadline_seconds + plan.tail_seconds + _SPARE_SECONDS
        schedule: dict[str, Any] = {"steps": plan.steps_from(lead_seconds)}
        if plan.settings.clients is not None:
            schedule = {"clients": plan.settings.clients}
        return Load(
            host=target.host,
            port=target.port,
            headers=target.headers,
            allow=target.allow,
            version_header=target.version_header,
            new_connection_share=target.new_connection_share,
            learn_seconds=max(0.0, lead_seconds) if target.version_header else 0.0,
            log=str(path),
            duration_seconds=duration,
            seed=seed,
            max_rate_per_second=max(1.0, 1.01 * plan.peak_per_second),
            max_requests=min(5_000_000, int(2 * duration * plan.peak_per_second) + 10_000),
            max_lag_seconds=plan.max_lag_seconds,
            users=Users(count=min(users.count, _MOST_USERS), zipf=users.zipf) if users is not None else None,
            **schedule,
        )

    def _died(self, process: Process) -> None:
        self._failed(WorldError(f"the load generator ended with {process.exited.result()}: {self._words()}"))

    def _words(self) -> str:
        assert self._processes is not None
        return self._processes.log_tail("load.log") or "no message"

    async def end(self, *, lost: bool = False) -> None:
        """End it and read its report; `lost`: its process is gone with all others."""
        process, processes = self._process, self._processes
        if process is None or processes is None:
            return
        process.on_exit = None
        if process.alive and not lost:
            await processes.signal(process, signal.SIGTERM)
            try:
                await asyncio.wait_for(asyncio.shield(process.exited), _END_SECONDS)
            except TimeoutError:
                await processes.signal(process, signal.SIGKILL)
        latest = self._tail.latest
        report = Path(f"{latest.path}.json") if latest is not None else None
        if report is not None and report.is_file():
            self.report = json.loads(report.read_text())
