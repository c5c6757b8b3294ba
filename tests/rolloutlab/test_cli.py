"""The command line: one document on stdout, exit codes, one line an error."""

from __future__ import annotations

import csv
import io
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rolloutlab.cli import main
from rolloutlab.cli.targets import check_writable
from scenarios.outcome import COLUMNS

FEW = ("--runs", "300", "--seed", "1")


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def told(*words: str) -> dict[str, Any]:
    done = run(*words, "-o", "json")
    assert done.exit_code in (0, 1, 5), done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(*words: str) -> str:
    """The one line of an error, and nothing on stdout."""
    done = run(*words)
    assert done.exit_code == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_json_of_simulate_has_these_keys_and_every_column() -> None:
    found = told("simulate", "errors-5pct", *FEW)
    assert list(found) == [
        "schema", "command", "inputs", "seed", "fidelity", "results", "expectations", "assumed", "warnings",
    ]  # fmt: skip
    assert (found["schema"], found["command"], found["seed"], found["fidelity"]) == (1, "simulate", 1, "iid")
    assert [one["strategy"] for one in found["results"]] == ["rolling", "blue-green", "canary"]
    for one in found["results"]:
        assert list(one) == ["scenario", "strategy", "variant", "runs", "outcomes", "metrics"]
        assert set(one["metrics"]) == set(COLUMNS) - {"replication", "outcome"}
        assert set(one["outcomes"]) == {"promoted", "rolled_back", "paused", "stalled", "censored"}
    rolling = found["results"][0]["metrics"]
    assert set(rolling["bad_requests"]) == {"mean", "lo", "hi", "p50", "p90", "p99", "n"}
    assert rolling["detection_seconds"] == dict.fromkeys(("mean", "lo", "hi", "p50", "p90", "p99")) | {"n": 0}


def test_json_of_compare_has_paired_differences() -> None:
    found = told("compare", "errors-5pct", *FEW)
    one = next(one for one in found["differences"] if one["column"] == "bad_requests")
    assert set(one) == {"scenario", "variant", "column", "strategy", "minus", "minus_variant", "mean", "lo", "hi", "n"}
    assert one["n"] == 300
    assert {one["holds"] for one in found["expectations"]} <= {"holds", "fails", "inconclusive"}


def test_same_seed_same_numbers_for_any_number_of_jobs() -> None:
    one, two = (run("simulate", "good", "--runs", "600", "--jobs", jobs, "-o", "csv").stdout for jobs in "12")
    assert one == two


def test_csv_is_one_row_a_replication() -> None:
    done = run("simulate", "errors-5pct", "--strategy", "canary", *FEW, "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 300
    assert list(rows[0]) == ["scenario", "strategy", "variant", *COLUMNS]
    assert {row["outcome"] for row in rows} <= {"promoted", "rolled_back", "paused", "stalled", "censored"}


def test_a_table_ends_with_the_command_that_reproduces_it() -> None:
    done = run("simulate", "errors-5pct", "--runs", "300", "--strategy", "canary")
    last = done.stdout.splitlines()[-1]
    assert last == "Again: rolloutlab simulate errors-5pct --runs 300 --strategy canary --seed 0"
    assert run(*last.split()[2:]).stdout == done.stdout


def test_expectations_that_hold_are_exit_0() -> None:
    assert run("simulate", "rolling-5-1-1", "--runs", "300").exit_code == 0


def test_a_failed_expectation_is_exit_1() -> None:
    done = run("simulate", "rolling-5-1-1", "--runs", "300", "--set", "expect.0.between=[1, 2]")
    assert done.exit_code == 1
    assert "✗ fails  one-and-one: mean of duration_seconds" in done.stdout


def test_too_little_evidence_is_exit_5() -> None:
    assert run("simulate", "errors-5pct", "--runs", "8").exit_code == 5


def test_ctrl_c_prints_what_is_complete_and_is_exit_130(monkeypatch: pytest.MonkeyPatch) -> None:
    from sim import study

    whole, calls = study.run_task, []

    def interrupted(task: Any) -> Any:
        calls.append(task)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return whole(task)

    monkeypatch.setattr(study, "run_task", interrupted)
    done = run("simulate", "errors-5pct", "--runs", "600", "--jobs", "1", "-o", "json")
    assert done.exit_code == 130
    found = json.loads(done.stdout)
    assert sum(one["runs"] for one in found["results"]) == 512
    assert found["warnings"][0] == "interrupted: holds 512 of 1,800 replications"


def test_ctrl_c_before_the_first_result(monkeypatch: pytest.MonkeyPatch) -> None:
    from sim import study

    def interrupted(task: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run_task", interrupted)
    done = run("compare", "errors-5pct", "--runs", "600", "--jobs", "1")
    assert done.exit_code == 130
    assert "interrupted: holds 0 of 1,800 replications" in done.stdout


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("simlate",), "unknown command 'simlate'; did you mean 'simulate'? known: simulate, compare"),
        (("simulate", "erors-5pct"), "unknown scenario 'erors-5pct'; did you mean 'errors-5pct'? known: "),
        (("simulate", "no/such.yaml"), "error: no/such.yaml: expected a scenario file: no such file"),
        (("simulate", "good", "--strategy", "canry"), "unknown strategy 'canry'; did you mean 'canary'?"),
        (("simulate", "good", "--variant", "fast"), "variant: unknown name 'fast'"),
        (("simulate", "good", "--runs", "0"), "'--runs': 0 is not in the range"),
        (("simulate", "good", "--seed", "-1"), "'--seed': -1 is not in the range"),
        (("simulate", "good", "-o", "xml"), "'xml' is not one of 'table', 'json', 'csv'"),
        (("simulate", "good", "--set", "service.replcas=3"), "unknown field 'replcas'; did you mean 'replicas'?"),
        (("simulate", "good", "--set", "replicas"), "--set: expected FIELD=VALUE"),
        (("simulate", "good", "--bind", "errors"), "--bind: expected name=measure"),
        (("simulate", "good", "--only", "3"), "--only N and --trace go together"),
        (("simulate", "good", "--engin", "batch"), "No such option '--engin'"),
        (("predict", "-f", "no.yaml"), "no.yaml"),
        (("predict", "-f", "no.yaml", "--rate", "120"), "--rate: expected a rate such as 120/s"),
        (("predict",), "Missing option"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
def test_bad_input_is_one_line_and_exit_2(words: tuple[str, ...], wanted: str) -> None:
    assert wanted in refused(*words)


def test_every_error_of_a_file_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "apiVersion: rolloutlab/v1\nservice: {replicas: -1}\ntraffic: {rate: 5}\nstrategies: {x: {rollingUpdate: {}}}\n"
    )
    done = run("simulate", str(path))
    assert done.exit_code == 2
    assert [line.split(": expected")[0] for line in done.stderr.splitlines()] == [
        f"error: {path}:2:21 service.replicas",
        f"error: {path}:3:17 traffic.rate",
    ]


def test_nothing_is_written_when_the_input_is_bad(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run("compare", "good", "--set", "service.replicas=0", "--html", str(page)).exit_code == 2
    assert not page.exists()


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("compare", "good", "--runs", "8", "--html", str(tmp_path / "file" / "page.html"))
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_python_of_a_file_is_refused_without_consent(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("apiVersion: rolloutlab/v1\nstrategies: {mine: {python: 'os:system'}}\n")
    assert "--allow-python" in refused("simulate", str(path))


def test_a_strategy_that_yields_nonsense_is_named(tmp_path: Path) -> None:
    (tmp_path / "wrong_strategy_of_a_user.py").write_text("def mine(release):\n    yield 'promote'\n")
    path = tmp_path / "mine.yaml"
    path.write_text("apiVersion: rolloutlab/v1\nstrategies: {mine: {python: 'wrong_strategy_of_a_user:mine'}}\n")
    line = refused("simulate", str(path), "--allow-python", "--runs", "8")
    assert "wrong_strategy_of_a_user.py:2" in line
    assert "'promote'" in line


def test_scenarios_are_listed_with_their_titles() -> None:
    lines = run("scenarios", "list").stdout.splitlines()
    assert any(line.startswith("errors-5pct ") and "Five responses" in line for line in lines)


def test_shown_scenarios_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(run("scenarios", "show", "errors-5pct").stdout)
    assert run("scenarios", "validate", str(path)).exit_code == 0


def test_validate_tells_good_from_bad(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("apiVersion: rolloutlab/v1\nstrategies: {x: {rolingUpdate: {}}}\n")
    done = run("scenarios", "validate", "good", str(path))
    assert done.exit_code == 2
    assert done.stdout.startswith("good: valid, 3 cells")
    assert "did you mean 'rollingUpdate'?" in done.stderr


def test_the_schema_is_json() -> None:
    assert json.loads(run("schema").stdout)["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    assert "_ROLLOUTLAB_COMPLETE" in run("completion", shell).stdout


def test_completion_knows_shipped_scenarios() -> None:
    words = {"COMP_WORDS": "rolloutlab simulate err", "COMP_CWORD": "2", "_ROLLOUTLAB_COMPLETE": "bash_complete"}
    done = CliRunner().invoke(main, [], env=words, prog_name="rolloutlab")
    assert "errors-5pct" in done.stdout


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_stream_is_no_traceback(closed: str) -> None:
    words = [sys.executable, "-m", "rolloutlab", "simulate", "good", "--runs", "4", "--jobs", "1"]
    done = subprocess.run(f"{shlex.join(words)} {closed}", shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr  # too few replications for what the file expects
    assert "Traceback" not in done.stderr


def test_a_target_that_cannot_be_written_is_told_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "compare.html").mkdir(parents=True)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("ran")

    monkeypatch.setattr("rolloutlab.door.run", never)
    assert "file" in refused("compare", "good", "--html", str(tmp_path / "file" / "page.html"))
    assert "compare.html" in refused("demo", "--out", str(tmp_path / "folder"))


def test_a_check_of_a_target_leaves_it_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("kept")
    check_writable(tmp_path / "old", tmp_path / "new", tmp_path / "a" / "b" / "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "kept"}


@pytest.mark.parametrize("command", ["simulate", "compare"])
def test_assumptions_are_listed_under_the_table(command: str) -> None:
    words = (command, "errors-5pct", "--runs", "8", "--no-variants")
    assumed = told(*words)["assumed"]
    short, long = (run(*words, *more).stdout for more in ((), ("--assumptions",)))
    count = f"Rests on {len(assumed)} assumptions where the input is silent"
    assert f"{count}; --assumptions lists them.\n" in short
    assert f"{count}:\n" + "".join(f"  {one}\n" for one in assumed) in long


def test_a_query_for_a_series_that_nothing_exports_is_a_warning_and_refused_with_strict(tmp_path: Path) -> None:
    manifests = [Path("scenarios/manifests") / f"checkout-{name}.yaml" for name in ("rollout", "analysis")]
    text = manifests[1].read_text(encoding="utf-8").replace("http_requests_total", "http_request_total")
    analysis = tmp_path / "analysis.yaml"
    analysis.write_text(text, encoding="utf-8")
    words = ("predict", "-f", str(manifests[0]), "-f", str(analysis), *FEW)
    done = run(*words)
    assert done.exit_code == 0
    assert "nothing exports the series 'http_request_total'; did you mean 'http_requests_total'?" in done.stderr
    strict = run(*words, "--strict")
    assert strict.exit_code == 2
    assert strict.stdout == ""
    assert "analysis.yaml:" in strict.stderr
    assert "nothing exports the series 'http_request_total'" in strict.stderr
    assert run("predict", "-f", str(manifests[0]), "-f", str(manifests[1]), *FEW, "--strict").exit_code == 0
