"""What an imitated tool passes or aborts without having seen anything is said beside the result, with how often."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from scenarios.build import build_strategies
from scenarios.load import load_scenario
from sim.study import simulate

FILE = """
apiVersion: rolloutlab/v1
horizon: 4m
service: {replicas: 2}
traffic: {rate: 5/s}
metrics: {outage: {from: 0s, for: 4m}}
strategies:
  open: {canary: {steps: [{setWeight: 50}, {analysis: {metrics: [METRIC, failureCondition: 'result[0] > 0.5'}]}}]}}
  shut: {canary: {steps: [{setWeight: 50}, {analysis: {metrics: [METRIC, successCondition: 'result[0] < 0.5'}]}}]}}
""".replace("METRIC", "{name: m, interval: 10s, count: 2, query: vector(0) / vector(0)")


@pytest.mark.parametrize(("engine", "runs"), [("batch", 300), ("event", 3)])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_decision_about_what_was_not_seen_is_a_warning(
    engine: Literal["batch", "event"], runs: int, jobs: int, tmp_path: Path
) -> None:
    path = tmp_path / "blind.yaml"
    path.write_text(FILE)
    loaded = load_scenario(path)
    cells = simulate(
        loaded.scenario, build_strategies(loaded).strategies, runs=runs, jobs=jobs, engine=engine, scenario_name="blind"
    )
    often = f"(in {runs} of {runs} replications of blind)"
    assert [cell.warnings for cell in cells] == [
        (f"open: m: Argo passes this: failure-only condition on NaN {often}",),
        (f"shut: Argo aborts this: m: 1 failed measurement > failureLimit 0; last NaN {often}",),
    ]
