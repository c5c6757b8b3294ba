"""`python -m chaos.load` as a process: how it ends, and that it always ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.load.log import TrafficLog

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The application under test."""
    with subprocess.Popen(
        [sys.executable, "-m", "chaos.app"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SEED": "1", "APP_REVISION": "canary", "APP_VERSION": "v2", "ERROR_RATE": "0.5"},
    ) as app:
        assert app.stdout is not None
        yield json.loads(app.stdout.readline())["port"]
        app.kill()


def command(tmp_path: Path, port: int, **changes: Any) -> list[str]:
    given = {
        "host": "127.0.0.1",
        "port": port,
        "log": str(tmp_path / "t.bin"),
        "duration_seconds": 3600,
        "rate_per_second": 100,
        "max_lag_seconds": 30,
        **changes,
    }
    (tmp_path / "load.json").write_text(json.dumps(given))
    return [sys.executable, "-m", "chaos.load", "--config", str(tmp_path / "load.json")]


def limited(limit: str, soft: int, hard: int, argv: list[str]) -> list[str]:
    """The same command under a limit of the kernel (a name of `resource`)."""
    program = f"import os, resource, sys; resource.setrlimit(resource.{limit}, ({soft}, {hard})); "
    return [sys.executable, "-c", program + "os.execv(sys.argv[1], sys.argv[1:])", *argv]


@contextlib.contextmanager
def started(argv: list[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A run, and the end of the pipe that is its standard input."""
    theirs, ours = os.pipe()
    process = subprocess.Popen(argv, cwd=ROOT, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.communicate()
        with contextlib.suppress(OSError):
            os.close(ours)


def until_records(path: Path) -> None:
    log, end = TrafficLog(path), time.monotonic() + 20
    while not len(log.read_new()):
        assert time.monotonic() < end, "no traffic"
        time.sleep(0.02)


def test_a_run_ends_by_itself_and_leaves_its_report(port: int, tmp_path: Path) -> None:
    argv = command(tmp_path, port, duration_seconds=0.5)
    ended = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, ""), "a null device is nobody who has gone"
    report = json.loads(ended.stdout)
    assert report == json.loads((tmp_path / "t.bin.json").read_text())
    assert report["stopped_by"] == "duration"
    assert report["by_revision"]["canary"]["requests"] == report["requests"] > 10
    assert set(report["by_status"]) == {"200", "500"}
    assert report["lag_seconds"]["p50"] <= report["lag_seconds"]["p99"]
    assert TrafficLog(tmp_path / "t.bin").read_all()["pod"][0] == b"local"


@pytest.mark.parametrize(
    ("how", "code", "why"), [("stdin", 0, "stdin"), ("SIGTERM", 0, "SIGTERM"), ("SIGINT", 130, "SIGINT")]
)
def test_it_ends_when_it_is_told_to_or_nobody_is_there(
    how: str, code: int, why: str, port: int, tmp_path: Path
) -> None:
    with started(command(tmp_path, port)) as (process, stdin):
        os.write(stdin, b"what is said does not matter\n")
        until_records(tmp_path / "t.bin")
        if how == "stdin":
            os.close(stdin)
        else:
            process.send_signal(getattr(signal, how))
        out, said = process.communicate(timeout=20)
        assert (process.returncode, said) == (code, "")
        report = json.loads(out)
        assert report["stopped_by"] == why
        assert report["requests"] == len(TrafficLog(tmp_path / "t.bin").read_all())


def test_a_full_disk_ends_it_with_a_clear_message(port: int, tmp_path: Path) -> None:
    argv = limited("RLIMIT_FSIZE", 128 * 40, 128 * 40, command(tmp_path, port))
    with started(argv) as (process, _):
        out, said = process.communicate(timeout=30)
    assert process.returncode == 5
    assert said == f"chaos.load: the traffic log {tmp_path}/t.bin cannot be written: File too large\n"
    assert json.loads(out)["stopped_by"] == "log"
    assert len(TrafficLog(tmp_path / "t.bin").read_all()) == 39, "the rest is what could be written"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"host": "192.0.2.1"}, "host: expected an address on loopback; private networks can be named in allow"),
        ({"rate_per_second": "fast"}, "rate_per_second: expected a number from 0 to 5000, got 'fast'"),
        ({"max_open": 99_999}, "max_open: 99999 needs 100063 descriptors, this process may have 4096"),
    ],
)
def test_bad_input_is_one_line(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    argv = limited("RLIMIT_NOFILE", 1024, 4096, command(tmp_path, 80, **changes))
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "t.bin").exists()


def test_a_log_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    argv = command(tmp_path, 80, log=str(tmp_path / "no" / "t.bin"))
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (5, f"chaos.load: {tmp_path}/no/t.bin: No such file or directory\n")
