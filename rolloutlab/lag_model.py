"""The lags that the simulator gives the pods and the router of a scenario, as a drill would see them.

They are the simulator's own draws of its worlds (`sim.model.ChunkDraws`) and its own probes (`sim.probes.ProbeTimes`).
What a drill sees in traffic is seen by requests, so the wait for one is added, or taken away, as it is there: requests
of a pod come as a Poisson process. A router that takes turns spaces them a little more evenly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenarios.schema import CrashLoopFault, NeverReadyFault, Scenario, SlowStartFault
from sim.model import US, ChunkDraws, Model, compile_model, us
from sim.probes import ProbeTimes
from sim.seeds import CHUNK

FloatArray = NDArray[np.float64]
DRAWS: Final = 2048  #: pods that are drawn
_CANARY: Final = 1  #: of `ChunkDraws.pods`; the laws of both revisions are the same
_PODS: Final = 32  #: of one replication that are drawn at once
_SIGNS: Final = {"join": 1.0, "weight_on": 1.0, "leave": -1.0, "weight_off": -1.0}
STARTS: Final = ("start", "ready")  #: kinds that faults of the start change


def predicted(scenario: Scenario, kind: str, waits: Sequence[float], *, seed: int) -> FloatArray:
    """Lags of one kind (`chaos.lags.KINDS`), scenario seconds, shape [2048].

    Args:
        waits: of those that were measured: the mean times between requests by which they were seen.
    """
    found = _LAWS[kind](scenario, seed)
    sign = _SIGNS.get(kind)
    if sign is None or not len(waits):
        return found
    rng = np.random.default_rng([seed, 8])
    mean = rng.permutation(np.resize(np.asarray(waits, dtype=np.float64), DRAWS))
    return np.asarray(found + sign * mean * rng.standard_exponential(DRAWS), dtype=np.float64)


def disturbed(scenario: Scenario, kind: str) -> tuple[str, ...]:
    """Revisions whose lags of this kind a fault of the scenario changes: they say nothing about the service."""
    if kind not in STARTS:
        return ()
    sides = [one.on for one in scenario.faults if isinstance(one, SlowStartFault | CrashLoopFault | NeverReadyFault)]
    return tuple(name for name in ("stable", "canary") if name in sides or "both" in sides)


def _schedule(scenario: Scenario, seed: int) -> FloatArray:
    return _drawn(_starting(scenario, pull_seconds=0.0), seed, lambda draws: draws.scheduled_us)


def _pull(scenario: Scenario, seed: int) -> FloatArray:
    return _drawn(_starting(scenario, schedule_seconds=0.0), seed, lambda draws: draws.scheduled_us)


def _run(scenario: Scenario, seed: int) -> FloatArray:
    return _drawn(scenario, seed, lambda draws: draws.scheduled_us)


def _start(scenario: Scenario, seed: int) -> FloatArray:
    probes = ProbeTimes(_compiled(scenario))
    started = _drawn(scenario, seed, lambda draws: draws.started_us)
    return np.array([probes.of(us(each))[0] / US for each in started.tolist()])


def _ready(scenario: Scenario, seed: int) -> FloatArray:
    return np.asarray(_run(scenario, seed) + _start(scenario, seed), dtype=np.float64)


def _join(scenario: Scenario, seed: int) -> FloatArray:
    return _drawn(scenario, seed, lambda draws: draws.lag_in_us)


def _leave(scenario: Scenario, seed: int) -> FloatArray:
    return _drawn(scenario, seed, lambda draws: draws.lag_out_us)


def _weight(scenario: Scenario, seed: int) -> FloatArray:
    """As `sim.router.Router` has it: the same each time."""
    return np.full(DRAWS, us(scenario.router.lag_seconds) / US)


_LAWS: Final[dict[str, Callable[[Scenario, int], FloatArray]]] = {
    "schedule": _schedule,
    "pull": _pull,
    "run": _run,
    "start": _start,
    "ready": _ready,
    "join": _join,
    "leave": _leave,
    "weight_on": _weight,
    "weight_off": _weight,
}


def _starting(scenario: Scenario, **seconds: float) -> Scenario:
    """The scenario with other times of a start."""
    startup = scenario.service.startup.model_copy(update=seconds)
    return scenario.model_copy(update={"service": scenario.service.model_copy(update={"startup": startup})})


def _compiled(scenario: Scenario) -> Model:
    return compile_model(scenario.model_copy(update={"faults": ()}), ())


def _drawn(scenario: Scenario, seed: int, of: Callable[..., list[list[int]]]) -> FloatArray:
    """What some pods of some replications drew, in seconds."""
    told = of(ChunkDraws(_compiled(scenario), seed, 0).pods(_CANARY, 0))
    each = math.ceil(DRAWS / CHUNK)
    assert each <= _PODS
    return np.array([row[:each] for row in told], dtype=np.float64).ravel()[:DRAWS] / US
