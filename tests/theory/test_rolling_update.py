"""A rolling update with constant start-up times, against a wave-by-wave reference that shares no code with it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from worlds import chunk, events, scenario

from strategies.effects import AwaitComplete, Fate, Outcome, Program, Promote, Release, RollTo

HORIZON = 4 * 3600.0


@dataclass
class Waves:
    """What the reference says of one rolling update."""

    seconds: float
    least_available: int
    most_pods: int  #: terminating ones not counted
    most_with_terminating: int
    pod_seconds: float  #: until the horizon


def pods_of(value: int | str, replicas: int, up: bool) -> int:
    if isinstance(value, int):
        return value
    exact = int(value[:-1]) * replicas / 100
    return math.ceil(exact) if up else math.floor(exact)


def waves(replicas: int, surge: int | str, unavailable: int | str, ready_after: float, gone_after: float) -> Waves:
    """All pods of a wave become available together; a sync scales up first, and only then down."""
    extra, missing = pods_of(surge, replicas, True), pods_of(unavailable, replicas, False)
    if extra == missing == 0:
        missing = 1
    floor = replicas - min(missing, replicas)
    new, ready, old, now = 0, 0, replicas, 0.0
    coming: Counter[float] = Counter()
    ending: list[float] = []
    spent = 0.0
    least = most = peak = replicas
    while True:
        moved = True
        while moved:
            moved = False
            if new < replicas and new + old < replicas + extra:
                more = min(replicas + extra - new - old, replicas - new)
                new += more
                coming[now + ready_after] += more
                spent += more * (HORIZON - now)
                moved = True
                most = max(most, new + old)
                peak = max(peak, new + old + sum(1 for gone in ending if gone > now))
            elif old and ready + old > floor:
                fewer = min(old, ready + old - floor)
                old -= fewer
                ending += [now + gone_after] * fewer
                spent += fewer * (now + gone_after)
                moved = True
            least = min(least, ready + old)
        if not coming:
            return Waves(now, least, most, peak, spent)
        now = min(coming)
        ready += coming.pop(now)


def rolling(surge: int | str, unavailable: int | str, min_ready: float = 0.0, back: bool = False):  # type: ignore[no-untyped-def]
    def program(release: Release) -> Program:
        yield RollTo("canary", release.replicas, surge, unavailable, min_ready)
        yield AwaitComplete("canary", release.replicas, None)
        yield Promote()
        if back:
            yield RollTo("stable", release.replicas, surge, unavailable, min_ready)
            yield AwaitComplete("stable", release.replicas, None)
        return Fate(Outcome.PROMOTED)

    return program


amount = st.one_of(st.integers(0, 12), st.integers(0, 100).map(lambda percent: f"{percent}%"))


@settings(max_examples=120)
@given(
    replicas=st.integers(1, 30),
    surge=amount,
    unavailable=amount,
    start=st.integers(1, 70),
    period=st.sampled_from([1, 5, 10]),
    success=st.integers(1, 3),
    min_ready=st.sampled_from([0, 10]),
    pre_stop=st.sampled_from([0, 5, 40]),
    graceful=st.booleans(),
)
@example(10, "25%", "25%", 30, 10, 1, 0, 5, True)
@example(5, 1, 1, 30, 10, 1, 0, 5, True)
@example(1, "25%", "25%", 30, 10, 1, 0, 5, True)
@example(10, 0, 0, 30, 10, 1, 0, 0, False)
def test_a_rolling_update_goes_in_the_waves_of_kubernetes(
    replicas: int, surge: int | str, unavailable: int | str, start: int, period: int, success: int, min_ready: int,
    pre_stop: int, graceful: bool,
) -> None:  # fmt: skip
    """Duration, fewest available, most pods and pod-seconds, for every way to write the two fields."""
    of = scenario(
        horizon=HORIZON,
        service={
            "replicas": replicas,
            "startup": {"schedule": 1, "pull": 2, "start": start, "spread": 0},
            "probes": {"readiness": {"periodSeconds": period, "successThreshold": success}},
            "shutdown": {"preStop": pre_stop, "graceful": graceful, "drain": 2},
        },
    )
    ready_after = 3 + (math.ceil(start / period) + success - 1) * period + min_ready
    gone_after = min(30, pre_stop + (2 if graceful else 0))
    wanted = waves(replicas, surge, unavailable, ready_after, gone_after)
    rows = chunk(of, rolling(surge, unavailable, min_ready), replications=1).run()
    assert rows["duration_seconds"][0] == pytest.approx(wanted.seconds, abs=1e-5)
    assert rows["min_available_replicas"][0] == wanted.least_available
    assert rows["peak_pods"][0] == wanted.most_with_terminating
    assert rows["pod_hours"][0] * 3600 == pytest.approx(wanted.pod_seconds, abs=0.01)


@settings(max_examples=30)
@given(replicas=st.integers(1, 30), surge=amount, unavailable=amount)
def test_wanted_pods_never_exceed_the_surge(replicas: int, surge: int | str, unavailable: int | str) -> None:
    """Σ spec <= replicas + surge at every instant, and it is reached when there is a surge."""
    of = scenario(horizon="2h", service={"replicas": replicas, "startup": {"start": 10, "spread": 0}})
    size = {"stable": replicas, "canary": 0}
    most = replicas
    for event in events(of, rolling(surge, unavailable))[0]:
        if event.kind == "scale":
            size[event.who] = event.what["replicas"]
            most = max(most, sum(size.values()))
    assert most == waves(replicas, surge, unavailable, 30, 7).most_pods
    assert most <= replicas + pods_of(surge, replicas, True)


@settings(max_examples=25)
@given(replicas=st.integers(1, 30), surge=amount, unavailable=amount)
def test_undo_takes_as_long_as_the_way_forward(replicas: int, surge: int | str, unavailable: int | str) -> None:
    of = scenario(horizon="4h", service={"replicas": replicas, "startup": {"start": 25, "spread": 0}})
    there = chunk(of, rolling(surge, unavailable), replications=1).run()
    both = chunk(of, rolling(surge, unavailable, back=True), replications=1).run()
    assert both["duration_seconds"][0] == pytest.approx(2 * there["duration_seconds"][0], abs=1e-5)
    assert both["min_available_replicas"][0] == there["min_available_replicas"][0]


@settings(max_examples=20)
@given(
    replicas=st.integers(1, 30), surge=amount, unavailable=amount, turn=st.floats(0, 200), seed=st.integers(0, 2**31)
)
def test_an_undo_halfway_keeps_the_promises_of_the_deployment(
    replicas: int, surge: int | str, unavailable: int | str, turn: float, seed: int
) -> None:
    """With random start-up times, turned round at any moment: capacity and surge stay inside their bounds."""
    from strategies.effects import Undo, Wait

    def program(release: Release) -> Program:
        yield RollTo("canary", release.replicas, surge, unavailable)
        yield Wait(turn)
        yield Undo("turned round")
        yield RollTo("stable", release.replicas, surge, unavailable)
        yield AwaitComplete("stable", release.replicas, None)
        return Fate(Outcome.ROLLED_BACK)

    of = scenario(horizon="4h", service={"replicas": replicas, "startup": {"spread": 1.0}})
    tested = chunk(of, program, replications=4, seed=seed)
    rows = tested.run()
    floor = waves(replicas, surge, unavailable, 30, 7).least_available
    assert (rows["min_available_replicas"] >= floor).all()
    assert np.isfinite(rows["duration_seconds"]).all()
    assert all(world.pods.spec == [replicas, 0] for world in tested.worlds)
