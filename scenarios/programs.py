"""Typed words as strategies: a translation, field by field, and nothing else."""

from __future__ import annotations

from scenarios.measures import query
from scenarios.scripts import script
from scenarios.strategy_spec import (
    AnalysisWords,
    BlueGreenWords,
    CanaryWords,
    MetricWords,
    ProgressiveRollback,
    Rollback,
    StepWords,
    StrategyWords,
)
from strategies import blue_green, canary, rollback, rolling
from strategies.analysis import Analysis, Condition, Examiner, Expression, Metric, Source
from strategies.effects import PromQuery, Strategy
from strategies.metrics.conditions import read


def strategy_of(name: str, words: StrategyWords) -> Strategy:
    """The strategy of an entry that says rollingUpdate, blueGreen or canary."""
    if words.rolling_update is not None:
        update = words.rolling_update
        return rolling.strategy(
            name,
            max_surge=update.max_surge,
            max_unavailable=update.max_unavailable,
            min_ready_seconds=update.min_ready_seconds,
            progress_deadline_seconds=update.progress_deadline_seconds,
            analysis=analysis(words.analysis, "rolling"),
        )
    if words.blue_green is not None:
        return _blue_green(name, words.blue_green)
    assert words.canary is not None
    return _canary(name, words.canary, words.rollback)


def _blue_green(name: str, words: BlueGreenWords) -> Strategy:
    return blue_green.strategy(
        name,
        preview_replicas=words.preview_replicas,
        pre_promotion=analysis(words.pre_promotion, "prePromotion"),
        post_promotion=analysis(words.post_promotion, "postPromotion"),
        auto_promotion=words.auto_promotion,
        auto_promotion_seconds=words.auto_promotion_seconds,
        scale_down_delay_seconds=words.scale_down_delay_seconds,
        abort_scale_down_delay_seconds=words.abort_scale_down_delay_seconds,
        min_ready_seconds=words.min_ready_seconds,
        progress_deadline_seconds=words.progress_deadline_seconds,
        progress_deadline_abort=words.progress_deadline_abort,
    )


def _canary(name: str, words: CanaryWords, back: Rollback | None) -> Strategy:
    return canary.strategy(
        name,
        steps=tuple(step(each, number) for number, each in enumerate(words.steps)),
        analysis=analysis(words.analysis, "background"),
        starting_step=words.analysis.starting_step if words.analysis else 0,
        max_surge=words.max_surge,
        max_unavailable=words.max_unavailable,
        dynamic_stable_scale=words.dynamic_stable_scale,
        scale_down_delay_seconds=words.scale_down_delay_seconds,
        abort_scale_down_delay_seconds=words.abort_scale_down_delay_seconds,
        min_ready_seconds=words.min_ready_seconds,
        progress_deadline_seconds=words.progress_deadline_seconds,
        progress_deadline_abort=words.progress_deadline_abort,
        on_failure=way_back(back),
    )


def way_back(words: Rollback | None) -> rollback.WayBack:
    """How a canary goes back; Argo's instant abort where nothing is said."""
    if words is None or words == "instant":
        return rollback.instant
    if words == "undo":
        return rollback.undo
    assert isinstance(words, ProgressiveRollback)
    steps = words.progressive
    weights = tuple(weight / 100 for weight in steps.weights)
    return rollback.progressive(weights, steps.pause_seconds, never_raise=steps.never_raise)


def step(words: StepWords, number: int) -> canary.Step:
    """One step of a canary; `number` names its analysis."""
    if words.set_weight is not None:
        return canary.SetWeightStep(weight=words.set_weight / 100)
    if words.pause is not None:
        return canary.PauseStep(seconds=words.pause.duration_seconds)
    if words.set_canary_scale is not None:
        scale = words.set_canary_scale
        return canary.CanaryScaleStep(
            replicas=scale.replicas,
            weight=None if scale.weight is None else scale.weight / 100,
            match_traffic_weight=scale.match_traffic_weight,
        )
    found = analysis(words.analysis, f"step {number}")
    assert found is not None
    return canary.AnalysisStep(analysis=found)


def analysis(words: AnalysisWords | None, name: str) -> Examiner | None:
    """An analysis of this name, or None where none is asked for."""
    if words is None:
        return None
    if words.judge is not None:
        return words.judge.judging()
    return Analysis(name=name, metrics=tuple(_metric(metric) for metric in words.metrics))


def _metric(words: MetricWords) -> Metric:
    return Metric(
        name=words.name,
        query=_source(words),
        interval_seconds=words.interval_seconds,
        initial_delay_seconds=words.initial_delay_seconds,
        count=words.count or None,
        failure_limit=words.failure_limit,
        inconclusive_limit=words.inconclusive_limit,
        consecutive_error_limit=words.consecutive_error_limit,
        consecutive_success_limit=words.consecutive_success_limit,
        success=_condition(words, words.success_condition),
        failure=_condition(words, words.failure_condition),
        factor=words.factor,
        dry_run=words.dry_run,
    )


def _source(words: MetricWords) -> Source:
    """Where the values of a metric come from."""
    if words.query is not None:
        return PromQuery(words.query)
    if words.script is not None:
        decides = words.success_condition is None and words.failure_condition is None
        return script(words.script, words.after, words.takes_seconds, decides=decides)
    assert words.measure is not None
    return query(words.measure, words.revision, words.window_seconds)


def _condition(words: MetricWords, text: str | None) -> Condition | Expression | None:
    """A condition; of an answer of Prometheus it asks the whole answer, even when it is one comparison."""
    if text is None:
        return None
    return Expression(text) if words.query is not None else read(text)
