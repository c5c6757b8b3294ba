"""The load generator against servers that misbehave: every request is a record, and its latency is the user's.

The servers run in the loop of the generator, so that they can stand still at a known time. ALPHA bounds chance errors.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from chaos.load.config import Load, Users
from chaos.load.generator import Generator
from chaos.load.log import REASONS, Records, TrafficLog, latency_seconds

ALPHA = 1e-6
OK = b"HTTP/1.1 200 OK\r\nx-version: v2\r\nx-pod: web-1\r\nx-revision: canary\r\ncontent-length: 3\r\n\r\nok\n"
Answer = Callable[["Seen", bytes, asyncio.StreamWriter], Awaitable[None]]


class Seen:
    """What a server saw."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.open = self.most_open = 0


async def well(seen: Seen, request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


@contextlib.asynccontextmanager
async def server(answer: Answer):  # type: ignore[no-untyped-def]
    seen, writers = Seen(), set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                seen.requests.append(request)
                seen.open += 1
                seen.most_open = max(seen.most_open, seen.open)
                await answer(seen, request, writer)
                seen.open -= 1
        writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield seen, listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)


def run(tmp_path: Path, answer: Answer, **changes: Any) -> tuple[dict[str, Any], Records, Seen]:
    """One run against a server: the report, the log, and what the server saw."""

    async def main() -> tuple[dict[str, Any], Records, Seen]:
        async with server(answer) as (seen, port):
            load = make(tmp_path, port, **changes)
            report = await Generator(load).run()
            return report, TrafficLog(Path(load.log)).read_all(), seen

    return asyncio.run(main())


def make(tmp_path: Path, port: int, **changes: Any) -> Load:
    given = {"host": "127.0.0.1", "port": port, "log": str(tmp_path / "t.bin"), "duration_seconds": 0.5, **changes}
    if not {"clients", "steps", "arrivals_seconds"} & set(changes):
        given.setdefault("rate_per_second", 200.0)
    return Load(max_lag_seconds=30.0, **given)  # how busy this machine is decides nothing here


def reasons(records: Records) -> Counter[str]:
    return Counter(REASONS[code] for code in records["reason"].tolist())


def test_every_request_is_a_record_that_says_who_answered(tmp_path: Path) -> None:
    report, records, seen = run(tmp_path, well, seed=3)
    assert len(records) == len(seen.requests) == report["requests"] == report["by_revision"]["canary"]["answered"]
    low, high = stats.poisson.ppf([ALPHA / 2, 1 - ALPHA / 2], 100)
    assert low <= len(records) <= high
    assert set(records["status"].tolist()) == {200}
    assert {(each["version"], each["pod"], each["revision"]) for each in records} == {(b"v2", b"web-1", 2)}
    assert np.all(records["intended_us"] <= records["sent_us"])
    assert np.all(records["sent_us"] <= records["done_us"])
    assert (report["problems"], report["stopped_by"], report["loop"]) == ([], "duration", "open")
    assert 0 < report["cpu_share"] <= 1.5


def test_a_server_that_stands_still_is_seen_by_all_who_would_have_come_meanwhile(tmp_path: Path) -> None:
    """Everything stops for half a second; a closed loop of one client sees one slow answer, an open loop all of them."""
    until = 0.0

    async def stalls(seen: Seen, request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal until
        if len(seen.requests) == 20:
            until = time.monotonic() + 0.5
        if (left := until - time.monotonic()) > 0:
            await asyncio.sleep(left)
        writer.write(OK)

    due = tuple((0.01 * np.arange(100)).tolist())
    _, records, _ = run(tmp_path, stalls, arrivals_seconds=due, max_open=500, duration_seconds=1.0)
    slow = latency_seconds(records) > 0.1
    assert len(records) == 100
    assert slow.sum() >= 30  # due in the first 0.4 of the 0.5 s: 40
    assert latency_seconds(records).max() >= 0.49
    _, closed, _ = run(tmp_path, stalls, clients=1, max_rate_per_second=100.0, duration_seconds=1.0)
    assert 1 <= (latency_seconds(closed) > 0.1).sum() <= 10, "one, and what this machine adds"


def test_a_generator_that_stands_still_counts_it_as_latency_and_as_lag(tmp_path: Path) -> None:
    async def blocks(seen: Seen, request: bytes, writer: asyncio.StreamWriter) -> None:
        if len(seen.requests) == 10:
            time.sleep(0.4)  # the whole loop, generator included
        writer.write(OK)

    due = tuple((0.01 * np.arange(100)).tolist())

    async def main() -> tuple[dict[str, Any], Records]:
        async with server(blocks) as (_, port):
            load = Load(
                host="127.0.0.1", port=port, log=str(tmp_path / "t.bin"), duration_seconds=1.0, arrivals_seconds=due
            )
            return await Generator(load).run(), TrafficLog(tmp_path / "t.bin").read_all()

    report, records = asyncio.run(main())
    assert len(records) == 100
    assert (latency_seconds(records) > 0.1).sum() >= 25
    assert report["lag_seconds"]["max"] >= 0.3
    assert len(report["problems"]) == 1
    assert "the generator was late: p99 of its lag is" in report["problems"][0]


def test_nothing_is_sent_again_when_a_kept_connection_breaks(tmp_path: Path) -> None:
    async def breaks(seen: Seen, request: bytes, writer: asyncio.StreamWriter) -> None:
        if len(seen.requests) % 5 == 0:
            writer.transport.abort()
        else:
            writer.write(OK)

    _, records, seen = run(tmp_path, breaks)
    assert len(records) == len(seen.requests)
    assert reasons(records) == {"": len(records) - len(records) // 5, "lost": len(records) // 5}
    assert set(records["status"][records["reason"] > 0].tolist()) == {0}


def test_what_is_no_answer_says_why(tmp_path: Path) -> None:
    bad = [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n" + b"x" * 2_000_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"10000\r\n" + b"x" * 65_536 + b"\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"",
    ]

    async def misbehaves(seen: Seen, request: bytes, writer: asyncio.StreamWriter) -> None:
        answer = bad[(len(seen.requests) - 1) % len(bad)]
        writer.write(answer)
        if b"chunked" in answer:
            for _ in range(20):
                writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    due = tuple((0.02 * np.arange(12)).tolist())
    _, records, _ = run(tmp_path, misbehaves, arrivals_seconds=due)
    assert reasons(records) == {"malformed": 8, "lost": 4}


def test_an_answer_that_never_comes_ends_at_the_timeout(tmp_path: Path) -> None:
    async def never(seen: Seen, request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    report, records, _ = run(tmp_path, never, timeout_seconds=0.3)
    assert reasons(records) == {"timeout": len(records)}
    assert latency_seconds(records).min() >= 0.3
    assert report["failed"] == len(records) > 0


def test_a_port_where_nobody_listens_refuses(tmp_path: Path) -> None:
    with socket.socket() as held:  # nobody else can get the port, and nobody listens on it
        held.bind(("127.0.0.1", 0))
        load = make(tmp_path, held.getsockname()[1], rate_per_second=20.0)
        asyncio.run(Generator(load).run())
    records = TrafficLog(Path(load.log)).read_all()
    assert reasons(records) == {"refused": len(records)}


def test_a_redirect_is_an_answer_and_is_not_followed(tmp_path: Path) -> None:
    async def away(seen: Seen, request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n")

    _, records, seen = run(tmp_path, away, rate_per_second=20.0)
    assert set(records["status"].tolist()) == {302}
    assert len(records) == len(seen.requests)


def test_requests_beyond_the_bound_are_held_back_and_the_run_says_so(tmp_path: Path) -> None:
    async def slow(seen: Seen, request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(OK)

    report, records, seen = run(tmp_path, slow, max_open=5, duration_seconds=1.0, rate_per_second=100.0)
    # five at a time are 50 a second, 100 are wanted
    assert seen.most_open == 5
    assert report["held_back"] > 20
    assert any("were held back: max_open 5" in problem for problem in report["problems"])
    assert set(records["status"].tolist()) == {200}, "all the same they were sent, and waited for"
    assert latency_seconds(records).max() > 0.4, "and their waiting counts"


def test_connections_are_kept_or_opened_as_asked(tmp_path: Path) -> None:
    _, records, seen = run(tmp_path, well, clients=5)
    assert seen.connections <= 5 < len(records)
    _, records, seen = run(tmp_path, well, clients=5, new_connection_share=1.0)
    assert seen.connections == len(records)
    assert records["fresh"].all()
    _, records, seen = run(tmp_path, well, clients=5, new_connection_share=0.5, max_requests=200, duration_seconds=30.0)
    low, high = stats.binom.ppf([ALPHA / 2, 1 - ALPHA / 2], 200, 0.5)
    assert low <= records["fresh"].sum() <= high
    assert records["fresh"].sum() <= seen.connections <= records["fresh"].sum() + 5


def test_users_stick_to_what_they_carry_and_to_what_they_are_given(tmp_path: Path) -> None:
    async def gives(seen: Seen, request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK.replace(b"\r\n\r\n", b"\r\nset-cookie: sticky=%d; Path=/\r\n\r\n" % len(seen.requests), 1))

    users = Users(count=5, header="x-user", cookie="rev", values={"a": 0.5, "b": 0.5}, keep_cookies=True)
    _, records, seen = run(tmp_path, gives, users=users, clients=5, max_requests=200, duration_seconds=30.0)
    assert set(records["user"].tolist()) == {1, 2, 3, 4, 5}
    carried = defaultdict(set)
    with_cookie = 0
    for request in seen.requests:
        headers = dict(line.split(b": ", 1) for line in request.lower().split(b"\r\n") if b": " in line)
        carried[headers[b"x-user"]].add(headers[b"cookie"].rsplit(b"rev=", 1)[1])
        with_cookie += b"sticky=" in headers[b"cookie"]
    assert all(carried[value] == {value} for value in carried), "header and cookie are the same, always"
    assert with_cookie >= len(records) / 2, "all but the first requests of each"


def test_clients_wait_for_their_answers(tmp_path: Path) -> None:
    all_there = asyncio.Event()

    async def slow(seen: Seen, request: bytes, writer: asyncio.StreamWriter) -> None:
        if seen.open == 100:
            all_there.set()
        await all_there.wait()  # however long it takes this machine to open a hundred connections
        await asyncio.sleep(0.5)
        writer.write(OK)

    report, records, seen = run(tmp_path, slow, clients=100, duration_seconds=0.8)
    assert seen.most_open == 100
    assert report["loop"] == "closed"
    assert 100 <= len(records) <= 200, "at most one each 0.5 s"
    _, records, _ = run(tmp_path, well, clients=50, max_rate_per_second=100.0)
    assert len(records) <= 51, "all together they keep the bound"
    _, records, _ = run(tmp_path, well, clients=50, max_requests=70, duration_seconds=30.0)
    assert len(records) == 70


@pytest.mark.parametrize("loop", [{"rate_per_second": 100.0}, {"clients": 20}])
def test_stopping_ends_a_run_soon_and_nothing_is_forgotten(loop: dict[str, Any], tmp_path: Path) -> None:
    async def never(seen: Seen, request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def main() -> tuple[dict[str, Any], Records, int, float]:
        async with server(never) as (seen, port):
            generator = Generator(make(tmp_path, port, duration_seconds=3600.0, max_open=30, **loop))
            running = asyncio.create_task(generator.run())
            while len(seen.requests) < 20:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            asked = time.monotonic()
            generator.stop("test")
            generator.stop("again")
            report = await running
            return report, TrafficLog(tmp_path / "t.bin").read_all(), len(seen.requests), time.monotonic() - asked

    report, records, sent, took = asyncio.run(main())
    assert report["stopped_by"] == "test"
    assert reasons(records)["ended"] >= sent >= 20
    assert reasons(records)["not_sent"] == len(records) - reasons(records)["ended"] == report["held_back"]
    assert took < 8


def test_stopping_before_the_start_sends_nothing(tmp_path: Path) -> None:
    async def main() -> dict[str, Any]:
        async with server(well) as (_, port):
            generator = Generator(make(tmp_path, port))
            generator.stop("test")
            return await generator.run()

    assert asyncio.run(main())["requests"] == 0


def test_the_log_can_be_followed_while_it_is_written(tmp_path: Path) -> None:
    async def main() -> tuple[dict[str, Any], list[int], Records]:
        async with server(well) as (_, port):
            log, parts, found = TrafficLog(tmp_path / "t.bin"), [], []
            running = asyncio.create_task(Generator(make(tmp_path, port, duration_seconds=1.0)).run())
            while not running.done():
                new = log.read_new()
                parts.append(len(new))
                found.append(new)
                await asyncio.sleep(0.02)
            found.append(log.read_new())
            return await running, parts, np.concatenate(found)

    report, parts, found = asyncio.run(main())
    assert len(found) == report["requests"]
    assert sum(part > 0 for part in parts) >= 3, "not all at the end"
    assert np.array_equal(found, TrafficLog(tmp_path / "t.bin").read_all())
