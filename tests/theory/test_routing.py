"""Who gets which share of the requests: weights and their lag, connections that stay, pods without a router."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import CONSTANT_STARTUP, chunk, events, hold, poisson_within, scenario, times

from strategies.effects import (
    AwaitAvailable,
    AwaitComplete,
    Fate,
    Outcome,
    Program,
    Promote,
    Release,
    RollTo,
    Scale,
    SetWeight,
    Wait,
)

QUIET = {"errorRatio": 0, "startup": CONSTANT_STARTUP, "endpointLag": [1, 1]}


def shares(log) -> list[tuple[float, float]]:  # type: ignore[no-untyped-def]
    """(since when, canary's share)."""
    return [(event.at_seconds, event.what["canary_share"]) for event in log if event.kind == "traffic"]


def weights(*pairs: tuple[float, float]):  # type: ignore[no-untyped-def]
    """A canary in service from 40 s on, then weights, each followed by a wait."""

    def program(release: Release) -> Program:
        yield Scale("canary", release.replicas)
        yield AwaitAvailable("canary", release.replicas)
        yield Wait(40 - 32)
        for weight, seconds in pairs:
            yield SetWeight(weight)
            yield Wait(seconds)
        yield Wait(1e9)

    return program


def test_the_same_weight_again_moves_no_connection() -> None:
    """Asked for every second, a weight decays as if it had been asked for once; so does a way by another weight."""
    of = scenario(service=QUIET, router={"lag": 0, "connectionLife": 100}, horizon=3000)
    totals = []
    for pairs in (
        [(0.6, 1000), (0.1, 1)],
        [(0.6, 1000), *[(0.1, 1)] * 60],
        [(0.6, 1000), (0.3, 0.001), (0.1, 1)],
    ):
        tested = chunk(of, weights(*pairs), replications=1)
        tested.run()
        totals.append(float(tested.plane.total[0, 1].sum()))
    assert totals[1] == pytest.approx(totals[0], abs=1e-6)
    assert totals[2] == pytest.approx(totals[0], rel=1e-4)


@settings(max_examples=40)
@given(
    lag=st.floats(0, 20).map(lambda x: round(x, 3)),
    pairs=st.lists(
        st.tuples(st.integers(0, 100), st.floats(0.5, 60).map(lambda x: round(x, 3))), min_size=1, max_size=5
    ),
)
def test_each_weight_takes_effect_after_the_lag(lag: float, pairs: list[tuple[int, float]]) -> None:
    """Also when the next one is asked for before the one before has taken effect."""
    log = events(scenario(service=QUIET, router={"lag": lag}), weights(*((w / 100, s) for w, s in pairs)))[0]
    asked = times(log, "set_weight")
    assert times(log, "weight_effective") == pytest.approx([at + lag for at in asked], abs=2e-6)
    assert [e.what["weight"] for e in log if e.kind == "weight_effective"] == [w / 100 for w, _ in pairs]
    assert shares(log)[-1][1] == pairs[-1][0] / 100


@pytest.mark.parametrize("life", [10, 120])
@pytest.mark.parametrize(("old", "new"), [(0.5, 0.0), (1.0, 0.0), (0.2, 0.8), (0.0, 1.0)])
def test_connections_that_stay(life: float, old: float, new: float) -> None:
    """What the canary gets beside its new weight is (old - new) x mean life x rate, within 0.2 %; it decays in steps."""
    of = scenario(service=QUIET, router={"lag": 0, "connectionLife": life}, horizon=4000)
    tested = chunk(of, weights((old, 2000), (new, 1)), replications=2)
    tested.run()
    got = tested.plane.total[0, 1].sum()
    rise = old * (1960 + 40 - life)  # the first switch, from 0, decays too
    want = 100 * (rise + new * (4000 - 2040) + (old - new) * life)
    assert abs(got - want) <= 0.002 * 100 * life * max(abs(old - new), old)
    canary = [(since / 1e6, flow[2]) for since, _, flow, _ in tested.lanes[0].segments]
    seen = [share for since, share in canary if since >= 2040]
    assert seen == sorted(seen, reverse=old > new)
    for since, share in canary:
        if 2040 < since < 2040 + 3 * life:
            # a step holds the mean of the curve over a quarter life, so its start is above it by at most 1/8 life
            curve = new + (old - new) * np.exp(-(since - 2040) / life)
            assert abs(share - curve) <= abs(curve - new) * 0.13


@pytest.mark.parametrize("policy", ["fail", "uncounted", "fallback"])
def test_a_weight_without_pods_behind_it(policy: str) -> None:
    """fail, uncounted: its share is answered 503 by the router; fallback: the other revision answers."""

    def program(release: Release) -> Program:
        yield SetWeight(0.3)
        yield Wait(1e9)

    of = scenario(horizon=1001, service=QUIET, router={"noEndpoints": policy})
    tested = chunk(of, program)
    rows = tested.run()
    failed = rows["failed_requests"].sum()
    assert failed == 0 if policy == "fallback" else poisson_within(failed, 256 * 30 * 1000)


def test_fallback_from_a_stable_revision_without_pods() -> None:
    def program(release: Release) -> Program:
        yield Scale("canary", 2)
        yield AwaitAvailable("canary", 2)
        yield Wait(5)
        yield SetWeight(0.5)
        yield Wait(5)
        yield Scale("stable", 0)
        yield Wait(1e9)

    for policy, share in (("fail", 0.5), ("fallback", 1.0)):
        log = events(scenario(service=QUIET, router={"noEndpoints": policy}), program)[0]
        assert shares(log)[-1][1] == share


def test_without_a_router_traffic_follows_the_pods_that_serve() -> None:
    """3 replicas, surge 1: 1/4, 1/3, 2/4, 2/3, 3/4 and 1, each when a pod joins or leaves."""

    def program(release: Release) -> Program:
        yield RollTo("canary", 3, 1, 0)
        yield AwaitComplete("canary", 3)
        yield Promote()
        return Fate(Outcome.PROMOTED)

    log = events(scenario(service={**QUIET, "replicas": 3}, router={"kind": "pods"}), program)[0]
    seen = shares(log)
    joins = [at + 1 for at in times(log, "pod_ready")]
    leaves = [at + 1 for at in times(log, "pod_deleted")]
    # one second after it became ready a pod joins; at that instant the deleted one of the same wave leaves
    assert [at for at, _ in seen[1:]] == pytest.approx(sorted(joins + leaves))
    assert [share for _, share in seen[1:]] == pytest.approx([1 / 4, 1 / 3, 2 / 4, 2 / 3, 3 / 4, 1])


@settings(max_examples=15)
@given(replicas=st.integers(1, 12), surge=st.integers(0, 4), unavailable=st.integers(0, 4), seed=st.integers(0, 99))
def test_shares_of_a_rolling_update_are_those_of_the_pods_in_service(
    replicas: int, surge: int, unavailable: int, seed: int
) -> None:
    """Rebuilt from the log: a pod serves from Ready + lag in to deletion + lag out."""

    def program(release: Release) -> Program:
        yield RollTo("canary", release.replicas, surge, unavailable)
        yield AwaitComplete("canary", release.replicas)
        yield Promote()
        return Fate(Outcome.PROMOTED)

    of = scenario(service={"replicas": replicas, "errorRatio": 0}, horizon="2h")
    logged = events(of, program, seed=seed)[0]
    draws = chunk(of, program, replications=1, seed=seed).draws
    change: list[tuple[int, int, int]] = []
    for event in logged:
        if event.kind in ("pod_ready", "pod_deleted"):
            revision, number = event.who.split("-")
            side = 1 if revision == "canary" else 0
            lags = draws.pods(side, int(number) // 32)
            lag = (lags.lag_in_us if event.kind == "pod_ready" else lags.lag_out_us)[0][int(number) % 32]
            change.append((round(event.at_seconds * 1e6) + lag, side, 1 if event.kind == "pod_ready" else -1))
    count = [replicas, 0]
    wanted = {}
    for at, side, by in sorted(change):
        count[side] += by
        wanted[at] = count[1] / sum(count) if sum(count) else None
    seen = [(round(at * 1e6), share) for at, share in shares(logged)]
    for at, share in wanted.items():
        if share is not None:  # nobody serves: the share of nothing
            assert seen[bisect_right(seen, at, key=lambda entry: entry[0]) - 1][1] == pytest.approx(share)


def test_a_weight_after_a_rolling_update_starts_from_the_share_of_the_pods() -> None:
    """Until the router's lag has passed traffic is split as the pods stood: here half and half."""

    def program(release: Release) -> Program:
        yield RollTo("canary", release.replicas)
        yield AwaitComplete("canary", release.replicas)
        yield Scale("stable", release.replicas)
        yield AwaitAvailable("stable", release.replicas)
        yield Wait(10)
        yield SetWeight(0.9)
        yield Scale("stable", 1)
        yield Wait(1)
        yield SetWeight(0.8)
        yield Wait(1e9)

    log = events(scenario(service=QUIET, router={"lag": 20}, horizon="10m"), program)[0]
    asked = times(log, "set_weight")[0]
    before = [share for at, share in shares(log) if at <= asked][-1]
    between = [share for at, share in shares(log) if asked < at < asked + 20]
    assert before == pytest.approx(0.5)
    assert between == [] or set(between) == {before}  # nine stable pods leave meanwhile
    assert [share for at, share in shares(log) if at >= asked + 20] == [0.9, 0.8]


def test_an_error_that_begins_at_a_weight() -> None:
    """It begins when the canary's share first reaches 20 %: not at 10 %, and not again later."""
    of = scenario(horizon=1000, service=QUIET, faults=[{"kind": "error_ratio", "ratio": 0.5, "fromWeight": 0.2}])
    tested = chunk(of, weights((0.1, 200), (0.4, 200), (0.2, 100), (0.0, 1)))
    rows = tested.run()
    assert poisson_within(rows["failed_requests"].sum(), 256 * 100 * 0.5 * (0.4 * 200 + 0.2 * 100))


def test_an_error_that_begins_at_a_weight_without_a_router() -> None:
    """Without a router the canary's share is that of its pods: 10 of 20 reach 30 %."""
    of = scenario(
        service=QUIET, router={"kind": "pods"}, faults=[{"kind": "error_ratio", "ratio": 0.5, "fromWeight": 0.3}]
    )
    log = events(of, hold(0.5))[0]
    reached = next(at for at, share in shares(log) if share >= 0.3)
    assert times(log, "fault") == [reached]


def test_a_rolling_update_ends_the_connections_of_an_older_switch() -> None:
    """Weights again after it: the share of the pods stays until the lag has passed, whatever was decaying before."""

    def program(release: Release) -> Program:
        yield Scale("canary", release.replicas)
        yield AwaitAvailable("canary", release.replicas)
        yield Wait(10)
        yield SetWeight(0.8)
        yield Wait(40)
        yield RollTo("canary", release.replicas)  # all pods are there: stable ones go
        yield Wait(60)
        yield Scale("stable", release.replicas)
        yield AwaitAvailable("stable", release.replicas)
        yield Wait(10)
        yield SetWeight(0.1)
        yield Wait(1e9)

    log = events(scenario(service=QUIET, router={"lag": 30, "connectionLife": 40}), program)[0]
    asked = times(log, "set_weight")[-1]
    assert [share for at, share in shares(log) if at <= asked][-1] == pytest.approx(0.5)
    assert [share for at, share in shares(log) if asked < at < asked + 30] == []
