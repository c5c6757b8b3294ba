"""What ends an injection: the agent asks for it, the agent dies, the time is over, or the target is gone."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import Final

from chaos.cluster.native import processes

ASKED: Final = "asked"
EXPIRED: Final = "its longest time is over"
GONE: Final = "the target is gone"
STRESS_ENDED: Final = "the stress ended by itself; was its memory too much for the container?"


class Watch:
    """Args: `pid` is a process whose end is the end of the target, `seconds` the longest that the injection may last.

    Made once in a process: it takes SIGTERM, which the kernel also sends when the agent dies.
    """

    def __init__(self, pid: int, seconds: float) -> None:
        self._woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakes)
        signal.signal(signal.SIGTERM, lambda *_: None)  # only the pipe is looked at, and no call is interrupted
        self._target = processes.watch(pid)
        self._ends = time.monotonic() + seconds

    def files(self) -> list[int]:
        """Descriptors one of which is readable when `why` has an answer before its time is over."""
        return [self._woken, self._target]

    def left(self) -> float:
        """Seconds until the time is over."""
        return max(0.0, self._ends - time.monotonic())

    def why(self) -> str | None:
        """The reason to end, None when there is none yet."""
        ready, _, _ = select.select(self.files(), [], [], 0)
        if self._woken in ready:
            return ASKED
        if self._target in ready:
            return GONE
        return EXPIRED if self.left() <= 0 else None

    def wait(self, *files: int, seconds: float | None = None) -> str | None:
        """Wait for a reason to end; None when one of these descriptors became readable or the seconds passed first."""
        most = self.left() if seconds is None else min(seconds, self.left())
        select.select([*self.files(), *files], [], [], most)
        return self.why()
