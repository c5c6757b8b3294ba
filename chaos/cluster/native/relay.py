"""One client's connection through the proxy: requests in, answers out, nothing changed on the way.

Whoever answers is told by its own headers. What is not HTTP/1 (TLS, HTTP/2, an upgraded connection) passes untouched.
Each client has its own connection to the application, and both are kept as long as both sides keep them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from chaos.cluster.native.http1 import Head, NotHttpError, Source, request_body, response_body

IDLE_SECONDS: Final = 1.0  #: a connection that brought nothing for so long when the fault has ended is closed
END_SECONDS: Final = 3.0  #: what is under way then may take so long
#: what a request is answered with instead, and whether the connection goes on after that; None: it is passed on
Judge: TypeAlias = Callable[[Head], Awaitable[tuple[bytes, bool] | None]]


class Relay:
    """Args: `app` is the address of the application; `ending` is set when connections shall come to their end."""

    def __init__(
        self, client: Source, writer: asyncio.StreamWriter, app: tuple[str, int], ending: asyncio.Event
    ) -> None:
        self._client, self._writer, self._address, self._ending = client, writer, app, ending
        self._app: Source | None = None
        self._app_writer: asyncio.StreamWriter | None = None
        self._answer: asyncio.Task[Head | None] | None = None  #: the next head of the application
        self._over = asyncio.create_task(_wait_for(ending))

    async def serve(self, judge: Judge) -> None:
        """Serve the client to the end of its connection.

        Args:
            judge: asked for each request; it may take its time.

        Raises:
            OSError, NotHttpError: the connection cannot go on.
        """
        if not await self._client.is_http():
            await self._splice()
            return
        keep = True
        while keep and (request := await self._next()) is not None:
            answer = await judge(request)
            keep = await (self._pass_on(request) if answer is None else self._fail(request, *answer))

    def close(self) -> None:
        """Let go of both connections."""
        self._over.cancel()
        self._disconnect()
        self._writer.close()

    async def _next(self) -> Head | None:
        """The next request; None when either side has closed, or the fault is over and nothing comes any more."""
        asked = asyncio.create_task(self._client.head())
        try:
            others = {self._over} if self._answer is None else {self._over, self._answer}
            await asyncio.wait({asked, *others}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done() and self._over.done():
                await asyncio.wait({asked}, timeout=IDLE_SECONDS)
            return await asked if asked.done() else None
        finally:
            asked.cancel()

    async def _fail(self, request: Head, answer: bytes, keep: bool) -> bool:
        """Answer without the application; false when the connection ends with that."""
        if keep or not request.expects:
            await self._client.copy(request_body(request), None)
        self._writer.write(answer)
        await self._writer.drain()
        return keep

    async def _pass_on(self, request: Head) -> bool:
        """Let the application answer; false when the connection ends with that."""
        app, to = await self._connected()
        to.write(request.raw)
        sent = request_body(request)
        sending = asyncio.create_task(self._client.copy(sent, to)) if sent else None
        try:
            answer = await self._answer_of(app)
            if answer.status == 101:
                self._writer.write(answer.raw)
                await self._splice()
                return False
            ending = self._ending.is_set()
            self._writer.write(answer.closing() if ending and answer.keeps else answer.raw)
            body = response_body(answer, request.method)
            await app.copy(body, self._writer)
            await self._writer.drain()
            keep = request.keeps and answer.keeps and body != "close" and not ending
            if sending is not None:
                keep = keep and sending.done() and sending.exception() is None
            if keep:
                self._answer = asyncio.create_task(app.head())
            return keep
        finally:
            if sending is not None:
                sending.cancel()
                with contextlib.suppress(OSError, NotHttpError, asyncio.CancelledError):
                    await sending

    async def _answer_of(self, app: Source) -> Head:
        """The answer of the application, after all that it says in between (100 Continue)."""
        while True:
            assert self._answer is not None
            answer, self._answer = await self._answer, None
            if answer is None:
                raise NotHttpError("the application closed the connection instead of an answer")
            if answer.status >= 200 or answer.status == 101:
                return answer
            self._writer.write(answer.raw)
            self._answer = asyncio.create_task(app.head())

    async def _connected(self) -> tuple[Source, asyncio.StreamWriter]:
        """The connection to the application: a new one where there is none, or where it has closed it meanwhile."""
        if self._app is None or self._app_writer is None or self._answer is None or self._answer.done():
            self._disconnect()
            reader, self._app_writer = await asyncio.open_connection(*self._address)
            self._app = Source(reader)
            self._answer = asyncio.create_task(self._app.head())
        return self._app, self._app_writer

    def _disconnect(self) -> None:
        if self._answer is not None:
            self._answer.cancel()
            if self._answer.done() and not self._answer.cancelled():
                self._answer.exception()  # looked at: a connection that broke while nobody needed it
        if self._app_writer is not None:
            self._app_writer.close()
        self._app = self._app_writer = self._answer = None

    async def _splice(self) -> None:
        """Pass everything on, both ways, until both sides or the fault have ended."""
        if self._app is None or self._app_writer is None:
            reader, self._app_writer = await asyncio.open_connection(*self._address)
            self._app = Source(reader)
        ways = [
            asyncio.create_task(_pour(self._client, self._app_writer)),
            asyncio.create_task(_pour(self._app, self._writer)),
        ]
        try:
            living = {*ways}
            while living and not self._over.done():
                done, _ = await asyncio.wait({*living, self._over}, return_when=asyncio.FIRST_COMPLETED)
                living -= done
            if living:
                await asyncio.wait(living, timeout=END_SECONDS)
        finally:
            for each in ways:
                each.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()


async def _pour(source: Source, to: asyncio.StreamWriter) -> None:
    await source.copy("close", to)
    if to.can_write_eof():
        to.write_eof()
