"""Leaks that count requests: a threshold is a number of arrivals, so the exposure at which it bites is Gamma."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from worlds import CONSTANT_STARTUP, chunk, events, hold, scenario, times

from strategies.effects import AwaitAvailable, Fate, Outcome, Program, Release, Scale, SetWeight, Undo, Wait

ALPHA = 1e-4
QUIET = {"errorRatio": 0, "startup": CONSTANT_STARTUP, "endpointLag": [1, 1]}


def first_times(of, program, kind: str) -> tuple[np.ndarray, list]:  # type: ignore[no-untyped-def, type-arg]
    """When a kind of event first happened in each of 256 replications."""
    logs = events(of, program, replications=256)
    return np.array([times(log, kind)[0] for log in logs]), logs


def test_memory_leak_by_request() -> None:
    """512 - 256 MiB at 0.5 MiB a request: killed by its 512th request; 30/s of it from the moment of the weight."""
    of = scenario(service=QUIET, faults=[{"kind": "memory_leak", "mibPerRequest": 0.5}])
    died, logs = first_times(of, hold(0.3, replicas=1), "container_died")
    began = np.array([times(log, "weight_effective")[0] for log in logs])
    assert stats.kstest((died - began) * 30, stats.gamma(512).cdf).pvalue > ALPHA


def test_memory_leak_counts_the_real_traffic_of_a_moving_rate() -> None:
    """The same under a daily curve: the exposure is the integral of the rate, not the time."""
    of = scenario(
        horizon="3h",
        traffic={"kind": "daily", "mean": "2/s", "amplitude": 0.9},
        service=QUIET,
        faults=[{"kind": "memory_leak", "mibPerRequest": 1}],
    )
    died, logs = first_times(of, hold(1.0, replicas=1), "container_died")
    began = np.array([times(log, "weight_effective")[0] for log in logs])
    tested = chunk(of, hold(1.0, replicas=1))
    omega = 2 * np.pi / 86400

    def integral(t: np.ndarray) -> np.ndarray:
        return 2 * t + 2 * 0.9 / omega * np.sin(omega * (t - 54000))

    offset = np.array(tested.draws.offset_seconds)
    exposure = integral(offset + died) - integral(offset + began)
    assert stats.kstest(exposure, stats.gamma(256).cdf).pvalue > ALPHA


def test_pool_leak_per_pod() -> None:
    """20 connections, 1 % of requests keep one: empty after Gamma(20) / 0.01 requests of the pod; it fails all then."""
    of = scenario(service=QUIET, faults=[{"kind": "pool_leak", "perRequest": 0.01}])
    empty, logs = first_times(of, hold(0.5, replicas=4), "pool_exhausted")
    began = np.array([times(log, "weight_effective")[0] for log in logs])
    # the first of four pods, each with 12.5/s
    exposure = (empty - began) * 12.5 * 0.01
    assert stats.kstest(1 - stats.gamma(20).sf(exposure) ** 4, "uniform").pvalue > ALPHA
    for log in logs[:20]:
        fails = [event.what["canary_fails"] for event in log if event.kind == "traffic"][-1]
        assert fails == pytest.approx(1.0)  # in the end all four are empty


@pytest.mark.parametrize("severity", [1.0, 2.0])
def test_severity_makes_a_leak_faster(severity: float) -> None:
    of = scenario(service=QUIET, release={"severity": severity}, faults=[{"kind": "pool_leak", "perRequest": 0.05}])
    empty, logs = first_times(of, hold(1.0, replicas=1), "pool_exhausted")
    began = np.array([times(log, "weight_effective")[0] for log in logs])
    assert stats.kstest((empty - began) * 100 * 0.05 * severity, stats.gamma(20).cdf).pvalue > ALPHA


def growing(release: Release) -> Program:
    """One canary pod gets half of the traffic; 100 s later there are four of them, at the same weight."""
    yield Scale("canary", 1)
    yield AwaitAvailable("canary", 1)
    yield Wait(5)
    yield SetWeight(0.5)
    yield Wait(100)
    yield Scale("canary", 4)
    yield Wait(1e9)


def test_pods_that_join_at_the_same_weight_share_its_traffic() -> None:
    """50/s for the first pod until the others take traffic, 12.5/s afterwards."""
    of = scenario(
        horizon="2h",
        service={**QUIET, "resources": {"poolSize": 10_000}},
        faults=[{"kind": "pool_leak", "perRequest": 1.0}],
    )
    empty, logs = first_times(of, growing, "pool_exhausted")
    weight = times(logs[0], "weight_effective")[0]
    joined = times(logs[0], "pod_ready", "canary-3")[0] + 1
    first = 50 * (joined - weight) + 12.5 * (empty - joined)
    assert stats.kstest(first, stats.gamma(10_000).cdf).pvalue > ALPHA


def test_a_leak_that_begins_late_counts_from_there() -> None:
    """The revision has taken 30/s for long when the leak begins; nothing else changes at that moment."""
    of = scenario(service=QUIET, faults=[{"kind": "memory_leak", "mibPerRequest": 0.5, "from": "10m"}])
    died, _ = first_times(of, hold(0.3, replicas=1), "container_died")
    assert stats.kstest((died - 600) * 30, stats.gamma(512).cdf).pvalue > ALPHA


def ladder(*steps: tuple[float, float]):  # type: ignore[no-untyped-def]
    """Weights, each for some minutes."""

    def program(release: Release) -> Program:
        yield Scale("canary", release.replicas)
        yield AwaitAvailable("canary", release.replicas)
        yield Wait(5)
        for weight, minutes in steps:
            yield SetWeight(weight)
            yield Wait(minutes * 60)
        yield Wait(1e9)

    return program


LADDERS = {
    # weights for minutes, and the minute at which a pool of 17.6 full-traffic minutes is empty:
    # .5 + 1.5 + 5 = 7.0 before the step of 50 %, the other 10.6 take 21.2 minutes of it
    "slow": (((0.05, 10), (0.10, 15), (0.25, 20), (0.50, 30), (1.0, 60)), 45 + 10.6 / 0.5),
    # .1 x 6 + .5 x 4 = 2.6, the other 15.0 at full traffic
    "fast": (((0.10, 6), (0.50, 4), (1.0, 60)), 25.0),
}


@pytest.mark.parametrize("name", LADDERS)
def test_a_shared_pool_of_17_6_full_traffic_minutes(name: str) -> None:
    """The mean minute of the outage within its own standard error; both revisions fail from then on."""
    steps, minute = LADDERS[name]
    size, rate = 50_000, 1000.0
    of = scenario(
        horizon="100m",
        traffic={"rate": f"{rate}/s"},
        service=QUIET,
        faults=[{"kind": "pool_leak", "perRequest": size / (17.6 * 60 * rate), "scope": "shared", "sharedSize": size}],
    )
    logs = events(of, ladder(*steps), replications=256)
    found = []
    for log in logs:
        began = times(log, "weight_effective")[0]
        empty = next(event.at_seconds for event in log if event.kind == "traffic" and event.what["stable_fails"] == 1.0)
        found.append((empty - began) / 60)
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - minute) < 5 * error
    assert error < 0.02


def test_a_shared_pool_comes_back_when_the_leaking_processes_are_gone() -> None:
    """Rolled back after the outage: connections of dead processes are free again, so the stable revision recovers."""

    def outage(release: Release) -> Program:
        yield Scale("canary", 2)
        yield AwaitAvailable("canary", 2)
        yield Wait(5)
        yield SetWeight(0.5)
        yield Wait(600)
        yield Undo("outage")
        yield SetWeight(0.0)
        yield Wait(30)
        yield Scale("canary", 0)
        return Fate(Outcome.ROLLED_BACK)

    of = scenario(
        service=QUIET, faults=[{"kind": "pool_leak", "perRequest": 0.1, "scope": "shared", "sharedSize": 100}]
    )
    for log in events(of, outage, replications=10):
        flows = [event for event in log if event.kind == "traffic"]
        assert max(event.what["stable_fails"] for event in flows) == 1.0
        assert flows[-1].what["stable_fails"] == 0.0
        gone = times(log, "pod_deleted")[-1]
        assert gone < flows[-1].at_seconds <= gone + 10


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "memory_leak", "mibPerRequest": 1},
        {"kind": "memory_leak", "mibPerMinute": 1},
        {"kind": "pool_leak", "perRequest": 0.1},
        {"kind": "pool_leak", "perRequest": 0.1, "scope": "shared"},
    ],
)
@pytest.mark.parametrize("words", [{"release": {"severity": 0}}, {"traffic": {"rate": "0/s"}}])
def test_a_leak_of_nothing_never_bites(fault: dict[str, object], words: dict[str, object]) -> None:
    """Severity 0, or no request at all (a leak by the minute does not need one)."""
    if "traffic" in words and "mibPerMinute" in fault:
        pytest.skip("it leaks without requests")
    for log in events(scenario(service=QUIET, faults=[fault], **words), hold(1.0), replications=2):
        assert not times(log, "container_died")
        assert not times(log, "pool_exhausted")
        assert all(
            event.what["canary_fails"] == 0 for event in log if event.kind == "traffic" and event.at_seconds > 60
        )


def test_a_deleted_pod_that_runs_out_of_memory_does_not_restart() -> None:
    """The leak begins 1 s after one of ten pods was deleted, while proxies still send to it: it dies, and stays so."""

    def program(release: Release) -> Program:
        yield Wait(100)
        yield Scale("stable", 9)
        yield Wait(1e9)

    of = scenario(
        horizon=200,
        service={**QUIET, "endpointLag": [5, 5], "shutdown": {"preStop": 20}},
        traffic={"rate": "1000/s"},
        router={"kind": "pods"},
        faults=[{"kind": "memory_leak", "mibPerRequest": 1.28, "on": "stable", "from": 101}],
    )
    for log in events(of, program, replications=8):
        deleted = next(event.who for event in log if event.kind == "pod_deleted")
        assert times(log, "container_started", deleted) == []  # its first container ran before the rollout
        assert times(log, "pod_ready", deleted) == []
        assert any(event.kind == "container_died" for event in log if event.who != deleted)
