"""Counts are Poisson with the mean that the arithmetic gives; what a canary costs until it is caught.

Sums of independent Poisson counts are Poisson, so every bound is known before the run: 5 standard deviations, a false
alarm in less than a million runs.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from worlds import CONSTANT_STARTUP, chunk, columns, idle, poisson_within, scenario

from strategies.effects import (
    AwaitAvailable,
    Fate,
    Measure,
    Outcome,
    Program,
    Query,
    Release,
    Scale,
    SetWeight,
    Undo,
    Wait,
)

ERRORS = Query(quantity="error_ratio", window_seconds=60)
BASE = 0.002


def until_the_first_failing_look(release: Release) -> Program:
    """Three weights of 120 s; a look every 60 s fails above 8 %; the fault of the test always fails it from 20 % on."""
    yield Scale("canary", release.replicas)
    yield AwaitAvailable("canary", release.replicas)
    yield Wait(10)
    for weight in (0.05, 0.2, 0.5):
        yield SetWeight(weight)
        yield Wait(120)
        if weight >= 0.2:
            seen = yield Measure(ERRORS)
            if seen.value > 0.08:
                break
    yield Undo("too many errors")
    yield SetWeight(0.0)
    return Fate(Outcome.ROLLED_BACK)


@pytest.mark.parametrize("lag", [0.0, 1.0, 7.0])
@pytest.mark.parametrize("ratio", [0.3, 0.05])
def test_bad_requests_until_the_first_failing_look(lag: float, ratio: float) -> None:
    """Expected failures = baseline + Σ weight x rate x seconds x excess error; the lag of the router moves all alike.

    The looks take 0.1 s; a ratio of 5 % is never above 8 % (60 s x 40/s at least), so all steps run.
    """
    rate, horizon = 400.0, 1200.0
    of = scenario(
        horizon=horizon,
        traffic={"rate": f"{rate}/s"},
        service={"errorRatio": BASE, "startup": CONSTANT_STARTUP},
        router={"lag": lag},
        faults=[{"kind": "error_ratio", "ratio": ratio}],
    )
    rows = columns(of, until_the_first_failing_look, reads=(ERRORS,))
    assert set(rows["outcome"].tolist()) == {1}
    steps = [(0.05, 120.0), (0.2, 120.0 + 0.1)] + ([(0.5, 120.0 + 0.1)] if ratio < 0.08 else [])
    excess = ratio * (1 - BASE)
    mean = BASE * rate * horizon + sum(weight * rate * seconds * excess for weight, seconds in steps)
    assert poisson_within(rows["failed_requests"].sum(), 256 * mean)
    assert stats.kstest(stats.poisson.cdf(rows["failed_requests"], mean), "uniform").pvalue > 1e-6


@pytest.mark.parametrize("reads", [(), (ERRORS,)])
def test_constant_traffic(reads: tuple[Query, ...]) -> None:
    """Requests, failures and slow responses of a quiet hour; drawn in one go or scrape by scrape."""
    of = scenario(service={"errorRatio": 0.01, "latency": {"p50": 0.05, "p99": 0.4}}, slo={"latency": 0.3})
    tested = chunk(of, idle, reads=reads)
    rows = tested.run()
    rate = 100.0 * 3600
    slow = stats.norm.sf(math.log(0.3 / 0.05) / (math.log(0.4 / 0.05) / stats.norm.ppf(0.99)))
    requests = tested.cumulative.sum(axis=(1, 2))
    assert poisson_within(requests.sum(), 256 * rate)
    assert poisson_within(rows["failed_requests"].sum(), 256 * rate * 0.01)
    assert poisson_within(rows["slow_requests"].sum(), 256 * rate * 0.99 * slow)
    # index of dispersion: Σ (n - mean)² / mean is chi-square with 256 degrees of freedom
    dispersion = ((rows["failed_requests"] - rate * 0.01) ** 2).sum() / (rate * 0.01)
    assert 1e-6 < stats.chi2.cdf(dispersion, 256) < 1 - 1e-6


@pytest.mark.parametrize(("ratio", "severity", "fails"), [(0.4, 1, 0.4), (0.2, 2.5, 0.5), (0.8, 3, 1.0), (0.4, 0, 0.0)])
def test_errors_of_a_fault_and_of_a_severity(ratio: float, severity: float, fails: float) -> None:
    """ratio x severity, at most 1, of the requests that would not have failed anyway (30 % do)."""
    of = scenario(
        horizon=100,
        service={"errorRatio": 0.3},
        release={"severity": severity},
        faults=[{"kind": "error_ratio", "ratio": ratio, "on": "stable"}],
    )
    mean = 256 * 100 * 100 * (0.3 + 0.7 * fails)
    assert poisson_within(columns(of, idle)["failed_requests"].sum(), mean)


@pytest.mark.parametrize("severity", [1.0, 2.0])
def test_slow_responses_of_added_latency(severity: float) -> None:
    """0.2 s x severity more for 30 % and, independently, 0.1 s x severity more for half of the requests."""
    of = scenario(
        horizon=100,
        service={"errorRatio": 0, "latency": {"p50": 0.1, "p99": 0.4}},
        slo={"latency": 0.45},
        release={"severity": severity},
        faults=[
            {"kind": "added_latency", "add": 0.2, "share": 0.3, "on": "both"},
            {"kind": "added_latency", "add": 0.1, "share": 0.5, "on": "stable"},
            {"kind": "added_latency", "add": 9, "on": "canary"},
        ],
    )
    law = stats.lognorm(s=math.log(4) / stats.norm.ppf(0.99), scale=0.1)
    slow = sum(
        (0.3 if one else 0.7) * 0.5 * law.sf(0.45 - severity * (0.2 * one + 0.1 * two))
        for one in (0, 1)
        for two in (0, 1)
    )
    assert poisson_within(columns(of, idle)["slow_requests"].sum(), 256 * 100 * 100 * slow)


def daily_mean(start: float, until: float) -> float:
    """Requests between two times of the day of 50/s x (1 + 0.8 cos(2π (t - 15 h) / 24 h))."""
    omega = 2 * math.pi / 86400
    return 50 * (until - start) + 50 * 0.8 / omega * (
        math.sin(omega * (until - 54000)) - math.sin(omega * (start - 54000))
    )


def flash_mean(start: float, until: float) -> float:
    """Requests between two times of 20/s rising e-fold in 60 s to 220/s at 600 s, and falling e-fold in 300 s."""

    def since_zero(t: float) -> float:
        rise = 200 * 60 * (math.exp((min(t, 600) - 600) / 60) - math.exp(-10))
        return 20 * t + rise + 200 * 300 * (1 - math.exp(-max(t - 600, 0) / 300))

    return since_zero(until) - since_zero(start)


LAWS = {
    "daily": ({"kind": "daily", "mean": "50/s", "amplitude": 0.8}, daily_mean),
    "flash": (
        {"kind": "flash_crowd", "base": "20/s", "peak": "220/s", "at": 600, "rise": 60, "decay": 300},
        flash_mean,
    ),
}


@pytest.mark.parametrize("law", LAWS)
def test_moving_traffic(law: str) -> None:
    """Requests of every scrape interval of every replication have the mean that the integral of the rate gives."""
    words, mean = LAWS[law]
    of = scenario(horizon=1800, traffic=words)
    seen: list[tuple[np.ndarray, int, np.ndarray]] = []

    def watch(release: Release) -> Program:
        while True:
            yield Wait(1e6)

    tested = chunk(of, watch, reads=(ERRORS,), tap=lambda rows, k, counts: seen.append((rows, k, counts.copy())))
    tested.run()
    offsets, phases = tested.draws.offset_seconds, np.array(tested.draws.phase_us) / 1e6
    statistic, cells, total, expected = 0.0, 0, 0.0, 0.0
    edge = np.zeros(256)
    for rows, k, counts in seen:
        until = phases[rows] + 15 * k if k >= 0 else np.full(rows.size, 1800.0)
        wanted = np.array([mean(offsets[r] + edge[r], offsets[r] + u) for r, u in zip(rows, until, strict=True)])
        edge[rows] = until
        got = counts.sum(axis=(1, 2, 3))
        large = wanted > 5
        statistic += (((got - wanted) ** 2)[large] / wanted[large]).sum()
        cells += int(large.sum())
        total, expected = total + got.sum(), expected + wanted.sum()
    assert cells > 20_000
    assert poisson_within(total, expected)
    assert abs(statistic - cells) < 5 * math.sqrt(2 * cells * 1.2)  # 1.2: the fourth moment of Poisson means of 5


def test_exposure_is_conserved() -> None:
    """Over revisions, regimes and outcomes it adds up to the traffic of the horizon, before any draw."""
    of = scenario(
        traffic=LAWS["daily"][0],
        faults=[{"kind": "crash_loop"}, {"kind": "error_ratio", "ratio": 0.3, "from": "10m"}],
        router={"connectionLife": 30},
    )
    tested = chunk(of, until_the_first_failing_look, reads=(ERRORS,))
    tested.run()
    horizon = [world.arrivals.at_us(tested.model.horizon_us) for world in tested.worlds]
    assert tested.plane.total.sum(axis=(1, 2, 3)) == pytest.approx(horizon, rel=1e-9)
    assert (tested.plane.total >= 0).all()
