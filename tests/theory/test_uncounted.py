"""A router that answers 503 where a revision has no endpoint, and counts that under no revision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from worlds import CONSTANT_STARTUP, scenario

import rolloutlab as lab
from scenarios.schema import Scenario
from sim.engines.batch import Chunk
from sim.engines.event import run_one
from sim.model import ChunkDraws, compile_model
from sim.rows import Rows
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
    Strategy,
    Wait,
)

ROWS = 24
BY_SERVICE = PromQuery('sum(increase(traefik_service_requests_total{service="web-canary",code="500"}[10m]))')
BY_POD = PromQuery("sum(up)")  #: with it, pods are counted one by one
RATIO = Query(quantity="error_ratio", window_seconds=120)
NO_ENDPOINT: dict[str, Any] = {"faults": [{"kind": "never_ready"}]}
#: the only pod dies at 150 s, is restarted 10 s later, and is an endpoint until 5 s after its death
DIES: dict[str, Any] = {"faults": [{"kind": "crash_loop", "after": "150s"}]}


def asked_of(policy: str, asks: tuple[Ask, ...], words: dict[str, Any]) -> Scenario:
    return scenario(
        traffic={"rate": "20/s"},
        horizon="290s",
        service={"name": "web", "errorRatio": 0, "startup": CONSTANT_STARTUP, "endpointLag": ["5s", "5s"]},
        metrics={"services": {"canary": "web-canary", "stable": "web-stable"}, "scrapeInterval": "5s"},
        router={"noEndpoints": policy, "lag": "0s"},
        **words,
    )


def half(asks: tuple[Ask, ...], *, after: float) -> Strategy:
    """Half of the traffic to one canary pod that has had the time to start, then every question once, at 280 s."""

    def program(release: Release) -> Program:
        yield Scale("canary", 1)
        yield Wait(after)
        yield SetWeight(0.5)
        yield Wait(280 - after)
        for ask in asks:
            yield Measure(ask)
        return Fate(Outcome.PAUSED)

    return Strategy("half", program, asks)


def of_engine(
    engine: str, policy: str, asks: tuple[Ask, ...], words: dict[str, Any], *, after: float = 60
) -> tuple[list[list[Measured]], NDArray[Any]]:
    """Answers and failed requests of each replication."""
    strategy = half(asks, after=after)
    model = compile_model(asked_of(policy, asks, words), asks)
    found: list[list[Measured]] = [[] for _ in range(ROWS)]

    def record(row: int) -> Any:
        def see(at_us: int, kind: str, task: int, name: str, what: Any) -> None:
            if kind == "answer" and isinstance(what, Measured):
                found[row].append(what)

        return see

    if engine == "batch":
        rows = Chunk(model, strategy, 4, 0, replications=ROWS, record=record).run()
        return found, np.asarray(rows["failed_requests"])
    draws = ChunkDraws(model, 4, 0)
    every = [run_one(model, strategy, 4, row, record=record(row), draws=draws) for row in range(ROWS)]
    return found, np.array([one["failed_requests"][0] for one in every])


@pytest.mark.parametrize("more", [(), (BY_POD,)], ids=["by revision", "by pod"])
@pytest.mark.parametrize("engine", ["batch", "event"])
def test_users_see_what_the_series_of_the_revision_do_not(engine: str, more: tuple[Ask, ...]) -> None:
    """Half of 20 requests a second for 220 s until the question and 230 s in all; no pod of the canary is ever ready.

    Means of 24 Poisson counts; alpha below 1e-6 at 5 standard errors.
    """
    asks = (CountsQuery(), BY_SERVICE, RATIO, *more)
    for policy in ("fail", "uncounted"):
        found, failed = of_engine(engine, policy, asks, NO_ENDPOINT)
        assert abs(failed.mean() - 2300) < 5 * math.sqrt(2300 / ROWS)
        canary = np.array([each[0].result[:2] for each in found])
        if policy == "fail":
            assert abs(canary[:, 0].mean() - 2200) < 5 * math.sqrt(2200 / ROWS) + 5 * 10  # up to a scrape ago
            assert (canary[:, 0] == canary[:, 1]).all()
            assert all(each[1].value is not None and each[1].value > 1500 for each in found)
            assert all(each[2].value == 1.0 for each in found)
        else:
            assert (canary == 0).all()
            assert all(each[1].value is None for each in found), "the series of a code begins with its first response"
            assert all(each[2].value is None or math.isnan(each[2].value) for each in found), "no data is not 0"


@pytest.mark.parametrize("more", [(), (BY_POD,)], ids=["by revision", "by pod"])
@pytest.mark.parametrize("engine", ["batch", "event"])
def test_a_dead_pod_among_the_endpoints_is_counted(engine: str, more: tuple[Ask, ...]) -> None:
    """5 s (and the mean response time) of 10 requests a second find a dead endpoint, 40 s find none."""
    asks = (CountsQuery(), *more)
    counted, users = {}, {}
    for policy in ("fail", "uncounted"):
        found, failed = of_engine(engine, policy, asks, DIES)
        counted[policy] = np.array([each[0].result[1] for each in found]).mean()
        users[policy] = failed.mean()
    refused = 10 * 5.06
    assert abs(counted["uncounted"] - refused) < 5 * math.sqrt(refused / ROWS) + 2
    assert counted["fail"] > 6 * refused
    assert abs(users["fail"] - users["uncounted"]) < 5 * math.sqrt(2 * users["fail"] / ROWS)
    assert users["fail"] >= counted["fail"]


@pytest.mark.parametrize("more", [(), (BY_POD,)], ids=["by revision", "by pod"])
def test_the_engines_agree_on_what_is_counted(more: tuple[Ask, ...]) -> None:
    """The same worlds in both, so Poisson noise alone: 5.5 standard errors, alpha below 1e-6 for both questions."""
    asks = (CountsQuery(), BY_SERVICE, *more)
    (batch, of_batch), (event, of_event) = (of_engine(name, "uncounted", asks, DIES) for name in ("batch", "event"))
    for place in (0, 1):
        means = [
            np.mean([each[0].result[1] if place == 0 else each[1].value for each in found]) for found in (batch, event)
        ]
        assert min(means) > 15  # of an increase what came before the first scrape with an error is missing
        assert abs(means[0] - means[1]) < 5.5 * math.sqrt(sum(means) / ROWS)
    assert abs(of_batch.mean() - of_event.mean()) < 5.5 * math.sqrt((of_batch.mean() + of_event.mean()) / ROWS)


def test_every_column_is_that_of_fail_until_a_strategy_sees_the_difference() -> None:
    """The same draws: who looks and does not act has the same users, to the last request."""
    found: list[Rows] = []
    for policy in ("fail", "uncounted"):
        asks: tuple[Ask, ...] = (RATIO,)
        model = compile_model(asked_of(policy, asks, DIES), asks)
        found.append(Chunk(model, half(asks, after=60), 8, 0, replications=ROWS).run())
    assert found[0]["failed_requests"].sum() > 100
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name], err_msg=name)


def test_a_stable_revision_without_pods_is_not_counted_either() -> None:
    """Blue-green gone wrong: the old pods are away while the weight is theirs."""

    def program(release: Release) -> Program:
        yield Scale("canary", 1)
        yield AwaitAvailable("canary", 1)
        yield Scale("stable", 0)
        yield Wait(120)
        yield Measure(CountsQuery())
        return Fate(Outcome.PAUSED)

    failures = {}
    for policy in ("fail", "uncounted"):
        model = compile_model(asked_of(policy, (), {}), (CountsQuery(),))
        found: list[Measured] = []

        def see(at_us: int, kind: str, task: int, name: str, what: Any, found: list[Measured] = found) -> None:
            if isinstance(what, Measured):
                found.append(what)

        Chunk(model, Strategy("away", program, (CountsQuery(),)), 1, 0, replications=1, record=lambda row: see).run()
        failures[policy] = found[0].result[3]
    assert failures["fail"] > 20 * 100
    assert failures["uncounted"] < 20 * 7


SOON = ["100ms", "500ms"]  #: how long a dead pod is an endpoint; by default 1 to 2 s


@pytest.mark.parametrize("strategy", ["canary", "blue-green"])
def test_a_canary_that_runs_out_of_memory_is_seen_late_or_never(strategy: str) -> None:
    """`chaos-leak`, where drills behind Traefik promoted blue-green and took the canary back at its second death."""
    outcomes, decided = {}, {}
    for policy in ("fail", "uncounted"):
        changed = lab.scenario("chaos-leak").with_(service__endpointLag=SOON, router__noEndpoints=policy)
        (cell,) = lab.simulate(changed, strategies=[strategy], runs=512, jobs=1).cells
        outcomes[policy] = cell.share("rolled_back").value
        decided[policy] = cell.quantile("decision_seconds", 0.5).value
    assert outcomes["fail"] > 0.9
    assert decided["fail"] < 540
    assert outcomes["uncounted"] < 0.35
    assert decided["uncounted"] > 600
