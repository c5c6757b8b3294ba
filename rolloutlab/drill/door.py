"""The one place that plans and runs drills: the command line and the Python door both come through here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from chaos.plan import Plan, Settings, Source, make
from chaos.results import Happening
from chaos.runner import drill as run_drill
from rolloutlab.drill.reading import record_of
from rolloutlab.drill.record import Record
from rolloutlab.drill.result import Drills
from rolloutlab.question import Asked, Question, read
from scenarios.errors import ScenarioError, unknown
from scenarios.library import find

WORLDS: Final = ("local", "cluster")  #: worlds that a drill can be done in
MOST_REPEATS: Final = 1000
_ENDS_A_SERIES: Final = (3, 4, 130)  #: exit codes after which the next drill is not begun
Tell = Callable[[Happening], None]
#: what shows a drill while it runs: given the drill and its number, hears what happens between enter and exit
View = Callable[["Planned", int], AbstractContextManager[Tell]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which drills are asked for.

    Attributes:
        path: a scenario file, or the bare name of a shipped one.
        strategies: names; empty takes the only one of the file.
        repeat: drills of each strategy; the seed of each next one is one more.
    """

    path: str | Path
    strategies: tuple[str, ...] = ()
    variant: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    bind: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    allow_python: bool = False
    world: str = "local"
    repeat: int = 1
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, slots=True)
class Planned:
    """One drill before it begins: its question, and what the harness will do."""

    question: Question
    plan: Plan

    @property
    def name(self) -> str:
        """Scenario, variant and strategy in one name."""
        variant = f" / {self.question.variant}" if self.question.variant else ""
        return f"{self.question.name}{variant}, {self.plan.name}"


def planned(wanted: Wanted) -> list[Planned]:
    """The drills, one a strategy, before they are repeated.

    Raises:
        ScenarioErrors: everything wrong with the file, or with the names asked for.
    """
    if wanted.world not in WORLDS:
        raise unknown(wanted.world, WORLDS, field="--world", what="world")
    if wanted.world != wanted.settings.world:
        raise ScenarioError(expected="settings of a cluster for the world cluster alone", got=wanted.world)
    if not 1 <= wanted.repeat <= MOST_REPEATS:
        raise ScenarioError(expected=f"1 to {MOST_REPEATS:,}", got=wanted.repeat, field="--repeat")
    asked = Asked(
        path=wanted.path,
        variant=wanted.variant,
        variants=False,
        overrides=wanted.overrides,
        strategies=wanted.strategies or None,
        bind=wanted.bind,
        strict=wanted.strict,
        allow_python=wanted.allow_python,
    )
    (question,) = read(asked)
    names = wanted.strategies or tuple(question.strategies)
    if not wanted.strategies and len(names) > 1:
        raise ScenarioError("expected one or more of the strategies of the file", known=names, field="--strategy")
    source = Source(
        path=str(find(wanted.path)),
        variant=wanted.variant,
        overrides=dict(wanted.overrides),
        allow_python=wanted.allow_python,
        bind=dict(wanted.bind),
    )
    return [Planned(question, make(source, name, wanted.settings)) for name in dict.fromkeys(names)]


def drill(
    wanted: Wanted,
    *,
    plans: Sequence[Planned] = (),
    view: View | None = None,
    signals: bool = False,
    inputs: Mapping[str, Any] | None = None,
    again: str = "",
    done: Callable[[Record, int], None] | None = None,
) -> Drills:
    """Run the drills one after the other.

    Args:
        plans: of `planned(wanted)`; made here when there are none.
        view: shows each while it runs.
        signals: SIGINT, SIGTERM and SIGHUP end a drill in good order (main thread only).
        inputs: more about what was asked, for the result.
        again: the command that gives such drills again.
        done: given each record and its number as soon as it is there.

    Returns:
        The drills that were begun: a refused or interrupted one, or one that left something behind, ends the series.

    Raises:
        ScenarioErrors: everything wrong with the file, or with the names asked for.
        WorldError: not even a run directory could be made.
    """
    first = list(plans) or planned(wanted)
    found: list[Record] = []
    interrupted = False
    try:
        for record in _series(first, wanted, view, signals=signals, again=again):
            found.append(record)
            if done is not None:
                done(record, len(found) - 1)
    except KeyboardInterrupt:  # between two drills; within one its harness hears the signal
        interrupted = True
    return _drills(found, first, wanted, inputs, again, interrupted=interrupted)


def _series(
    first: Sequence[Planned], wanted: Wanted, view: View | None, *, signals: bool, again: str
) -> Iterator[Record]:
    """One drill after the other, until there are enough or one of them ends the series."""
    count = 0
    for one in first:
        for number in range(wanted.repeat):
            here = one if number == 0 else _repeated(one, wanted.settings.seed + number)
            record = _run(here, count, view, signals=signals, again=again)
            count += 1
            yield record
            if record.exit_code in _ENDS_A_SERIES:
                return


def _repeated(one: Planned, seed: int) -> Planned:
    """The same drill with other draws, at the same speed."""
    settings = replace(one.plan.settings, seed=seed, speed=one.plan.speed)
    return Planned(one.question, make(one.plan.source, one.plan.name, settings))


def _run(one: Planned, number: int, view: View | None, *, signals: bool, again: str) -> Record:
    silent: AbstractContextManager[Tell | None] = nullcontext()
    began = time.monotonic()
    with silent if view is None else view(one, number) as tell:
        result = run_drill(one.plan, tell=tell, signals=signals)
    ended = time.monotonic()
    return record_of(
        result, one.plan, one.question, wall_of_zero=time.time() - ended, took_seconds=ended - began, again=again
    )


def _drills(
    found: list[Record],
    first: Sequence[Planned],
    wanted: Wanted,
    inputs: Mapping[str, Any] | None,
    again: str,
    *,
    interrupted: bool,
) -> Drills:
    question = first[0].question
    asked = {
        "scenario": question.name,
        "path": question.path,
        "sha256": question.digest,
        "variant": question.variant,
        "strategies": [one.plan.name for one in first],
        "world": wanted.world,
        "repeat": wanted.repeat,
        "overrides": dict(wanted.overrides),
        "bind": dict(wanted.bind),
    }
    return Drills(found, len(first) * wanted.repeat, {**asked, **(inputs or {})}, again, interrupted)
