"""Every way in which a strategy runs an analysis: a failure undoes, a doubt asks a person, a dry run decides nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from strategies import blue_green, canary, rolling
from strategies.analysis import Analysis, Condition, Expression, Metric, Phase, Script
from strategies.effects import AwaitApproval, Measured, Outcome, PromQuery, Query, Release, Strategy, Undo
from strategies.testing import Rehearsal, rehearse

ERRORS = Query(quantity="error_ratio", window_seconds=60)


def _in_a_step(analysis: Analysis) -> Strategy:
    return canary.strategy(steps=[canary.SetWeightStep(0.1), canary.AnalysisStep(analysis)])


def _beside_the_steps(analysis: Analysis) -> Strategy:
    return canary.strategy(steps=[canary.SetWeightStep(0.1), canary.PauseStep(600)], analysis=analysis)


PATHS: dict[str, Callable[[Analysis], Strategy]] = {
    "step": _in_a_step,
    "background": _beside_the_steps,
    "before the switch": lambda analysis: blue_green.strategy(pre_promotion=analysis),
    "after the switch": lambda analysis: blue_green.strategy(post_promotion=analysis),
    "rolling": lambda analysis: rolling.strategy(analysis=analysis),
}


def go(path: str, metrics: tuple[Metric, ...], **world: Any) -> Rehearsal:
    """Run a strategy with an analysis of these metrics."""
    return rehearse(PATHS[path](Analysis(name="check", metrics=metrics)), Release(replicas=4), **world)


def job(*answers: Any, seconds: float = 20.0, **settings: Any) -> Metric:
    return Metric(name="job", query=Script(answers=answers, seconds=seconds), **settings)


def outcome(run: Rehearsal) -> Outcome | None:
    return run.fate.outcome if run.fate is not None else None


@pytest.mark.parametrize("path", PATHS)
def test_a_job_that_fails_undoes(path: str) -> None:
    run = go(path, (job(Phase.FAILED),))
    assert outcome(run) is Outcome.ROLLED_BACK
    assert "job: 1 failed measurement > failureLimit 0; last Failed" in str(run.fate)
    assert run.at(Undo)[0] >= 20  # the job takes its time


@pytest.mark.parametrize("path", PATHS)
def test_a_job_that_succeeds_promotes(path: str) -> None:
    assert outcome(go(path, (job(Phase.SUCCESSFUL),))) is Outcome.PROMOTED


@pytest.mark.parametrize("path", PATHS)
def test_a_dry_run_that_fails_promotes(path: str) -> None:
    metrics = (job(Phase.FAILED, dry_run=True), Metric(name="errors", query=ERRORS, success=Condition("<", 0.05)))
    assert outcome(go(path, metrics)) is Outcome.PROMOTED
    assert outcome(go(path, metrics[:1])) is Outcome.PROMOTED


LOW, HIGH = Condition("<", 0.05), Condition(">", 0.2)
#: a metric, and what it sees before it sees good things only
DOUBTS: dict[str, tuple[Metric, list[float]]] = {
    "neither good nor bad": (Metric(name="errors", query=ERRORS, success=LOW, failure=HIGH), [math.nan]),
    "too few in a row": (
        Metric(
            name="errors", query=ERRORS, success=LOW, failure_limit=2, count=4, interval_seconds=5,
            consecutive_success_limit=2,
        ),
        [0.0, 1.0, 0.0, 1.0],
    ),
    "promql": (
        Metric(
            name="errors", query=PromQuery("up"), success=Expression("result[0] < 0.05"),
            failure=Expression("result[0] > 0.2"),
        ),
        [0.1],
    ),
}  # fmt: skip


@pytest.mark.parametrize("doubt", DOUBTS)
@pytest.mark.parametrize("path", PATHS)
def test_a_doubt_asks_a_person_and_goes_on(path: str, doubt: str) -> None:
    metric, seen = DOUBTS[doubt]
    looks = iter(seen)

    def look(query: Any, at: float) -> Any:
        value = next(looks, 0.0)
        return Measured(at, value, result=[value]) if isinstance(query, PromQuery) else value

    run = go(path, (metric,), looks=look)
    (question,) = [entry.what for entry in run.tape.entries if isinstance(entry.what, AwaitApproval)]
    assert question.reason.startswith("errors: ")
    assert outcome(run) is Outcome.PROMOTED
    assert run.at(Undo) == []
