"""The HTTP side of the cluster in memory: REST for every kind, watches, discovery, and what goes wrong on purpose."""

from __future__ import annotations

import contextlib
import email.utils
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from chaos.cluster.kinds import ACCESS_REVIEW, Kind
from chaos.cluster.testing.selectors import SelectorError, by_fields, by_labels
from chaos.cluster.testing.store import KINDS, Object, Refused, Store, events
from chaos.cluster.testing.trouble import Fault, Request, Troubles

VERSION: Final = "v1.35.4"
TICK_SECONDS: Final = 0.01
#: what a pod answers through the proxy: method, path, body -> status, body
PodAnswer = Callable[[str, str, str, bytes], tuple[int, bytes]]


class ApiServer:
    """A server with its store; use it as a context manager.

    Args:
        token: that a request must bear; empty: none.
        ticks: called every `TICK_SECONDS` beside the garbage collector: controllers.
        pod: what pods answer through the proxy.

    Attributes worth reading: `store`, `trouble`, `url`.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        token: str = "",
        ticks: Callable[[Store], None] = lambda store: None,
        pod: PodAnswer | None = None,
    ) -> None:
        self.store = store if store is not None else Store()
        self.trouble = Troubles()
        self.token, self.pod = token, pod
        self._ticks = ticks
        self._over = self.trouble.closed
        self._http = _Http(("127.0.0.1", 0), self)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._http.serve_forever, args=(0.02,), name="api server", daemon=True),
            threading.Thread(target=self._tick, name="controllers", daemon=True),
        ]

    def __enter__(self) -> ApiServer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; connections are closed."""
        self._over.set()
        with self.store.lock:
            self.store.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()
        self._http.cut()
        for thread in self._threads:
            thread.join(10)
        if self.errors:
            raise self.errors[0]

    def kubeconfig(
        self, path: Path, *, name: str = "fake", server: str = "", user: Mapping[str, Any] | None = None
    ) -> Path:
        """Write a kubeconfig with one context."""
        body = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "clusters": [{"name": name, "cluster": {"server": server or self.url}}],
            "users": [
                {"name": name, "user": {"token": self.token} if user is None and self.token else dict(user or {})}
            ],
        }
        path.write_text(json.dumps(body))  # JSON is YAML
        return path

    def _tick(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            try:
                self.store.collect()
                self._ticks(self.store)
            except Exception as error:  # noqa: BLE001  told by close(): a test must not go on with a dead controller
                self.errors.append(error)
                return


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    block_on_close = False

    def __init__(self, address: tuple[str, int], api: ApiServer) -> None:
        self.api = api
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        found, address = super().get_request()
        self._open.add(found)
        return found, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """Close what is still open."""
        for each in tuple(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  the names that http.server calls

    def log_message(self, *args: object) -> None:
        """Nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """By the server's clock, which a test may set wrong."""
        return email.utils.formatdate(self.server.api.trouble.now(), usegmt=True)

    # -- one request ----------------------------------------------------------------------------------------------

    def _handle(self) -> None:
        api = self.server.api
        split = urlsplit(self.path)
        query = dict(parse_qsl(split.query))
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw
        request = Request(time.monotonic(), self.command, split.path, query, dict(self.headers), body)
        fault = api.trouble.heard(request, watch=query.get("watch") == "true")
        try:
            if fault is not None and fault.act != "reset after" and self._wrong(fault):
                return
            if api.token and self.headers.get("Authorization") != f"Bearer {api.token}":
                raise Refused(401, "Unauthorized", "Unauthorized")
            self._route(request, raw, fault)
        except Refused as error:
            self._say(error.code, _status(error))
        except SelectorError as error:
            self._say(400, _status(Refused(400, "BadRequest", str(error))))

    def _wrong(self, fault: Fault) -> bool:
        """Do what goes wrong; true: the request is over."""
        if fault.act == "hang":
            self.server.api.trouble.closed.wait()
            self.close_connection = True
        elif fault.act == "reset":
            self._reset()
        elif fault.act == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"kind"')
            self.wfile.flush()
            self._reset()
        else:
            error = Refused(fault.status, "Trouble", "trouble on purpose")
            self._say(fault.status, _status(error) if fault.body is None else fault.body, fault.headers)
        return True

    def _reset(self) -> None:
        """RST instead of an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _say(self, code: int, body: Object | bytes, headers: Mapping[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data)

    # -- where it goes --------------------------------------------------------------------------------------------

    def _route(self, request: Request, raw: bytes, fault: Fault | None) -> None:
        api, parts = self.server.api, [unquote(each) for each in request.path.strip("/").split("/")]
        if parts == ["version"]:
            return self._say(200, {"major": "1", "minor": "35", "gitVersion": VERSION})
        if parts[0] not in ("api", "apis"):
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        group, rest = ("", parts[1:]) if parts[0] == "api" else ("".join(parts[1:2]), parts[2:])
        if len(rest) < 2:
            return self._say(200, _discovery(api, parts[0], group, rest))
        version, *rest = rest
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        kind = _kind(api, group, version, rest[0])
        name, part = (rest[1] if len(rest) > 1 else ""), (rest[2] if len(rest) > 2 else None)
        if kind.kind == "Pod" and part in ("log", "proxy"):
            return self._pod(request, namespace, name, [*rest[2:]], raw)
        self._may(request, kind, name)
        if request.method == "GET" and not name and request.query.get("watch") == "true":
            return self._watch(request, kind, namespace)
        found = self._done(request, kind, namespace, name, part)
        if request.writes:
            api.trouble.wrote(request)
        if fault is not None:  # it was done, and nobody hears of it
            return self._reset()
        return self._say(201 if request.method == "POST" else 200, found)

    def _may(self, request: Request, kind: Kind, name: str) -> None:
        watch = request.query.get("watch") == "true"
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(
            request.method, "get" if name else "watch" if watch else "list"
        )
        if (verb, kind.plural) in self.server.api.trouble.forbidden:
            text = f'{kind.plural} is forbidden: User "drill" cannot {verb} resource "{kind.plural}"'
            raise Refused(403, "Forbidden", text)

    def _done(self, request: Request, kind: Kind, namespace: str, name: str, part: str | None) -> Object:
        store, body = self.server.api.store, request.body
        content = self.headers.get("Content-Type", "")
        if request.writes and request.method != "DELETE" and not isinstance(body, dict):
            raise Refused(400, "BadRequest", "the object provided is unrecognized")
        match request.method:
            case "GET" if name:
                found = store.get(kind, name, namespace)
                if found is None:
                    raise Refused(404, "NotFound", f'{kind.plural} "{name}" not found')
                return found
            case "GET":
                return self._list(request, kind, namespace)
            case "POST" if kind is ACCESS_REVIEW:
                return _review(self.server.api, body)
            case "POST":
                return store.create(kind, body, namespace)
            case "PUT":
                return store.replace(kind, name, body, namespace)
            case "PATCH" if "apply-patch" in content:
                return store.apply(kind, name, body, namespace, request.query.get("fieldManager", ""))
            case "PATCH" if "merge-patch" in content:
                return store.patch(kind, name, body, namespace, part)
            case "DELETE":
                return store.delete(kind, name, namespace, body if isinstance(body, dict) else {})
        raise Refused(415, "UnsupportedMediaType", f"{request.method} with {content!r}")

    def _list(self, request: Request, kind: Kind, namespace: str) -> Object:
        store = self.server.api.store
        with store.lock:
            return {
                "apiVersion": kind.api_version,
                "kind": f"{kind.kind}List",
                "metadata": {"resourceVersion": str(store.version)},
                # as Kubernetes does, items of a list are without their kind
                "items": [_bare(each) for each in store.all(kind, namespace, _match(request))],
            }

    def _pod(self, request: Request, namespace: str, name: str, rest: list[str], raw: bytes) -> None:
        api, bare = self.server.api, name.partition(":")[0]
        if not any(each["metadata"]["name"] == bare for each in api.store.all(_POD, namespace)):
            raise Refused(404, "NotFound", f'pods "{bare}" not found')
        if rest[0] == "log":
            return self._say(200, b"the last words\n", {"Content-Type": "text/plain"})
        if api.pod is None:
            raise Refused(503, "ServiceUnavailable", "error trying to reach service: dial tcp: connection refused")
        code, body = api.pod(request.method, name, "/" + "/".join(rest[1:]), raw)
        return self._say(code, body, {"Content-Type": "text/plain"})

    # -- watches --------------------------------------------------------------------------------------------------

    def _watch(self, request: Request, kind: Kind, namespace: str) -> None:
        api, store, match = self.server.api, self.server.api.store, _match(request)
        since = int(request.query.get("resourceVersion") or store.version)
        end = time.monotonic() + float(request.query.get("timeoutSeconds") or 1800)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while not api.trouble.closed.is_set() and time.monotonic() < end:
                if api.trouble.silent.is_set():  # the wire is cut: nothing comes any more, not even the end
                    api.trouble.closed.wait()
                    break
                with store.lock:
                    if since < store.oldest:
                        gone = Refused(410, "Expired", f"too old resource version: {since} ({store.oldest})")
                        self._chunk({"type": "ERROR", "object": _status(gone)})
                        break
                    fresh = [each for each in store.log if each.version > since]
                    if not fresh:
                        store.changed.wait(min(0.05, max(0.0, end - time.monotonic())))
                        continue
                    since = fresh[-1].version
                for event in events(fresh, kind, namespace, match):
                    self._chunk(event)
            if request.query.get("allowWatchBookmarks") == "true":
                mark = {"kind": kind.kind, "metadata": {"resourceVersion": str(since)}}
                self._chunk({"type": "BOOKMARK", "object": mark})
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True  # whoever listened is gone

    def _chunk(self, event: Object) -> None:
        line = json.dumps(event).encode() + b"\n"
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.flush()


_POD: Final = next(each for each in KINDS if each.kind == "Pod")


def _match(request: Request) -> Callable[[Object], bool]:
    labels, fields = (
        by_labels(request.query.get("labelSelector", "")),
        by_fields(request.query.get("fieldSelector", "")),
    )
    return lambda found: labels(found) and fields(found)


def _bare(found: Object) -> Object:
    return {name: value for name, value in found.items() if name not in ("kind", "apiVersion")}


def _kind(api: ApiServer, group: str, version: str, plural: str) -> Kind:
    for each in KINDS:
        if (each.group, each.version, each.plural) == (group, version, plural) and group not in api.trouble.missing:
            return each
    raise Refused(404, "NotFound", "the server could not find the requested resource")


def _served(api: ApiServer) -> Iterator[Kind]:
    return (each for each in KINDS if each.group not in api.trouble.missing)


def _discovery(api: ApiServer, root: str, group: str, rest: list[str]) -> Object:
    served = list(_served(api))
    if root == "api" and not rest:
        return {"kind": "APIVersions", "versions": ["v1"]}
    if root == "apis" and not group:
        names = sorted({(each.group, each.version) for each in served if each.group})
        return {
            "kind": "APIGroupList",
            "groups": [{"name": name, "versions": [{"version": version}]} for name, version in names],
        }
    chosen = [each for each in served if each.group == group and rest in ([], [each.version])]
    if not chosen:
        raise Refused(404, "NotFound", "the server could not find the requested resource")
    if not rest:
        return {"kind": "APIGroup", "name": group, "versions": [{"version": each.version} for each in chosen[:1]]}
    return {
        "kind": "APIResourceList",
        "groupVersion": chosen[0].api_version,
        "resources": [{"name": each.plural, "kind": each.kind, "namespaced": each.namespaced} for each in chosen],
    }


def _review(api: ApiServer, body: Object) -> Object:
    asked = body["spec"].get("resourceAttributes", {})
    allowed = (asked.get("verb", ""), asked.get("resource", "")) not in api.trouble.forbidden
    return {**body, "status": {"allowed": allowed}}


def _status(error: Refused) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": str(error),
        "reason": error.reason,
        "code": error.code,
    }
