"""The load generator: sends requests when they are due, whatever became of the earlier ones, and says how late it was.

In an open loop nothing that the target does changes when requests are due, and each latency is from that time: a target
that stands still is seen by all who would have come meanwhile, not by one. What the generator itself adds is its lag:
how much later than due it began to send. A run whose lag is too large, or that had to hold requests back, says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

import numpy as np

from chaos.load.arrivals import Requests
from chaos.load.client import NOT_SENT, Client, now_us
from chaos.load.config import Load
from chaos.load.log import TrafficLog, TrafficWriter, quantiles, summary

FLUSH_SECONDS: Final = 0.05
GRACE_SECONDS: Final = 1.0  #: for answers that are under way when the run is ended early
_LEAD_SECONDS: Final = 0.05  #: from the start of the process' work to second 0 of the schedule

Arrival = tuple[int, int, bool]  #: intended_us, user, fresh


class Generator:
    """One run.

    Attributes:
        problems: why this is no measurement, in words; empty when it is one.
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        self.problems: list[str] = []
        self._requests = Requests(load)
        self._held: deque[Arrival] = deque()
        self._held_back = 0
        self._open: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._stopped_by = "duration"
        self._pacing: asyncio.Task[None] | None = None
        self._error: BaseException | None = None

    def stop(self, why: str) -> None:
        """End the run: nothing more is sent, and answers have little time left."""
        if self._stopped.is_set():
            return
        self._stopped_by = why
        self._stopped.set()
        if self._pacing is not None:
            self._pacing.cancel()

    async def run(self) -> dict[str, Any]:
        """Send everything; returns the report.

        Raises:
            OSError: the log cannot be written at all.
        """
        cpu_began, wall_began = time.process_time(), time.monotonic()
        began_us = now_us() + round(_LEAD_SECONDS * 1e6)
        log = TrafficWriter(Path(self.load.log), began_us)
        flushing = asyncio.create_task(self._flush(log))
        try:
            async with Client(self.load, log, self._requests.carriers, began_us) as client:
                pace = self._open_loop if self.load.open_loop else self._closed_loop
                if not self._stopped.is_set():
                    self._pacing = asyncio.create_task(pace(client, began_us))
                    with contextlib.suppress(asyncio.CancelledError):
                        await self._pacing
                await self._last_answers(client)
        finally:
            flushing.cancel()
            self._flush_once(log)
            log.close()
        if self._error is not None:
            raise self._error
        wall = time.monotonic() - wall_began
        return self._report(began_us, wall, (time.process_time() - cpu_began) / wall)

    # -- requests that are due ------------------------------------------------------------------------------------

    async def _open_loop(self, client: Client, began_us: int) -> None:
        for block in self._requests.blocks():
            due_us = (began_us + np.rint(block.due_seconds * 1e6).astype(np.int64)).tolist()
            for arrival in zip(due_us, block.users.tolist(), block.fresh.tolist(), strict=True):
                await _until(arrival[0])
                if len(self._open) < self.load.max_open and not self._held:
                    self._begin(client, arrival)
                else:
                    self._held_back += 1
                    self._held.append(arrival)
        end_us = began_us + round(self.load.duration_seconds * 1e6)
        await _until(end_us)
        while self._held and now_us() < end_us + self.load.timeout_seconds * 1e6:
            await asyncio.sleep(0.01)  # as long as somebody could be waiting

    async def _closed_loop(self, client: Client, began_us: int) -> None:
        """Clients that wait for their answers, all together below the highest rate."""
        load, end_us = self.load, began_us + round(self.load.duration_seconds * 1e6)
        gap_us, slot_us, left = 1e6 / load.max_rate_per_second, float(began_us), load.max_requests

        async def one(number: int) -> None:
            nonlocal slot_us, left
            think = random.Random(f"{load.seed}/{number}")
            due_us = float(began_us)
            while left > 0 and (due_us := max(due_us, slot_us + gap_us)) < end_us:
                slot_us = due_us
                left -= 1
                await _until(round(due_us))
                block = self._requests.block(np.zeros(1))
                sent = self._begin(client, (round(due_us), int(block.users[0]), bool(block.fresh[0])))
                await asyncio.shield(sent)  # the end of the run leaves it a moment for its answer
                due_us = now_us() + (think.expovariate(1 / load.think_seconds) * 1e6 if load.think_seconds else 0)

        await asyncio.gather(*(one(number) for number in range(load.clients or 0)))

    def _begin(self, client: Client, arrival: Arrival) -> asyncio.Task[None]:
        task = asyncio.create_task(client.send(*arrival))
        self._open.add(task)
        task.add_done_callback(lambda done: self._ended(client, done))
        return task

    def _ended(self, client: Client, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = error
            self.stop("error")
        elif self._held and not self._stopped.is_set():
            self._begin(client, self._held.popleft())

    # -- the end --------------------------------------------------------------------------------------------------

    async def _last_answers(self, client: Client) -> None:
        """Wait for the answers that are under way: each has its own timeout; when told to stop, not for long."""
        stopped = asyncio.create_task(self._stopped.wait())
        while self._open and not self._stopped.is_set():
            await asyncio.wait([*self._open, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if self._open:
            await asyncio.wait(set(self._open), timeout=GRACE_SECONDS)
        for task in (late := set(self._open)):
            task.cancel()
        if late:
            await asyncio.wait(late)
        for arrival in self._held:
            client.not_sent(*arrival)
        self._held.clear()

    async def _flush(self, log: TrafficWriter) -> None:
        while self._flush_once(log):
            await asyncio.sleep(FLUSH_SECONDS)

    def _flush_once(self, log: TrafficWriter) -> bool:
        try:
            log.flush()
        except OSError as error:
            if self._stopped_by != "log":
                self.problems.append(f"the traffic log {log.path} cannot be written: {error.strerror}")
            self.stop("log")
            return False
        return True

    def _report(self, began_us: int, wall_seconds: float, cpu_share: float) -> dict[str, Any]:
        records = TrafficLog(Path(self.load.log)).read_all()
        sent = records[records["reason"] != NOT_SENT]
        lag = quantiles((sent["sent_us"] - sent["intended_us"]) / 1e6)
        if lag["p99"] is not None and lag["p99"] > self.load.max_lag_seconds:
            self.problems.append(
                f"the generator was late: p99 of its lag is {lag['p99'] * 1e3:.1f} ms, "
                f"max_lag_seconds allows {self.load.max_lag_seconds * 1e3:g} ms"
            )
        if self._held_back:
            self.problems.append(
                f"{self._held_back} requests were held back: max_open {self.load.max_open} waited for their answers"
            )
        return {
            "format": "rolloutlab/load-report/v1",
            "loop": "open" if self.load.open_loop else "closed",
            "stopped_by": self._stopped_by,
            "problems": self.problems,
            "began_us": began_us,
            "wall_seconds": wall_seconds,
            "cpu_share": cpu_share,
            "lag_seconds": lag,
            "held_back": self._held_back,
            **summary(records),
        }


async def _until(at_us: int) -> None:
    if (ahead_us := at_us - now_us()) > 0:
        await asyncio.sleep(ahead_us / 1e6)
