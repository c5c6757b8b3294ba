"""How pods are spoken to: straight only where it is that pod that answers, and never further than it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from chaos.cluster import reach as under_test
from chaos.cluster.kinds import POD
from chaos.cluster.kube import Kube
from chaos.cluster.pod import Pod
from chaos.cluster.reach import Reach
from chaos.cluster.testing import ApiServer
from chaos.world import WorldError

HERE = "drills"
POD_1 = Pod(name="web-1", namespace=HERE, uid="u", revision="stable", ip="127.0.0.1", running=True)


def answering(
    monkeypatch: pytest.MonkeyPatch,
    kube: Kube,
    answer: Callable[[web.Request], web.Response],
    work: Callable[[Reach], Awaitable[Any]],
) -> list[str]:
    """Do something while somebody answers at the address of the pod; the paths that were asked for."""
    asked: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(f"{request.method} {request.path}")
        return answer(request)

    async def main() -> None:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        monkeypatch.setattr(under_test, "PORT", runner.addresses[0][1])
        reach = Reach(kube)
        try:
            await work(reach)
        finally:
            await reach.close()
            await runner.cleanup()

    asyncio.run(main())
    return asked


def named(name: str, **more: Any) -> Callable[[web.Request], web.Response]:
    return lambda request: web.Response(headers={"x-pod": name}, **more)


def test_a_pod_that_answers_with_its_name_is_spoken_to_straight(
    monkeypatch: pytest.MonkeyPatch, kube: Kube, api: ApiServer
) -> None:
    async def work(reach: Reach) -> None:
        assert await reach.find_out(POD_1)
        assert await reach.get(POD_1, under_test.PORT, "/metrics") == b"text"
        assert await reach.post(POD_1, under_test.PORT, "/admin/knobs", {"a": 1}) == b"text"
        assert await reach.find_out(POD_1), "which is not found out again"

    assert answering(monkeypatch, kube, named("web-1", body=b"text"), work) == [
        "GET /healthz",
        "GET /metrics",
        "POST /admin/knobs",
    ]
    assert api.trouble.requests == []


@pytest.mark.parametrize("name", ["web-2", "", "WEB-1"])
def test_whoever_else_has_that_address_here_is_asked_nothing_more(
    monkeypatch: pytest.MonkeyPatch, kube: Kube, api: ApiServer, name: str
) -> None:
    """The network of this machine may use the addresses of the cluster's pods for something else."""
    body = {"metadata": {"name": "web-1"}, "spec": {"containers": [{"name": "app", "image": "i"}]}}
    api.store.create(POD, body, HERE)
    api.pod = lambda method, name, path, body: (200, f"{method} {name}{path}".encode())

    async def work(reach: Reach) -> None:
        assert not await reach.find_out(POD_1)
        assert await reach.post(POD_1, 8081, "/admin/knobs", {"a": 1}) == b"POST web-1:8081/admin/knobs"

    assert answering(monkeypatch, kube, named(name), work) == ["GET /healthz"]


def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch, kube: Kube) -> None:
    def answer(request: web.Request) -> web.Response:
        headers = {"Location": "/healthz", "x-pod": "web-1"}
        return web.Response(status=200 if request.path == "/healthz" else 307, headers=headers)

    async def work(reach: Reach) -> None:
        assert await reach.find_out(POD_1)
        with pytest.raises(WorldError, match="web-1/metrics: 307"):
            await reach.get(POD_1, under_test.PORT, "/metrics")

    assert answering(monkeypatch, kube, answer, work) == ["GET /healthz", "GET /metrics"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"status": 503}, "503"),
        ({"status": 204}, "204"),
        ({"body": b"x" * ((4 << 20) + 1)}, r"4194305 bytes|\d+ bytes"),
    ],
)
def test_an_answer_that_is_none_is_an_error(
    monkeypatch: pytest.MonkeyPatch, kube: Kube, more: dict[str, Any], said: str
) -> None:
    async def work(reach: Reach) -> None:
        reach.direct = True
        with pytest.raises(WorldError, match=f"web-1/metrics: .*({said})"):
            await reach.get(POD_1, under_test.PORT, "/metrics", seconds=30)

    answering(monkeypatch, kube, named("web-1", **more), work)


def test_nobody_there(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        reach = Reach(kube)
        monkeypatch.setattr(under_test, "PORT", 1)
        assert not await reach.find_out(POD_1)
        reach.direct = True
        with pytest.raises(WorldError, match="web-1/metrics"):
            await reach.get(POD_1, 1, "/metrics")
        with pytest.raises(WorldError, match="web-1/metrics"):
            await reach.get(Pod(**{**{f: getattr(POD_1, f) for f in POD_1.__slots__}, "ip": "::1"}), 1, "/metrics")
        await reach.close()
        await reach.close()

    asyncio.run(main())
