"""Every word of an entry reaches the strategy: each is set to a value of its own, and found again."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios import programs
from scenarios.strategy_spec import AnalysisWords, BlueGreenWords, CanaryWords, MetricWords, RollingWords, StrategyWords
from strategies.analysis import Analysis, Condition, Metric
from strategies.canary import AnalysisStep, CanaryScaleStep, PauseStep, SetWeightStep
from strategies.effects import Query, Release, SetWeight, Wait
from strategies.rollback import Context

COMMON = {"minReadySeconds": 11, "progressDeadlineSeconds": 222, "progressDeadlineAbort": True}
SURGE = {"maxSurge": 3, "maxUnavailable": "7%"}


def settings(entry: dict[str, Any]) -> dict[str, Any]:
    """What the strategy of an entry says of itself."""
    return programs.strategy_of("x", StrategyWords.model_validate(entry)).settings


def test_rolling() -> None:
    words = {**SURGE, "minReadySeconds": 11, "progressDeadlineSeconds": 222}
    assert set(words) == {field.alias for field in RollingWords.model_fields.values()}
    found = settings({"rollingUpdate": words, "analysis": {"metrics": [{"name": "a", "measure": "request_rate"}]}})
    assert found == {
        "kind": "rolling",
        "max_surge": 3,
        "max_unavailable": "7%",
        "min_ready_seconds": 11,
        "progress_deadline_seconds": 222,
        "analysis": "rolling",
    }


def test_blue_green() -> None:
    analysis = {"metrics": [{"name": "a", "measure": "request_rate"}]}
    words = {
        **COMMON,
        "autoPromotionEnabled": False,
        "autoPromotionSeconds": 33,
        "previewReplicaCount": 4,
        "scaleDownDelaySeconds": 55,
        "abortScaleDownDelaySeconds": 66,
        "prePromotionAnalysis": analysis,
        "postPromotionAnalysis": analysis,
    }
    assert set(words) == {field.alias for field in BlueGreenWords.model_fields.values()}
    found = settings({"blueGreen": words})
    assert found == {
        "kind": "blue-green",
        "preview_replicas": 4,
        "pre_promotion": "prePromotion",
        "post_promotion": "postPromotion",
        "auto_promotion": False,
        "auto_promotion_seconds": 33,
        "scale_down_delay_seconds": 55,
        "abort_scale_down_delay_seconds": 66,
        "min_ready_seconds": 11,
        "progress_deadline_seconds": 222,
        "progress_deadline_abort": True,
        "guard": False,
    }


def test_canary() -> None:
    words = {
        **COMMON,
        **SURGE,
        "steps": [{"setWeight": 5}, {"pause": {}}],
        "analysis": {"metrics": [{"name": "a", "measure": "request_rate"}], "startingStep": 1},
        "dynamicStableScale": True,
        "scaleDownDelaySeconds": 55,
        "abortScaleDownDelaySeconds": 66,
    }
    assert set(words) == {field.alias or name for name, field in CanaryWords.model_fields.items()}
    found = settings({"canary": words, "rollback": "undo"})
    assert len(found.pop("steps")) == 2
    assert found == {
        "kind": "canary",
        "analysis": "background",
        "starting_step": 1,
        "max_surge": 3,
        "max_unavailable": "7%",
        "dynamic_stable_scale": True,
        "scale_down_delay_seconds": 55,
        "abort_scale_down_delay_seconds": 66,
        "min_ready_seconds": 11,
        "progress_deadline_seconds": 222,
        "progress_deadline_abort": True,
        "on_failure": "undo",
    }


@pytest.mark.parametrize(
    ("words", "step"),
    [
        ({"setWeight": 5}, SetWeightStep(weight=0.05)),
        ({"pause": {}}, PauseStep(seconds=None)),
        ({"pause": {"duration": "1m"}}, PauseStep(seconds=60.0)),
        ({"setCanaryScale": {"replicas": 3}}, CanaryScaleStep(replicas=3)),
        ({"setCanaryScale": {"weight": 40}}, CanaryScaleStep(weight=0.4)),
        ({"setCanaryScale": {"matchTrafficWeight": True}}, CanaryScaleStep(match_traffic_weight=True)),
    ],
)
def test_steps(words: dict[str, Any], step: object) -> None:
    canary = CanaryWords.model_validate({"steps": [words]})
    assert programs.step(canary.steps[0], 0) == step


def test_every_word_of_a_metric() -> None:
    words = {
        "name": "errors",
        "measure": "latency_p99",
        "revision": "stable",
        "window": "90s",
        "interval": "20s",
        "initialDelay": "7s",
        "count": 9,
        "failureLimit": 4,
        "inconclusiveLimit": 3,
        "consecutiveErrorLimit": 2,
        "successCondition": "result[0] < 0.5",
        "failureCondition": "result[0] >= 2",
    }
    assert set(words) == {field.alias or name for name, field in MetricWords.model_fields.items()}
    metric = Metric(
        name="errors",
        query=Query(quantity="latency_quantile", quantile=0.99, revision="stable", window_seconds=90.0),
        interval_seconds=20.0,
        initial_delay_seconds=7.0,
        count=9,
        failure_limit=4,
        inconclusive_limit=3,
        consecutive_error_limit=2,
        success=Condition("<", 0.5),
        failure=Condition(">=", 2.0),
    )
    analysis = AnalysisWords.model_validate({"metrics": [words]})
    assert programs.analysis(analysis, "mine") == Analysis(name="mine", metrics=(metric,))
    step = CanaryWords.model_validate({"steps": [{"analysis": {"metrics": [words]}}]}).steps[0]
    assert programs.step(step, 3) == AnalysisStep(analysis=Analysis(name="step 3", metrics=(metric,)))


def test_defaults_of_a_metric_are_those_of_argo() -> None:
    words = AnalysisWords.model_validate({"metrics": [{"name": "a", "measure": "error_ratio", "count": 0}]})
    query = Query(quantity="error_ratio", revision="canary", window_seconds=300.0)
    assert programs.analysis(words, "mine") == Analysis(name="mine", metrics=(Metric(name="a", query=query),))


@pytest.mark.parametrize(
    ("words", "weights", "pause"),
    [
        ({"progressive": {}}, [0.5, 0.25, 0.1, 0.0], 30.0),
        ({"progressive": {"weights": [20, 0], "pause": "9s"}}, [0.2, 0.0], 9.0),
        ({"progressive": {"neverRaise": True}}, [0.25, 0.1, 0.0], 30.0),
    ],
)
def test_a_progressive_way_back(words: dict[str, Any], weights: list[float], pause: float) -> None:
    entry = StrategyWords.model_validate({"canary": {}, "rollback": words})
    back = programs.way_back(entry.rollback)
    effects = list(back(Release(replicas=4), "bad", context=Context(weight=0.3)))
    assert [effect.weight for effect in effects if isinstance(effect, SetWeight)] == weights
    assert [effect.seconds for effect in effects if isinstance(effect, Wait)] == [pause] * len(weights)
