"""Drills of this machine that run, and those whose harness is gone: stop the first, clear the second."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaos.cluster.settings import ClusterSettings
from chaos.local.runs import CLUSTER, Run, runs, started

_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Cleared:
    """One run and what became of it.

    Attributes:
        had: what it had left: processes and files, in words.
        left: what could not be cleared.
        how: `ended` in good order, `killed` when it did not end in time, empty when nobody was there to be stopped.
    """

    run_id: str
    had: tuple[str, ...]
    left: tuple[str, ...]
    how: str = ""

    def text(self, *, planned: bool = False) -> str:
        """One line for a person."""
        what = ", ".join(self.had) or "nothing"
        if planned:
            return f"{self.run_id}: would clear {what}"
        stopped = f"{self.how}; " if self.how else ""
        if self.left:
            return f"{self.run_id}: {stopped}could not clear {', '.join(self.left)}"
        return f"{self.run_id}: {stopped}cleared {what}" if self.had else f"{self.run_id}: {stopped}nothing left"

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def running(state: Path | None = None) -> list[Run]:
    """Runs whose harness lives, the oldest first."""
    return [run for run in runs(state) if run.owned()]


def orphans(state: Path | None = None) -> list[Cleared]:
    """Runs whose harness is gone and that left something, as they stand; nothing is touched."""
    found = [Cleared(run.id, _had(run), ()) for run in runs(state) if not run.owned()]
    return [one for one in found if one.had]


def swept(state: Path | None = None) -> list[Cleared]:
    """The same, cleared."""
    found = [run for run in runs(state) if not run.owned() and _had(run)]
    return [Cleared(run.id, had, tuple(_clear(run))) for run in found if (had := _had(run))]


def aborted(chosen: Sequence[Run], timeout_seconds: float) -> list[Cleared]:
    """Stop drills: SIGTERM to their harness, which takes the rollout back; one that does not end in time is killed.

    Only a process that is known to own its run is sent a signal: its id and the time at which it began are those that
    it wrote down itself.
    """
    for run in chosen:
        _signal(run, signal.SIGTERM)
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline and any(run.owned() for run in chosen):
        time.sleep(_LOOK_SECONDS)
    found = []
    for run in chosen:
        killed = run.owned()
        if killed:
            _signal(run, signal.SIGKILL)
            _gone(run)
        had = _had(run)
        found.append(Cleared(run.id, had, tuple(_clear(run)), "killed" if killed else "ended"))
    return found


def ownerless(settings: ClusterSettings) -> list[Cleared]:
    """Drills in a namespace that nobody looks after, as they stand; nothing is touched."""
    from chaos.cluster import recovering

    return [Cleared(each.drill, each.had, ()) for each in recovering.ownerless(settings)[1]]


def swept_in_cluster(settings: ClusterSettings) -> list[Cleared]:
    """The same, cleared."""
    from chaos.cluster import recovering

    return [Cleared(each.drill, each.had, each.left) for each in recovering.swept(settings)]


def stopped_in_cluster(settings: ClusterSettings) -> list[Cleared]:
    """The emergency stop of a namespace: no drill goes on, none begins."""
    from chaos.cluster import recovering

    return [Cleared(each.drill, each.had, each.left) for each in recovering.stop_all(settings)]


def _had(run: Run) -> tuple[str, ...]:
    return (*(f"process {pid}" for pid in run.processes()), *run.leftovers())


def _clear(run: Run) -> list[str]:
    """What it has in a cluster goes first: its file says where that is."""
    if (run.path / CLUSTER).exists():
        try:
            from chaos.cluster.recovering import clear_run  # loads the Kubernetes client
        except ImportError:
            return ["objects in a cluster, which needs: pip install 'rolloutlab[cluster]'"]
        left = clear_run(run)
        if left:
            return left
    return run.clear()


def _signal(run: Run, number: signal.Signals) -> None:
    try:
        owner = json.loads((run.path / "owner.json").read_text())
        if run.owned() and started(owner["pid"]) == owner["started"]:
            os.kill(owner["pid"], number)
    except (OSError, ValueError, KeyError, TypeError):
        return  # it ended meanwhile


def _gone(run: Run) -> None:
    """Wait for a killed harness: until then its warden may still be ending processes."""
    deadline = time.monotonic() + 5.0
    while run.owned() and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
