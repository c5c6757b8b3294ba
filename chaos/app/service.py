"""What the application answers: its paths, and what its knobs do to them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from chaos.app.memory import Memory
from chaos.app.metrics import Metrics
from chaos.app.pool import Connection, Pool, PoolEmptyError
from chaos.app.settings import Identity, Knobs

Z99: Final = 2.3263478740408408  #: 99th percentile of the standard normal law
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Service:
    """One replica: its knobs, what it has leaked, and its answers.

    Attributes:
        draining: it is about to end, so each answer closes its connection.
    """

    def __init__(self, identity: Identity, knobs: Knobs) -> None:
        self.identity = identity
        self.pool = Pool(knobs.pool_size)
        self.memory = Memory()
        self.metrics = Metrics(identity, self.pool)
        self.draining = False
        seed = None if identity.seed is None else f"{identity.seed}/{identity.app_pod}"
        self._random = random.Random(seed)
        self._threads = asyncio.Semaphore(identity.threads) if identity.threads else contextlib.nullcontext()
        self._headers = CIMultiDict(
            {"x-version": identity.app_version, "x-pod": identity.app_pod, "x-revision": identity.app_revision}
        )
        self.turn(knobs)

    def turn(self, knobs: Knobs) -> None:
        """Behave like this from now on."""
        self.knobs = knobs
        self.pool.size = knobs.pool_size
        self.memory.limit_mib = knobs.memory_limit_mib
        self._log_median = math.log(knobs.latency_p50) if knobs.latency_p50 else -math.inf
        spread = max(knobs.latency_p50, knobs.latency_p99)
        self._sigma = (math.log(spread) - self._log_median) / Z99 if knobs.latency_p50 else 0.0

    def routes(self) -> web.Application:
        """The application that serves users, probes and scrapes."""
        app = web.Application(client_max_size=65_536)
        for path in ("/", "/checkout"):
            app.router.add_get(path, self._serve, allow_head=False)
            app.router.add_post(path, self._serve)
        app.router.add_get("/healthz", self._healthz, allow_head=False)
        app.router.add_get("/readyz", self._readyz, allow_head=False)
        app.router.add_get("/metrics", self._scrape, allow_head=False)
        return app

    # -- users ----------------------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.Response:
        began = time.perf_counter()
        async with self._threads:
            try:
                status = await self._work()
            except PoolEmptyError:
                status = 500
        self.metrics.count(status, request.method, request.path, time.perf_counter() - began)
        return self._answer(status, b"ok\n" if status == 200 else b"failed\n")

    async def _work(self) -> int:
        """Answer one request; the draws are made first, so that their order does not depend on what waits."""
        knobs, draw = self.knobs, self._random.random
        failed, leaks = draw() < knobs.error_rate, draw() < knobs.pool_leak_per_request
        seconds = self.draw_seconds()
        if knobs.leak_mib_per_request:
            self.memory.leak(knobs.leak_mib_per_request)
        async with self._connection(leaks) as connection:
            await connection.query()
            await _sleep(seconds * knobs.pool_hold_share)
        await _sleep(seconds * (1 - knobs.pool_hold_share))
        return 500 if failed else 200

    @contextlib.asynccontextmanager
    async def _connection(self, leaks: bool) -> AsyncIterator[Connection]:
        connection = await self.pool.take(self.knobs.pool_timeout)
        try:
            yield connection
        finally:
            if not leaks:
                self.pool.give_back(connection)

    def draw_seconds(self) -> float:
        """Time that the next answer takes: log-normal, and what is added to a share of them."""
        knobs = self.knobs
        seconds = math.exp(self._random.gauss(self._log_median, self._sigma)) if knobs.latency_p50 else 0.0
        if knobs.added_latency and self._random.random() < knobs.added_latency_share:
            seconds += knobs.added_latency
        return seconds

    def _answer(self, status: int, body: bytes) -> web.Response:
        response = web.Response(status=status, body=body, headers=self._headers)
        if self.draining or not self.knobs.listen:
            response.force_close()
        return response

    async def close(self) -> None:
        """Let go of the connections to the back end."""
        self.pool.close()
        await asyncio.sleep(0)  # transports close in the next turn of the loop

    # -- probes and scrapes ---------------------------------------------------------------------------------------

    async def _healthz(self, _: web.Request) -> web.Response:
        return self._answer(200, b"alive\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self.knobs.not_ready or self.draining:
            return self._answer(503, b"not ready\n")
        return self._answer(200, b"ready\n")

    async def _scrape(self, _: web.Request) -> web.Response:
        if self.knobs.metrics_blind:
            return self._answer(503, b"no metrics\n")
        response = self._answer(200, self.metrics.text())
        response.headers["Content-Type"] = METRICS_TYPE
        return response


async def _sleep(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)
