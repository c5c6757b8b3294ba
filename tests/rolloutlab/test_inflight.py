"""What is under way when a revision loses its traffic, against its closed form; what the other times become."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from rolloutlab.drill.testing import made_up
from rolloutlab.inflight import Pace, as_seen, last_seen, pace_of
from scenarios.schema import Scenario

ALPHA = 1e-6


def scenario(**changes: Any) -> Scenario:
    return Scenario.model_validate(
        {"apiVersion": "rolloutlab/v1", "strategies": {"rolling": {"rollingUpdate": {}}}, **changes}
    )


@pytest.mark.parametrize(("speed", "per_second"), [(1.0, 10.0), (12.0, 10.0), (12.0, 200.0), (60.0, 0.5), (12.0, 0.0)])
def test_the_last_response_is_the_latest_of_all_that_are_under_way(speed: float, per_second: float) -> None:
    """Of Poisson arrivals, none answers later than m with exp(-rate * mean excess over m); the last request besides."""
    law = stats.lognorm(s=math.log(0.25 / 0.04) / stats.norm.ppf(0.99), scale=0.04 * speed)

    grid = np.linspace(0.0, law.ppf(1 - 1e-9), 20_001)
    below = integrate.cumulative_trapezoid(law.sf(grid), grid, initial=0.0)
    cdf = law.cdf(grid) * np.exp(-per_second * (below[-1] - below))
    drawn = last_seen(scenario(), Pace(speed, per_second), 4000, np.random.default_rng(1))
    assert stats.kstest(drawn, lambda x: np.interp(x, grid, cdf)).pvalue > ALPHA


def test_the_pace_is_that_of_the_drills() -> None:
    assert pace_of([made_up(), made_up(number=1)]) == Pace(20.0, 10.0)
    assert pace_of([made_up(traffic=())]) == Pace(20.0, 0.0)


def columns_of(detection: list[float], rollback: list[float], outcome: int = 1) -> dict[str, Any]:
    there, back = np.array(detection), np.array(rollback)
    shown = np.where(back >= 0, back, np.nan)  # the model shows no time that is negative
    return {"detection_seconds": there, "rollback_seconds": shown, "exposure_seconds": there + back, "outcome": np.full(len(there), outcome)}  # fmt: skip


def test_a_response_comes_later_than_its_request_and_what_is_no_time_of_a_response_stays() -> None:
    columns = {**columns_of([100.0, np.nan, 0.1], [1.0, np.nan, 1.0]), "x": np.ones(3)}
    found = as_seen(columns, scenario(), Pace(12.0, 10.0), seed=1)
    assert (found["rollback_seconds"][[0, 2]] > 1.0).all()
    assert 0.0 <= found["detection_seconds"][2] <= found["detection_seconds"][0] < 100.0
    assert np.isnan(found["detection_seconds"][1])
    assert np.isnan(found["rollback_seconds"][1])
    assert found["x"] is columns["x"]


def test_a_last_request_before_the_decision_may_be_answered_after_it() -> None:
    found = as_seen(columns_of([100.0] * 500, [-0.5] * 500), scenario(), Pace(12.0, 10.0), seed=1)["rollback_seconds"]
    assert (found >= 0.0).all()
    assert (found > 0.0).mean() > 0.8, "of what is in flight at twelve times the speed, half takes 1.4 s and more"
    stalled = as_seen(columns_of([100.0], [1.0], outcome=3), scenario(), Pace(12.0, 10.0), seed=1)
    assert np.isnan(stalled["rollback_seconds"]).all(), "what is not taken back has no time of it"


def test_a_fault_of_latency_is_in_flight_as_well() -> None:
    slow = scenario(faults=[{"kind": "added_latency", "add": "2s", "share": "20%"}])
    columns = columns_of([100.0] * 2000, [1.0] * 2000)
    found = as_seen(columns, slow, Pace(10.0, 10.0), seed=1)
    assert (found["detection_seconds"] <= 80.0).all(), "a slow response is there 2 s of real time after its request"
    assert np.median(found["rollback_seconds"]) > 15.0, "some 40 of 200 that are under way for 2 s are slow"
    other = scenario(faults=[{"kind": "added_latency", "add": "2s", "on": "stable"}])
    assert np.median(as_seen(columns, other, Pace(10.0, 10.0), seed=1)["rollback_seconds"]) < 10.0
