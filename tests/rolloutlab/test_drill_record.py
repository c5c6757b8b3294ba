"""The record of a drill: whole in its journal, refused when it is damaged, and in the formats of other tools."""

from __future__ import annotations

import copy
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from chaos.timeline import Moment
from rolloutlab.drill import journal, junit, prometheus
from rolloutlab.drill.files import write_whole
from rolloutlab.drill.record import Record, Step, from_plain
from rolloutlab.drill.result import Drills, exit_code, load
from rolloutlab.drill.testing import made_up
from scenarios.errors import Place, ScenarioError
from scenarios.outcome import COLUMNS

HERE = Place("j.json")


def changed_timeline(**moments: Moment) -> Record:
    import dataclasses

    record = made_up()
    return dataclasses.replace(record, timeline=dataclasses.replace(record.timeline, **moments))


# --- the record and its journal ----------------------------------------------------------------------------------


def test_a_journal_gives_its_record_back(tmp_path: Path) -> None:
    record = made_up()
    journal.write(record, tmp_path / "a" / "j.json")
    assert journal.read(tmp_path / "a" / "j.json") == record
    assert load(tmp_path / "a" / "j.json").drills == [record]


@settings(max_examples=25)
@given(
    detection=st.floats(0, 500),
    rollback=st.floats(0, 100),
    words=st.text(max_size=200),
    value=st.one_of(st.none(), st.floats(0, 1)),
    bad=st.one_of(st.none(), st.booleans()),
    places=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6)), max_size=4),
)
def test_any_record_survives_json(
    detection: float,
    rollback: float,
    words: str,
    value: float | None,
    bad: bool | None,
    places: list[tuple[float, float]],
) -> None:
    steps = tuple(Step(at, "note", words, value, bad) for at, _ in places)
    record = made_up(detection=detection, rollback=rollback, steps=steps, reasons=(words,))
    assert from_plain(json.loads(json.dumps(record.plain(), allow_nan=False)), HERE) == record


def test_a_censored_moment_is_null_with_its_bound_and_comes_back(tmp_path: Path) -> None:
    record = changed_timeline(t7=Moment.never(1020.0))
    told = record.plain()["timeline"]["t7"]
    assert told["censored"] is True
    assert told["monotonic"] == [1020.0, None]
    journal.write(record, tmp_path / "j.json")
    assert journal.read(tmp_path / "j.json").timeline.t7 == Moment.never(1020.0)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        if not (isinstance(key, int) and key > 1):
            found += paths(below, (*path, key))
    return found


PLAIN = made_up().plain()


@pytest.mark.parametrize("place", range(0, len(paths(PLAIN)), 6))
@pytest.mark.parametrize("wrong", [{"a": 1}, "x" * 5000, [[]], float("nan")], ids=["mapping", "long", "list", "nan"])
def test_a_damaged_record_is_one_error_or_still_a_record(place: int, wrong: Any) -> None:
    """Never another exception: a journal is anybody's file."""
    told = copy.deepcopy(PLAIN)
    path = paths(PLAIN)[place]
    holder = told
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = wrong
    said = ""
    try:
        found = from_plain(told, HERE)
    except ScenarioError as error:
        said = str(error)
    if said:
        assert said.startswith("j.json")
        assert len(said) < 1500
    else:
        assert isinstance(found, Record)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "j.json schema: expected schema 1, got 2"),
        ({"verdict": "passed"}, "j.json verdict: unknown verdict 'passed'; known: pass, fail, inconclusive, refused"),
        ({"row": {"seconds": 1}}, "j.json row: unknown column 'seconds'; known: replication, release_bad"),
        ({"surprise": 1}, "j.json surprise: Unexpected"),
        ({"exit_code": "x"}, "j.json exit_code: Input should be a valid integer"),
        ({"timeline": {"t0": 1}}, "j.json timeline: Value error, not a timeline"),
        ({"timeline": 7}, "j.json timeline: Value error, expected the moments of a timeline"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        from_plain({**PLAIN, **change}, HERE)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected a journal in JSON"),
        (b"\xff\xfe\x00", "expected a journal in JSON"),
        (b"[" * 100_000, "expected a journal in JSON"),
        (b"[1, 2]", "expected a journal of `rolloutlab drill`"),
        (b'{"experiment": {"extensions": [{"name": "other"}, 3]}}', "expected a journal of `rolloutlab drill`"),
        (b'{"experiment": {"extensions": [{"name": "rolloutlab"}]}}', "expected the record of a drill, got null"),
    ],
    ids=["empty", "binary", "deep", "list", "of another tool", "no record"],
)
def test_a_file_that_is_no_journal_is_one_error(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=said):
        journal.read(path)


def test_a_journal_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LONGEST", 1 << 20)
    path = tmp_path / "x.json"
    path.write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(ScenarioError, match="at most 1 MiB"):
        journal.read(path)


# --- the Chaos Toolkit's format ----------------------------------------------------------------------------------


def test_the_journal_has_what_the_chaos_toolkit_demands() -> None:
    """Required properties of journal.md and experiment.md (chaostoolkit-documentation, sources/reference/api)."""
    told = journal.document(made_up())
    assert {"experiment", "status", "start", "end", "duration", "deviated"} <= told.keys()
    assert (told["status"], told["deviated"]) == ("completed", False)
    start, end = (datetime.fromisoformat(told[name]) for name in ("start", "end"))
    assert (end - start).total_seconds() == pytest.approx(told["duration"], abs=1e-5)
    experiment = told["experiment"]
    assert {"title", "description", "method"} <= experiment.keys()
    assert len(experiment["method"]) == len(told["run"]) == 4
    hypothesis = experiment["steady-state-hypothesis"]
    for activity in [*experiment["method"], *experiment["rollbacks"], *hypothesis["probes"]]:
        assert activity["type"] in ("action", "probe")
        assert activity["name"]
        assert {"type", "path"} <= activity["provider"].keys()
    assert "tolerance" in hypothesis["probes"][0]
    for one in [*told["run"], *told["rollbacks"], *told["steady_states"]["before"]["probes"]]:
        assert {"activity", "status", "start", "end", "duration", "output"} <= one.keys()
        assert one["status"] in ("succeeded", "failed")
        assert one["duration"] >= 0
        assert one["output"] is None or isinstance(one["output"], str)
    assert told["steady_states"]["before"]["steady_state_met"] is True


def test_the_extension_tells_the_timeline_without_reading_on() -> None:
    (extension,) = journal.document(made_up())["experiment"]["extensions"]
    assert extension["name"] == "rolloutlab"
    assert extension["timeline"]["t5"]["scenario_seconds"] == pytest.approx([284.8, 285.0])
    assert (extension["detection_seconds"], extension["rollback_seconds"]) == (240.0, 1.2)
    assert extension["coverage"] == {"faults": 1, "effect_verified": [True]}
    assert extension["sped_up"] == "sped up 20x"


@pytest.mark.parametrize(
    ("verdict", "code", "outcome", "status", "deviated"),
    [
        ("pass", 0, "rolled_back", "completed", False),
        ("fail", 1, "promoted", "completed", True),
        ("inconclusive", 5, "rolled_back", "completed", False),
        ("inconclusive", 5, "", "failed", False),
        ("refused", 3, "", "aborted", False),
        ("inconclusive", 130, "rolled_back", "interrupted", False),
    ],
)
def test_the_status_is_a_word_of_the_chaos_toolkit(
    verdict: str, code: int, outcome: str, status: str, deviated: bool
) -> None:
    told = journal.document(made_up(verdict=verdict, exit_code=code, outcome=outcome))
    assert (told["status"], told["deviated"]) == (status, deviated)


def test_recovery_that_nobody_saw_is_a_steady_state_not_met() -> None:
    told = journal.document(changed_timeline(t7=Moment.never(1020.0)))
    assert told["steady_states"]["after"]["steady_state_met"] is False
    assert told["steady_states"]["after"]["probes"][0]["status"] == "failed"


# --- JUnit -------------------------------------------------------------------------------------------------------


def test_junit_has_a_case_a_drill_and_says_why_one_failed() -> None:
    drills = [
        made_up(),
        made_up(verdict="fail", exit_code=1, reasons=("p50 of detection_seconds: 300; expected 220 to 250", "again")),
        made_up(verdict="inconclusive", exit_code=5, reasons=("the fault was not seen to act",)),
        made_up(verdict="refused", exit_code=3, reasons=("service.replicas: at most 30 here",)),
        made_up(exit_code=4, left=("process 7",)),
    ]
    root = ElementTree.fromstring(junit.xml(drills))
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == ("testsuites", "5", "1", "3")
    (suite,) = root
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [f"canary #{number}" for number in range(1, 6)]
    assert {case.get("classname") for case in cases} == {"errors-5pct"}
    assert cases[0].get("time") == "21.5"
    assert [[child.tag for child in case if child.tag in ("failure", "error")] for case in cases] == [
        [], ["failure"], ["error"], ["error"], ["error"],
    ]  # fmt: skip
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.get("message") == "p50 of detection_seconds: 300; expected 220 to 250"
    assert failure.text == "p50 of detection_seconds: 300; expected 220 to 250\nagain"
    properties = {one.get("name"): one.get("value") for one in cases[0].iter("property")}
    assert properties["detection_seconds"] == "240.0"
    assert properties["speed"] == "20"
    assert "users_exposed" not in properties, "a column that does not apply has no property"


@settings(max_examples=50)
@given(words=st.text(max_size=60))
def test_no_name_breaks_the_xml(words: str) -> None:
    root = ElementTree.fromstring(junit.xml([made_up(verdict="fail", exit_code=1, reasons=(words,))]))
    assert root.get("failures") == "1"


# --- Prometheus --------------------------------------------------------------------------------------------------


def samples(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("verdict", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_text_has_median_and_worst() -> None:
    drills = [made_up(detection=value) for value in (230.0, 240.0, 290.0)]
    found = samples(prometheus.text(drills))
    assert found["rolloutlab_drill_detection_seconds", ""] == 240.0
    assert found["rolloutlab_drill_detection_max_seconds", ""] == 290.0
    assert found["rolloutlab_drill_runs", "pass"] == 3
    assert found["rolloutlab_drill_runs", "fail"] == 0
    assert found["rolloutlab_drill_exit_code", ""] == 0
    assert found["rolloutlab_drill_last_success_timestamp_seconds", ""] == 1_790_000_021.5


def test_a_time_that_does_not_apply_and_a_success_that_was_none_have_no_sample() -> None:
    row = dict.fromkeys(COLUMNS) | {"outcome": "promoted"}
    found = samples(prometheus.text([made_up(row=row, verdict="fail", exit_code=1, outcome="promoted")]))
    names = {name for name, _ in found}
    assert "rolloutlab_drill_detection_seconds" not in names
    assert "rolloutlab_drill_last_success_timestamp_seconds" not in names
    assert found["rolloutlab_drill_exit_code", ""] == 1


# --- several drills ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "wanted"),
    [([0, 0], 0), ([0, 5], 5), ([5, 1], 1), ([1, 3], 3), ([3, 130], 130), ([130, 4, 1], 4), ([], 5)],
)
def test_the_most_urgent_code_wins(codes: list[int], wanted: int) -> None:
    assert exit_code(codes) == wanted
    assert Drills([made_up(exit_code=code) for code in codes]).exit_code == wanted


def test_the_document_has_every_drill_and_the_series() -> None:
    drills = [made_up(detection=200.0 + value, number=value) for value in range(8)]
    told = Drills(drills, requested=10, inputs={"path": "errors-5pct"}).document()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told["command"], told["schema"], told["seed"], told["exit_code"]) == ("drill", 1, 0, 0)
    assert len(told["drills"]) == 8
    (group,) = told["results"]
    assert group["runs"] == 8
    assert group["verdicts"] == {"pass": 8, "fail": 0, "inconclusive": 0, "refused": 0}
    metric = group["metrics"]["detection_seconds"]
    assert (metric["p50"], metric["max"], metric["n"]) == (203.5, 207.0, 8)
    assert metric["lo"] == 200.0, "1 in 128 that all eight lie on one side of the median: the extremes bound 95 %"
    assert told["warnings"][0] == "8 of 10 drills: the others were not begun"


# --- files -------------------------------------------------------------------------------------------------------


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.txt"
    write_whole(path, "old")
    path.chmod(0o640)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_whole(path, "new")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["f.txt"]
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_pipe_is_written_as_it_stands() -> None:
    write_whole(Path("/dev/null"), "text")
    assert Path("/dev/null").is_char_device()
