"""The Gateways of a cluster, as the doctor sees them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Final

from chaos.cluster.door import Door
from chaos.cluster.gateway import router
from chaos.cluster.kinds import GATEWAY, HTTP_ROUTE
from chaos.cluster.kube import ApiError, Kube, Object
from chaos.cluster.permissions import wanted
from chaos.cluster.settings import ClusterSettings
from chaos.finding import GUIDE, Finding, State
from chaos.world import WorldError

_FORBIDDEN: Final = 403
_CONNECT_SECONDS: Final = 3.0


def gateways(door: Door, settings: ClusterSettings) -> Iterator[Finding]:
    """Which Gateways there are, whether their controller says that they work, and whether the one to use answers."""
    if settings.routing == "service":
        return
    if not door.kube.serves(HTTP_ROUTE):
        state: State = "missing" if wanted(settings, "gateway") else "absent"
        text = "the Gateway API is not installed: weights go by the number of pods"
        yield Finding(about="Gateway", state=state, text=text, mend=GUIDE)
        return
    yield from _listed(door.kube, settings)
    yield from _reached(door, settings)


def _listed(kube: Kube, settings: ClusterSettings) -> Iterator[Finding]:
    parts = settings.gateway_parts
    try:
        found = [kube.get(GATEWAY, parts[1], parts[0])] if parts is not None else kube.list(GATEWAY)["items"]
    except ApiError as error:
        if error.status != _FORBIDDEN:
            raise
        text = f"{settings.gateway or 'Gateways'} may not be read by this account"
        yield Finding(about="Gateway", state="unknown", text=text)
        return
    if not found:
        state: State = "missing" if wanted(settings, "gateway") else "absent"
        yield Finding(about="Gateway", state=state, text="none: weights go by the number of pods", mend=GUIDE)
    for each in found:
        if each is not None:
            yield _gateway(each)


def _reached(door: Door, settings: ClusterSettings) -> Iterator[Finding]:
    """Whether somebody answers where a drill would send its requests."""
    about = "Gateway address"
    try:
        found = router(door, settings)
    except WorldError as error:
        mend = "--gateway NAMESPACE/NAME --address IP:PORT, or --routing service"
        yield Finding(about=about, state="missing", text=str(error), mend=mend)
        return
    if found is None:
        return
    host, port = found.address
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        socket.create_connection(found.address, timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        text = f"nobody answers at {where}, as seen from this machine: {error.strerror or error}"
        mend = "--address IP:PORT  # where this machine reaches the Gateway"
        yield Finding(about=about, state="missing", text=text, mend=mend)
        return
    yield Finding(about=about, state="ok", text=f"{where} takes connections")


def _gateway(found: Object) -> Finding:
    status = found.get("status", {})
    states = {each["type"]: each for each in status.get("conditions", ())}
    programmed = states.get("Programmed", {})
    where = ", ".join(each["value"] for each in status.get("addresses", ()) if each.get("value"))
    if programmed.get("status") == "False":
        text = (
            f"{name_of(found)} is not programmed: {programmed.get('message') or programmed.get('reason', 'no reason')}"
        )
        mend = f"kubectl describe gateway {found['metadata']['name']} --namespace {found['metadata']['namespace']}"
        return Finding(about="Gateway", state="warning", text=text, mend=mend)
    said = "is programmed" if programmed.get("status") == "True" else "is there; its controller does not say more"
    return Finding(about="Gateway", state="ok", text=f"{name_of(found)} {said}{f', at {where}' if where else ''}")


def name_of(found: Object) -> str:
    """`namespace/name` of an object."""
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"
