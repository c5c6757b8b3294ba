"""The only blue-green program: Argo Rollouts' blueGreen.

The active route is `SetWeight` 0 or 1; the preview gets no traffic. A rollout that made no progress for
`progress_deadline_seconds` and does not abort for it ends `stalled` with its pods as they are, where Argo marks it
Degraded and would go on waiting. After an inconclusive analysis a person is asked, and then, as after `promote` in
Argo, that analysis runs anew.

Source: argoproj/argo-rollouts `rollout/bluegreen.go`, `rollout/service.go`, `rollout/analysis.go`
(needsNewAnalysisRun), `rollout/pause.go` (CompletedBlueGreenPause).
"""

from __future__ import annotations

from collections.abc import Generator
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
    Scale,
    SetWeight,
    Strategy,
    Wait,
)
from strategies.weights import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that can be set about a blue-green release; the words and defaults are Argo's."""

    preview_replicas: int | None = None  #: pods of the preview; None: all
    pre_promotion: Examiner | None = None
    post_promotion: Examiner | None = None
    auto_promotion: bool = True
    auto_promotion_seconds: float | None = None  #: pause before the switch; counted from the end of pre_promotion
    scale_down_delay_seconds: float = 30.0
    abort_scale_down_delay_seconds: float = 30.0  #: 0: never
    progress_deadline_abort: bool = False
    guard: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.preview_replicas is not None and self.preview_replicas < 1:
            raise ValueError(f"preview_replicas must be 1 or more, got {self.preview_replicas}")
        for field_name, analysis in (("pre_promotion", self.pre_promotion), ("post_promotion", self.post_promotion)):
            if analysis is not None and analysis.endless:
                raise ValueError(
                    f"{field_name}: analysis {analysis.name!r} has an interval and no count, so it would never end; "
                    "expected a count"
                )

    @property
    def reads(self) -> tuple[Ask, ...]:
        """All queries of both analyses."""
        analyses = [analysis for analysis in (self.pre_promotion, self.post_promotion) if analysis is not None]
        return tuple(dict.fromkeys(query for analysis in analyses for query in analysis.queries))


def strategy(
    name: str = "blue-green",
    *,
    preview_replicas: int | None = None,
    pre_promotion: Examiner | None = None,
    post_promotion: Examiner | None = None,
    auto_promotion: bool = True,
    auto_promotion_seconds: float | None = None,
    scale_down_delay_seconds: float = 30.0,
    abort_scale_down_delay_seconds: float = 30.0,
    min_ready_seconds: float = 0.0,
    progress_deadline_seconds: float = 600.0,
    progress_deadline_abort: bool = False,
    guard: bool = False,
) -> Strategy:
    """A blue-green release; ValueError when the settings contradict each other.

    `guard`: switch back only while all new pods are available (see `rollback.switch_back`).
    """
    options = Options(
        preview_replicas=preview_replicas,
        pre_promotion=pre_promotion,
        post_promotion=post_promotion,
        auto_promotion=auto_promotion,
        auto_promotion_seconds=auto_promotion_seconds,
        scale_down_delay_seconds=scale_down_delay_seconds,
        abort_scale_down_delay_seconds=abort_scale_down_delay_seconds,
        progress_deadline_abort=progress_deadline_abort,
        guard=guard,
        limits=Limits(min_ready_seconds=min_ready_seconds, progress_deadline_seconds=progress_deadline_seconds),
    )
    return Strategy(
        name=name,
        program=partial(blue_green, options=options),
        reads=options.reads,
        settings={
            "kind": "blue-green",
            "preview_replicas": preview_replicas,
            "pre_promotion": pre_promotion.name if pre_promotion is not None else None,
            "post_promotion": post_promotion.name if post_promotion is not None else None,
            "auto_promotion": auto_promotion,
            "auto_promotion_seconds": auto_promotion_seconds,
            "scale_down_delay_seconds": scale_down_delay_seconds,
            "abort_scale_down_delay_seconds": abort_scale_down_delay_seconds,
            "min_ready_seconds": min_ready_seconds,
            "progress_deadline_seconds": progress_deadline_seconds,
            "progress_deadline_abort": progress_deadline_abort,
            "guard": guard,
        },
    )


def blue_green(release: Release, options: Options) -> Program:
    """The program of one blue-green rollout."""
    rollout = _BlueGreen(release, options)
    try:
        return (yield from rollout.program())
    except _Stalled as stalled:
        return Fate(Outcome.STALLED, str(stalled))
    except Abort as failure:
        if rollout.running is not None:
            yield Cancel(rollout.running)
        reason = str(failure) or "aborted"
    context = rollback.Context(
        weight=1.0 if rollout.switched else 0.0,
        abort_scale_down_delay_seconds=options.abort_scale_down_delay_seconds,
        limits=options.limits,
    )
    return (yield from rollback.switch_back(guard=options.guard)(release, reason, context=context))


class _Stalled(Exception):
    """Nothing progressed for as long as the progress deadline."""


class _BlueGreen:
    """One rollout: where it stands, and the programs of its parts."""

    __slots__ = ("options", "release", "running", "switched")

    def __init__(self, release: Release, options: Options) -> None:
        self.release = release
        self.options = options
        self.switched = False
        self.running: int | None = None  #: the analysis that runs

    def program(self) -> Program:
        options, release = self.options, self.release
        shortcut = release.first or release.returning  # no analysis and no pause then
        if not shortcut:
            yield from self._bring(options.preview_replicas or release.replicas)
            yield from self._analyse(options.pre_promotion)
            if not options.auto_promotion:
                yield AwaitApproval("promotion")
            elif options.auto_promotion_seconds:
                yield Wait(options.auto_promotion_seconds)
        if shortcut or options.preview_replicas is not None:
            yield from self._bring(release.replicas)
        self.switched = True
        yield SetWeight(1.0)
        if not shortcut:
            yield from self._analyse(options.post_promotion)
        yield Promote()
        if not release.first:
            yield Wait(options.scale_down_delay_seconds)
            yield Scale(release.stable, 0)
        return Fate(Outcome.PROMOTED)

    def _bring(self, replicas: int) -> Generator[Effect, Any, None]:
        limits = self.options.limits
        yield Scale(self.release.canary, replicas)
        answer = yield AwaitAvailable(
            self.release.canary, replicas, limits.progress_deadline_seconds, limits.min_ready_seconds
        )
        if isinstance(answer, DeadlinePassed):
            reason = f"no progress for {limits.progress_deadline_seconds:g} s"
            raise Abort(reason) if self.options.progress_deadline_abort else _Stalled(reason)

    def _analyse(self, analysis: Examiner | None) -> Generator[Effect, Any, None]:
        while analysis is not None:
            self.running = (yield beside(analysis)).handle
            try:
                yield Join((self.running,))
                return
            except Inconclusive as doubt:
                yield from ask(doubt)
