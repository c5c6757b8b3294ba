"""Hold the packets that a pod sends: what netem does, where the kernel has no netem.

A rule leads them into a queue that this process reads. When it dies, the rule lets them pass.
"""

from __future__ import annotations

import heapq
import itertools
import random
import time
from typing import Any, Final

from chaos.cluster.native.injection import RefusedError
from chaos.cluster.native.watch import Watch

MOST: Final = 20_000  #: packets that are held; the kernel drops what comes on top
_COPY_PACKET: Final = 2  #: NFQNL_COPY_PACKET, of which a few bytes do: the verdict does not depend on what they say
_COPIED_BYTES: Final = 40
_BUFFER_BYTES: Final = 4 << 20  #: of messages of the kernel that were not read yet
_FIRST, _LAST = 20_000, 60_000  #: numbers of queues that no program uses by habit


class DelayLine:
    """A queue of the network namespace that this process is in.

    Args:
        latency_seconds: how long each packet is held, with up to `jitter_seconds` more or less, uniformly. Packets
            overtake each other where that says so.

    Attributes worth reading: `number`, the queue's.
    """

    def __init__(self, latency_seconds: float, jitter_seconds: float) -> None:
        self._latency, self._jitter = latency_seconds, jitter_seconds
        self._held: list[tuple[float, int, Any]] = []
        self._order = itertools.count()
        self._dice = random.Random()
        self.number = self._dice.randrange(_FIRST, _LAST)
        try:
            from netfilterqueue import NetfilterQueue
        except ImportError:
            raise RefusedError(lacks()) from None
        self._queue = NetfilterQueue()
        try:
            self._queue.bind(self.number, self._hold, MOST, _COPY_PACKET, _COPIED_BYTES, _BUFFER_BYTES)
        except OSError as error:
            raise RefusedError(f"the kernel gives no packet queue: {error}") from None

    def serve(self, watch: Watch) -> str:
        """Hold packets until there is a reason to end."""
        while True:
            wait = max(0.0, self._held[0][0] - time.monotonic()) if self._held else None
            if (why := watch.wait(self._queue.get_fd(), seconds=wait)) is not None:
                return why
            self._queue.run(block=False)
            self._let_go(until=time.monotonic())

    def close(self) -> None:
        """Let all packets go; the rule must be gone."""
        self._queue.run(block=False)
        self._let_go(until=float("inf"))
        self._queue.unbind()

    def _hold(self, packet: Any) -> None:
        packet.retain()
        due = time.monotonic() + self._latency + self._dice.uniform(-self._jitter, self._jitter)
        heapq.heappush(self._held, (due, next(self._order), packet))

    def _let_go(self, until: float) -> None:
        while self._held and self._held[0][0] <= until:
            heapq.heappop(self._held)[2].accept()


def lacks() -> str:
    """What is missing for it on this machine, in words; empty when nothing is."""
    try:
        import netfilterqueue  # noqa: F401
    except ImportError:
        return (
            "netfilterqueue is not installed: pip install netfilterqueue (Debian: libnetfilter-queue-dev and gcc first)"
        )
    return ""
