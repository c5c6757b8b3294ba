"""How the harness talks to pods: straight to their addresses, or through the API server where they are out of reach."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import aiohttp

from chaos.cluster.kinds import POD
from chaos.cluster.kube import Kube
from chaos.cluster.pod import PORT, Pod
from chaos.world import WorldError

LONGEST: Final = 4 << 20  #: bytes of one answer
_PROBE_SECONDS: Final = 1.0
_AT_ONCE: Final = 16


class Reach:
    """Args: `direct`: None: found out at the first pod."""

    def __init__(self, kube: Kube, *, direct: bool | None = None) -> None:
        self._kube = kube
        self.direct = direct
        self._session: aiohttp.ClientSession | None = None
        self._threads = ThreadPoolExecutor(_AT_ONCE, "reach")  # of its own: pods that hang delay no order

    async def find_out(self, pod: Pod) -> bool:
        """Whether the addresses of pods can be reached from here."""
        if self.direct is None:
            self.direct = await self._is_it(pod)
        return self.direct

    async def _is_it(self, pod: Pod) -> bool:
        """Whether it is this pod that answers at its address: another network may have the same addresses."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            limit = aiohttp.ClientTimeout(total=_PROBE_SECONDS)
            url = f"http://{_literal(pod.ip)}:{PORT}/healthz"
            async with self._open().get(url, timeout=limit, allow_redirects=False) as response:
                return response.headers.get("x-pod") == pod.name
        return False

    async def get(self, pod: Pod, port: int, path: str, *, seconds: float = 1.0) -> bytes:
        """What a pod answers to a GET.

        Raises:
            WorldError: it did not answer, or not with 200.
        """
        return await self._ask("GET", pod, port, path, None, seconds)

    async def post(self, pod: Pod, port: int, path: str, body: Mapping[str, Any], *, seconds: float = 2.0) -> bytes:
        """The same for a POST of JSON."""
        return await self._ask("POST", pod, port, path, body, seconds)

    async def url(self, address: str, *, seconds: float = 1.0) -> bytes:
        """What a URL answers to a GET; WorldError as of `get`."""
        return await self._fetched("GET", address, None, seconds, address)

    async def close(self) -> None:
        """Let go of connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    async def _ask(
        self, method: str, pod: Pod, port: int, path: str, body: Mapping[str, Any] | None, seconds: float
    ) -> bytes:
        if not self.direct:
            through = POD.path(pod.namespace, f"{pod.name}:{port}", "proxy") + path
            host = f"{_literal(pod.ip)}:{port}"  # its admin endpoint answers to its own name only
            ask = functools.partial(self._kube.text, method, through, body, seconds=seconds, host=host)
            return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        url = f"http://{_literal(pod.ip)}:{port}{path}"
        return await self._fetched(method, url, body, seconds, f"{pod.name}{path}")

    async def _fetched(self, method: str, url: str, body: Mapping[str, Any] | None, seconds: float, name: str) -> bytes:
        try:
            limit = aiohttp.ClientTimeout(total=seconds)
            data = None if body is None else json.dumps(body)
            head = {"Content-Type": "application/json"}
            given: dict[str, Any] = {"data": data, "headers": head, "timeout": limit, "allow_redirects": False}
            async with self._open().request(method, url, **given) as response:
                found = await response.content.read(LONGEST + 1)
                while len(found) <= LONGEST and (more := await response.content.read(LONGEST)):
                    found += more
                if response.status != 200 or len(found) > LONGEST:
                    raise WorldError(f"{name}: {response.status}, {len(found)} bytes")
                return found
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise WorldError(f"{name}: {error or 'no answer in time'}") from None


def _literal(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip
