"""TEST EQUIPMENT: how the controllers of Chaos Mesh write the status of an object, one change at a time.

It is not Chaos Mesh, and no result that was had with it says anything of Chaos Mesh: results carry `engine: stand-in`.
Each function is one controller: it takes the object as it is and returns it as it should be, or None when nothing is to
be changed. What it says in events comes with it.

Source:
    Chaos Mesh 2.8.3, controllers/common: finalizers, desiredphase, records, condition.
"""

from __future__ import annotations

import calendar
import copy
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]
FINALIZER = "chaos-mesh/records"
FORCE = "chaos-mesh.chaos-mesh.org/cleanFinalizer"
PAUSE = "experiment.chaos-mesh.org/pause"
ENGINE = "rolloutlab/engine"
CLEAR, INJECTED = "Not Injected", "Injected"
MAX_EVENTS = 5
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(slots=True)
class Step:
    """Attributes:
    changed: the object to write; None: as it is.
    events: (type, reason, message).
    again_seconds: real time after which to look once more though nothing changed; None: not.
    """

    changed: Object | None = None
    events: list[tuple[str, str, str]] = field(default_factory=list)
    again_seconds: float | None = None


class ApplyFailedError(Exception):
    """A fault could not be put on, or taken off, one target; it is tried again without end."""


#: (record id, phase it has) -> phase it gets
Act: TypeAlias = Callable[[str, str], str]
Select: TypeAlias = Callable[[Object], list[str]]


def init_finalizer(found: Object, now: float) -> Step:
    """An object that is not being deleted gets the finalizer."""
    if _deleted(found) or FINALIZER in found["metadata"].get("finalizers", ()):
        return Step()
    new = copy.deepcopy(found)
    new["metadata"]["finalizers"] = [*found["metadata"].get("finalizers", ()), FINALIZER]
    new["metadata"].setdefault("annotations", {})[ENGINE] = "stand-in"
    return Step(new, [("Normal", "FinalizerInited", "Finalizer has been inited")])


def desired_phase(found: Object, now: float) -> Step:
    """Run; Stop when it is deleted, its time is over, or it is paused. A kill runs until it is deleted."""
    phase, event, again = "Run", ("Normal", "Started", "Experiment has started"), None
    left = _left_seconds(found, now)
    if _deleted(found):
        phase, event = "Stop", ("Normal", "Deleted", "Experiment has been deleted")
    elif once(found):
        pass
    elif left is not None and left <= 0:
        phase, event = "Stop", ("Normal", "TimeUp", "Time up according to the duration")
    else:
        again = left
        if found["metadata"].get("annotations", {}).get(PAUSE) == "true":
            phase, event = "Stop", ("Normal", "Paused", "Experiment has been paused")
    if _told(found).get("desiredPhase") == phase:
        return Step(again_seconds=again)
    new = copy.deepcopy(found)
    _experiment(new)["desiredPhase"] = phase
    return Step(new, [event], again)


def records(found: Object, now: float, select: Select, act: Act, recover: Act) -> Step:
    """Select once, then bring each record to what is desired; whoever selects nobody is not asked again."""
    step, new = Step(), copy.deepcopy(found)
    experiment = _experiment(new)
    if experiment.get("containerRecords") is None:
        chosen = select(found)
        if not chosen:
            return Step(events=[("Warning", "Failed", "Failed to select targets: no pod is selected")])
        experiment["containerRecords"] = [_new_record(each) for each in chosen]
        step.changed = new
    for record in experiment["containerRecords"]:
        if _bring(record, experiment.get("desiredPhase"), now, step, act=act, recover=recover):
            step.changed = new
    return step


def conditions(found: Object, now: float) -> Step:
    """What the records add up to; no condition has a time."""
    had = _told(found).get("containerRecords")
    phases = [record["phase"] for record in had or ()]
    true = {
        "Selected": had is not None,
        "AllInjected": had is not None and all(phase == INJECTED for phase in phases),
        "AllRecovered": had is not None and all(phase == CLEAR for phase in phases),
        "Paused": found["metadata"].get("annotations", {}).get(PAUSE) == "true",
    }
    wanted = [{"type": name, "status": "True" if is_so else "False"} for name, is_so in true.items()]
    if found.get("status", {}).get("conditions") == wanted:
        return Step()
    new = copy.deepcopy(found)
    _experiment(new)
    new["status"]["conditions"] = wanted
    return Step(new)


def clean_finalizer(found: Object, now: float) -> Step:
    """A deleted object may go when no record bears the fault, or when somebody forces it."""
    meta = found["metadata"]
    if not _deleted(found) or FINALIZER not in meta.get("finalizers", ()):
        return Step()
    forced = meta.get("annotations", {}).get(FORCE) == "forced"
    if not forced and any(record["phase"] != CLEAR for record in _told(found).get("containerRecords") or ()):
        return Step()
    new = copy.deepcopy(found)
    new["metadata"]["finalizers"] = []
    return Step(new, [("Normal", "FinalizerInited", "Finalizer has been removed")])


def once(found: Object) -> bool:
    """It is a kill."""
    return found["kind"] == "PodChaos" and found["spec"].get("action") in ("pod-kill", "container-kill")


def duration_seconds(text: str) -> float:
    """A duration of Go.

    >>> duration_seconds("1h30m"), duration_seconds("250ms")
    (5400.0, 0.25)
    """
    if not re.fullmatch(r"([0-9.]+(ns|us|ms|s|m|h))+", text):
        raise ValueError(f"no duration: {text!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9.]+)(ns|us|ms|s|m|h)", text))


def stamp(now: float) -> str:
    """A time as the API writes it: whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))


def _bring(record: Object, desired: str | None, now: float, step: Step, *, act: Act, recover: Act) -> bool:
    """One step of one record: Not Injected -> Not Injected/* -> Injected -> Injected/* -> Not Injected, never back."""
    phase = record["phase"]
    if desired not in ("Run", "Stop") or phase == (INJECTED if desired == "Run" else CLEAR):
        return False
    applies = phase.startswith(CLEAR)
    verb, operation = ("apply", "Apply") if applies else ("recover", "Recover")
    try:
        record["phase"] = (act if applies else recover)(record["id"], phase)
    except ApplyFailedError as error:
        step.events.append(("Warning", "Failed", f"Failed to {verb} chaos: {error}"))
        _event(record, "Failed", operation, str(error), now)
        step.again_seconds = 0.2
        return True
    if record["phase"] == phase:
        step.again_seconds = 0.05
        return False
    if record["phase"] in (INJECTED, CLEAR):
        reason = "Applied" if applies else "Recovered"
        step.events.append(("Normal", reason, f"Successfully {verb} chaos for {record['id']}"))
        record["injectedCount" if applies else "recoveredCount"] += 1
        _event(record, "Succeeded", operation, "", now)
    return True


def _event(record: Object, kind: str, operation: str, message: str, now: float) -> None:
    event = {"type": kind, "operation": operation, "message": message, "timestamp": stamp(now)}
    record["events"] = [*record.get("events", ()), {key: value for key, value in event.items() if value}][-MAX_EVENTS:]


def _new_record(chosen: str) -> Object:
    key, _, id = chosen.partition(" ")
    return {"id": id, "selectorKey": key, "phase": CLEAR, "injectedCount": 0, "recoveredCount": 0}


def _experiment(new: Object) -> Object:
    """That of an object to be written, made where there is none."""
    experiment: Object = new.setdefault("status", {}).setdefault("experiment", {})
    return experiment


def _told(found: Object) -> Object:
    experiment: Object = found.get("status", {}).get("experiment", {})
    return experiment


def _deleted(found: Object) -> bool:
    return "deletionTimestamp" in found["metadata"]


def _left_seconds(found: Object, now: float) -> float | None:
    """Of its duration, which counts from creation; None when it has none."""
    if "duration" not in found["spec"]:
        return None
    created = calendar.timegm(time.strptime(found["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ"))
    return created + duration_seconds(found["spec"]["duration"]) - now
