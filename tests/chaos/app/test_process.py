"""The life of a replica: real processes on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chaos.app import serve

ROOT = Path(__file__).parents[3]


@dataclass
class Replica:
    process: subprocess.Popen[str]
    port: int
    admin_port: int

    def get(self, path: str = "/", port: int | None = None) -> int:
        """The status of an answer; 0 when there is no connection."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def turn(self, body: object, **headers: str) -> tuple[int, Any]:
        """Change knobs; the status and the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", "/admin/knobs", text, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(content) if is_json else content

    def end(self) -> tuple[int, str]:
        """SIGTERM; its exit code and what it said."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said


@contextlib.contextmanager
def replica(*, wait: bool = True, **settings: object) -> Iterator[Replica]:
    """An application in a process of its own; killed at the end if it is still there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "chaos.app"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "SEED": "1", **{name: str(value) for name, value in settings.items()}},
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["pid"] == process.pid
        found = Replica(process, told["port"], told["admin_port"])
        if wait:
            until(lambda: found.get("/readyz") == 200)
        yield found
    finally:
        process.kill()
        process.communicate()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def test_sigterm_in_the_middle_of_requests_loses_none() -> None:
    """40 requests are in flight, on connections that were used before and stay open, when it is told to end."""

    async def ask(session: aiohttp.ClientSession, url: str) -> tuple[int, bool]:
        async with session.get(url) as response:
            await response.read()
            return response.status, response.headers.get("Connection") == "close"

    async def in_use(session: aiohttp.ClientSession, url: str) -> float:
        async with session.get(f"{url}metrics") as response:
            lines = (await response.text()).splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith("db_pool_connections_in_use{"))

    async def main(app: Replica) -> tuple[list[tuple[int, bool]], list[tuple[int, bool]]]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            session._retry_connection = False
            url = f"http://127.0.0.1:{app.port}/"
            before = await asyncio.gather(*(ask(session, url) for _ in range(40)))
            await asyncio.to_thread(app.turn, {"LATENCY_P50": 1.0})
            asking = [asyncio.create_task(ask(session, url)) for _ in range(40)]
            while await in_use(session, url) < 40:
                await asyncio.sleep(0.01)
            app.process.terminate()
            return before, await asyncio.gather(*asking)

    with replica(POOL_SIZE=50, POOL_HOLD_SHARE=1) as app:
        before, during = asyncio.run(main(app))
        assert before == [(200, False)] * 40
        assert during == [(200, True)] * 40, "and their clients are told to connect elsewhere"
        assert app.wait() == (0, "")
        assert app.get() == 0


def test_while_it_drains_it_serves_but_is_not_ready() -> None:
    with replica(DRAIN=2.0) as app:
        app.process.terminate()
        until(lambda: app.get("/readyz") == 503)
        assert app.get() == 200, "those who have not heard of it yet are served"
        assert app.wait() == (0, "")


def test_a_process_that_is_not_graceful_drops_what_it_was_doing() -> None:
    with (
        replica(LATENCY_P50=30, GRACEFUL="false") as app,
        socket.create_connection(("127.0.0.1", app.port), timeout=10) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: app.get("/healthz") == 200)
        assert app.end()[0] == 143
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b"", "no answer"


def test_a_port_in_use_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    def refused(**settings: object) -> str:
        with pytest.raises(SystemExit) as end:
            serve(settings)
        assert end.value.code == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert len(said.err.splitlines()) == 1, said.err
        return said.err

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"APP_HOST, APP_PORT: cannot bind 127.0.0.1:{port}: Address already in use" in refused(APP_PORT=port)
        assert "APP_ADMIN_HOST, APP_ADMIN_PORT: cannot bind" in refused(APP_ADMIN_PORT=port)
    assert "ERROR_RATE: expected a number from 0 to 1, got '2'" in refused(ERROR_RATE="2")
    for every in ("0.0.0.0", "::", "::ffff:0.0.0.0"):
        assert "APP_ADMIN_HOST: expected one address of this machine, got all" in refused(APP_ADMIN_HOST=every)
    assert "APP_HOST, APP_PORT: cannot bind 192.0.2.1:0" in refused(APP_HOST="192.0.2.1"), "not of this machine"
    with replica(START_SECONDS=60, wait=False) as app:
        assert "Address already in use" in refused(APP_PORT=app.port), "also while its owner does not listen"
    with replica(APP_PORT=app.port) as successor:
        assert successor.get() == 200
    with replica(APP_PORT=app.port) as successor:
        assert successor.get() == 200, "connections of the first one are still ending"


def test_a_slow_start_refuses_connections_until_it_is_over() -> None:
    with replica(START_SECONDS=1.0, wait=False) as app:
        began = time.monotonic()
        assert app.get("/readyz") == 0
        assert app.turn({"NOT_READY": True})[0] == 200, "the knobs can be turned meanwhile"
        until(lambda: app.get("/readyz") == 503)
        assert time.monotonic() - began >= 0.5  # told at the latest half a second after it began
        assert app.get("/healthz") == 200
    with replica(START_SECONDS=60, wait=False) as app:
        assert app.end() == (0, ""), "a start-up can be ended"


def test_a_crash_comes_when_it_was_asked_for() -> None:
    with replica() as app:
        assert app.turn({"CRASH_AFTER": 0.01})[0] == 200
        code, said = app.wait()
        assert code == 1
        assert said == "CRASH_AFTER 0.01 s: ended with 1, as it was told to\n"


def test_a_leak_by_the_minute_really_takes_memory_and_ends_at_the_limit() -> None:
    with replica(MEMORY_BASE_MIB=120, MEMORY_LIMIT_MIB=160) as app:
        resident = (Path("/proc") / str(app.process.pid) / "statm").read_text().split()[1]
        assert int(resident) * os.sysconf("SC_PAGE_SIZE") >= 120 * 2**20, "the kernel sees it"
        assert app.turn({"LEAK_MIB_PER_MINUTE": 6000})[0] == 200
        code, said = app.wait()
        assert code == 137
        assert "MEMORY_LIMIT_MIB 160: ended with 137 (emulated: the kernel would have killed it)" in said


def test_a_leak_by_the_request_ends_after_so_many_requests() -> None:
    """100 MiB at 2 MiB a request: 50 requests, and up to 3 MiB (2 requests) that serving them takes anyway."""
    with replica(MEMORY_BASE_MIB=100, MEMORY_LIMIT_MIB=200, LEAK_MIB_PER_REQUEST=2) as app:
        served = 0
        while app.get() == 200:
            served += 1
        assert 48 <= served <= 51
        assert app.wait()[0] == 137


def test_a_closed_listener_refuses_and_can_be_opened_again_on_its_port() -> None:
    with replica() as app:
        for _ in range(3):
            kept = http.client.HTTPConnection("127.0.0.1", app.port, timeout=10)
            kept.request("GET", "/")
            kept.getresponse().read()
            assert app.turn({"LISTEN": False})[1]["LISTEN"] is False
            assert app.get() == 0
            assert kept.sock is not None
            assert kept.sock.recv(1) == b"", "connections that are kept alive end"
            kept.close()
            assert app.turn({"LISTEN": True})[0] == 200
            assert app.get() == 200
        assert app.end() == (0, "")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "expected a JSON object"),
        (b"", "expected a JSON object"),
        (b"[1]", "expected a JSON object of knobs, got list"),
        (b'{"ERROR_RATE": NaN}', "ERROR_RATE: expected a number from 0 to 1"),
        (b'{"ERROR_RATE": 0.5, "LATENCY_P99": "soon"}', "LATENCY_P99: expected a number"),
        (b'{"EROR_RATE": 0.5}', "did you mean 'ERROR_RATE'"),
        (b"[" * 60_000, "expected a JSON object"),
        (b"\xff\xfe", "expected a JSON object"),
    ],
)
def test_malformed_knobs_change_nothing(body: bytes, problem: str, shared: Replica) -> None:
    status, answer = shared.turn(body)
    assert status == 400
    assert problem in answer["error"]
    assert shared.turn({})[1]["ERROR_RATE"] == 0.0


@pytest.fixture(scope="module")
def shared() -> Iterator[Replica]:
    """One application for tests that leave it as it was."""
    with replica(APP_HOST="0.0.0.0") as app:
        yield app


def test_web_pages_cannot_turn_knobs(shared: Replica) -> None:
    assert shared.turn({"ERROR_RATE": 1}, **{"Content-Type": "text/plain"})[0] == 415
    assert shared.turn({"ERROR_RATE": 1}, Host="evil.example:80")[0] == 403
    assert shared.turn(b" " * 70_000)[0] == 413
    assert shared.turn({}, Host="localhost")[1]["ERROR_RATE"] == 0.0


def test_the_admin_endpoint_is_bound_to_one_loopback_address(shared: Replica) -> None:
    """127.0.0.2 is another address of this machine: who listens on all of them is found there."""
    with socket.create_connection(("127.0.0.2", shared.port), timeout=10):
        pass  # users, here, are served on every address
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", shared.admin_port), timeout=10)
    assert shared.get("/admin/knobs") == 404, "and not on the port of the users"


def test_the_admin_endpoint_moves_to_the_one_address_that_is_named() -> None:
    """As in a pod, where the harness comes from outside: then requests may be meant for that address, too."""
    with replica(APP_ADMIN_HOST="127.0.0.2") as app:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", app.admin_port), timeout=10)
        for host, status in (
            ("127.0.0.2:8081", 200),
            ("localhost", 200),
            ("127.0.0.3", 403),
            ("127.0.0.2.example", 403),
        ):
            connection = http.client.HTTPConnection("127.0.0.2", app.admin_port, timeout=10)
            connection.request("GET", "/admin/knobs", headers={"Host": host})
            assert connection.getresponse().status == status, host
            connection.close()


def test_hostile_clients_disturb_nobody(shared: Replica) -> None:
    def connected() -> socket.socket:
        return socket.create_connection(("127.0.0.1", shared.port), timeout=10)

    with connected() as huge, connected() as never_reads, connected() as never_ends, connected() as noise:
        huge.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")
        assert huge.recv(64).startswith(b"HTTP/1.0 400 ")
        noise.sendall(os.urandom(2000) + b"\r\n\r\n")
        assert noise.recv(64).startswith(b"HTTP/1.0 400 ")
        never_ends.sendall(b"POST /checkout HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        never_reads.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(20_000):  # answers of more than 100 MB that nobody fetches
                never_reads.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        memory = int((Path("/proc") / str(shared.process.pid) / "statm").read_text().split()[1])
        assert memory * os.sysconf("SC_PAGE_SIZE") < 300 * 2**20
        assert [shared.get() for _ in range(20)] == [200] * 20


def test_serve_tells_its_addresses_on_a_descriptor_and_closes_it() -> None:
    ready, told = os.pipe()
    program = f"from chaos.app import serve; serve({{'APP_POD': 'web-1', 'ERROR_RATE': 1}}, {told})"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, pass_fds=[told]) as child:
        os.close(told)
        with os.fdopen(ready) as pipe:
            addresses = json.loads(pipe.read())  # to its end: the child has closed it
        try:
            until(lambda: Replica(None, addresses["port"], 0).get() == 500)  # type: ignore[arg-type]
        finally:
            child.terminate()
    assert addresses["pid"] == child.pid
    assert child.returncode == 0
