"""Traces: what a CSV means, and one line for every row that means nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios import ScenarioErrors, read_trace
from scenarios.yaml_nodes import read_bytes


def written(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text)
    return path


def test_the_last_bin_is_as_wide_as_the_one_before(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "timestamp,requests\n100,5\n160,7.5\n190,0\n"))
    assert trace.offsets_seconds.tolist() == [0, 60, 90, 120]
    assert trace.requests.tolist() == [5, 7.5, 0]
    assert trace.duration_seconds == 120
    assert trace.mean_per_second == 12.5 / 120


@pytest.mark.parametrize(
    "stamps",
    [
        ("2025-03-01T10:00:00Z", "2025-03-01T10:05:00Z"),
        ("2025-03-01 10:00", "2025-03-01 10:05"),
        ("2025-03-01T10:00:00+01:00", "2025-03-01T11:05:00+02:00"),
        ("1740823200", "1740823500"),
        ("1e3", "1300"),
        ("2025-03-01T10:00:00.000", "2025-03-01T10:05:00.000"),
    ],
)
def test_times_of_every_form(tmp_path: Path, stamps: tuple[str, str]) -> None:
    trace = read_trace(written(tmp_path, f"timestamp,requests\n{stamps[0]},1\n{stamps[1]},2\n"))
    assert trace.offsets_seconds.tolist() == [0, 300, 600]


def test_columns_may_stand_in_any_order_among_others(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, '\ufeffHost,Requests,"Timestamp"\na,3,0\n\nb,4,60\n'))
    assert trace.requests.tolist() == [3, 4]


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=50), st.data())
def test_edges_rise_and_requests_are_kept(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[float], data: st.DataObject
) -> None:
    times = np.cumsum([0.0, *gaps])
    counts = data.draw(st.lists(st.integers(0, 10**6), min_size=len(times), max_size=len(times)))
    counts[0] += 1
    text = "timestamp,requests\n" + "".join(f"{float(t)!r},{c}\n" for t, c in zip(times, counts, strict=True))
    trace = read_trace(written(tmp_path_factory.getbasetemp(), text))
    assert (np.diff(trace.offsets_seconds) > 0).all()
    assert trace.requests.tolist() == counts
    assert trace.offsets_seconds[:-1].tolist() == times.tolist()


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("", ["1: expected a header timestamp,requests, got an empty trace"]),
        ("timestamp,requests\n", ["1: expected rows of timestamp,requests, got an empty trace"]),
        (
            "timestamp,requests\n1,2\n",
            ["1: expected rows of timestamp,requests, got a trace of one row, which has no length"],
        ),
        ("timestamp,requests\n1,0\n2,0\n", ["1: expected at least one request in the trace, got none"]),
        (
            "time,requests\n1,2\n",
            ["1 timestamp: expected a column 'timestamp', got 'time, requests'; is 'time' meant?"],
        ),
        ("timestamp,count\n1,2\n", ["1 requests: expected a column 'requests', got 'timestamp, count'"]),
        (
            "timestamp,requests\n1,NaN\n2,-3\n2,1\nnoon,5\n9,many\n10\n",
            [
                "2 requests: expected a number, 0 or more, got 'NaN'",
                "3 requests: expected a number, 0 or more, got '-3'",
                "4 timestamp: expected a time after that of the row before, got '2'",
                "5 timestamp: expected ISO 8601 such as 2025-01-31T12:00:00Z, or seconds, got 'noon'",
                "6 requests: expected a number, 0 or more, got 'many'",
                "7: expected 2 columns, got 1",
            ],
        ),
        (
            "timestamp,requests\n2025-02-30,1\n",
            ["2 timestamp: expected ISO 8601 such as 2025-01-31T12:00:00Z, or seconds, got '2025-02-30'"],
        ),
        ("timestamp,requests\n1,inf\n", ["2 requests: expected a number, 0 or more, got 'inf'"]),
        ('timestamp,requests\n1,"2\n', ["2: not CSV: unexpected end of data"]),
    ],
)
def test_one_line_for_everything_wrong(tmp_path: Path, text: str, errors: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ScenarioErrors) as caught:
        read_trace(path)
    assert str(caught.value).splitlines() == [f"{path}:{error}" for error in errors]


def test_a_trace_that_is_wrong_everywhere_says_so_twenty_times(tmp_path: Path) -> None:
    path = written(tmp_path, "timestamp,requests\n" + "x,1\n" * 1000)
    with pytest.raises(ScenarioErrors) as caught:
        read_trace(path)
    assert len(caught.value.errors) == 20


def test_only_regular_files_of_bounded_size(tmp_path: Path) -> None:
    with pytest.raises(ScenarioErrors, match="expected a trace file, got a directory"):
        read_trace(tmp_path)
    with pytest.raises(ScenarioErrors, match="expected a trace file: no such file or directory"):
        read_trace(tmp_path / "none.csv")
    with pytest.raises(ScenarioErrors, match="expected a trace file, got something that is not a regular file"):
        read_trace("/dev/null")
    path = written(tmp_path, "x" * 2049)
    with pytest.raises(Exception, match="expected a scenario file of at most 2 KiB, got more"):
        read_bytes(path, limit=2048)
