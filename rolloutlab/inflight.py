"""From requests, as the model has them, to responses, as users of a drill see them.

The model says when requests came, and adds no time to answer. In a drill the first bad response is there one latency
after its request, and the last response of a revision is the latest of all that were under way when its traffic ended.
To answer takes real time, which counts `speed` times: at twelve times the speed a latency of 0.1 s is 1.2 s, as much
as the lag of a router.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rolloutlab.drill.record import Record
from scenarios.schema import LatencyFault, Scenario
from sim.rows import CODES

FloatArray = NDArray[np.float64]
_Z99: Final = 2.3263478740408408
_LONGEST: Final = 6.0  #: standard deviations of a latency's logarithm that are looked back on
_MINUTE: Final = 60.0  #: scenario seconds before the decision in which traffic is counted
_MOST: Final = 1024  #: requests under way that are looked at, the latest ones


@dataclass(frozen=True, slots=True)
class Pace:
    """How a drill was done.

    Attributes:
        speed: scenario seconds per real second.
        per_second: requests to the new revision per scenario second, before the decision.
    """

    speed: float
    per_second: float


def pace_of(drills: Sequence[Record]) -> Pace:
    """The pace of drills of one cell: medians over them."""
    speed = float(np.median([one.speed for one in drills]))
    rates = [rate for one in drills if (rate := _per_second(one)) is not None]
    return Pace(speed, float(np.median(rates)) if rates else 0.0)


def _per_second(record: Record) -> float | None:
    """Requests of the new revision in the last minute before the decision."""
    decision = record.moments().get("t5")
    if decision is None or decision.censored:
        return None
    last = [one for one in record.traffic if decision.lo - _MINUTE <= one.at <= decision.lo - one.seconds]
    count = sum(each.requests for one in last for each in one.counts if each.revision == "canary")
    return count / sum(one.seconds for one in last) if last else None


def as_seen(
    columns: Mapping[str, NDArray[Any]], scenario: Scenario, pace: Pace, *, seed: int
) -> dict[str, NDArray[Any]]:
    """The model's times as users of a drill at this pace would see them; other columns are left alone."""
    found = dict(columns)
    rng = np.random.default_rng([seed, 7])
    count = len(columns["detection_seconds"])
    first = pace.speed * _latencies(scenario, rng, (count, 1), bad=True)[:, 0]
    found["detection_seconds"] = np.maximum(0.0, columns["detection_seconds"] - first)
    last = columns["exposure_seconds"] - columns["detection_seconds"]  # of requests: it may precede the decision
    taken_back = np.asarray(columns["outcome"]) == CODES["rolled_back"]
    seen = np.where(taken_back, last + last_seen(scenario, pace, count, rng), np.nan)
    found["rollback_seconds"] = np.maximum(0.0, seen)
    return found


def last_seen(scenario: Scenario, pace: Pace, count: int, rng: np.random.Generator) -> FloatArray:
    """Scenario seconds from the last request of a revision to its last response; shape [count].

    Each row is one end of traffic: the last request at age 0, earlier ones as a Poisson process back from it.
    """
    law = scenario.service.latency
    longest = pace.speed * (law.p50_seconds * math.exp(_LONGEST * _sigma(scenario)) + _added(scenario)[0])
    expected = pace.per_second * longest
    under_way = min(_MOST, 1 + math.ceil(expected + 6 * math.sqrt(expected)))
    ages = np.zeros((count, under_way))
    if under_way > 1:
        ages[:, 1:] = np.cumsum(rng.standard_exponential((count, under_way - 1)) / pace.per_second, axis=1)
    left = pace.speed * _latencies(scenario, rng, (count, under_way), bad=False) - ages
    found: FloatArray = left.max(axis=1)
    return found


def _latencies(scenario: Scenario, rng: np.random.Generator, shape: tuple[int, int], *, bad: bool) -> FloatArray:
    """Real seconds that the new revision takes to answer; of its bad responses, where `bad`."""
    median = scenario.service.latency.p50_seconds
    drawn = median * np.exp(_sigma(scenario) * rng.standard_normal(shape))
    added, share = _added(scenario)
    found: FloatArray = drawn + added * (1.0 if bad else rng.random(shape) < share)
    return found


def _sigma(scenario: Scenario) -> float:
    law = scenario.service.latency
    return math.log(law.p99_seconds / law.p50_seconds) / _Z99


def _added(scenario: Scenario) -> tuple[float, float]:
    """What a fault adds to the latency of the new revision, and to which share of its responses."""
    for fault in scenario.faults:
        if isinstance(fault, LatencyFault) and fault.on in ("canary", "both"):
            return fault.add_seconds, fault.share
    return 0.0, 0.0
