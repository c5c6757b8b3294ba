"""The agent and its link on a machine without pods: orders, refusals, its end, and sweeps of what is there no more."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaos.cluster.native.injection import Injection
from chaos.injectors.native import AgentLink, Host, sweep
from chaos.injectors.native.link import GoneError
from chaos.world import WorldError


@dataclass
class Program:
    """Something else in the place of the agent."""

    words: list[str]

    def argv(self, arguments: Sequence[str]) -> list[str]:
        return self.words


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of this test's own."""
    monkeypatch.setenv("ROLLOUTLAB_FAULTS", str(tmp_path / "faults"))
    return tmp_path / "faults"


def injection(**more: Any) -> Injection:
    told = {"id": "unit.0.0", "group": "unit.0", "owner": "unit-tests-only", "kind": "partition", "pod": "web-0"}
    rest = {"uid": "00000000-0000-4000-8000-000000000000", "container_id": "c" * 64, "seconds": 5.0, "parameters": {}}
    return Injection(**{**told, **rest, **more})


def test_a_pod_that_is_not_here_is_gone_and_leaves_no_entry(folder: Path) -> None:
    async def main() -> None:
        link = AgentLink(Host())
        with pytest.raises(GoneError, match="no process of pod 0000"):
            await link.place(injection())
        with pytest.raises(GoneError, match="no container cccccccccccc of pod web-0 runs here"):
            await link.place(injection(kind="freeze"))
        with pytest.raises(GoneError, match="no container"):
            await link.kill(injection(kind="container_kill"))
        with pytest.raises(WorldError, match="unknown kind of fault 'tickle'; known: partition, packet_loss"):
            await link.place(injection(kind="tickle"))
        with pytest.raises(WorldError, match="unknown order 'dance'"):
            await link._ask({"op": "dance"})
        assert await link.borne("unit.0") == []
        assert await link.undo("unit.0") == []
        await link.close()
        await link.close()

    asyncio.run(main())
    assert not folder.exists() or list(folder.iterdir()) == []


def test_the_agent_ends_with_its_harness() -> None:
    command = Host().argv(["agent"])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdin is not None
        assert agent.stdout is not None
        assert json.loads(agent.stdout.readline())["event"] == "agent"
        agent.stdin.close()
        assert agent.wait(10) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_agent_ends_when_it_is_told_to(number: int) -> None:
    with subprocess.Popen(Host().argv(["agent"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        agent.stdout.readline()
        agent.send_signal(number)
        assert agent.wait(10) == 0


def test_a_lost_agent_is_told_of_and_started_again() -> None:
    async def main() -> None:
        link, told = AgentLink(Host()), list[tuple[str, Any]]()
        link.on_end("unit.0", lambda injection, message: told.append((injection, message["ended"])))
        await asyncio.gather(link.start(), link.start())
        assert link._process is not None
        first = link._process.pid
        os.kill(first, signal.SIGKILL)
        while not link.lost:
            await asyncio.sleep(0.01)
        assert told == [("", "its agent has ended")]
        assert await link.borne("unit.0") == []
        assert await link.undo("unit.0") == []
        with pytest.raises(GoneError):
            await link.place(injection())
        assert link._process.pid != first
        await link.close()

    asyncio.run(main())


def test_who_is_cancelled_while_the_agent_starts_leaves_none_behind() -> None:
    async def main() -> None:
        link = AgentLink(Host())
        starting = asyncio.create_task(link.start())
        await asyncio.sleep(0)
        starting.cancel()
        await link.close()
        assert link.lost

    asyncio.run(main())


def test_an_agent_that_cannot_be_had_is_an_error_in_words() -> None:
    async def main(words: list[str]) -> None:
        link = AgentLink(Program(words))
        try:
            await link.start()
        finally:
            await link.close()

    with pytest.raises(WorldError, match="the agent on the node cannot be started: /nowhere: No such file"):
        asyncio.run(main(["/nowhere"]))
    with pytest.raises(WorldError, match="the agent on the node has ended"):
        asyncio.run(main([sys.executable, "-c", "raise SystemExit('no such node')"]))


def entry(folder: Path, name: str, owner: str, **more: Any) -> Path:
    """An entry whose guard has died."""
    folder.mkdir(exist_ok=True)
    told = injection(id=name, owner=owner, kind="freeze").plain()
    facts = {"facts": {"folder": str(folder / "gone")}, "guard": 1, "guard_started": -1, "expires": 0.0}
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"injection": told, **facts, **more}))
    return path


def test_a_sweep_clears_what_is_there_no_more(folder: Path) -> None:
    mine, other = entry(folder, "mine.0.0", "unit-tests-only"), entry(folder, "other.0.0", "unit-tests-other")
    done, left = asyncio.run(sweep(Host(), None, "shop", "unit-tests-only"))
    assert (done, left) == (["freeze in pod web-0"], [])
    assert not mine.exists()
    assert other.exists()


def test_a_new_agent_clears_what_dead_ones_have_left_and_leaves_what_is_looked_after(folder: Path) -> None:
    dead = entry(folder, "dead.0.0", "unit-tests-only")
    me = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    mine = entry(folder, "mine.0.0", "unit-tests-only", guard=os.getpid(), guard_started=me, expires=time.time() + 60)

    async def main() -> None:
        link = AgentLink(Host())
        await link.start()
        assert dead.exists(), "who only looks changes nothing"
        with pytest.raises(GoneError):
            await link.place(injection())
        await link.close()

    asyncio.run(main())
    assert not dead.exists()
    assert mine.exists()


def test_a_sweep_thaws_what_a_dead_guard_has_frozen(folder: Path, tmp_path: Path) -> None:
    frozen = tmp_path / "cgroup"
    frozen.mkdir()
    (frozen / "freezer.state").write_text("FROZEN")
    entry(folder, "mine.0.0", "unit-tests-only", facts={"folder": str(frozen)})
    command = Host().argv(["sweep", "unit-tests-only"])
    swept = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert json.loads(swept.stdout) == {"done": ["freeze in pod web-0"], "left": []}
    assert (frozen / "freezer.state").read_text() == "THAWED"


def test_a_sweep_ends_a_guard_that_lives(folder: Path) -> None:
    """Here it is a process that knows nothing of it; a guard would take its fault back first."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        file = entry(folder, "mine.0.0", "unit-tests-only", guard=process.pid, guard_started=started)
        done, left = asyncio.run(sweep(Host(), None, "shop", "unit-tests-only"))
        assert (len(done), left) == (1, [])
        assert process.wait(10) == -signal.SIGTERM
    assert not file.exists()


@pytest.mark.parametrize("arguments", [[], ["dance"], ["sweep", "a", "b"]])
def test_wrong_words(arguments: list[str]) -> None:
    said = subprocess.run(Host().argv(arguments), capture_output=True, text=True, timeout=20, check=False)
    assert said.returncode == 2
    assert "usage: python -m chaos.cluster.native agent | sweep [OWNER]" in said.stderr
