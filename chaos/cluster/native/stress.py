"""Burn CPU or take memory inside a container's own limits: stress-ng, as a member of the container's cgroups."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from chaos.cluster.native import processes
from chaos.cluster.native.injection import MARK, Injection, RefusedError

_PDEATHSIG: Final = 1
_SECONDS: Final = 5.0  #: until the workers run, or are gone


class Stressor:
    """One stress-ng in the cgroups of a container.

    Only the hierarchies that the stress is about are joined: a worker that burns CPU does not need the pod's memory.
    """

    def __init__(self, injection: Injection, member: int) -> None:
        controllers = ("cpu", "cpuacct", "cpuset") if injection.kind == "cpu_stress" else ("memory", "cpu", "cpuacct")
        # A set: with cgroup v2 all controllers are in one folder.
        folders = {processes.cgroup(member, each) for each in controllers}
        libc = ctypes.CDLL(None)

        def join() -> None:
            for folder in folders:
                (folder / "cgroup.procs").write_text(str(os.getpid()))
            libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

        try:
            self._process = subprocess.Popen(
                [*argv(injection.kind, injection.parameters), "--timeout", str(math.ceil(injection.seconds))],
                preexec_fn=join,
                env={**os.environ, MARK: injection.mark},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise RefusedError("stress-ng is not installed on the node (Debian: stress-ng)") from None
        except subprocess.SubprocessError as error:
            raise RefusedError(f"stress-ng cannot join the cgroups of the container: {error}") from None
        self._await_workers()

    def watch(self) -> int:
        """A descriptor that becomes readable when it has ended by itself, as when its memory was too much."""
        return processes.watch(self._process.pid)

    def ended(self) -> bool:
        """It has ended."""
        return self._process.poll() is not None

    def _await_workers(self) -> None:
        deadline = time.monotonic() + _SECONDS
        while not _children(self._process.pid):
            if self.ended():
                raise RefusedError(f"stress-ng ended at once with exit code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise RefusedError(f"stress-ng had no worker within {_SECONDS:g} s")
            time.sleep(0.002)


def argv(kind: str, parameters: Mapping[str, Any]) -> list[str]:
    """The command line, without its time.

    >>> argv("memory_stress", {"mib": 64})
    ['stress-ng', '--quiet', '--vm', '1', '--vm-bytes', '64M', '--vm-keep', '--vm-hang', '0', '--oomable']
    """
    if kind == "cpu_stress":
        return ["stress-ng", "--quiet", "--cpu", str(parameters["workers"])]
    # It takes the memory, then sleeps for ever (0), so that it burns no CPU; a worker that the kernel kills stays dead.
    memory = ["--vm", "1", "--vm-bytes", f"{parameters['mib']}M", "--vm-keep", "--vm-hang", "0", "--oomable"]
    return ["stress-ng", "--quiet", *memory]


def kill(mark: str) -> list[str]:
    """End the stress processes of an injection; those that live on, in words."""
    deadline = time.monotonic() + _SECONDS
    while pids := [pid for pid, found in processes.setting(MARK).items() if found == mark]:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return [f"process {pid} of stress-ng" for pid in pids]
        time.sleep(0.01)  # and look again: one may just have been forked
    return []


def _children(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return []
