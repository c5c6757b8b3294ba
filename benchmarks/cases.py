"""What is measured: one hour of one service at 100 requests a second, released by a canary or a rolling update."""

from __future__ import annotations

from typing import Any

from scenarios.schema import Scenario
from sim.model import Model, compile_model
from strategies import Analysis, Condition, Metric, PauseStep, Query, SetWeightStep, canary, rolling
from strategies.effects import Strategy

ERRORS = Query(quantity="error_ratio", window_seconds=300)
REQUESTS = 360_000


def _analysis(count: int | None) -> Analysis:
    """24 looks an hour, each at the errors of five minutes; the fourth bad one takes the release back."""
    condition = Condition("<", 0.02)
    metric = Metric(name="errors", query=ERRORS, interval_seconds=150, count=count, failure_limit=3, success=condition)
    return Analysis(name="errors", metrics=(metric,))


#: four steps of 14 minutes and the start-ups between them fill the hour, so that all 240 scrapes are read
CANARY = canary.strategy(
    steps=tuple(step for weight in (0.1, 0.25, 0.5, 0.75) for step in (SetWeightStep(weight), PauseStep(840))),
    analysis=_analysis(None),
)
#: the update takes a minute or two; its analysis goes on for the rest of the hour and is waited for
ROLLING = rolling.strategy(analysis=_analysis(24))


def model_of(strategy: Strategy, **parts: Any) -> Model:
    """The good release of the default service, unless said otherwise."""
    parts = {"apiVersion": "rolloutlab/v1", "strategies": {"any": {}}, "traffic": {"rate": "100/s"}, **parts}
    return compile_model(Scenario.model_validate(parts), strategy.reads)
