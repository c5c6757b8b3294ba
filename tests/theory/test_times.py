"""The first bad response, the last response of a bad revision, and the spans between them and the decision.

Bad responses of a canary are a Poisson process, so the first one comes after an exponential time and the last response
of the revision lies an exponential time before the end of its traffic.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from worlds import CONSTANT_STARTUP, columns, poisson_within, scenario

from strategies.effects import (
    AwaitAvailable,
    Fate,
    Outcome,
    Program,
    Promote,
    Query,
    Release,
    Scale,
    SetWeight,
    Undo,
    Wait,
)

ALPHA = 1e-4
LAG = 2.0
QUIET = {"errorRatio": 0, "startup": CONSTANT_STARTUP, "endpointLag": [1, 1]}
READS = {"drawn in one go": (), "scraped": (Query(quantity="error_ratio"),)}


def undo_after(weight: float, seconds: float, stay: float = 60):  # type: ignore[no-untyped-def]
    """A weight asked for at 40 s, taken back `seconds` later."""

    def program(release: Release) -> Program:
        yield Scale("canary", release.replicas)
        yield AwaitAvailable("canary", release.replicas)
        yield Wait(8)
        yield SetWeight(weight)
        yield Wait(seconds)
        yield Undo("time is up")
        yield SetWeight(0.0)
        yield Wait(stay)
        yield Scale("canary", 0)
        return Fate(Outcome.ROLLED_BACK)

    return program


@pytest.mark.parametrize("reads", READS.values(), ids=READS)
@pytest.mark.parametrize("chunk", [0, 1])
def test_first_bad_response(reads: tuple[Query, ...], chunk: int) -> None:
    """Exponential with rate x weight x P(bad) from the moment that traffic arrives, the lag after the weight."""
    rate, weight, ratio = 50.0, 0.1, 0.04
    of = scenario(
        traffic={"rate": f"{rate}/s"},
        service={**QUIET, "latency": {"p50": 0.05, "p99": 0.5}},
        slo={"latency": 0.5},
        router={"lag": LAG},
        faults=[{"kind": "error_ratio", "ratio": ratio}],
    )
    rows = columns(of, undo_after(weight, 3000), reads=reads, number=chunk)
    bad = ratio + (1 - ratio) * 0.01  # one in a hundred successful responses is slower than its p99
    first = 40 + 3000 - rows["detection_seconds"] - (40 + LAG)
    assert np.isfinite(first).all()
    assert stats.kstest(first, stats.expon(scale=1 / (rate * weight * bad)).cdf).pvalue > ALPHA


@pytest.mark.parametrize("reads", READS.values(), ids=READS)
def test_first_bad_response_through_two_weights(reads: tuple[Query, ...]) -> None:
    """Expected bad responses until the first one are Exp(1), whatever the weights on the way."""

    def program(release: Release) -> Program:
        yield Scale("canary", release.replicas)
        yield AwaitAvailable("canary", release.replicas)
        yield Wait(8)
        yield SetWeight(0.05)
        yield Wait(20)
        yield SetWeight(0.5)
        yield Wait(1940)
        yield Undo("time is up")
        yield SetWeight(0.0)
        return Fate(Outcome.ROLLED_BACK)

    of = scenario(
        service={**QUIET, "latency": {"p50": 0.01, "p99": 0.02}},
        router={"lag": LAG},
        faults=[{"kind": "error_ratio", "ratio": 0.01}],
    )
    rows = columns(of, program, reads=reads)
    first = 2000 - rows["detection_seconds"] - 42
    bad = np.where(first < 20, first * 0.05, 1 + (first - 20) * 0.5)  # expected: 100/s x 1 % x weight
    assert stats.kstest(bad, stats.expon.cdf).pvalue > ALPHA
    assert (first < 20).sum() + 100 > 30  # both steps are met: e⁻¹ of the worlds have none in the first
    assert (first < 20).sum() == pytest.approx(256 * (1 - math.exp(-1)), abs=5 * math.sqrt(256 * 0.24))


@pytest.mark.parametrize("reads", READS.values(), ids=READS)
def test_last_response_of_the_bad_revision(reads: tuple[Query, ...]) -> None:
    """The end of its traffic (decision + lag) minus an exponential time with rate x weight; never after the end."""
    rate, weight = 20.0, 0.05
    of = scenario(
        traffic={"rate": f"{rate}/s"}, service=QUIET, router={"lag": 12}, faults=[{"kind": "error_ratio", "ratio": 0.5}]
    )
    rows = columns(of, undo_after(weight, 1200), reads=reads)
    first = 1240 - rows["detection_seconds"]
    last = first + rows["exposure_seconds"]
    end = 1240 + 12
    assert (last <= end + 1e-6).all()
    assert stats.kstest(end - last, stats.expon(scale=1 / (rate * weight)).cdf).pvalue > ALPHA
    # where it lies after the decision, it is the rollback
    late = last >= 1240
    assert rows["rollback_seconds"][late] == pytest.approx(last[late] - 1240, abs=1e-5)
    assert np.isnan(rows["rollback_seconds"][~late]).all()


@pytest.mark.parametrize("reads", READS.values(), ids=READS)
def test_connections_that_stay_prolong_the_exposure(reads: tuple[Query, ...]) -> None:
    """Scale to 0 cuts them: the last response lies before the pods are gone from the lists."""
    of = scenario(
        service=QUIET, router={"lag": 1, "connectionLife": 300}, faults=[{"kind": "error_ratio", "ratio": 0.5}]
    )
    rows = columns(of, undo_after(0.5, 600, stay=60), reads=reads)
    assert (rows["rollback_seconds"] > 50).all()
    assert (rows["rollback_seconds"] <= 60 + 1 + 1e-6).all()


@pytest.mark.parametrize("reads", READS.values(), ids=READS)
def test_spans_add_up(reads: tuple[Query, ...]) -> None:
    of = scenario(service=QUIET, faults=[{"kind": "error_ratio", "ratio": 0.01}])
    rows = columns(of, undo_after(0.1, 60), reads=reads)
    detection, rollback, exposure = (rows[f"{name}_seconds"] for name in ("detection", "rollback", "exposure"))
    whole = np.isfinite(detection) & np.isfinite(rollback) & np.isfinite(exposure)
    assert whole.sum() > 100
    assert exposure[whole] == pytest.approx(detection[whole] + rollback[whole], abs=1e-6)
    assert (detection[whole] >= 0).all()
    assert (rollback[whole] >= 0).all()
    # 60 s x 10/s x 1 %: e⁻⁶ of the worlds see no bad response before the decision
    assert np.isnan(detection).sum() <= 256 * math.exp(-6) + 5


@pytest.mark.parametrize("reads", READS.values(), ids=READS)
def test_nothing_before_a_late_fault_counts(reads: tuple[Query, ...]) -> None:
    """The canary has errors of its own before: t3 is the first bad response after minute 10, not the first of all."""
    of = scenario(
        service={**QUIET, "errorRatio": 0.02},
        faults=[{"kind": "error_ratio", "ratio": 0.1, "from": "10m"}],
    )
    rows = columns(of, undo_after(0.02, 1960), reads=reads)
    first = 2000 - rows["detection_seconds"] - 600
    bad = (
        0.02
        + 0.98 * 0.1
        + (0.98 * 0.9) * float(stats.norm.sf(math.log(0.5 / 0.04) / (math.log(0.25 / 0.04) / stats.norm.ppf(0.99))))
    )
    assert stats.kstest(first, stats.expon(scale=1 / (100 * 0.02 * bad)).cdf).pvalue > ALPHA
    assert rows["decision_seconds"].tolist() == pytest.approx([2000 - 600] * 256)
    canary = 0.02 * 100 * (41 + 1960 - 600) * 0.98 * 0.1
    assert poisson_within(rows["failed_requests"].sum(), 256 * (3600 * 100 * 0.02 + canary))


def test_a_decision_before_the_fault_detects_nothing() -> None:
    """Promoted at 10 s, bad from minute 10 on: no detection, no rollback, and no negative time of decision."""

    def program(release: Release) -> Program:
        yield Scale("canary", release.replicas)
        yield AwaitAvailable("canary", release.replicas)
        yield SetWeight(1.0)
        yield Promote()
        yield Wait(30)
        yield Scale("stable", 0)
        return Fate(Outcome.PROMOTED)

    of = scenario(service=QUIET, faults=[{"kind": "error_ratio", "ratio": 0.1, "from": "10m"}])
    rows = columns(of, program, replications=20)
    for name in ("decision", "detection", "rollback", "exposure"):
        assert np.isnan(rows[f"{name}_seconds"]).all(), name


def test_a_good_release_has_no_times_of_a_fault() -> None:
    of = scenario(
        service=QUIET, release={"bad": 0.5}, faults=[{"kind": "error_ratio", "ratio": 0.5}], users={"count": 1000}
    )
    rows = columns(of, undo_after(0.5, 100))
    good = ~rows["release_bad"]
    assert 60 < good.sum() < 196  # binomial (256, 1/2), beyond 8 standard deviations
    for name in (
        "severity",
        "decision_seconds",
        "detection_seconds",
        "rollback_seconds",
        "exposure_seconds",
        "users_exposed",
    ):
        assert np.isnan(rows[name][good]).all(), name
        assert np.isfinite(rows[name][~good]).all(), name
    assert rows["failed_requests"][good].sum() == 0


def test_a_fault_that_is_still_served_is_censored() -> None:
    """Promoted: the last response of the bad revision lies beyond the horizon, so there is no exposure to report."""

    def program(release: Release) -> Program:
        yield Scale("canary", release.replicas)
        yield AwaitAvailable("canary", release.replicas)
        yield SetWeight(1.0)
        yield Promote()
        return Fate(Outcome.PROMOTED)

    rows = columns(scenario(service=QUIET, faults=[{"kind": "error_ratio", "ratio": 0.1}]), program, replications=20)
    assert np.isnan(rows["exposure_seconds"]).all()
    assert np.isnan(rows["detection_seconds"]).all()


def test_a_fault_of_both_revisions_is_seen_in_either() -> None:
    """It acts from the start, on all traffic: the first bad response comes after Exp(rate x ratio)."""
    of = scenario(service=QUIET, faults=[{"kind": "error_ratio", "ratio": 0.01, "on": "both"}])
    rows = columns(of, undo_after(0.1, 100))
    first = 140 - rows["detection_seconds"]
    slow = float(stats.norm.sf(math.log(0.5 / 0.04) / (math.log(0.25 / 0.04) / stats.norm.ppf(0.99))))
    assert stats.kstest(first, stats.expon(scale=1 / (100 * (0.01 + 0.99 * slow))).cdf).pvalue > ALPHA
