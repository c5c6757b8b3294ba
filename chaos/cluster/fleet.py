"""The pods of a service under test, as the cluster tells of them: who runs, who is available, and since when."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, Final

from chaos.clock import MICROSECONDS, LiveClock
from chaos.cluster.informer import Informer
from chaos.cluster.kinds import POD
from chaos.cluster.kube import Kube, Object
from chaos.cluster.pod import Pod, container_of, pod_of
from chaos.results import Pods
from chaos.world import WorldError
from strategies.effects import Revision

REVISIONS: Final[tuple[Revision, ...]] = ("stable", "canary")
_SLACK_SECONDS: Final = 0.001  #: a timer may be a little early


class Fleet:
    """All pods that a label selector finds, in the loop's thread.

    Args:
        tell: hears of lives, each with its revision: `pod_made`, `pod_scheduled`, `container_started`,
            `container_died`, `pod_ready`, `pod_deleted` (it is told to end), `pod_gone`; and how late it hears
            (`late_seconds`, real time since the word of it came: the loop may have been busy).
        changed: called after every change.
        revision_of: names the revision of a pod; None: its label does.

    Attributes worth reading: `pods` (by name, terminating ones too; one that failed or was evicted is gone),
    `progress_us` (when something last moved); to set: `min_ready_seconds` (scenario time).
    """

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        labels: str,
        clock: LiveClock,
        *,
        tell: Callable[..., None],
        changed: Callable[[], None],
        failed: Callable[[BaseException], None],
        revision_of: Callable[[Object], Revision] | None = None,
    ) -> None:
        self._clock, self._tell, self._changed, self._revision_of = clock, tell, changed, revision_of
        self.pods: dict[str, Pod] = {}
        self.progress_us = 0
        self._min_ready_seconds = 0.0
        self._ready_since: dict[str, float] = {}  #: by uid, monotonic
        self._created_us: dict[str, int] = {}
        self._lives: list[tuple[int, int]] = []
        self._peak = 0
        self._least = 1 << 30
        self.informer = Informer(kube, POD, namespace, labels=labels, changed=self._heard, lost=failed)

    async def start(self) -> None:
        """Begin to listen; returns when what is there is known."""
        await self.informer.start()

    def stop(self) -> None:
        """Listen no more."""
        self.informer.stop()

    @property
    def min_ready_seconds(self) -> float:
        """How long a pod must have been ready to count as available."""
        return self._min_ready_seconds

    @min_ready_seconds.setter
    def min_ready_seconds(self, seconds: float) -> None:
        self._min_ready_seconds = seconds
        for pod in self.pods.values():
            self._wake(pod)

    # -- what is there --------------------------------------------------------------------------------------------

    def active(self, revision: Revision) -> list[Pod]:
        """Pods of a revision that are not terminating, by name."""
        return sorted(
            (pod for pod in self.pods.values() if pod.revision == revision and not pod.terminating),
            key=lambda pod: (self._created_us[pod.uid], pod.name),
        )

    def available(self, revision: Revision) -> int:
        """Pods of a revision that have been ready for long enough."""
        waited = self._clock.real_seconds(self.min_ready_seconds)
        now = time.monotonic()
        return sum(pod.ready and now - self._ready_since[pod.uid] >= waited for pod in self.active(revision))

    def ready(self) -> int:
        """Ready pods of both revisions."""
        return sum(pod.ready and not pod.terminating for pod in tuple(self.pods.values()))

    def running(self) -> list[Pod]:
        """Pods whose container runs."""
        return [pod for pod in self.pods.values() if pod.running and pod.ip]

    def reset(self) -> None:
        """Count peak and fewest from now on: the rollout begins. Pods that are ready have been so for long."""
        self._ready_since |= {pod.uid: -math.inf for pod in self.pods.values() if pod.ready}
        self._peak, self._least = 0, 1 << 30
        self._count()

    def summary(self, until_us: float) -> Pods:
        """Pods that there were until an instant of the scenario."""
        lives = [*self._lives, *((self._created_us[pod.uid], until_us) for pod in self.pods.values())]
        total_us = sum(max(0.0, min(gone, until_us) - max(0, made)) for made, gone in lives)
        least = self._least if self._least < 1 << 30 else 0
        return Pods(least_available=least, peak=self._peak, seconds=total_us / MICROSECONDS)

    # -- what is heard --------------------------------------------------------------------------------------------

    def _heard(self, found: Object, deleted: bool) -> None:
        pod = pod_of(found, self._revision_of(found) if self._revision_of is not None else None)
        known = self.pods.get(pod.name)
        if known is not None and known.uid != pod.uid:
            if deleted:
                return  # the end of an earlier pod of this name
            self._gone(known)
            known = None
        if deleted or pod.finished:
            if known is not None:
                self._lived(known, pod, found)
                self._gone(known)
        else:
            self._created_us.setdefault(pod.uid, self._clock.now_us())
            self.pods[pod.name] = pod
            self._lived(known, pod, found)
        if known is None or deleted or pod.finished or _moved(known, pod):
            self.progress_us = self._clock.now_us()
        self._count()
        self._changed()

    def _lived(self, known: Pod | None, pod: Pod, found: Object) -> None:
        """Tell what is new about it and its container."""
        if known is None:
            self._happened("pod_made", pod)
        if pod.node and (known is None or not known.node):
            self._happened("pod_scheduled", pod)
        restarted = known is not None and pod.restarts > known.restarts
        stopped = known is not None and known.running and not pod.running
        if known is not None and known.running and (restarted or stopped):
            self._happened("container_died", pod, code=_exit_code(found))
        if pod.running and (known is None or not known.running or restarted):
            self._happened("container_started", pod)
        if pod.ready and (known is None or not known.ready):
            self._ready_since[pod.uid] = time.monotonic()
            self._happened("pod_ready", pod)
            self._wake(pod)
        if pod.terminating and known is not None and not known.terminating:
            self._happened("pod_deleted", pod)

    def _wake(self, pod: Pod) -> None:
        """It will be available without another word of the server."""
        ready_since = self._ready_since.get(pod.uid)
        if pod.ready and ready_since is not None:
            left = ready_since + self._clock.real_seconds(self.min_ready_seconds) - time.monotonic()
            if left > 0:
                asyncio.get_running_loop().call_later(left + _SLACK_SECONDS, self._changed)

    def _gone(self, pod: Pod) -> None:
        self.pods.pop(pod.name, None)
        self._lives.append((self._created_us.pop(pod.uid), self._clock.now_us()))
        self._ready_since.pop(pod.uid, None)
        self._happened("pod_gone", pod)

    def _happened(self, kind: str, pod: Pod, **facts: Any) -> None:
        late = max(0.0, time.monotonic() - self.informer.came)
        self._tell(kind, pod.name, revision=pod.revision, late_seconds=late, **facts)

    def _count(self) -> None:
        self._peak = max(self._peak, len(self.pods))
        self._least = min(self._least, sum(self.available(revision) for revision in REVISIONS))


def _moved(known: Pod, pod: Pod) -> bool:
    return (known.ready, known.running, known.terminating) != (pod.ready, pod.running, pod.terminating)


def _exit_code(found: Object) -> int | None:
    """Of the container under test, when it last ended."""
    status = container_of(found.get("status", {}).get("containerStatuses", ()))
    for state in (status.get("state", {}), status.get("lastState", {})):
        if "terminated" in state:
            return int(state["terminated"].get("exitCode", 0))
    return None


def trouble(pod: Pod, found: Object) -> WorldError | None:
    """Why a pod will never run, in words for a person; None: it may yet."""
    if pod.waiting in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"):
        image = found["spec"]["containers"][0]["image"]
        return WorldError(
            f"the image {image} cannot be had ({pod.waiting}): on kind, `make kind-up` builds and loads it; elsewhere "
            f"push it to your registry and give --image"
        )
    if pod.waiting == "CreateContainerConfigError":
        return WorldError(f"pod {pod.name} cannot be made: {pod.waiting}")
    return None


def unplaced(pod: Pod, found: Object) -> WorldError | None:
    """Why a pod finds no node, in words for a person; None: it has one, or nobody looked yet.

    This may pass: a node that is not ready for a moment takes nothing, and an autoscaler adds nodes.
    """
    for each in found.get("status", {}).get("conditions", ()):
        if each["type"] == "PodScheduled" and each["status"] == "False" and each.get("reason") == "Unschedulable":
            return WorldError(f"pod {pod.name} finds no node: {each.get('message', '')[:200]}")
    return None


def starved(found: Object) -> WorldError | None:
    """Why the pods of a ReplicaSet are not even made, in words for a person; None: they are."""
    for each in found.get("status", {}).get("conditions") or ():
        if each["type"] == "ReplicaFailure" and each["status"] == "True":
            said = each.get("message", "")[:300]
            mend = ": raise it, or ask for less with --set service.replicas=N" if "exceeded quota" in said else ""
            return WorldError(f"pods of {found['metadata']['name']} cannot be made: {said}{mend}")
    return None
