"""The doors of the drill: run one, run it again, go on with one whose harness was killed.

`python -m chaos.runner SCENARIO STRATEGY` prints timeline and verdict as JSON; `rolloutlab drill` is for people.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from chaos import journal
from chaos.cluster.settings import ClusterSettings
from chaos.faults import ProcessFault
from chaos.faults.node import NODE_FAULTS, NodeFault
from chaos.faults.plan import Extra
from chaos.guards import Limits
from chaos.hearing import Tell
from chaos.journal import Journal, JournalError
from chaos.live import LiveDrill
from chaos.local.runs import CLUSTER, Run, state_dir
from chaos.plan import Plan, Settings, Source, make
from chaos.results import DrillResult
from chaos.world import WorldError
from scenarios.errors import ScenarioErrors

RESULT: Final = "drill.json"  #: in the folder `result` of a run
_PATIENCE_SECONDS: Final = 5.0


def drill(plan: Plan, *, tell: Tell | None = None, signals: bool = False) -> DrillResult:
    """Run a drill to its end; its result stands in the run directory as well.

    Args:
        tell: hears what happens, in order; kinds are those of `chaos.results.Happening`.
        signals: SIGINT, SIGTERM and SIGHUP end the drill in good order (main thread only).

    Raises:
        WorldError: not even a run directory could be made.
    """
    return asyncio.run(run(plan, tell=tell, signals=signals))


async def run(plan: Plan, *, tell: Tell | None = None, signals: bool = False) -> DrillResult:
    """The same in a running event loop."""
    try:
        there = Run.create(plan.settings.state)
    except OSError as error:
        where = error.filename or plan.settings.state or state_dir()
        raise WorldError(f"no run directory can be made: {error.strerror}: {where}") from None
    with Journal.create(there.path / "journal.jsonl", header(plan)) as written:
        live = LiveDrill(plan, there, written, tell=tell, signals=signals)
        result = await live.go()
    return _kept(result, there)


def resume(run_dir: Run, *, undo: bool = False, tell: Tell | None = None, signals: bool = False) -> DrillResult:
    """Go on with the drill of a harness that was killed, or take its rollout back.

    Raises:
        JournalError: its journal cannot be read, belongs to another scenario, or to an earlier boot of the machine.
        WorldError: its harness still lives.
    """
    if run_dir.owned():
        raise WorldError(f"run {run_dir.id}: its harness is still alive")
    path = run_dir.path / "journal.jsonl"
    recorded = journal.read(path)
    plan = planned_by(recorded.header)
    if recorded.header.get("boot") != journal.boot_id():
        raise JournalError(f"{path}: the machine was started anew since; nothing of this drill is left to go on with")
    _end_remains(run_dir)
    run_dir.adopt()
    with Journal.append_to(path, recorded) as written:
        live = LiveDrill(plan, run_dir, written, entries=recorded.entries, tell=tell, signals=signals)
        result = asyncio.run(live.go(undo=undo))
    return _kept(result, run_dir)


def _end_remains(run_dir: Run) -> None:
    """End what the dead harness left running, and remove its files but the traffic that was measured.

    Raises:
        WorldError: a process of it cannot be ended.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while alive := run_dir.processes():
        if time.monotonic() > deadline:
            raise WorldError(f"run {run_dir.id}: processes {alive} of the dead harness cannot be ended")
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    for name in run_dir.leftovers():
        left = run_dir.path / name
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        elif not name.startswith("traffic-") and name != CLUSTER:
            left.unlink()


def header(plan: Plan) -> dict[str, Any]:
    """What a journal must know to be resumed: the question, the strategy, the draws; nothing of the machine."""
    settings = asdict(plan.settings)
    settings["state"] = str(plan.settings.state) if plan.settings.state is not None else None
    return {
        "source": {**asdict(plan.source), "path": str(Path(plan.source.path).absolute())},
        "strategy": plan.name,
        "digest": plan.digest,
        "speed": plan.speed,
        "settings": settings,
    }


def planned_by(told: Mapping[str, Any]) -> Plan:
    """The plan of a journalled drill.

    Raises:
        JournalError: the header is none, or the scenario has changed since.
    """
    try:
        settings = dict(told["settings"])
        settings["limits"] = Limits(**settings["limits"])
        settings["extra"] = tuple(_extra(each) for each in settings["extra"])
        settings["state"] = Path(settings["state"]) if settings["state"] is not None else None
        if settings.get("cluster") is not None:
            settings["cluster"] = ClusterSettings(**settings["cluster"])
        settings["speed"] = told["speed"]
        plan = make(Source(**told["source"]), told["strategy"], Settings(**settings))
        digest = told["digest"]
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError(f"this journal is of no drill that can go on: {error}") from None
    except ScenarioErrors as error:
        raise JournalError(f"its scenario cannot be read any more: {error}") from None
    if plan.digest != digest:
        raise JournalError(f"{plan.source.path} has changed since the drill began")
    return plan


def _extra(told: Mapping[str, Any]) -> Extra:
    if told["kind"] not in NODE_FAULTS:
        return ProcessFault(**told)
    paths = told.get("exempt_paths")
    return NodeFault(**{**told, "exempt_paths": tuple(paths) if paths is not None else None})


def _kept(result: DrillResult, there: Run) -> DrillResult:
    """Write the result beside the journal; a full disk does not take it away from the caller."""
    folder = there.path / "result"
    try:
        folder.mkdir(exist_ok=True)
        (folder / RESULT).write_text(json.dumps(result.plain(), allow_nan=False))
    except OSError:
        return result
    return result


def main() -> None:
    """Run one drill and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m chaos.runner")
    parser.add_argument("scenario")
    parser.add_argument("strategy")
    parser.add_argument("--speed", type=float)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    try:
        plan = make(Source(path=words.scenario), words.strategy, Settings(speed=words.speed, seed=words.seed))
        result = drill(plan, signals=True)
    except (ScenarioErrors, WorldError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    told = result.plain()
    for name in ("series", "happenings"):
        del told[name]
    sys.stdout.write(json.dumps(told, indent=1) + "\n")
    raise SystemExit(result.exit_code)


if __name__ == "__main__":
    main()
