"""Containers that crash, are killed by probes, never become ready, or are not asked whether they are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import CONSTANT_STARTUP, Event, chunk, columns, events, hold, poisson_within, scenario, times

from strategies.effects import (
    AwaitAvailable,
    AwaitComplete,
    DeadlinePassed,
    Fate,
    Outcome,
    Program,
    Release,
    RollTo,
    Scale,
    Undo,
    Wait,
)


def one_pod(release: Release) -> Program:
    """Bring up one canary pod and watch."""
    yield Scale("canary", 1)
    while True:
        yield Wait(1e9)


def pauses(of: list[Event], pod: str = "canary-0") -> list[float]:
    """Seconds from each death of a container to its next start."""
    died = times(of, "container_died", pod)
    began = times(of, "container_started", pod)[1:]
    return [round(start - end, 6) for end, start in zip(died, began, strict=False)]


def test_crash_loop_back_off() -> None:
    """At once, then 10 s doubling to 300 s; every life of the container lasts the 5 s of the fault."""
    of = scenario(horizon="1h", faults=[{"kind": "crash_loop", "after": 5}])
    log = events(of, one_pod)[0]
    assert pauses(log)[:8] == [0, 10, 20, 40, 80, 160, 300, 300]
    died, began = times(log, "container_died"), times(log, "container_started")
    assert [round(end - start, 6) for start, end in zip(began, died, strict=False)] == [5.0] * len(died)


@pytest.mark.parametrize(("after", "wanted"), [(601, [0, 0, 0]), (600, [0, 10, 20]), (599, [0, 10, 20])])
def test_back_off_begins_anew_after_ten_minutes_of_running(after: float, wanted: list[float]) -> None:
    of = scenario(horizon="2h", faults=[{"kind": "crash_loop", "after": after}])
    assert pauses(events(of, one_pod)[0])[:3] == wanted


def test_a_crash_of_a_serving_pod_fails_its_share_until_the_proxies_know() -> None:
    """1 of 1 canary pods dies after 100 s: its share fails for lag + mean latency, then as long as nothing serves."""
    of = scenario(
        horizon=1000,
        service={"errorRatio": 0, "startup": CONSTANT_STARTUP, "endpointLag": [2, 2]},
        router={"kind": "pods"},
        faults=[{"kind": "crash_loop", "after": 400}],
    )
    tested = chunk(of, one_pod)
    rows = tested.run()
    mean = tested.model.latency.mean_seconds
    # t = 2 start, 402 crash, restart at once, ready again 30 s later, next crash at 802
    assert poisson_within(rows["failed_requests"].sum(), 256 * 2 * 100 / 11 * (2 + mean))


@pytest.mark.parametrize("severity", [1.0, 2.5])
def test_memory_leak_by_the_minute(severity: float) -> None:
    """A pod is killed exactly (limit - base) / rate after it became ready, again and again."""
    of = scenario(
        horizon="2h",
        service={"resources": {"memoryBase": "200Mi", "memoryLimit": "500Mi"}},
        release={"severity": severity},
        faults=[{"kind": "memory_leak", "mibPerMinute": 30}],
    )
    log = events(of, hold(0.5, replicas=3))[0]
    for pod in ("canary-0", "canary-1", "canary-2"):
        ready, died = times(log, "pod_ready", pod), times(log, "container_died", pod)
        assert len(died) >= 5
        life = 60 * 300 / (30 * severity)
        assert [end - start for start, end in zip(ready, died, strict=False)] == pytest.approx(
            [life] * len(died), abs=1e-5
        )


def rolling(release: Release) -> Program:
    yield RollTo("canary", release.replicas, "25%", "25%")
    answer = yield AwaitComplete("canary", release.replicas, 600)
    assert isinstance(answer, DeadlinePassed)
    return Fate(Outcome.STALLED)


@settings(max_examples=25)
@given(replicas=st.integers(1, 30), fault=st.sampled_from(["never_ready", "crash_loop", "slow_start"]))
def test_a_release_that_never_becomes_ready_stalls_a_rolling_update(replicas: int, fault: str) -> None:
    """Exactly maxUnavailable is lost, and the deadline comes 600 s after the last progress, which was at once."""
    words = {"kind": fault} | ({"add": "5h"} if fault == "slow_start" else {})
    rows = columns(scenario(service={"replicas": replicas}, faults=[words]), rolling, replications=3)
    assert rows["min_available_replicas"].tolist() == [replicas - replicas // 4] * 3
    assert set(rows["outcome"].tolist()) == {3}
    assert rows["duration_seconds"].tolist() == [600.0] * 3
    assert rows["decision_seconds"].tolist() == [600.0] * 3


def test_progress_starts_the_deadline_again() -> None:
    """One wave becomes ready before the fault begins; the deadline counts from there."""
    of = scenario(service={"startup": CONSTANT_STARTUP}, faults=[{"kind": "never_ready", "from": 40}], horizon="1h")
    log = events(of, rolling)[0]
    # wave 1: 3 + 2 pods are ready at 32 s; wave 2 started its containers at 34 s, before the fault: ready at 64 s,
    # unless the fault keeps them from it
    last = max(times(log, "pod_ready") + times(log, "scale"))
    assert times(log, "deadline") == [pytest.approx(last + 600)]


def test_slow_start_and_a_liveness_probe() -> None:
    """The probe kills at the third failed tick, 20 s after each start, with the back-off of a crash loop."""
    of = scenario(
        service={"startup": CONSTANT_STARTUP, "probes": {"liveness": {}}},
        faults=[{"kind": "slow_start", "add": 60}],
    )
    log = events(of, one_pod)[0]
    died, began = times(log, "container_died"), times(log, "container_started")
    assert [round(end - start, 6) for start, end in zip(began, died, strict=False)] == [20.0] * len(died)
    assert pauses(log)[:5] == [0, 10, 20, 40, 80]
    assert not times(log, "pod_ready")


def test_a_startup_probe_gives_the_slow_start_its_time() -> None:
    of = scenario(
        service={
            "startup": CONSTANT_STARTUP,
            "probes": {"liveness": {}, "startup": {"periodSeconds": 7, "failureThreshold": 30}},
        },
        faults=[{"kind": "slow_start", "add": 60}],
    )
    log = events(of, one_pod)[0]
    assert not times(log, "container_died")
    # answers 88 s after its start at 2 s: startup passes at tick 13 (91 s), the next readiness tick is at 100 s
    assert times(log, "pod_ready") == [pytest.approx(2 + 100, abs=1e-5)]


@pytest.mark.parametrize(("severity", "ready"), [(0.0, 30), (1.0, 60), (2.0, 80)])
def test_slow_start_by_severity(severity: float, ready: float) -> None:
    """28 s and 25 s x severity more until it answers: ready at the next tick of 10 s, 2 s after its creation."""
    of = scenario(
        service={"startup": CONSTANT_STARTUP},
        release={"severity": severity},
        faults=[{"kind": "slow_start", "add": 25}],
    )
    assert times(events(of, one_pod)[0], "pod_ready") == [pytest.approx(2 + ready)]


NO_READINESS = {"errorRatio": 0, "startup": CONSTANT_STARTUP, "endpointLag": [1, 1]}


def test_without_a_readiness_probe_traffic_comes_before_the_process_answers() -> None:
    """Ready when its container runs (2 s), served to from 3 s on, answers at 30 s: 27 s of 1/11 of the traffic fail."""
    of = scenario(horizon=600, service={**NO_READINESS, "probes": {"readiness": None}}, router={"kind": "pods"})
    rows = columns(of, one_pod)
    assert poisson_within(rows["failed_requests"].sum(), 256 * 27 * 100 / 11)


def test_without_a_readiness_probe_a_pod_that_liveness_kills_is_ready_until_then() -> None:
    """It takes traffic from 3 s until 22 s + lag + mean latency, all in vain, and comes back after each restart."""
    of = scenario(
        horizon=22,
        service={**NO_READINESS, "probes": {"readiness": None, "liveness": {}}},
        faults=[{"kind": "slow_start", "add": 600}],
        router={"kind": "pods"},
    )
    rows = columns(of, one_pod)
    assert poisson_within(rows["failed_requests"].sum(), 256 * 19 * 100 / 11)


@pytest.mark.parametrize("probe", [None, {"periodSeconds": 1}])
def test_a_pod_that_restarts_faster_than_the_proxies_learn_serves_again(probe: dict[str, int] | None) -> None:
    """A crash at 100 s after the start, a restart at once, ready within the lag: it is in service afterwards."""
    of = scenario(
        horizon=180,
        service={
            "errorRatio": 0,
            "startup": {"schedule": 2, "pull": 0, "start": 0.2, "spread": 0},
            "probes": {"readiness": probe},
            "endpointLag": [1.5, 1.5],
        },
        router={"kind": "pods"},
        faults=[{"kind": "crash_loop", "after": 100}],
    )
    tested = chunk(of, one_pod, replications=8)
    tested.run()
    for world in tested.worlds:
        assert world.pods.ready == [10, 1]
        assert world.pods.serving == [10, 1]
        assert world.pods.failing == [0, 0]


def test_the_shares_of_a_pod_that_crashes_twice_within_the_lag() -> None:
    """Two deaths one second apart: proxies learn of the first one, so the pod leaves 2 s (+ latency) after that."""
    of = scenario(
        horizon=100,
        service={
            "errorRatio": 0,
            "startup": {"schedule": 2, "pull": 0, "start": 0.1, "spread": 0},
            "probes": {"readiness": {"periodSeconds": 1}},
            "endpointLag": [2, 2],
        },
        router={"kind": "pods"},
    )

    def late_crash(release: Release) -> Program:
        yield Scale("canary", 1)
        yield AwaitAvailable("canary", 1)
        yield Wait(20)
        yield Undo("nothing")
        return Fate(Outcome.ROLLED_BACK)

    tested = chunk(of, late_crash, replications=1)
    world = tested.worlds[0]
    clock = tested.clocks[0]
    pod_of = world.pods.active[1]
    clock.call_at(50_000_000, lambda _: world.pods.crash(pod_of[0], "test"), None)
    clock.call_at(50_500_000, lambda _: world.pods.crash(pod_of[0], "test"), None)
    tested.run()
    serving = [(since / 1e6, flow[2]) for since, _, flow, _ in tested.lanes[0].segments]
    left = [at for at, share in serving if at > 50 and share == 0]
    assert left[0] == pytest.approx(52 + tested.model.latency.mean_seconds, abs=1e-5)
