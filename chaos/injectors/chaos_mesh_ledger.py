"""The objects of one fault: made once for named pods, read again and again, and what is known of each pod from them."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from chaos.cluster.kinds import EVENT
from chaos.cluster.kube import ApiError, Kube, Object
from chaos.cluster.pod import PREFIX, Pod
from chaos.faults.chaos_mesh import Chaos, Identity, Selector, Target, manifest
from chaos.faults.chaos_mesh.chaos import FAULT
from chaos.injectors.chaos_mesh_objects import ENGINE, expires_at, ours, told
from chaos.injectors.chaos_mesh_status import Status, status_of
from chaos.injectors.coverage import Coverage
from chaos.timeline import Moment
from chaos.world import WorldError

LOOK_SECONDS: Final = 0.15  #: real time between two looks at what is waited for
LEAST_SECONDS: Final = 1.0  #: a rest of a duration that is not worth an object
_LIVES: Final = PREFIX + "lives"  #: annotation: which runs of which pods an object is for
Life: TypeAlias = str  #: the uid of a pod, with the restarts of its container where a fault ends with these
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the objects of a drill stand.

    Attributes:
        expires_at: epoch seconds at which every fault of the drill is over at the latest.
        owners: owner references; objects go with them.
        engine: who injects here, as `chaos_mesh_objects.engine` tells.
        patience_seconds: real time that an injection, or its undoing, may take.
    """

    kube: Kube
    namespace: str
    drill: str
    expires_at: float
    owners: Sequence[Mapping[str, Any]] = ()
    engine: str = "chaos-mesh"
    patience_seconds: float = 20.0


@dataclass(slots=True)
class Entry:
    """One object: for which lives (by pod), when it was made (monotonic), when it was in place, what it says now."""

    lives: dict[str, Life]
    created: float
    placed: Moment | None = None
    status: Status | None = None


class Ledger:
    """Attributes worth reading: `entries` by name of the object, `coverage`, `engine` (an object may correct it)."""

    def __init__(self, chaos: Chaos, number: int, place: Place) -> None:
        self._chaos, self._number, self._place, self._kind = chaos, number, place, chaos.kind
        self.entries: dict[str, Entry] = {}
        self.coverage = Coverage()
        self.engine = place.engine
        self._looked = 0.0  #: monotonic time at which the server was asked last

    def life(self, pod: Pod) -> Life:
        """What an object is for: a run of a container, or a pod where the fault outlives containers."""
        return f"{pod.uid}/{pod.restarts}" if self._chaos.bound == "container" else pod.uid

    def given(self, pod: Pod) -> bool:
        """There is an object for this life."""
        return any(self.life(pod) in each.lives.values() for each in self.entries.values())

    def knows(self, pod: Pod) -> bool:
        """There is an object for this pod, perhaps for an earlier run of its container."""
        return any(pod.name in each.lives for each in self.entries.values())

    def body(self, pods: Sequence[Pod], ends: float) -> dict[str, Any]:
        """The object for these pods, until an epoch time; for none, that of the template, which is only looked at."""
        lives = {pod.name: self.life(pod) for pod in pods}
        short = hashlib.sha256(" ".join(sorted(lives.values())).encode()).hexdigest()[:10]
        drill = re.sub("[^a-z0-9]+", "-", self._place.drill.lower()).strip("-")
        identity = Identity(
            name=f"rolloutlab-{drill}-{self._number}-{short}",
            namespace=self._place.namespace,
            drill=self._place.drill,
            expires_at=ends,
            owners=self._place.owners,
            annotations={FAULT: str(self._number), _LIVES: " ".join(f"{pod}={life}" for pod, life in lives.items())},
        )
        if not pods:
            return manifest(self._chaos, identity)
        target = Target(Selector(namespace=self._place.namespace, pods=tuple(lives)))
        rest = math.ceil(10 * max(LEAST_SECONDS, ends - time.time())) / 10  # a figure that can be read
        return manifest(self._chaos.aimed(target, rest), identity)

    async def give(self, pods: Sequence[Pod], ends: float) -> None:
        """Make the object of these pods, also when it was made before: its name tells whom it is for.

        Raises:
            WorldError: the server refused it, or an older one of its name does not go.
        """
        body, created = self.body(pods, ends), time.monotonic()
        name, deadline = body["metadata"]["name"], created + self._place.patience_seconds
        while not await self.create(body):
            found = await asyncio.to_thread(self._place.kube.get, self._kind, name, self._place.namespace)
            if found is not None and "deletionTimestamp" not in found["metadata"]:
                break
            if time.monotonic() > deadline:
                raise WorldError(told(self._kind, found) if found else f"{self._kind.kind} {name} comes and goes")
            await asyncio.sleep(LOOK_SECONDS)
        self.entries[name] = Entry({pod.name: self.life(pod) for pod in pods}, created)

    async def create(self, body: Mapping[str, Any], **query: str) -> bool:
        """Create an object; false when its name is taken.

        Raises:
            WorldError: the server refused it.
        """
        try:
            await _finished(lambda: self._place.kube.create(self._kind, body, self._place.namespace, **query))
        except ApiError as error:
            if error.status == 409:
                return False
            if error.status == 404:
                raise WorldError(f"this cluster has no {self._kind.kind}: Chaos Mesh is not installed") from None
            raise WorldError(f"{self._kind.kind} {body['metadata']['name']} cannot be had: {error}") from None
        return True

    async def mine(self) -> list[Object]:
        """Objects of this fault, as the server has them."""
        place = self._place
        found = await asyncio.to_thread(ours, place.kube, place.namespace, drill=place.drill, among=(self._kind,))
        return [each for _, each in found if _annotation(each, FAULT) == str(self._number)]

    async def delete(self, found: Sequence[Object]) -> None:
        """Ask for the end of objects."""
        for each in found:
            if "deletionTimestamp" not in each["metadata"]:
                name = each["metadata"]["name"]
                await asyncio.to_thread(self._place.kube.delete, self._kind, name, self._place.namespace)

    async def adopt(self) -> float | None:
        """Take over what a harness made that was killed; epoch seconds at which it ends, None when there is nothing.

        What has ended by itself is made anew, since a spec cannot be changed.
        """
        ends = None
        for each in await self.mine():
            if status_of(each).stopping:
                await self.delete([each])
            elif "deletionTimestamp" not in each["metadata"]:
                lives = dict(pair.split("=", 1) for pair in _annotation(each, _LIVES).split())
                self.entries[each["metadata"]["name"]] = Entry(lives, time.monotonic())
                ends = expires_at(each)
        return ends

    async def look(self, pods: Sequence[Pod]) -> list[str]:
        """Read all objects; names of pods that are seen to bear the fault for the first time."""
        asked = time.monotonic()
        found = {each["metadata"]["name"]: each for each in await self.mine()}
        seen, fresh = time.monotonic(), list[str]()
        there = {pod.name for pod in pods if not pod.terminating}
        for name, entry in self.entries.items():
            if name not in found:
                continue
            self.engine = _annotation(found[name], ENGINE) or self.engine
            entry.status = status_of(found[name])
            # Not before the object was made, and not before the last look, which did not see it.
            moment = Moment(min(max(entry.created, self._looked), asked), seen)
            if entry.placed is None and entry.status.in_place(there):
                entry.placed = moment
            for pod in entry.status.bearers() & entry.lives.keys():
                if self.coverage.bore(entry.lives[pod], moment):
                    fresh.append(pod)
        self._leave({self.life(pod) for pod in pods if pod.name in there}, seen)
        self._looked = asked
        return sorted(fresh)

    async def tidy(self, pods: Sequence[Pod]) -> None:
        """Remove objects whose lives are all over."""
        alive = {self.life(pod) for pod in pods}
        for name in [name for name, entry in self.entries.items() if not alive & set(entry.lives.values())]:
            await asyncio.to_thread(self._place.kube.delete, self._kind, name, self._place.namespace)
            del self.entries[name]

    def late(self) -> str | None:
        """The oldest object that should have been in place by now."""
        limit = time.monotonic() - self._place.patience_seconds
        return next((name for name, each in self.entries.items() if each.placed is None and each.created < limit), None)

    async def why(self, name: str) -> str:
        """What is known of an object that is not in place, for the person at the terminal."""
        status, warned = self.entries[name].status, await asyncio.to_thread(self._warnings, name)
        if status is None or not status.touched:
            reasons = ["no controller has touched it; does Chaos Mesh run? kubectl -n chaos-mesh get pods"]
        elif not status.selected:
            reasons = ["no pod was selected, and Chaos Mesh does not look again"]
        else:
            reasons = status.troubles()
        late = f"was not in place within {self._place.patience_seconds:g} s"
        reason = "; ".join((*reasons, *warned)) or "nothing says why"
        return f"{self._kind.kind} {self._place.namespace}/{name} {late}: {reason}"

    def _leave(self, alive: set[Life], at: float) -> None:
        for entry in self.entries.values():
            for life in set(entry.lives.values()) - alive:
                self.coverage.gone(life, at)

    def _warnings(self, name: str) -> list[str]:
        """What the server's events warn of, the newest last."""
        fields = f"involvedObject.name={name},involvedObject.kind={self._kind.kind},type=Warning"
        try:
            found = self._place.kube.list(EVENT, self._place.namespace, fields=fields)["items"]
        except ApiError:
            return []  # an account that may not read events has no less a fault
        return list(dict.fromkeys(str(each.get("message", ""))[:300] for each in found[-5:]))


def _annotation(found: Object, name: str) -> str:
    return str(found["metadata"].get("annotations", {}).get(name, ""))


async def _finished(call: Callable[[], T]) -> T:
    """Run a write in a thread, and when cancelled wait for its end, so that whoever takes it back then finds it."""
    task = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
