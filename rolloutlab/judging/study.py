"""Runs every judge of every bench: good releases first, then bad ones with the thresholds that those gave."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rolloutlab.judging.alarms import Matched
from rolloutlab.judging.bench import DAY, Bench
from rolloutlab.judging.card import Card, card, thresholds_of
from rolloutlab.judging.chunks import Done, Task, run_all, tasks_of, together
from rolloutlab.judging.draw import Scene
from rolloutlab.judging.entrant import Entrant
from sim.seeds import CHUNK
from strategies.judges.base import FloatArray

Progress = Callable[[int, int], None]
_FEWER: Final = 4  #: the day and the other effects are run this many times less often
_GOOD, _HARDEST, _DAY, _FAULT, _EFFECT = range(5)


@dataclass(frozen=True)
class Plan:
    """What is run on one bench."""

    bench: Bench
    entrants: tuple[Entrant, ...]
    runs: int

    @property
    def fewer(self) -> int:
        """Replications of the day and of the other effects."""
        return min(self.runs, max(CHUNK, self.runs // _FEWER))

    @property
    def comparative(self) -> tuple[Entrant, ...]:
        """The judges that learn p0: their limit needs good releases of another ratio too."""
        return tuple(one for one in self.entrants if not one.knows_baseline)

    @property
    def others(self) -> list[float]:
        """The other effects of the operating curve."""
        return [ratio for ratio in self.bench.effects if ratio != self.bench.p1]

    @property
    def total(self) -> int:
        """Replications of all sets."""
        return self.runs * (2 + bool(self.comparative)) + self.fewer * (1 + len(self.others))

    def scene(self, number: int, *, good: float | None = None, bad: float | None = None, day: bool = False) -> Scene:
        """One set of replications: a good release, or with `bad` a bad one."""
        bench = self.bench
        ratio = bench.p0 if good is None else good
        look = bench.day_look_seconds if day else bench.look_seconds
        length = DAY if day else 3600.0 if bad is None else bench.horizon_seconds
        return Scene(
            number=number,
            rate_per_second=bench.rate_per_second,
            share=bench.share,
            good=ratio,
            bad=ratio if bad is None else bad,
            fault_seconds=math.inf if bad is None else bench.fault_seconds,
            seconds=look * math.floor(length / look + 1e-9),
            look_seconds=look,
        )


def cards(plan: Plan, *, seed: int, jobs: int, tell: Callable[[int], None] = lambda done: None) -> list[Card]:
    """The cards of all judges of one bench.

    Args:
        seed: the same gives the same numbers, for any number of `jobs`.
        jobs: worker processes; 1 runs here.
        tell: called with the replications that were just done.
    """
    good = _good(plan, seed, jobs, tell)
    highest = np.array([good["good"].highest[number] for number in range(len(plan.entrants))])
    matches = thresholds_of(plan.entrants, highest, plan.bench.alpha)
    bad = _bad(plan, matches, seed, jobs, tell)
    hardest = iter(range(len(plan.comparative)))
    found = []
    for number, (entrant, match) in enumerate(zip(plan.entrants, matches, strict=True)):
        own = good["good"].seconds[number, 0]
        found.append(
            card(
                plan.bench,
                entrant,
                good=own,
                hardest=own if entrant.knows_baseline else good["hardest"].seconds[next(hardest), 0],
                day=good["day"].seconds[number, 0],
                threshold=match,
                seconds=bad["fault"].seconds[number],
                exposed=bad["fault"].exposed[number],
                effects=[
                    (ratio, bad[f"{ratio}"].seconds[number], bad[f"{ratio}"].exposed[number]) for ratio in plan.others
                ],
            )
        )
    return found


def _good(plan: Plan, seed: int, jobs: int, tell: Callable[[int], None]) -> dict[str, Done]:
    own = _own_thresholds(plan.entrants)
    tasks = tasks_of("good", plan.scene(_GOOD), plan.entrants, own, seed=seed, runs=plan.runs)
    if plan.comparative:
        theirs = _own_thresholds(plan.comparative)
        scene = plan.scene(_HARDEST, good=plan.bench.pooled)
        tasks += tasks_of("hardest", scene, plan.comparative, theirs, seed=seed, runs=plan.runs)
    tasks += tasks_of("day", plan.scene(_DAY, day=True), plan.entrants, own, seed=seed, runs=plan.fewer)
    return _run(tasks, jobs, tell)


def _bad(
    plan: Plan, matches: Sequence[Matched | None], seed: int, jobs: int, tell: Callable[[int], None]
) -> dict[str, Done]:
    levels = np.array([_levels(one, match) for one, match in zip(plan.entrants, matches, strict=True)])
    tasks = tasks_of("fault", plan.scene(_FAULT, bad=plan.bench.p1), plan.entrants, levels, seed=seed, runs=plan.runs)
    for number, ratio in enumerate(plan.others):
        scene = plan.scene(_EFFECT + number, bad=ratio)
        tasks += tasks_of(f"{ratio}", scene, plan.entrants, levels[:, :2], seed=seed, runs=plan.fewer)
    return _run(tasks, jobs, tell)


def _own_thresholds(entrants: Sequence[Entrant]) -> FloatArray:
    """The thresholds that the judges come with, shape [E, 1]."""
    return np.array([[one.judge.threshold] for one in entrants])


def _levels(entrant: Entrant, match: Matched | None) -> list[float]:
    """The judge's own threshold, the matched one, and the ends of its interval."""
    own = entrant.judge.threshold
    return [own, *((own,) * 3 if match is None else (match.value, match.lo, match.hi))]


def _run(tasks: list[Task], jobs: int, tell: Callable[[int], None]) -> dict[str, Done]:
    parts: dict[str, list[Done]] = {}
    for done in run_all(tasks, jobs):
        parts.setdefault(done.scene_name, []).append(done)
        tell(done.seconds.shape[2])
    return {name: together(found) for name, found in parts.items()}


def run(plans: Sequence[Plan], *, seed: int, jobs: int, on_progress: Progress | None = None) -> Iterator[list[Card]]:
    """The cards of each bench, one bench after the other."""
    total, done = sum(plan.total for plan in plans), 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        if on_progress is not None:
            on_progress(done, total)

    for plan in plans:
        yield cards(plan, seed=seed, jobs=jobs, tell=tell)
