"""Controllers of the cluster in memory: Deployments make ReplicaSets, these make pods, which get ready after a while.

Words only: no process runs, and the arithmetic is as simple as it can be while it stays inside surge and unavailable.
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from chaos.cluster.kinds import DEPLOYMENT, GATEWAY, HTTP_ROUTE, NAMESPACE, POD, REPLICA_SET
from chaos.cluster.testing.store import KINDS, Object, Store

HASH: Final = "pod-template-hash"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What becomes of a pod.

    Attributes:
        ready_seconds: from its creation until its container is ready; infinite: never.
        stop_seconds: from the order to end until it is gone.
        fate: `image`: its image cannot be pulled; `crash`: its container ends at once, again and again;
            `unschedulable`: no node takes it.
    """

    ready_seconds: float = 0.05
    stop_seconds: float = 0.05
    fate: Literal["", "image", "crash", "unschedulable"] = ""


class Workloads:
    """Give it to the server as `ticks`.

    Args:
        behave: of a pod, by its manifest.
        quota: pods that the namespace takes; None: any number.
    """

    def __init__(
        self, behave: Callable[[Object], Behaviour] = lambda pod: Behaviour(), *, quota: int | None = None
    ) -> None:
        self.behave, self.quota = behave, quota
        self._since: dict[str, float] = {}  #: by uid: when it was first seen; by uid and "end": when it began to end
        self._addresses = 0

    def __call__(self, store: Store) -> None:
        """One step of every controller."""
        with store.lock:
            for found in store.all(DEPLOYMENT):
                _deployment(store, found)
            for found in store.all(REPLICA_SET):
                self._replica_set(store, found)
            for found in store.all(POD):
                self._pod(store, found)
            for found in store.all(HTTP_ROUTE):
                _route(store, found)
            for found in store.all(NAMESPACE):
                if "deletionTimestamp" in found["metadata"]:
                    _empty(store, found)

    # -- ReplicaSets ----------------------------------------------------------------------------------------------

    def _replica_set(self, store: Store, found: Object) -> None:
        meta = found["metadata"]
        if "deletionTimestamp" in meta:
            return
        pods = [each for each in _owned(store, POD, found) if _active(each)]
        wanted = found["spec"]["replicas"]
        conditions: list[Object] = []
        for _ in range(wanted - len(pods)):
            if self.quota is not None and len(store.all(POD, meta["namespace"])) >= self.quota:
                text = f'pods "{meta["name"]}-" is forbidden: exceeded quota: pods, used: {self.quota}'
                conditions = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": text}]
                break
            pods.append(self._new(store, found))
        pods.sort(key=lambda each: (_ready(each), each["metadata"]["creationTimestamp"]))
        for pod in pods[: max(0, len(pods) - wanted)]:
            store.delete(POD, pod["metadata"]["name"], meta["namespace"])
        ready = sum(map(_ready, pods[max(0, len(pods) - wanted) :]))
        status = {
            "replicas": min(wanted, len(pods)),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": meta["generation"],
            "conditions": conditions or None,
        }
        store.patch(REPLICA_SET, meta["name"], {"status": status}, meta["namespace"], "status")

    def _new(self, store: Store, owner: Object) -> Object:
        meta, template = owner["metadata"], owner["spec"]["template"]
        body = {
            "metadata": {
                **template["metadata"],
                "name": f"{meta['name']}-{secrets.token_hex(3)[:5]}",
                "ownerReferences": [_reference(owner)],
            },
            "spec": template["spec"],
        }
        return store.create(POD, body, meta["namespace"])

    # -- pods -----------------------------------------------------------------------------------------------------

    def _pod(self, store: Store, found: Object) -> None:
        meta, now = found["metadata"], time.monotonic()
        name, namespace = meta["name"], meta["namespace"]
        behaviour = self.behave(found)
        since = self._since.setdefault(meta["uid"], now)
        if "deletionTimestamp" in meta:
            ends = self._since.setdefault(f"{meta['uid']} end", now)
            if now - ends >= min(behaviour.stop_seconds, meta.get("deletionGracePeriodSeconds", 30)):
                store.delete(POD, name, namespace, {"gracePeriodSeconds": 0})
            return
        if found["status"].get("phase") in ("Failed", "Succeeded"):
            return
        if behaviour.fate == "unschedulable":
            lacks = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
            store.patch(POD, name, {"status": {"phase": "Pending", "conditions": [lacks]}}, namespace, "status")
            return
        if "nodeName" not in found["spec"]:
            store.patch(POD, name, {"spec": {"nodeName": "node-1"}}, namespace)
        known = found["status"].get("containerStatuses", [{}])[0].get("restartCount", 0)
        status = self._status(found, behaviour, now - since, known)
        store.patch(POD, name, {"status": status}, namespace, "status")

    def _status(self, found: Object, behaviour: Behaviour, age: float, restarts: int) -> Object:
        container = found["spec"]["containers"][0]
        if "podIP" not in found["status"]:
            self._addresses += 1
        address = found["status"].get("podIP", f"127.{100 + self._addresses // 250}.{self._addresses % 250}.1")
        ready = age >= behaviour.ready_seconds
        state: Object = {"running": {"startedAt": found["metadata"]["creationTimestamp"]}}
        if behaviour.fate == "image":
            state, ready = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}, False
        elif behaviour.fate == "crash":
            state, ready = {"waiting": {"reason": "CrashLoopBackOff"}}, False
            restarts = 1
        elif age < behaviour.ready_seconds / 2:
            state = {"waiting": {"reason": "ContainerCreating"}}
        told: Object = {
            "name": container["name"],
            "image": container["image"],
            "containerID": f"containerd://{found['metadata']['uid']}-{restarts}" if "running" in state else "",
            "restartCount": restarts,
            "ready": ready,
            "state": state,
        }
        if restarts:
            told["lastState"] = {"terminated": {"exitCode": 1}}
        return {
            "phase": "Running" if "running" in state else "Pending",
            "podIP": address,
            "containerStatuses": [told],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        }


# -- Deployments ------------------------------------------------------------------------------------------------------


def _deployment(store: Store, found: Object) -> None:
    meta, spec = found["metadata"], found["spec"]
    if "deletionTimestamp" in meta:
        return
    sets = _owned(store, REPLICA_SET, found)
    name = f"{meta['name']}-{_digest(spec['template'])}"
    new = next((each for each in sets if each["metadata"]["name"] == name), None)
    if new is None:
        new = _new_set(store, found, name, 0 if sets else spec["replicas"])
        sets.append(new)
    old = [each for each in sets if each["metadata"]["name"] != name]
    sizes = {each["metadata"]["name"]: each["spec"]["replicas"] for each in sets}
    _shared_out(store, spec, new, old, sizes)
    for each in sets:
        size = sizes[each["metadata"]["name"]]
        if size != each["spec"]["replicas"]:
            store.patch(REPLICA_SET, each["metadata"]["name"], {"spec": {"replicas": size}}, meta["namespace"])
    counts = [each.get("status", {}) for each in sets]
    status = {
        "observedGeneration": meta["generation"],
        "replicas": sum(each.get("replicas", 0) for each in counts),
        "updatedReplicas": new.get("status", {}).get("replicas", 0),
        "readyReplicas": sum(each.get("readyReplicas", 0) for each in counts),
        "availableReplicas": sum(each.get("availableReplicas", 0) for each in counts),
    }
    store.patch(DEPLOYMENT, meta["name"], {"status": status}, meta["namespace"], "status")


def _shared_out(store: Store, spec: Object, new: Object, old: list[Object], sizes: dict[str, int]) -> None:
    """Who has how many pods: the new set grows by the surge, the old ones shrink by what may be unavailable."""
    wanted, rolling = spec["replicas"], spec.get("strategy", {}).get("rollingUpdate", {})
    name = new["metadata"]["name"]
    if not any(sizes[each["metadata"]["name"]] for each in old):
        sizes[name] = wanted
        return
    most = wanted + _part(rolling.get("maxSurge", "25%"), wanted, math.ceil)
    fewest = wanted - _part(rolling.get("maxUnavailable", "25%"), wanted, math.floor)
    sizes[name] = min(wanted, max(sizes[name], sizes[name] + most - sum(sizes.values())))
    available = sum(map(_ready, (pod for each in (new, *old) for pod in _owned(store, POD, each) if _active(pod))))
    spare = available - fewest
    for each in old:
        there = each["metadata"]["name"]
        pods = [pod for pod in _owned(store, POD, each) if _active(pod)]
        dead = sum(not _ready(pod) for pod in pods)
        less = min(sizes[there], dead + max(0, spare)) if len(pods) == sizes[there] else 0
        sizes[there] -= less
        spare -= max(0, less - dead)


def _part(value: Any, whole: int, rounded: Callable[[float], int]) -> int:
    return rounded(float(value[:-1]) * whole / 100) if isinstance(value, str) else int(value)


def _new_set(store: Store, found: Object, name: str, replicas: int) -> Object:
    meta, spec = found["metadata"], found["spec"]
    labels = {**spec["template"]["metadata"].get("labels", {}), HASH: name.rpartition("-")[2]}
    template = {**spec["template"], "metadata": {**spec["template"]["metadata"], "labels": labels}}
    body = {
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": meta.get("annotations", {}),
            "ownerReferences": [_reference(found)],
        },
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }
    return store.create(REPLICA_SET, body, meta["namespace"])


def _digest(template: Object) -> str:
    """Ten letters, as Kubernetes' own hashes have at most."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


# -- the rest ---------------------------------------------------------------------------------------------------------


def _route(store: Store, found: Object) -> None:
    """A Gateway accepts routes of every namespace, unless it says `Same`."""
    meta, parents = found["metadata"], []
    for each in found["spec"].get("parentRefs", ()):
        namespace = each.get("namespace", meta["namespace"])
        gateway = store.get(GATEWAY, each["name"], namespace)
        if gateway is None:
            continue
        allowed = gateway["spec"]["listeners"][0].get("allowedRoutes", {}).get("namespaces", {}).get("from", "All")
        fits = allowed == "All" or namespace == meta["namespace"]
        condition = {
            "type": "Accepted",
            "status": "True" if fits else "False",
            "reason": "Accepted" if fits else "NotAllowedByListeners",
            "message": "" if fits else "no listener takes routes of this namespace",
            "observedGeneration": meta["generation"],
        }
        parents.append({"parentRef": each, "controllerName": "test/gateway", "conditions": [condition]})
    store.patch(HTTP_ROUTE, meta["name"], {"status": {"parents": parents}}, meta["namespace"], "status")


def _empty(store: Store, found: Object) -> None:
    """A namespace that is deleted takes all with it."""
    name = found["metadata"]["name"]
    for kind in KINDS:
        for each in store.all(kind, name) if kind.namespaced else ():
            store.remove(kind, each["metadata"]["name"], name)
    store.remove(NAMESPACE, name)


def _owned(store: Store, kind: Any, owner: Object) -> list[Object]:
    uid = owner["metadata"]["uid"]
    return [
        each
        for each in store.all(kind, owner["metadata"]["namespace"])
        if any(one["uid"] == uid for one in each["metadata"].get("ownerReferences", ()))
    ]


def _active(pod: Object) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") not in ("Failed", "Succeeded")


def _ready(pod: Object) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def _reference(owner: Object) -> Object:
    meta = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
