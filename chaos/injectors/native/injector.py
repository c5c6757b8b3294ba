"""`FaultInjector` for faults that are made from the side of the node, and for two that the API server makes."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chaos.cluster.kube import Kube
from chaos.cluster.native.injection import Injection
from chaos.cluster.native.watch import EXPIRED, STRESS_ENDED
from chaos.cluster.pod import PORT, Pod
from chaos.faults.node import NODE_FAULTS, OF_CONTAINER, ONE_SHOT, NodeFault
from chaos.injectors.native import api
from chaos.injectors.native.link import AgentLink, GoneError
from chaos.injectors.protocol import Targets
from chaos.timeline import Moment
from chaos.world import WorldError
from strategies.effects import Revision

_LOOK_SECONDS: Final = 0.05  #: between two looks at what is waited for
_PATIENCE_SECONDS: Final = 7.0
_BY_API: Final = ("pod_kill", "pod_failure")


@dataclass(slots=True)
class Bearing:
    """That a pod bears the fault, or bore it: `until` is monotonic seconds, None while it does."""

    pod: Pod
    injection: str
    since: Moment
    until: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What faults need to know beside their own words.

    Attributes:
        owner: the drill; a sweep finds by it what is left.
        number: of the fault in its drill.
        pause_image: runs in the place of a failed pod's images; it must be there, or be had by the node.
        port: on which the pods serve HTTP.
        versions: value of `x-version` in answers of a revision, for those that the proxy gives in its stead.
        longest_seconds: real time after which each injection ends by itself, should everybody have forgotten it.
    """

    owner: str
    number: int = 0
    pause_image: str = "rolloutlab.local/pause:1"
    port: int = PORT
    versions: Mapping[Revision, str] = field(default_factory=dict)
    longest_seconds: float = 900.0


class NativeInjector:
    """One fault in all pods that `targets` tells of, or in the first few of each revision.

    Args:
        targets: the pods that there are now, the oldest first; asked again and again, so it should be quick.
        kube: needed for `pod_kill` and `pod_failure` only.

    Attributes worth reading: `bearings`, who bore the fault from when to when.
    """

    def __init__(
        self,
        fault: NodeFault,
        settings: Settings,
        *,
        targets: Callable[[], Sequence[Pod]],
        link: AgentLink,
        kube: Kube | None = None,
    ) -> None:
        if kube is None and fault.kind in _BY_API:
            raise ValueError(f"{fault.kind} needs `kube`")
        self._fault, self._settings, self._targets, self._link, self._kube = fault, settings, targets, link, kube
        self._group = f"{settings.owner}.{settings.number}"
        self._count = itertools.count()
        self._active = False
        self._placing = asyncio.Lock()
        self._spent: set[str] = set()  #: targets that are not hit again
        self._over: dict[str, Mapping[str, Any]] = {}  #: by injection, what was told at its end
        self.bearings: dict[str, Bearing] = {}  #: by target: a pod's uid, or a container's id
        link.on_end(self._group, self._ended)

    def plan(self) -> Targets:
        """See `FaultInjector`."""
        pods = tuple(pod.name for pod in self._chosen())
        return Targets(what=f"{self._fault} {self._how()}", engine="native", revisions=self._fault.revisions, pods=pods)

    async def inject(self) -> None:
        """See `FaultInjector`."""
        self._active = True
        if self._fault.kind not in _BY_API:
            await self._link.start()
            if self._fault.kind in self._link.lacks:
                raise WorldError(f"{self._fault.kind}: {self._link.lacks[self._fault.kind]}")
        await self._give()

    async def await_injected(self) -> Moment:
        """See `FaultInjector`."""
        while not self.bearings:
            await asyncio.sleep(_LOOK_SECONDS)
            await self._give()
        return min((each.since for each in self.bearings.values()), key=lambda moment: moment.hi)

    async def ensure(self) -> list[str]:
        """See `FaultInjector`; what happens once happens to those that were there when it came."""
        return await self._give()

    async def recover(self) -> None:
        """See `FaultInjector`."""
        self._active = False
        if self._fault.kind == "pod_failure":
            assert self._kube is not None
            for namespace in {each.pod.namespace for each in self.bearings.values()} | self._namespaces():
                await api.restore(self._kube, namespace, self._settings.owner)
            self._all_ended()
        elif self._fault.kind not in ONE_SHOT:
            await self._link.undo(self._group)

    async def await_recovered(self) -> list[str]:
        """See `FaultInjector`."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (left := await self._bearers()) and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
        return left

    async def sweep(self) -> list[str]:
        """See `FaultInjector`."""
        if self._fault.kind in _BY_API:
            await self.recover()
            return [f"pod_failure: {name}" for name in await self._bearers()]
        _, left = await self._link.sweep(self._settings.owner, self._group)
        return left

    def capabilities(self) -> frozenset[str]:
        """See `FaultInjector`: what the node can do, as far as its agent has been asked."""
        return frozenset(NODE_FAULTS) - frozenset(self._link.lacks)

    # -- targets --------------------------------------------------------------------------------------------------

    def _how(self) -> str:
        many = "all pods" if self._fault.replicas is None else f"{self._fault.replicas} of the pods"
        later = "" if self._fault.kind in ONE_SHOT else ", also those that come later"
        return f"in {many} of {' and '.join(self._fault.revisions)}{later}"

    def _key(self, pod: Pod) -> str:
        return pod.container_id if self._fault.kind in OF_CONTAINER else pod.uid

    def _chosen(self) -> list[Pod]:
        """Pods that are meant: those that bear it already come first, then the oldest."""
        found = []
        for revision in self._fault.revisions:
            pods = [pod for pod in self._targets() if pod.revision == revision and self._can_bear(pod)]
            bears = {each.pod.uid for each in self.bearings.values()}
            pods.sort(key=lambda pod: pod.uid not in bears)
            found += pods[: self._fault.replicas]
        return found

    def _can_bear(self, pod: Pod) -> bool:
        if pod.terminating:
            return False
        borne = pod.uid in self.bearings  # a failed pod does not run, and is failed
        return borne or self._fault.kind == "pod_kill" or (pod.running and bool(pod.container_id))

    def _due(self) -> list[Pod]:
        due: list[Pod] = []
        if self._fault.kind in ONE_SHOT and self.bearings:
            return due  # nobody is killed twice, nor those who come in the place of the killed
        for pod in self._chosen():
            bearing = self.bearings.get(self._key(pod))
            if self._key(pod) not in self._spent and (bearing is None or bearing.until is not None):
                due.append(pod)
        return due

    def _namespaces(self) -> set[str]:
        return {pod.namespace for pod in self._targets()}

    # -- giving and taking ----------------------------------------------------------------------------------------

    async def _give(self) -> list[str]:
        """Give it to all that are meant and do not bear it; their names."""
        async with self._placing:
            due = self._due() if self._active else []
            given = await asyncio.gather(*(self._place(pod) for pod in due), return_exceptions=True)
        if not self._active and due and self._fault.kind not in ONE_SHOT:
            await self.recover()  # it was taken back meanwhile
        for each in given:
            if isinstance(each, BaseException) and not isinstance(each, GoneError):
                raise each
        return [pod.name for pod, each in zip(due, given, strict=True) if not isinstance(each, BaseException)]

    async def _place(self, pod: Pod) -> None:
        injection = self._injection(pod)
        match self._fault.kind:
            case "pod_kill":
                assert self._kube is not None
                since = await api.kill(self._kube, pod)
            case "pod_failure":
                assert self._kube is not None
                since = await api.fail(self._kube, pod, self._settings.pause_image, self._settings.owner)
            case "container_kill":
                since = await self._link.kill(injection)
            case _:
                since = await self._link.place(injection)
        until = since.hi if self._fault.kind in ONE_SHOT else None
        self.bearings[self._key(pod)] = Bearing(pod, injection.id, since, until)
        if injection.id in self._over:  # it was quicker than we are
            self._ended(injection.id, self._over[injection.id])

    def _injection(self, pod: Pod) -> Injection:
        return Injection(
            id=f"{self._group}.{next(self._count)}",
            group=self._group,
            owner=self._settings.owner,
            kind=self._fault.kind,
            pod=pod.name,
            uid=pod.uid,
            container_id=pod.container_id,
            seconds=self._settings.longest_seconds,
            parameters={**self._fault.parameters(), **self._http(pod)},
        )

    def _http(self, pod: Pod) -> dict[str, Any]:
        if self._fault.kind not in ("http_delay", "http_abort"):
            return {}
        version = self._settings.versions.get(pod.revision, pod.revision)
        headers = {"x-version": version, "x-pod": pod.name, "x-revision": pod.revision}
        return {"port": self._settings.port, "answer_headers": headers}

    def _ended(self, injection: str, message: Mapping[str, Any]) -> None:
        """An injection has ended (empty: all). It is made again in the same target only where its guard was killed."""
        self._over[injection] = message
        for key, bearing in self.bearings.items():
            if injection in ("", bearing.injection) and bearing.until is None:
                bearing.until, bearing.why = time.monotonic(), str(message["ended"])
                if bearing.why == EXPIRED or bearing.why == STRESS_ENDED:
                    self._spent.add(key)

    def _all_ended(self) -> None:
        for bearing in self.bearings.values():
            bearing.until = bearing.until or time.monotonic()

    async def _bearers(self) -> list[str]:
        if self._fault.kind in ONE_SHOT:
            return []
        if self._fault.kind != "pod_failure":
            return await self._link.borne(self._group)
        assert self._kube is not None
        namespaces = {each.pod.namespace for each in self.bearings.values()}
        return [name for each in namespaces for name in await api.failed(self._kube, each, self._settings.owner)]
