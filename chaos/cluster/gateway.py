"""The router of a cluster: which Gateway routes, and where it is reached."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from chaos.cluster.door import Door
from chaos.cluster.kinds import GATEWAY, SERVICE
from chaos.cluster.kube import ApiError, Object
from chaos.cluster.native import node as native
from chaos.cluster.settings import ClusterSettings
from chaos.world import WorldError


@dataclass(frozen=True, slots=True)
class Router:
    """A Gateway, and the address at which users would reach it."""

    gateway: tuple[str, str]  #: namespace, name
    address: tuple[str, int]


def router(door: Door, settings: ClusterSettings) -> Router | None:
    """The router of a drill; None: the scenario's weights are kept by pods and Services.

    Raises:
        WorldError: the one that was named is not there, several could be meant, or nobody knows its address.
    """
    if settings.routing == "service":
        return None
    named, endpoint = settings.gateway_parts, settings.endpoint
    if named is not None and endpoint is not None:  # nothing to look for: an account may see one namespace only
        return Router(named, endpoint)
    found = _gateway(door, settings)
    if found is None:
        if settings.routing == "gateway":
            raise WorldError(
                "no Gateway in this cluster: `rolloutlab doctor` says how to get one, or --routing service"
            )
        return None
    meta = found["metadata"]
    return Router((meta["namespace"], meta["name"]), endpoint or _address(door, found))


def _gateway(door: Door, settings: ClusterSettings) -> Object | None:
    parts = settings.gateway_parts
    try:
        if parts is not None:
            found = door.kube.get(GATEWAY, parts[1], parts[0])
            if found is None:
                raise WorldError(
                    f"no Gateway {settings.gateway} in this cluster; `rolloutlab doctor` lists those there are"
                )
            return found
        items: list[Object] = door.kube.list(GATEWAY)["items"]
    except ApiError as error:
        if error.status == 404:
            return None
        if error.status == 403:
            raise WorldError(f"{error}; say --gateway and --address, or --routing service") from None
        raise
    if len(items) > 1:
        names = ", ".join(sorted(f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in items))
        raise WorldError(f"several Gateways; name one with --gateway: {names}")
    if not items:
        return None
    return {**items[0], "kind": "Gateway"}


def _address(door: Door, found: Object) -> tuple[str, int]:
    if door.node is not None:
        return native.IP, native.GATEWAY_PORT
    name = f"{found['metadata']['namespace']}/{found['metadata']['name']}"
    listeners = found.get("spec", {}).get("listeners") or ()
    port = next((int(each["port"]) for each in listeners if each.get("protocol") == "HTTP"), None)
    if port is None:
        raise WorldError(f"Gateway {name} has no listener for HTTP; name another one with --gateway")
    for each in found.get("status", {}).get("addresses") or ():
        try:
            return str(ipaddress.ip_address(each["value"])), port
        except ValueError:
            continue  # a name: nothing is sent to what a name may point to
    raise WorldError(f"Gateway {name} tells no IP address; say where it is reached with --address HOST:PORT")


def unreached(address: tuple[str, int], *, seconds: float = 3.0) -> str | None:
    """Why nobody listens there as far as this machine can see, in words; None: somebody does. Blocks."""
    try:
        with socket.create_connection(address, seconds):
            return None
    except OSError as error:
        return error.strerror or str(error)


def service_address(door: Door, name: str, namespace: str) -> tuple[str, int]:
    """Where a Service is reached from inside the cluster."""
    found = door.kube.get(SERVICE, name, namespace)
    if found is None:
        raise WorldError(f"Service {name} of {namespace} is gone")
    return str(found["spec"]["clusterIP"]), 80


def router_metrics(door: Door, settings: ClusterSettings) -> str:
    """URL of what the router exports; empty: nobody knows one."""
    if settings.router_metrics or door.node is None:
        return settings.router_metrics
    return f"http://{native.IP}:{native.ROUTER_METRICS_PORT}/metrics"


def refusal(route: Object) -> str | None:
    """Why no Gateway takes a route, in words; None: one does; empty: nobody has said anything yet."""
    said = []
    for parent in route.get("status", {}).get("parents") or ():
        for each in parent.get("conditions") or ():
            if each.get("type") == "Accepted":
                if each.get("status") == "True":
                    return None
                said.append(f"{each.get('reason', 'not accepted')}: {each.get('message', '')}"[:200].strip(": "))
    return "; ".join(dict.fromkeys(said))
