"""What is in place on this node: a file for every injection, written before anything happens and removed at its end.

The files stand in /run, which is empty after a boot, as are the pods' namespaces. So whoever comes after a killed agent
finds what it had in place, and so do processes that know nothing of the drill.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from chaos.cluster.native import processes
from chaos.cluster.native.injection import Injection, RefusedError

FOLDER: Final = Path("/run/rolloutlab/faults")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One injection and who looks after it.

    Attributes:
        guard: the process that takes it back, with the time of its start in ticks: it is unique with it.
        expires: seconds since the epoch, after which nobody wants it any more.
        facts: what undoing needs and nothing else tells, such as the folder of a frozen cgroup.
    """

    injection: Injection
    guard: int
    guard_started: int
    expires: float
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def guarded(self) -> bool:
        """Its guard lives."""
        return processes.started(self.guard) == self.guard_started


class Registry:
    """The entries of a node; `folder` is made when the first one is written."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder

    def enter(self, injection: Injection, **facts: Any) -> Entry:
        """Write down that this process is about to put an injection in place, and guards it; a second time replaces."""
        me = os.getpid()
        entry = Entry(
            injection=injection,
            guard=me,
            guard_started=processes.started(me) or 0,
            expires=time.time() + injection.seconds,
            facts=facts,
        )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.folder / f".{injection.id}"
        temporary.write_text(json.dumps({**asdict(entry), "injection": injection.plain()}))
        temporary.rename(self._path(injection.id))
        return entry

    def remove(self, id: str) -> None:
        """Nothing is left of it."""
        self._path(id).unlink(missing_ok=True)

    def entries(self, owner: str | None = None, group: str | None = None) -> list[Entry]:
        """All of them, of an owner or of a group; a file that cannot be read is passed over."""
        if not self.folder.is_dir():
            return []
        found = []
        for path in sorted(self.folder.glob("[!.]*.json")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RefusedError):
                told = json.loads(path.read_text())
                found.append(Entry(**{**told, "injection": Injection.of(told["injection"])}))
        return [each for each in found if _is(each.injection, owner, group)]

    def _path(self, id: str) -> Path:
        return self.folder / f"{id}.json"


def _is(injection: Injection, owner: str | None, group: str | None) -> bool:
    return owner in (None, injection.owner) and group in (None, injection.group)
