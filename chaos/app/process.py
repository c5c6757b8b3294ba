"""The life of one replica: it starts, listens, drains and ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Final, NoReturn

from aiohttp import web

from chaos.app import admin
from chaos.app.service import Service
from chaos.app.settings import Identity, Knobs, SettingError, read

BAD_INPUT: Final = 2
CRASHED: Final = 1
TERMINATED: Final = 143
_TICK_SECONDS: Final = 0.05
_BACKLOG: Final = 1024
#: after a drain, requests in flight are waited for; whoever sent SIGTERM decides how long, with SIGKILL
_PATIENCE_SECONDS: Final = 86_400.0


def serve(settings: Mapping[str, object], ready_fd: int | None = None) -> NoReturn:
    """Run a replica in this process until it ends; for a child that was forked for it.

    Args:
        settings: by the names of the environment (`chaos.app.settings`).
        ready_fd: a descriptor that is told the addresses, as one line of JSON, and closed. They are told as soon as the
            ports are ours, before the replica listens: whether it is ready, a probe must ask. None: on stdout.

    Raises:
        SystemExit: always: 0 after SIGTERM, 1 after a crash that was asked for, 2 for bad settings or a port in use.
    """
    try:
        identity, knobs = read(settings)
    except SettingError as error:
        refuse(str(error))
    run(identity, knobs, ready_fd)


def run(identity: Identity, knobs: Knobs, ready_fd: int | None = None) -> NoReturn:
    """As `serve`, with settings that were read."""
    raise SystemExit(asyncio.run(_Process(identity, knobs).live(ready_fd)))


def refuse(problem: str) -> NoReturn:
    """Say why this process does not even begin."""
    sys.stderr.write(f"chaos.app: {problem}\n")
    raise SystemExit(BAD_INPUT)


class _Process:
    """One replica in its process."""

    def __init__(self, identity: Identity, knobs: Knobs) -> None:
        self.identity = identity
        self.began = time.monotonic()
        self.service = Service(identity, knobs)
        self.terminated = asyncio.Event()
        self._admin_port = _reserved("APP_ADMIN_HOST, APP_ADMIN_PORT", identity.app_admin_host, identity.app_admin_port)
        try:
            self._port = _reserved("APP_HOST, APP_PORT", identity.app_host, identity.app_port)
        except SystemExit:
            self._admin_port.close()
            raise
        self._admin = web.AppRunner(
            admin.routes(lambda: self.service.knobs, self._turn, host=identity.app_admin_host),
            access_log=None,
            shutdown_timeout=1.0,
        )
        self._users: web.AppRunner | None = None  #: while it listens
        self._started = False
        self._closing: set[asyncio.Task[None]] = set()

    async def live(self, ready_fd: int | None) -> int:
        """From start to end; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._terminate)
        ticking = asyncio.create_task(self._tick())
        await self._admin.setup()
        await web.SockSite(self._admin, _listener(self._admin_port), backlog=_BACKLOG).start()
        _tell(self._addresses(), ready_fd)
        self.service.memory.fill_up_to(self.identity.memory_base_mib)
        if await self._starts():
            self._started = True
            await self._listen(self.service.knobs.listen)
            await self.terminated.wait()
            self.service.draining = True
            await asyncio.sleep(self.service.knobs.drain)
            await self._listen(False)
        await asyncio.gather(*self._closing)
        await self.service.close()
        await self._admin.cleanup()
        ticking.cancel()
        return 0

    async def _starts(self) -> bool:
        """Wait out the start-up; false when the process is told to end before it is over."""
        left = self.began + self.identity.start_seconds - time.monotonic()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.terminated.wait(), max(0.0, left))
        return not self.terminated.is_set()

    def _terminate(self) -> None:
        if not self.service.knobs.graceful:
            os._exit(TERMINATED)
        self.terminated.set()

    def _addresses(self) -> dict[str, object]:
        return {
            "host": self.identity.app_host,
            "port": self._port.getsockname()[1],
            "admin_host": self.identity.app_admin_host,
            "admin_port": self._admin_port.getsockname()[1],
            "pid": os.getpid(),
        }

    # -- knobs that act by themselves -----------------------------------------------------------------------------

    async def _turn(self, knobs: Knobs) -> None:
        if self._started and not self.service.draining:
            await self._listen(knobs.listen)
        self.service.turn(knobs)

    async def _listen(self, wanted: bool) -> None:
        """Listen, or refuse connections; the port stays ours in both cases.

        Connections that are open when it stops end as soon as they wait for no answer.
        """
        if wanted and self._users is None:
            self._users = web.AppRunner(self.service.routes(), access_log=None, shutdown_timeout=_PATIENCE_SECONDS)
            await self._users.setup()
            await web.SockSite(self._users, _listener(self._port), backlog=_BACKLOG).start()
        elif not wanted and self._users is not None:
            closing = asyncio.create_task(self._users.cleanup())
            self._users = None
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            await asyncio.sleep(0)  # it begins with the listener

    async def _tick(self) -> None:
        """Leak and crash by the clock."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now, knobs = time.monotonic(), self.service.knobs
            self.service.memory.leak(knobs.leak_mib_per_minute * (now - last) / 60)
            self.service.memory.check()
            if knobs.crash_after and now - self.began >= knobs.crash_after:
                sys.stderr.write(f"CRASH_AFTER {knobs.crash_after:g} s: ended with {CRASHED}, as it was told to\n")
                sys.stderr.flush()
                os._exit(CRASHED)
            last = now


def _reserved(name: str, host: str, port: int) -> socket.socket:
    """A socket that holds a port without listening: connections are refused, and nobody else can take it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a predecessor may still be ending
    try:
        held.bind((host, port))
    except OSError as error:
        held.close()
        refuse(f"{name}: cannot bind {host}:{port}: {error.strerror}")
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # from now on it is shared with nobody
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # but our own listeners
    return held


def _listener(held: socket.socket) -> socket.socket:
    listener = socket.socket(held.family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(held.getsockname()[:2])
    listener.setblocking(False)
    return listener


def _tell(addresses: dict[str, object], ready_fd: int | None) -> None:
    line = json.dumps(addresses) + "\n"
    if ready_fd is None:
        sys.stdout.write(line)
        sys.stdout.flush()
    else:
        os.write(ready_fd, line.encode())
        os.close(ready_fd)
