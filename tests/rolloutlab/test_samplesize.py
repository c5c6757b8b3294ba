"""`samplesize`: the numbers are the published ones, each with its question; nonsense is one line."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from rolloutlab.cli import main
from rolloutlab.samplesize import Split, split, split_of_weight
from strategies.exact_power import exact_power

ROOT = Path(__file__).parents[2]
CHANGE = ("--from", "1%", "--to", "1.5%")
PUBLISHED = YAML(typ="safe").load(ROOT / "tests" / "published" / "sample_sizes.yaml")


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["samplesize", *words])


def told(*words: str) -> dict[str, Any]:
    done = run(*words, "-o", "json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def of(found: dict[str, Any], question: str) -> list[dict[str, Any]]:
    return [one for one in found["results"] if one["question"] == question]


def test_the_numbers_of_the_issue() -> None:
    """`--from 1% --to 1.5% --power 0.8`: both splits, the width of one interval, and their exact powers."""
    found = told(*CHANGE, "--power", "0.8")
    assert (found["schema"], found["command"]) == (1, "samplesize")
    assert list(found) == ["schema", "command", "inputs", "results", "notes", "warnings"]
    even, tenth = of(found, "two_arms")
    assert (even["split"], even["canary_requests"], even["stable_requests"]) == ("1:1", 7750, 7750)
    assert (tenth["split"], tenth["canary_requests"], tenth["stable_requests"]) == ("1:9", 4011, 36099)
    assert (even["total_requests"], tenth["total_requests"]) == (15500, 40110)
    assert [round(one["exact_power"], 4) for one in (even, tenth)] == [0.8035, 0.7997]
    assert [round(one["exact_false_alarm"], 4) for one in (even, tenth)] == [0.0496, 0.0496]
    (width,) = of(found, "one_sample_width")
    assert (width["requests"], round(width["requests_unrounded"], 1), round(width["exact_power"], 3)) == (
        1522,
        1521.2,
        0.231,
    )
    assert [(one["split"], round(one["exact_power"], 3)) for one in width["as_two_arms"]] == [
        ("1:1", 0.231),
        ("1:9", 0.439),
    ]
    assert found["warnings"] == []


@pytest.mark.parametrize("row", PUBLISHED["two_arms"], ids=str)
def test_published_rows(row: list[Any]) -> None:
    sides, ratio, power, canary, stable, total, fisher = row
    found = told(*CHANGE, "--sides", str(sides), "--ratio", f"1:{ratio}", "--power", f"{power * 100:g}%")
    one = of(found, "two_arms")[-1]
    assert (one["canary_requests"], one["stable_requests"], one["canary_requests_fisher"]) == (canary, stable, fisher)
    assert total in (None, one["total_requests"])


def test_every_number_says_which_question_it_answers() -> None:
    found = told(*CHANGE, "--rate", "120/s", "--window", "10m")
    assert {one["question"] for one in found["results"]} == {
        "two_arms", "one_sample_width", "sequential_limit", "no_failures", "window", "smallest_weight",
    }  # fmt: skip
    assert all(one["asks"] and one["means"] for one in found["results"])
    shown = run(*CHANGE, "--rate", "120/s", "--window", "10m").stdout
    for one in found["results"]:
        assert one["asks"] in shown


def test_why_the_numbers_of_the_guide_differ() -> None:
    """Said for the change that the guide speaks of, with our own numbers; not for another one."""
    (note,) = [one for one in told(*CHANGE)["notes"] if "15,000" in one]
    assert {"1,522", "15,500"} <= set(re.findall(r"\d+,\d+", note))
    assert not any("15,000" in one for one in told("--from", "1%", "--to", "2%")["notes"])


def test_no_judge_is_faster_than_the_limit_and_one_look_is_slower() -> None:
    found = told(*CHANGE)
    for fixed, least in zip(of(found, "two_arms"), of(found, "sequential_limit"), strict=True):
        assert least["mean_canary_requests_known_baseline"] < least["mean_canary_requests"] < fixed["canary_requests"]


def test_nothing_failed() -> None:
    (one,) = of(told(*CHANGE), "no_failures")
    assert one["requests"] == 199
    assert 0.985**199 <= 0.05 < 0.985**198
    assert one["bound"] <= 0.015
    assert one["probability_at_smaller_ratio"] == pytest.approx(0.99**199)


def test_a_window_that_holds_too_little_says_so() -> None:
    """100,000 requests a day, a step of ten minutes: 347 at half of the traffic, where 2,529 are needed."""
    words = ("--from", "1%", "--to", "2%", "--rate", "100k/d", "--window", "10m", "--weight", "50%", "--sides", "1")
    found = told(*words, "--power", "90%")
    (one,) = of(found, "window")
    assert (one["enough"], one["says"]) == (False, "have 347, need 2,529")
    assert one["exact_power"] < 0.4
    assert one["needed_seconds"] == pytest.approx(2529 / (1e5 / 86400 * 0.5))
    (weight,) = of(found, "smallest_weight")
    assert (weight["weight"], weight["limit_weight"]) == (None, None)
    assert "have 347, need 2,529 canary requests, not enough; it takes 72.8 min" in run(*words, "--power", "90%").stdout


def test_the_smallest_weight_of_a_window() -> None:
    found = told("--from", "1%", "--to", "2%", "--rate", "1M/d", "--window", "10m", "--sides", "1", "--power", "90%")
    assert of(found, "smallest_weight")[0]["weight"] == pytest.approx(0.229, abs=5e-4)
    assert [one["enough"] for one in of(found, "window")] == [True, False]


def test_time_is_that_of_the_canary() -> None:
    one = of(told(*CHANGE, "--rate", "120/s"), "two_arms")[1]
    assert one["seconds"] == pytest.approx(4011 / 12)
    assert one["seconds"] == pytest.approx((4011 + 36099) / 120)


@pytest.mark.parametrize("words", [("--weight", "10%"), ("--weight", "0.1"), ("--ratio", "1:9"), ("--ratio", "10:90")])
def test_a_weight_is_a_split(words: tuple[str, str]) -> None:
    even, tenth = of(told(*CHANGE, *words), "two_arms")
    assert even["split"] == "1:1"
    assert (tenth["canary_requests"], tenth["stable_requests"]) == (4011, 36099)


def test_splits_are_given_once() -> None:
    assert split_of_weight(0.5) == Split("1:1", 1.0)
    assert split("3:1").weight == 0.75
    found = told(*CHANGE, "--ratio", "1:9", "--weight", "10%", "--weight", "50%")
    assert found["inputs"]["splits"] == ["1:1", "1:9"]


@pytest.mark.parametrize("percent", range(1, 100))
def test_the_other_arm_is_rounded_as_a_fraction(percent: int) -> None:
    """A ratio from a percentage is off in its last digit; that is not a request more."""
    for canary in (1, 99, 4011, 10**9):
        wanted = math.ceil(Fraction(canary * (100 - percent), percent))
        assert split_of_weight(percent / 100).stable(canary) == wanted


def test_false_alarms_of_one_side_are_those_of_its_direction() -> None:
    """Unequal arms are skewed: the tail that a test of improvements looks at is the thinner one."""
    found = of(told("--from", "1%", "--to", "0.5%", "--sides", "1", "--alpha", "2.5%"), "two_arms")[1]
    arms = {"canary": found["canary_requests"], "stable": found["stable_requests"]}
    both = exact_power(0.01, 0.01, **arms, alpha=0.05)
    upper = exact_power(0.01, 0.01, **arms, alpha=0.025, sides=1)
    assert found["exact_false_alarm"] == pytest.approx(both - upper, rel=1e-9)
    assert found["exact_false_alarm"] < 0.9 * upper


def test_an_improvement_is_a_change_too() -> None:
    """From 1.5 % to 1 %: the same two ratios, the arms exchanged; one-sided, in the direction asked for."""
    forth, back = (
        of(told(*words, "--sides", "1"), "two_arms")[0] for words in (CHANGE, ("--from", "1.5%", "--to", "1%"))
    )
    assert forth["canary_requests"] == back["canary_requests"]
    assert forth["exact_power"] == pytest.approx(back["exact_power"])
    assert back["exact_false_alarm"] == pytest.approx(0.05, abs=0.003)


def test_an_approximation_that_is_far_off_is_told() -> None:
    done = run("--from", "0.1%", "--to", "10%")
    assert done.exit_code == 0
    assert "warning: 1:1: failures are few, and the exact power is 0.930, not 0.8" in done.stderr
    assert "warning: " not in done.stdout


def test_numbers_beyond_what_is_added_up_have_no_exact_power() -> None:
    found = told("--from", "1%", "--to", "1.0001%", "--rate", "0.001/d", "--window", "1ms")
    assert found["results"][0]["exact_power"] is None
    assert found["warnings"] == [
        f"{one}: more than 1,000,000,000 requests in one arm, so no exact power" for one in ("1:1", "1:9")
    ]
    assert run("--from", "1%", "--to", "1.0001%", "--rate", "0.001/d", "--window", "1ms").exit_code == 0


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ((), "Missing option '--from'"),
        (("--from", "1%"), "Missing option '--to'"),
        (("--from", "1%", "--to", "1%"), "--to: expected another percentage than --from 1%"),
        (("--from", "1%", "--to", "1.00000000001%"), "--to: expected another percentage than --from 1%"),
        (("--from", "1", "--to", "2%"), "--from: expected a percentage above 0% and below 100%, got '100%'"),
        (("--from", "0%", "--to", "2%"), "--from: expected a percentage above 0% and below 100%, got '0%'"),
        (("--from", "1%", "--to", "100%"), "--to: expected a percentage above 0% and below 100%, got '100%'"),
        (("--from", "1%", "--to", "1.5"), "--to: expected a percentage from 0% to 100% such as 5%"),
        (("--from", "one", "--to", "2%"), "--from: expected a percentage from 0% to 100% such as 5%"),
        (("--from", "nan", "--to", "2%"), "--from: expected a percentage"),
        (("--from", "-1%", "--to", "2%"), "--from: expected a percentage"),
        ((*CHANGE, "--power", "5%"), "--power: expected more than alpha, 5%: a coin reaches as much, got '5%'"),
        ((*CHANGE, "--power", "1"), "--power: expected a percentage above 0% and below 100%"),
        ((*CHANGE, "--alpha", "0"), "--alpha: expected a percentage above 0% and below 100%"),
        ((*CHANGE, "--margin", "0%"), "--margin: expected a percentage above 0% and below 100%"),
        ((*CHANGE, "--ratio", "9"), "--ratio: expected canary:stable such as 1:9"),
        ((*CHANGE, "--ratio", "1:0"), "--ratio: expected canary:stable such as 1:9"),
        ((*CHANGE, "--ratio", "1:9999999"), "--ratio: expected canary:stable such as 1:9"),
        ((*CHANGE, "--ratio", "1:9:9"), "--ratio: expected canary:stable such as 1:9"),
        ((*CHANGE, "--weight", "100%"), "--weight: expected a percentage from 0.0001% to 99.9999%"),
        ((*CHANGE, "--weight", "0"), "--weight: expected a percentage from 0.0001% to 99.9999%"),
        ((*CHANGE, "--sides", "3"), "'3' is not one of '1', '2'"),
        ((*CHANGE, "--rate", "120"), "--rate: expected a rate such as 120/s"),
        ((*CHANGE, "--rate", "0/s"), "--rate: expected more than 0"),
        ((*CHANGE, "--window", "10m"), "--window: goes with --rate"),
        ((*CHANGE, "--rate", "1/s", "--window", "soon"), "--window: expected a duration such as 30s"),
        ((*CHANGE, "--rate", "1/s", "--window", "0"), "--window: expected more than 0"),
        ((*CHANGE, "-o", "csv"), "'csv' is not one of 'table', 'json'"),
        ((*CHANGE, *(word for n in range(2, 30) for word in ("--ratio", f"1:{n}"))), "at most 20 splits"),
    ],
    ids=lambda words: " ".join(words)[:60] if isinstance(words, tuple) else "",
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_2(words: tuple[str, ...], wanted: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert wanted in line


def test_the_page_shows_what_the_command_prints() -> None:
    page = (ROOT / "docs" / "explanation" / "sample-size.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:sh|text)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    words = blocks[0].split()[2:]
    assert blocks[1] == run(*words).stdout, "docs/explanation/sample-size.md: put in what the command prints now"
    assert run(*blocks[2].split()[2:]).exit_code == 0


def test_it_imports_neither_plots_nor_frames_and_help_imports_nothing() -> None:
    code = (
        "import sys\nfrom rolloutlab.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code\n"
        "print({name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    heavy = {"numpy", "scipy", "pandas", "matplotlib", "pydantic", "rich", "jinja2", "simpy", "ruamel", "joblib"}
    for words, allowed in (
        (["samplesize", "--help"], set()),
        (["samplesize", *CHANGE], heavy - {"pandas", "matplotlib"}),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert not {name for name in heavy - allowed if f"'{name}'" in done.stderr}
