"""Pods counted one by one: the two engines agree, requests are conserved, and a pod's series is born and dies with it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scenarios.schema import Scenario
from sim.engines.batch import Chunk
from sim.engines.event import run_one
from sim.model import ChunkDraws, Model, compile_model
from sim.seeds import CHUNK
from sim.testing import first_difference, record_tape, replay_in_batch, replay_in_event
from strategies.effects import (
    Ask,
    AwaitAvailable,
    CountsQuery,
    Fate,
    Measure,
    Measured,
    Outcome,
    Program,
    Promote,
    PromQuery,
    Query,
    Release,
    RollTo,
    Scale,
    SetWeight,
    Strategy,
    Wait,
)

BY_POD = PromQuery("sum by (pod) (rate(http_requests_total[1m]))")
ERRORS = Query(quantity="error_ratio", window_seconds=60)
ASKED: tuple[Ask, ...] = (
    BY_POD,
    PromQuery('sum(rate(http_requests_total{code=~"5.."}[1m])) / sum(rate(http_requests_total[1m]))'),
    PromQuery("histogram_quantile(0.9, sum by (le, revision) (rate(http_request_duration_seconds_bucket[2m])))"),
    PromQuery("up"),
    PromQuery('kube_pod_status_ready{condition="true"}'),
    PromQuery("increase(kube_pod_container_status_restarts_total[5m])"),
    PromQuery("process_resident_memory_bytes / on(pod) container_memory_working_set_bytes"),
    PromQuery("max(container_memory_working_set_bytes) - min(process_resident_memory_bytes)"),
    PromQuery("db_pool_connections_in_use / db_pool_connections_max"),
    PromQuery("sum(istio_requests_total) - sum(http_requests_total)"),
    ERRORS,
    Query(quantity="success_ratio", revision="all", window_seconds=45),
    Query(quantity="latency_quantile", window_seconds=60),
    Query(quantity="request_rate", revision="stable", window_seconds=60),
    CountsQuery(),
)


def compiled(reads: tuple[Ask, ...], **parts: Any) -> Model:
    words = {
        "apiVersion": "rolloutlab/v1",
        "strategies": {"any": {}},
        "traffic": {"rate": "20/s"},
        "horizon": "10m",
        **parts,
    }
    words["service"] = {"name": "web", "replicas": 3, **parts.get("service", {})}
    return compile_model(Scenario.model_validate(words), reads)


def rollout(release: Release) -> Program:
    """Half of the traffic, then all of it, then fewer pods; it asks everything every 75 seconds."""
    yield Scale("canary", release.replicas)
    yield AwaitAvailable("canary", release.replicas, None)
    yield SetWeight(0.5)
    for step in range(6):
        yield Wait(75)
        for ask in ASKED:
            yield Measure(ask)
        if step == 3:
            yield SetWeight(1.0)
            yield Scale("stable", 0)
    yield Promote()
    return Fate(Outcome.PROMOTED)


EVERYTHING = Strategy("everything", rollout, ASKED)
WORLDS: dict[str, dict[str, Any]] = {
    "good": {},
    "crash": {"faults": [{"kind": "crash_loop", "after": "40s"}]},
    "leak": {"faults": [{"kind": "memory_leak", "mibPerRequest": 1.0}, {"kind": "pool_leak", "perRequest": "1%", "on": "stable"}]},
    "by the minute": {"faults": [{"kind": "memory_leak", "mibPerMinute": 90, "from": "2m"}]},
    "uncounted": {"faults": [{"kind": "crash_loop", "after": "40s"}], "router": {"noEndpoints": "uncounted"}},
    "shared pool": {"faults": [{"kind": "pool_leak", "perRequest": "5%", "scope": "shared"}]},
    "uneven": {"metrics": {"jitter": "4s", "missed": "20%", "lag": "9s", "births": {"codes": "first_event"}}},
    "outage": {"metrics": {"source": "pods", "outage": {"from": "3m", "for": "2m"}}, "router": {"kind": "pods"}},
}  # fmt: skip


@pytest.mark.parametrize("source", ["router", "pods"])
@pytest.mark.parametrize("world", WORLDS)
def test_a_tape_of_pods_replays_in_both_engines(world: str, source: str) -> None:
    parts = {**WORLDS[world], "metrics": {**WORLDS[world].get("metrics", {}), "source": source}}
    model = compiled(ASKED, **parts)
    tape, journals, _ = record_tape(model, EVERYTHING, root=3, replications=3)
    again, _ = replay_in_batch(tape, model, EVERYTHING)
    for row, journal in enumerate(journals):
        text = str(journal.entries)
        assert "np." not in text, "an answer holds a numpy scalar"
        assert "result=[]" in text or world not in ("outage", "crash")
        other, _ = replay_in_event(tape, model, EVERYTHING, row)
        assert first_difference(journal, again[row]) is None, f"batch, replication {row}"
        assert first_difference(journal, other) is None, f"event, replication {row}"


def rolling(release: Release) -> Program:
    """No router: the Deployment controller replaces three pods, whose new containers crash now and then."""
    yield RollTo("canary", release.replicas)
    while True:
        yield Wait(100)
        yield Measure(BY_POD)


@pytest.mark.parametrize("world", [name for name in WORLDS if name != "uneven"])
def test_requests_are_conserved(world: str) -> None:
    """What pods answer and what no pod answers adds up to the exposure of each revision and outcome."""
    model = compiled((BY_POD,), **WORLDS[world])
    pods: NDArray[np.float64] = np.zeros((8, 2, model.regimes, 2))

    def source(rows: NDArray[np.int64], k: int, exposure: Any) -> NDArray[np.int64]:
        pods[rows] += exposure.sum(axis=2)
        return np.zeros((*exposure.shape[:4], 1 + len(model.buckets_seconds) + model.uncounted), dtype=np.int64)

    chunk = Chunk(model, Strategy("rolling", rolling, (BY_POD,)), 5, 0, replications=8, source=source)
    chunk.run()
    assert chunk.plane.total[:8].sum() > 8 * 0.99 * 12_000
    np.testing.assert_allclose(pods, chunk.plane.total[:8], rtol=1e-9, atol=1e-9 * 12_000)


def answers(model: Model, asks: tuple[Ask, ...], program: Any, *, rows: int, seed: int = 0) -> list[list[Measured]]:
    """What each of some replications was answered, in order."""
    seen: dict[str, list[list[Measured]]] = {"all": []}

    def watching(release: Release) -> Program:
        mine: list[Measured] = []
        seen["all"].append(mine)
        inner = program(release)
        answer: Any = None
        while True:
            try:
                answer = yield inner.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(answer, Measured):
                mine.append(answer)

    Chunk(model, Strategy("watched", watching, asks), seed, 0, replications=rows).run()
    return seen["all"]


def of_requests(model: Model, asks: tuple[Ask, ...], program: Any, *, rows: int, seed: int) -> list[list[Measured]]:
    """As `answers`, request by request."""
    draws = ChunkDraws(model, seed, 0)
    found: list[list[Measured]] = []
    for row in range(rows):
        mine: list[Measured] = []

        def record(at_us: int, kind: str, task: int, name: str, what: Any, mine: list[Measured] = mine) -> None:
            if kind == "answer" and isinstance(what, Measured):
                mine.append(what)

        run_one(model, Strategy("watched", program, asks), seed, row, record=record, draws=draws)
        found.append(mine)
    return found


def test_what_dies_with_a_process_is_told_by_none_in_both_engines() -> None:
    """Canaries die every 40 s of life, between two scrapes: what pods' counters tell, and what the router counted.

    Some 1,500 requests a replication, and Poisson noise alone between engines that share their worlds: 5.5 standard
    errors of 24 replications are 60 requests, alpha below 1e-6. What is lost is some 75 requests at each of four deaths.
    """
    asks = (CountsQuery(), PromQuery('sum(increase(istio_requests_total{revision="canary"}[10m]))'))

    def program(release: Release) -> Program:
        yield Scale("canary", 1)
        yield SetWeight(0.5)
        yield Wait(540)
        for ask in asks:
            yield Measure(ask)
        return Fate(Outcome.PAUSED)

    faults = [{"kind": "crash_loop", "after": "60s"}]
    model = compiled(asks, faults=faults, metrics={"source": "pods"}, service={"startup": {"spread": 0}})
    batch, event = (engine(model, asks, program, rows=24, seed=2) for engine in (answers, of_requests))
    told = np.array([[each[0].result[0] for each in found] for found in (batch, event)])
    routed = np.array([[each[1].value for each in found] for found in (batch, event)])
    assert np.all(told < routed - 1000), "nothing was lost"
    assert told.min() > 500
    for counts in (told, routed):
        means = counts.mean(axis=1)
        assert abs(means[0] - means[1]) < 5.5 * math.sqrt(means.sum() / 24)


def test_a_pods_series_comes_and_goes_with_it() -> None:
    up = PromQuery("sum(up)")
    series = PromQuery("count(http_requests_total)")

    def program(release: Release) -> Program:
        yield Wait(60)
        yield Measure(up)  # three pods of stable
        yield Measure(series)
        yield Scale("canary", 1)
        yield AwaitAvailable("canary", 1, None)
        yield Wait(20)
        yield Measure(up)  # and one more
        yield Measure(series)
        yield Scale("canary", 0)
        yield Wait(60)  # long before the look-back of five minutes is over
        yield Measure(up)
        yield Measure(series)
        return Fate(Outcome.PAUSED)

    found = answers(compiled((up, series)), (up, series), program, rows=8)
    assert {tuple(answer.value for answer in each) for each in found} == {(3, 6, 4, 8, 3, 6)}


def test_a_restart_sets_the_counters_of_a_pod_back_and_rate_sees_through_it() -> None:
    """Every canary dies after 100 s. Its counter falls, `resets` counts it, and a rate stays what the pod answers."""
    resets = PromQuery('resets(http_requests_total{revision="canary",code="200"}[10m])')
    total = PromQuery('http_requests_total{revision="canary",code="200"}')
    restarts = PromQuery('kube_pod_container_status_restarts_total{pod=~"web-canary-.*"}')
    asks = (resets, total, restarts)

    def program(release: Release) -> Program:
        yield Scale("canary", 1)
        yield SetWeight(0.5)
        yield Wait(400)
        for ask in asks:
            yield Measure(ask)
        return Fate(Outcome.PAUSED)

    faults = [{"kind": "crash_loop", "after": "100s"}]
    found = answers(compiled(asks, faults=faults, service={"startup": {"spread": 0}}), asks, program, rows=16)
    for reset, _, restarted in found:
        assert restarted.value == 3
        assert reset.value in (2, 3)  # the third life may not have been scraped yet
    counters = [each[1].value for each in found if each[1].value is not None]
    assert max(counters, default=0.0) < 100 * 20 * 0.5, "a counter holds more than one life has answered"


def test_what_no_pod_answers_only_the_router_sees() -> None:
    """A canary that never becomes ready gets half of the traffic: 503 at the router, nothing at any pod."""
    router = PromQuery('sum(increase(istio_requests_total{revision="canary",response_code="500"}[1m]))')
    pods = PromQuery('sum(increase(http_requests_total{code="500"}[1m]))')

    def program(release: Release) -> Program:
        yield Scale("canary", 1)
        yield Wait(120)
        yield SetWeight(0.5)
        yield Wait(120)
        yield Measure(router)
        yield Measure(pods)
        return Fate(Outcome.PAUSED)

    found = answers(compiled((router, pods), faults=[{"kind": "never_ready"}]), (router, pods), program, rows=32)
    seen = np.array([[answer.value for answer in each] for each in found])
    # 10 of 20 a second for a minute; means of 32 Poisson counts, alpha below 1e-6 at 5 standard errors
    assert abs(seen[:, 0].mean() - 600) < 5 * math.sqrt(600 / 32)
    # the stable pods fail one in a thousand of their 10 a second: 0.6 a minute
    assert seen[:, 1].mean() < 0.6 + 5 * math.sqrt(0.6 * 2 / 32)


def test_engines_draw_the_same_counts_of_pods() -> None:
    """Mean requests of each pod by its own counter, two engines: a z-test of each of six pods and of failed ones.

    A pod's counter at 9 minutes is a Poisson count of some thousands given its world, which both engines share; the
    differences of replications are independent. Bound: 5.5 standard errors, alpha below 1e-6 for all together.
    """
    total = PromQuery("sum by (pod) (http_requests_total)")
    failed = PromQuery('sum(http_requests_total{code="500"})')

    def program(release: Release) -> Program:
        yield Scale("canary", release.replicas)
        yield AwaitAvailable("canary", release.replicas, None)
        yield SetWeight(0.3)
        yield Wait(300)
        for ask in (total, failed):
            yield Measure(ask)
        yield Promote()
        return Fate(Outcome.PROMOTED)

    faults = [{"kind": "error_ratio", "ratio": "20%"}]
    model = compiled((total, failed), faults=faults, service={"startup": {"spread": 0}})
    rows = 24
    one = answers(model, (total, failed), program, rows=rows, seed=9)
    other = of_requests(model, (total, failed), program, rows=rows, seed=9)
    batch = np.array([[*each[0].result, each[1].value] for each in one])
    event = np.array([[*each[0].result, each[1].value] for each in other])
    assert batch.shape == event.shape == (rows, 7)
    assert batch[:, :6].mean() > 500
    error = np.sqrt((batch.mean(axis=0) + event.mean(axis=0)) / rows)
    np.testing.assert_array_less(np.abs(batch.mean(axis=0) - event.mean(axis=0)), 5.5 * error)


def test_typed_measures_know_what_the_scenario_calls_a_revision() -> None:
    def program(release: Release) -> Program:
        yield Scale("canary", 1)
        yield SetWeight(0.5)
        yield Wait(150)
        yield Measure(ERRORS)
        return Fate(Outcome.PAUSED)

    seen = []
    for labels in ({}, {"canary": {"revision": 'v2 "new"'}, "stable": {"revision": "v1"}}):
        model = compiled((ERRORS,), metrics={"source": "pods", "labels": labels})
        seen.append([(each[0].value, each[0].requests) for each in answers(model, (ERRORS,), program, rows=8)])
    assert seen[0] == seen[1]
    assert min(requests or 0 for _, requests in seen[0]) > 100


def test_typed_measures_of_pods_do_not_see_what_no_pod_answers() -> None:
    """A crash loop: at the router every second response of the canary fails, its own series hold almost no error."""

    def program(release: Release) -> Program:
        yield Scale("canary", 1)
        yield SetWeight(0.5)
        yield Wait(150)  # it died at 105, came back at 115, and is ready again at about 145
        yield Measure(ERRORS)
        return Fate(Outcome.PAUSED)

    ratios = {}
    for source in ("router", "pods"):
        faults = [{"kind": "crash_loop", "after": "100s"}]
        model = compiled((ERRORS,), faults=faults, service={"startup": {"spread": 0}}, metrics={"source": source})
        found = answers(model, (ERRORS,), program, rows=CHUNK // 4)
        ratios[source] = [
            each[0].value for each in found if each[0].value is not None and not math.isnan(each[0].value)
        ]
    assert np.mean(ratios["router"]) > 0.3
    assert not ratios["pods"] or np.mean(ratios["pods"]) < 0.02
