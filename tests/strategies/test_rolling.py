"""The rolling update by its decisions."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.analysis import Analysis, Condition, Metric
from strategies.effects import (
    AwaitApproval,
    AwaitComplete,
    Measure,
    Outcome,
    Promote,
    Query,
    Release,
    RollTo,
    Undo,
)
from strategies.rolling import strategy
from strategies.testing import bad, rehearse

ERRORS = Query(quantity="error_ratio")
FOUR = Release(replicas=4)


def check(*, unsure: bool = False, **settings: Any) -> Analysis:
    failure = Condition(">=", 0.2) if unsure else None
    metric = Metric(name="errors", query=ERRORS, success=Condition("<", 0.05), failure=failure, **settings)
    return Analysis(name="errors", metrics=(metric,))


def test_without_an_analysis_whatever_is_ready_is_promoted() -> None:
    run = rehearse(strategy(max_surge=1, max_unavailable=0, min_ready_seconds=5), FOUR, looks=bad)
    assert run.effects == [RollTo("canary", 4, 1, 0, 5), AwaitComplete("canary", 4), Promote()]
    assert run.fate is not None
    assert run.fate.outcome is Outcome.PROMOTED
    assert run.at(Promote) == [60]  # one pod after the other, 10 s to start and 5 s to be available


@settings(max_examples=50, deadline=None)
@given(
    replicas=st.integers(1, 20),
    surge=st.integers(0, 6),
    unavailable=st.integers(0, 6),
    startup=st.integers(1, 100),
)
def test_the_duration_is_that_of_its_rounds(replicas: int, surge: int, unavailable: int, startup: int) -> None:
    # With constant start-up times all pods of a round become available together: as many rounds as it takes.
    run = rehearse(
        strategy(max_surge=surge, max_unavailable=unavailable), Release(replicas=replicas), startup_seconds=startup
    )
    step = min(surge + min(max(unavailable, 0 if surge else 1), replicas), replicas)
    rounds = math.ceil(replicas / step)
    assert run.at(Promote) == [rounds * startup]


def test_pods_that_never_come_are_reported_and_left_alone() -> None:
    run = rehearse(
        strategy(max_surge=1, max_unavailable=1, progress_deadline_seconds=300), FOUR, never_available=("canary",)
    )
    assert run.fate is not None
    assert (run.fate.outcome, run.fate.reason) == (Outcome.STALLED, "no progress for 300 s")
    assert run.at(Undo) == []
    assert run.world.available["stable"] == 3  # exactly maxUnavailable is lost
    assert run.world.spec == {"stable": 3, "canary": 2}


def test_a_failing_analysis_undoes() -> None:
    run = rehearse(strategy(analysis=check(interval_seconds=15, failure_limit=1)), FOUR, looks=bad)
    reason = "errors: 2 failed measurements > failureLimit 1; last 1"
    assert run.fate is not None
    assert (run.fate.outcome, run.fate.reason) == (Outcome.ROLLED_BACK, reason)
    assert run.effects[-3:] == [Undo(reason), RollTo("stable", 4), AwaitComplete("stable", 4, None)]
    assert run.at(Undo) == [15]
    assert run.world.available == {"stable": 4, "canary": 0}


def test_the_promotion_waits_for_an_analysis_with_a_count() -> None:
    run = rehearse(strategy(analysis=check(interval_seconds=100, count=4)), FOUR)
    assert run.at(Promote) == [300]


def test_an_analysis_without_a_count_ends_with_the_update() -> None:
    run = rehearse(strategy(analysis=check(interval_seconds=15)), FOUR)
    assert run.at(Promote) == [20]
    assert run.at(Measure) == [0, 15]


@pytest.mark.parametrize("release", [Release(replicas=4, first=True), Release(replicas=4, returning=True)])
def test_a_first_deployment_and_a_return_to_stable_run_no_analysis(release: Release) -> None:
    run = rehearse(strategy(analysis=check()), release, looks=bad)
    assert [type(effect) for effect in run.effects] == [RollTo, AwaitComplete, Promote]


@pytest.mark.parametrize("delay", [0.0, 50.0])
def test_an_inconclusive_analysis_asks_a_person(delay: float) -> None:
    analysis = check(unsure=True, initial_delay_seconds=delay)
    run = rehearse(strategy(analysis=analysis), FOUR, looks=lambda query, at: math.nan)
    assert run.at(AwaitApproval) == [delay]
    assert run.at(Promote) == [delay + 60]


def test_a_surge_that_is_neither_pods_nor_a_percentage_is_refused() -> None:
    with pytest.raises(ValueError, match="maxSurge"):
        strategy(max_surge="many")
    with pytest.raises(ValueError, match="maxUnavailable"):
        strategy(max_unavailable=-1)
