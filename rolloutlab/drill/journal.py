"""The journal of a drill in the format of the Chaos Toolkit, with our record in the extensions of its experiment.

`chaos report` of chaostoolkit-reporting reads it as one of its own; we read our record back from it. Source of the
format: chaostoolkit-documentation sources/reference/api/journal.md @96e6bf6 and experiment.md beside it.
"""

from __future__ import annotations

import json
import math
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rolloutlab.drill import record as records
from rolloutlab.drill.files import write_whole
from rolloutlab.drill.record import FAIL, PASS, REFUSED, Record
from scenarios.errors import Place, ScenarioError

EXTENSION: Final = "rolloutlab"  #: name of ours among the extensions
LONGEST: Final = 64 << 20  #: bytes that are read of a journal
_INTERRUPTED: Final = 130


def document(record: Record) -> dict[str, Any]:
    """The journal as plain values."""
    method, runs = _method(record)
    return {
        "platform": platform.platform(),
        "node": record.where.run_id,
        "experiment": {
            "version": "1.0.0",
            "title": f"{record.where.title or record.where.scenario}, {record.where.strategy}",
            "description": record.where.question or record.name,
            "tags": [record.where.scenario, record.where.strategy, record.where.world],
            "steady-state-hypothesis": {"title": "Users are served within the objective", "probes": [_steady(record)]},
            "method": method,
            "rollbacks": [_SWEEP],
            "extensions": [{"name": EXTENSION, **_highlights(record), "record": record.plain()}],
        },
        "start": _instant(record.began_wall),
        "status": _status(record),
        "deviated": record.verdict == FAIL,
        "steady_states": _steady_states(record),
        "run": runs,
        "rollbacks": [_activity(_SWEEP, record, not record.left, "; ".join(record.left) or "nothing left", "t8")],
        "end": _instant(record.began_wall + record.took_seconds),
        "duration": record.took_seconds,
    }


def write(record: Record, path: Path) -> None:
    """Write the journal; never half of it."""
    write_whole(path, json.dumps(document(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read(path: Path) -> Record:
    """The record of a journal that `write` wrote.

    Raises:
        ScenarioError: it is something else, or a journal without a record of ours.
        OSError: it cannot be read.
    """
    place = Place(str(path))
    with path.open("rb") as stream:
        raw = stream.read(LONGEST + 1)
    if len(raw) > LONGEST:
        raise ScenarioError(f"expected at most {LONGEST >> 20} MiB", place=place)
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"expected a journal in JSON, got {error}", place=place) from None
    experiment = told.get("experiment") if isinstance(told, dict) else None
    extensions = experiment.get("extensions") if isinstance(experiment, dict) else None
    for one in extensions if isinstance(extensions, list) else []:
        if isinstance(one, dict) and one.get("name") == EXTENSION:
            return records.from_plain(one.get("record"), place)
    raise ScenarioError(
        f"expected a journal of `rolloutlab drill` (an extension {EXTENSION!r} of its experiment), got none",
        place=place,
    )


# --- parts -------------------------------------------------------------------------------------------------------


def _provider(verb: str, *words: str) -> dict[str, Any]:
    return {"type": "process", "path": "rolloutlab", "arguments": " ".join([verb, *words])}


_SWEEP: Final = {
    "type": "action",
    "name": "recover the faults and sweep what is left",
    "provider": _provider("sweep"),
}


def _steady(record: Record) -> dict[str, Any]:
    most = 100 * record.where.allowed_ratio
    name = f"at most {most:.4g} % of responses fail or take longer than {record.where.slo_seconds:g} s"
    return {"type": "probe", "name": name, "tolerance": True, "provider": _provider("drill", record.where.path)}


def _steady_states(record: Record) -> dict[str, Any]:
    moments = record.timeline.moments()
    found: dict[str, Any] = {"before": None, "after": None, "during": []}
    for key, name in (("before", "t0"), ("after", "t7")):
        if name not in moments:
            continue
        met = not moments[name].censored
        probe = _activity(_steady(record), record, met, None, name)
        found[key] = {"steady_state_met": met, "probes": [{**probe, "tolerance_met": met, "output": str(met).lower()}]}
    return found


def _method(record: Record) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What was done and asked, and how each of it went."""
    asked: list[tuple[dict[str, Any], bool, str, str]] = []
    strategy = record.where.strategy
    words = (record.where.path, "--strategy", strategy, "--world", record.where.world)
    rollout = {"type": "action", "name": f"roll out with {strategy}", "provider": _provider("drill", *words)}
    said = f"{record.outcome or 'no end'}: {'; '.join(record.reasons)}"
    asked.append((rollout, bool(record.outcome), said, "t5"))
    for fault in record.faults:
        action = {"type": "action", "name": f"inject: {fault.text}", "provider": _provider("drill", *words)}
        asked.append((action, fault.injected, fault.evidence, "t2"))
    for check in record.checks:
        probe = {
            "type": "probe",
            "name": f"{check.statistic} of {check.column} is {check.between[0]:g} to {check.between[1]:g}",
            "provider": _provider("drill", *words),
        }
        asked.append((probe, check.holds == "holds", check.reason, "t8"))
    runs = [_activity(one, record, well, output, until) for one, well, output, until in asked]
    return [one for one, *_ in asked], runs


def _activity(
    activity: dict[str, Any], record: Record, well: bool, output: str | None, until: str = ""
) -> dict[str, Any]:
    """How an activity went; it ends at a moment of the timeline, or with the drill."""
    moment = record.timeline.moments().get(until)
    end = record.began_wall + record.took_seconds
    start = record.rollout_wall if until in ("t2", "t5") else record.began_wall
    if moment is not None:
        bound = moment.lo if math.isinf(moment.hi) else moment.hi
        end = record.rollout_wall + bound - record.timeline.began
    end = max(start, end)
    return {
        "activity": activity,
        "status": "succeeded" if well else "failed",
        "start": _instant(start),
        "end": _instant(end),
        "duration": end - start,
        "output": output,
    }


def _highlights(record: Record) -> dict[str, Any]:
    """What a reader of other tools looks for first; all of it stands in the record again."""
    return {
        "verdict": record.verdict,
        "exit_code": record.exit_code,
        "sped_up": record.sped_up or None,
        "timeline": record.timeline.plain(),
        "detection_seconds": record.row.get("detection_seconds"),
        "rollback_seconds": record.row.get("rollback_seconds"),
        "coverage": {"faults": len(record.faults), "effect_verified": [one.effect_verified for one in record.faults]},
        "engine": record.where.engine,
    }


def _status(record: Record) -> str:
    if record.exit_code == _INTERRUPTED:
        return "interrupted"
    if record.verdict == REFUSED:
        return "aborted"
    return "completed" if record.verdict in (PASS, FAIL) or record.outcome else "failed"


def _instant(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
