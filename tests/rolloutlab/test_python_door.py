"""`import rolloutlab as lab`."""

from __future__ import annotations

import re

import numpy as np
import pytest

import rolloutlab as lab
from rolloutlab.question import Asked, read
from scenarios.errors import ScenarioErrors
from strategies.effects import AwaitAvailable, Fate, Outcome, Promote, Release, Scale, SetWeight, Strategy

MANIFESTS = ("scenarios/manifests/checkout-rollout.yaml", "scenarios/manifests/checkout-analysis.yaml")
BIND = {"success-rate": "success_ratio:canary", "latency-p95": "latency_p95:canary"}


def test_exported_names() -> None:
    assert sorted(lab.__all__) == ["Asked", "Result", "compare", "judge", "predict", "scenario", "simulate"]
    assert all(getattr(lab, name) for name in lab.__all__)
    with pytest.raises(AttributeError, match="it has Asked, Result, compare"):
        _ = lab.simulat  # type: ignore[attr-defined]


def test_simulate_gives_frames_and_summaries() -> None:
    result = lab.simulate("errors-5pct", runs=200, seed=1, strategies=["canary"])
    assert len(result.frame) == 200
    assert result.summary.loc[("errors-5pct", "canary", "", "bad_requests"), "n"] == 200
    assert "canary" in repr(result)


def test_one_changed_number_leaves_the_worlds_alone() -> None:
    base = lab.scenario("errors-5pct")
    changed = base.with_(faults__0__ratio="10%")
    assert base.overrides == {}
    one = lab.simulate(base, runs=256, strategies=["rolling"]).frame
    two = lab.simulate(changed, runs=256, strategies=["rolling"]).frame
    np.testing.assert_array_equal(one.peak_pods, two.peak_pods)
    np.testing.assert_array_equal(one.duration_seconds, two.duration_seconds)
    spread = np.sqrt(two.failed_requests.var() / 256)
    assert abs(two.failed_requests.mean() / one.failed_requests.mean() - 2) < 0.1 + 5 * spread


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"release__severity": 2}, "release.severity", 2.0),
        ({"service__error_ratio": "0.2%"}, "service.error_ratio", 0.002),
        ({"service__errorRatio": "0.2%"}, "service.error_ratio", 0.002),
        ({"slo__latency": "300ms"}, "slo.latency_seconds", 0.3),
    ],
)
def test_with_takes_the_words_of_the_file(changes: dict[str, object], field: str, value: float) -> None:
    found = lab.scenario("errors-5pct").with_(**changes).load().scenario
    for name in field.split("."):
        found = getattr(found, name)
    assert found == value  # type: ignore[comparison-overlap]


def test_with_refuses_what_the_schema_does_not_know() -> None:
    with pytest.raises(ScenarioErrors, match="did you mean 'severity'"):
        lab.scenario("errors-5pct").with_(release__severty=2)


def test_a_strategy_of_ones_own() -> None:
    def program(release: Release):  # type: ignore[no-untyped-def]
        yield Scale("canary", release.replicas)
        yield AwaitAvailable("canary", release.replicas, 600.0)
        yield SetWeight(1.0)
        yield Promote()
        return Fate(Outcome.PROMOTED, "all at once")

    result = lab.simulate("good", runs=64, strategies={"mine": Strategy("mine", program)})
    (cell,) = result.cells
    assert cell.strategy == "mine"
    assert cell.share("promoted").value == 1.0


def test_compare_of_several_files_pairs_within_each() -> None:
    result = lab.compare(["good", "errors-5pct"], runs=64, strategies=["rolling", "canary"])
    found = result.differences(["bad_requests"])
    assert [(one.scenario, one.strategy, one.minus) for one in found] == [
        ("good", "canary", "rolling"),
        ("errors-5pct", "canary", "rolling"),
    ]


def test_variants_run_unless_one_is_named() -> None:
    every = [question.variant for question in read(Asked(path="bluegreen-keepalive"))]
    if len(every) == 1:
        pytest.skip("bluegreen-keepalive has no variant any more: name another file with variants here")
    one = read(Asked(path="bluegreen-keepalive", variant=every[1]))
    assert every[0] is None
    assert [question.variant for question in one] == [every[1]]
    assert [question.variant for question in read(Asked(path="bluegreen-keepalive", variants=False))] == [None]


def test_predict_asks_five_worlds_of_a_manifest() -> None:
    result = lab.predict(*MANIFESTS, rate="120/s", bind=BIND, runs=64)
    assert [cell.scenario for cell in result.cells] == ["good", "errors-5pct", "slow", "crash-loop", "memory-leak"]
    assert result.document()["inputs"]["manifests"] == list(MANIFESTS)
    assert {"P(false rollback)", "P(miss)"} <= set(re.split(r"\s{2,}", repr(result)))
    assert any("service.replicas = 10 (manifest" in line for line in result.assumed)


def test_predict_asks_a_query_that_nothing_is_bound_to_as_it_stands() -> None:
    result = lab.predict(*MANIFESTS, runs=8)
    assert any(line.startswith("metric 'success-rate' asks its query as it stands") for line in result.assumed)
    assert not result.warnings


def test_facts_of_a_manifest_win_over_the_file_and_lose_to_the_caller() -> None:
    changes = {"strategies": {"mine": {"from": MANIFESTS[0], "templates": [MANIFESTS[1]], "bind": BIND}}}
    (question,) = read(Asked(path="good", overrides=changes, strategies=["mine"], base_dir=_here()))
    assert question.parts[0][0].service.name == "checkout"
    (question,) = read(
        Asked(path="good", overrides={**changes, "service.replicas": 4}, strategies=["mine"], base_dir=_here())
    )
    assert question.parts[0][0].service.replicas == 4


def _here():  # type: ignore[no-untyped-def]
    from pathlib import Path

    return Path()
