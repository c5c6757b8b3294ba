"""Which pods a ReplicaSet gave up, beside the model of its order."""

from __future__ import annotations

from controller_recording import Life, Recording

from strategies.models.kubernetes_delete import deletion_rank

APART_SECONDS = 1.0  #: what is told within this time may have been seen in either order
EARLY_SECONDS = (
    2.0  #: before it was heard something may have happened: it is kept in whole seconds, and told a little later
)


def wrong_deletions(recording: Recording) -> tuple[int, list[str]]:
    """(pairs compared, differences): of two pods of one template the one that went first may not rank last.

    What orders pods of the same rank, their uids, is not looked at.
    """
    pairs, found = 0, []
    for gone in recording.lives:
        at = gone.first("ended")
        if at is None:
            continue
        for other in recording.lives:
            if other.template != gone.template or other is gone or not _stayed(other, at):
                continue
            if not (_sure(gone, at) and _sure(other, at)):
                continue
            mine, its = _ranks(gone, at), _ranks(other, at)
            pairs += max(mine) < min(its) or min(mine) > max(its)
            if min(mine) > max(its):
                found.append(f"at {at:.2f} s {gone} went before {other}")
    return pairs, found


def _stayed(life: Life, at: float) -> bool:
    """It was there well before and well after."""
    ended = life.first("ended")
    return life.made < at - APART_SECONDS and (ended is None or ended > at + APART_SECONDS)


def _sure(life: Life, at: float) -> bool:
    """Nothing was told of it just before that would change its rank, but that it ends."""
    return not any(at - APART_SECONDS < when <= at and what != "ended" for when, what in life.events)


def _state(life: Life, at: float) -> tuple[int, float | None]:
    """(containers that ran so far, since when it is ready)."""
    runs, ready = 0, None
    for when, what in life.events:
        if when > at or what == "ended":
            break
        if what == "run":
            runs += 1
        else:
            ready = when if what == "ready" else None
    return runs, ready


def _ranks(life: Life, at: float) -> list[tuple[bool, bool, int, int]]:
    """Its rank if things happened when they were told, and if they did as much earlier as can be."""
    runs, ready = _state(life, at)
    return [
        deletion_rank(
            round(at * 1e6),
            running=runs > 0,
            ready_us=None if ready is None else round((ready - early) * 1e6),
            restarts=max(0, runs - 1),
            made_us=round((life.made - early) * 1e6),
            uid=0,
        )[:4]
        for early in (0.0, EARLY_SECONDS)
    ]
