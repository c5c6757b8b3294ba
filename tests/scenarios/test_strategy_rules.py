"""What is right by the rules and probably not meant: conditions that no answer of their query can satisfy or fail."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.strategy_rules import doubts
from scenarios.strategy_spec import StrategyWords

ALWAYS = "every measurement is an error, in Argo too: its query answers with"


def said(metric: dict[str, Any], where: str = "analysis") -> list[str]:
    """The doubts about a strategy with this metric."""
    analysis = {"metrics": [{"name": "a", **metric}]}
    entry = {
        "analysis": {"rollingUpdate": {}, "analysis": analysis},
        "background": {"canary": {"analysis": analysis}},
        "step": {"canary": {"steps": [{"analysis": analysis}]}},
        "before": {"blueGreen": {"prePromotionAnalysis": analysis}},
        "after": {"blueGreen": {"postPromotionAnalysis": analysis}},
    }[where]
    return doubts("x", StrategyWords.model_validate(entry))


@pytest.mark.parametrize("where", ["analysis", "background", "step", "before", "after"])
def test_a_condition_that_cannot_be_asked_is_told_wherever_it_stands(where: str) -> None:
    assert said({"query": "up", "successCondition": "result > 0"}, where) == [
        f"x: metric 'a': {ALWAYS} a list of numbers and successCondition says 'result > 0': > compares two numbers or two "
        "texts, not a list and a number"
    ]


@pytest.mark.parametrize(
    ("metric", "said_of"),
    [
        ({"query": "scalar(up)", "failureCondition": "result[0] > 0"}, "one number and failureCondition says 'result'"),
        (
            {"query": "up", "successCondition": "len(result) == 0 || isNaN(result)"},
            "a list of numbers and successCondition",
        ),
    ],
)
def test_both_kinds_of_answers_are_known(metric: dict[str, Any], said_of: str) -> None:
    (line,) = said(metric)
    assert f"{ALWAYS} {said_of}" in line


@pytest.mark.parametrize(
    "metric",
    [
        {"query": "up", "successCondition": "result[0] > 0"},
        {"query": "scalar(up)", "successCondition": "result > 0"},
        {"query": "up", "failureCondition": "any(result, {# < 1})"},
        {"query": "up"},
        {"measure": "error_ratio", "successCondition": "result < 0.1"},
        {"script": [1], "successCondition": "result < 0.1"},
    ],
)
def test_a_condition_that_can_be_asked_is_not_mentioned(metric: dict[str, Any]) -> None:
    assert said(metric) == []
