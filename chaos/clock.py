"""The clock of a real rollout: monotonic time, sped up, with the order of equal instants that the simulator keeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from heapq import heappop, heappush

MICROSECONDS = 1_000_000


class LiveClock:
    """Scenario time since a rollout began: real monotonic time times `speed`.

    Args:
        speed: scenario seconds per real second; above 1 a drill is sped up.
        began: `time.monotonic()` at scenario time 0; now when not given. A rollout that is resumed gives the time at
            which it first began, so that a wait ends at its original deadline.
    """

    def __init__(self, speed: float = 1.0, *, began: float | None = None) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be above 0, got {speed}")
        self.speed = speed
        self.began = time.monotonic() if began is None else began
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self.failed: Callable[[BaseException], None] | None = None  #: told of an error of something that was due

    def now_us(self) -> int:
        """Microseconds of scenario time."""
        return round((time.monotonic() - self.began) * self.speed * MICROSECONDS)

    def real(self, at_us: int) -> float:
        """The monotonic time, in seconds, of an instant of the scenario."""
        return self.began + at_us / (self.speed * MICROSECONDS)

    def real_seconds(self, seconds: float) -> float:
        """How long a scenario time takes in truth."""
        return seconds / self.speed

    async def sleep(self, seconds: float) -> None:
        """Sleep for a scenario time."""
        await asyncio.sleep(seconds / self.speed)

    def call_later(self, delay_us: int, function: Callable[[], None]) -> None:
        """Call a function once, `delay_us` of scenario time from now; equal instants run first in, first out."""
        self.call_at(self.now_us() + delay_us, function)

    def call_at(self, time_us: int, function: Callable[[], None]) -> None:
        """Call a function once, at an instant of scenario time; what is overdue runs as soon as possible, in order."""
        self._count += 1
        heappush(self._due, (time_us, self._count, function))
        if self._due[0][1] == self._count:
            self._arm()

    def close(self) -> None:
        """Drop all that is due."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        delay = self.real(self._due[0][0]) - time.monotonic()
        self._timer = loop.call_later(max(0.0, delay), self._run)

    def _run(self) -> None:
        self._timer = None
        now_us = self.now_us()
        try:
            while self._due and self._due[0][0] <= now_us:
                heappop(self._due)[2]()
        except Exception as error:
            if self.failed is None:
                raise
            self.failed(error)
        finally:
            if self._due and self._timer is None:
                self._arm()
