"""A judge in the words of a scenario: built as it was written, run in the simulator, refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scenarios.build import build_strategies
from scenarios.errors import ScenarioErrors
from scenarios.judge_words import JudgeWords, word_of
from scenarios.load import load_scenario
from sim.results import Cell
from sim.rows import CODES
from sim.study import simulate
from strategies.effects import CountsQuery
from strategies.judges import REGISTRY
from strategies.judges.burn_rate import BurnRate
from strategies.judges.failure_limit import FailureLimit
from strategies.judges.threshold import Threshold

FILE = """
apiVersion: rolloutlab/v1
horizon: 20m
service: {errorRatio: 1%}
faults: [{kind: error_ratio, ratio: RATIO}]
strategies:
  mine:
    canary:
      minReadySeconds: 5
      steps: [{setWeight: 10}, {pause: {duration: 10m}}]
      analysis: {startingStep: 1, judge: JUDGE}
"""


def written(tmp_path: Path, judge: str, ratio: str = "10%") -> Path:
    path = tmp_path / "judge.yaml"
    path.write_text(FILE.replace("JUDGE", judge).replace("RATIO", ratio))
    return path


def ended(cell: Cell, outcome: str) -> int:
    return int((cell.columns["outcome"] == CODES[outcome]).sum())


def words(**given: Any) -> JudgeWords:
    return JudgeWords.model_validate(given, by_alias=True, by_name=False)


def test_settings_carry_their_units() -> None:
    found = words(name="threshold", line="1.5%", window="5m", **{"for": "1m"}, every="30s", minRequests=100)
    assert found.judging().judge == Threshold(
        line=0.015, window_seconds=300, for_seconds=60, every_seconds=30, min_requests=100
    )
    assert (found.judging().every_seconds, found.judging().count) == (15.0, None)


def test_every_setting_of_every_judge_has_a_word() -> None:
    assert {word_of(name) for name in ("burn_in_seconds", "k", "failure_limit")} == {"burnIn", "k", "failureLimit"}
    assert words(name="burn_rate", objective="99.5%").judging().judge == BurnRate(objective=0.995)
    needs = {
        "threshold": {"line": "2%"},
        "failure_limit": {"line": "2%"},
        "burn_rate": {"objective": "99.9%"},
        "lindon_malek": {"share": "10%"},
        "ripr_oracle": {"p0": "1%", "p1": "2%"},
        "msprt": {"tau": 0.01, "burnIn": "1m"},
        "sprt": {"p0": "1%", "p1": "2%"},
        "bernoulli_cusum": {"p0": "1%", "p1": "2%", "horizonRequests": 1000},
        "group_sequential": {"requests": 1000, "kind": "pocock"},
    }
    for name in REGISTRY:
        assert words(name=name, **needs.get(name, {})).judging().name == name


@pytest.mark.parametrize("judge", ["{name: lindon_malek, share: 10%}", "{name: ripr}", "{name: threshold, line: 3%}"])
@pytest.mark.parametrize("ratio", ["10%", "0%"])
def test_a_judge_takes_a_bad_release_back_and_lets_a_good_one_pass(judge: str, ratio: str, tmp_path: Path) -> None:
    loaded = load_scenario(written(tmp_path, judge, ratio))
    strategy = build_strategies(loaded).strategies["mine"]
    assert strategy.reads == (CountsQuery(),)
    (cell,) = simulate(loaded.scenario, {"mine": strategy}, runs=64, seed=1, scenario_name="judge")
    # 6,000 canary requests at 11 % against 1 %: a miss is beyond all odds; in a good release each judge here errs in
    # fewer than 1 % of runs: more than 8 of 64 has a probability below 1e-7
    if ratio == "10%":
        assert ended(cell, "rolled_back") == 64
    else:
        assert ended(cell, "promoted") >= 56


@pytest.mark.parametrize(
    ("judge", "problem"),
    [
        ("{name: ripper}", "unknown judge 'ripper'; did you mean 'ripr'? known: bernoulli_cusum, "),
        ("{name: ripr, aplha: 1%}", "unknown setting 'aplha'; did you mean 'alpha'? known: alpha, "),
        ("{name: lindon_malek}", "judge lindon_malek needs share"),
        ("{name: threshold, line: 3%, window_seconds: 3}", "unknown setting 'window_seconds'"),
        ("{name: threshold, line: 3%, window: fast}", "window: expected a duration"),
        ("{name: threshold, line: 300%}", "line"),
        ("{name: ripr, alpha: [1]}", "alpha: expected a number or a percentage, got a list of 1 item"),
        ("{name: ripr, alpha: NaN}", "alpha: expected a number or a percentage, got 'NaN'"),
        ("{name: ripr, share: true}", "share: expected a number or a percentage, got true"),
        ("{name: ripr, enough: many}", "enough: expected a whole number, got 'many'"),
        ("{name: ripr, enough: 5%}", "enough: expected a whole number, got '5%'"),
        ("{name: burn_rate, objective: 99.9%, pagesOnly: 1}", "pagesOnly: expected true or false, got 1"),
        ("{name: threshold, line: 3%, arm: 1}", "arm: expected a word, got 1"),
        ("{name: threshold, line: 3%, window: 0s}", "window must be above 0 and finite"),
        ("{name: bernoulli_cusum, p0: 1%, p1: 5%}", "expected exactly one of height, horizonRequests, arlRequests"),
        ("{name: bernoulli_cusum, p0: 1%, p1: 5%, arlRequests: 1.0e300}", "arlRequests 1e+300 asks for a height of"),
        ("{name: burn_rate, objective: 99.9%, alerts: 1}", "unknown setting 'alerts'"),
        ("{name: ripr, interval: 0s}", "interval"),
    ],
)
def test_what_no_judge_can_use_is_refused_with_its_place(judge: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioErrors) as found:
        build_strategies(load_scenario(written(tmp_path, judge)))
    text = str(found.value)
    assert problem in text
    assert "judge.yaml:11:" in text


def test_a_judge_that_counts_its_measurements_passes_after_so_many(tmp_path: Path) -> None:
    found = words(name="failure_limit", line="5%", failureLimit=1, count=3, every="30s").judging()
    assert found.judge == FailureLimit(line=0.05, failure_limit=1, count=3, every_seconds=30)
    assert found.count is None
    assert not found.endless
    path = written(tmp_path, "")
    text = path.read_text().split("    canary:")[0].replace("ratio: 10%", "ratio: 0%")
    judge = "{name: failure_limit, line: 50%, window: 1m, count: 3}"
    path.write_text(text + f"    canary: {{steps: [{{setWeight: 50}}, {{analysis: {{judge: {judge}}}}}]}}\n")
    loaded = load_scenario(path)
    built = build_strategies(loaded)
    assert built.warnings == ()
    (cell,) = simulate(loaded.scenario, built.strategies, runs=16, seed=1, scenario_name="judge")
    assert ended(cell, "promoted") == 16, "1 % of 3,000 responses a minute fail: 50 % are beyond all odds"


@pytest.mark.parametrize(
    ("judge", "endless"),
    [
        ("{name: ripr}", True),
        ("{name: ripr, count: 9}", False),
        ("{name: ripr, enough: 1000}", False),
        ("{name: sprt, p0: 1%, p1: 5%}", True),
        ("{name: sprt, p0: 1%, p1: 5%, beta: 5%}", False),
        ("{name: group_sequential, requests: 1000}", False),
        ("{name: failure_limit, line: 5%}", True),
    ],
)
def test_a_step_that_waits_for_a_judge_without_end_is_doubted(judge: str, endless: bool, tmp_path: Path) -> None:
    path = written(tmp_path, "")
    text = path.read_text().split("    canary:")[0]
    path.write_text(text + f"    canary: {{steps: [{{setWeight: 50}}, {{analysis: {{judge: {judge}}}}}]}}\n")
    said = any(
        "has neither count nor enough: it goes on until it fails" in line
        for line in build_strategies(load_scenario(path)).warnings
    )
    assert said == endless


def test_metrics_or_a_judge_and_not_both(tmp_path: Path) -> None:
    path = written(tmp_path, "{name: ripr}, metrics: [{name: a, measure: error_ratio, successCondition: result < 1}]")
    with pytest.raises(ScenarioErrors, match="expected metrics or a judge, got both"):
        build_strategies(load_scenario(path))
    path = written(tmp_path, "null")
    with pytest.raises(ScenarioErrors, match="expected metrics or a judge, got neither"):
        build_strategies(load_scenario(path))


def test_a_blue_green_release_waits_for_a_judge_that_ends(tmp_path: Path) -> None:
    path = written(tmp_path, "{name: ripr}")
    text = path.read_text().split("    canary:")[0]
    path.write_text(text + "    blueGreen: {postPromotionAnalysis: {judge: {name: ripr}}}\n")
    with pytest.raises(ScenarioErrors, match="a judge without a count may never end: expected a count of looks"):
        build_strategies(load_scenario(path))
    path.write_text(text + "    blueGreen: {postPromotionAnalysis: {judge: {name: sprt, p0: 1%, p1: 5%, count: 40}}}\n")
    loaded = load_scenario(path)
    (cell,) = simulate(loaded.scenario, build_strategies(loaded).strategies, runs=32, seed=1, scenario_name="judge")
    assert ended(cell, "rolled_back") == 32, "the baseline is known: after the switch no stable revision is left"
