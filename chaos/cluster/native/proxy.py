"""A proxy inside a pod's network that holds or fails a share of its HTTP requests, and passes the rest on unchanged."""

from __future__ import annotations

import asyncio
import contextlib
import http
import random
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chaos.cluster.native.http1 import Head, NotHttpError, Source, request_body
from chaos.cluster.native.relay import END_SECONDS, Relay

_WAITING: Final = 1024  #: connections that the kernel accepts for us, at most
FAULT_HEADER: Final = "x-rolloutlab-fault"  #: of answers that the proxy made, and no other


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFault:
    """What happens to which requests.

    Attributes:
        share: of the requests, 0..1; each by its own throw.
        latency_seconds: they are held so long, with up to `jitter_seconds` more or less.
        abort_status: they are then answered with this by the proxy; 0: they are passed on.
        answer_headers: of such an answer, as the pod itself would set them.
        exempt_paths: requests for these pass untouched.
    """

    share: float
    latency_seconds: float = 0.0
    jitter_seconds: float = 0.0
    abort_status: int = 0
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    exempt_paths: frozenset[str] = frozenset()

    def answer(self, method: bytes, *, keep: bool) -> bytes:
        """What a request that is failed gets."""
        body = b"" if method == b"HEAD" else b"failed by an injected fault\n"
        headers = {
            **self.answer_headers,
            FAULT_HEADER: "http_abort",
            "Content-Type": "text/plain",
            "Content-Length": str(len(body)),
            "Connection": "keep-alive" if keep else "close",
        }
        phrase = next((each.phrase for each in http.HTTPStatus if each == self.abort_status), "Injected")
        lines = [f"HTTP/1.1 {self.abort_status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as the kernel does for a server that has died: not to be mistaken for the end of an answer."""
    if (open_socket := writer.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):
            open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Proxy:
    """Args: `port` is that of the application, at the address that a client has connected to.

    Attributes worth reading: `requests` that were not exempt, and how many of them were `hit`.
    """

    def __init__(self, fault: HttpFault, port: int) -> None:
        self._fault, self._port = fault, port
        self._dice = random.Random()
        self._ending = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self.requests = self.hit = 0

    async def start(self, host: str = "0.0.0.0", host_6: str = "::") -> int:
        """Listen on a free port, which is returned: on all addresses of the pod, or on these."""
        first = await asyncio.start_server(self._accept, host, 0, backlog=_WAITING)
        self._servers.append(first)
        port = int(first.sockets[0].getsockname()[1])
        with contextlib.suppress(OSError):  # a pod without IPv6
            self._servers.append(await asyncio.start_server(self._accept, host_6, port, backlog=_WAITING))
        return port

    async def end(self) -> None:
        """Hit nobody any more and let all connections come to their end; no new one may be on its way."""
        self._ending.set()
        for server in self._servers:
            server.close()
        if self._serving:
            await asyncio.wait(self._serving, timeout=END_SECONDS)
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    async def judge(self, request: Head) -> tuple[bytes, bool] | None:
        """Throw the dice for a request and hold it where they say so; see `chaos.cluster.native.relay.Judge`."""
        fault = self._fault
        if self._ending.is_set() or request.path in fault.exempt_paths:
            return None
        self.requests += 1
        if self._dice.random() >= fault.share:
            return None
        self.hit += 1
        seconds = fault.latency_seconds + self._dice.uniform(-fault.jitter_seconds, fault.jitter_seconds)
        if seconds > 0:
            with contextlib.suppress(TimeoutError):  # the end of the fault lets everybody go
                await asyncio.wait_for(self._ending.wait(), seconds)
        if not fault.abort_status or self._ending.is_set():
            return None
        # A client that asks first whether its body is wanted does not send it, so the connection cannot go on.
        keep = request.keeps and not (request.expects and request_body(request))
        return fault.answer(request.method, keep=keep), keep

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        address = writer.get_extra_info("sockname")[0]  # the pod's own: the application may not listen on loopback
        relay = Relay(Source(reader), writer, (address, self._port), self._ending)
        try:
            await relay.serve(self.judge)
        except (OSError, NotHttpError, asyncio.CancelledError):
            _reset(writer)
        finally:
            relay.close()
