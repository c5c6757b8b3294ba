"""A drill whose harness was killed: found by its run, and gone on with, or taken back."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from chaos import journal
from chaos.journal import JournalError
from chaos.local.runs import Run, runs
from chaos.runner import planned_by
from chaos.runner import resume as resume_drill
from rolloutlab.drill.door import Planned, Tell, View
from rolloutlab.drill.reading import record_of
from rolloutlab.drill.result import Drills
from rolloutlab.question import Asked, read
from scenarios.errors import ScenarioError, unknown


def unfinished(state: Path | None = None) -> list[Run]:
    """Runs whose harness is gone before their drill had a result, the oldest first."""
    return [
        run
        for run in runs(state)
        if not run.owned() and not (run.path / "result").is_dir() and (run.path / "journal.jsonl").is_file()
    ]


def resumed(
    run_id: str,
    *,
    undo: bool = False,
    allow_python: bool = False,
    view: View | None = None,
    signals: bool = False,
    again: str = "",
    state: Path | None = None,
) -> Drills:
    """Go on with a drill.

    Args:
        run_id: its run.
        undo: take the rollout back instead.
        allow_python: run the code that its scenario names, if it names any.
        view, signals, again: as of `door.drill`.

    Raises:
        ScenarioErrors: no such run, its journal cannot be read, or its scenario has changed.
        WorldError: its harness lives.
    """
    known = {run.id: run for run in unfinished(state)}
    if run_id not in known:
        raise unknown(run_id, known, field="RUN", what="unfinished drill")
    one = _planned(known[run_id], allow_python=allow_python)
    silent: AbstractContextManager[Tell | None] = nullcontext()
    began = time.monotonic()
    try:
        with silent if view is None else view(one, 0) as tell:
            result = resume_drill(known[run_id], undo=undo, tell=tell, signals=signals)
    except JournalError as error:
        raise ScenarioError(str(error), field="RUN") from None
    ended = time.monotonic()
    record = record_of(
        result, one.plan, one.question, wall_of_zero=time.time() - ended, took_seconds=ended - began, again=again
    )
    asked = {"scenario": one.question.name, "run": run_id, "undo": undo, "strategies": [one.plan.name]}
    return Drills([record], 1, asked, again)


def _planned(run: Run, *, allow_python: bool) -> Planned:
    try:
        header = journal.read(run.path / "journal.jsonl").header
        if header.get("source", {}).get("allow_python") and not allow_python:
            problem = "its scenario runs Python code; give --allow-python if you trust it"
            raise ScenarioError(problem, field="RUN")
        plan = planned_by(header)
    except JournalError as error:
        raise ScenarioError(str(error), field="RUN") from None
    source = plan.source
    (question,) = read(
        Asked(
            path=source.path,
            variant=source.variant,
            variants=False,
            overrides=source.overrides,
            strategies=(plan.name,),
            bind=source.bind,
            allow_python=source.allow_python,
        )
    )
    return Planned(question, plan)
