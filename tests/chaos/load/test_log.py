"""The traffic log: written and read at the same time, cut anywhere, or not a log at all."""

from __future__ import annotations

import csv
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.load import log as traffic
from chaos.load.log import (
    DTYPE,
    SIZE,
    TrafficLog,
    TrafficLogError,
    TrafficWriter,
    failed,
    latency_seconds,
    summary,
    write_csv,
)

RECORDS = [
    (1_000, 1_100, 3_000, 7, 200, 0, 1, False, b"v1", b"web-1"),
    (2_000, 2_000, 12_000, 8, 500, 0, 2, True, b"v2", b"web-2"),
    (3_000, 3_001, 1_003_000, 0, 0, 1, 0, False, b"", b""),
    (4_000, 4_000, 5_000, 0, 200, 0, 2, False, b"v2", b"web-2"),
]


def written(path: Path, records: list[tuple[object, ...]]) -> Path:
    writer = TrafficWriter(path, 123)
    for record in records:
        writer.add(*record)
    writer.flush()
    writer.close()
    return path


def test_the_record_is_the_same_to_writer_and_reader(tmp_path: Path) -> None:
    assert SIZE == struct.calcsize("<qqqIHBB?31s64s") == 128
    log = TrafficLog(written(tmp_path / "t.bin", RECORDS))
    found = log.read_new()
    assert found.dtype == DTYPE
    assert found.tolist() == RECORDS
    assert log.began_us == 123
    assert len(log.read_new()) == 0
    assert np.array_equal(log.read_all(), found)


def test_a_name_that_is_too_long_is_cut(tmp_path: Path) -> None:
    record = (*RECORDS[0][:8], b"v" * 99, b"p" * 99)
    (found,) = TrafficLog(written(tmp_path / "t.bin", [record])).read_new()
    assert (found["version"], found["pod"]) == (b"v" * 31, b"p" * 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


@given(st.lists(st.integers(0, SIZE * 5 + 50), max_size=8))
def test_whole_and_in_pieces_are_the_same(folder: Path, cuts: list[int]) -> None:
    whole = written(folder / "whole.bin", RECORDS).read_bytes()
    growing, found = folder / "growing.bin", []
    growing.unlink(missing_ok=True)
    log = TrafficLog(growing)
    assert len(log.read_new()) == 0, "not there yet"
    for cut in [*sorted(cuts), len(whole)]:
        growing.write_bytes(whole[:cut])
        found += log.read_new().tolist()
    assert found == RECORDS


def test_long_logs_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "MOST_RECORDS", 3)
    log = TrafficLog(written(tmp_path / "t.bin", RECORDS * 2))
    assert [len(log.read_new()) for _ in range(4)] == [3, 3, 2, 0]
    assert log.read_all().tolist() == RECORDS * 2


@pytest.mark.parametrize(
    "content", [b"x" * 200, b"{}" + b" " * 200, b'{"format": "rolloutlab/traffic/v9", "record": 128}' + b" " * 100]
)
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.bin").write_bytes(content)
    with pytest.raises(TrafficLogError, match=r"t.bin: expected a traffic log \(rolloutlab/traffic/v1\)"):
        TrafficLog(tmp_path / "t.bin").read_new()


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        TrafficWriter(tmp_path / "no" / "t.bin", 0)


def test_the_summary_counts_what_users_saw(tmp_path: Path) -> None:
    records = TrafficLog(written(tmp_path / "t.bin", RECORDS)).read_new()
    assert failed(records).tolist() == [False, True, True, False]
    assert latency_seconds(records).tolist() == [0.002, 0.01, 1.0, 0.001], "from the intended time"
    found = summary(records)
    assert (found["requests"], found["answered"], found["failed"]) == (4, 3, 2)
    assert found["by_status"] == {"200": 2, "500": 1}
    assert found["by_reason"] == {"timeout": 1}
    assert found["latency_seconds"]["max"] == 0.01, "of responses"
    assert {name: part["requests"] for name, part in found["by_revision"].items()} == {"": 1, "stable": 1, "canary": 2}
    assert found["by_revision"]["canary"]["failed"] == 1
    nothing = summary(records[:0])
    assert nothing["requests"] == 0
    assert nothing["latency_seconds"] == {"p50": None, "p90": None, "p99": None, "max": None}


def test_other_tools_get_a_table(tmp_path: Path) -> None:
    records = TrafficLog(written(tmp_path / "t.bin", RECORDS)).read_new()
    write_csv(records, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4
    assert rows[1] == {
        "intended_us": "2000",
        "sent_us": "2000",
        "done_us": "12000",
        "user": "8",
        "status": "500",
        "reason": "",
        "revision": "canary",
        "fresh": "1",
        "version": "v2",
        "pod": "web-2",
    }
    assert rows[2]["reason"] == "timeout"
