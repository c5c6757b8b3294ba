"""The objects of one drill as manifests: two Deployments, three Services, one route, and the anchor that owns them all.

Deleting the anchor, a ConfigMap, deletes everything: the garbage collector of the cluster does that even when nobody of
us lives any more.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from chaos.app import settings as app
from chaos.cluster.pod import ADMIN_PORT, CONTAINER, DRILL, PORT, PREFIX, REVISION
from scenarios.schema import Probe, Scenario, Service
from strategies.effects import Revision

Object = dict[str, Any]
Part = Literal["main", "canary"]
PART: Final = PREFIX + "part"
EXPIRES: Final = PREFIX + "expires-at"  #: epoch seconds after which a sweep may take it for left behind
WHOLE: Final = 1000  #: the two weights of a route add up to this
_CPU: Final = "500m"  #: limit of a container: a stress inside it slows that pod, not the node
_HEADROOM_MIB: Final = 64  #: of a container above the limit at which the application ends itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """What all objects of a drill have in common.

    Attributes:
        name: begins the names of all; short enough for Kubernetes' longest suffix.
        speed: scenario seconds per real second.
        expires: epoch seconds.
    """

    id: str
    name: str
    namespace: str
    image: str
    speed: float
    expires: int
    owner: Mapping[str, Any] | None = None  #: reference to the anchor; None of the anchor itself

    def meta(self, suffix: str, **more: Any) -> Object:
        """Metadata of one object."""
        found: Object = {
            "name": f"{self.name}-{suffix}" if suffix else self.name,
            "namespace": self.namespace,
            "labels": {DRILL: self.id},
            "annotations": {EXPIRES: str(self.expires)},
            **more,
        }
        if self.owner is not None:
            found["ownerReferences"] = [dict(self.owner)]
        return found

    def named(self, suffix: str) -> str:
        """Name of one object."""
        return f"{self.name}-{suffix}" if suffix else self.name


def anchor(drilled: Drilled, told: Mapping[str, Any]) -> Object:
    """The ConfigMap that owns the rest; `told` is what a sweep or a person wants to know."""
    data = {"drill.json": json.dumps({**told, "made_at": round(time.time())}, indent=1)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": drilled.meta("drill"), "data": data}


def owner_of(found: Mapping[str, Any]) -> Object:
    """A reference to an object that was made."""
    meta = found["metadata"]
    return {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "blockOwnerDeletion": False,
    }


# --- pods --------------------------------------------------------------------------------------------------------


def deployment(
    drilled: Drilled,
    part: Part,
    scenario: Scenario,
    *,
    replicas: int,
    revision: Revision,
    settings: Mapping[str, Any],
    pace: Mapping[str, Any] | None = None,
) -> Object:
    """One Deployment.

    Args:
        settings: of the application, by name.
        pace: how its controller replaces pods, as `pace` says it; None: Kubernetes' own.
    """
    own = {DRILL: drilled.id, PART: part}
    spec: Object = {
        "replicas": replicas,
        "selector": {"matchLabels": own},
        "template": template(drilled, part, scenario, revision=revision, settings=settings),
    }
    return {"metadata": drilled.meta(part), "spec": {**spec, **(pace or {})}}


def pace(rolling: Mapping[str, Any], min_ready_seconds: float) -> Object:
    """How the Deployment controller replaces pods: maxSurge and maxUnavailable, and real seconds."""
    least = math.ceil(min_ready_seconds)
    return {
        "minReadySeconds": least,
        "progressDeadlineSeconds": max(600, least + 1),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": dict(rolling)},
    }


def template(
    drilled: Drilled, part: Part, scenario: Scenario, *, revision: Revision, settings: Mapping[str, Any]
) -> Object:
    """The pod template of a revision."""
    service = scenario.service
    labels = {DRILL: drilled.id, PART: part, REVISION: revision, "app.kubernetes.io/name": drilled.name}
    return {
        "metadata": {
            "labels": labels,
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)},
        },
        "spec": {
            "containers": [_container(drilled, service, settings)],
            "terminationGracePeriodSeconds": _grace(service),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
        },
    }


def _container(drilled: Drilled, service: Service, settings: Mapping[str, Any]) -> Object:
    memory = service.resources.memory_limit_mib + _HEADROOM_MIB
    found: Object = {
        "name": CONTAINER,
        "image": drilled.image,
        "imagePullPolicy": "IfNotPresent",
        "env": _environment(settings),
        "ports": [{"name": "http", "containerPort": PORT}, {"name": "admin", "containerPort": ADMIN_PORT}],
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": _CPU, "memory": f"{math.ceil(memory)}Mi"},
        },
        "securityContext": {"allowPrivilegeEscalation": False},
    }
    probes = service.probes
    for name, probe, path in (
        ("readinessProbe", probes.readiness, "/readyz"),
        ("livenessProbe", probes.liveness, "/healthz"),
        ("startupProbe", probes.startup, "/healthz"),
    ):
        if probe is not None:
            found[name] = _probe(probe, path, drilled.speed)
    pre_stop = min(math.ceil(service.shutdown.pre_stop_seconds), _grace(service))  # a longer one is refused
    if pre_stop:
        found["lifecycle"] = {"preStop": {"sleep": {"seconds": pre_stop}}}
    return found


def _grace(service: Service) -> int:
    """Whole seconds that a pod has for its end."""
    return max(1, math.ceil(service.shutdown.grace_seconds))


def _probe(probe: Probe, path: str, speed: float) -> Object:
    """A probe in the shortest whole seconds that Kubernetes knows."""
    return {
        "httpGet": {"path": path, "port": PORT},
        "initialDelaySeconds": round(probe.initial_delay_seconds / speed),
        "periodSeconds": max(1, round(probe.period_seconds / speed)),
        "timeoutSeconds": max(1, round(probe.timeout_seconds)),
        "successThreshold": probe.success_threshold,
        "failureThreshold": probe.failure_threshold,
    }


def _environment(settings: Mapping[str, Any]) -> list[Object]:
    fixed = {"APP_HOST": "0.0.0.0", "APP_PORT": PORT, "APP_ADMIN_PORT": ADMIN_PORT}
    plain = [{"name": name, "value": as_text(value)} for name, value in {**fixed, **settings}.items()]
    own = {"APP_POD": "metadata.name", "APP_ADMIN_HOST": "status.podIP"}
    return [*plain, *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in own.items())]


def as_text(value: Any) -> str:
    """A setting as an environment holds it.

    >>> as_text([0.1, 0.5]), as_text(True), as_text(2.0)
    ('0.1,0.5', 'true', '2.0')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


# --- traffic -----------------------------------------------------------------------------------------------------


def service(drilled: Drilled, revision: Revision | None) -> Object:
    """The Service of one revision, or of all pods."""
    selector = {DRILL: drilled.id} | ({REVISION: revision} if revision is not None else {})
    return {
        "metadata": drilled.meta(revision or "all"),
        "spec": {"selector": selector, "ports": [{"name": "http", "port": 80, "targetPort": PORT}]},
    }


def revision_of(found: Mapping[str, Any]) -> Revision:
    """The revision of the template of a Deployment or ReplicaSet."""
    labels = found["spec"]["template"]["metadata"].get("labels", {})
    return "canary" if labels.get(REVISION) == "canary" else "stable"


def meddled(found: Mapping[str, Any], *, deleted: bool, manager: str) -> str:
    """How somebody else came between a drill and a Deployment of it, in words; empty: nobody did.

    The server notes who set which field. Controllers of Kubernetes set the status and annotations of a Deployment, so
    whoever has a part of its spec is a person or a controller that does not belong to the drill, as an autoscaler.
    """
    meta = found["metadata"]
    if deleted or "deletionTimestamp" in meta:
        return f"somebody deleted Deployment {meta['name']} of this drill"
    others = {
        str(each.get("manager", "somebody"))
        for each in meta.get("managedFields") or ()
        if each.get("manager") != manager and "f:spec" in (each.get("fieldsV1") or {})
    }
    return f"{', '.join(sorted(others))} changed Deployment {meta['name']} of this drill" if others else ""


def settings_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the template of a Deployment tells the application; nothing where that is not ours."""
    (container, *_) = found["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in container.get("env", ()) if "value" in each}
    try:
        known = {name: value for one in app.from_environment(told) for name, value in app.shown(one).items()}
    except app.SettingError:
        return {}
    return {name: known[name] for name in told.keys() & known.keys()}


def host(drilled: Drilled) -> str:
    """The host name that requests of this drill bear."""
    return f"{drilled.name}.{drilled.namespace}.rolloutlab.test"


def route(drilled: Drilled, gateway: tuple[str, str], weights: Mapping[str, int]) -> Object:
    """The HTTPRoute; `weights` of Services by their suffix."""
    namespace, name = gateway
    backends = [{"name": drilled.named(suffix), "port": 80, "weight": weight} for suffix, weight in weights.items()]
    return {
        "metadata": drilled.meta("", labels={DRILL: drilled.id}),
        "spec": {
            "parentRefs": [{"name": name, "namespace": namespace}],
            "hostnames": [host(drilled)],
            "rules": [{"backendRefs": backends}],
        },
    }


def weights(canary: float) -> dict[str, int]:
    """Weights of the two Services for a share (0..1) of the canary; a share that is not 0 or 1 does not become so.

    >>> weights(0.05), weights(0.0001)
    ({'stable': 950, 'canary': 50}, {'stable': 999, 'canary': 1})
    """
    share = min(max(round(canary * WHOLE), int(canary > 0)), WHOLE - int(canary < 1))
    return {"stable": WHOLE - share, "canary": share}
