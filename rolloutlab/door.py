"""The one place that loads, builds and runs: the command line and the Python door both come through here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from rolloutlab.question import Asked, Question, read
from rolloutlab.result import Result
from sim.results import Cell, is_partial

Engine = Literal["batch", "event"]
Progress = Callable[[int, int], None]
RUNS: Final = 1000  #: replications of each cell when nobody says
#: the worlds that `predict` and the demo ask about
WORLDS: Final = ("good", "errors-5pct", "slow", "crash-loop", "memory-leak")
_WORTH_WORKERS: Final = 4000  #: replications below which starting workers takes longer than they save


def run(
    questions: Sequence[Question],
    *,
    command: str,
    runs: int,
    seed: int = 0,
    jobs: int | None = None,
    engine: Engine = "batch",
    on_progress: Progress | None = None,
    inputs: Mapping[str, Any] | None = None,
    again: str = "",
    title: str = "",
) -> Result:
    """Run every strategy of every question.

    Args:
        command: the verb that asks, for the result.
        runs, seed, engine: as `sim.study.simulate`.
        jobs: worker processes; None takes as many as there are cores where that pays.
        inputs: more about what was asked, for the result.
        again: the command that gives the same result.
        title: of several questions together.

    Returns:
        All cells. After Ctrl-C those that hold at least one replication; `Result.interrupted` says so.

    Raises:
        StrategyError: a strategy broke its contract.
    """
    from sim.study import simulate

    wanted = sum(len(question.strategies) for question in questions) * runs
    jobs = workers(wanted, engine) if jobs is None else jobs
    cells: list[Cell] = []
    for question in questions:
        for scenario, strategies in question.parts:
            before = sum(cell.requested for cell in cells)
            cells += simulate(
                scenario,
                strategies,
                runs=runs,
                seed=seed,
                jobs=jobs,
                engine=engine,
                scenario_name=question.name,
                variant=question.variant,
                on_progress=_shifted(on_progress, before, wanted),
                assumed=question.assumed,
                warnings=question.warnings,
            )
            if is_partial(cells):
                break
        if is_partial(cells):
            break
    return Result(
        cells=[cell for cell in cells if cell.runs],
        questions=list(questions),
        command=command,
        seed=seed,
        engine=engine,
        requested=wanted,
        inputs={**_inputs(questions), "runs": runs, "engine": engine, **(inputs or {})},
        again=again,
        title=title,
    )


def workers(replications: int, engine: Engine) -> int:
    """How many worker processes pay for so many replications."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if engine == "event" or replications >= _WORTH_WORKERS else 1


def worlds(
    strategies: Mapping[str, Mapping[str, Any]],
    *,
    names: Iterable[str] = WORLDS,
    overrides: Mapping[str, Any] | None = None,
    **more: Any,
) -> list[Question]:
    """The same strategies in several shipped worlds, in place of those of the files.

    Args:
        strategies: entries as under `strategies:` of a file; one that is empty stays as the file has it.
        names: shipped scenarios.
        overrides: what else to change in all of them.
        more: further fields of `Asked`.
    """
    from scenarios.library import find
    from scenarios.load import load_scenario

    found: list[Question] = []
    for name in names:
        theirs = load_scenario(find(name)).scenario.strategies
        entries: dict[str, Any] = {f"strategies.{one}": None for one in theirs if one not in strategies}
        for one, words in strategies.items():
            if words:  # null takes away what the file says of it: a mapping would be laid over it
                entries[f"strategies.{one}"] = {**dict.fromkeys(theirs.get(one, ())), **words}
        changes = {**entries, "expect": [], **(overrides or {})}
        found += read(Asked(path=name, variants=False, overrides=changes, **more))
    return found


def _shifted(on_progress: Progress | None, before: int, wanted: int) -> Progress | None:
    """Progress of one part as progress of the whole."""
    if on_progress is None:
        return None
    tell = on_progress
    return lambda done, _: tell(before + done, wanted)


def _inputs(questions: Sequence[Question]) -> dict[str, Any]:
    return {
        "scenarios": [
            {"path": question.path, "variant": question.variant, "sha256": question.digest} for question in questions
        ],
        "strategies": list(dict.fromkeys(name for question in questions for name in question.strategies)),
    }
