"""One system call that the standard library lacks: a signal for a process whose parent has died."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

_SET_PDEATHSIG: Final = 1


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies; called in a child, right after the fork.

    Args:
        parent: the process that must live; when it is gone already, this one ends at once.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)
