"""What goes wrong at an API server, switched on by a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Act = Literal["answer", "reset", "reset after", "hang", "cut"]


@dataclass(slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong with requests that match.

    Attributes:
        act: `answer`: with `status` and `body`; `reset`: the connection is reset instead; `reset after`: the request is
            done, then the connection is reset; `hang`: no answer until the server is closed; `cut`: half of an answer.
        times: how often; None: always.
        after: requests that match and are let through before.
    """

    act: Act = "answer"
    status: int = 503
    method: str = ""
    path: str = ""  #: part of it
    watch: bool | None = None  #: only watches, or only what is none
    times: int | None = 1
    after: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def takes(self, method: str, path: str, *, watch: bool) -> bool:
        """Whether it is the turn of this fault; counts."""
        if self.times == 0 or (self.method and self.method != method) or self.path not in path:
            return False
        if self.watch is not None and self.watch is not watch:
            return False
        if self.after:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was heard."""

    at: float  #: monotonic seconds
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any

    @property
    def writes(self) -> bool:
        """It changes something; to ask what one may do is a POST, and changes nothing."""
        return self.method != "GET" and not self.path.endswith("accessreviews")


class Troubles:
    """All that a test has switched on, and all requests that were heard.

    Attributes worth reading: `requests`; to set: `silent` (watches say nothing more and do not end), `on_write` (called
    after the n-th write was done and before it is answered), `skew_seconds` (of the server's clock).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.forbidden: set[tuple[str, str]] = set()  #: verb, plural
        self.missing: set[str] = set()  #: groups that the server does not know
        self.silent = threading.Event()
        self.closed = threading.Event()
        self.on_write: Callable[[int, Request], None] = lambda number, request: None
        self.skew_seconds = 0.0
        self.requests: list[Request] = []
        self._writes = 0

    def add(self, **what: Any) -> Fault:
        """Switch a `Fault` on."""
        fault = Fault(**what)
        with self._lock:
            self._faults.append(fault)
        return fault

    def forbid(self, *verbs: str, plural: str) -> None:
        """The account may not."""
        self.forbidden |= {(verb, plural) for verb in verbs}

    def clear(self) -> None:
        """All is well again."""
        with self._lock:
            self._faults.clear()
        self.forbidden.clear()
        self.missing.clear()
        self.silent.clear()

    def heard(self, request: Request, *, watch: bool) -> Fault | None:
        """Take a request down; the fault whose turn it is."""
        with self._lock:
            self.requests.append(request)
            return next((each for each in self._faults if each.takes(request.method, request.path, watch=watch)), None)

    def wrote(self, request: Request) -> None:
        """A write was done."""
        with self._lock:
            self._writes += 1
            number = self._writes
        self.on_write(number, request)

    def count(self, method: str, path: str = "") -> int:
        """Requests of a method whose path holds this."""
        return sum(each.method == method and path in each.path for each in tuple(self.requests))

    def now(self) -> float:
        """Epoch seconds by the server's clock."""
        return time.time() + self.skew_seconds
