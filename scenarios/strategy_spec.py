"""The words of one entry under `strategies:`, in the terms of Kubernetes and Argo Rollouts.

Defaults are those of the imitated tools: Deployments by kubernetes/kubernetes `pkg/apis/apps/v1/defaults.go`, Rollouts
by argo-rollouts `utils/defaults/defaults.go`, metrics by argo-rollouts `analysis/analysis.go` (@9f8d111d8).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from scenarios.judge_words import JudgeWords
from scenarios.measures import parse_measure
from scenarios.schema import Model
from scenarios.scripts import After, decisions
from scenarios.strategy_values import Answers, Percent, Pods, Revision, check_counts, condition, is_zero, promql
from scenarios.units import Count, Duration, Number, Seconds
from strategies.metrics.conditions import Expression


def _measure(value: Any) -> str:
    parse_measure(value)
    return str(value)


# --- analysis ----------------------------------------------------------------------------------------------------


class ScriptWords(Model):
    """What a provider answers; each analysis hears it from the beginning."""

    script: Answers = Field(description="numbers, NaN, null, texts, lists, mappings; error; phases without conditions")
    after: After = Field("hold", description="the last answer again, all of them again, or errors")
    takes_seconds: Duration = Field(0.0, alias="takes", description="how long each measurement takes")


class MetricWords(Model):
    """One metric of an analysis; counters as an Argo AnalysisRun. Exactly one of measure, query, script."""

    name: str = Field(min_length=1, max_length=200)
    measure: Annotated[str, BeforeValidator(_measure)] | None = Field(
        None, description="error_ratio, success_ratio (0..1), request_rate (a second) or latency_pNN (seconds)"
    )
    query: Annotated[str, BeforeValidator(promql)] | None = Field(None, description="PromQL")
    script: Answers | None = Field(None, description="what its provider answers, as in ScriptWords")
    revision: Revision = Field("canary", description="beside measure")
    window_seconds: Duration = Field(
        300.0, alias="window", gt=0, description="beside measure: how far each measurement looks back"
    )
    factor: Number = Field(1.0, gt=0, description="beside measure: conditions look at the value times this")
    after: After = Field("hold", description="beside script: hold, repeat or error after the last answer")
    takes_seconds: Duration = Field(0.0, alias="takes", description="beside script: how long each measurement takes")
    interval_seconds: Duration | None = Field(None, alias="interval", gt=0, description="null: measured once")
    initial_delay_seconds: Duration = Field(0.0, alias="initialDelay")
    count: Count | None = Field(None, ge=0, description="null or 0: once without an interval, else for ever")
    failure_limit: Count = Field(0, alias="failureLimit", ge=-1, description="-1: failures never count")
    inconclusive_limit: Count = Field(0, alias="inconclusiveLimit", ge=0)
    consecutive_error_limit: Count = Field(4, alias="consecutiveErrorLimit", ge=0)
    consecutive_success_limit: Count = Field(
        0, alias="consecutiveSuccessLimit", ge=0, description="successes in a row that end it; 0: off"
    )
    success_condition: str | None = Field(None, alias="successCondition")
    failure_condition: str | None = Field(None, alias="failureCondition")
    dry_run: bool = Field(False, alias="dryRun", description="measured and told, decides nothing")

    @field_validator("success_condition", "failure_condition")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        return condition(value)

    @model_validator(mode="after")
    def _one_source(self) -> MetricWords:
        given = [word for word in _SOURCES if getattr(self, word) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of {', '.join(_SOURCES)}, got {' and '.join(given) or 'none'}")
        for word, beside in _SOURCES.items():
            for name in beside:
                if word != given[0] and name in self.model_fields_set:
                    alias = type(self).model_fields[name].alias or name
                    raise ValueError(f"expected {alias} beside {word} only, got it beside {given[0]}")
        if self.script is not None and self.success_condition is None and self.failure_condition is None:
            decisions(self.script)
        return self

    @model_validator(mode="after")
    def _of_one_number(self) -> MetricWords:
        for text in (self.success_condition, self.failure_condition):
            fault = Expression(text).fault_for("value") if text and self.measure is not None else None
            if text and fault is not None:
                part = text[fault.start : fault.end]
                raise ValueError(f"expected a condition of one number beside measure, got {part!r}: {fault.problem}")
        return self

    @model_validator(mode="after")
    def _counted(self) -> MetricWords:
        check_counts(
            self.count,
            self.interval_seconds,
            self.failure_limit,
            self.inconclusive_limit,
            self.consecutive_success_limit,
        )
        return self

    @property
    def ends(self) -> bool:
        """Does it end by itself when all goes well? (An interval without a count goes on for ever.)"""
        return bool(self.count) or self.interval_seconds is None or bool(self.consecutive_success_limit)


#: where values come from, and the words that may stand beside
_SOURCES: Final = {
    "measure": ("revision", "window_seconds", "factor"),
    "query": (),
    "script": ("after", "takes_seconds"),
}


class AnalysisWords(Model):
    """An analysis: metrics, the first of which that fails, errs or is inconclusive ends it; or a judge for counts."""

    metrics: tuple[MetricWords, ...] = Field((), max_length=50)
    judge: JudgeWords | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> AnalysisWords:
        if bool(self.metrics) == (self.judge is not None):
            raise ValueError(f"expected metrics or a judge, got {'both' if self.judge is not None else 'neither'}")
        return self

    @field_validator("metrics")
    @classmethod
    def _distinct(cls, value: tuple[MetricWords, ...]) -> tuple[MetricWords, ...]:
        names = [metric.name for metric in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"expected metrics of different names, got {name!r} {names.count(name)} times")
        return value


class BackgroundWords(AnalysisWords):
    """An analysis beside the steps, from the step `startingStep` (0 is the first) until promotion."""

    starting_step: Count = Field(0, alias="startingStep", ge=0)


# --- the strategies ----------------------------------------------------------------------------------------------


class _Progress(Model):
    min_ready_seconds: Seconds = Field(0.0, alias="minReadySeconds", ge=0)
    progress_deadline_seconds: Seconds = Field(600.0, alias="progressDeadlineSeconds", gt=0)

    @model_validator(mode="after")
    def _deadline_after_ready(self) -> _Progress:
        if self.progress_deadline_seconds <= self.min_ready_seconds:
            low, got = self.min_ready_seconds, self.progress_deadline_seconds
            raise ValueError(f"expected progressDeadlineSeconds above minReadySeconds ({low:g}), got {got:g}")
        return self


class _Surge(_Progress):
    max_surge: Pods = Field("25%", alias="maxSurge")
    max_unavailable: Pods = Field("25%", alias="maxUnavailable")

    @model_validator(mode="after")
    def _can_move(self) -> _Surge:
        if is_zero(self.max_surge) and is_zero(self.max_unavailable):
            raise ValueError("expected maxSurge or maxUnavailable above 0, got 0 for both")
        return self


class RollingWords(_Surge):
    """The rolling update of a Deployment."""


class BlueGreenWords(_Progress):
    """Argo's blueGreen."""

    auto_promotion: bool = Field(True, alias="autoPromotionEnabled")
    auto_promotion_seconds: Seconds | None = Field(None, alias="autoPromotionSeconds", ge=0)
    preview_replicas: Count | None = Field(None, alias="previewReplicaCount", ge=1, le=1000)
    scale_down_delay_seconds: Seconds = Field(30.0, alias="scaleDownDelaySeconds", ge=0)
    abort_scale_down_delay_seconds: Seconds = Field(
        30.0, alias="abortScaleDownDelaySeconds", ge=0, description="0: never"
    )
    pre_promotion: AnalysisWords | None = Field(None, alias="prePromotionAnalysis")
    post_promotion: AnalysisWords | None = Field(None, alias="postPromotionAnalysis")
    progress_deadline_abort: bool = Field(False, alias="progressDeadlineAbort")


class PauseWords(Model):
    """`{}` waits for a person."""

    duration_seconds: Duration | None = Field(None, alias="duration")


class CanaryScaleWords(Model):
    """How many canary pods, apart from the weight; sticky until matchTrafficWeight."""

    replicas: Count | None = Field(None, ge=0, le=1000)
    weight: Percent | None = None
    match_traffic_weight: bool = Field(False, alias="matchTrafficWeight")

    @model_validator(mode="after")
    def _one(self) -> CanaryScaleWords:
        given = [self.replicas is not None, self.weight is not None, self.match_traffic_weight]
        if sum(given) != 1:
            raise ValueError("expected exactly one of replicas, weight and matchTrafficWeight: true")
        return self


class StepWords(Model):
    """One canary step; exactly one kind."""

    set_weight: Percent | None = Field(None, alias="setWeight")
    pause: PauseWords | None = None
    set_canary_scale: CanaryScaleWords | None = Field(None, alias="setCanaryScale")
    analysis: AnalysisWords | None = None

    @model_validator(mode="after")
    def _one(self) -> StepWords:
        kinds = {
            "setWeight": self.set_weight,
            "pause": self.pause,
            "setCanaryScale": self.set_canary_scale,
            "analysis": self.analysis,
        }
        given = [name for name, value in kinds.items() if value is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none of them"
            raise ValueError(f"expected exactly one of {', '.join(kinds)}, got {got}")
        return self


class CanaryWords(_Surge):
    """Argo's canary."""

    steps: tuple[StepWords, ...] = Field((), max_length=200)
    analysis: BackgroundWords | None = None
    dynamic_stable_scale: bool = Field(False, alias="dynamicStableScale")
    scale_down_delay_seconds: Seconds = Field(30.0, alias="scaleDownDelaySeconds", ge=0)
    abort_scale_down_delay_seconds: Seconds = Field(
        30.0,
        alias="abortScaleDownDelaySeconds",
        ge=0,
        description="0: at once, down to what a setCanaryScale in the first step says",
    )
    progress_deadline_abort: bool = Field(False, alias="progressDeadlineAbort")


class ProgressiveWords(Model):
    """Weights (per cent) that fall step by step, with a pause between."""

    weights: tuple[Percent, ...] = Field((50, 25, 10, 0), min_length=1, max_length=50)
    pause_seconds: Duration = Field(30.0, alias="pause")
    never_raise: bool = Field(False, alias="neverRaise", description="leave out weights above the canary's own")

    @field_validator("weights")
    @classmethod
    def _falling(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value[-1] != 0 or any(low >= high for high, low in pairwise(value)):
            raise ValueError(f"expected falling weights that end with 0, got [{', '.join(map(str, value))}]")
        return value


class ProgressiveRollback(Model):
    """`{progressive: {weights: [50, 25, 10, 0], pause: 30s}}`."""

    progressive: ProgressiveWords = ProgressiveWords()


def _form_of_rollback(value: Any) -> str:
    return "progressive" if isinstance(value, dict | ProgressiveRollback) else "word"


Rollback = Annotated[
    Annotated[Literal["instant", "undo"], Tag("word")] | Annotated[ProgressiveRollback, Tag("progressive")],
    Discriminator(_form_of_rollback),
]


def _form_of_binding(value: Any) -> str:
    return "script" if isinstance(value, dict | ScriptWords) else "text"


Bound = Annotated[Annotated[str, Tag("text")] | Annotated[ScriptWords, Tag("script")], Discriminator(_form_of_binding)]

#: What says which strategy an entry is, and which words may stand beside it.
FORMS: dict[str, tuple[str, ...]] = {
    "rollingUpdate": ("analysis",),
    "blueGreen": (),
    "canary": ("rollback",),
    "from": ("templates", "bind"),
    "python": ("settings", "reads"),
}


class StrategyWords(Model):
    """One entry under `strategies:`; exactly one of rollingUpdate, blueGreen, canary, from, python."""

    rolling_update: RollingWords | None = Field(None, alias="rollingUpdate")
    blue_green: BlueGreenWords | None = Field(None, alias="blueGreen")
    canary: CanaryWords | None = None
    manifest: str | None = Field(
        None, alias="from", min_length=1, description="a Rollout or Deployment, relative to this file"
    )
    python: str | None = Field(None, min_length=1, description="package.module:function, needs --allow-python")
    analysis: AnalysisWords | None = Field(None, description="beside rollingUpdate: a failure undoes the update")
    rollback: Rollback | None = Field(None, description="beside canary: instant (default), undo, progressive")
    templates: tuple[str, ...] = Field((), max_length=50, description="beside from: files with AnalysisTemplates")
    bind: dict[str, Bound] = Field({}, description="beside from: what each query measures, or its script")
    settings: dict[str, Any] = Field({}, description="beside python: keyword arguments of the function")
    reads: tuple[str, ...] = Field((), description="beside python: queries, as error_ratio:canary:5m")

    @model_validator(mode="after")
    def _one_form(self) -> StrategyWords:
        given = {word_of(name) for name in self.model_fields_set if getattr(self, name) is not None}
        forms = [form for form in FORMS if form in given]
        if len(forms) != 1:
            raise ValueError(f"expected exactly one of {', '.join(FORMS)}, got {' and '.join(forms) or 'none of them'}")
        for word in sorted(given - {forms[0]} - set(FORMS[forms[0]])):
            homes = " or ".join(form for form, words in FORMS.items() if word in words)
            raise ValueError(f"expected {word} beside {homes} only, got it beside {forms[0]}")
        return self


def word_of(attribute: str) -> str:
    """The word of the file for an attribute of `StrategyWords`."""
    return StrategyWords.model_fields[attribute].alias or attribute
