"""What Argo's replica arithmetic keeps to, whatever the sizes."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from strategies.models import argo
from strategies.models.kubernetes import max_unavailable, resolve_fenceposts

REPLICAS = st.integers(1, 40)
WEIGHT = st.integers(0, 100)
LIMIT = st.one_of(st.integers(0, 12), st.integers(0, 100).map(lambda percent: f"{percent}%"))
NO_CANDIDATE = {2: 75, 5: 90, 10: 95, 25: 98, 50: 99}  #: replicas: weight at which upstream's list is empty


@st.composite
def replica_set(draw: st.DrawFn, most: int = 30, lag: int = 0) -> tuple[int, int]:
    """(spec, available); with `lag` the status may still count that many pods above the spec."""
    spec = draw(st.integers(0, most))
    return spec, draw(st.integers(0, spec + lag))


# --- the nearest weight --------------------------------------------------------------------------------------------


@given(st.integers(0, 200), WEIGHT, st.integers(0, 3))
def test_the_sum_is_the_replicas_or_one_more(replicas: int, weight: int, surge: int) -> None:
    canary, stable = argo.basic_weights(replicas, weight, surge)
    assert min(canary, stable) >= 0
    assert canary + stable in ({replicas, replicas + 1} if surge and replicas else {replicas})


@given(st.integers(2, 200), st.integers(1, 99), st.integers(0, 3))
def test_both_revisions_keep_a_pod(replicas: int, weight: int, surge: int) -> None:
    assume(surge or NO_CANDIDATE.get(replicas) != weight)
    canary, stable = argo.basic_weights(replicas, weight, surge)
    assert min(canary, stable) >= 1


@pytest.mark.parametrize(("replicas", "weight"), NO_CANDIDATE.items())
def test_upstream_gap_no_candidate_at_replicas_less_a_half(replicas: int, weight: int) -> None:
    # The count rounded up is all replicas, the one rounded down counts as tied: the controller falls back to no canary.
    assert argo.basic_weights(replicas, weight, 0) == (0, replicas)
    assert argo.basic_weights(replicas, weight, 1)[0] > 0


@given(st.integers(2, 100), st.integers(1, 99))
def test_a_surge_never_makes_the_weight_worse(replicas: int, weight: int) -> None:
    assume(NO_CANDIDATE.get(replicas) != weight)

    def distance(surge: int) -> Fraction:
        canary, stable = argo.basic_weights(replicas, weight, surge)
        return abs(Fraction(100 * canary, canary + stable) - weight)

    assert distance(1) <= distance(0) + Fraction(1, 10**9)


@given(st.integers(1, 100), WEIGHT, LIMIT)
def test_a_surge_in_per_cent_is_the_same_surge(replicas: int, weight: int, surge: int | str) -> None:
    pods, _ = resolve_fenceposts(surge, 1, replicas)
    assert argo.basic_weights(replicas, weight, surge) == argo.basic_weights(replicas, weight, pods)


# --- one reconcile without a router --------------------------------------------------------------------------------


@given(REPLICAS, WEIGHT, LIMIT, LIMIT, replica_set(lag=2), replica_set(lag=2), st.integers(0, 5))
def test_a_reconcile_keeps_to_its_limits(
    replicas: int,
    weight: int,
    surge: int | str,
    unavailable: int | str,
    canary: tuple[int, int],
    stable: tuple[int, int],
    older: int,
) -> None:
    up, down = resolve_fenceposts(surge, unavailable, replicas)
    counts = argo.basic_counts(replicas, weight, surge, unavailable, canary, stable, older)
    assert min(counts) >= 0
    before = canary[0] + stable[0] + older
    assert sum(counts) + older <= max(before, replicas + up)
    if older:
        assert counts[0] >= canary[0]
        assert counts[1] >= stable[0]
    available = min(canary) + min(stable)
    kept = min(canary[1], counts[0]) + min(stable[1], counts[1])
    least = replicas - max_unavailable(down, replicas)
    # A ReplicaSet that is drained may be wholly unavailable, so its pods go first; available ones only down to `least`.
    assert kept >= min(available, least)


@given(REPLICAS, WEIGHT, LIMIT, LIMIT, st.integers(0, 60), st.integers(0, 60), st.booleans())
def test_instant_pods_settle_at_the_nearest_weight(
    replicas: int, weight: int, surge: int | str, unavailable: int | str, canary: int, stable: int, one_by_one: bool
) -> None:
    up, _ = resolve_fenceposts(surge, unavailable, replicas)
    assume(canary + stable <= replicas + up)
    for _ in range(6 * replicas + 6):
        wanted = argo.basic_counts(replicas, weight, surge, unavailable, (canary, canary), (stable, stable))
        if wanted == (canary, stable):
            break
        if one_by_one and wanted[1] != stable:  # the controller's order: stable, and the canary a reconcile later
            stable = wanted[1]
        else:
            canary, stable = wanted
    else:
        pytest.fail(f"no fixpoint: canary {canary}, stable {stable}")
    assert (canary, stable) == argo.basic_weights(replicas, weight, up)
    assert argo.basic_settled(wanted, (canary, canary), (stable, stable))


@given(REPLICAS, LIMIT, LIMIT)
def test_an_abort_of_canaries_that_crash_costs_no_capacity(
    replicas: int, surge: int | str, unavailable: int | str
) -> None:
    canary, stable = argo.basic_weights(replicas, 50, surge)
    dead = canary
    for _ in range(6 * replicas + 6):
        dead, stable = argo.basic_counts(replicas, 0, surge, unavailable, (dead, 0), (stable, stable))
    assert (dead, stable) == (0, replicas)


def test_one_limit_names_the_field() -> None:
    with pytest.raises(ValueError, match=r"maxUnavailable: expected .*, got 'half'"):
        argo.basic_counts(10, 20, 1, "half", (0, 0), (10, 10))
    with pytest.raises(ValueError, match=r"maxSurge: expected .*, got -1"):
        argo.basic_weights(10, 20, -1)


@pytest.mark.parametrize(
    ("canary", "stable", "older_available", "settled"),
    [  # argo-rollouts utils/replicaset/canary_test.go:1182 TestAtDesiredReplicaCountsForCanary, N = 4
        ((2, 2), (2, 2), 0, True),
        ((2, 1), (2, 2), 0, False),
        ((2, 2), (2, 3), 0, False),
        ((2, 2), (2, 2), 1, False),
    ],
)
def test_settled(canary: tuple[int, int], stable: tuple[int, int], older_available: int, settled: bool) -> None:
    wanted = argo.basic_counts(4, 50, 1, 1, canary, (stable[0], 2))
    assert argo.basic_settled(wanted, canary, stable, older_available) is settled


# --- older revisions -------------------------------------------------------------------------------------------------


@given(REPLICAS, st.integers(0, 12), st.integers(0, 40), st.lists(replica_set(10), max_size=4))
def test_older_pods_go_within_the_budget_but_for_the_unavailable(
    replicas: int, unavailable: int, others: int, older: list[tuple[int, int]]
) -> None:
    available = others + sum(pods for _, pods in older)
    sizes = argo.older_counts(replicas, unavailable, available, older)
    # All that are not available go, which is where Argo has no bound; available ones only down to the minimum.
    assert all(after <= pods for after, (_, pods) in zip(sizes, older, strict=True))
    assert others + sum(sizes) >= min(available, replicas - max_unavailable(unavailable, replicas))


def test_older_newest_first_and_all_unavailable() -> None:
    assert argo.older_counts(10, 0, 12, [(3, 3), (5, 1)]) == [1, 1]
    assert argo.older_counts(10, 0, 0, [(5, 0)]) == [0]  # Kubernetes would keep them: no budget
    assert argo.older_counts(10, 0, 20, [(2, 3), (5, 1)]) == [2, 5]  # a status that lags ends the reconcile


# --- with a router ---------------------------------------------------------------------------------------------------


@given(REPLICAS, WEIGHT, st.integers(0, 50))
def test_routed_canary_carries_its_weight_and_stable_stays(replicas: int, weight: int, min_pods: int) -> None:
    canary, stable = argo.routed_counts(replicas, weight, min_pods=min_pods)
    assert stable == replicas
    assert Fraction(weight * replicas, 100) <= canary <= replicas
    assert (canary == 0) == (weight == 0)
    assert weight == 0 or canary >= min(min_pods, replicas)


@given(REPLICAS, WEIGHT, WEIGHT)
def test_dynamic_stable_carries_the_traffic_it_has_and_gets(replicas: int, weight: int, actual: int) -> None:
    canary, stable = argo.dynamic_counts(replicas, weight, (actual, 100 - actual))
    assert stable * 100 >= replicas * max(100 - weight, 100 - actual)
    assert canary * 100 >= replicas * weight


def test_dynamic_with_a_set_scale() -> None:
    assert argo.dynamic_counts(10, 50, (50, 50), scale_replicas=3) == (3, 10)
    assert argo.dynamic_counts(4, 200) == (8, 0)  # a scale weight above 100 leaves no stable pod to want


@given(REPLICAS, st.lists(WEIGHT, max_size=6), WEIGHT)
def test_a_dynamic_abort_comes_down_to_zero(replicas: int, step_weights: list[int], weight: int) -> None:
    canary, stable = argo.dynamic_counts(replicas, weight, (weight, 100 - weight))
    seen = [weight]
    for _ in range(4 * len(step_weights) + 8):
        desired, traffic = argo.abort_weights(replicas, step_weights, canary, stable, seen[-1])
        seen.append(traffic)
        canary, stable = argo.dynamic_counts(replicas, desired, (traffic, 100 - traffic), aborted=True)
    assert seen[-1] == 0
    assert seen == sorted(seen, reverse=True)
    assert (canary, stable) == (0, replicas)


def test_a_dynamic_abort_waits_for_stable_pods() -> None:
    # The last step below the canary's pods counts, not the least one.
    assert argo.abort_weights(10, [20, 40, 60], 8, 2, 80) == (60, 80)
    # 60 % on 6 canaries; the step below is 20 %, for which 8 stable pods must be available first.
    assert argo.abort_weights(10, [20, 60], 6, 4, 60) == (20, 60)
    assert argo.abort_weights(10, [20, 60], 6, 7, 60) == (20, 60)
    assert argo.abort_weights(10, [20, 60], 6, 8, 60) == (20, 20)
    assert argo.abort_weights(10, [20, 60], 2, 8, 20) == (0, 20)
    assert argo.abort_weights(10, [20, 60], 2, 9, 20) == (0, 10)
    assert argo.abort_weights(0, [20], 0, 0, 20) == (0, 0)
    assert argo.abort_weights(10, [], 0, 4) == (0, 60)
