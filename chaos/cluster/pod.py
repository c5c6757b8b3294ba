"""One pod of the service under test, as the API server tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chaos.cluster.kube import Object
from strategies.effects import Revision

PREFIX: Final = "rolloutlab/"
REVISION: Final = PREFIX + "revision"  #: label: stable or canary
DRILL: Final = PREFIX + "drill"  #: label of everything that a drill creates: its id
ALLOWED: Final = PREFIX + "allowed"  #: label of namespaces that drills may work in
CONTAINER: Final = "app"  #: name of the container under test
PORT: Final = 8080
ADMIN_PORT: Final = 8081


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """Attributes: `container_id` without its scheme, empty before it runs; `restarts` of the container under test."""

    name: str
    namespace: str
    uid: str
    revision: Revision
    ip: str = ""
    node: str = ""
    phase: str = ""
    container_id: str = ""
    running: bool = False
    ready: bool = False
    terminating: bool = False
    restarts: int = 0
    waiting: str = ""  #: why the container does not run: ImagePullBackOff, CrashLoopBackOff, …

    @property
    def life(self) -> tuple[str, int]:
        """One run of its container: the pod's uid, and how often it had been restarted."""
        return self.uid, self.restarts

    @property
    def finished(self) -> bool:
        """It will never run again: it ended, failed or was evicted; its object may stay for long."""
        return self.phase in ("Failed", "Succeeded")

    @property
    def alive(self) -> bool:
        """Its container runs."""
        return self.running

    @property
    def listens(self) -> bool:
        """Its knobs can be turned."""
        return self.running and bool(self.ip)


def pod_of(found: Object, revision: Revision | None = None) -> Pod:
    """Read a pod; its revision is that of its label unless one is given."""
    meta, status = found["metadata"], found.get("status", {})
    labels = meta.get("labels", {})
    container = container_of(status.get("containerStatuses", ()))
    state = container.get("state", {})
    return Pod(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        revision=revision or ("canary" if labels.get(REVISION) == "canary" else "stable"),
        ip=status.get("podIP", ""),
        node=found.get("spec", {}).get("nodeName", ""),
        phase=status.get("phase", ""),
        container_id=container.get("containerID", "").rpartition("//")[2],
        running="running" in state,
        ready=any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ())),
        terminating="deletionTimestamp" in meta,
        restarts=container.get("restartCount", 0),
        waiting=state.get("waiting", {}).get("reason", ""),
    )


def container_of(found: Sequence[Object]) -> Object:
    """Status of the container under test; of a user's own pod it is the first one."""
    for each in found:
        if each["name"] == CONTAINER:
            return each
    return found[0] if found else {}
