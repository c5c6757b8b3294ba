"""Requests are neither lost nor made: the exposure of a run adds up to Lambda(horizon), and so do its segments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.schema import Scenario
from sim.engines import batch
from sim.engines.batch import Chunk
from sim.engines.plane import Lane
from sim.model import compile_model
from sim.world import Flow
from strategies import Analysis, Condition, Metric, PauseStep, Query, SetWeightStep, blue_green, canary, rolling

REPLICATIONS = 6
QUERY = Query(quantity="error_ratio", window_seconds=60)
LATENCY = Query(quantity="latency_quantile", window_seconds=60)
GATE = Analysis(
    name="gate",
    metrics=(
        Metric(name="errors", query=QUERY, interval_seconds=20, count=4, failure_limit=1, success=Condition("<", 0.03)),
        Metric(name="p95", query=LATENCY, interval_seconds=20, count=4, failure_limit=1, success=Condition("<", 0.6)),
    ),
)
STRATEGIES = (
    rolling.strategy(),
    rolling.strategy(analysis=GATE),
    blue_green.strategy(post_promotion=GATE),
    canary.strategy(steps=(SetWeightStep(0.2), PauseStep(90), SetWeightStep(0.6), PauseStep(90)), analysis=GATE),
)
TRAFFIC: tuple[dict[str, Any], ...] = (
    {"kind": "constant", "rate": "37/s"},
    {"kind": "daily", "mean": "1000/s", "amplitude": 0.9},
    {"kind": "flash_crowd", "base": "5/s", "peak": "500/s", "at": "4m", "rise": "10s", "decay": "1m"},
)
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "error_ratio", "ratio": "5%"},
    {"kind": "error_ratio", "ratio": "100%", "fromWeight": "50%", "on": "both"},
    {"kind": "added_latency", "add": "1s", "share": 0.5, "from": "3m"},
    {"kind": "crash_loop", "after": "15s"},
    {"kind": "never_ready", "from": "2m"},
    {"kind": "memory_leak", "mibPerMinute": 90},
    {"kind": "memory_leak", "mibPerRequest": 0.5, "on": "stable"},
    {"kind": "pool_leak", "perRequest": "2%", "scope": "shared"},
)


def run(parts: dict[str, Any], strategy: int, seed: int) -> Chunk:
    scenario = Scenario.model_validate(
        {"apiVersion": "rolloutlab/v1", "strategies": {"any": {}}, "horizon": "12m", **parts}
    )
    chosen = STRATEGIES[strategy]
    chunk = Chunk(compile_model(scenario, chosen.reads), chosen, seed, 0, replications=REPLICATIONS)
    chunk.run()
    return chunk


def assert_conserved(chunk: Chunk) -> None:
    horizon = chunk.model.horizon_us
    for row, world in enumerate(chunk.worlds):
        wanted = world.arrivals.at_us(horizon)
        assert chunk.plane.total[row].sum() == pytest.approx(wanted, rel=1e-9)
        by_segment = np.zeros((2, chunk.model.regimes, 2))
        segments = chunk.lanes[row].segments
        ends = [after[1] for after in segments[1:]] + [wanted]
        for (_, began, flow, regime), end in zip(segments, ends, strict=True):
            assert flow[0] + flow[2] == pytest.approx(1.0, rel=1e-12)
            for revision in (0, 1):
                share, fails = flow[2 * revision : 2 * revision + 2]
                by_segment[revision, regime] += (end - began) * share * np.array([fails, 1 - fails])
        np.testing.assert_allclose(chunk.plane.total[row], by_segment, rtol=1e-9, atol=wanted * 1e-9)
    seen = chunk.plane.classes[: chunk.count].sum(axis=-1)
    np.testing.assert_allclose(seen[seen > 0], 1.0, rtol=1e-12)


@settings(max_examples=60)
@given(
    traffic=st.sampled_from(TRAFFIC),
    faults=st.lists(st.sampled_from(FAULTS), max_size=3, unique_by=str),
    strategy=st.integers(0, len(STRATEGIES) - 1),
    router=st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["weighted", "pods"]),
            "lag": st.sampled_from(["0s", "1s", "20s"]),
            "connectionLife": st.sampled_from(["0s", "30s"]),
            "noEndpoints": st.sampled_from(["fail", "uncounted", "fallback"]),
        }
    ),
    replicas=st.integers(1, 6),
    first=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_exposure_is_conserved(
    traffic: dict[str, Any],
    faults: list[dict[str, Any]],
    strategy: int,
    router: dict[str, Any],
    replicas: int,
    first: bool,
    seed: int,
) -> None:
    service = {"replicas": replicas, "shutdown": {"preStop": "0s"}}
    release = {"first": first, "bad": 0.8, "severity": {"kind": "lognormal"}}
    parts = {"traffic": traffic, "faults": faults, "router": router, "service": service, "release": release}
    assert_conserved(run(parts, strategy, seed))


class StickyLane(Lane):
    """Errors of the canary are still counted after its weight is 0."""

    __slots__ = ()

    def flow(self, flow: Flow) -> None:
        at = 4 * self._row + 2
        errors = self._rate[at]
        super().flow(flow)
        if flow[2] == 0.0:
            self._rate[at] = errors


def test_errors_counted_twice_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "Lane", StickyLane)
    with pytest.raises(AssertionError):
        assert_conserved(run({"faults": [{"kind": "error_ratio", "ratio": "30%"}]}, 3, 5))
