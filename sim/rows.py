"""From a finished run to the columns of a result: one row a replication."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenarios.schema import Scenario
from sim.exposure import Exposure, activity
from sim.model import US, ChunkDraws, Model
from sim.pods import CANARY, STABLE
from sim.world import SimulatedCluster
from strategies.drive import Runtime
from strategies.effects import Outcome

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Rows = dict[str, NDArray[np.generic]]
CODES = {"promoted": 0, "rolled_back": 1, "paused": 2, "stalled": 3, "": -1}


class Ends:
    """What is remembered of the counts of each interval: totals, the first bad one, the last of the bad revision.

    Arrays are of shape [R]; `first_*` and `last_*` give the interval in microseconds and the count in it (0 = none).
    """

    def __init__(self, model: Model, replications: int) -> None:
        self.model = model
        self.watched = CANARY if model.targets[CANARY] or not model.targets[STABLE] else STABLE
        self._first_regime = 0 if model.from_start else 1
        self._targets = [revision for revision in (STABLE, CANARY) if model.targets[revision]]
        self.failed = np.zeros(replications, dtype=np.int64)
        self.slow = np.zeros(replications, dtype=np.int64)
        self.until_us = np.zeros(replications, dtype=np.int64)
        self.first_from = np.zeros(replications, dtype=np.int64)
        self.first_to = np.zeros(replications, dtype=np.int64)
        self.first_count = np.zeros(replications, dtype=np.int64)
        self.last_from = np.zeros(replications, dtype=np.int64)
        self.last_to = np.zeros(replications, dtype=np.int64)
        self.last_count = np.zeros(replications, dtype=np.int64)

    def interval(self, rows: IntArray, to_us: IntArray, counts: IntArray) -> None:
        """Take the counts of the interval since the last call; counts shape [A, V, G, 1 + C]."""
        at = slice(None) if rows.size == self.until_us.size else rows  # a slice is much faster than a list of rows
        from_us = self.until_us[at].copy()
        self.until_us[at] = to_us
        failed, slow = counts[..., 0], counts[..., -1]
        for column in range(1 + self.model.fast_classes, counts.shape[3] - 1):
            slow = slow + counts[..., column]
        self.failed[at] += _over_regimes(failed[:, 0] + failed[:, 1])
        self.slow[at] += _over_regimes(slow[:, 0] + slow[:, 1])
        waiting = self.first_count[at] == 0
        if self._targets and waiting.any():
            low = self._first_regime
            caused = np.zeros(rows.size, dtype=np.int64)
            for revision in self._targets:
                caused += _over_regimes((failed[:, revision] + slow[:, revision])[:, low:])
            new = waiting & (caused > 0)
            if new.any():
                fresh = rows[new]
                self.first_from[fresh], self.first_to[fresh] = from_us[new], to_us[new]
                self.first_count[fresh] = caused[new]
        if not self._targets:
            return  # nobody asks when a good release was seen last
        seen = counts[:, self.watched].sum(axis=(1, 2))
        some = seen > 0
        if some.any():
            last = rows[some]
            self.last_from[last], self.last_to[last] = from_us[some], to_us[some]
            self.last_count[last] = seen[some]


def _over_regimes(counts: IntArray) -> IntArray:
    """Sum over the regimes; shape [A, G] -> [A]."""
    return counts[:, 0] if counts.shape[1] == 1 else counts.sum(axis=1)


def finish(
    model: Model,
    draws: ChunkDraws,
    worlds: list[SimulatedCluster],
    runtimes: list[Runtime],
    ends: Ends,
    exposures: list[Exposure],
    rng: np.random.Generator,
) -> Rows:
    """The columns of one chunk; times t3 and t6 are drawn given the counts of their interval."""
    first, last = drawn_times(model, worlds, ends, exposures, rng.random((2, len(draws.bad))))
    count = len(worlds)
    failed, slow = ends.failed[:count], ends.slow[:count]
    return assemble(model, worlds, runtimes, exposures, failed=failed, slow=slow, first=first, last=last)


def drawn_times(
    model: Model, worlds: list[SimulatedCluster], ends: Ends, exposures: list[Exposure], uniform: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """t3 and t6 in microseconds, shape [R] each, NaN where there is none; uniform has the shape [2, R] or longer."""
    first = np.full(len(worlds), np.nan)
    last = np.full(len(worlds), np.nan)
    for row, world in enumerate(worlds):
        if world.fault_us >= 0:
            first[row] = _first_bad(model, ends, exposures[row], row, float(uniform[0, row]))
            last[row] = _last_seen(model, ends, exposures[row], row, float(uniform[1, row]))
    return first, last


def assemble(
    model: Model,
    worlds: list[SimulatedCluster],
    runtimes: list[Runtime],
    exposures: list[Exposure],
    *,
    failed: IntArray,
    slow: IntArray,
    first: FloatArray,
    last: FloatArray,
) -> Rows:
    """The columns of finished replications: what the worlds know, and what the engine counted; shapes [R]."""
    verdicts = [_verdict(world, runtime) for world, runtime in zip(worlds, runtimes, strict=True)]
    raw: Rows = {
        "release_bad": np.array([world.bad for world in worlds]),
        "severity": np.array([world.severity if world.bad else np.nan for world in worlds]),
        "outcome": np.array([CODES[verdict] for verdict in verdicts], dtype=np.int8),
        "decision": np.array([world.decision_us for world in worlds], dtype=np.int64),
        "fault": np.array([world.fault_us for world in worlds], dtype=np.int64),
        "ended": np.array([runtime.ended_us for runtime in runtimes], dtype=np.int64),
        "first": first,
        "last": last,
        "failed": failed,
        "slow": slow,
        "least": np.array([world.pods.least_available for world in worlds]),
        "peak": np.array([world.pods.peak for world in worlds]),
        "pod_us": np.array([world.pods.pod_us(model.horizon_us) for world in worlds], dtype=np.float64),
        "requests": np.array([world.arrivals.at_us(model.horizon_us) for world in worlds]),
        "users": _users(model, worlds, exposures),
    }
    return columns(model.scenario, raw)


def _verdict(world: SimulatedCluster, runtime: Runtime) -> str:
    if world.verdict:
        return world.verdict
    if runtime.fate is not None and runtime.fate.outcome is not Outcome.PROMOTED:
        return str(runtime.fate.outcome)
    return "paused" if world.waiting_for_person and runtime.fate is None else ""


def _first_bad(model: Model, ends: Ends, exposure: Exposure, row: int, uniform: float) -> float:
    """t3: the first of n bad responses spread over the interval like their exposure."""
    count = int(ends.first_count[row])
    if count == 0:
        return np.nan
    low = 0 if model.from_start else 1
    start, end = int(ends.first_from[row]), int(ends.first_to[row])
    weighted = exposure.bad(start, end, model.targets, model.fast_classes, low)
    fraction = -np.expm1(np.log1p(-uniform) / count)
    return float(exposure.place(weighted, float(fraction), end))


def _last_seen(model: Model, ends: Ends, exposure: Exposure, row: int, uniform: float) -> float:
    """t6: the last of n responses of the bad revision; NaN when it still answers at the horizon (censored)."""
    count = int(ends.last_count[row])
    share = 2 * ends.watched
    if count == 0 or exposure.segments[-1][2][share] > 0:
        return np.nan
    weighted = [
        (a, b, flow[share]) for a, b, flow, _ in exposure.pieces(int(ends.last_from[row]), int(ends.last_to[row]))
    ]
    return float(exposure.place(weighted, uniform ** (1.0 / count), int(ends.last_to[row])))


def _users(model: Model, worlds: list[SimulatedCluster], exposures: list[Exposure]) -> FloatArray:
    """Different users who met the bad release; NaN for good releases, without `users`, or if stable is bad."""
    users = model.scenario.users
    result = np.full(len(worlds), np.nan)
    if users is None or not model.targets[CANARY]:
        return result
    law = activity(users.count, users.zipf)
    low = 0 if model.from_start else 1
    for row, world in enumerate(worlds):
        if world.fault_us < 0:
            continue
        if users.routing == "sticky":
            bands = exposures[row].sticky_levels(model.horizon_us, low)
            result[row] = sum(share * float(law.users(requests)) for share, requests in bands)
        else:
            result[row] = exposures[row].met(model.horizon_us, low)
    return result if users.routing == "sticky" else np.where(np.isnan(result), np.nan, law.users(result))


def columns(scenario: Scenario, raw: Rows) -> Rows:
    """Times in seconds, money in dollars, nulls as NaN; definitions in docs/reference/results.md."""
    prices = scenario.prices
    outcome = raw["outcome"]
    bad = raw["release_bad"]
    decision = _seconds(raw["decision"])
    fault = _seconds(raw["fault"])
    first, last = raw["first"] / US, raw["last"] / US  # type: ignore[operator]
    caught = (outcome == CODES["rolled_back"]) | (outcome == CODES["stalled"])
    hours = scenario.horizon_seconds / 3600
    failed = raw["failed"].astype(np.float64)
    slow = raw["slow"].astype(np.float64)
    pod_hours = raw["pod_us"] / (US * 3600.0)  # type: ignore[operator]
    engineering = np.select(
        [outcome == 1, (outcome == 2) | (outcome == 3), (outcome == 0) & bad & (scenario.faults != ())],
        [prices.hours_per_rollback, prices.hours_per_stall, prices.hours_per_bad_promotion * _sits_in_canary(scenario)],
        0.0,
    )
    infrastructure = pod_hours * prices.pod_hour_usd
    outage = failed * prices.failed_request_usd + slow * prices.slow_request_usd
    rate = raw["requests"] / scenario.horizon_seconds  # type: ignore[operator]
    with np.errstate(invalid="ignore"):
        detection = np.where(caught & (decision >= first), decision - first, np.nan)
        rollback = np.where((outcome == 1) & (last >= decision), last - decision, np.nan)
        exposure = np.where(last >= first, last - first, np.nan)
        budget = (failed + slow) / rate  # 0 of no requests at all is NaN
    return {
        "release_bad": bad,
        "severity": raw["severity"],
        "outcome": outcome,
        "decision_seconds": np.where(decision >= fault, decision - fault, np.nan),
        "detection_seconds": detection,
        "rollback_seconds": rollback,
        "exposure_seconds": exposure,
        "duration_seconds": _seconds(raw["ended"]),
        "failed_requests": failed,
        "slow_requests": slow,
        "bad_requests": failed + slow,
        "users_exposed": raw["users"],
        "min_available_replicas": raw["least"].astype(np.float64),
        "peak_pods": raw["peak"].astype(np.float64),
        "pod_hours": pod_hours,
        "infrastructure_usd": infrastructure,
        "extra_infrastructure_usd": infrastructure - scenario.service.replicas * hours * prices.pod_hour_usd,
        "outage_usd": outage,
        "engineering_usd": engineering * prices.engineer_hour_usd,
        "total_usd": infrastructure + outage + engineering * prices.engineer_hour_usd,
        "error_budget_seconds": budget,
    }


def _seconds(time_us: NDArray[np.generic]) -> FloatArray:
    """Seconds of microseconds; negative (never) becomes NaN."""
    times = time_us.astype(np.float64)
    return np.where(times < 0, np.nan, times / US)


def _sits_in_canary(scenario: Scenario) -> float:
    return 1.0 if any(fault.on in ("canary", "both") for fault in scenario.faults) else 0.0
