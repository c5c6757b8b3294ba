"""The shipped scenarios, without running them: each is read, asks one question, and says what it expects and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios import ScenarioErrors, load_scenario
from scenarios.library import find, names
from scenarios.strategy_spec import StrategyWords

#: One file a question; the first five have all three strategies.
FILES = (
    "births-at-first-error",
    "bluegreen-keepalive",
    "bluegreen-rollback-to-nothing",
    "chaos-errors",
    "chaos-half",
    "chaos-latency",
    "chaos-leak",
    "chaos-pods",
    "chaos-pool",
    "chaos-rollback",
    "crash-loop",
    "errors-5pct",
    "good",
    "hotfix-race",
    "judge-2pct",
    "judge-2pct-small-weight",
    "judge-5pct",
    "judge-5pct-low-traffic",
    "memory-leak",
    "metrics-outage",
    "rollback-progressive-vs-instant",
    "rolling-5-1-1",
    "rolling-no-drain",
    "rolling-ready-but-wrong",
    "slow",
)
CELLS = [(name, variant) for name in FILES for variant in (None, *load_scenario(find(name)).scenario.variants)]


def test_all_files_are_found_by_name() -> None:
    assert names() == FILES
    assert find("good") == find(find("good"))


@pytest.mark.parametrize(("name", "variant"), CELLS)
def test_every_cell_is_read_without_a_warning(name: str, variant: str | None) -> None:
    loaded = load_scenario(find(name), variant=variant)
    assert loaded.warnings == ()
    for strategy in loaded.scenario.strategies.values():
        StrategyWords.model_validate(strategy, by_alias=True, by_name=False)


@pytest.mark.parametrize("name", FILES)
def test_a_file_asks_a_question_and_says_what_it_expects(name: str) -> None:
    scenario = load_scenario(find(name)).scenario
    assert scenario.question.endswith("?")
    assert scenario.title
    assert {said.strategy for said in scenario.expect} == set(scenario.strategies), "each strategy is spoken of"
    assert {said.variant for said in scenario.expect} >= set(scenario.variants), "each variant is spoken of"


@pytest.mark.parametrize("name", ["good", "errors-5pct", "slow", "crash-loop", "memory-leak"])
def test_the_first_five_compare_the_same_three_strategies(name: str) -> None:
    scenario = load_scenario(find(name)).scenario
    assert list(scenario.strategies) == ["rolling", "blue-green", "canary"]
    assert scenario.strategies == load_scenario(find("good")).scenario.strategies
    assert len(scenario.faults) == (0 if name == "good" else 1)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("errors-5pc", "unknown scenario 'errors-5pc'; did you mean 'errors-5pct'? known: births-at-first-error, "),
        ("here/none.yaml", "here/none.yaml: expected a scenario file: no such file or directory"),
    ],
)
def test_a_name_that_nobody_knows(name: str, error: str) -> None:
    with pytest.raises(ScenarioErrors) as caught:
        find(name)
    assert str(caught.value).startswith(error)


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text("")
    assert find(path) == path
    assert find(str(path)) == path
