"""The rolling update of a Kubernetes Deployment, with an optional analysis beside it.

Kubernetes never rolls back: without an analysis a release that is Ready but wrong is promoted, and one that makes no
progress for `progress_deadline_seconds` is reported (`stalled`) and left as it is. With an analysis, a failure is
answered with `kubectl rollout undo`. A first deployment, and one that returns to the stable template, run none.
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
    AwaitComplete,
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
    RollTo,
    Strategy,
)
from strategies.models.kubernetes import resolve_fenceposts
from strategies.weights import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that can be set about a rolling update; the words and defaults are Kubernetes'."""

    analysis: Examiner | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        resolve_fenceposts(self.limits.max_surge, self.limits.max_unavailable, 1)


def strategy(
    name: str = "rolling",
    *,
    max_surge: int | str = "25%",
    max_unavailable: int | str = "25%",
    min_ready_seconds: float = 0.0,
    progress_deadline_seconds: float = 600.0,
    analysis: Examiner | None = None,
) -> Strategy:
    """A rolling update; ValueError for a surge or unavailable that is neither pods nor a percentage.

    An analysis starts with the update. If all its metrics have a count, the promotion waits for its end; else it ends
    when the Deployment is complete.
    """
    limits = Limits(
        max_surge=max_surge,
        max_unavailable=max_unavailable,
        min_ready_seconds=min_ready_seconds,
        progress_deadline_seconds=progress_deadline_seconds,
    )
    options = Options(analysis=analysis, limits=limits)
    return Strategy(
        name=name,
        program=partial(rolling, options=options),
        reads=analysis.queries if analysis is not None else (),
        settings={
            "kind": "rolling",
            "max_surge": max_surge,
            "max_unavailable": max_unavailable,
            "min_ready_seconds": min_ready_seconds,
            "progress_deadline_seconds": progress_deadline_seconds,
            "analysis": analysis.name if analysis is not None else None,
        },
    )


def rolling(release: Release, options: Options) -> Program:
    """The program of one rolling update."""
    analysis = None if release.first or release.returning else options.analysis
    limits = options.limits
    handle: int | None = None
    try:
        yield RollTo(
            release.canary, release.replicas, limits.max_surge, limits.max_unavailable, limits.min_ready_seconds
        )
        if analysis is not None:
            handle = (yield beside(analysis)).handle
        if not (yield from _complete(release, limits)):
            return Fate(Outcome.STALLED, f"no progress for {limits.progress_deadline_seconds:g} s")
        if handle is not None and analysis is not None:
            if analysis.endless:
                yield Cancel(handle)
            else:
                yield from _joined(handle)
        yield Promote()
        return Fate(Outcome.PROMOTED)
    except Abort as failure:
        if handle is not None:
            yield Cancel(handle)
        reason = str(failure) or "aborted"
    return (yield from rollback.undo(release, reason, context=rollback.Context(limits=limits)))


def _complete(release: Release, limits: Limits) -> Generator[Effect, Any, bool]:
    """Wait until the Deployment is complete; False when nothing progressed for too long."""
    while True:
        try:
            answer = yield AwaitComplete(release.canary, release.replicas, limits.progress_deadline_seconds)
            return not isinstance(answer, DeadlinePassed)
        except Inconclusive as doubt:
            yield from ask(doubt)


def _joined(handle: int) -> Generator[Effect, Any, None]:
    try:
        yield Join((handle,))
    except Inconclusive as doubt:
        yield from ask(doubt)
