"""Every word of an entry reaches the strategy: each is set to a value of its own, and found again."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from scenarios import programs
from scenarios.strategy_spec import AnalysisWords, BlueGreenWords, CanaryWords, MetricWords, RollingWords, StrategyWords
from strategies.analysis import Analysis, Condition, Expression, Metric, Phase, Script
from strategies.canary import AnalysisStep, CanaryScaleStep, PauseStep, SetWeightStep
from strategies.effects import PromQuery, Query, Release, SetWeight, Wait
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
        "consecutiveSuccessLimit": 5,
        "successCondition": "result[0] < 0.5",
        "failureCondition": "!(result[0] < 2)",
        "factor": 10,
        "dryRun": True,
    }
    others = {"query", "script", "after", "takes"}
    assert set(words) | others == {field.alias or name for name, field in MetricWords.model_fields.items()}
    metric = Metric(
        name="errors",
        query=Query(quantity="latency_quantile", quantile=0.99, revision="stable", window_seconds=90.0),
        interval_seconds=20.0,
        initial_delay_seconds=7.0,
        count=9,
        failure_limit=4,
        inconclusive_limit=3,
        consecutive_error_limit=2,
        consecutive_success_limit=5,
        success=Condition("<", 0.5),
        failure=Expression("!(result[0] < 2)"),
        factor=10.0,
        dry_run=True,
    )
    analysis = AnalysisWords.model_validate({"metrics": [words]})
    assert programs.analysis(analysis, "mine") == Analysis(name="mine", metrics=(metric,))
    step = CanaryWords.model_validate({"steps": [{"analysis": {"metrics": [words]}}]}).steps[0]
    assert programs.step(step, 3) == AnalysisStep(analysis=Analysis(name="step 3", metrics=(metric,)))


@pytest.mark.parametrize(
    ("words", "source"),
    [
        ({"query": "sum(rate(x[5m]))"}, PromQuery("sum(rate(x[5m]))")),
        ({"script": [1, 0.5, "error"]}, Script(answers=(1.0, 0.5, Phase.ERROR))),
        (
            {"script": ["Failed"], "after": "repeat", "takes": "90s"},
            Script(answers=(Phase.FAILED,), seconds=90.0, at_end="repeat"),
        ),
        ({"script": ["Failed"], "successCondition": "result == 'OK'"}, Script(answers=("Failed",))),
        ({"script": [{"a": [1, None, True]}, [2]]}, Script(answers=({"a": [1.0, None, True]}, [2.0]))),
    ],
)
def test_other_sources_of_a_metric(words: dict[str, Any], source: PromQuery | Script) -> None:
    analysis = programs.analysis(AnalysisWords.model_validate({"metrics": [{"name": "a", **words}]}), "mine")
    assert analysis is not None
    assert analysis.metrics[0].query == source
    assert analysis.queries == ((source,) if isinstance(source, PromQuery) else ())


def test_a_condition_of_promql_sees_the_whole_answer() -> None:
    words = {"name": "a", "query": "up", "successCondition": "result[0] > 0"}
    analysis = programs.analysis(AnalysisWords.model_validate({"metrics": [words]}), "mine")
    assert analysis is not None
    assert analysis.metrics[0].success == Expression("result[0] > 0")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({}, "expected exactly one of measure, query, script, got none"),
        (
            {"measure": "error_ratio", "query": "up"},
            "expected exactly one of measure, query, script, got measure and query",
        ),
        ({"query": "up", "window": "5m"}, "expected window beside measure only, got it beside query"),
        ({"script": [1], "factor": 2}, "expected factor beside measure only, got it beside script"),
        ({"measure": "error_ratio", "takes": 5}, "expected takes beside script only, got it beside measure"),
        ({"script": []}, "expected 1 to 1000 answers, got 0"),
        ({"script": 5}, "expected a list of answers such as"),
        ({"script": ["Failde"]}, "unknown answer 'Failde' of a metric without conditions; did you mean 'Failed'?"),
        ({"query": "sum(x"}, "unclosed left parenthesis"),
        (
            {"measure": "error_ratio", "successCondition": "result.a > 1"},
            "expected a condition of one number beside measure, got 'result': .a is of a mapping, not a number",
        ),
        ({"query": 5}, "expected PromQL, got 5"),
        ({"measure": "error_ratio", "successCondition": "resul > 1"}, "unknown name 'resul'; did you mean 'result'?"),
        (
            {"measure": "error_ratio", "interval": 1, "count": 3, "consecutiveSuccessLimit": 4},
            r"expected a count of at least consecutiveSuccessLimit \(4\), got 3",
        ),
    ],
)
def test_words_of_a_metric_that_contradict_each_other(words: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        MetricWords.model_validate({"name": "a", **words})


def test_a_metric_that_wants_successes_in_a_row_ends() -> None:
    words = {"name": "a", "measure": "error_ratio", "interval": 1}
    assert not MetricWords.model_validate(words).ends
    assert MetricWords.model_validate({**words, "consecutiveSuccessLimit": 1}).ends


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
