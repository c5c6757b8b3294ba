"""What Argo's replica arithmetic keeps to, whatever the sizes."""

from __future__ import annotations

import itertools
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


@given(st.integers(2, 60), st.integers(1, 99), st.booleans())
def test_no_split_is_nearer(replicas: int, weight: int, surge: bool) -> None:
    # Of all splits that keep a pod of each revision, not only of the candidates that are tried.
    assume(surge or NO_CANDIDATE.get(replicas) != weight)
    splits = [(pods, total) for total in range(replicas, replicas + 1 + surge) for pods in range(1, total)]
    nearest = min(abs(Fraction(100 * pods, total) - weight) for pods, total in splits)
    canary, stable = argo.basic_weights(replicas, weight, int(surge))
    assert abs(Fraction(100 * canary, canary + stable) - weight) <= nearest + Fraction(1, 10**9)


@given(st.integers(1, 200), st.tuples(WEIGHT, WEIGHT).map(sorted), st.integers(0, 3))
def test_more_weight_is_never_fewer_canaries(replicas: int, weights: list[int], surge: int) -> None:
    assume(surge or NO_CANDIDATE.get(replicas) not in weights)
    (few, rest), (many, others) = (argo.basic_weights(replicas, weight, surge) for weight in weights)
    assert few <= many
    assert few * (many + others) <= many * (few + rest)  # nor a smaller share


@given(st.integers(0, 200), WEIGHT, st.integers(0, 3), st.integers(1, 10))
def test_the_scale_of_the_weights_does_not_matter(replicas: int, weight: int, surge: int, power: int) -> None:
    scale = 2**power  # exact in floating point, so that ties stay ties
    assert argo.basic_weights(replicas, scale * weight, surge, scale * 100) == argo.basic_weights(
        replicas, weight, surge
    )


def test_coarse_weights_with_a_quarter_of_surge() -> None:
    # Asked for 10 %: below 9 replicas the nearest is one canary beside all the others, at 10 it is one of them.
    counts = {replicas: argo.basic_weights(replicas, 10, "25%") for replicas in (1, 2, 3, 4, 5, 10)}
    assert counts == {1: (1, 1), 2: (1, 2), 3: (1, 3), 4: (1, 4), 5: (1, 5), 10: (1, 9)}


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
    if older:  # only up, stable first, as far as the surge allows
        want_canary, want_stable = argo.basic_weights(replicas, weight, up)
        room = max(0, replicas + up - before)
        assert counts[1] == max(stable[0], min(want_stable, stable[0] + room))
        assert counts[0] == max(canary[0], min(want_canary, canary[0] + room - counts[1] + stable[0]))
    available = min(canary) + min(stable)
    kept = min(canary[1], counts[0]) + min(stable[1], counts[1])
    least = replicas - max_unavailable(down, replicas)
    # A ReplicaSet that is drained may be wholly unavailable, so its pods go first; available ones only down to `least`.
    assert kept >= min(available, least)


def _goes_as_far_as_it_may(
    replicas: int, weight: int, surge: int, unavailable: int, canary: tuple[int, int], stable: tuple[int, int]
) -> None:
    """What one reconcile does without older pods, told by what it leaves; `(surge, unavailable)` are not both 0."""
    want_canary, want_stable = argo.basic_weights(replicas, weight, surge)
    after = argo.basic_counts(replicas, weight, surge, unavailable, canary, stable)
    # Up: stable first, then the canary, until both have their size or the surge is used.
    room = max(0, replicas + surge - canary[0] - stable[0])
    grown_stable = max(stable[0], min(want_stable, stable[0] + room))
    grown_canary = max(canary[0], min(want_canary, canary[0] + room - grown_stable + stable[0]))
    # Down: one of the two, by what all its pods and the available ones of the other have above the least.
    least = replicas - max_unavailable(unavailable, replicas)
    increasing = canary[0] <= want_canary
    drained, goal, want = (stable, grown_stable, want_stable) if increasing else (canary, grown_canary, want_canary)
    other, other_goal = (canary, grown_canary) if increasing else (stable, grown_stable)
    after_other, after_drained = after if increasing else after[::-1]
    spare = min(other) + drained[0] - least  # what a status counts beyond the spec is going anyway
    if spare <= 0:
        assert after == (grown_canary, grown_stable)
        return
    way_down = goal if drained[0] <= want else max(want, drained[0] - spare)
    # A surplus (the surge or the replicas were lowered) is taken from the other one, but for as many available pods as
    # are needed; for those the drained one pays.
    ready = min(drained[1], way_down)
    spared = after_other - (other_goal - max(0, other_goal + way_down - replicas - surge))
    kept = ready + min(other[1], after_other)
    assert kept >= min(ready + other[1], least)
    assert spared == 0 or (spared > 0 and kept <= least)
    assert after_drained == way_down - max(0, after_other + way_down - replicas - surge)


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_every_small_reconcile_goes_as_far_as_it_may(replicas: int) -> None:
    states = [(spec, available) for spec in range(6) for available in range(spec + 3)]
    limits = [(surge, unavailable) for surge in range(3) for unavailable in range(3) if surge or unavailable]
    for (surge, unavailable), weight in itertools.product(limits, (0, 50, 100)):
        for canary, stable in itertools.product(states, states):
            _goes_as_far_as_it_may(replicas, weight, surge, unavailable, canary, stable)


@given(REPLICAS, WEIGHT, LIMIT, LIMIT, replica_set(lag=2), replica_set(lag=2))
def test_a_reconcile_goes_as_far_as_it_may(
    replicas: int,
    weight: int,
    surge: int | str,
    unavailable: int | str,
    canary: tuple[int, int],
    stable: tuple[int, int],
) -> None:
    _goes_as_far_as_it_may(replicas, weight, *resolve_fenceposts(surge, unavailable, replicas), canary, stable)


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


@pytest.mark.parametrize(("older_available", "settled"), [(0, True), (1, False)])
def test_an_available_pod_of_another_revision_keeps_the_step(older_available: int, settled: bool) -> None:
    assert argo.basic_settled((2, 2), (2, 2), (2, 2), older_available) is settled


# --- older revisions -------------------------------------------------------------------------------------------------


@given(REPLICAS, st.integers(0, 12), st.integers(0, 40), st.lists(replica_set(10), max_size=4))
def test_older_pods_go_within_the_budget_but_for_the_unavailable(
    replicas: int, unavailable: int, others: int, older: list[tuple[int, int]]
) -> None:
    available = others + sum(pods for _, pods in older)
    sizes = argo.older_counts(replicas, unavailable, available, older)
    # All that are not available go, which is where Argo has no bound; available ones only down to the minimum.
    assert all(after <= pods for after, (_, pods) in zip(sizes, older, strict=True))
    least = replicas - max_unavailable(unavailable, replicas)
    assert others + sum(sizes) >= min(available, least)
    assert sum(sizes) == max(0, available - others - max(0, available - least))  # ... and all of these
    for place, after in enumerate(sizes):
        assert after == older[place][1] or not any(sizes[:place])  # the newest has gone before the next loses any


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


@given(REPLICAS, st.tuples(WEIGHT, WEIGHT).map(sorted), st.integers(0, 50))
def test_more_weight_is_more_canaries_and_less_stable(replicas: int, weights: list[int], min_pods: int) -> None:
    fewer, more = (argo.routed_counts(replicas, weight, min_pods=min_pods) for weight in weights)
    assert fewer[0] <= more[0]
    (canary, stable), after = (argo.dynamic_counts(replicas, weight, min_pods=min_pods) for weight in weights)
    assert canary <= after[0]
    assert stable >= after[1]
    assert sum(argo.dynamic_counts(replicas, weights[0])) in (replicas, replicas + 1)  # each side is rounded up


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


@given(REPLICAS, st.lists(WEIGHT, max_size=6), st.data())
def test_a_dynamic_abort_moves_traffic_onto_stable_pods_that_are_there(
    replicas: int, step_weights: list[int], data: st.DataObject
) -> None:
    canary, stable = data.draw(st.integers(0, replicas)), data.draw(st.integers(0, replicas))
    current = data.draw(WEIGHT)
    desired, traffic = argo.abort_weights(replicas, step_weights, canary, stable, current)
    pods = max(canary, replicas - stable)
    below = [weight for weight in step_weights if -(-weight * replicas // 100) < pods]
    assert desired == (below[-1] if below else 0)
    carried = 100 * stable // replicas
    assert traffic == current or 100 - traffic <= carried
    # Down to the step once its stable pods are there; below the last step, as far as those that are there carry it.
    goal = 100 - carried if desired == 0 else desired if carried >= 100 - desired else current
    assert traffic == min(current, goal)


def test_a_dynamic_abort_waits_for_stable_pods() -> None:
    # The last step below the canary's pods counts, not the least one.
    assert argo.abort_weights(10, [20, 40, 60], 8, 2, 80) == (60, 80)
    # 60 % on 6 canaries; the step below is 20 %, for which 8 stable pods must be available first.
    assert argo.abort_weights(10, [20, 60], 6, 4, 60) == (20, 60)
    assert argo.abort_weights(10, [20, 60], 6, 7, 60) == (20, 60)
    assert argo.abort_weights(10, [20, 60], 6, 8, 60) == (20, 20)
    assert argo.abort_weights(10, [20, 60], 2, 8, 20) == (0, 20)
    assert argo.abort_weights(10, [20, 60], 2, 9, 20) == (0, 10)
    # 3 of 5 stable pods carry 60 %, enough for the step of 50; without steps 1 of 5 takes over its 20 %.
    assert argo.abort_weights(5, [50], 4, 3, 100) == (50, 50)
    assert argo.abort_weights(5, [], 4, 1, 100) == (0, 80)
    assert argo.abort_weights(0, [20], 0, 0, 20) == (0, 0)
    assert argo.abort_weights(10, [], 0, 4) == (0, 60)
