"""HTTPChaos: a proxy in front of one port of a pod aborts, delays or changes requests or their answers.

There is no share of requests: every request that matches is hit, the probes of the kubelet included where they use that
port and path. Connections that were open before are not hit.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from chaos.cluster.kinds import HTTP_CHAOS, Kind
from chaos.faults.chaos_mesh.chaos import Bound
from chaos.faults.chaos_mesh.target import Target
from chaos.faults.chaos_mesh.values import Spec, bounded, duration_text, number, one_of

_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT")
_SIDES: Final = ("Request", "Response")
_CODES: Final = (100, 599)
Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """What a message gets instead of what it had; `path`, `method` and `queries` of requests, `code` of answers."""

    path: str = ""
    method: str = ""
    code: int | None = None
    body: bytes | None = None
    queries: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method:
            one_of("replace.method", self.method, _METHODS)
        if self.code is not None:
            number("replace.code", self.code, *_CODES)
        if self.body == b"":
            raise ValueError("replace.body cannot be empty: the API server takes no empty text for bytes")
        if not self.spec():
            raise ValueError("replace replaces nothing: give path, method, code, body, queries or headers")

    def spec(self) -> Spec:
        """As it stands under `replace`; a body travels in base64."""
        body = None if self.body is None else base64.b64encode(self.body).decode()
        found: Spec = {
            "path": self.path,
            "method": self.method,
            "queries": dict(self.queries),
            "headers": dict(self.headers),
        }
        return _given(found) | {key: value for key, value in (("code", self.code), ("body", body)) if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """What a message gets in addition; `body` is merged into a JSON body, `queries` are of requests."""

    body: Mapping[str, Any] | None = None
    queries: Pairs = ()
    headers: Pairs = ()

    def __post_init__(self) -> None:
        if not self.spec():
            raise ValueError("patch adds nothing: give body, queries or headers")

    def spec(self) -> Spec:
        """As it stands under `patch`."""
        found: Spec = {
            "queries": [list(pair) for pair in self.queries],
            "headers": [list(pair) for pair in self.headers],
        }
        body = {} if self.body is None else {"body": {"type": "JSON", "value": json.dumps(self.body)}}
        return _given(found) | body


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPChaos:
    """What is given happens in this order: abort, delay, replace, patch.

    Attributes:
        side: what is changed, and what `abort` and `delay` come before.
        path: wildcards `*` and `?`; empty: every path.
        code: of answers that are hit; None: any.
    """

    side: Literal["Request", "Response"]
    port: int
    target: Target
    duration_seconds: float
    abort: bool = False
    delay_seconds: float = 0.0
    replace: Replace | None = None
    patch: Patch | None = None
    path: str = ""
    method: str = ""
    code: int | None = None
    request_headers: Mapping[str, str] = field(default_factory=dict)
    response_headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bounded(self.duration_seconds)
        one_of("HTTPChaos side", self.side, _SIDES)
        number("port", self.port, 1, 65535)
        number("delay_seconds", self.delay_seconds, 0, 3600)
        if self.method:
            one_of("method", self.method, _METHODS)
        if self.code is not None:
            number("code", self.code, *_CODES)
        if not (self.abort or self.delay_seconds or self.replace or self.patch):
            raise ValueError("HTTPChaos does nothing: give abort, delay_seconds, replace or patch")
        self._sides()

    def _sides(self) -> None:
        change, more = self.replace or Replace(code=200), self.patch or Patch(headers=(("a", "b"),))
        if self.side == "Request" and (self.code is not None or self.response_headers):
            raise ValueError("code and response_headers choose answers; with side 'Request' there is none yet")
        if self.side == "Request" and self.replace is not None and change.code is not None:
            raise ValueError("replace.code is of answers: side must be 'Response'")
        if self.side == "Response" and (change.path or change.method or change.queries or more.queries):
            raise ValueError("path, method and queries are changed in requests: side must be 'Request'")

    @property
    def kind(self) -> Kind:
        """See `Chaos`."""
        return HTTP_CHAOS

    @property
    def bound(self) -> Bound:
        """See `Chaos`: the proxy lives in the process namespace of the container, and dies with it."""
        return "container"

    def aimed(self, target: Target, duration_seconds: float) -> HTTPChaos:
        """See `Chaos`."""
        return replace(self, target=target, duration_seconds=duration_seconds)

    def spec(self) -> Spec:
        """See `Chaos`."""
        found = {"target": self.side, "port": self.port, **self.target.spec()}
        found["duration"] = duration_text(self.duration_seconds)
        found |= _given(
            {
                "abort": self.abort,
                "delay": duration_text(self.delay_seconds) if self.delay_seconds else "",
                "replace": self.replace.spec() if self.replace else {},
                "patch": self.patch.spec() if self.patch else {},
                "path": self.path,
                "method": self.method,
                "request_headers": dict(self.request_headers),
                "response_headers": dict(self.response_headers),
            }
        )
        return found if self.code is None else {**found, "code": self.code}


def _given(found: Spec) -> Spec:
    return {key: value for key, value in found.items() if value}
