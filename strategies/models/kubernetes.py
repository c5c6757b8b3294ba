"""Kubernetes' own arithmetic: how a Deployment rolls, when a kubelet says Ready, when it kills, how long it waits.

Pure functions of plain integers and seconds: no state, no clock. The caller keeps the counts and asks for one
`rolling_sync` each time the Deployment controller would run. That is the inner loop of a Monte Carlo: integers already
resolved are taken as they are, and nothing but the answer is allocated.

A ReplicaSet is a pair `(spec, available)`: the wanted number of pods, and the pods that have been Ready for
minReadySeconds. Sources, all in kubernetes/kubernetes: `pkg/controller/deployment/rolling.go` @95f08499d, `sync.go`
@737067c1d and `util/deployment_util.go` @277391ee7 beside it; `pkg/kubelet/prober/worker.go` @00421113e and
`prober_manager.go` @0181833db; `pkg/kubelet/kubelet.go` @000d95431 (the cap of 300 s: @d8302640b),
`pkg/kubelet/kuberuntime/kuberuntime_manager.go` @83f7b41cf, and client-go `util/flowcontrol/backoff.go` @5667ebd4f.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

IntOrPercent: TypeAlias = int | str  #: a number of pods, or a share of the replicas such as "25%"
Counts: TypeAlias = tuple[int, int]  #: (spec, available) of one ReplicaSet

_EXPECTED: Final = 'a whole number of pods, 0 or more, or a whole percentage such as "25%"'

CRASH_LOOP_INITIAL_SECONDS: Final = 10.0
CRASH_LOOP_CAP_SECONDS: Final = 300.0
CRASH_LOOP_RESET_SECONDS: Final = 600.0


# --- maxSurge and maxUnavailable ---------------------------------------------------------------------------------


def resolve_pods(name: str, value: IntOrPercent, replicas: int, *, round_up: bool) -> int:
    """Turn a number of pods or a percentage of `replicas` into a number of pods.

    `name` is the field's own name, for the error: ValueError when the value is neither.
    """
    if type(value) is int and value >= 0:
        return value
    # ASCII digits only, and few: `int` would also take "+5", "1_0" and other scripts' digits.
    if isinstance(value, str) and value.endswith("%") and len(value) <= 10:
        digits = value[:-1]
        if digits.isascii() and digits.isdigit():
            product = int(digits) * replicas
            return -(-product // 100) if round_up else product // 100
    raise ValueError(f"{name}: expected {_EXPECTED}, got {value!r}")


def resolve_fenceposts(max_surge: IntOrPercent, max_unavailable: IntOrPercent, replicas: int) -> tuple[int, int]:
    """The surge and the unavailable pods that `replicas` allow, as `(surge, unavailable)` in pods.

    A surge is rounded up, unavailable down; when both come to 0, one pod may be unavailable, or nothing could ever
    move. `deployment_util.go ResolveFenceposts`. ValueError for anything that is neither pods nor a percentage.

    >>> resolve_fenceposts("25%", "25%", 10)
    (3, 2)
    >>> resolve_fenceposts(0, "10%", 9)
    (0, 1)
    """
    surge = resolve_pods("maxSurge", max_surge, replicas, round_up=True)
    unavailable = resolve_pods("maxUnavailable", max_unavailable, replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        return 0, 1
    return surge, unavailable


def max_unavailable(unavailable: int, replicas: int) -> int:
    """Pods that may be missing: the resolved `unavailable`, never more than `replicas` (so 0 when there are none)."""
    return unavailable if unavailable < replicas else replicas


# --- one sync of a rolling update --------------------------------------------------------------------------------


def new_replicas(replicas: int, surge: int, total_spec: int, new_spec: int) -> int:
    """The size that the new ReplicaSet may grow to: `deployment_util.go NewRSNewReplicas`.

    `total_spec` is the sum of spec over all ReplicaSets, the new one included. Terminating pods are not in it, so more
    pods than replicas + surge may exist for the length of the grace period.
    """
    room = replicas + surge - total_spec
    if room <= 0:
        return new_spec
    missing = replicas - new_spec
    return new_spec + (room if room < missing else missing)


def old_replicas(replicas: int, unavailable: int, new: Counts, old: Sequence[Counts]) -> list[int]:
    """The sizes of the old ReplicaSets after one `rolling.go reconcileOldReplicaSets`; `old` is oldest first.

    First pods that are not available go (`cleanupUnhealthyReplicas`), as far as all that may be taken allows; then
    available ones down to replicas - unavailable (`scaleDownOldReplicaSetsForRollingUpdate`). New pods that are not
    available yet earn nothing, so a new revision that never becomes available stalls here.
    """
    sizes = [spec for spec, _ in old]
    total = sum(sizes)
    if total == 0:
        return sizes
    new_available = new[1]
    minimum = replicas - max_unavailable(unavailable, replicas)
    # Upstream: all specs - minimum - (new spec - new available); the new spec cancels out.
    budget = total + new_available - minimum
    if budget <= 0:
        return sizes

    allowed = new_available - minimum
    for spec, available in old:
        if spec > 0:
            allowed += available
    if _clean_up(sizes, old, budget):
        _scale_down(sizes, allowed)
    return sizes


def _clean_up(sizes: list[int], old: Sequence[Counts], budget: int) -> bool:
    """`cleanupUnhealthyReplicas`: take up to `budget` pods that are not available off `sizes`, oldest first.

    False when a status still counts pods of a scale-down under way (more available than wanted): the controller calls
    that an invalid request and ends its sync; what it has cleaned up before stays.
    """
    for place, (spec, available) in enumerate(old):
        if budget <= 0:
            break
        if spec == 0 or spec == available:
            continue
        if available > spec:
            return False
        cut = min(budget, spec - available)
        sizes[place] -= cut
        budget -= cut
    return True


def _scale_down(sizes: list[int], allowed: int) -> None:
    """`scaleDownOldReplicaSetsForRollingUpdate`: take up to `allowed` pods off `sizes`, oldest first."""
    for place, size in enumerate(sizes):
        if allowed <= 0:
            break
        cut = min(size, allowed)
        sizes[place] = size - cut
        allowed -= cut


def rolling_sync(
    replicas: int, surge: int, unavailable: int, new: Counts | None, old: Sequence[Counts]
) -> tuple[int, list[int]]:
    """One sync of a rolling update, `rolling.go rolloutRolling`: the sizes `(new, old)` that it leaves; oldest first.

    The new ReplicaSet first; the old ones only in a sync that did not scale it. `new=None` says that there is none
    yet: it is created at its first size in this sync, and since creating is not scaling, the same sync goes on to the
    old ones (`sync.go getNewReplicaSet`). Sync again after each change until nothing changes.
    """
    total = 0
    for spec, _ in old:
        total += spec
    if new is None:
        new = (new_replicas(replicas, surge, total, 0), 0)
    new_spec = new[0]
    if new_spec != replicas:
        wanted = replicas if new_spec > replicas else new_replicas(replicas, surge, total + new_spec, new_spec)
        if wanted != new_spec:
            return wanted, [spec for spec, _ in old]
    return new_spec, old_replicas(replicas, unavailable, new, old)


def deployment_complete(replicas: int, updated: int, total: int, available: int, *, observed: bool = True) -> bool:
    """The Deployment is done: all its pods exist, are of the new revision and are available, and no other pod counts.

    `updated` and `total` are pods of the new and of all revisions (terminating ones not counted), `available` of all;
    `observed` is false while the controller has not yet seen the latest spec. `deployment_util.go DeploymentComplete`.
    """
    return observed and updated == replicas and total == replicas and available == replicas


# --- the kubelet -------------------------------------------------------------------------------------------------


def crash_loop_delay_seconds(
    restarts: int,
    ran_seconds: float = 0.0,
    initial_seconds: float = CRASH_LOOP_INITIAL_SECONDS,
    cap_seconds: float = CRASH_LOOP_CAP_SECONDS,
) -> float:
    """Seconds from a container's end until the kubelet starts it again: 0, 10, 20, 40, 80, 160, 300, 300, …

    `restarts` counts the restarts since the back-off last began; the first one is at once. `ran_seconds` is how long
    the container ran that just ended: above 10 minutes, whatever the cap, the back-off begins anew, the answer is 0
    and the caller counts from 0 again (this restart is the first; the next crash asks with `restarts=1`).
    `kuberuntime_manager.go doBackOff`, `kubelet.go` (`HasExpiredFunc`), `backoff.go`; upstream compares the end with
    the moment of the last restart, which is the run's length but for the time a start takes.
    """
    if restarts < 0:
        raise ValueError(f"restarts must be 0 or more, got {restarts}")
    if restarts == 0 or ran_seconds > CRASH_LOOP_RESET_SECONDS:
        return 0.0
    if restarts > 64:  # far beyond any cap, and the power stays a float
        return cap_seconds
    return min(cap_seconds, initial_seconds * 2.0 ** (restarts - 1))


def _first_tick(base_seconds: float, not_before_seconds: float, period_seconds: float) -> int:
    """The least m >= 0 with base + m * period >= not_before, exact in the same floating point as the tick itself."""
    if not_before_seconds <= base_seconds:
        return 0
    tick = math.ceil((not_before_seconds - base_seconds) / period_seconds)
    while base_seconds + tick * period_seconds < not_before_seconds:
        tick += 1
    while tick > 0 and base_seconds + (tick - 1) * period_seconds >= not_before_seconds:
        tick -= 1
    return tick


def readiness_seconds(
    started_seconds: float,
    answers_seconds: float,
    initial_delay_seconds: float = 0.0,
    period_seconds: float = 10.0,
    success_threshold: int = 1,
    *,
    phase_seconds: float = 0.0,
) -> float:
    """When a pod becomes Ready: at the success_threshold-th tick in a row that the app answers. Infinite if never.

    `started_seconds` is the container's start and `answers_seconds` when the app can answer, both on the caller's
    clock, as is the answer. Ticks fall at start + phase + m * period (phase 0: the kubelet probes readiness as soon as
    it sees the container run and sets the ticker anew there, `prober_manager.go UpdatePodStatus`); those before the
    container has run for the initial delay are skipped. The same function tells when a startup probe passes.
    """
    _check_probe(period_seconds, success_threshold, "success_threshold")
    if answers_seconds == math.inf:
        return math.inf
    base = started_seconds + phase_seconds
    tick = _first_tick(base, max(answers_seconds, started_seconds + initial_delay_seconds), period_seconds)
    return base + (tick + success_threshold - 1) * period_seconds


def liveness_kill_seconds(
    started_seconds: float,
    answers_seconds: float,
    initial_delay_seconds: float = 0.0,
    period_seconds: float = 10.0,
    failure_threshold: int = 3,
    timeout_seconds: float = 0.0,
    *,
    phase_seconds: float = 0.0,
) -> float | None:
    """When a liveness (or startup) probe kills a container that does not answer yet; None when it answers in time.

    The times are as in `readiness_seconds`; `answers_seconds` may be infinite. The kill comes with the
    failure_threshold-th failure in a row: the probe that began there fails only after `timeout_seconds` (0 when the
    connection is refused at once), and an app that answers within the timeout passes. A timeout longer than the period
    stretches it, for a worker runs one probe at a time.
    """
    _check_probe(period_seconds, failure_threshold, "failure_threshold")
    base = started_seconds + phase_seconds
    first = base + _first_tick(base, started_seconds + initial_delay_seconds, period_seconds) * period_seconds
    spacing = period_seconds if period_seconds > timeout_seconds else timeout_seconds
    killed = first + (failure_threshold - 1) * spacing + timeout_seconds
    return killed if killed < answers_seconds else None


def _check_probe(period_seconds: float, threshold: int, name: str) -> None:
    if not period_seconds > 0:
        raise ValueError(f"period_seconds must be above 0, got {period_seconds}")
    if threshold < 1:
        raise ValueError(f"{name} must be 1 or more, got {threshold}")
