"""Scenarios from words, small strategies, and what one replication did: for tests of the simulated world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenarios.schema import Scenario
from sim.engines.batch import Chunk
from sim.model import US, compile_model
from sim.seeds import CHUNK
from strategies.effects import (
    AwaitAvailable,
    Fate,
    Note,
    Outcome,
    Program,
    Query,
    Release,
    Scale,
    SetWeight,
    Strategy,
    Wait,
)

#: start-up without spread: 2 s until the container runs, 28 s until it answers; with the default probe Ready at 32 s
CONSTANT_STARTUP: Final = {"schedule": 2, "pull": 0, "start": 28, "spread": 0}


class Event(NamedTuple):
    """Something that happened in one replication, as the world logs it."""

    at_seconds: float
    kind: str
    who: str
    what: dict[str, Any]


def scenario(**words: Any) -> Scenario:
    """A scenario of the words of a file; 100 requests a second and one strategy unless said otherwise."""
    return Scenario.model_validate({"apiVersion": "rolloutlab/v1", "strategies": {"tested": {}}, **words})


def chunk(
    of: Scenario,
    program: Callable[[Release], Program],
    *,
    reads: tuple[Query, ...] = (),
    seed: int = 0,
    number: int = 0,
    replications: int = CHUNK,
    **observers: Any,
) -> Chunk:
    """A chunk that is ready to run; `observers` are those of `Chunk`."""
    strategy = Strategy("tested", program, reads)
    return Chunk(compile_model(of, reads), strategy, seed, number, replications=replications, **observers)


def columns(of: Scenario, program: Callable[[Release], Program], **settings: Any) -> dict[str, NDArray[Any]]:
    """The columns of one chunk that has run; `settings` are those of `chunk`."""
    return dict(chunk(of, program, **settings).run())


def events(
    of: Scenario, program: Callable[[Release], Program], *, replications: int = 1, **settings: Any
) -> list[list[Event]]:
    """What happened in the first replications of a chunk, in order of time."""
    found: list[list[Event]] = [[] for _ in range(replications)]

    def log(row: int) -> Callable[[int, str, str, dict[str, Any]], None]:
        return lambda at_us, kind, who, what: found[row].append(Event(at_us / US, kind, who, what))

    chunk(of, program, replications=replications, log=log, **settings).run()
    return found


def times(of: Sequence[Event], kind: str, who: str | None = None) -> list[float]:
    """When things of a kind happened (to one pod, or to any)."""
    return [event.at_seconds for event in of if event.kind == kind and who in (None, event.who)]


def idle(release: Release) -> Program:
    """A strategy that does nothing and ends at once."""
    yield Note("nothing to do")
    return Fate(Outcome.PAUSED)


def hold(weight: float, *, replicas: int | None = None, settle_seconds: float = 5.0) -> Callable[[Release], Program]:
    """A strategy that brings up a canary, lets it join the service, gives it a weight, and never ends."""

    def program(release: Release) -> Program:
        wanted = release.replicas if replicas is None else replicas
        yield Scale("canary", wanted)
        yield AwaitAvailable("canary", wanted, None)
        yield Wait(settle_seconds)
        yield SetWeight(weight)
        while True:
            yield Wait(1e9)

    return program


def poisson_within(count: float, mean: float, alpha_sigmas: float = 5.0) -> bool:
    """Is a sum of independent Poisson counts near its mean? False alarm below 1e-6 for means above 100."""
    return bool(abs(count - mean) <= alpha_sigmas * np.sqrt(mean) + 1)
