"""The clock of one simulated replication: a heap of things to do, in whole microseconds, first in first out on ties."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final, Protocol

FAR: Final = 1 << 62


class Clock(Protocol):
    """What a simulated cluster needs of a clock."""

    now_us: int

    def call_at(self, time_us: int, function: Callable[[Any], None], argument: Any) -> None:
        """Call `function(argument)` at a time that is not in the past."""
        ...


class Heap:
    """A clock that runs its own heap, up to a limit at a time."""

    __slots__ = ("_count", "blocked", "heap", "now_us")

    def __init__(self) -> None:
        self.now_us = 0
        self.heap: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._count = 0
        self.blocked = False  #: set by a caller that must be answered before time goes on

    def call_at(self, time_us: int, function: Callable[[Any], None], argument: Any) -> None:
        """See `Clock`."""
        self._count += 1
        heappush(self.heap, (time_us, self._count, function, argument))

    def next_us(self) -> int:
        """Time of the next thing to do, FAR when there is none."""
        return self.heap[0][0] if self.heap else FAR

    def run_until(self, limit_us: int) -> None:
        """Do everything due before `limit_us`, or up to the moment at which `blocked` is set."""
        heap = self.heap
        while heap and not self.blocked and heap[0][0] < limit_us:
            time_us, _, function, argument = heappop(heap)
            self.now_us = time_us
            function(argument)
