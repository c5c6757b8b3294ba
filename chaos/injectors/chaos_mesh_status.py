"""What an object of Chaos Mesh tells of itself.

Laws of its controllers, which its conditions do not tell:

- AllRecovered is also true before anything was injected, and in some releases AllInjected is true before anything was
  selected; conditions bear no time.
- A kill is injected once and never recovered: only the end of the object ends it.
- Who selects nobody stays so for ever; there is no second try.
- Between two states a record says so by a slash: `Not Injected/Wait`, `Injected/Wait`.

Source:
    Chaos Mesh 2.8.3, controllers/common: condition, records, desiredphase, finalizers.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from chaos.cluster.kube import Object

FINALIZER: Final = "chaos-mesh/records"  #: taken off by the controller when no target bears the fault any more
PAUSE: Final = "experiment.chaos-mesh.org/pause"  #: annotation: "true" takes the fault back and keeps the object
_INJECTED: Final = "Injected"
_CLEAR: Final = "Not Injected"
_OF_TARGET: Final = "."  #: selectorKey of the targets; peers have `.Target`


@dataclass(frozen=True, slots=True)
class Record:
    """One target: `id` is namespace/pod or namespace/pod/container; `trouble`: what failed last, empty when nothing."""

    id: str
    peer: bool
    phase: str
    injected: int
    recovered: int
    trouble: str = ""

    @property
    def pod(self) -> str:
        """The name of its pod.

        >>> Record("shop/web-1/app", False, "Injected", 1, 0).pod
        'web-1'
        """
        return [*self.id.split("/"), ""][1]

    @property
    def bears(self) -> bool:
        """The fault is in place."""
        return self.phase == _INJECTED

    @property
    def undone(self) -> bool:
        """It was in place, and is not any more."""
        return self.phase == _CLEAR and self.injected == self.recovered > 0


@dataclass(frozen=True, slots=True)
class Status:
    """Attributes:
    touched: a controller has written a status.
    stopping: it is to be taken back, since its time is over, it is paused or deleted.
    held: by the finalizer: there is, or was, a controller that has to take it back first.
    """

    touched: bool
    selected: bool
    all_injected: bool
    stopping: bool
    deleted: bool
    held: bool
    records: tuple[Record, ...]

    def bearers(self) -> set[str]:
        """Names of pods that bear it."""
        return {record.pod for record in self.records if record.bears and not record.peer}

    def in_place(self, there: Collection[str]) -> bool:
        """Every target bears it; where some went away, every one that is there: those are tried for ever.

        Args:
            there: names of pods that exist.
        """
        if not self.selected or not self.records or self.stopping:
            return False
        left = [record for record in self.records if record.peer or record.pod in there]
        if len(left) == len(self.records) or all(record.bears for record in self.records):
            return self.all_injected and all(record.bears for record in self.records)
        return any(not record.peer for record in left) and all(record.bears for record in left)

    def undone(self) -> bool:
        """It was everywhere and is nowhere any more; an object that is gone is undone as well."""
        return self.stopping and bool(self.records) and all(record.undone for record in self.records)

    def troubles(self) -> list[str]:
        """What failed, by target."""
        return [f"{record.id}: {record.trouble}" for record in self.records if record.trouble and not record.undone]


def status_of(found: Object) -> Status:
    """Read an object; what it does not say is not so."""
    meta, status = found["metadata"], found.get("status") or {}
    conditions = {each["type"]: each["status"] == "True" for each in status.get("conditions") or ()}
    experiment = status.get("experiment") or {}
    return Status(
        touched=bool(status),
        selected=conditions.get("Selected", False),
        all_injected=conditions.get("AllInjected", False),
        stopping=experiment.get("desiredPhase") == "Stop",
        deleted="deletionTimestamp" in meta,
        held=FINALIZER in meta.get("finalizers", ()),
        records=tuple(_record(each) for each in experiment.get("containerRecords") or ()),
    )


def _record(found: Object) -> Record:
    failed = [each.get("message", "") for each in found.get("events") or () if each.get("type") == "Failed"]
    last = (found.get("events") or [{}])[-1]
    return Record(
        id=found["id"],
        peer=found.get("selectorKey", _OF_TARGET) != _OF_TARGET,
        phase=found["phase"],
        injected=found.get("injectedCount", 0),
        recovered=found.get("recoveredCount", 0),
        trouble=failed[-1][:300] if failed and last.get("type") == "Failed" else "",
    )
