"""Blue-green by its decisions."""

from __future__ import annotations

import math
from typing import Any

import pytest

from strategies.analysis import Analysis, Condition, Metric
from strategies.blue_green import strategy
from strategies.drive import Runtime
from strategies.effects import (
    AwaitApproval,
    AwaitAvailable,
    Effect,
    Join,
    Measure,
    Note,
    Outcome,
    Promote,
    Query,
    Release,
    Scale,
    SetWeight,
    Spawn,
    Undo,
    Wait,
)
from strategies.testing import Rehearsal, TapeWorld, bad, good, rehearse

ERRORS = Query(quantity="error_ratio")
FIVE = Release(replicas=5)


def check(name: str = "errors", *, unsure: bool = False, **settings: Any) -> Analysis:
    metric = Metric(
        name=name,
        query=ERRORS,
        success=Condition("<", 0.05),
        failure=Condition(">=", 0.2) if unsure else None,
        **settings,
    )
    return Analysis(name=name, metrics=(metric,))


def plain(run: Rehearsal) -> list[Effect]:
    return [effect for effect in run.effects if not isinstance(effect, Spawn | Join)]


def test_all_pods_first_then_the_switch_then_the_old_ones_go() -> None:
    run = rehearse(strategy(), FIVE)
    assert run.effects == [
        Scale("canary", 5),
        AwaitAvailable("canary", 5),
        SetWeight(1.0),
        Promote(),
        Wait(30.0),
        Scale("stable", 0),
    ]
    assert run.at(SetWeight) == [10]
    assert run.at(Scale) == [0, 40]


def test_a_small_preview_grows_after_its_analysis_and_the_pause() -> None:
    settings = strategy(
        preview_replicas=2,
        pre_promotion=check(interval_seconds=20, count=3),
        auto_promotion_seconds=60,
        scale_down_delay_seconds=300,
    )
    run = rehearse(settings, FIVE)
    assert plain(run) == [
        Scale("canary", 2),
        AwaitAvailable("canary", 2),
        Wait(60),
        Scale("canary", 5),
        AwaitAvailable("canary", 5),
        SetWeight(1.0),
        Promote(),
        Wait(300),
        Scale("stable", 0),
    ]
    assert run.at(Measure) == [10, 30, 50]
    assert run.at(SetWeight) == [120]  # the countdown began at 50, when the analysis ended


def test_without_auto_promotion_a_person_is_asked_before_the_switch() -> None:
    run = rehearse(strategy(auto_promotion=False, auto_promotion_seconds=5), FIVE, approval_seconds=100)
    assert run.effects[2:4] == [AwaitApproval("promotion"), SetWeight(1.0)]
    assert run.at(SetWeight) == [110]


def test_the_promotion_waits_for_the_post_promotion_analysis() -> None:
    run = rehearse(strategy(post_promotion=check(interval_seconds=30, count=2)), FIVE)
    assert run.at(SetWeight) == [10]
    assert run.at(Promote) == [40]


@pytest.mark.parametrize("release", [Release(replicas=5, first=True), Release(replicas=5, returning=True)])
def test_a_first_deployment_and_a_return_to_stable_skip_analyses_and_pauses(release: Release) -> None:
    settings = strategy(preview_replicas=1, pre_promotion=check(), post_promotion=check(), auto_promotion=False)
    run = rehearse(settings, release, looks=bad)
    end = [] if release.first else [Wait(30.0), Scale("stable", 0)]
    assert plain(run) == [Scale("canary", 5), AwaitAvailable("canary", 5), SetWeight(1.0), Promote(), *end]


def test_a_failure_before_the_switch_moves_no_traffic() -> None:
    run = rehearse(strategy(pre_promotion=check()), FIVE, looks=bad)
    assert run.fate is not None
    assert run.fate.outcome is Outcome.ROLLED_BACK
    assert SetWeight not in [type(effect) for effect in run.effects]
    assert run.effects[-4:] == [
        Undo("errors: 1 failed measurement > failureLimit 0; last 1"),
        AwaitAvailable("stable", 5, None),
        Wait(30.0),
        Scale("canary", 0),
    ]


def test_a_failure_after_the_switch_switches_back() -> None:
    run = rehearse(strategy(post_promotion=check(), abort_scale_down_delay_seconds=45), FIVE, looks=bad)
    assert plain(run)[-5:-3] == [Undo("errors: 1 failed measurement > failureLimit 0; last 1"), SetWeight(0.0)]
    assert plain(run)[-2:] == [Wait(45), Scale("canary", 0)]
    assert run.at(Undo) == [10]


def test_an_abort_delay_of_0_leaves_the_new_pods() -> None:
    run = rehearse(strategy(post_promotion=check(), abort_scale_down_delay_seconds=0), FIVE, looks=bad)
    assert plain(run)[-1] == SetWeight(0.0)
    assert run.world.spec == {"stable": 5, "canary": 5}


@pytest.mark.parametrize(("guard", "weight"), [(False, 0.0), (True, 1.0)])
def test_the_guard_leaves_traffic_on_new_pods_that_crashed(guard: bool, weight: float) -> None:
    crashed = strategy(post_promotion=check(initial_delay_seconds=60), guard=guard)

    def looks(query: Query, at: float) -> float:
        world.available["canary"] = 3  # two of the new pods crash after the switch
        return 1.0

    world = TapeWorld(FIVE, looks=looks)
    runtime = Runtime(world, crashed, FIVE)
    runtime.start()
    world.run()
    assert runtime.fate is not None
    assert runtime.fate.outcome is Outcome.ROLLED_BACK
    assert world.weight == weight
    assert world.spec == {"stable": 5, "canary": 0}
    assert any(isinstance(effect, Note) for _, effect in world.asked) is guard


def test_the_guard_switches_back_while_the_new_pods_are_whole() -> None:
    run = rehearse(strategy(post_promotion=check(), guard=True), FIVE, looks=bad)
    assert run.world.weight == 0


def test_after_an_inconclusive_analysis_a_person_makes_it_run_anew() -> None:
    settings = strategy(pre_promotion=check(unsure=True))
    run = rehearse(settings, FIVE, looks=lambda query, at: math.nan if at < 50 else 0.0)
    assert run.at(Measure) == [10, 70]
    assert run.at(AwaitApproval) == [10]
    assert run.fate is not None
    assert run.fate.outcome is Outcome.PROMOTED


@pytest.mark.parametrize("abort", [False, True])
def test_pods_that_never_come_leave_it_stalled_or_taken_back(abort: bool) -> None:
    run = rehearse(
        strategy(progress_deadline_seconds=90, progress_deadline_abort=abort), FIVE, never_available=("canary",)
    )
    assert run.fate is not None
    assert run.fate.outcome is (Outcome.ROLLED_BACK if abort else Outcome.STALLED)
    assert run.fate.reason == "no progress for 90 s"
    assert run.world.spec["canary"] == (0 if abort else 5)


def test_settings_that_cannot_be_are_refused() -> None:
    endless = check("latency", interval_seconds=30)
    for field in ("pre_promotion", "post_promotion"):
        with pytest.raises(ValueError, match=f"{field}: analysis 'latency' has an interval and no count"):
            strategy(**{field: endless})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="preview_replicas must be 1 or more"):
        strategy(preview_replicas=0)


def test_reads_name_the_queries_of_both_analyses() -> None:
    assert strategy(pre_promotion=check(), post_promotion=check()).reads == (ERRORS,)
    assert rehearse(strategy(), FIVE, looks=good).at(Measure) == []
