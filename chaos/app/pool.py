"""A bounded pool of real connections to a back end in the same process.

A connection is a pair of connected stream sockets, at whose other end an echo answers: a leaked one really keeps its
descriptors. Those who find the pool empty wait in line, first in, first out.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from dataclasses import dataclass


class PoolEmptyError(Exception):
    """No connection became free in time."""


@dataclass(slots=True, eq=False)
class Connection:
    """One connection to the back end."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _far_end: asyncio.BaseTransport

    async def query(self) -> None:
        """Ask the back end something and wait for its answer."""
        self.writer.write(b"?\n")
        await self.reader.readline()

    def close(self) -> None:
        """End it, at both ends."""
        self.writer.close()
        self._far_end.close()


class _Backend(asyncio.Protocol):
    """Answers whatever it is asked."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class Pool:
    """At most `size` connections; those that are never given back are gone for good.

    Attributes:
        in_use: connections that are taken and not given back, leaked ones included.
    """

    def __init__(self, size: int) -> None:
        self.in_use = 0
        self._size = size
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def size(self) -> int:
        """How many connections there may be."""
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        self._size = size
        self._let_in()

    async def take(self, timeout_seconds: float) -> Connection:
        """Take a connection, or wait for one.

        Raises:
            PoolEmptyError: none became free in time.
        """
        if self.in_use < self._size:  # then nobody waits: whoever leaves lets others in
            self.in_use += 1
        else:
            await self._wait(timeout_seconds)
        if self._idle:
            return self._idle.pop()
        connection = await _connect()
        self._open.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Let others have it."""
        if len(self._open) <= self._size:
            self._idle.append(connection)
        else:
            self._open.remove(connection)
            connection.close()
        self._leave()

    def close(self) -> None:
        """End all connections, those that leaked included."""
        for connection in self._open:
            connection.close()
        self._open.clear()

    def _leave(self) -> None:
        self.in_use -= 1
        self._let_in()

    def _let_in(self) -> None:
        """Count in those who wait, as far as there is room; they find or open their connection when they run."""
        while self._waiting and self.in_use < self._size:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_use += 1
                turn.set_result(None)

    async def _wait(self, timeout_seconds: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait_for(turn, timeout_seconds)
        except TimeoutError:
            if turn.done() and not turn.cancelled():  # its turn came in the very moment it gave up
                self._leave()
            raise PoolEmptyError(f"no connection of {self._size} became free in {timeout_seconds:g} s") from None


async def _connect() -> Connection:
    ours, theirs = socket.socketpair()
    far_end, _ = await asyncio.get_running_loop().create_unix_connection(_Backend, sock=theirs)
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    return Connection(reader, writer, far_end)
