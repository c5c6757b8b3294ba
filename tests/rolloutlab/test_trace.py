"""One replication and everything it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from rolloutlab.cli import main

TRACE = ("simulate", "errors-5pct", "--strategy", "canary", "--seed", "1", "--only", "300", "--trace")


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines_are_in_order_of_time_and_end_with_the_row() -> None:
    lines = lines_of(CliRunner().invoke(main, TRACE).stdout)
    times = [line["at_seconds"] for line in lines[:-1]]
    assert times == sorted(times)
    assert {"effect", "answer", "pod_ready", "weight_effective"} <= {line["kind"] for line in lines}
    assert (lines[-1]["kind"], lines[-1]["replication"]) == ("row", 300)


def test_the_row_is_that_of_the_whole_run() -> None:
    traced = lines_of(CliRunner().invoke(main, TRACE).stdout)[-1]
    whole = CliRunner().invoke(main, [*TRACE[:-3], "--runs", "512", "-o", "csv"]).stdout.splitlines()
    row = dict(zip(whole[0].split(","), whole[301].split(","), strict=True))
    assert row["replication"] == "300"
    assert row["outcome"] == traced["outcome"]
    for column in ("bad_requests", "detection_seconds", "pod_hours"):
        assert float(row[column]) == traced[column]


def test_a_prefix_writes_json_lines_and_a_chrome_trace(tmp_path: Path) -> None:
    prefix = tmp_path / "run"
    done = CliRunner().invoke(main, [*TRACE, str(prefix)])
    assert (done.exit_code, done.stdout) == (0, "")
    assert lines_of((tmp_path / "run.jsonl").read_text())
    events = json.loads((tmp_path / "run.trace.json").read_text())["traceEvents"]
    assert {event["ph"] for event in events} <= {"X", "i", "C", "M"}
    assert all(event["ts"] >= 0 and isinstance(event["pid"], int) for event in events if event["ph"] != "M")
    assert all(event["dur"] >= 0 for event in events if event["ph"] == "X")
    names = [event["args"]["name"] for event in events if event["ph"] == "M" and event["name"] == "process_name"]
    assert names == ["errors-5pct canary"]
    spans = [event["name"] for event in events if event["ph"] == "X"]
    assert any(name.startswith("Wait") for name in spans)


def test_what_is_doubtful_is_said_before_a_trace_too(tmp_path: Path) -> None:
    metric = "{name: m, query: sum(orders), successCondition: 'result[0] > 0'}"
    path = tmp_path / "typo.yaml"
    path.write_text(
        "apiVersion: rolloutlab/v1\nkind: Scenario\ntitle: t\nhorizon: 5m\ntraffic: {rate: 1/s}\n"
        f"strategies:\n  a: {{canary: {{steps: [{{analysis: {{metrics: [{metric}]}}}}]}}}}\n"
        "variants: {again: {traffic: {rate: 2/s}}}\n"
    )
    done = CliRunner().invoke(main, ["simulate", str(path), "--only", "0", "--trace"])
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: ")
    assert "nothing exports the series 'orders'; did you mean 'orders_total'?" in warning
    assert lines_of(done.stdout)[-1]["kind"] == "row"


def test_a_trace_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "run.trace.json").mkdir()
    done = CliRunner().invoke(main, [*TRACE, str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "run.trace.json" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run.trace.json"]


def test_a_trace_takes_no_page_and_no_csv(tmp_path: Path) -> None:
    for words in (("--html", str(tmp_path / "page.html")), ("-o", "csv")):
        done = CliRunner().invoke(main, [*TRACE, "", *words])
        assert done.exit_code == 2
        assert f"--trace and {words[0]}" in done.stderr
    assert not list(tmp_path.iterdir())
