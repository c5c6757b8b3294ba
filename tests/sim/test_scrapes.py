"""Scrapes as real ones are: late, failing, out, and seen late; each against what arithmetic says of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from worlds import chunk, scenario

from strategies.effects import (
    Ask,
    AwaitAvailable,
    CountsQuery,
    Fate,
    Measure,
    Measured,
    Outcome,
    Program,
    PromQuery,
    Query,
    Release,
    Scale,
    SetWeight,
    Wait,
)

RATE = PromQuery("sum(rate(istio_requests_total[1m]))")
TYPED = Query(quantity="request_rate", revision="all", window_seconds=60)
STABLE = {"service": {"name": "web", "replicas": 2}, "traffic": {"rate": "100/s"}, "horizon": "20m"}


def asked(asks: tuple[Ask, ...], at: list[float], **parts: Any) -> list[list[list[Measured]]]:
    """[replication][time][question]: what 256 replications of a stable service answer at some times."""
    found: list[list[list[Measured]]] = []

    def program(release: Release) -> Program:
        mine: list[list[Measured]] = []
        found.append(mine)
        passed = 0.0
        for time in at:
            yield Wait(time - passed)
            answers = []
            for ask in asks:
                answers.append((yield Measure(ask)))
            mine.append(answers)
            passed = answers[-1].at_seconds
        return Fate(Outcome.PAUSED)

    chunk(scenario(**{**STABLE, **parts}), program, reads=asks).run()
    return found


def numbers(found: list[list[list[Measured]]], time: int, ask: int) -> NDArray[np.float64]:
    return np.array([each[time][ask].value for each in found], dtype=float)


@pytest.mark.parametrize("source", ["router", "pods"])
def test_the_share_of_scrapes_that_fail(source: str) -> None:
    """`up` of two pods over ten minutes: 256 x 2 x 40 scrapes, each fails with 20 %; 5 standard errors, alpha 6e-7."""
    up = PromQuery("avg(avg_over_time(up[10m]))")
    found = asked((up, TYPED), [620], metrics={"missed": "20%", "source": source})
    share = numbers(found, 0, 0)
    assert abs(share.mean() - 0.8) < 5 * math.sqrt(0.8 * 0.2 / (256 * 2 * 40))
    # a window has four scrapes; fewer than two succeed with 0.2^4 + 4 x 0.8 x 0.2^3 = 2.7 %, of both pods 0.07 %
    none = 0.0272 if source == "router" else 0.0272**2
    rates = numbers(found, 0, 1)
    assert abs(np.isnan(rates).mean() - none) < 5 * math.sqrt(none / 256)
    # where a sample is missing at an edge, Prometheus stretches by half a spacing only and reads too little
    assert 75 < np.nanmean(rates) < 101


def test_late_scrapes_keep_their_order_and_the_rate() -> None:
    stamps = PromQuery("timestamp(istio_requests_total{revision='stable',response_code='200'})")
    spacing = PromQuery("max(deriv(timestamp(istio_requests_total{revision='stable'})[5m:15s]))")
    found = asked((stamps, spacing, RATE), [600], metrics={"jitter": "12s"})
    age = 600 - numbers(found, 0, 0)
    # the last scrape is between 0 and 15 + 12 s old; without jitter it would be uniform below 15 s
    assert age.min() >= 0
    assert 15 < age.max() < 27
    # an edge further away than 1.1 spacings is stretched to by half a spacing, so uneven scrapes read too little
    assert 90 < numbers(found, 0, 2).mean() < 101
    assert np.all(np.isfinite(numbers(found, 0, 1)))


def test_an_outage_ends_series_at_once_and_rates_with_their_window() -> None:
    """Out from 300 to 500 s. The markers of the first failed scrape end what is instant; rates live on in the window."""
    instant = PromQuery("sum(istio_requests_total)")
    up = PromQuery("sum(up)")
    pods = PromQuery("count(http_requests_total)")
    asks = (instant, RATE, TYPED, up, pods, CountsQuery())
    at = [299, 320, 350, 400, 517, 560]
    found = asked(asks, at, metrics={"outage": {"from": "300s", "for": "200s"}})
    for time, there in [(0, True), (1, False), (3, False), (4, True)]:
        assert np.isfinite(numbers(found, time, 0)).all() == there, at[time]
        assert np.isfinite(numbers(found, time, 4)).all() == there, at[time]
    assert numbers(found, 1, 3).tolist() == [0.0] * 256  # the pods are targets still
    assert numbers(found, 0, 3).tolist() == [2.0] * 256
    for ask in (1, 2):
        # at 320 s a window of a minute holds two or three samples from before 300 s, at 400 s none
        assert np.isfinite(numbers(found, 1, ask)).all()
        assert not np.isfinite(numbers(found, 3, ask)).any()
        assert np.isfinite(numbers(found, 5, ask)).all()
    before, during, after = ([each[time][5].result for each in found] for time in (0, 3, 5))
    assert all(during[row][2] - before[row][2] <= 16 * 130 for row in range(256)), "the counts stand still"
    assert all(after[row][2] > 500 * 90 for row in range(256)), "what was not scraped then is scraped now"


@pytest.mark.parametrize("source", ["router", "pods"])
def test_what_a_lag_hides(source: str) -> None:
    """With a lag of 40 s all counts are those of a scrape at least 40 s ago, and at most 55."""
    found = asked((CountsQuery(),), [600], metrics={"lag": "40s", "source": source})
    counts = np.array([each[0][0].result for each in found])
    assert counts[:, :2].sum() == 0
    # the traffic of 545 to 560 s, 5 standard deviations of a Poisson count aside
    assert counts[:, 2].min() > 54_500 - 5 * math.sqrt(54_500)
    assert counts[:, 2].max() < 56_000 + 5 * math.sqrt(56_000)
    shares = counts[:, 3] / counts[:, 2]
    assert abs(shares.mean() - 0.001) < 5 * math.sqrt(0.001 / counts[:, 2].sum())


def test_counts_of_the_two_sources_are_the_same_traffic() -> None:
    """At 10 minutes, router and pods: 60,000 less what is not scraped yet; means of 256, 5 standard errors."""
    means = []
    for source in ("router", "pods"):
        found = asked((CountsQuery(), TYPED), [600], metrics={"source": source})
        counts = np.array([each[0][0].result for each in found])
        means.append(counts[:, 2].mean())
        assert abs(numbers(found, 0, 1).mean() - 100) < 5 * math.sqrt(100 / 60 / 256) * 1.2
        requests = np.array([each[0][1].requests for each in found])
        # three intervals of 15 s lie between the first and the last of the four scrapes of a window of a minute
        assert abs(requests.mean() - 4500) < 5 * math.sqrt(4500 / 256)
    # the scrape phases are the same worlds', so that only Poisson noise is between the two
    assert abs(means[0] - means[1]) < 5 * math.sqrt(2 * 60_000 / 256)


FAILED_ONES = {
    "app": PromQuery('sum(http_requests_total{revision="canary",code="500"})'),
    "router": PromQuery('sum(istio_requests_total{revision="canary",response_code="500"})'),
}


def born(ask: PromQuery, births: str | None) -> float:
    """In how many of 256 services a series is there at 100 s of all traffic: 1 error in 10,000, of 100 requests a second."""
    found: list[bool] = []

    def program(release: Release) -> Program:
        yield Scale("canary", 2)
        yield AwaitAvailable("canary", 2, None)
        yield Wait(10)
        yield SetWeight(1.0)
        yield Wait(100)
        found.append((yield Measure(ask)).value is not None)
        return Fate(Outcome.PAUSED)

    service = {"name": "web", "replicas": 2, "errorRatio": "0.01%"}
    metrics = {"births": {"codes": births}} if births else {}
    chunk(scenario(**{**STABLE, "service": service, "metrics": metrics}), program, reads=(ask,)).run()
    return float(np.mean(found))


@pytest.mark.parametrize("source", list(FAILED_ONES))
def test_births_at_the_first_event(source: str) -> None:
    """By 100 s exp(-1) of the canaries have had no error, and their series does not exist."""
    # scraped up to 84 to 99 s of full traffic: 1 - exp(-0.915) = 0.60 on average; 5 standard errors of 256
    assert abs(born(FAILED_ONES[source], "first_event") - 0.6) < 5 * math.sqrt(0.6 * 0.4 / 256)
    assert born(FAILED_ONES[source], "start") == 1


def test_births_without_a_word_are_those_of_the_catalogue() -> None:
    assert born(FAILED_ONES["app"], None) == 1
    assert born(FAILED_ONES["router"], None) < 0.8


@pytest.mark.parametrize(
    "query", ['sum(istio_requests_total{response_code="500"})', 'sum(http_requests_total{code="500"})']
)
@pytest.mark.parametrize("ratio", ["0.01%", "0%"])
def test_the_stable_revision_has_counted_what_it_can_before_the_rollout(query: str, ratio: str) -> None:
    parts = {
        "service": {"name": "web", "replicas": 2, "errorRatio": ratio},
        "metrics": {"births": {"codes": "first_event"}},
    }
    there = np.isfinite(numbers(asked((PromQuery(query),), [100], **parts), 0, 0))
    assert there.all() if ratio != "0%" else not there.any()


def leaking(release: Release, ask: PromQuery, note: Callable[[Measured], None]) -> Program:
    yield Scale("canary", 1)
    yield AwaitAvailable("canary", 1, None)
    yield SetWeight(0.1)
    for _ in range(4):
        yield Wait(60)
        note((yield Measure(ask)))
    return Fate(Outcome.PAUSED)


@pytest.mark.parametrize(
    ("ask", "fault", "per_second", "start"),
    [
        # 6 MiB a minute on top of 256
        ('max(process_resident_memory_bytes{revision="canary"}) / 1024 / 1024', {"kind": "memory_leak", "mibPerMinute": 6}, 0.1, 256),
        # a tenth of 100/s on one pod, 0.01 MiB each; what bites is drawn: 25,600 requests, 160 of standard deviation
        ('container_memory_working_set_bytes{revision="canary"} / 1048576', {"kind": "memory_leak", "mibPerRequest": 0.01}, 0.1, 256),
        # 0.4 % of 10/s, of a pool of 200
        ('db_pool_connections_in_use{revision="canary"}', {"kind": "pool_leak", "perRequest": "0.4%"}, 0.04, 0),
    ],
    ids=["memory by the minute", "memory by request", "pool"],
)  # fmt: skip
def test_gauges_follow_their_leaks(ask: str, fault: dict[str, Any], per_second: float, start: float) -> None:
    """The slope over three minutes between the second and the fourth look, and the level it starts from."""
    found: list[list[float]] = []

    def program(release: Release) -> Program:
        mine: list[float] = []
        found.append(mine)
        yield from leaking(release, PromQuery(ask), lambda answer: mine.append(answer.value or math.nan))
        return Fate(Outcome.PAUSED)

    service = {"name": "web", "replicas": 2, "resources": {"poolSize": 200}}
    chunk(scenario(**{**STABLE, "service": service, "faults": [fault]}), program, reads=(PromQuery(ask),)).run()
    levels = np.nanmean(np.array(found), axis=0)
    # steps of 60 s are four scrapes; thresholds of the leaks are drawn, 256 of them, within some per cent
    np.testing.assert_allclose(np.diff(levels), 60 * per_second, rtol=0.05)
    assert abs(levels[0] - start) < 80 * per_second
    assert levels[0] - start > 30 * per_second


def test_more_pods_than_the_board_began_with() -> None:
    """Two pods a revision at first, then nine: their series add up to the traffic of the revision."""
    ask = PromQuery('sum(rate(http_requests_total{revision="canary"}[1m]))')
    pods = PromQuery('count(up{revision="canary"} == 1)')
    found: list[tuple[float, float]] = []

    def program(release: Release) -> Program:
        yield Scale("canary", 9)
        yield AwaitAvailable("canary", 9, None)
        yield SetWeight(0.5)
        yield Wait(120)
        rate = yield Measure(ask)
        count = yield Measure(pods)
        found.append((rate.value, count.value))
        return Fate(Outcome.PAUSED)

    chunk(scenario(**STABLE), program, reads=(ask, pods), replications=64).run()
    rates, counts = np.array(found).T
    assert counts.tolist() == [9.0] * 64
    # three intervals of 15 s lie in the window, and are stretched to all of it
    assert abs(rates.mean() - 50) < 5 * math.sqrt(50 / 45 / 64)


def test_a_query_that_prometheus_would_refuse_is_an_error_of_its_measurement_alone() -> None:
    many = PromQuery("istio_requests_total * on (job) istio_requests_total")
    found = asked((many, RATE), [100], **STABLE)
    for ((refused, answered),) in found:
        assert (refused.value, refused.result) == (None, None)
        assert "many" in refused.error
        assert answered.error == ""
        assert answered.value is not None
