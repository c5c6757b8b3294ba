"""Memory that is really allocated, written to, and never given back; and the limit at which the process ends."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Final

MIB: Final = 1_048_576
KILLED: Final = 137  #: exit code of a container that the kernel killed for its memory
_CHUNK_BYTES: Final = 65_536  #: smaller pieces are owed until they make one
_LARGEST_BYTES: Final = 64 * MIB
_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = resource.getpagesize()


def resident_bytes() -> int:
    """Resident memory of this process, as the kernel counts it."""
    return int(_STATM.read_bytes().split()[1]) * _PAGE_BYTES


class Memory:
    """What this process has leaked, and its limit.

    Attributes:
        limit_mib: resident memory above which the process ends itself, with what the kernel's killer would have been
            seen as; 0: no limit.
    """

    def __init__(self) -> None:
        self.limit_mib = 0.0
        self._held: list[bytes] = []
        self._owed_bytes = 0.0

    def fill_up_to(self, mib: float) -> None:
        """Allocate until the process is as large as this."""
        self.leak(max(0.0, mib - resident_bytes() / MIB))

    def leak(self, mib: float) -> None:
        """Allocate and keep; ends the process when that takes it above its limit."""
        self._owed_bytes += mib * MIB
        while self._owed_bytes >= _CHUNK_BYTES:
            size = min(int(self._owed_bytes), _LARGEST_BYTES)
            self._held.append(b"\1" * size)  # written to: a page that nobody touched is not resident
            self._owed_bytes -= size
            self.check()

    def check(self) -> None:
        """End the process when it is above its limit."""
        if self.limit_mib and (resident := resident_bytes() / MIB) > self.limit_mib:
            sys.stderr.write(
                f"memory: {resident:.1f} MiB resident, MEMORY_LIMIT_MIB {self.limit_mib:g}: "
                f"ended with {KILLED} (emulated: the kernel would have killed it)\n"
            )
            sys.stderr.flush()
            os._exit(KILLED)
