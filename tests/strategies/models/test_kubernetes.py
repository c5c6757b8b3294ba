"""What a rolling update keeps to, whatever the sizes; and when a kubelet says Ready or kills."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.models import kubernetes

REPLICAS = st.integers(1, 40)
LIMIT = st.one_of(st.integers(0, 40), st.integers(0, 100).map(lambda percent: f"{percent}%"))


@st.composite
def replica_set(draw: st.DrawFn, most: int = 30) -> tuple[int, int]:
    spec = draw(st.integers(0, most))
    return spec, draw(st.integers(0, spec))


# --- rounding ----------------------------------------------------------------------------------------------------


@given(LIMIT, LIMIT, st.integers(0, 10_000))
def test_something_can_always_move(surge: int | str, unavailable: int | str, replicas: int) -> None:
    up, down = kubernetes.resolve_fenceposts(surge, unavailable, replicas)
    assert min(up, down) >= 0
    assert up + down >= 1


@given(st.integers(0, 300), st.integers(0, 10_000))
def test_surge_is_rounded_up_and_unavailable_down(percent: int, replicas: int) -> None:
    surge, unavailable = kubernetes.resolve_fenceposts(f"{percent}%", f"{percent}%", replicas)
    assert surge == math.ceil(percent * replicas / 100)
    assert unavailable == math.floor(percent * replicas / 100) or (surge, unavailable) == (0, 1)


@pytest.mark.parametrize("bad", ["25", "12.5%", "%", "", "+5%", "-5%", " 5%", "5 %", "٥%", "1_0%", "9" * 20 + "%"])
def test_what_is_not_pods_nor_a_percentage_is_refused(bad: str) -> None:
    with pytest.raises(ValueError) as caught:
        kubernetes.resolve_fenceposts(bad, 0, 10)
    assert str(caught.value) == (
        f'maxSurge: expected a whole number of pods, 0 or more, or a whole percentage such as "25%", got {bad!r}'
    )


@pytest.mark.parametrize("bad", [-1, True, 1.0, None, [1]])
def test_other_types_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="maxUnavailable: expected"):
        kubernetes.resolve_fenceposts(1, bad, 10)  # type: ignore[arg-type]


# --- the rolling update --------------------------------------------------------------------------------------------


@given(REPLICAS, LIMIT, LIMIT, replica_set(), st.lists(replica_set(), max_size=4))
def test_a_sync_keeps_to_its_limits(
    replicas: int, surge: int | str, unavailable: int | str, new: tuple[int, int], old: list[tuple[int, int]]
) -> None:
    up, down = kubernetes.resolve_fenceposts(surge, unavailable, replicas)
    size, sizes = kubernetes.rolling_sync(replicas, up, down, new, old)
    before = new[0] + sum(spec for spec, _ in old)
    assert size + sum(sizes) <= max(before, replicas + up)
    assert all(0 <= after <= spec for after, (spec, _) in zip(sizes, old, strict=True))
    if size != new[0]:  # one or the other, never both
        assert sizes == [spec for spec, _ in old]
    if size >= new[0]:
        # The ReplicaSet controller deletes what is not available first, so this many available pods survive.
        available = new[1] + sum(pods for _, pods in old)
        kept = new[1] + sum(min(pods, after) for (_, pods), after in zip(old, sizes, strict=True))
        assert kept >= min(available, replicas - kubernetes.max_unavailable(down, replicas))


@given(
    st.integers(1, 20),
    st.integers(0, 5),
    st.integers(0, 20),
    st.none() | replica_set(25),
    st.lists(replica_set(12), max_size=3),
)
def test_a_sync_goes_as_far_as_it_may(
    replicas: int, surge: int, unavailable: int, new: tuple[int, int] | None, old: list[tuple[int, int]]
) -> None:
    up, down = kubernetes.resolve_fenceposts(surge, unavailable, replicas)
    size, sizes = kubernetes.rolling_sync(replicas, up, down, new, old)
    spec, available = new or (0, 0)
    total = sum(pods for pods, _ in old)
    # The new one: to its size at once when it is too large, else as far as the surge allows.
    assert size == (replicas if spec > replicas else min(replicas, spec + max(0, replicas + up - total - spec)))
    if new is not None and size != spec:
        assert sizes == [pods for pods, _ in old]
        return
    # The old ones: what the available new pods leave of the least that must stay.
    least = replicas - kubernetes.max_unavailable(down, replicas)
    assert sum(sizes) == min(total, max(0, least - available))
    lost = [after < ready for after, (_, ready) in zip(sizes, old, strict=True)]
    unready = [after > ready for after, (_, ready) in zip(sizes, old, strict=True)]
    assert not (any(lost) and any(unready))  # no available pod goes before the last one that is not
    for place, (after, (pods, _)) in enumerate(zip(sizes, old, strict=True)):
        assert after == pods or not any(unready[:place])  # the oldest first, of those ...
        assert not lost[place] or not any(sizes[:place])  # ... and of these


@given(REPLICAS, LIMIT, LIMIT, st.lists(st.integers(0, 30), max_size=4), st.booleans())
def test_instant_pods_bring_it_to_its_end(
    replicas: int, surge: int | str, unavailable: int | str, old: list[int], created: bool
) -> None:
    up, down = kubernetes.resolve_fenceposts(surge, unavailable, replicas)
    size: int | None = 0 if created else None
    for _ in range(4 * (replicas + sum(old)) + 4):
        new = None if size is None else (size, size)
        after, sizes = kubernetes.rolling_sync(replicas, up, down, new, [(pods, pods) for pods in old])
        if new is not None and (after, sizes) == (size, old):
            break
        assert after + sum(sizes) <= max(replicas + up, (size or 0) + sum(old))
        size, old = after, sizes
    else:
        pytest.fail(f"no fixpoint: new {size}, old {old}")
    assert (size, sum(old)) == (replicas, 0)
    assert kubernetes.deployment_complete(replicas, size, size, size)
    assert kubernetes.rolling_sync(replicas, up, down, (size, size), [(0, 0)] * len(old)) == (size, [0] * len(old))


@given(REPLICAS, LIMIT, LIMIT)
def test_new_pods_that_never_become_available_stall_it(replicas: int, surge: int | str, unavailable: int | str) -> None:
    up, down = kubernetes.resolve_fenceposts(surge, unavailable, replicas)
    new, old = (0, 0), [(replicas, replicas)]
    for _ in range(3 * replicas + 3):
        size, (left,) = kubernetes.rolling_sync(replicas, up, down, new, old)
        new, old = (size, 0), [(left, left)]
    lost = kubernetes.max_unavailable(down, replicas)
    assert old == [(replicas - lost, replicas - lost)]
    assert new == (min(replicas, up + lost), 0)


def test_creation_and_the_first_scale_down_share_a_sync() -> None:
    assert kubernetes.rolling_sync(10, 3, 2, None, [(10, 10)]) == (3, [8])
    # ... while a ReplicaSet that exists (an undo goes back to one) is only scaled up by that sync
    assert kubernetes.rolling_sync(10, 3, 2, (0, 0), [(10, 10)]) == (3, [10])


def test_the_oldest_goes_first_and_the_unavailable_before() -> None:
    # minimum 8; budget 4 + 10 + 2 - 8 - 0 = 8: both unavailable pods of the younger set, then 6 available ones
    assert kubernetes.old_replicas(10, 2, (2, 2), [(4, 4), (10, 8)]) == [0, 6]


def test_a_status_that_lags_ends_the_sync_of_the_old() -> None:
    assert kubernetes.old_replicas(10, 2, (10, 10), [(5, 3), (2, 4), (3, 3)]) == [3, 2, 3]
    # ... unless the budget was used up before; then what it counts may go, of the oldest
    assert kubernetes.old_replicas(4, 0, (1, 1), [(4, 0), (2, 4)]) == [0, 2]


# --- the kubelet ---------------------------------------------------------------------------------------------------


def test_a_long_run_begins_the_back_off_anew() -> None:
    delays = []
    restarts = 0
    for ran in (1, 1, 1, 700, 1, 1):
        delay = kubernetes.crash_loop_delay_seconds(restarts, ran)
        restarts = 1 if ran > kubernetes.CRASH_LOOP_RESET_SECONDS else restarts + 1
        delays.append(delay)
    assert delays == [0, 10, 20, 0, 10, 20]


def test_negative_restarts_are_refused() -> None:
    with pytest.raises(ValueError, match="restarts must be 0 or more, got -1"):
        kubernetes.crash_loop_delay_seconds(-1)


@pytest.mark.parametrize(
    ("answers", "delay", "period", "threshold", "expected"),
    [
        (0, 0, 10, 1, 0),  # the first probe is at once
        (0.1, 0, 10, 1, 10),
        (10, 0, 10, 1, 10),  # at the tick itself it answers
        (12, 0, 5, 3, 25),  # ticks 15, 20, 25
        (2, 7, 5, 1, 10),  # tick 5 is skipped: running less than the initial delay
        (2, 10, 5, 1, 10),
        (0.3, 0, 0.1, 1, 0.30000000000000004),
        (3 * 0.1, 0, 0.1, 1, 3 * 0.1),  # the quotient is a little above 3, the tick is not
    ],
)
def test_ready_at_the_tick(answers: float, delay: float, period: float, threshold: int, expected: float) -> None:
    assert kubernetes.readiness_seconds(0, answers, delay, period, threshold) == expected
    # the same, told on a clock on which the container started at 1000
    shifted = kubernetes.readiness_seconds(1000, 1000 + answers, delay, period, threshold)
    assert shifted == pytest.approx(1000 + expected)


def test_never_ready() -> None:
    assert kubernetes.readiness_seconds(5, math.inf) == math.inf


@pytest.mark.parametrize(
    ("answers", "delay", "period", "threshold", "timeout", "expected"),
    [
        (math.inf, 0, 10, 3, 0, 20),
        (math.inf, 0, 10, 3, 1, 21),  # hangs: the third failure is known after the timeout
        (20, 0, 10, 3, 0, None),  # answers at the third tick
        (20.5, 0, 10, 3, 0, 20),
        (20.5, 0, 10, 3, 1, None),  # answers within the third probe's timeout
        (21.5, 0, 10, 3, 1, 21),
        (math.inf, 15, 10, 3, 0, 40),  # ticks 20, 30, 40
        (math.inf, 0, 10, 1, 0, 0),
        (math.inf, 0, 1, 3, 3, 9),  # one probe at a time
    ],
)
def test_killed_at_the_tick(
    answers: float, delay: float, period: float, threshold: int, timeout: float, expected: float | None
) -> None:
    assert kubernetes.liveness_kill_seconds(0, answers, delay, period, threshold, timeout) == expected


@given(
    st.integers(0, 600),
    st.integers(0, 90),
    st.integers(1, 30),
    st.integers(1, 6),
    st.floats(0, 0.99),
)
def test_probes_agree_with_a_walk_over_the_ticks(
    answers: int, delay: int, period: int, threshold: int, share: float
) -> None:
    phase = math.floor(share * period)
    ready = kill = None
    successes = failures = 0
    for second in range(phase, 10_000, period):
        if second < delay:
            continue
        successes, failures = (successes + 1, 0) if second >= answers else (0, failures + 1)
        if failures == threshold and kill is None:
            kill = second
        if successes == threshold:
            ready = second
            break
    assert kubernetes.readiness_seconds(0, answers, delay, period, threshold, phase_seconds=phase) == ready
    assert kubernetes.liveness_kill_seconds(0, answers, delay, period, threshold, phase_seconds=phase) == kill


@pytest.mark.parametrize(("period", "threshold", "text"), [(0, 1, "period_seconds"), (10, 0, "threshold")])
def test_impossible_probes_are_refused(period: float, threshold: int, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        kubernetes.readiness_seconds(0, 0, 0, period, threshold)
    with pytest.raises(ValueError, match=text):
        kubernetes.liveness_kill_seconds(0, 0, 0, period, threshold)
