"""What killed drills left in a cluster: found by their run directory, or by nobody holding the lease for them."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

from chaos.cluster import door as doors
from chaos.cluster import safety, sweeping
from chaos.cluster.kinds import CONFIG_MAP, LEASE
from chaos.cluster.kube import ApiError, Kube
from chaos.cluster.settings import ClusterSettings
from chaos.injectors.native import NativeNode
from chaos.injectors.native.sweep import sweep
from chaos.local.runs import CLUSTER, Run
from chaos.world import WorldError

_STOP_SECONDS = 90.0  #: for drills elsewhere to see the kill switch, take their rollout back and sweep


@dataclass(frozen=True, slots=True)
class Remains:
    """What one drill has in a namespace.

    Attributes:
        had: objects, in words. left: those that could not be removed.
    """

    drill: str
    namespace: str
    had: tuple[str, ...]
    left: tuple[str, ...] = ()


def recorded(run: Run) -> dict[str, Any] | None:
    """Where a run has objects in a cluster; None when it has none."""
    try:
        found = json.loads((run.path / CLUSTER).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"drill", "namespace"} <= found.keys() else None


def clear_run(run: Run) -> list[str]:
    """Remove the objects of a run whose harness is gone; what is left, in words. Blocks."""
    told = recorded(run)
    if told is None:
        return []
    where = f"objects of drill {told['drill']} in namespace {told['namespace']}"
    try:
        settings = ClusterSettings(
            kubeconfig=told.get("kubeconfig"), context=told.get("context"), namespace=told["namespace"]
        )
        door = doors.opened(settings)
        kube = door.kube
        left = _faults_taken_back(door, told["drill"])
        left += sweeping.clear(kube, settings.namespace, told["drill"])
        _release(kube, settings.namespace, told["drill"])
    except (WorldError, ValueError) as error:
        return [f"{where}: {error}"]
    return [f"{where}: {each}" for each in left]


def ownerless(settings: ClusterSettings, *, now: float | None = None) -> tuple[Kube, list[Remains]]:
    """Drills in a namespace that nobody looks after: none of them holds the lease, or their time is over.

    Raises:
        WorldError: the cluster cannot be asked.
    """
    kube = doors.opened(settings).kube
    holder = safety.holder(kube, settings.namespace)
    now = time.time() if now is None else now
    found = []
    for drill, things in sweeping.drills(kube, settings.namespace).items():
        if drill != holder or sweeping.expired(things, now):
            found.append(Remains(drill, settings.namespace, tuple(each.text for each in things)))
    return kube, found


def swept(settings: ClusterSettings) -> list[Remains]:
    """Remove them."""
    kube, found = ownerless(settings)
    done = []
    for each in found:
        left = sweeping.clear(kube, each.namespace, each.drill)
        _release(kube, each.namespace, each.drill)
        done.append(Remains(each.drill, each.namespace, each.had, tuple(left)))
    return done


def stop_all(settings: ClusterSettings) -> list[Remains]:
    """Pull the kill switch of a namespace, wait for drills to end in good order, and remove what they leave."""
    kube = doors.opened(settings).kube
    body = {"metadata": {"name": safety.STOP, "namespace": settings.namespace}}
    kube.apply(CONFIG_MAP, body, settings.namespace)
    deadline = time.monotonic() + _STOP_SECONDS
    while safety.holder(kube, settings.namespace) and time.monotonic() < deadline:
        time.sleep(0.5)
    done = []
    for drill, things in sweeping.drills(kube, settings.namespace).items():
        left = sweeping.clear(kube, settings.namespace, drill)
        done.append(Remains(drill, settings.namespace, tuple(each.text for each in things), tuple(left)))
    return done


def _faults_taken_back(door: doors.Door, drill: str) -> list[str]:
    """On the native node the faults of a killed harness end with its agent; what is left all the same, in words."""
    if door.node is None:
        return []
    _, left = asyncio.run(sweep(NativeNode(door.node), None, "", drill))
    return left


def _release(kube: Kube, namespace: str, drill: str) -> None:
    """A lease that a dead drill holds keeps others out until it runs out."""
    found = kube.get(LEASE, safety.LEASE_NAME, namespace)
    if found is not None and found.get("spec", {}).get("holderIdentity") == drill:
        try:
            kube.delete(LEASE, safety.LEASE_NAME, namespace)
        except ApiError as error:
            if error.status != 409:
                raise
