"""The only canary program: Argo Rollouts' canary, with a traffic router or by the number of pods.

Steps, background analysis, setCanaryScale, dynamicStableScale, abort and progress deadline as in Argo. Where it ends
earlier than Argo: a rollout that made no progress for `progress_deadline_seconds` and does not abort for it ends
`stalled` with its pods as they are; Argo marks it Degraded and would go on waiting.

After an inconclusive analysis a person is asked, and then it goes on as `kubectl argo rollouts promote` does: past the
analysis step that ended so, past a pause; any other step is waited for again; an inconclusive background analysis is
started anew.

Source: argoproj/argo-rollouts `rollout/canary.go`, `rollout/trafficrouting.go`, `rollout/analysis.go`
(needsNewAnalysisRun), `utils/replicaset/canary.go`, `pkg/kubectl-argo-rollouts/cmd/promote/promote.go`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from strategies import rollback
from strategies.analysis import Examiner, ask, beside
from strategies.effects import (
    Abort,
    Ask,
    AwaitApproval,
    AwaitAvailable,
    Cancel,
    DeadlinePassed,
    Effect,
    Fate,
    Inconclusive,
    Join,
    Outcome,
    Program,
    Promote,
    Release,
    Revision,
    Scale,
    SetWeight,
    Strategy,
    Wait,
)
from strategies.models import argo
from strategies.models.kubernetes import resolve_fenceposts
from strategies.steps import AnalysisStep, CanaryScaleStep, PauseStep, SetWeightStep, Step, describe
from strategies.weights import Limits, by_pods, percent

__all__ = ["AnalysisStep", "CanaryScaleStep", "Options", "PauseStep", "SetWeightStep", "Step", "canary", "strategy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that can be set about a canary; the words and defaults are Argo's."""

    steps: tuple[Step, ...]
    analysis: Examiner | None = None  #: runs beside the steps
    starting_step: int = 0  #: the background analysis starts when this step begins
    dynamic_stable_scale: bool = False
    scale_down_delay_seconds: float = 30.0
    abort_scale_down_delay_seconds: float = 30.0  #: 0: at once, down to what a setCanaryScale in the first step says
    progress_deadline_abort: bool = False
    limits: Limits = field(default_factory=Limits)
    on_failure: rollback.WayBack = rollback.instant

    def __post_init__(self) -> None:
        if not 0 <= self.starting_step <= len(self.steps):
            raise ValueError(f"starting_step must lie in 0..{len(self.steps)} (the steps), got {self.starting_step}")
        resolve_fenceposts(self.limits.max_surge, self.limits.max_unavailable, 1)

    @property
    def reads(self) -> tuple[Ask, ...]:
        """All queries of all its analyses."""
        analyses = [step.analysis for step in self.steps if isinstance(step, AnalysisStep)]
        if self.analysis is not None:
            analyses.append(self.analysis)
        return tuple(dict.fromkeys(query for analysis in analyses for query in analysis.queries))


def strategy(
    name: str = "canary",
    *,
    steps: Sequence[Step],
    analysis: Examiner | None = None,
    starting_step: int = 0,
    max_surge: int | str = "25%",
    max_unavailable: int | str = "25%",
    dynamic_stable_scale: bool = False,
    scale_down_delay_seconds: float = 30.0,
    abort_scale_down_delay_seconds: float = 30.0,
    min_ready_seconds: float = 0.0,
    progress_deadline_seconds: float = 600.0,
    progress_deadline_abort: bool = False,
    on_failure: rollback.WayBack = rollback.instant,
) -> Strategy:
    """A canary release; ValueError when the settings contradict each other.

    Surge and unavailable matter without a router only, the two delays and dynamicStableScale with one only.
    """
    options = Options(
        steps=tuple(steps),
        analysis=analysis,
        starting_step=starting_step,
        dynamic_stable_scale=dynamic_stable_scale,
        scale_down_delay_seconds=scale_down_delay_seconds,
        abort_scale_down_delay_seconds=abort_scale_down_delay_seconds,
        progress_deadline_abort=progress_deadline_abort,
        limits=Limits(
            max_surge=max_surge,
            max_unavailable=max_unavailable,
            min_ready_seconds=min_ready_seconds,
            progress_deadline_seconds=progress_deadline_seconds,
        ),
        on_failure=on_failure,
    )
    return Strategy(
        name=name,
        program=partial(canary, options=options),
        reads=options.reads,
        settings={
            "kind": "canary",
            "steps": [describe(step) for step in options.steps],
            "analysis": analysis.name if analysis is not None else None,
            "starting_step": starting_step,
            "max_surge": max_surge,
            "max_unavailable": max_unavailable,
            "dynamic_stable_scale": dynamic_stable_scale,
            "scale_down_delay_seconds": scale_down_delay_seconds,
            "abort_scale_down_delay_seconds": abort_scale_down_delay_seconds,
            "min_ready_seconds": min_ready_seconds,
            "progress_deadline_seconds": progress_deadline_seconds,
            "progress_deadline_abort": progress_deadline_abort,
            "on_failure": rollback.describe(on_failure),
        },
    )


# --- the program -------------------------------------------------------------------------------------------------


def canary(release: Release, options: Options) -> Program:
    """The program of one canary rollout."""
    rollout = _Canary(release, options)
    try:
        return (yield from rollout.program())
    except _Stalled as stalled:
        return Fate(Outcome.STALLED, str(stalled))
    except Abort as failure:
        for handle in rollout.handles:
            yield Cancel(handle)
        reason = str(failure) or "aborted"
    return (yield from options.on_failure(release, reason, context=rollout.context()))


class _Stalled(Exception):
    """Nothing progressed for as long as the progress deadline."""


class _Canary:
    """One rollout: where it stands, and the programs of its steps."""

    __slots__ = (
        "_background", "_doubted", "_step_run", "_wanted", "handles", "options", "pods", "release", "scale", "weight",
    )  # fmt: skip

    def __init__(self, release: Release, options: Options) -> None:
        self.release = release
        self.options = options
        self.weight = 0  #: per cent that the router was last told
        self.pods: dict[Revision, int] = {release.stable: 0 if release.first else release.replicas, release.canary: 0}
        self.scale: CanaryScaleStep | None = None  #: the setCanaryScale in force
        self.handles: list[int] = []  #: every analysis that was started
        self._wanted = 0  #: per cent of the last setWeight
        self._background: int | None = None
        self._doubted = False  #: the background analysis ended inconclusive
        self._step_run: int | None = None

    def context(self) -> rollback.Context:
        """Where it stands, for the way back."""
        options = self.options
        return rollback.Context(
            weight=self.weight / 100,
            step_weights=tuple(percent(step.weight) for step in options.steps if isinstance(step, SetWeightStep)),
            dynamic_stable_scale=options.dynamic_stable_scale and self.release.routed,
            abort_scale_down_delay_seconds=options.abort_scale_down_delay_seconds,
            kept_pods=self._kept_pods(),
            limits=options.limits,
        )

    def _kept_pods(self) -> int:
        """The canary's pods after an abort with a delay of 0.

        An abort goes back to the first step, and without a delay the pods are those of weight 0 there: none, unless
        that step is a setCanaryScale. Argo's documentation says that they stay; its controller (1.10.0) does this.
        """
        first = next(iter(self.options.steps), None)
        if not isinstance(first, CanaryScaleStep) or first.match_traffic_weight:
            return 0
        scale_weight = None if first.weight is None else percent(first.weight)
        return argo.scaled_counts(self.release.replicas, 0, scale_replicas=first.replicas, scale_weight=scale_weight)[0]

    def program(self) -> Program:
        """All steps, then the promotion."""
        options, release = self.options, self.release
        if not (release.first or release.returning):
            for index, step in enumerate(options.steps):
                if index == options.starting_step:
                    yield from self._start_background()
                yield from self._until_done(step)
            if options.starting_step == len(options.steps):
                yield from self._start_background()
        self.scale = None
        yield from self._until_done(SetWeightStep(1.0))
        if self._background is not None:
            yield Cancel(self._background)
        yield Promote()
        if release.routed and not release.first and not options.dynamic_stable_scale:
            yield Wait(options.scale_down_delay_seconds)
            yield Scale(release.stable, 0)
        return Fate(Outcome.PROMOTED)

    # -- one step -------------------------------------------------------------------------------------------------

    def _until_done(self, step: Step) -> Generator[Effect, Any, None]:
        while True:
            try:
                yield from self._perform(step)
                return
            except Inconclusive as doubt:
                yield from ask(doubt)
            if self._doubted:
                yield from self._start_background()
            if isinstance(step, PauseStep):
                return

    def _perform(self, step: Step) -> Generator[Effect, Any, None]:
        match step:
            case SetWeightStep(weight):
                self._wanted = percent(weight)
                yield from self._reach()
            case PauseStep():
                yield AwaitApproval("pause") if step.seconds is None else Wait(step.seconds)
            case AnalysisStep(analysis):
                yield from self._analyse(analysis)
            case CanaryScaleStep():
                self.scale = None if step.match_traffic_weight else step
                yield from self._reach()

    def _analyse(self, analysis: Examiner) -> Generator[Effect, Any, None]:
        """Run the analysis of a step; performed again after it ended inconclusive, it is over."""
        if self._step_run is None:
            self._step_run = (yield beside(analysis)).handle
            self.handles.append(self._step_run)
        yield Join((self._step_run,))
        self._step_run = None

    def _start_background(self) -> Generator[Effect, Any, None]:
        if self.options.analysis is not None:
            self._doubted = False
            self._background = (yield beside(self.options.analysis, self._watched)).handle
            self.handles.append(self._background)

    def _watched(self, analysis: Examiner) -> Program:
        try:
            return (yield from analysis.program())
        except Inconclusive:
            self._doubted = True
            raise

    # -- pods and weight ------------------------------------------------------------------------------------------

    def _reach(self) -> Generator[Effect, Any, None]:
        """Bring pods and traffic to the weight that is wanted: pods up, then traffic, then pods down."""
        release = self.release
        if not release.routed:
            self.weight = self._wanted
            if not (yield from by_pods(release, self._wanted, self.options.limits)):
                self._no_progress()
            return
        canary, stable = self._counts()
        yield from self._grow(release.canary, canary)
        if stable > self.pods[release.stable]:
            yield from self._grow(release.stable, stable)
        # Argo never gives weight to a canary without pods.
        weight = self._wanted if canary > 0 else 0
        if weight != self.weight:
            yield SetWeight(weight / 100)
            self.weight = weight
        canary, stable = self._counts()
        for revision, pods in ((release.canary, canary), (release.stable, stable)):
            if pods < self.pods[revision]:
                yield Scale(revision, pods)
                self.pods[revision] = pods

    def _counts(self) -> tuple[int, int]:
        """Pods of (canary, stable) for the weight that is wanted, as the router stands now."""
        replicas, scale = self.release.replicas, self.scale
        scale_replicas = scale.replicas if scale is not None else None
        scale_weight = percent(scale.weight) if scale is not None and scale.weight is not None else None
        if self.release.first:
            return argo.routed_counts(replicas, self._wanted)[0], 0
        if self.options.dynamic_stable_scale:
            weight = self._wanted if scale_weight is None else scale_weight
            actual = (self.weight, 100 - self.weight)
            return argo.dynamic_counts(replicas, weight, actual, scale_replicas=scale_replicas)
        return argo.scaled_counts(replicas, self._wanted, scale_replicas=scale_replicas, scale_weight=scale_weight)

    def _grow(self, revision: Revision, pods: int) -> Generator[Effect, Any, None]:
        if pods > self.pods[revision]:
            yield Scale(revision, pods)
            self.pods[revision] = pods
        limits = self.options.limits
        answer = yield AwaitAvailable(revision, pods, limits.progress_deadline_seconds, limits.min_ready_seconds)
        if isinstance(answer, DeadlinePassed):
            self._no_progress()

    def _no_progress(self) -> None:
        reason = f"no progress for {self.options.limits.progress_deadline_seconds:g} s"
        if self.options.progress_deadline_abort:
            raise Abort(reason)
        raise _Stalled(reason)
