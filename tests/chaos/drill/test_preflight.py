"""Preflight: what is refused by name, the speed, the traffic, and what a journal keeps of a plan."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos import preflight, rates
from chaos.cluster.preflight import _labels, there
from chaos.cluster.settings import ClusterSettings
from chaos.faults import ProcessFault, planned
from chaos.guards import Limits
from chaos.journal import JournalError
from chaos.looks import Looks
from chaos.plan import Settings, Source, make
from chaos.runner import header, planned_by
from scenarios.errors import ScenarioErrors
from scenarios.library import find
from scenarios.schema import Scenario
from strategies.effects import Measured, Query, Release

ERRORS = str(find("errors-5pct"))


def scenario(**more: Any) -> Scenario:
    return Scenario.model_validate(
        {"apiVersion": "rolloutlab/v1", "strategies": {"canary": {"canary": {"steps": []}}}, **more}
    )


def refusals(**more: Any) -> list[str]:
    asked = scenario(**more)
    return preflight.refused(asked, planned(asked, severity=1.0, bad=True))


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"router": {"connectionLife": "60s"}}, "router.connectionLife"),
        ({"router": {"noEndpoints": "fallback"}}, "router.noEndpoints"),
        ({"router": {"noEndpoints": "uncounted"}}, "router.noEndpoints: Envoy answers 503"),
        ({"users": {"count": 10, "routing": "sticky"}}, "users.routing"),
        ({"release": {"first": True}}, "release.first"),
        ({"metrics": {"jitter": "1s"}}, "metrics.jitter"),
        ({"metrics": {"missed": "1%"}}, "metrics.missed"),
        ({"metrics": {"lag": "1s"}}, "metrics.lag"),
        ({"metrics": {"labels": {"canary": {"team": "a"}}}}, "metrics.labels"),
        ({"faults": [{"kind": "pool_leak", "perRequest": "1%", "scope": "shared"}]}, "faults[0].scope"),
        ({"faults": [{"kind": "added_latency", "add": "1s"}] * 2}, "faults[1]"),
        ({"service": {"replicas": 31}}, "service.replicas"),
        ({"service": {"probes": {"readiness": None}}, "faults": [{"kind": "never_ready"}]}, "faults[0]"),
    ],
)
def test_a_field_that_this_world_cannot_do_is_refused_by_name(more: dict[str, Any], field: str) -> None:
    found = refusals(**more)
    assert len(found) == 1
    assert found[0].startswith(field)


def test_what_it_can_do_is_not_refused() -> None:
    assert refusals() == []
    assert refusals(faults=[{"kind": "added_latency", "add": "1s", "on": on} for on in ("canary", "stable")]) == []


@pytest.mark.parametrize(("value", "refused"), [("fail", 0), ("uncounted", 0), ("fallback", 1)])
def test_a_gateway_may_count_nothing_for_a_revision_without_endpoints(value: str, refused: int, tmp_path: Path) -> None:
    """What is refused is known without the cluster, which is not there."""
    asked = scenario(router={"noEndpoints": value})
    settings = ClusterSettings(kubeconfig=str(tmp_path / "none.yaml"))
    found = there(asked, planned(asked, severity=1.0, bad=True), settings, state=tmp_path, by_router=False)
    assert found.problems
    assert [line.split(":")[0] for line in found.refused] == ["router.noEndpoints"] * refused
    assert all("expected fail or uncounted, got fallback" in line for line in found.refused)


def test_that_traefik_does_not_count_is_said_where_the_scenario_says_otherwise() -> None:
    for value, told in (("fail", True), ("uncounted", False)):
        lines = _labels(scenario(router={"noEndpoints": value}), ClusterSettings(), routed=True, counted=True)
        assert any(line.startswith("metrics.source: Traefik") for line in lines) is told


def test_a_speed_is_chosen_or_refused() -> None:
    fast = scenario(traffic={"rate": "1/s"}, metrics={"scrapeInterval": "10s"})
    assert preflight.choose_speed(fast, 1.0, 30.0, None) == (1.0, [])
    speed, problems = preflight.choose_speed(fast, 1.0, 600.0, None)
    assert (speed, problems) == (10.0, [])
    most, bound = preflight.fastest(fast, 1.0)
    assert preflight.choose_speed(fast, 1.0, 1e9, None)[0] <= most
    _, problems = preflight.choose_speed(fast, 1.0, 600.0, 2 * most)
    assert len(problems) == 1
    assert bound in problems[0]
    _, problems = preflight.choose_speed(fast, 1e6, 600.0, None)
    assert "traffic of" in problems[0]


def test_a_dry_run_says_how_long_a_rollout_should_take() -> None:
    bad = make(Source(path=ERRORS), "canary")
    assert 240 < bad.expected_seconds < 400, "the fourth bad look comes 240 s after the first weight"
    good = make(Source(path=ERRORS, overrides={"release.bad": 0}), "canary")
    assert 2100 < good.expected_seconds < 2500, "pauses of 35 minutes"
    assert (good.bad, good.faults) == (False, ())
    crash = make(Source(path=str(find("crash-loop"))), "canary")
    assert 595 < crash.expected_seconds < 660, "the progress deadline is 600 s"


def test_a_plan_says_what_is_not_as_in_truth() -> None:
    plan = make(Source(path=ERRORS), "canary", Settings(speed=2.0))
    assert any("sped up 2 times" in label for label in plan.labels)
    assert any("router.lag" in label for label in plan.labels)
    assert plan.problems == ()


def test_an_unknown_strategy_lists_the_known() -> None:
    with pytest.raises((ScenarioErrors, ValueError), match="did you mean 'canary'"):
        make(Source(path=ERRORS), "canry")


def test_a_state_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    plan = make(Source(path=ERRORS), "canary", Settings(state=tmp_path / "state"))
    assert any("state folder" in problem for problem in plan.problems)


def test_a_disk_without_room_for_a_drill_is_a_problem_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 << 20))
    (problem,) = make(Source(path=ERRORS), "canary", Settings(state=tmp_path)).problems
    assert problem.startswith(f"the state folder {tmp_path} is on a disk with 3.0 MiB left, 16 MiB are needed")
    assert problem.endswith("ROLLOUTLAB_STATE names another folder")


def test_a_rollout_is_expected_to_last_until_a_leak_hurts() -> None:
    """64 MiB at 10 a minute are 384 s; 20 connections at 5 % of 5 requests a second 80 s; the looks end it soon after."""

    def expected(name: str) -> float:
        return make(Source(path=str(find(name))), "canary", Settings(speed=1.0)).expected_seconds

    at_once, first_look, interval = (
        expected("chaos-errors"),
        95.0,
        30.0,
    )  # pods need 35 s, the first look comes 60 s later
    for name, onset in (("chaos-leak", 384.0), ("chaos-pool", 80.0), ("chaos-rollback", 240.0)):
        late = max(0.0, onset - first_look)
        assert at_once + late <= expected(name) <= at_once + late + interval, name


def test_leaks_need_memory() -> None:
    asked = scenario(
        faults=[{"kind": "memory_leak", "mibPerRequest": 1}], service={"resources": {"memoryLimit": "512Gi"}}
    )
    problems = preflight.machine_problems(asked, planned(asked, severity=1, bad=True))
    assert any(problem.startswith("memory:") for problem in problems)


# --- the journal's header ----------------------------------------------------------------------------------------


def test_a_plan_is_the_same_after_its_header() -> None:
    given_settings = Settings(
        speed=3.0,
        seed=7,
        extra=(ProcessFault(kind="hang", on="stable", replicas=1, for_seconds=5.0),),
        limits=Limits(p99_seconds=2.0),
    )
    plan = make(Source(path=ERRORS, overrides={"faults": []}), "canary", given_settings)
    again = planned_by(json.loads(json.dumps(header(plan))))
    assert again.settings == plan.settings
    assert (again.steps, again.faults, again.bad, again.severity) == (plan.steps, plan.faults, plan.bad, plan.severity)


def test_a_changed_scenario_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    text = (
        "apiVersion: rolloutlab/v1\nkind: Scenario\nhorizon: 5m\ntraffic: {rate: 5/s}\n"
        "strategies:\n  rolling:\n    rollingUpdate: {}\n"
    )
    path.write_text(text)
    told = header(make(Source(path=str(path)), "rolling"))
    planned_by(told)
    path.write_text(text.replace("5m", "6m"))
    with pytest.raises(JournalError, match="has changed"):
        planned_by(told)
    path.unlink()
    with pytest.raises(JournalError, match="cannot be read"):
        planned_by(told)
    with pytest.raises(JournalError, match="no drill"):
        planned_by({"format": "x"})


# --- draws, faults, traffic --------------------------------------------------------------------------------------


def test_a_seed_is_a_world() -> None:
    law = {"release.severity": {"kind": "uniform", "low": 0.5, "high": 2.0}, "release.bad": 0.5}
    plans = [make(Source(path=ERRORS, overrides=law), "canary", Settings(seed=seed)) for seed in range(12)]
    assert len({plan.severity for plan in plans}) == 12
    assert {plan.bad for plan in plans} == {True, False}
    assert all(0.5 <= plan.severity <= 2.0 for plan in plans)
    again = make(Source(path=ERRORS, overrides=law), "canary", Settings(seed=3))
    assert (again.bad, again.severity) == (plans[3].bad, plans[3].severity)


def test_faults_of_a_good_release_are_not_there_but_an_outage_is() -> None:
    asked = scenario(
        faults=[{"kind": "error_ratio", "ratio": "5%"}, {"kind": "never_ready", "on": "both"}],
        metrics={"outage": {"from": "10s", "for": "20s"}},
    )
    every = planned(asked, severity=2.0, bad=True, by_router=True, extra=[ProcessFault(kind="kill")])
    assert [(each.number, each.kind, each.engine) for each in every] == [
        (0, "error_ratio", "router"),
        (1, "never_ready", "application"),
        (2, "kill", "processes"),
        (3, "blind", "scraper"),
    ]
    assert every[1].revisions == ("stable", "canary")
    assert [each.kind for each in planned(asked, severity=1.0, bad=False)] == ["blind"]


@pytest.mark.parametrize("wrong", [{"from_seconds": -1}, {"from_weight": 2}, {"replicas": 0}, {"for_seconds": 0}])
def test_a_process_fault_has_limits(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        ProcessFault(kind="kill", **wrong)


TRAFFIC = [
    {"kind": "constant", "rate": "12/s"},
    {"kind": "daily", "mean": "10/s", "startAt": "3h"},
    {"kind": "daily", "mean": "10/s"},
    {"kind": "flash_crowd", "base": "2/s", "peak": "30/s", "at": "200s", "rise": "20s", "decay": "60s"},
]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(TRAFFIC), st.floats(1, 30), st.integers(0, 5))
def test_the_generator_sends_what_the_scenario_says(words: dict[str, Any], speed: float, seed: int) -> None:
    """Requests of the steps between rollout start and end, against the integral of the law in the simulator."""
    from sim.traffic import law

    asked = scenario(traffic=words, horizon="10m")
    found = rates.steps(
        asked.traffic, lead_seconds=20.0, until_seconds=600.0, speed=speed, rng=np.random.default_rng(seed)
    )
    times = [at for at, _ in found]
    assert times[0] == 0.0
    assert times == sorted(set(times))
    edges = [*times, (600.0 + 20.0) / speed]
    begins = 20.0 / speed
    sent = sum(
        rate * max(0.0, min(high, edges[-1]) - max(low, begins))
        for (low, rate), high in zip(found, edges[1:], strict=True)
    )
    expected = law(asked.traffic, 600.0)
    totals = expected.at(expected.starts_seconds + 600.0) - expected.at(expected.starts_seconds)
    assert totals.min() * 0.99 <= sent <= totals.max() * 1.01


def test_a_crowd_comes_when_the_scenario_says() -> None:
    """Requests until each of some instants, against the integral of the law in the simulator."""
    from sim.traffic import law

    asked = scenario(traffic=TRAFFIC[3], horizon="10m")
    speed, lead = 5.0, 20.0
    found = rates.steps(
        asked.traffic, lead_seconds=lead, until_seconds=600.0, speed=speed, rng=np.random.default_rng(0)
    )
    edges = [at for at, _ in found] + [1e9]
    for until in (150.0, 195.0, 205.0, 260.0):
        real = (until + lead) / speed
        sent = sum(
            rate * max(0.0, min(high, real) - max(low, lead / speed))
            for (low, rate), high in zip(found, edges[1:], strict=True)
        )
        assert sent == pytest.approx(float(law(asked.traffic, 600.0).at(np.array([until]))[0]), rel=0.02)


def test_a_trace_goes_round(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("timestamp,requests\n" + "".join(f"{10 * i},{100 if i % 2 else 20}\n" for i in range(6)))
    asked = scenario(traffic={"kind": "trace", "file": str(path), "startAt": "0s", "scaleToMean": "3/s"})
    found = rates.steps(asked.traffic, lead_seconds=0, until_seconds=120, speed=1.0, rng=np.random.default_rng(0))
    assert {round(rate, 6) for _, rate in found} == {1.0, 5.0}
    assert rates.peak(found) == pytest.approx(5.0)


# --- looks -------------------------------------------------------------------------------------------------------


def test_the_conditions_of_a_strategy_say_which_looks_are_bad() -> None:
    plan = make(Source(path=ERRORS), "canary")
    looks = Looks(plan.strategy)
    asked = next(ask for ask in plan.strategy.reads if isinstance(ask, Query) and ask.quantity == "error_ratio")
    assert looks.known
    assert looks.bad(asked, Measured(1.0, 0.05))
    assert not looks.bad(asked, Measured(1.0, 0.001))
    assert not looks.bad(asked, Measured(1.0, None)), "no data is an error, not a bad look"
    assert not Looks(make(Source(path=ERRORS), "rolling").strategy).known


def test_a_dry_run_of_a_strategy_that_never_ends_takes_the_horizon() -> None:
    plan = make(Source(path=ERRORS, overrides={"people": {"approval": None}}), "canary")
    release = Release(replicas=1)
    assert preflight.expected_seconds(plan.scenario, plan.strategy, release, ()) <= plan.scenario.horizon_seconds
