"""TEST EQUIPMENT: a stand-in for the controllers of Chaos Mesh. It is not Chaos Mesh; results say `engine: stand-in`.

It looks at the objects on a real API server and writes their status by `standin_rules`, and lets an actor put faults
into pods. It refuses what it cannot do in the object's events, as Chaos Mesh does with what fails, and never says that
something is in place which is not.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import standin_rules as rules
from standin_rules import Object

from chaos.cluster.kinds import CRD, EVENT, NETWORK_CHAOS, POD, POD_CHAOS, STRESS_CHAOS, Kind
from chaos.cluster.kube import ApiError, Kube
from chaos.world import WorldError

KINDS = (POD_CHAOS, NETWORK_CHAOS, STRESS_CHAOS)
_PERIOD_SECONDS = 0.05
_TWO_STEPS = ("NetworkChaos", "HTTPChaos")  #: of these a second controller does the work, and is waited for
IMMUTABLE = "rolloutlab-standin-immutable"


class Actor(Protocol):
    """What puts faults into pods."""

    def apply(self, found: Object, id: str) -> None:
        """Put it on one target; ApplyFailedError when that fails."""
        ...

    def recover(self, found: Object, id: str) -> None:
        """Take it off; nothing happens where the target is gone."""
        ...


class StandIn:
    """Runs in a thread between `start` and `stop`; `stop` leaves faults where they are, as a crash would."""

    def __init__(self, kube: Kube, actor: Actor, namespace: str | None = None) -> None:
        self._kube, self._actor, self._namespace = kube, actor, namespace
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: dict[str, str] = {}  #: resource version at which nothing was left to do, by uid
        self._again: dict[str, float] = {}  #: monotonic time of the next look though nothing changed, by uid
        self.broken: list[BaseException] = []

    def start(self) -> None:
        """Begin to look."""
        self._over.clear()
        self._thread = threading.Thread(target=self._run, name="stand-in", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(30)
            self._thread = None

    def turn(self) -> None:
        """Look at everything once."""
        for kind in KINDS:
            for found in self._kube.list(kind, self._namespace)["items"]:
                self._reconcile(kind, {"apiVersion": kind.api_version, "kind": kind.kind, **found})

    def _run(self) -> None:
        while not self._over.wait(_PERIOD_SECONDS):
            try:
                self.turn()
            except WorldError as error:
                self.broken.append(error)

    def _reconcile(self, kind: Kind, found: Object) -> None:
        uid, now = found["metadata"]["uid"], time.monotonic()
        if self._seen.get(uid) == found["metadata"]["resourceVersion"] and now < self._again.get(uid, now + 1):
            return
        self._again.pop(uid, None)
        before = found["metadata"]["resourceVersion"]
        for rule in self._pipeline(found):
            step = rule(found, time.time())
            for event in step.events:
                self._tell(found, event)
            if step.again_seconds is not None:
                self._again[uid] = min(self._again.get(uid, now + 3600), now + step.again_seconds)
            if step.changed is not None:
                try:
                    path = kind.path(found["metadata"]["namespace"], found["metadata"]["name"])
                    found = self._kube.request("PUT", path, step.changed, fieldManager="stand-in")
                except ApiError as error:
                    if error.status in (404, 409):
                        return  # it changed meanwhile: it is looked at again
                    raise
        if found["metadata"]["resourceVersion"] == before:
            self._seen[uid] = before  # a write is a change, after which everything is looked at again

    def _pipeline(self, found: Object) -> tuple[Callable[[Object, float], rules.Step], ...]:
        def bring(each: Object, now: float) -> rules.Step:
            return rules.records(each, now, self._select, self._act(each), self._recover(each))

        return (rules.init_finalizer, rules.desired_phase, bring, rules.conditions, rules.clean_finalizer)

    def _act(self, found: Object) -> rules.Act:
        def act(id: str, phase: str) -> str:
            if phase == rules.CLEAR and found["kind"] in _TWO_STEPS:
                return f"{rules.CLEAR}/Wait"
            self._actor.apply(found, id)
            return rules.INJECTED

        return act

    def _recover(self, found: Object) -> rules.Act:
        def recover(id: str, phase: str) -> str:
            if phase == rules.INJECTED and found["kind"] in _TWO_STEPS:
                return f"{rules.INJECTED}/Wait"
            if not rules.once(found):
                self._actor.recover(found, id)
            return rules.CLEAR

        return recover

    def _select(self, found: Object) -> list[str]:
        """Record keys and ids: of the targets, and of peers where there are rules on them too."""
        spec = found["spec"]
        ids = [f". {each}" for each in self._ids(spec, found["kind"])]
        if ids and "target" in spec and found["kind"] == "NetworkChaos":
            ids += [f".Target {each}" for each in self._ids(spec["target"], found["kind"])]
        return ids

    def _ids(self, spec: Mapping[str, Any], kind: str) -> list[str]:
        pods, found = chosen(self._kube, spec), list[str]()
        for pod in pods:
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            if kind == "StressChaos" or spec.get("action") == "container-kill":
                first = [pod["spec"]["containers"][0]["name"]]
                found += [f"{name}/{each}" for each in spec.get("containerNames") or first]
            else:
                found.append(name)
        return found

    def _tell(self, found: Object, event: tuple[str, str, str]) -> None:
        kind, reason, message = event
        meta, at = found["metadata"], rules.stamp(time.time())
        body = {
            "metadata": {"name": f"{meta['name'][:200]}.{uuid.uuid4().hex[:12]}", "namespace": meta["namespace"]},
            "involvedObject": {
                "apiVersion": found["apiVersion"],
                "kind": found["kind"],
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
            "source": {"component": "stand-in"},
        }
        self._kube.create(EVENT, body, meta["namespace"])


def chosen(kube: Kube, spec: Mapping[str, Any]) -> list[Object]:
    """Pods of a selector and a mode; pods by name are taken whatever their phase, as Chaos Mesh does."""
    selector, pods = spec["selector"], list[Object]()
    for namespace, names in selector.get("pods", {}).items():
        pods += [pod for pod in (kube.get(POD, name, namespace) for name in names) if pod is not None]
    if not selector.get("pods"):
        labels = ",".join(f"{key}={value}" for key, value in selector.get("labelSelectors", {}).items())
        for namespace in selector["namespaces"]:
            pods += kube.list(POD, namespace, labels=labels)["items"]
        phases = selector.get("podPhaseSelectors")
        pods = [pod for pod in pods if not phases or pod["status"].get("phase") in phases]
    value = int(spec.get("value") or 0)
    number = {"all": len(pods), "one": 1, "fixed": value}.get(spec["mode"], len(pods) * value // 100)
    return pods[:number]


def install(kube: Kube) -> None:
    """Say that this cluster has a stand-in, and make specs immutable as the webhooks of Chaos Mesh do."""
    for kind in KINDS:
        kube.patch(CRD, f"{kind.plural}.{kind.group}", {"metadata": {"annotations": {rules.ENGINE: "stand-in"}}})
    kube.apply(POLICY, _policy())
    kube.apply(BINDING, _binding())


def uninstall(kube: Kube) -> None:
    """The cluster has no stand-in any more."""
    for kind in KINDS:
        kube.patch(CRD, f"{kind.plural}.{kind.group}", {"metadata": {"annotations": {rules.ENGINE: None}}})
    kube.delete(BINDING, IMMUTABLE)
    kube.delete(POLICY, IMMUTABLE)


_ADMISSION = "admissionregistration.k8s.io"
POLICY = Kind(_ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False)
BINDING = Kind(
    _ADMISSION, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", namespaced=False
)


def _policy() -> Object:
    groups = {"apiGroups": [NETWORK_CHAOS.group], "apiVersions": ["*"]}
    rule = {**groups, "operations": ["UPDATE"], "resources": [kind.plural for kind in KINDS]}
    same = {"expression": "object.spec == oldObject.spec", "message": "Cannot update chaos spec"}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [same]}
    return {"metadata": {"name": IMMUTABLE}, "spec": spec}


def _binding() -> Object:
    return {"metadata": {"name": IMMUTABLE}, "spec": {"policyName": IMMUTABLE, "validationActions": ["Deny"]}}
