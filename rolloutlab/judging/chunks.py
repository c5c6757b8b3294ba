"""The unit of work: one chunk of one set of replications, shown to every judge of a bench."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from rolloutlab.judging.alarms import first_alarms
from rolloutlab.judging.draw import Scene, draw
from rolloutlab.judging.entrant import Entrant
from sim.seeds import CHUNK
from sim.study import WorkerLost
from strategies.judges.base import FloatArray


@dataclass(frozen=True)
class Task:
    """One chunk of one scene.

    Attributes:
        scene_name: of the set.
        thresholds: shape [E, H]: of each judge those at which alarms are looked for.
        keep: replications of the chunk that are asked for.
    """

    scene_name: str
    scene: Scene
    entrants: tuple[Entrant, ...]
    thresholds: FloatArray
    seed: int
    chunk: int
    keep: int


@dataclass(frozen=True)
class Done:
    """What the judges said of one chunk, or of all chunks of a set.

    Attributes:
        seconds: shape [E, H, R], from the begin of the fault (of the judge where there is none) to the first alarm; 0
            for an alarm before the fault, infinite for none.
        exposed: shape [E, H, R], canary requests in that time, or until the last look.
        highest: shape [E, R], of the statistic.
    """

    scene_name: str
    chunk: int
    seconds: FloatArray
    exposed: FloatArray
    highest: FloatArray


def tasks_of(
    name: str, scene: Scene, entrants: tuple[Entrant, ...], thresholds: FloatArray, *, seed: int, runs: int
) -> list[Task]:
    """The chunks of one set."""
    return [
        Task(name, scene, entrants, thresholds, seed, chunk, min(CHUNK, runs - chunk * CHUNK))
        for chunk in range(-(-runs // CHUNK))
    ]


def run_task(task: Task) -> Done:
    """Draw one chunk and show it to every judge."""
    scene = task.scene
    at = scene.at_seconds
    counts = draw(scene, seed=task.seed, chunk=task.chunk)[: task.keep]
    start = scene.start_seconds
    ends = np.append(np.maximum(at - start, 0.0), np.inf)
    before = int(np.searchsorted(at, start, side="right"))  # looks that lie before the fault, or at its begin
    canary = counts[:, :, 0].astype(np.float64)
    sent = np.maximum(canary - (canary[:, before - 1 : before] if before else 0.0), 0.0)
    sent = np.concatenate([sent, sent[:, -1:]], axis=1)
    shape = (*task.thresholds.shape, task.keep)
    done = Done(task.scene_name, task.chunk, np.empty(shape), np.empty(shape), np.empty((shape[0], shape[2])))
    for number, entrant in enumerate(task.entrants):
        statistic = entrant.judge.paths(at, counts)
        first = first_alarms(statistic, task.thresholds[number])
        done.seconds[number] = ends[first]
        done.exposed[number] = np.take_along_axis(sent, first.T, axis=1).T
        done.highest[number] = statistic.max(axis=1)
    return done


def run_all(tasks: Iterable[Task], jobs: int) -> Iterator[Done]:
    """Run chunks here, or in worker processes; they come as they are done.

    Raises:
        WorkerLost: a worker was killed.
    """
    if jobs == 1:
        yield from map(run_task, tasks)
        return
    import joblib  # only with several workers: it takes 0.4 s to import
    from joblib.externals.loky import BrokenProcessPool

    with joblib.Parallel(
        n_jobs=jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs"
    ) as parallel:
        try:
            yield from parallel(joblib.delayed(_in_worker)(task) for task in tasks)
        except BrokenProcessPool:
            raise WorkerLost from None


def _in_worker(task: Task) -> Done:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that collects the results
    return run_task(task)


def together(parts: list[Done]) -> Done:
    """All chunks of a set as one, in the order of the replications."""
    parts = sorted(parts, key=lambda part: part.chunk)
    return Done(
        parts[0].scene_name,
        -1,
        np.concatenate([part.seconds for part in parts], axis=2),
        np.concatenate([part.exposed for part in parts], axis=2),
        np.concatenate([part.highest for part in parts], axis=1),
    )
