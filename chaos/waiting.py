"""Waiting for something to become true in a world, with the progress deadline of Kubernetes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chaos.clock import MICROSECONDS, LiveClock


class Waiting:
    """Args: `progress_us` tells the scenario time at which something last progressed."""

    def __init__(self, clock: LiveClock, progress_us: Callable[[], int]) -> None:
        self._clock, self._progress_us = clock, progress_us
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Something may have become true."""
        self._changed.set()

    async def until(self, true: Callable[[], bool], deadline_seconds: float | None) -> bool:
        """Wait until it is true; false when nothing has progressed for `deadline_seconds` of scenario time."""
        since_us = self._clock.now_us()
        while not true():
            self._changed.clear()
            left = None
            if deadline_seconds is not None:
                due_us = max(since_us, self._progress_us()) + deadline_seconds * MICROSECONDS
                left = self._clock.real_seconds((due_us - self._clock.now_us()) / MICROSECONDS)
                if left <= 0:
                    return False
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                continue  # something may have progressed without a change that was waited for
        return True
