"""The proxy of HTTP faults: it hits a share of the requests, and changes nothing in the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from chaos.cluster.native import http1, relay
from chaos.cluster.native.http1 import NotHttpError, Source, head_of, request_body, response_body
from chaos.cluster.native.proxy import HttpFault, Proxy
from chaos.injectors.native.testing import Client

ALPHA = 1e-6
App: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nX-Version: v2\r\nContent-Length: 3\r\n\r\nok\n"


def speaks(*answers: bytes, then_close: bool = False) -> App:
    """An application that answers each request without a body with these bytes, in turn."""

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for turn in range(10_000):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answers[turn % len(answers)])
                await writer.drain()
                if then_close:
                    break
        writer.close()

    return app


@contextlib.asynccontextmanager
async def between(app: App, **fault: Any) -> AsyncIterator[tuple[Proxy, int]]:
    """An application and a proxy in front of it; the proxy's port."""
    server = await asyncio.start_server(app, "127.0.0.1", 0)
    proxy = Proxy(HttpFault(**{"share": 1.0, **fault}), server.sockets[0].getsockname()[1])
    port = await proxy.start("127.0.0.1", "::1")
    try:
        yield proxy, port
    finally:
        await proxy.end()
        server.close()


async def exchange(port: int, sent: bytes, *, until: bytes | None = None) -> bytes:
    """Send bytes; what comes until these bytes, or until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        async with asyncio.timeout(10):
            return await (reader.read() if until is None else reader.readuntil(until))
    finally:
        writer.close()


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (LAST, OK),
        (b"GET http://x/a?b=c HTTP/1.1\r\nhost: x\r\nconnection: close\r\nX-Odd:\t y \r\n\r\n", OK),
        (LAST, b"HTTP/1.1 204 No Content\r\nX-Version: v2\r\n\r\n"),
        (LAST, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"),
        (b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
        (LAST, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nok\n\r\n0\r\nTrailer: t\r\n\r\n"),
        (LAST, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK),
        (b"GET / HTTP/1.0\r\n\r\n", OK),
        (LAST, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("cut", [None, 1])
def test_what_is_not_hit_passes_byte_by_byte(sent: bytes, answer: bytes, cut: int | None) -> None:
    """Whole, and in pieces of one byte."""
    seen = bytearray()

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.readuntil(b"\r\n\r\n"))
        for at in range(0, len(answer), cut or len(answer)):
            writer.write(answer[at : at + (cut or len(answer))])
            await writer.drain()
            if cut:
                await asyncio.sleep(0)
        await reader.read()  # the client ends it, not we
        writer.close()

    async def main() -> bytes:
        async with between(app, share=0.0) as (_, port):
            return await exchange(port, sent)

    assert asyncio.run(main()) == answer
    assert bytes(seen) == sent


def test_an_answer_that_ends_with_its_connection() -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Version: v2\r\n\r\n" + b"x" * 200_000

    async def main() -> bytes:
        async with between(speaks(answer, then_close=True), share=0.0) as (_, port):
            return await exchange(port, GET)

    assert asyncio.run(main()) == answer


def test_bodies_of_requests_pass_and_an_expectation_is_met() -> None:
    seen = bytearray()
    body = b"y" * 150_000

    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        seen.extend(await reader.readexactly(len(body)))
        writer.write(OK)
        await reader.read()
        writer.close()

    async def main() -> None:
        async with between(app, share=0.0) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST / HTTP/1.1\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
            writer.write(head.encode())
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            assert await reader.readexactly(len(OK)) == OK
            writer.close()

    asyncio.run(main())
    assert bytes(seen) == body


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_what_is_not_http_1_passes_untouched(sent: bytes) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    async def main() -> None:
        async with between(echo, abort_status=503) as (proxy, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(3):
                writer.write(sent)
                assert await reader.readexactly(len(sent)) == sent
            writer.write_eof()
            assert await reader.read() == b"", "the end of one direction is passed on too"
            writer.close()
            assert proxy.requests == 0

    asyncio.run(main())


def test_an_upgraded_connection_is_left_alone() -> None:
    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n")
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.close()

    async def main() -> None:
        async with between(app, share=0.0) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"HELLO"
            writer.close()

    asyncio.run(main())


def test_a_share_is_failed_in_the_name_of_the_pod_and_connections_are_kept() -> None:
    async def main() -> None:
        headers = {"x-version": "v2", "x-pod": "web-0"}
        async with between(speaks(OK), share=0.3, abort_status=502, answer_headers=headers) as (proxy, port):
            client = Client("127.0.0.1", port)
            answers = [await client.ask() for _ in range(1000)]
            client.close()
        assert sum(each.connect_seconds >= 0 for each in answers) == 1, "one connection served them all"
        failed = [each for each in answers if each.status == 502]
        assert len(failed) + sum(each.status == 200 for each in answers) == 1000
        assert binom.ppf(ALPHA / 2, 1000, 0.3) <= len(failed) <= binom.isf(ALPHA / 2, 1000, 0.3)
        assert (proxy.requests, proxy.hit) == (1000, len(failed))
        for each in failed:
            assert {**headers, "x-rolloutlab-fault": "http_abort"}.items() <= each.headers.items()
        assert all(each.headers["x-version"] == "v2" for each in answers)
        assert not any("x-rolloutlab-fault" in each.headers for each in answers if each.status == 200)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "exempt"),
    [("/readyz", True), ("/readyz?verbose", True), ("/readyz/x", False), ("/", False), ("/ready", False)],
)
def test_exempt_paths_are_exact(path: str, exempt: bool) -> None:
    async def main() -> int:
        async with between(speaks(OK), abort_status=503, exempt_paths=frozenset({"/readyz"})) as (_, port):
            return (await Client("127.0.0.1", port).ask(path, keep=False)).status

    assert asyncio.run(main()) == (200 if exempt else 503)


def test_held_requests_are_let_go_at_the_end() -> None:
    async def main() -> None:
        async with between(speaks(OK), latency_seconds=60.0) as (proxy, port):
            client = Client("127.0.0.1", port)
            asked = asyncio.create_task(client.ask(timeout_seconds=20))
            while not proxy.hit:
                await asyncio.sleep(0.01)
            await proxy.end()
            answer = await asked
        assert answer.status == 200
        assert answer.headers["connection"] == "close", "and the client is told to come back by the straight way"
        assert answer.seconds < 20
        client.close()

    asyncio.run(main())


def test_the_delay_is_that_which_was_asked_for() -> None:
    async def main() -> None:
        async with between(speaks(OK), latency_seconds=0.2, jitter_seconds=0.1) as (_, port):
            answers = await asyncio.gather(*(Client("127.0.0.1", port).ask(keep=False) for _ in range(60)))
            single = [await Client("127.0.0.1", port).ask(keep=False) for _ in range(10)]
        async with between(speaks(OK)) as (_, port):
            plain = await asyncio.gather(*(Client("127.0.0.1", port).ask(keep=False) for _ in range(60)))
        times = sorted(each.seconds for each in answers)
        assert times[0] >= 0.1
        assert times[-1] > 0.25, "0.75^60 is the chance that none lies in the upper quarter"
        assert sum(each < 0.2 for each in times) <= binom.isf(ALPHA, 60, 0.5)
        slowest = max(each.seconds for each in plain)
        assert min(each.seconds for each in single) < slowest + 0.3, "the longest delay, and what it takes without one"

    asyncio.run(main())


def test_the_client_sees_the_end_of_an_idle_connection_as_without_the_proxy() -> None:
    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await asyncio.sleep(0.05)
        writer.close()

    async def main() -> None:
        async with between(app, share=0.0) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            assert await reader.readexactly(len(OK)) == OK
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()

    asyncio.run(main())


def test_a_dead_application_is_a_reset_and_no_answer_of_ours() -> None:
    async def main() -> None:
        async with between(speaks(OK), share=0.0) as (proxy, port):
            proxy._port = 1  # nobody listens there
            with pytest.raises(ConnectionError):
                await exchange(port, GET)

    asyncio.run(main())


def test_a_request_whose_body_waits_for_a_word_can_be_failed() -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

    async def main() -> tuple[bytes, bytes]:
        async with between(speaks(OK), abort_status=503) as (_, port):
            waiting = await exchange(port, head)
            with_body = await exchange(port, head.replace(b"Expect: 100-continue\r\n", b"") + b"hello" + LAST)
            return waiting, with_body

    waiting, with_body = asyncio.run(main())
    assert waiting.count(b"HTTP/1.1 503") == 1
    assert b"Connection: close" in waiting
    assert with_body.count(b"HTTP/1.1 503") == 2, "the body was taken, and the next request found"


def test_idle_connections_are_closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "IDLE_SECONDS", 0.05)

    async def main() -> None:
        async with between(speaks(OK), share=0.0) as (proxy, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            assert await reader.readexactly(len(OK)) == OK
            await proxy.end()
            assert await reader.read() == b""
            writer.close()
            assert not proxy._serving

    asyncio.run(main())


# -- messages ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.integers(1, 50))
def test_a_chunked_body_ends_where_it_ends_however_it_is_cut(chunks: list[bytes], cut: int) -> None:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"

    async def main() -> tuple[bytes, bool]:
        reader = asyncio.StreamReader()
        for at in range(0, len(body), cut):
            reader.feed_data(body[at : at + cut])
        reader.feed_data(b"next")
        reader.feed_eof()
        source, sink = Source(reader), _Sink()
        await source.copy("chunked", sink)  # type: ignore[arg-type]
        rest = _Sink()
        await source.copy("close", rest)  # type: ignore[arg-type]
        return bytes(sink.data), bytes(rest.data) == b"next"

    assert asyncio.run(main()) == (body, True)


class _Sink:
    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        pass


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 0),
        (b"POST / HTTP/1.1\r\ncontent-LENGTH:  7 \r\n\r\n", 7),
        (b"POST / HTTP/1.1\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n", 7),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 7\r\n\r\n", "chunked"),
    ],
)
def test_where_the_body_of_a_request_ends(head: bytes, body: object) -> None:
    assert request_body(head_of(head)) == body


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "close"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "close"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", "chunked"),
        (b"HTTP/1.1 204\r\n\r\n", 0),
    ],
)
def test_where_the_body_of_a_response_ends(head: bytes, body: object) -> None:
    assert response_body(head_of(head), b"GET") == body


@pytest.mark.parametrize("length", [b"-1", b"1, 2", b"x", b""])
def test_a_length_that_is_none_is_no_http(length: bytes) -> None:
    with pytest.raises(NotHttpError, match="content-length"):
        request_body(head_of(b"POST / HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n"))


def test_a_head_without_end_is_refused() -> None:
    async def main() -> bytes:
        async with between(speaks(OK)) as (_, port):
            return await exchange(port, b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * http1.LARGEST_HEAD)

    with pytest.raises(ConnectionError):
        asyncio.run(main())
