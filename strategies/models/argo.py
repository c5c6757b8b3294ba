"""Argo Rollouts' replica arithmetic: how many pods of the canary and of the stable revision a weight stands for.

Pure functions of integers, called at every reconcile of a Monte Carlo; nothing is allocated but the answer. Weights are
Argo's own: 0..max_weight (100 unless the router says otherwise). A ReplicaSet is a pair `(spec, available)`. Every
answer is `(canary, stable)` in pods. `basic_weights` and `basic_counts` are public and stable.

Source: argoproj/argo-rollouts, `utils/replicaset/canary.go` @01240d81b, `rollout/canary.go` @737ca89b4 and
`rollout/replicaset.go` @4dc0a4e4b (`cleanupUnhealthyReplicas`); for `abort_weights` also `rollout/trafficrouting.go`
of v1.10.0 (@424f7fa87 follows the available stable pods, too, but knows no steps). What differs on purpose is listed in
docs/reference/replica-maths.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from strategies.models.kubernetes import Counts, IntOrPercent, resolve_fenceposts, resolve_pods

DEFAULT_MAX_WEIGHT: Final = 100
DEFAULT_ABORT_SCALE_DOWN_DELAY_SECONDS: Final = 30

# --- without a router: the weight is approximated by the number of pods -------------------------------------------


def basic_weights(
    replicas: int, weight: int, max_surge: IntOrPercent, max_weight: int = DEFAULT_MAX_WEIGHT
) -> tuple[int, int]:
    """The pods `(canary, stable)` whose ratio is nearest to `weight`: `approximateWeightedCanaryStableReplicaCounts`.

    Candidates are the weighted count rounded up and down, out of `replicas` and, if a surge is allowed, out of one pod
    more; the least distance in weight wins, the first of equals stays. A weight strictly between 0 and max_weight keeps
    a pod of each revision, unless there is one replica and no surge, or (upstream's gap) no surge and a weighted count
    of exactly replicas - 1/2: no candidate is left then and the canary gets no pod, as at 95 of 10.

    >>> basic_weights(10, 25, "25%")
    (3, 8)
    >>> basic_weights(1, 25, 0), basic_weights(1, 50, 0)
    ((0, 1), (1, 0))
    """
    if replicas == 0:
        return 0, 0
    surge = resolve_pods("maxSurge", max_surge, replicas, round_up=True)
    product = replicas * weight
    floor = product // max_weight
    ceiling = -(-product // max_weight)
    zero_allowed = weight == max_weight or weight == 0 or (replicas == 1 and surge == 0)
    floor_allowed = floor != 0 or zero_allowed
    # Ties and distances are decided in double precision, as upstream does: exact fractions would break ties otherwise.
    share = weight / max_weight

    canary, total, best = 0, replicas, -1.0  # the answer when no candidate is allowed
    if ceiling < replicas or zero_allowed:
        canary, best = ceiling, abs(ceiling * max_weight / replicas - weight)
    if floor_allowed and (replicas * share) % 1.0 != 0.5:
        distance = abs(floor * max_weight / replicas - weight)
        if best < 0 or distance < best:
            canary, best = floor, distance
    if surge > 0:
        more = replicas + 1
        distance = abs(ceiling * max_weight / more - weight)
        if best < 0 or distance < best:
            canary, total, best = ceiling, more, distance
        if floor_allowed and (more * share) % 1.0 != 0.5:
            distance = abs(floor * max_weight / more - weight)
            if distance < best:
                canary, total = floor, more
    return canary, total - canary


def basic_counts(
    replicas: int,
    weight: int,
    max_surge: IntOrPercent,
    max_unavailable: IntOrPercent,
    canary: Counts | None = (0, 0),
    stable: Counts | None = (0, 0),
    older: int = 0,
) -> tuple[int, int]:
    """One reconcile of a canary without traffic routing: the sizes `(canary, stable)` wanted now.

    `CalculateReplicaCountsForBasicCanary`. Up first: stable, then canary, within replicas + surge over all specs. Then
    down, one of the two only, while the available pods stay at replicas - unavailable or above; nothing goes down while
    ReplicaSets of other revisions still have pods (`older`: the sum of their specs). Which one goes down depends on the
    direction: towards fewer canaries the canary's own availability is not asked for, else the stable one's is not, so
    pods that crash-loop do not block their own removal.

    `stable=None` says that there is no stable ReplicaSet, or that it is the canary's own: the new revision is brought
    to `replicas` whatever the weight. `canary=None` says that there is no new ReplicaSet. ValueError for a surge or
    unavailable that is neither a number of pods nor a percentage.

    The controller applies the stable size first and the canary's in its next reconcile; asking again after each change
    comes to the same end.
    """
    surge, unavailable = resolve_fenceposts(max_surge, max_unavailable, replicas)
    canary_spec, canary_available = canary if canary is not None else (0, 0)
    if stable is None:
        stable_spec = stable_available = want_stable = 0
        want_canary = replicas
    else:
        stable_spec, stable_available = stable
        want_canary, want_stable = basic_weights(replicas, weight, surge)
    canary_goal, stable_goal = canary_spec, stable_spec
    most = replicas + surge

    room = most - older - canary_spec - stable_spec
    if room > 0 and stable_spec < want_stable:
        stable_goal = min(stable_spec + room, want_stable)
        room -= stable_goal - stable_spec
    if room > 0 and canary is not None and canary_spec < want_canary:
        canary_goal = min(canary_spec + room, want_canary)
    if older > 0:
        return canary_goal, stable_goal

    least = replicas - (unavailable if unavailable < replicas else replicas)
    # Pods of a ReplicaSet that is already shrinking count by its spec, or they would be spent twice.
    if canary is None or want_canary >= canary_spec:
        spare = min(canary_available, canary_spec) + stable_spec - least
        if spare > 0 and stable is not None:
            if stable_spec > want_stable:
                stable_goal = max(want_stable, stable_spec - spare)
            if canary is not None:
                stable_goal, canary_goal = _within_limits(
                    stable_goal, stable_available, canary_goal, canary_available, most, least
                )
    else:
        spare = canary_spec + min(stable_available, stable_spec) - least
        if spare > 0:
            canary_goal = max(want_canary, canary_spec - spare)
            if stable is not None:
                canary_goal, stable_goal = _within_limits(
                    canary_goal, canary_available, stable_goal, stable_available, most, least
                )
    return canary_goal, stable_goal


def _within_limits(
    drained: int, drained_available: int, other: int, other_available: int, most: int, least: int
) -> tuple[int, int]:
    """Bring the sizes `(drained, other)` under `most` in all without giving up `least` available pods.

    `adjustReplicaWithinLimits`: a surplus (after the surge was lowered, say) is taken from the other ReplicaSet, except
    for available pods that are still needed; what then remains over comes from the drained one.
    """
    other -= max(0, other + drained - most)
    needed = least - min(drained_available, drained) - min(other_available, other)
    given_up = other_available - other
    if needed > 0 and given_up > 0:
        other += min(given_up, needed)
    return drained - max(0, other + drained - most), other


def basic_settled(wanted: tuple[int, int], canary: Counts, stable: tuple[int, int], older_available: int = 0) -> bool:
    """A canary without a router has reached `wanted` (of `basic_counts`), so that its step may end.

    The canary must have its size and all of it available; of the stable ReplicaSet, given as `(spec, created pods)`,
    availability is not asked for; no pod of another revision may be available. `AtDesiredReplicaCountsForCanary`.
    """
    want_canary, want_stable = wanted
    return canary[0] == want_canary == canary[1] and stable[0] == want_stable == stable[1] and older_available == 0


def older_counts(replicas: int, unavailable: int, available: int, older: Sequence[Counts]) -> list[int]:
    """The sizes of the ReplicaSets of other revisions after one reconcile without a router; newest revision first.

    `available` counts all revisions. Pods that are not available go first, all of them: unlike Kubernetes' own
    `cleanupUnhealthyReplicas`, Argo's asks for no budget (they serve nobody, but the pods of `replicas` may be fewer
    then). Available ones go down to replicas - unavailable, newest revision first. `scaleDownOldReplicaSetsForCanary`.
    """
    sizes = [spec for spec, _ in older]
    for place, (spec, pods_available) in enumerate(older):
        if spec == 0:
            continue
        if pods_available > spec:
            return sizes  # an invalid request upstream, which ends the reconcile
        sizes[place] = pods_available
    spare = available - (replicas - (unavailable if unavailable < replicas else replicas))
    for place, size in enumerate(sizes):
        if spare <= 0:
            break
        cut = size if size < spare else spare
        sizes[place] = size - cut
        spare -= cut
    return sizes


# --- with a router: the weight is the router's, the pods follow it ------------------------------------------------


def weight_to_pods(replicas: int, weight: int, max_weight: int = DEFAULT_MAX_WEIGHT) -> int:
    """Pods for `weight` of the traffic, rounded up: `trafficWeightToReplicas`."""
    return -(-weight * replicas // max_weight)


def _at_least(pods: int, min_pods: int, replicas: int) -> int:
    """`minPodsPerReplicaSet`, itself never above `replicas`; a ReplicaSet of no pods stays so."""
    return max(pods, min(min_pods, replicas)) if pods else 0


def routed_counts(
    replicas: int, weight: int, max_weight: int = DEFAULT_MAX_WEIGHT, min_pods: int = 0
) -> tuple[int, int]:
    """`(canary, stable)` behind a router: the canary by its weight, the stable one whole.

    `CalculateReplicaCountsForTrafficRoutedCanary`; no surge, no unavailable. `min_pods` is minPodsPerReplicaSet.
    """
    return _at_least(weight_to_pods(replicas, weight, max_weight), min_pods, replicas), replicas


def scaled_counts(
    replicas: int,
    weight: int,
    *,
    scale_replicas: int | None = None,
    scale_weight: int | None = None,
    match_traffic_weight: bool = False,
    aborted: bool = False,
    abort_delay_seconds: int = DEFAULT_ABORT_SCALE_DOWN_DELAY_SECONDS,
    max_weight: int = DEFAULT_MAX_WEIGHT,
    min_pods: int = 0,
) -> tuple[int, int]:
    """`(canary, stable)` under the last `setCanaryScale` at or before the step, which stays until one that matches.

    `scale_replicas` is taken as it is, else `scale_weight` (it may exceed max_weight) stands in for the traffic
    `weight`; `match_traffic_weight` ends the setting. An abort ends it too, and the weight is 0, unless
    abortScaleDownDelaySeconds is 0: then the canary keeps its size. `GetCanaryReplicasOrWeight`, `UseSetCanaryScale`.
    """
    if aborted:
        weight = 0
    if not match_traffic_weight and not (aborted and abort_delay_seconds):
        if scale_replicas is not None:
            return scale_replicas, replicas
        if scale_weight is not None:
            weight = scale_weight
    return routed_counts(replicas, weight, max_weight, min_pods)


def dynamic_counts(
    replicas: int,
    weight: int,
    actual: tuple[int, int] | None = None,
    *,
    aborted: bool = False,
    scale_replicas: int | None = None,
    max_weight: int = DEFAULT_MAX_WEIGHT,
    min_pods: int = 0,
) -> tuple[int, int]:
    """`(canary, stable)` under dynamicStableScale, where the stable ReplicaSet shrinks as the canary's share grows.

    `actual` are the router's weights `(canary, stable)`, None when it has none yet. Stable keeps pods for its share
    now and for the one to come; in an abort so does the canary, and `weight` is the first of `abort_weights`. With
    `scale_replicas` (setCanaryScale) the canary has that size and the stable one is whole.
    """
    if scale_replicas is not None:
        canary, weight = scale_replicas, 0
    else:
        canary = _at_least(weight_to_pods(replicas, weight, max_weight), min_pods, replicas)
    stable = max(0, weight_to_pods(replicas, max_weight - weight, max_weight))
    if actual is not None:
        stable = max(stable, weight_to_pods(replicas, actual[1], max_weight))
        if aborted:
            canary = max(canary, weight_to_pods(replicas, actual[0], max_weight))
    return _at_least(canary, min_pods, replicas), _at_least(stable, min_pods, replicas)


def abort_weights(
    replicas: int,
    step_weights: Sequence[int],
    canary_available: int,
    stable_available: int,
    current_weight: int | None = None,
    max_weight: int = DEFAULT_MAX_WEIGHT,
) -> tuple[int, int]:
    """One reconcile of an abort under dynamicStableScale: `(weight to scale for, canary weight of the router)`.

    The way back climbs down the setWeight steps (`step_weights`, in the order of the steps, all of them): the last one
    whose pods are fewer than the canary's now, 0 when there is none (`GetDesiredCanaryWeight`). Traffic follows only
    when the stable pods for that step are available, and never rises (`calculateDesiredWeightOnAbortOrStableRollback`);
    so the rollback is as slow as the stable revision's start. `current_weight` is the router's, None when it has none.
    """
    desired = _abort_step(replicas, step_weights, canary_available, stable_available, max_weight)
    if replicas == 0:
        return desired, 0
    stable_weight = max_weight * stable_available // replicas
    expected = max(0, max_weight - stable_weight)
    if current_weight is None:
        return desired, max(expected, desired)
    if desired <= 0:
        return desired, min(expected, current_weight)
    if stable_weight < max_weight - desired:
        return desired, current_weight
    return desired, min(desired, current_weight)


def _abort_step(
    replicas: int, step_weights: Sequence[int], canary_available: int, stable_available: int, max_weight: int
) -> int:
    canary = max(replicas - stable_available, canary_available)
    for weight in reversed(step_weights):
        if weight_to_pods(replicas, weight, max_weight) < canary:
            return weight
    return 0
