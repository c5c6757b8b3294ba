"""A Gateway and pods that answer, for the cluster in memory: the application under test in one process, over real HTTP.

Requests go to ready pods by the weights of the HTTPRoute of their host. A pod is the application itself, with the
settings of its manifest; its metrics and knobs are reached through the API server's proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from chaos.app.service import Service
from chaos.app.settings import SettingError, changed, from_environment, shown
from chaos.cluster.kinds import GATEWAY, HTTP_ROUTE, POD, SERVICE
from chaos.cluster.pod import ADMIN_PORT, CONTAINER
from chaos.cluster.testing.store import Object, Store

_LOOK_SECONDS: Final = 0.02


@dataclass(slots=True)
class _Answering:
    """One pod that has been asked something."""

    service: Service
    routes: web.Application


class Traffic:
    """Use it as a context manager; `pod` is for the API server, `port` is where the Gateway listens."""

    def __init__(self, store: Store, gateway: tuple[str, str] = ("infra", "web"), *, seed: int = 1) -> None:
        self._store, self._gateway = store, gateway
        self._random = random.Random(seed)
        self._pods: dict[str, _Answering] = {}  #: by uid
        self._backends: dict[str, list[tuple[int, list[Object]]]] = {}  #: by host: weight, ready pods
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)
        self.port = 0

    def __enter__(self) -> Traffic:
        self._thread.start()
        self._up.wait(30)
        namespace, name = self._gateway
        listeners = [{"name": "http", "protocol": "HTTP", "port": self.port}]
        self._store.create(GATEWAY, {"metadata": {"name": name}, "spec": {"listeners": listeners}}, namespace)
        address = {"addresses": [{"type": "IPAddress", "value": "127.0.0.1"}]}
        self._store.patch(GATEWAY, name, {"status": address}, namespace, "status")
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)
        self._loop.close()

    def pod(self, method: str, name: str, path: str, body: bytes) -> tuple[int, bytes]:
        """What a pod answers through the API server's proxy; called from threads of the server."""
        asked: Coroutine[Any, Any, tuple[int, bytes]] = self._proxied(method, name, path, body)
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result(30)

    # -- the loop -------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        server = web.Server(self._route)
        runner = web.ServerRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._up.set()
        while not self._over.is_set():
            self._look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), _LOOK_SECONDS)
        await runner.cleanup()
        for pod in self._pods.values():
            await pod.service.close()

    def _look(self) -> None:
        """As a router does that watches routes and endpoints."""
        pods = [each for each in self._store.all(POD) if _ready(each)]
        found: dict[str, list[tuple[int, list[Object]]]] = {}
        for route in self._store.all(HTTP_ROUTE):
            namespace = route["metadata"]["namespace"]
            backends = []
            for rule in route["spec"].get("rules", ()):
                for each in rule.get("backendRefs", ()):
                    service = self._store.get(SERVICE, each["name"], namespace)
                    if service is not None:
                        backends.append((each.get("weight", 1), _selected(service, pods)))
            for host in route["spec"].get("hostnames", ()):
                found[host] = backends
        self._backends = found

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        backends = self._backends.get(request.host.partition(":")[0])
        if not backends or not sum(weight for weight, _ in backends):
            return web.Response(status=404, text="no route\n")
        (pods,) = self._random.choices([pods for _, pods in backends], [weight for weight, _ in backends])
        if not pods:
            return web.Response(status=503, text="no endpoints\n")
        pod = self._answering(self._random.choice(pods))
        found = await pod.routes.router.resolve(request)  # type: ignore[arg-type]
        return await found.handler(request)  # type: ignore[arg-type]

    async def _proxied(self, method: str, name: str, path: str, body: bytes) -> tuple[int, bytes]:
        bare, _, port = name.partition(":")
        found = next((each for each in self._store.all(POD) if each["metadata"]["name"] == bare), None)
        if found is None or "running" not in _state(found):
            return 503, b"error trying to reach service: connection refused\n"
        service = self._answering(found).service
        if path == "/metrics":
            return (503, b"") if service.knobs.metrics_blind else (200, service.metrics.text())
        if path == "/admin/knobs" and port == str(ADMIN_PORT):
            if method == "POST":
                try:
                    service.turn(changed(service.knobs, json.loads(body)))
                except SettingError as error:
                    return 400, str(error).encode()
            return 200, json.dumps(shown(service.knobs)).encode()
        return 404, b"not found\n"

    def _answering(self, found: Object) -> _Answering:
        uid = found["metadata"]["uid"]
        if uid not in self._pods:
            (container,) = [each for each in found["spec"]["containers"] if each["name"] == CONTAINER]
            told = {each["name"]: each["value"] for each in container["env"] if "value" in each}
            identity, knobs = from_environment({**told, "APP_POD": found["metadata"]["name"]})
            service = Service(identity, knobs)
            self._pods[uid] = _Answering(service, service.routes())
        return self._pods[uid]


def _selected(service: Object, pods: list[Object]) -> list[Object]:
    wanted = service["spec"]["selector"].items()
    return [each for each in pods if wanted <= each["metadata"].get("labels", {}).items()]


def _ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", ())
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _state(pod: Object) -> Object:
    (status, *_) = pod["status"].get("containerStatuses") or [{}]
    found: Object = status.get("state", {})
    return found
