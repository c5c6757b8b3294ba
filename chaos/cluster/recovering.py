"""What killed drills left in a cluster: found by their run directory, or by nobody holding the lease for them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from chaos.cluster import door as doors
from chaos.cluster import place as places
from chaos.cluster import safety, sweeping
from chaos.cluster.kinds import CONFIG_MAP
from chaos.cluster.kube import Kube
from chaos.cluster.native import node as native
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


def clear_run(run: Run) -> list[str]:
    """Remove the objects of a run whose harness is gone; what is left, in words. Blocks."""
    try:
        place = places.read(run)
    except WorldError as error:
        return [str(error)]
    if place is None or (place.native and not native.is_up()):
        return []  # the native node took all with it
    try:
        door = doors.opened(place.settings)
        if not place.there(door.kube):
            return []
        left = _faults_taken_back(door, place.drill)
        left += sweeping.clear(door.kube, place.namespace, place.drill)
        safety.free(door.kube, place.namespace, place.drill)
    except WorldError as error:
        return [f"{place.text}: {error}; if that cluster is gone for good, remove {run.path / CLUSTER}"]
    return [f"{place.text}: {each}" for each in left]


def ownerless(settings: ClusterSettings, *, now: float | None = None) -> tuple[Kube, list[Remains]]:
    """Drills in a namespace that nobody looks after: none of them holds the lease, or their time is over.

    Raises:
        WorldError: the cluster cannot be asked, or is not the one that is pinned.
    """
    kube = _opened(settings)
    holder = safety.holder(kube, settings.namespace)
    now = kube.now() if now is None else now
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
        safety.free(kube, each.namespace, each.drill)
        done.append(Remains(each.drill, each.namespace, each.had, tuple(left)))
    return done


def stop_all(settings: ClusterSettings) -> list[Remains]:
    """Pull the kill switch of a namespace, wait for drills to end in good order, and remove what they leave."""
    kube = _opened(settings)
    body = {"metadata": {"name": safety.STOP, "namespace": settings.namespace}}
    kube.apply(CONFIG_MAP, body, settings.namespace)
    deadline = time.monotonic() + _STOP_SECONDS
    while safety.holder(kube, settings.namespace) and time.monotonic() < deadline:
        time.sleep(0.5)
    done = []
    for drill, things in sweeping.drills(kube, settings.namespace).items():
        left = sweeping.clear(kube, settings.namespace, drill)
        safety.free(kube, settings.namespace, drill)
        done.append(Remains(drill, settings.namespace, tuple(each.text for each in things), tuple(left)))
    return done


def _faults_taken_back(door: doors.Door, drill: str) -> list[str]:
    """On the native node the faults of a killed harness end with its agent; what is left all the same, in words."""
    if door.node is None:
        return []
    _, left = asyncio.run(sweep(NativeNode(door.node), None, "", drill))
    return left


def _opened(settings: ClusterSettings) -> Kube:
    kube = doors.opened(settings).kube
    if (wrong := safety.another(kube, settings)) is not None:
        raise WorldError(wrong)
    return kube
