"""A rollout that somebody else's controller does: it is waited for, and its outcome is taken down as a decision.

The world answers `AwaitComplete` when the controller has promoted, with `DeadlinePassed` when it gave up making
progress, and throws `Abort` when it went back.
"""

from __future__ import annotations

from strategies.effects import (
    Abort,
    AwaitAvailable,
    AwaitComplete,
    DeadlinePassed,
    Fate,
    Outcome,
    Program,
    Promote,
    Release,
    Strategy,
    Undo,
)


def strategy(name: str = "observed") -> Strategy:
    """Watches, and asks for nothing."""
    return Strategy(name=name, program=observed, settings={"kind": "observed"})


def observed(release: Release) -> Program:
    """The program of one rollout that is watched."""
    try:
        answer = yield AwaitComplete(release.canary, release.replicas, deadline_seconds=None)
        if isinstance(answer, DeadlinePassed):
            return Fate(Outcome.STALLED, "its controller reports that the progress deadline passed")
        yield Promote()
        return Fate(Outcome.PROMOTED)
    except Abort as failure:
        reason = str(failure)
    yield Undo(reason)
    yield AwaitAvailable(release.stable, release.replicas, deadline_seconds=60.0)
    return Fate(Outcome.ROLLED_BACK, reason)
