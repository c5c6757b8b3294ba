"""Runs the cells of a study: chunks of replications, in this process or in several, and puts their rows together."""

from __future__ import annotations

import errno
import gc
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scenarios.schema import Scenario
from sim.engines import choose
from sim.engines.batch import Chunk
from sim.model import US, Model, compile_model
from sim.profile import profile_of
from sim.results import Cell, Profile
from sim.rows import Rows
from sim.seeds import CHUNK, place
from strategies.analysis.verdict import ABORTS, PASSES
from strategies.effects import Strategy

Engine = Literal["batch", "event"]
Progress = Callable[[int, int], None]


class WorkerLost(ChildProcessError):
    """A worker process ended without a result: killed, mostly for want of memory."""

    def __init__(self) -> None:
        super().__init__(errno.ECHILD, "a worker process was killed (out of memory?); fewer --jobs need less memory")

    def __str__(self) -> str:
        return str(self.strerror)


@dataclass(frozen=True)
class Task:
    """One chunk of one cell; the unit of work of a worker."""

    cell: int
    model: Model
    strategy: Strategy
    seed: int
    chunk: int
    keep: int  #: replications of the chunk that are asked for
    engine: Engine
    profile: bool


@dataclass(frozen=True)
class Done:
    """The rows of one task."""

    cell: int
    chunk: int
    rows: Rows
    profile: Profile | None
    blind: Mapping[str, int]  #: what was passed or undone unseen -> replications


def simulate(
    scenario: Scenario,
    strategies: Mapping[str, Strategy],
    *,
    runs: int,
    seed: int = 0,
    jobs: int = 1,
    engine: Engine = "batch",
    scenario_name: str,
    variant: str | None = None,
    routed: Mapping[str, bool] | None = None,
    on_progress: Progress | None = None,
    assumed: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
) -> list[Cell]:
    """Run every strategy in the same worlds.

    Args:
        scenario: the question; one cell per strategy is answered.
        strategies: by the names of the cells.
        runs: replications of each, 1 or more.
        seed: root of all random numbers; the same for any number of `jobs`.
        jobs: worker processes; 1 runs here.
        engine: `batch`, or `event` (a process per request, slow: the reference).
        scenario_name, variant, assumed, warnings: passed on to the cells.
        routed: strategies (of manifests) that say themselves whether a router splits their traffic.
        on_progress: called with (replications done, replications asked for in all).

    Returns:
        One cell a strategy, in order. After Ctrl-C: what was complete, `Cell.runs` below `Cell.requested`.

    Raises:
        StrategyError: a strategy broke its contract.
    """
    if runs < 1:
        raise ValueError(f"runs must be 1 or more, got {runs}")
    names = list(strategies)
    known = routed or {}
    models = [compile_model(scenario, strategies[name].reads, routed=known.get(name)) for name in names]
    size = CHUNK if engine == "batch" else 1
    tasks = [
        Task(cell, models[cell], strategies[name], seed, chunk, min(size, runs - chunk * size), engine, chunk == 0)
        for chunk in range(-(-runs // size))  # chunk by chunk, so that an interrupted study holds some of every cell
        for cell, name in enumerate(names)
    ]
    parts: list[_Part] = [_Part(runs) for _ in names]
    done, total = 0, runs * len(names)
    try:
        for result in _results(tasks, jobs):
            rows = len(result.rows["outcome"])
            parts[result.cell].add(result, size)
            done += rows
            if on_progress is not None:
                on_progress(done, total)
    except KeyboardInterrupt:
        pass  # what is complete is valid: chunks are independent
    return [
        Cell(
            scenario=scenario_name,
            strategy=name,
            variant=variant,
            runs=part.count,
            requested=runs,
            seed=seed,
            engine=engine,
            fidelity="iid" if engine == "batch" else "request",
            columns=part.columns(),
            profile=part.profile,
            warnings=warnings + choose.warnings(model, engine) + part.blind_warnings(name, variant or scenario_name),
            assumed=(*assumed, f"traffic: {model.law.name}"),
        )
        for name, model, part in zip(names, models, parts, strict=True)
    ]


class _Part:
    """The rows of one cell as they come in; arrays are made once, of the final size."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self._columns: dict[str, NDArray[Any]] = {}
        self._filled = np.zeros(runs, dtype=bool)
        self.profile: Profile | None = None
        self._blind: Counter[str] = Counter()

    def add(self, done: Done, size: int) -> None:
        first = done.chunk * size
        count = len(done.rows["outcome"])
        for name, values in done.rows.items():
            if name not in self._columns:
                self._columns[name] = np.zeros(self._runs, dtype=values.dtype)
            self._columns[name][first : first + count] = values
        self._filled[first : first + count] = True
        self.profile = done.profile or self.profile
        self._blind.update(done.blind)

    @property
    def count(self) -> int:
        return int(self._filled.sum())

    def blind_warnings(self, strategy: str, world: str) -> tuple[str, ...]:
        """What passed or was undone without having seen anything, as the imitated tool would have it."""
        return tuple(
            f"{strategy}: {text} (in {number:,} of {self.count:,} replications of {world})"
            for text, number in sorted(self._blind.items())
        )

    def columns(self) -> dict[str, NDArray[Any]]:
        numbers = np.flatnonzero(self._filled)
        if numbers.size == self._runs:
            return {"replication": numbers, **self._columns}
        return {"replication": numbers, **{name: values[numbers] for name, values in self._columns.items()}}


def _results(tasks: list[Task], jobs: int) -> Iterator[Done]:
    if jobs == 1 or len(tasks) == 1:
        yield from map(run_task, tasks)
        return
    import joblib  # only with several workers: it takes 0.4 s to import
    from joblib.externals.loky import BrokenProcessPool

    with (
        _Interrupt() as interrupt,
        joblib.Parallel(
            n_jobs=jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="3*n_jobs"
        ) as parallel,
    ):
        try:
            yield from parallel(joblib.delayed(_run_in_worker)(task) for task in tasks if not interrupt.heard)
        except BrokenProcessPool:
            raise WorkerLost from None


class _Interrupt:
    """Hears Ctrl-C while workers run: what they have begun is finished and counted, nothing new is begun.

    A second Ctrl-C interrupts as usual. Outside the main thread, where signals cannot be caught, nothing changes.
    """

    def __init__(self) -> None:
        self.heard = False
        self._before: Any = None

    def __enter__(self) -> _Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def _hear(self, *_: object) -> None:
        self.heard = True
        signal.signal(signal.SIGINT, self._before)

    def __exit__(self, *_: object) -> None:
        if self._before is not None and not self.heard:
            signal.signal(signal.SIGINT, self._before)


def _run_in_worker(task: Task) -> Done:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that collects the results
    return run_task(task)


def run_task(task: Task) -> Done:
    """Run one chunk (or, in the event engine, one replication)."""
    if task.engine == "event":
        from sim.engines.event import run_one

        told: list[str] = []
        rows = run_one(task.model, task.strategy, task.seed, task.chunk, told=told)
        return Done(task.cell, task.chunk, rows, None, _blind([told]))
    enabled = gc.isenabled()
    gc.disable()  # worlds are full of cycles that live as long as their chunk: looking for garbage meanwhile is waste
    try:
        chunk = Chunk(task.model, task.strategy, task.seed, task.chunk)
        rows = chunk.run()
        profile = profile_of(chunk) if task.profile else None
        blind = _blind(world.told for world in chunk.worlds[: task.keep])
        chunk.dissolve()
    finally:
        if enabled:
            gc.enable()
    return Done(task.cell, task.chunk, {name: values[: task.keep] for name, values in rows.items()}, profile, blind)


def _blind(told: Iterable[list[str]]) -> Counter[str]:
    """In how many replications each note says that something passed, or was undone, unseen."""
    return Counter(text for notes in told if notes for text in set(notes) if PASSES in text or ABORTS in text)


def trace_one(
    scenario: Scenario,
    strategy: Strategy,
    *,
    replication: int,
    seed: int,
    engine: Engine = "batch",
    routed: bool | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Re-run one replication and tell all of it.

    Returns:
        Its row of the results, and its events in order of time: `at_seconds`, `kind`, `who`, and what the kind has to
        say. Kinds of the world: scale, container_started, pod_ready, container_died, pod_deleted, set_weight,
        weight_effective, traffic, fault, decision, deadline, note. Kinds of the strategy: start, effect, answer,
        throw, end.
    """
    model = compile_model(scenario, strategy.reads, routed=routed)
    events: list[tuple[int, dict[str, Any]]] = []

    def log(at_us: int, kind: str, who: str, what: dict[str, Any]) -> None:
        events.append((at_us, {"at_seconds": at_us / US, "kind": kind, "who": who, **what}))

    def record(at_us: int, kind: str, task: int, name: str, what: Any) -> None:
        events.append(
            (at_us, {"at_seconds": at_us / US, "kind": kind, "who": name, "program": task, "what": repr(what)})
        )

    if engine == "event":
        from sim.engines.event import run_one

        rows, row = run_one(model, strategy, seed, replication, record=record, log=log), 0
    else:
        number, row = place(replication)
        chunk = Chunk(
            model,
            strategy,
            seed,
            number,
            record=lambda at: record if at == row else None,
            log=lambda at: log if at == row else None,
        )
        rows = chunk.run()
    values = {name: values[row].item() for name, values in rows.items()}
    return {"replication": replication, **values}, [event for _, event in sorted(events, key=_at)]


def _at(event: tuple[int, dict[str, Any]]) -> int:
    return event[0]
