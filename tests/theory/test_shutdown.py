"""Requests that a shutdown loses: the race between the proxies' endpoint lists and SIGTERM."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import CONSTANT_STARTUP, Event, chunk, columns, poisson_within, scenario

from strategies.effects import AwaitComplete, Fate, Outcome, Program, Promote, Release, RollTo, Scale, Wait

HARSH = {"preStop": 0, "graceful": False}


def one_less(release: Release) -> Program:
    yield Scale("stable", release.replicas - 1)
    yield Wait(1e9)


def rolling(release: Release) -> Program:
    yield RollTo("canary", release.replicas, 1, 0)
    yield AwaitComplete("canary", release.replicas)
    yield Promote()
    return Fate(Outcome.PROMOTED)


@pytest.mark.parametrize("shutdown", [HARSH, {"preStop": 0, "graceful": True}])
def test_one_pod_that_stops_at_once(shutdown: dict[str, object]) -> None:
    """1 of 10 pods with 10/s each: lost are 10/s x the lag U(1, 2) s, and what it was answering (mean latency)."""
    latency = {"p50": 0.8, "p99": 2}  # long, so that what is in flight shows
    of = scenario(
        horizon=60, service={"errorRatio": 0, "shutdown": shutdown, "latency": latency}, router={"kind": "pods"}
    )
    tested = chunk(of, one_less)
    failed = tested.run()["failed_requests"]
    flight = 0.0 if shutdown["graceful"] else tested.model.latency.mean_seconds
    mean = 10 * (1.5 + flight)
    error = np.sqrt((mean + 100 / 12) / 256)  # Poisson, and the spread of the lag
    assert abs(failed.mean() - mean) < 5 * error


def test_a_pre_stop_shorter_than_the_lag() -> None:
    """preStop 1.2 s of a lag of 2 s: 0.8 s of one tenth of the traffic."""
    of = scenario(
        horizon=60,
        service={"errorRatio": 0, "shutdown": {"preStop": 1.2}, "endpointLag": [2, 2]},
        router={"kind": "pods"},
    )
    assert poisson_within(columns(of, one_less)["failed_requests"].sum(), 256 * 0.8 * 10)


def lost(log: list[Event], lags: dict[str, tuple[float, float]], flight: float, rate: float) -> float:
    """Expected requests sent to dead pods, by a sweep over the instants at which a pod joins, dies or leaves."""
    steps: list[tuple[float, int, int]] = []  # (when, change of pods in service, change of dead ones)
    for event in log:
        if event.kind == "pod_ready":
            steps.append((event.at_seconds + lags[event.who][0], 1, 0))
        elif event.kind == "pod_deleted":
            steps.append((event.at_seconds, 0, 1))
            steps.append((event.at_seconds + lags[event.who][1] + flight, -1, -1))
    serving, dead, total, before = 10, 0, 0.0, 0.0
    for at, more, died in sorted(steps):
        total += (at - before) * rate * dead / serving
        serving, dead, before = serving + more, dead + died, at
    return total


def test_a_rolling_update_without_drain() -> None:
    """10 pods at 10/s: each deletion loses its share of the traffic for lag + mean latency; summed pod by pod."""
    of = scenario(horizon=900, service={"errorRatio": 0, "shutdown": HARSH})
    logs: list[list[Event]] = [[] for _ in range(256)]
    tested = chunk(
        of,
        rolling,
        log=lambda row: lambda at, kind, who, what: logs[row].append(Event(at / 1e6, kind, who, what)),
    )
    failed = tested.run()["failed_requests"].sum()
    expected = 0.0
    for row, log in enumerate(logs):
        lags = {}
        for side, name in enumerate(("stable", "canary")):
            drawn = tested.draws.pods(side, 0)
            for pod in range(12):
                lags[f"{name}-{pod}"] = (drawn.lag_in_us[row][pod] / 1e6, drawn.lag_out_us[row][pod] / 1e6)
        expected += lost(log, lags, tested.model.latency.mean_seconds, 100.0)
    assert poisson_within(failed, expected)
    # by hand: ten pods, 1.5 s + latency each, between 100/11 and 100/9 requests a second
    seconds = 256 * 10 * (1.5 + tested.model.latency.mean_seconds)
    assert seconds * 100 / 11 * 0.99 < expected < seconds * 100 / 9


@pytest.mark.parametrize("shutdown", [{"preStop": 5, "graceful": True}, {"preStop": 5, "graceful": False}])
def test_a_pre_stop_longer_than_the_lag_loses_nothing(shutdown: dict[str, object]) -> None:
    """Failed requests are those of the healthy service, no more."""
    of = scenario(horizon=900, service={"errorRatio": 0.01, "shutdown": shutdown})
    assert poisson_within(columns(of, rolling)["failed_requests"].sum(), 256 * 900 * 100 * 0.01)


def test_a_pod_that_never_ran_is_gone_at_once() -> None:
    """Five pods are wanted for a second, their containers would start after two."""

    def hesitant(release: Release) -> Program:
        yield Scale("canary", 5)
        yield Wait(1)
        yield Scale("canary", 0)
        yield Wait(1e9)

    rows = columns(scenario(horizon=1000, service={"startup": CONSTANT_STARTUP}), hesitant, replications=2)
    assert (rows["pod_hours"] * 3600).tolist() == pytest.approx([10 * 1000 + 5] * 2)


@pytest.mark.parametrize(
    ("shutdown", "seconds"),
    [
        ({"preStop": 5, "drain": 2}, 7),
        ({"preStop": 5, "drain": 2, "graceful": False}, 5),
        ({"preStop": 20, "drain": 60}, 30),
        ({"preStop": 60, "terminationGracePeriod": 45}, 45),
        ({"preStop": 0, "drain": 0}, 0),
    ],
)
def test_a_terminating_pod_costs_until_it_is_gone(shutdown: dict[str, object], seconds: float) -> None:
    of = scenario(horizon=1000, service={"shutdown": shutdown})

    def later(release: Release) -> Program:
        yield Wait(100)
        yield from one_less(release)

    rows = columns(of, later, replications=2)
    assert (rows["pod_hours"] * 3600).tolist() == pytest.approx([9 * 1000 + 100 + seconds] * 2)
