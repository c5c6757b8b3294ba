"""Take back what killed harnesses have left on this node: by the registry first, then by looking into every pod."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Final

from chaos.cluster.native import processes, rules, stress
from chaos.cluster.native.injection import MARK, PREFIX, RefusedError
from chaos.cluster.native.registry import Entry, Registry
from chaos.cluster.native.undo import of_rules, undo

_SECONDS: Final = 6.0  #: that a guard may take to undo


def sweep(registry: Registry, owner: str | None) -> tuple[list[str], list[str]]:
    """Take back everything of an owner, or what nobody looks after any more where no owner is given.

    Returns:
        What was taken back, and what could not be, in words.
    """
    done, left = by_registry(registry, owner)
    found, trouble = _look(registry, owner)
    return done + found, left + trouble


def by_registry(registry: Registry, owner: str | None, group: str | None = None) -> tuple[list[str], list[str]]:
    """As `sweep`, of what was written down; of one group only where it is given."""
    done: list[str] = []
    left: list[str] = []
    for entry in registry.entries(owner, group):
        if owner is None and entry.guarded and time.time() < entry.expires:
            continue
        told = f"{entry.injection.kind} in pod {entry.injection.pod}"
        trouble = _end_guard(entry) or undo(entry)
        if trouble:
            left += trouble
        else:
            registry.remove(entry.injection.id)
            done.append(told)
    return done, left


def _end_guard(entry: Entry) -> list[str]:
    """Let a guard take its fault back; one that does not is killed."""
    for number, seconds in ((signal.SIGTERM, _SECONDS), (signal.SIGKILL, 1.0)):
        deadline = time.monotonic() + seconds
        if entry.guarded:
            with contextlib.suppress(ProcessLookupError):
                os.kill(entry.guard, number)
        while entry.guarded and time.monotonic() < deadline:
            time.sleep(0.01)
    return [f"process {entry.guard}, the guard of {entry.injection.id}"] if entry.guarded else []


def _look(registry: Registry, owner: str | None) -> tuple[list[str], list[str]]:
    """Look for rules and processes of ours that no entry speaks of."""
    done, left = [], []
    mine = f"{PREFIX}{owner}/" if owner is not None else PREFIX
    for pid in processes.of_pods().values():
        try:
            for mark in rules.marks(pid, mine):
                if not _known(registry, mark):
                    done += of_rules(pid, mark)
        except (RefusedError, OSError) as error:
            if processes.started(pid) is not None:
                left.append(str(error))
    for mark in {mark for pid, mark in processes.setting(MARK).items() if processes.is_of_pod(pid)}:
        if rules.is_marked(mark, mine) and not _known(registry, mark):
            trouble = stress.kill(mark)
            left += trouble
            done += [] if trouble else [f"stress of {mark.removeprefix(PREFIX)}"]
    return done, left


def _known(registry: Registry, mark: str) -> bool:
    """Asked after something was found: whatever comes in between was written down before it was put in place."""
    return any(each.injection.mark == mark for each in registry.entries())
