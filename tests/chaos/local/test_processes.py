"""Processes of a run: started by the warden, and gone with it, with the harness, or by a sweep."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.local.processes import Process, Processes
from chaos.local.runs import STATE, Run, runs, started, sweep
from chaos.world import WorldError

SLEEPER = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


def until(true: Callable[[], object], seconds: float = 10.0) -> bool:
    """Does it become true within a generous time?"""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.01)
    return bool(true())


def with_processes(tmp_path: Path, work: Callable[[Processes], object]) -> Run:
    """Do something with a warden, then stop it."""
    run = Run.create(tmp_path)

    async def main() -> None:
        processes = Processes(run)
        await processes.start(replicas=False)
        try:
            await work(processes)  # type: ignore[misc]
        finally:
            await processes.stop()

    asyncio.run(main())
    return run


def test_a_program_runs_until_the_run_is_stopped(tmp_path: Path) -> None:
    seen: list[Process] = []

    async def work(processes: Processes) -> None:
        for number in range(3):
            seen.append(await processes.execute(f"sleeper {number}", SLEEPER, "sleeper.log"))
        assert until(lambda: {each.pid for each in seen} <= set(processes.run.processes()))
        assert len({os.getpgid(each.pid) for each in seen}) == 3, "each leads a group of its own"

    run = with_processes(tmp_path, work)
    assert run.processes() == []
    assert run.clear() == []
    assert not run.path.exists()


def test_exit_codes_signals_and_logs_are_told(tmp_path: Path) -> None:
    async def work(processes: Processes) -> None:
        ended = await processes.execute("three", [sys.executable, "-c", "print('bye'); raise SystemExit(3)"], "a.log")
        assert await ended.exited == 3
        assert processes.log_tail("a.log") == "bye"
        killed = await processes.execute("sleeper", SLEEPER, "b.log")
        await processes.signal(killed, signal.SIGKILL)
        assert await killed.exited == -signal.SIGKILL
        await processes.signal(killed, signal.SIGKILL)  # has ended: nobody else is hit
        with pytest.raises(WorldError, match="ended with -9 before it was ready"):
            await killed.ready
        missing = await processes.execute("nothing", ["/no/such/program"], "c.log")
        assert await missing.exited == 127
        assert "No such file" in processes.log_tail("c.log")

    with_processes(tmp_path, work)


def test_a_log_that_a_full_disk_kept_empty_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes(Run.create(tmp_path))
    assert processes.log_tail("none.log") == ""
    left = os.statvfs(tmp_path)
    full = os.statvfs_result((*left[:4], 0, *left[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    assert processes.log_tail("none.log") == f"no space is left on the disk of {processes.run.path}"
    (processes.run.path / "some.log").write_text("last words\n")
    assert processes.log_tail("some.log") == "last words"


def test_a_run_that_cannot_be_owned_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Run) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Run, "adopt", full)
    with pytest.raises(OSError, match="No space left"):
        Run.create(tmp_path)
    assert runs(tmp_path) == []


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    child = f"import subprocess, time; subprocess.Popen({SLEEPER!r}); time.sleep(0.2)"

    async def work(processes: Processes) -> None:
        parent = await processes.execute("parent", [sys.executable, "-c", child], "p.log")
        assert await parent.exited == 0
        warden = processes._warden
        assert warden is not None
        assert until(lambda: processes.run.processes() == [warden.pid])

    with_processes(tmp_path, work)


def test_who_no_longer_waits_for_an_answer_disturbs_nobody(tmp_path: Path) -> None:
    """The end of a drill cancels whoever waits; the answers come all the same."""

    async def work(processes: Processes) -> None:
        sleeper = await processes.execute("sleeper", SLEEPER, "s.log")
        for order in (processes.signal(sleeper, signal.SIGCONT), processes.execute("late", SLEEPER, "l.log")):
            asking = asyncio.create_task(order)
            await asyncio.sleep(0)  # it is sent
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        await processes.signal(sleeper, signal.SIGKILL)
        assert await sleeper.exited == -signal.SIGKILL

    run = with_processes(tmp_path, work)
    assert run.processes() == []


def test_a_start_that_is_cancelled_ends_the_warden_too(tmp_path: Path) -> None:
    run = Run.create(tmp_path)

    async def main() -> None:
        processes = Processes(run)
        starting = asyncio.create_task(processes.start(replicas=False))
        while processes._warden is None:
            await asyncio.sleep(0)
        while not hasattr(processes, "_writer"):
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await processes.stop()

    asyncio.run(main())
    assert run.processes() == []


def test_when_the_warden_is_killed_all_end_and_the_harness_hears_of_it(tmp_path: Path) -> None:
    async def work(processes: Processes) -> None:
        sleeper = await processes.execute("sleeper", SLEEPER, "s.log")
        lost: list[WorldError] = []
        processes.on_lost = lost.append
        assert processes._warden is not None
        processes._warden.kill()
        assert await asyncio.wait_for(sleeper.exited, 10) == -9
        assert until(lambda: not processes.run.processes())
        assert len(lost) == 1
        with pytest.raises(WorldError):
            await processes.execute("late", SLEEPER, "l.log")

    with_processes(tmp_path, work)


HARNESS = """
import asyncio, sys
from chaos.local.processes import Processes
from chaos.local.runs import Run

async def main():
    processes = Processes(Run.create())
    await processes.start(replicas=False)
    for number in range(3):
        await processes.execute(f"sleeper {number}", %r, "s.log")
    print(processes.run.id, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_harness_is_killed_nothing_goes_on_and_a_sweep_removes_its_files(number: int, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HARNESS % SLEEPER],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, STATE: str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])},
    ) as harness:
        assert harness.stdout is not None
        run = Run(tmp_path / "runs" / harness.stdout.readline().strip())
        assert until(lambda: len(run.processes()) == 4), "while one is executed the kernel shows no environment"
        assert sweep(tmp_path) == {}, "its owner lives"
        harness.send_signal(number)
        harness.wait()
    assert until(lambda: run.processes() == []), "the warden ends them all"
    assert run.leftovers()
    (run.path / "journal.jsonl").write_text("kept\n")
    assert sweep(tmp_path) == {run.id: []}
    assert [child.name for child in run.path.iterdir()] == ["journal.jsonl"]
    assert sweep(tmp_path) == {}


def test_a_sweep_ends_processes_whose_warden_is_gone_too(tmp_path: Path) -> None:
    run = Run.create(tmp_path)
    (run.path / "owner.json").write_text(json.dumps({"pid": 1, "started": -1, "boot": "another"}))
    with subprocess.Popen(SLEEPER, env={**os.environ, "ROLLOUTLAB_RUN": run.id}) as sleeper:
        assert until(lambda: run.processes() == [sleeper.pid])
        assert sweep(tmp_path) == {run.id: []}
        assert sleeper.wait() == -signal.SIGKILL
    assert runs(tmp_path) == []


@pytest.mark.parametrize("owner", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "started": 1, "boot": "b"}'])
def test_a_damaged_owner_is_nobody(owner: str, tmp_path: Path) -> None:
    run = Run.create(tmp_path)
    assert run.owned()
    (run.path / "owner.json").write_text(owner)
    assert not run.owned()


def test_a_process_is_known_by_its_start(tmp_path: Path) -> None:
    run = Run.create(tmp_path)
    owner = json.loads((run.path / "owner.json").read_text())
    assert owner["started"] == started(os.getpid())
    (run.path / "owner.json").write_text(json.dumps({**owner, "started": owner["started"] - 1}))
    assert not run.owned(), "another process had this number before"


@pytest.mark.slow
def test_runs_leave_nothing_behind(tmp_path: Path) -> None:
    def state() -> tuple[int, set[str]]:
        return len(os.listdir("/proc/self/fd")), {path.name for path in tmp_path.rglob("*")}

    async def one() -> None:
        processes = Processes(Run.create(tmp_path))
        await processes.start(replicas=False)
        await processes.execute("sleeper", SLEEPER, "s.log")
        await processes.stop()
        assert processes.run.processes() == []
        assert processes.run.clear() == []

    asyncio.run(one())
    before = state()
    for _ in range(20):
        asyncio.run(one())
    assert state() == before
