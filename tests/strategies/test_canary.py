"""The canary by its decisions: what it asks for, in which order and when."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import rollback
from strategies.analysis import Analysis, Condition, Metric
from strategies.canary import AnalysisStep, CanaryScaleStep, PauseStep, SetWeightStep, Step, strategy
from strategies.effects import (
    AwaitApproval,
    AwaitAvailable,
    Cancel,
    Effect,
    Join,
    Measure,
    Observe,
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
from strategies.models import argo
from strategies.models.kubernetes import resolve_fenceposts
from strategies.testing import Rehearsal, bad, empty, good, rehearse, undefined

ERRORS = Query(quantity="error_ratio", window_seconds=60)
TEN = Release(replicas=10)
PODS = Release(replicas=10, routed=False)


def check(count: int | None = None, *, interval: float = 60, delay: float = 0, unsure: bool = False) -> Analysis:
    metric = Metric(
        name="errors",
        query=ERRORS,
        interval_seconds=interval,
        initial_delay_seconds=delay,
        count=count,
        success=Condition("<", 0.05),
        failure=Condition(">=", 0.2) if unsure else None,
    )
    return Analysis(name="errors", metrics=(metric,))


def plain(run: Rehearsal) -> list[Effect]:
    """What it did to pods and traffic, without the waiting for pods and without the analyses."""
    return [
        effect for effect in run.effects if not isinstance(effect, AwaitAvailable | Observe | Spawn | Join | Cancel)
    ]


# --- behind a router ---------------------------------------------------------------------------------------------


def test_a_release_that_is_good_climbs_the_steps() -> None:
    run = rehearse(strategy(steps=[SetWeightStep(0.25), PauseStep(300), SetWeightStep(0.5), PauseStep(300)]), TEN)
    assert run.fate is not None
    assert run.fate.outcome is Outcome.PROMOTED
    assert run.effects == [
        Scale("canary", 3),  # ceil(25 % of 10)
        AwaitAvailable("canary", 3),
        SetWeight(0.25),
        Wait(300),
        Scale("canary", 5),
        AwaitAvailable("canary", 5),
        SetWeight(0.5),
        Wait(300),
        Scale("canary", 10),
        AwaitAvailable("canary", 10),
        SetWeight(1.0),
        Promote(),
        Wait(30.0),
        Scale("stable", 0),
    ]
    assert run.at(SetWeight) == [10, 320, 630]  # pods take 10 s
    assert run.at(Promote) == [630]


def test_a_weight_that_falls_moves_traffic_before_pods() -> None:
    run = rehearse(strategy(steps=[SetWeightStep(0.5), SetWeightStep(0.2)]), TEN)
    assert plain(run)[:4] == [Scale("canary", 5), SetWeight(0.5), SetWeight(0.2), Scale("canary", 2)]


def test_without_steps_it_goes_straight_to_all() -> None:
    run = rehearse(strategy(steps=[]), TEN)
    assert plain(run) == [Scale("canary", 10), SetWeight(1.0), Promote(), Wait(30.0), Scale("stable", 0)]


@pytest.mark.parametrize("release", [Release(replicas=10, first=True), Release(replicas=10, returning=True)])
def test_a_first_deployment_and_a_return_to_stable_skip_steps_and_analyses(release: Release) -> None:
    steps: list[Step] = [SetWeightStep(0.25), PauseStep(), AnalysisStep(check(3))]
    run = rehearse(strategy(steps=steps, analysis=check()), release, looks=bad)
    end = [] if release.first else [Wait(30.0), Scale("stable", 0)]
    assert plain(run) == [Scale("canary", 10), SetWeight(1.0), Promote(), *end]
    assert run.at(Measure) == []


def test_the_canary_scale_stays_until_it_matches_the_weight_again() -> None:
    steps: list[Step] = [
        CanaryScaleStep(replicas=2),
        SetWeightStep(0.5),
        CanaryScaleStep(weight=0.3),
        SetWeightStep(0.9),  # 90 % of the traffic on 3 of 10 pods: the documented trap
        CanaryScaleStep(match_traffic_weight=True),
    ]
    assert plain(rehearse(strategy(steps=steps), TEN))[:6] == [
        Scale("canary", 2),
        SetWeight(0.5),
        Scale("canary", 3),
        SetWeight(0.9),
        Scale("canary", 9),
        Scale("canary", 10),
    ]


def test_a_canary_without_pods_gets_no_weight() -> None:
    steps: list[Step] = [CanaryScaleStep(replicas=0), SetWeightStep(0.5), CanaryScaleStep(replicas=1)]
    assert plain(rehearse(strategy(steps=steps), TEN))[:3] == [Scale("canary", 1), SetWeight(0.5), Scale("canary", 10)]


def test_a_canary_that_loses_its_pods_loses_its_weight_first() -> None:
    steps: list[Step] = [SetWeightStep(0.2), CanaryScaleStep(replicas=0)]
    assert plain(rehearse(strategy(steps=steps), TEN))[:4] == [
        Scale("canary", 2),
        SetWeight(0.2),
        SetWeight(0.0),
        Scale("canary", 0),
    ]


def test_a_pause_without_an_end_asks_a_person() -> None:
    settings = strategy(steps=[SetWeightStep(0.1), PauseStep()])
    assert AwaitApproval("pause") in rehearse(settings, TEN).effects
    unanswered = rehearse(settings, TEN, approval_seconds=None)
    assert unanswered.fate is None
    assert unanswered.effects[-1] == AwaitApproval("pause")
    refused = rehearse(settings, TEN, refuse="we stop")
    assert refused.fate is not None
    assert (refused.fate.outcome, refused.fate.reason) == (Outcome.ROLLED_BACK, "we stop")


# --- analyses ----------------------------------------------------------------------------------------------------


def test_a_background_analysis_starts_at_once_and_ends_at_the_promotion() -> None:
    run = rehearse(strategy(steps=[SetWeightStep(0.1), PauseStep(150)], analysis=check()), TEN)
    assert run.effects[0] == Spawn(run.effects[0].factory, "analysis errors")  # type: ignore[attr-defined]
    assert run.at(Measure) == [0, 60, 120]  # before there is a pod, as in Argo
    assert run.effects[-4:] == [Cancel(1), Promote(), Wait(30.0), Scale("stable", 0)]


@pytest.mark.parametrize(("starting_step", "first"), [(0, 0.0), (1, 10.0), (2, 60.0), (3, 70.0)])
def test_a_background_analysis_waits_for_its_starting_step(starting_step: int, first: float) -> None:
    steps: list[Step] = [SetWeightStep(0.1), PauseStep(50), SetWeightStep(0.5)]
    run = rehearse(strategy(steps=steps, analysis=check(), starting_step=starting_step), TEN)
    assert run.at(Measure)[0] == first


def test_a_failed_background_analysis_takes_everything_back() -> None:
    run = rehearse(
        strategy(steps=[SetWeightStep(0.1), PauseStep(600)], analysis=check(delay=100)),
        TEN,
        looks=lambda query, at: 0.3 if at >= 160 else 0.0,
    )
    reason = "errors: 1 failed measurement > failureLimit 0; last 0.3"
    assert run.fate is not None
    assert (run.fate.outcome, run.fate.reason) == (Outcome.ROLLED_BACK, reason)
    assert plain(run)[-4:] == [Undo(reason), SetWeight(0.0), Wait(30.0), Scale("canary", 0)]
    assert run.at(Undo) == [160]


@pytest.mark.parametrize(
    ("first", "kept"),
    [
        (SetWeightStep(0.5), 0),
        (CanaryScaleStep(replicas=3), 3),
        (CanaryScaleStep(weight=0.25), 3),
        (CanaryScaleStep(match_traffic_weight=True), 0),
    ],
)
def test_an_abort_with_a_delay_of_0_leaves_what_the_first_step_scales_to(first: Step, kept: int) -> None:
    """Recorded of the real controller: tests/cluster/argo."""
    steps = [first, CanaryScaleStep(replicas=5), SetWeightStep(0.2), PauseStep(600)]
    settings = strategy(steps=steps, analysis=check(delay=100), abort_scale_down_delay_seconds=0)
    run = rehearse(settings, TEN, looks=bad)
    assert plain(run)[-2:] == [SetWeight(0.0), Scale("canary", kept)]
    assert run.world.spec == {"stable": 10, "canary": kept}


def test_an_analysis_of_a_step_is_waited_for() -> None:
    run = rehearse(strategy(steps=[SetWeightStep(0.1), AnalysisStep(check(3))]), TEN)
    assert run.at(Measure) == [10, 70, 130]
    assert run.effects[3:6] == [Spawn(run.effects[3].factory, "analysis errors"), Join((1,)), Scale("canary", 10)]  # type: ignore[attr-defined]
    assert run.at(Promote) == [140]


def test_a_failing_step_cancels_the_background_and_the_other_way_round() -> None:
    for step_fails in (True, False):
        latency = Query(quantity="latency_quantile")
        quick = Metric(name="quick", query=latency, interval_seconds=7, success=Condition("<", 0.5))
        other = Analysis(name="other", metrics=(quick,))
        step, background = (check(5), other) if step_fails else (other, check())
        run = rehearse(
            strategy(steps=[SetWeightStep(0.1), AnalysisStep(step)], analysis=background, starting_step=1),
            TEN,
            looks=lambda query, at: 0.1 if query == ERRORS and at >= 70 else 0.0,
        )
        assert run.fate is not None
        assert run.fate.outcome is Outcome.ROLLED_BACK
        assert run.at(Undo) == [70]
        assert max(run.at(Measure)) == 70


def test_after_an_inconclusive_step_a_person_leads_to_the_next_one() -> None:
    steps: list[Step] = [SetWeightStep(0.1), AnalysisStep(check(3, unsure=True)), SetWeightStep(0.5)]
    run = rehearse(strategy(steps=steps), TEN, looks=undefined)
    assert [type(effect) for effect in run.effects[3:7]] == [Spawn, Join, AwaitApproval, Join]
    assert run.effects[7] == Scale("canary", 5)
    assert run.at(AwaitApproval) == [10]
    assert run.at(SetWeight) == [10, 80, 90]  # 60 s for the person, 10 s for pods
    assert run.fate is not None
    assert run.fate.outcome is Outcome.PROMOTED


def test_after_an_inconclusive_background_a_person_ends_the_pause_and_the_analysis_starts_anew() -> None:
    unsure = check(unsure=True, delay=100)
    run = rehearse(
        strategy(steps=[SetWeightStep(0.1), PauseStep(600), SetWeightStep(0.5), PauseStep(600)], analysis=unsure),
        TEN,
        looks=lambda query, at: math.nan if at < 200 else 0.0,
    )
    assert run.at(AwaitApproval) == [100]
    assert run.at(SetWeight) == [10, 170, 780]  # the first pause ended at 160, when the person answered
    assert run.at(Measure)[:3] == [100, 260, 320]


def test_a_step_that_waited_for_pods_is_waited_for_again() -> None:
    unsure = check(unsure=True)
    run = rehearse(
        strategy(steps=[SetWeightStep(0.1)], analysis=unsure),
        TEN,
        startup_seconds=100,
        looks=lambda query, at: math.nan if at < 30 else 0.0,
    )
    assert run.effects[:4] == [
        Spawn(run.effects[0].factory, "analysis errors"),  # type: ignore[attr-defined]
        Scale("canary", 1),
        AwaitAvailable("canary", 1),
        AwaitApproval("errors: 1 inconclusive measurement > inconclusiveLimit 0; last NaN"),
    ]
    assert run.at(SetWeight)[0] == 100


def test_doubts_that_come_while_a_person_is_asked_join_the_question() -> None:
    late = check(2, unsure=True, delay=30)
    run = rehearse(
        strategy(steps=[SetWeightStep(0.1), AnalysisStep(late)], analysis=check(unsure=True, delay=20)),
        TEN,
        looks=undefined,
        approvals=2,
    )
    questions = [effect for effect in run.effects if isinstance(effect, AwaitApproval)]
    assert len(questions[1].reason) > len(questions[0].reason)
    assert run.effects.count(Scale("canary", 1)) == 1


# --- no progress -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", [TEN, PODS])
def test_pods_that_never_come_leave_it_stalled_or_taken_back(release: Release) -> None:
    steps: list[Step] = [SetWeightStep(0.1), PauseStep(60)]
    run = rehearse(strategy(steps=steps), release, never_available=("canary",))
    assert run.fate is not None
    assert (run.fate.outcome, run.fate.reason) == (Outcome.STALLED, "no progress for 600 s")
    assert run.world.spec["canary"] == 1
    aborting = strategy(steps=steps, progress_deadline_abort=True, progress_deadline_seconds=120)
    run = rehearse(aborting, release, never_available=("canary",))
    assert run.fate is not None
    assert (run.fate.outcome, run.fate.reason) == (Outcome.ROLLED_BACK, "no progress for 120 s")
    assert run.at(Undo) == [120]
    assert run.world.spec == {"stable": 10, "canary": 0}


def test_pods_that_never_come_fail_an_analysis_that_asks_too_early() -> None:
    run = rehearse(
        strategy(steps=[SetWeightStep(0.1)], analysis=check()), TEN, never_available=("canary",), looks=empty
    )
    assert run.at(Undo) == [40]


@pytest.mark.parametrize("script", [{"refuse": "stop"}, {"never_available": ("canary",)}])
def test_nothing_is_measured_after_an_abort_that_no_analysis_caused(script: dict[str, Any]) -> None:
    made = strategy(
        steps=[SetWeightStep(0.1), PauseStep()],
        analysis=check(interval=7),
        progress_deadline_abort=True,
        progress_deadline_seconds=100,
    )
    run = rehearse(made, TEN, **script)
    assert run.fate is not None
    assert run.fate.outcome is Outcome.ROLLED_BACK
    assert max(run.at(Measure)) <= run.at(Undo)[0]
    assert run.at(Scale)[-1] == run.at(Undo)[0] + 30  # time in which it could have measured


# --- by the number of pods ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0, 10, 20, 25, 50, 75, 100])
@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 5, 10, 20])
def test_pods_stand_for_the_weight(replicas: int, weight: int) -> None:
    run = rehearse(
        strategy(steps=[SetWeightStep(weight / 100), PauseStep()]),
        Release(replicas=replicas, routed=False),
        approval_seconds=None,
    )
    want = argo.basic_weights(replicas, weight, "25%")
    assert (run.world.available["canary"], run.world.available["stable"]) == want


@settings(max_examples=60, deadline=None)
@given(
    replicas=st.integers(1, 20),
    surge=st.one_of(st.integers(0, 4), st.sampled_from(["0%", "10%", "25%", "100%"])),
    unavailable=st.one_of(st.integers(0, 4), st.sampled_from(["0%", "10%", "25%", "100%"])),
    weights=st.lists(st.integers(0, 100), max_size=4),
    failing=st.booleans(),
)
def test_pods_stay_within_surge_and_unavailable(
    replicas: int, surge: int | str, unavailable: int | str, weights: list[int], failing: bool
) -> None:
    steps: list[Step] = [step for weight in weights for step in (SetWeightStep(weight / 100), PauseStep(60))]
    release = Release(replicas=replicas, routed=False)
    checked = strategy(steps=steps, analysis=check(delay=100), max_surge=surge, max_unavailable=unavailable)
    run = rehearse(checked, release, looks=bad if failing else good)
    assert run.fate is not None
    most, missing = resolve_fenceposts(surge, unavailable, replicas)
    counts = [entry.what for entry in run.tape.entries if type(entry.what).__name__ == "Counts"]
    assert counts
    for seen in counts:
        assert seen.canary[0] + seen.stable[0] <= replicas + most
        assert seen.canary[1] + seen.stable[1] >= replicas - missing
    end = (
        {"stable": 0, "canary": replicas} if run.fate.outcome is Outcome.PROMOTED else {"stable": replicas, "canary": 0}
    )
    assert run.world.spec == run.world.available == end
    assert run.at(SetWeight) == []


# --- dynamicStableScale ------------------------------------------------------------------------------------------


def test_the_stable_pods_make_room_as_the_weight_rises() -> None:
    run = rehearse(strategy(steps=[SetWeightStep(0.2), SetWeightStep(0.5)], dynamic_stable_scale=True), TEN)
    assert plain(run) == [
        Scale("canary", 2),
        SetWeight(0.2),
        Scale("stable", 8),
        Scale("canary", 5),
        SetWeight(0.5),
        Scale("stable", 5),
        Scale("canary", 10),
        SetWeight(1.0),
        Scale("stable", 0),
        Promote(),
    ]


def test_an_abort_waits_for_the_stable_pods_to_come_back() -> None:
    steps: list[Step] = [SetWeightStep(0.2), PauseStep(60), SetWeightStep(0.5), PauseStep(600)]
    settings = strategy(steps=steps, analysis=check(delay=200), dynamic_stable_scale=True)
    run = rehearse(settings, TEN, looks=bad, startup_seconds=20)
    undone = run.effects.index(Undo("errors: 1 failed measurement > failureLimit 0; last 1"))
    weights = [effect.weight for effect in run.effects[undone:] if isinstance(effect, SetWeight)]
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] == 0
    assert run.at(SetWeight)[-1] >= run.at(Undo)[0] + 20  # slower than without: pods must start first
    assert run.world.spec == {"stable": 10, "canary": 0}


@settings(max_examples=60, deadline=None)
@given(
    replicas=st.integers(1, 30),
    weights=st.lists(st.integers(1, 100), min_size=1, max_size=5),
    fails_at=st.integers(1, 400),
)
def test_every_dynamic_abort_comes_home(replicas: int, weights: list[int], fails_at: int) -> None:
    steps: list[Step] = [step for weight in weights for step in (SetWeightStep(weight / 100), PauseStep(60))]
    release = Release(replicas=replicas)
    run = rehearse(strategy(steps=steps, analysis=check(delay=fails_at), dynamic_stable_scale=True), release, looks=bad)
    assert run.fate is not None, run.effects[-10:]
    if run.fate.outcome is Outcome.ROLLED_BACK:
        assert run.world.weight == 0
        assert run.world.spec == {"stable": replicas, "canary": 0}


# --- refusals ----------------------------------------------------------------------------------------------------


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weight must lie in 0..1, got 20"):
        SetWeightStep(20)
    with pytest.raises(ValueError, match="whole per cent"):
        SetWeightStep(0.005)
    with pytest.raises(ValueError, match="seconds must be 0 or more"):
        PauseStep(-1)
    with pytest.raises(ValueError, match="exactly one of"):
        CanaryScaleStep()
    with pytest.raises(ValueError, match="exactly one of"):
        CanaryScaleStep(replicas=1, weight=0.5)
    with pytest.raises(ValueError, match=r"starting_step must lie in 0..1 \(the steps\), got 2"):
        strategy(steps=[PauseStep()], starting_step=2)
    with pytest.raises(ValueError, match="maxSurge"):
        strategy(steps=[], max_surge="lots")
    with pytest.raises(ValueError, match="maxUnavailable"):
        strategy(steps=[], max_unavailable="lots")


def test_the_settings_say_what_was_asked_for() -> None:
    made = strategy(
        steps=[SetWeightStep(0.05), PauseStep(300), PauseStep(), CanaryScaleStep(weight=0.5), AnalysisStep(check(2))],
        on_failure=rollback.progressive(),
    )
    assert made.settings["steps"] == [
        "setWeight 5", "pause 300s", "pause", "setCanaryScale weight 50", "analysis errors",
    ]  # fmt: skip
    assert made.settings["on_failure"] == "progressive"
    assert made.reads == (ERRORS,)
