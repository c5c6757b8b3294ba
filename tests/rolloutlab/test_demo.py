"""The demo: one table a person understands, and a page."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from rolloutlab.cli import main


def test_one_table_over_five_worlds_and_a_page(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["demo", "--runs", "64", "--jobs", "1", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows if "rolling" in row[:2]] == [
        "good",
        "errors-5pct",
        "slow",
        "crash-loop",
        "memory-leak",
    ]
    assert sum(row[:1] == ["blue-green"] for row in rows) == 5
    assert len([line for line in done.stdout.splitlines() if "────" in line]) == 1
    assert done.stdout.splitlines()[-1] == "Again: rolloutlab demo --runs 64 --seed 1"
    assert (tmp_path / "demo.txt").read_text() == done.stdout
    assert (tmp_path / "compare.html").read_text().startswith("<!doctype html>")
    assert done.stderr == f"wrote {tmp_path / 'compare.html'}\n"


def test_the_shipped_canary_stops_what_fails_and_keeps_what_is_good(tmp_path: Path) -> None:
    words = ["demo", "--runs", "64", "--jobs", "1", "--out", str(tmp_path), "-o", "json"]
    found = json.loads(CliRunner().invoke(main, words).stdout)
    ends = {(one["scenario"], one["strategy"]): one["outcomes"] for one in found["results"]}
    assert ends["good", "canary"]["rolled_back"]["lo"] < 0.01
    assert ends["errors-5pct", "canary"]["rolled_back"]["hi"] > 0.99
    assert ends["errors-5pct", "rolling"]["promoted"]["hi"] > 0.99
    assert found["command"] == "demo"
    assert len(found["inputs"]["scenarios"]) == 5
