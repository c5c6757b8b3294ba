"""Objects of Chaos Mesh that drills left: found by their label, paused, removed, and told of where they stay.

A finalizer is never forced: the object would go, and the fault would stay in the kernel with nobody to know of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from chaos.cluster.kinds import CHAOS_SCHEDULE, CRD, NETWORK_CHAOS, Kind
from chaos.cluster.kube import ApiError, Kube, Object
from chaos.cluster.pod import DRILL, PREFIX
from chaos.faults.chaos_mesh.chaos import EXPIRES_AT
from chaos.faults.chaos_mesh.passthrough import GROUP, OF_PODS, chaos_kind
from chaos.injectors.chaos_mesh_status import PAUSE, status_of

ENGINE: Final = PREFIX + "engine"  #: annotation: who acts where it is not Chaos Mesh itself
_LOOK_SECONDS: Final = 0.15
_GRACE_SECONDS: Final = 30.0  #: that a controller has to end what has expired
_FORCE: Final = "chaos-mesh.chaos-mesh.org/cleanFinalizer=forced"
_SKIPPED: Final = (403, 404)  #: what we may not see, we could not have made
Found: TypeAlias = tuple[Kind, Object]


def engine(kube: Kube) -> str:
    """Who injects in this cluster: `chaos-mesh`, or what says so of itself."""
    try:
        crd = kube.get(CRD, f"{NETWORK_CHAOS.plural}.{GROUP}") or {}
    except ApiError as error:
        if error.status != 403:
            raise
        crd = {}
    return str(crd.get("metadata", {}).get("annotations", {}).get(ENGINE, "chaos-mesh"))


def kinds(kube: Kube) -> tuple[Kind, ...]:
    """Kinds of Chaos Mesh that this cluster serves and a drill may have made; schedules first, which make others."""
    try:
        served = kube.request("GET", f"/apis/{GROUP}/{NETWORK_CHAOS.version}").get("resources", ())
    except ApiError as error:
        if error.status in _SKIPPED:
            return ()
        raise
    plurals = {each["name"] for each in served}
    return tuple(each for each in (CHAOS_SCHEDULE, *map(chaos_kind, OF_PODS)) if each.plural in plurals)


def ours(kube: Kube, namespace: str, *, drill: str | None = None, among: Iterable[Kind] | None = None) -> list[Found]:
    """Objects of a drill, or of all drills."""
    labels, found = f"{DRILL}={drill}" if drill else DRILL, list[Found]()
    for kind in kinds(kube) if among is None else among:
        try:
            found += [(kind, each) for each in kube.list(kind, namespace, labels=labels)["items"]]
        except ApiError as error:
            if error.status not in _SKIPPED:
                raise
    return found


def expires_at(found: Object) -> float:
    """Epoch seconds; 0 for an object that does not say, which nobody should miss."""
    text = found["metadata"].get("labels", {}).get(EXPIRES_AT, "")
    return float(text) if text.isdecimal() else 0.0


def told(kind: Kind, found: Object) -> str:
    """An object that stays, and why: for whoever has to clean up."""
    name, status = f"{kind.kind} {found['metadata']['namespace']}/{found['metadata']['name']}", status_of(found)
    bearers = ", ".join(sorted(status.bearers())) or "no pod"
    if not status.deleted:
        return f"{name} is there; {bearers} under fault"
    troubles = "; ".join(status.troubles()) or "its controller does not answer: kubectl -n chaos-mesh get pods"
    force = f"annotated {_FORCE} it goes, and leaves in the pod what is there until the pod is deleted"
    return f"{name} is deleted but held by its finalizer; {bearers} under fault ({troubles}); {force}"


async def pause(kube: Kube, found: Sequence[Found]) -> None:
    """Ask for the end of faults whose objects stay."""
    body = {"metadata": {"annotations": {PAUSE: "true"}}}
    for kind, each in found:
        if kind is not CHAOS_SCHEDULE:
            await _unless_gone(kube.patch, kind, each["metadata"]["name"], body, each["metadata"]["namespace"])


async def remove(
    kube: Kube,
    namespace: str,
    *,
    drill: str | None = None,
    which: Callable[[Object], bool] | None = None,
    seconds: float,
) -> list[str]:
    """Delete objects and wait until they are gone.

    Args:
        drill: of one drill; None: of all.
        which: only these; None: all.
        seconds: real time after which what is still there is told of.

    Returns:
        What stays, in words; empty when all is gone.
    """
    deadline, among = time.monotonic() + seconds, await asyncio.to_thread(kinds, kube)
    while True:
        left = await asyncio.to_thread(ours, kube, namespace, drill=drill, among=among)
        left = [(kind, each) for kind, each in left if which is None or which(each)]
        for kind, each in left:
            if "deletionTimestamp" not in each["metadata"]:
                await _unless_gone(kube.delete, kind, each["metadata"]["name"], each["metadata"]["namespace"])
        if not left or time.monotonic() > deadline:
            return [told(kind, each) for kind, each in left]
        await asyncio.sleep(_LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class Swept:
    """Attributes:
    left: what stays, in words: the clean-up is not complete.
    late: faults that were there long after their time: nobody enforces durations in this cluster.
    """

    left: list[str]
    late: list[str]


async def sweep_expired(kube: Kube, namespace: str, *, seconds: float, now: float | None = None) -> Swept:
    """Remove what drills should have removed, whoever they were.

    Args:
        seconds: to wait for it.
        now: epoch seconds; the clock when not given.
    """
    at = time.time() if now is None else now
    late = []
    for kind, each in await asyncio.to_thread(ours, kube, namespace):
        over = at - expires_at(each)
        if over > _GRACE_SECONDS and status_of(each).bearers() and not once(each):
            late.append(f"{told(kind, each)}, {over:.0f} s after its time")
    left = await remove(kube, namespace, which=lambda each: expires_at(each) <= at, seconds=seconds)
    return Swept(left, late)


async def abort_all(kube: Kube, namespace: str, *, seconds: float) -> list[str]:
    """End the faults of all drills now: pause, wait for the end of faults, remove; what stays, in words.

    A pause is heard although somebody holds the object; so it goes first. It gets half of the time.
    """
    began = time.monotonic()
    await pause(kube, await asyncio.to_thread(ours, kube, namespace))
    while time.monotonic() < began + seconds / 2:
        states = [(each, status_of(each)) for _, each in await asyncio.to_thread(ours, kube, namespace)]
        if not any(state.bearers() and not once(each) for each, state in states):
            break
        await asyncio.sleep(_LOOK_SECONDS)
    return await remove(kube, namespace, seconds=began + seconds - time.monotonic())


def once(found: Object) -> bool:
    """It is a kill, whose records say Injected for ever."""
    return found.get("spec", {}).get("action") in ("pod-kill", "container-kill")


async def _unless_gone(verb: Callable[..., object], *args: object) -> None:
    try:
        await asyncio.to_thread(verb, *args)
    except ApiError as error:
        if error.status != 404:
            raise
