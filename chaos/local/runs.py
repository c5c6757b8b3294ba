"""Run directories: where everything of one drill stands, whose it is, and what to do when its owner is gone.

`<state>/runs/<run id>/` holds the owner (process and boot), the journal, logs and the router's files. A run whose owner
died is swept: its processes are ended, its files removed, its journal kept. Processes of a run are known by the run id
in their environment, which the kernel keeps for us: no file needs to be right for that.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from platformdirs import user_state_path

from chaos.journal import boot_id

RUN: Final = "ROLLOUTLAB_RUN"  #: environment variable of every process of a run
STATE: Final = "ROLLOUTLAB_STATE"  #: where run directories stand, instead of the user's state folder
KEPT: Final = ("journal.jsonl", "result")  #: files and folders that a sweep leaves in place
CLUSTER: Final = "cluster.json"  #: where the objects of a drill in a cluster are
_PATIENCE_SECONDS: Final = 5.0


def state_dir() -> Path:
    """Where run directories stand."""
    given = os.environ.get(STATE)
    return Path(given) if given else user_state_path("rolloutlab", appauthor=False)


@dataclass(frozen=True, slots=True)
class Run:
    """One drill on this machine."""

    path: Path

    @property
    def id(self) -> str:
        """The name of its directory; unique on this machine."""
        return self.path.name

    @classmethod
    def create(cls, state: Path | None = None) -> Run:
        """A new run directory that belongs to this process; nobody else may read it.

        Raises:
            OSError: the disk is full, say; then there is none.
        """
        run_id = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(4)
        path = (state or state_dir()) / "runs" / run_id
        path.mkdir(parents=True, mode=0o700)
        run = cls(path)
        try:
            run.adopt()
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return run

    def adopt(self) -> None:
        """Make this process the owner."""
        owner = {"pid": os.getpid(), "started": started(os.getpid()), "boot": boot_id()}
        temporary = self.path / ".owner"
        temporary.write_text(json.dumps(owner))
        temporary.rename(self.path / "owner.json")

    def owned(self) -> bool:
        """Does the process that owns it still live?"""
        try:
            owner = json.loads((self.path / "owner.json").read_text())
            return bool(owner["boot"] == boot_id() and started(owner["pid"]) == owner["started"])
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def processes(self) -> list[int]:
        """Processes of this run, this one excepted."""
        mark = f"{RUN}={self.id}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0") and _state(int(entry.name)) != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended, or is another user's
        return found

    def leftovers(self) -> list[str]:
        """Files of it that are no journal and no result."""
        if not self.path.is_dir():
            return []
        return sorted(child.name for child in self.path.iterdir() if child.name not in KEPT)

    def clear(self) -> list[str]:
        """End its processes and remove its files; the journal and the results stay.

        Returns:
            What is left all the same, in words; empty when all is gone.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        quiet = 0  # a process that is just being executed shows no environment: nobody there must be seen twice
        while quiet < 2 and time.monotonic() < deadline:
            alive = self.processes()
            quiet = 0 if alive else quiet + 1
            for pid in alive:
                _kill(pid)
            time.sleep(0.02)
        left = [f"process {pid}" for pid in alive]
        if left:
            return left
        for name in self.leftovers():
            child = self.path / name
            try:
                shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
            except OSError as error:
                left.append(f"{child}: {error.strerror}")
        if not left and not any(self.path.iterdir()):
            self.path.rmdir()
        return left


def runs(state: Path | None = None) -> list[Run]:
    """All run directories, the oldest first."""
    folder = (state or state_dir()) / "runs"
    return [Run(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []


def sweep(state: Path | None = None) -> dict[str, list[str]]:
    """Clear every run whose owner is gone and that has left something behind.

    Returns:
        By run id, what could not be cleared (empty: all of it).
    """
    orphans = [run for run in runs(state) if not run.owned() and (run.leftovers() or run.processes())]
    return {run.id: run.clear() for run in orphans}


def started(pid: int) -> int:
    """When a process began, in clock ticks since boot; a process id is used again, this together with it is not.

    Raises:
        OSError: no such process.
    """
    return int(_stat(pid)[19])


def _state(pid: int) -> str:
    return _stat(pid)[0]


def _stat(pid: int) -> list[str]:
    """Fields of /proc/pid/stat from the third on: the second, a name, may hold spaces and parentheses."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return text[text.rindex(")") + 2 :].split()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
