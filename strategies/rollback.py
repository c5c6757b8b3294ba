"""Ways back to the stable revision, for a rollout that failed.

A way back is a generator function `(release, reason, *, context) -> Program`. It yields `Undo(reason)` first, which
marks the decision, then moves traffic and pods, and returns a `Fate`. The context says where the rollout stood. The
analyses have been cancelled before it starts. It never gives up: it waits for pods without a deadline.

Source: argoproj/argo-rollouts `rollout/replicaset.go` (reconcileNewReplicaSet), `rollout/trafficrouting.go`
(reconcileTrafficRouting), `rollout/service.go` (reconcileActiveService).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from strategies.effects import (
    AwaitAvailable,
    AwaitComplete,
    Counts,
    Effect,
    Fate,
    Note,
    Observe,
    Outcome,
    Program,
    Release,
    RollTo,
    Scale,
    SetWeight,
    Undo,
    Wait,
)
from strategies.models import argo
from strategies.weights import Limits, by_pods, percent

NOWHERE: Final = "there is no stable revision to go back to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where a rollout stood when it failed."""

    weight: float = 0.0  #: the canary's share (0..1) that the router was last told
    step_weights: tuple[int, ...] = ()  #: all setWeight steps, in per cent
    dynamic_stable_scale: bool = False  #: the stable revision was scaled down as the weight rose
    abort_scale_down_delay_seconds: float = 30.0  #: 0: `kept_pods` of the canary stay
    kept_pods: int | None = None  #: None: all
    limits: Limits = field(default_factory=Limits)


class WayBack(Protocol):
    """What `on_failure` expects."""

    def __call__(self, release: Release, reason: str, *, context: Context) -> Program:
        """Lead the rollout back."""
        ...


def instant(release: Release, reason: str, *, context: Context) -> Program:
    """Argo's abort: all traffic back at once, the canary's pods later.

    The delay of the canary's pods begins when the stable revision is whole; a delay of 0 is none at all. Under
    dynamicStableScale traffic can only follow the stable pods as they come back. Without a router this is a rolling
    update back.
    """
    yield Undo(reason)
    if release.first:
        yield Note(NOWHERE)
    elif not release.routed:
        yield from by_pods(release, 0, _patient(context))
    elif context.dynamic_stable_scale:
        yield from _as_stable_returns(release, context)
    else:
        yield SetWeight(0.0)
        yield from _retire_canary(release, context)
    return Fate(Outcome.ROLLED_BACK, reason)


def progressive(
    weights: tuple[float, ...] = (0.5, 0.25, 0.1, 0.0), pause_seconds: float = 30.0, *, never_raise: bool = False
) -> WayBack:
    """A way back in steps: each weight in turn, and a pause after each.

    From a canary below the first weight this first RAISES the share of the bad revision (to 50 % by default), as the
    deployment guide's script does that it imitates; `never_raise` leaves such steps out.
    """
    if not weights or weights[-1] != 0:
        raise ValueError(f"weights must end with 0, got {weights}")
    for weight in weights:
        if not 0 <= weight <= 1:
            raise ValueError(f"weights must lie in 0..1, got {weight}")
        percent(weight)

    return partial(_progressive, weights=weights, pause_seconds=pause_seconds, never_raise=never_raise)


def _progressive(
    release: Release,
    reason: str,
    *,
    context: Context,
    weights: tuple[float, ...],
    pause_seconds: float,
    never_raise: bool,
) -> Program:
    yield Undo(reason)
    if release.first:
        yield Note(NOWHERE)
        return Fate(Outcome.ROLLED_BACK, reason)
    if context.dynamic_stable_scale:
        yield Scale(release.stable, release.replicas)
        yield AwaitAvailable(release.stable, release.replicas, None, context.limits.min_ready_seconds)
    for weight in weights:
        if never_raise and weight > context.weight:
            continue
        if release.routed:
            yield SetWeight(weight)
        else:
            yield from by_pods(release, percent(weight), context.limits)
        yield Wait(pause_seconds)
    yield Scale(release.canary, 0)
    return Fate(Outcome.ROLLED_BACK, reason)


def undo(release: Release, reason: str, *, context: Context) -> Program:
    """`kubectl rollout undo`: an ordinary rolling update back, as fast as the way there; traffic follows the pods."""
    yield Undo(reason)
    if release.first:
        yield Note(NOWHERE)
    else:
        limits = context.limits
        yield RollTo(
            release.stable, release.replicas, limits.max_surge, limits.max_unavailable, limits.min_ready_seconds
        )
        yield AwaitComplete(release.stable, release.replicas, None)
        if context.weight > 0:
            yield SetWeight(0.0)  # a router is left as it was found
    return Fate(Outcome.ROLLED_BACK, reason)


def switch_back(*, guard: bool = False) -> WayBack:
    """Blue-green's abort: the active route back to the stable revision, the new pods gone after the delay.

    With `guard` the route is switched only while all new pods are available, as Argo's reconcileActiveService reads:
    it returns early when the new ReplicaSet is not saturated, also when the rollout was aborted. New pods that crash
    after the switch then keep all the traffic, and are scaled to 0 under it. Read in the source, not yet seen live.
    """

    return partial(_switch_back, guard=guard)


def _switch_back(release: Release, reason: str, *, context: Context, guard: bool) -> Program:
    yield Undo(reason)
    if release.first:
        yield Note(NOWHERE)
        return Fate(Outcome.ROLLED_BACK, reason)
    if context.weight > 0:
        counts: Counts | None = (yield Observe(None, None, context.limits.min_ready_seconds)) if guard else None
        if counts is None or counts.canary[1] >= release.replicas:
            yield SetWeight(0.0)
        else:
            yield Note(f"not switched back: {counts.canary[1]} of {release.replicas} new pods are available")
    yield from _retire_canary(release, context)
    return Fate(Outcome.ROLLED_BACK, reason)


def describe(way: WayBack) -> str:
    """The name of a way back, for people."""
    function = way.func if isinstance(way, partial) else way
    return str(getattr(function, "__name__", function)).lstrip("_")


def _patient(context: Context) -> Limits:
    limits = context.limits
    return Limits(
        max_surge=limits.max_surge,
        max_unavailable=limits.max_unavailable,
        min_ready_seconds=limits.min_ready_seconds,
        progress_deadline_seconds=None,
    )


def _retire_canary(release: Release, context: Context) -> Generator[Effect, Any, None]:
    """Take the canary's pods away, a while after the stable revision is whole."""
    delay = context.abort_scale_down_delay_seconds
    if delay == 0:
        if context.kept_pods is not None:
            yield Scale(release.canary, context.kept_pods)
        return
    yield AwaitAvailable(release.stable, release.replicas, None, context.limits.min_ready_seconds)
    yield Wait(delay)
    yield Scale(release.canary, 0)


def _as_stable_returns(release: Release, context: Context) -> Generator[Effect, Any, None]:
    """Climb down the weights of the steps, each when the stable pods for it are available."""
    weight = percent(context.weight)
    seen: tuple[tuple[int, int], tuple[int, int]] | None = None
    while True:
        counts: Counts = yield Observe(seen, None, context.limits.min_ready_seconds)
        seen = (counts.canary, counts.stable)
        step, traffic = argo.abort_weights(
            release.replicas, context.step_weights, counts.canary[1], counts.stable[1], weight
        )
        if traffic != weight:
            weight = traffic
            yield SetWeight(weight / 100)
        canary, stable = argo.dynamic_counts(release.replicas, step, (weight, 100 - weight), aborted=True)
        if stable != counts.stable[0]:
            yield Scale(release.stable, stable)
        if canary != counts.canary[0]:
            yield Scale(release.canary, canary)
        if weight == 0 and counts.stable[1] >= release.replicas:
            return
