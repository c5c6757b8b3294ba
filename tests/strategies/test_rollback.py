"""Ways back by their decisions."""

from __future__ import annotations

from typing import Any

import pytest

from strategies import rollback
from strategies.effects import (
    Abort,
    AwaitApproval,
    AwaitAvailable,
    AwaitComplete,
    Effect,
    Note,
    Observe,
    Outcome,
    Program,
    Release,
    RollTo,
    Scale,
    SetWeight,
    Strategy,
    Undo,
    Wait,
)
from strategies.rollback import Context, WayBack
from strategies.testing import Rehearsal, rehearse

TEN = Release(replicas=10)
PODS = Release(replicas=10, routed=False)


def go_back(way: WayBack, context: Context, release: Release = TEN, **script: Any) -> Rehearsal:
    """The way back from a canary at the weight of the context."""

    def program(release: Release) -> Program:
        pods = round(context.weight * release.replicas)
        yield Scale("canary", pods)
        if context.dynamic_stable_scale or not release.routed:
            yield Scale("stable", release.replicas - pods)
        if release.routed:
            yield SetWeight(context.weight)
        try:
            yield AwaitApproval("now")
        except Abort as reason:
            return (yield from way(release, str(reason), context=context))

    return rehearse(Strategy("back", program), release, refuse="stop", **script)


def back(run: Rehearsal) -> list[Effect]:
    """What was done from the decision on."""
    return run.effects[run.effects.index(Undo("stop")) :]


def test_instant_moves_traffic_first_and_pods_later() -> None:
    run = go_back(rollback.instant, Context(weight=0.5, abort_scale_down_delay_seconds=60))
    assert back(run) == [
        Undo("stop"),
        SetWeight(0.0),
        AwaitAvailable("stable", 10, None),
        Wait(60),
        Scale("canary", 0),
    ]
    assert run.fate is not None
    assert (run.fate.outcome, run.fate.reason) == (Outcome.ROLLED_BACK, "stop")


def test_instant_with_a_delay_of_0_leaves_the_pods() -> None:
    assert back(go_back(rollback.instant, Context(weight=0.5, abort_scale_down_delay_seconds=0)))[1:] == [
        SetWeight(0.0)
    ]


def test_instant_with_a_delay_of_0_keeps_so_many_pods_as_it_is_told() -> None:
    context = Context(weight=0.5, abort_scale_down_delay_seconds=0, kept_pods=2)
    assert back(go_back(rollback.instant, context))[1:] == [SetWeight(0.0), Scale("canary", 2)]


def test_instant_without_a_router_is_a_rolling_update_back() -> None:
    run = go_back(rollback.instant, Context(weight=0.5), PODS)
    assert SetWeight not in [type(effect) for effect in back(run)]
    assert run.world.available == {"stable": 10, "canary": 0}


def test_instant_under_dynamic_stable_scale_follows_the_stable_pods() -> None:
    context = Context(weight=0.5, step_weights=(20, 50), dynamic_stable_scale=True)
    run = go_back(rollback.instant, context, startup_seconds=30)
    # at once the pods for the 20 % step are asked for; the router follows when they are there
    assert run.at(SetWeight) == [0, 30, 60]
    weights = [effect.weight for effect in run.effects if isinstance(effect, SetWeight)]
    assert weights == [0.5, 0.2, 0.0]
    assert run.world.spec == {"stable": 10, "canary": 0}


def test_progressive_raises_a_small_canary_first_as_the_guide_does() -> None:
    run = go_back(rollback.progressive(), Context(weight=0.1))
    assert back(run) == [
        Undo("stop"),
        SetWeight(0.5), Wait(30.0),
        SetWeight(0.25), Wait(30.0),
        SetWeight(0.1), Wait(30.0),
        SetWeight(0.0), Wait(30.0),
        Scale("canary", 0),
    ]  # fmt: skip


def test_progressive_that_never_raises_leaves_higher_weights_out() -> None:
    run = go_back(rollback.progressive((0.5, 0.25, 0.0), 10, never_raise=True), Context(weight=0.25))
    assert back(run)[1:-1] == [SetWeight(0.25), Wait(10), SetWeight(0.0), Wait(10)]


def test_progressive_brings_the_stable_pods_back_before_it_moves_traffic() -> None:
    run = go_back(rollback.progressive(), Context(weight=0.5, dynamic_stable_scale=True))
    assert back(run)[1:4] == [Scale("stable", 10), AwaitAvailable("stable", 10, None), SetWeight(0.5)]


def test_progressive_without_a_router_moves_pods() -> None:
    run = go_back(rollback.progressive(), Context(weight=0.1), PODS)
    assert any(isinstance(effect, Observe) for effect in back(run))
    assert run.world.available == {"stable": 10, "canary": 0}
    assert len(run.at(Wait)) == 4


def test_progressive_refuses_weights_that_do_not_end_at_0() -> None:
    for weights, message in (
        ((), "end with 0"),
        ((0.5,), "end with 0"),
        ((1.5, 0.0), "0..1"),
        ((0.005, 0.0), "per cent"),
    ):
        with pytest.raises(ValueError, match=message):
            rollback.progressive(weights)


def test_undo_is_a_rolling_update_back() -> None:
    run = go_back(rollback.undo, Context(weight=0.5))
    assert back(run) == [Undo("stop"), RollTo("stable", 10), AwaitComplete("stable", 10, None), SetWeight(0.0)]


@pytest.mark.parametrize("way", [rollback.instant, rollback.progressive(), rollback.undo, rollback.switch_back()])
def test_a_first_deployment_has_nothing_to_go_back_to(way: WayBack) -> None:
    run = go_back(way, Context(weight=0.5), Release(replicas=4, first=True))
    assert back(run) == [Undo("stop"), Note("there is no stable revision to go back to")]


def test_ways_back_have_names() -> None:
    ways = [rollback.instant, rollback.progressive(), rollback.undo, rollback.switch_back()]
    assert [rollback.describe(way) for way in ways] == ["instant", "progressive", "undo", "switch_back"]
