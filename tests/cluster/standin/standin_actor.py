"""TEST EQUIPMENT: the stand-in's hands: it puts the faults of Chaos Mesh into pods by the native injectors.

It can do NetworkChaos delay and partition of all packets, StressChaos cpu, and PodChaos; of everything else it says that
it cannot. Its agent lives as long as it does, not as the controller: a controller that dies leaves faults in place.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Coroutine
from typing import Any

from standin_rules import ApplyFailedError, Object, duration_seconds

from chaos.cluster.kinds import POD
from chaos.cluster.kube import Kube
from chaos.cluster.native.injection import Injection
from chaos.cluster.pod import Pod, pod_of
from chaos.injectors.native import AgentLink, NodeSeam, api
from chaos.injectors.native.link import GoneError
from chaos.world import WorldError

OWNER = "standin"
_LONGEST_SECONDS = 900.0  #: should everybody forget it


class NativeActor:
    """Args: `pause_image` is what a failed pod runs."""

    def __init__(self, kube: Kube, node: NodeSeam, pause_image: str) -> None:
        self._kube, self._pause = kube, pause_image
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in's hands", daemon=True)
        self._thread.start()
        self._link = AgentLink(node)
        self._counts: dict[str, int] = {}

    def apply(self, found: Object, id: str) -> None:
        """See `standin_controller.Actor`."""
        namespace, name = id.split("/")[:2]
        there = self._kube.get(POD, name, namespace)
        if there is None:
            raise ApplyFailedError(f"pod {name} not found")
        self._run(self._apply(found, id, pod_of(there)))

    def recover(self, found: Object, id: str) -> None:
        """See `standin_controller.Actor`."""
        if found["kind"] == "PodChaos":
            self._run(api.restore(self._kube, id.split("/")[0], self._owner(found, id)))
        elif left := self._run(self._link.undo(self._group(found, id))):
            raise ApplyFailedError("; ".join(left))

    def close(self) -> None:
        """End the agent, and with it every fault."""
        self._run(self._link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _apply(self, found: Object, id: str, pod: Pod) -> None:
        spec = found["spec"]
        match found["kind"], spec.get("action"):
            case "PodChaos", "pod-kill":
                await api.kill(self._kube, pod)
            case "PodChaos", "pod-failure":
                await api.fail(self._kube, pod, self._pause, self._owner(found, id))
            case "PodChaos", "container-kill":
                await self._link.kill(self._injection(found, id, pod, "container_kill"))
            case "NetworkChaos", "delay":
                seconds = {name: duration_seconds(spec["delay"].get(name, "0ms")) for name in ("latency", "jitter")}
                what = {f"{name}_seconds": value for name, value in seconds.items()}
                await self._place(found, id, pod, "packet_delay", what)
            case "NetworkChaos", "partition" if spec.get("direction") == "both" and "target" not in spec:
                await self._place(found, id, pod, "partition", {})
            case "StressChaos", _ if list(spec["stressors"]) == ["cpu"]:
                await self._place(found, id, pod, "cpu_stress", {"workers": spec["stressors"]["cpu"]["workers"]})
            case kind, action:
                raise ApplyFailedError(f"the stand-in cannot do {kind} {action or list(spec.get('stressors', ()))}")

    async def _place(self, found: Object, id: str, pod: Pod, kind: str, what: dict[str, Any]) -> None:
        await self._link.place(self._injection(found, id, pod, kind, what))

    def _injection(self, found: Object, id: str, pod: Pod, kind: str, what: dict[str, Any] | None = None) -> Injection:
        group = self._group(found, id)
        self._counts[group] = self._counts.get(group, 0) + 1
        return Injection(
            id=f"{group}.{self._counts[group]}",
            group=group,
            owner=OWNER,
            kind=kind,
            pod=pod.name,
            uid=pod.uid,
            container_id=pod.container_id,
            seconds=_LONGEST_SECONDS,
            parameters=what or {},
        )

    def _group(self, found: Object, id: str) -> str:
        return f"{OWNER}.{_short(found['metadata']['uid'] + id)}"

    def _owner(self, found: Object, id: str) -> str:
        return f"{OWNER}-{_short(found['metadata']['uid'] + id)}"

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do it in the loop of the agent; what fails is told as Chaos Mesh tells it."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)
        except GoneError as error:
            raise ApplyFailedError(str(error)) from None
        except (WorldError, TimeoutError) as error:
            raise ApplyFailedError(str(error) or "no answer in time") from None


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
