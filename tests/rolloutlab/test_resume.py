"""`rolloutlab resume`: which runs it knows, and what it refuses; going on itself is tried in tests/chaos/drill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chaos.journal import FORMAT
from rolloutlab.cli import main


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROLLOUTLAB_STATE", str(tmp_path))
    return tmp_path


def run_with(state: Path, run_id: str, header: dict[str, object]) -> Path:
    folder = state / "runs" / run_id
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text(json.dumps({"format": FORMAT, **header}) + "\n")
    return folder


def resume(*words: str) -> Result:
    return CliRunner().invoke(main, ["resume", *words])


def test_only_drills_without_a_result_are_offered(state: Path) -> None:
    run_with(state, "one", {})
    (run_with(state, "two", {}) / "result").mkdir()
    done = resume()
    assert done.stdout.split() == ["one"]
    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("run_id", "header", "problem"),
    [
        ("oen", {}, "unknown unfinished drill 'oen'; did you mean 'one'? known: one"),
        ("one", {}, "this journal is of no drill that can go on"),
        ("one", {"source": {"allow_python": True}}, "its scenario runs Python code; give --allow-python"),
        ("one", {"format": "else"}, "expected format"),
    ],
)
def test_what_cannot_go_on_is_one_line(run_id: str, header: dict[str, object], problem: str, state: Path) -> None:
    folder = run_with(state, "one", header)
    before = sorted(path.name for path in folder.iterdir())
    done = resume(run_id)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(path.name for path in folder.iterdir()) == before
