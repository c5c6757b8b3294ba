"""What becomes of a question that a Prometheus answers, refuses, or does not hear."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from chaos import facts
from chaos.metrics.prometheus import TOKEN, Prometheus, unanswered
from chaos.results import Happening
from scenarios.schema import Metrics
from strategies.effects import Measured, PromQuery

VECTOR = {"status": "success", "data": {"resultType": "vector", "result": [{"value": [0, "0.25"]}]}}
REFUSED = {"status": "error", "errorType": "bad_data", "error": "parse error"}


class Server:
    """Answers every question alike: `status` and `body`."""

    def __init__(self) -> None:
        self.status, self.body = 200, json.dumps(VECTOR).encode()
        self.tokens: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.tokens.append(self.headers.get("Authorization"))
                self.send_response(outer.status)
                if outer.status == 302:
                    self.send_header("Location", f"{outer.url}/elsewhere")
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def asked(server: Server) -> tuple[Measured, list[str]]:
    """An answer, and what was heard of silence."""
    silence: list[str] = []

    async def ask() -> Measured:
        prometheus = Prometheus(server.url, Metrics(), silent=silence.append)
        try:
            return await prometheus.answer(PromQuery("vector(1)"), 1.0)
        finally:
            await prometheus.close()

    return asyncio.run(ask()), silence


def test_an_answer_is_no_silence_nor_is_a_refusal(server: Server) -> None:
    assert asked(server)[0].value == 0.25
    server.status, server.body = 400, json.dumps(REFUSED).encode()
    answer, silence = asked(server)
    assert answer.error is not None
    assert "parse error" in answer.error
    assert silence == [], "the question was wrong, and Prometheus said so"


def test_what_is_no_answer_of_a_prometheus_is_silence(server: Server) -> None:
    server.status, server.body = 502, b"<html>Bad Gateway</html>"
    answer, silence = asked(server)
    assert silence == [answer.error]
    assert "answered 502" in silence[0]
    assert "502" in unanswered(server.url)


def test_no_redirect_is_followed(server: Server) -> None:
    server.status = 302
    assert unanswered(server.url) == "it answers 302 Found"
    answer, silence = asked(server)
    assert silence == [], "what is there is read, nothing else"
    assert len(server.tokens) == 2, "one request each"
    assert answer.value == 0.25


def test_nobody_there_is_silence() -> None:
    server = Server()
    assert unanswered(server.url) == ""
    server.close()
    answer, silence = asked(server)
    assert answer.value is None
    assert len(silence) == 1
    assert unanswered(server.url) == "Connection refused"


def test_it_is_asked_with_the_token_of_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "abc")
    assert unanswered(server.url) == ""
    asked(server)
    assert server.tokens == ["Bearer abc", "Bearer abc"]
    server.body = b"hello"
    assert unanswered(server.url) == "it answers as no Prometheus does"


def test_silence_is_a_doubt_of_the_whole_drill() -> None:
    def doubts(*reasons: str) -> Any:
        heard = [
            Happening(at_seconds=1.0, kind="unanswered", who="prometheus", facts={"reason": each}) for each in reasons
        ]
        known: Any = SimpleNamespace(drill=SimpleNamespace(began=1.0), load={"problems": ()}, happenings=heard)
        return facts._doubts(known)

    assert doubts() == ()
    assert doubts("refused", "timeout") == ("metrics: Prometheus did not answer, 2 times; the first time: refused",)
