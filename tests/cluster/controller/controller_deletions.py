"""Which pods a ReplicaSet gave up, beside the model of its order."""

from __future__ import annotations

from controller_recording import Life, Recording

from strategies.models.kubernetes_delete import deletion_rank

APART_SECONDS = 1.0  #: what is told within this time may have been seen in either order


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
            ranks = [(_rank(gone, when), _rank(other, when)) for when in (at - APART_SECONDS, at)]
            pairs += all(first != last for first, last in ranks)
            if all(first > last for first, last in ranks):
                found.append(f"at {at:.2f} s {gone} went before {other}")
    return pairs, found


def _stayed(life: Life, at: float) -> bool:
    """It was there well before and well after."""
    ended = life.first("ended")
    return life.made < at - APART_SECONDS and (ended is None or ended > at + APART_SECONDS)


def _sure(life: Life, at: float) -> bool:
    """Nothing was told of it just before that would change its rank, but that it ends."""
    return not any(at - APART_SECONDS < when <= at and what != "ended" for when, what in life.events)


def _rank(life: Life, at: float) -> tuple[object, ...]:
    now = round(at * 1e6)
    ready, runs = None, 0
    for when, what in life.events:
        if when > at or what == "ended":
            break
        if what == "run":
            runs += 1
        elif what == "ready":
            ready = round(when * 1e6)
        else:
            ready = None
    return deletion_rank(
        now, running=runs > 0, ready_us=ready, restarts=max(0, runs - 1), made_us=round(life.made * 1e6), uid=0
    )
