"""What a real API server refuses of objects like those that drills make; typed from the validation of Kubernetes.

Sources: Kubernetes 1.35 pkg/apis/{core,apps}/validation, apimachinery/pkg/util/validation; Gateway API 1.4 HTTPRoute.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

Object = dict[str, Any]
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SERVICE: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_VALUE: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_HOST: Final = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MEMORY: Final = re.compile(r"\d+(\.\d+)?(Ki|Mi|Gi|m|k|M|G)?")
_ENVIRONMENT: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def problems(kind: str, found: Object) -> list[str]:
    """Why an object is invalid, one line a field; empty when it is taken."""
    return [*_of_metadata(kind, found["metadata"]), *_OF_KIND.get(kind, _nothing)(found)]


def _nothing(found: Object) -> Iterator[str]:
    yield from ()


def _of_metadata(kind: str, meta: Object) -> Iterator[str]:
    name = meta.get("name", "")
    if kind == "Service":
        if len(name) > 63 or not _SERVICE.fullmatch(name):
            yield f"metadata.name: Invalid value: {name!r}: a DNS-1035 label must start with an alphabetic character"
    elif kind == "Namespace":
        if len(name) > 63 or not _LABEL.fullmatch(name):
            yield f"metadata.name: Invalid value: {name!r}: a lowercase RFC 1123 label"
    elif len(name) > 253 or not all(_LABEL.fullmatch(part) for part in name.split(".")):
        yield f"metadata.name: Invalid value: {name!r}: a lowercase RFC 1123 subdomain"
    yield from _labels("metadata.labels", meta.get("labels") or {})
    for key, value in (meta.get("annotations") or {}).items():
        if not isinstance(value, str):
            yield f"metadata.annotations[{key}]: expected a string"
    for owner in meta.get("ownerReferences", ()):
        if missing := {"apiVersion", "kind", "name", "uid"} - owner.keys():
            yield f"metadata.ownerReferences: Required value: {', '.join(sorted(missing))}"


def _labels(field: str, labels: Object) -> Iterator[str]:
    for key, value in labels.items():
        prefix, _, name = key.rpartition("/")
        if len(name) > 63 or not _VALUE.fullmatch(name) or (prefix and not _HOST.fullmatch(prefix)):
            yield f"{field}: Invalid value: {key!r}: name part must consist of alphanumeric characters"
        if not isinstance(value, str) or len(value) > 63 or (value and not _VALUE.fullmatch(value)):
            yield f"{field}: Invalid value: {value!r}: a valid label must be 63 characters or less"


def _deployment(found: Object) -> Iterator[str]:
    spec = found["spec"]
    selector, template = spec["selector"]["matchLabels"], spec["template"]
    labels = template["metadata"].get("labels", {})
    if not selector.items() <= labels.items():
        yield "spec.template.metadata.labels: `selector` does not match template `labels`"
    if not isinstance(spec.get("replicas", 1), int) or spec.get("replicas", 1) < 0:
        yield "spec.replicas: must be greater than or equal to 0"
    if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
        yield "spec.progressDeadlineSeconds: must be greater than minReadySeconds"
    rolling = spec.get("strategy", {}).get("rollingUpdate", {})
    if {str(rolling.get(each, "25%")) for each in ("maxSurge", "maxUnavailable")} <= {"0", "0%"}:
        yield "spec.strategy.rollingUpdate.maxUnavailable: may not be 0 when `maxSurge` is 0"
    yield from _labels("spec.template.labels", labels)
    yield from _pod(template["spec"], "spec.template.spec")


def _pod(spec: Object, field: str) -> Iterator[str]:
    grace = spec.get("terminationGracePeriodSeconds", 30)
    if grace < 0:
        yield f"{field}.terminationGracePeriodSeconds: must be greater than or equal to 0"
    for number, each in enumerate(spec["containers"]):
        where = f"{field}.containers[{number}]"
        if not each.get("image"):
            yield f"{where}.image: Required value"
        elif each["image"] != each["image"].strip():
            yield f"{where}.image: must not have leading or trailing whitespace"
        yield from _environment(each.get("env", ()), where)
        sleep = each.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds")
        if sleep is not None and not 0 < sleep <= grace:
            yield f"{where}.lifecycle.preStop.sleep: must be greater than 0 and less than terminationGracePeriodSeconds"
        for name in ("livenessProbe", "startupProbe"):
            if each.get(name, {}).get("successThreshold", 1) != 1:
                yield f"{where}.{name}.successThreshold: must be 1"
        for name in ("livenessProbe", "startupProbe", "readinessProbe"):
            if any(value < 0 for value in each.get(name, {}).values() if isinstance(value, int)):
                yield f"{where}.{name}: must be greater than or equal to 0"
        for part in each.get("resources", {}).values():
            if not all(_MEMORY.fullmatch(str(amount)) for amount in part.values()):
                yield f"{where}.resources: quantities must match the regular expression"


def _environment(env: Any, where: str) -> Iterator[str]:
    for each in env:
        if not _ENVIRONMENT.fullmatch(each["name"]):
            yield f"{where}.env: Invalid value: {each['name']!r}"
        if not isinstance(each.get("value", ""), str):
            yield f"{where}.env[{each['name']}].value: expected a string, got {each['value']!r}"


def _service(found: Object) -> Iterator[str]:
    for key, value in found["spec"].get("selector", {}).items():
        yield from _labels("spec.selector", {key: value})
    if not found["spec"].get("ports"):
        yield "spec.ports: Required value"


def _route(found: Object) -> Iterator[str]:
    for host in found["spec"].get("hostnames", ()):
        if len(host) > 253 or not _HOST.fullmatch(host) or any(len(part) > 63 for part in host.split(".")):
            yield f"spec.hostnames: Invalid value: {host!r}"
    for rule in found["spec"].get("rules", ()):
        for backend in rule.get("backendRefs", ()):
            if not isinstance(backend.get("weight", 1), int) or not 0 <= backend.get("weight", 1) <= 1_000_000:
                yield f"spec.rules.backendRefs.weight: Invalid value: {backend['weight']}"


def _config_map(found: Object) -> Iterator[str]:
    for key, value in found.get("data", {}).items():
        if not isinstance(value, str):
            yield f"data[{key}]: expected a string"


def _lease(found: Object) -> Iterator[str]:
    spec = found.get("spec", {})
    if spec.get("leaseDurationSeconds", 1) <= 0:
        yield "spec.leaseDurationSeconds: must be greater than 0"
    moment = spec.get("renewTime")
    if moment is not None and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", moment):
        yield f"spec.renewTime: Invalid value: {moment!r}: a MicroTime"


_OF_KIND: Final = {
    "Deployment": _deployment,
    "Service": _service,
    "HTTPRoute": _route,
    "ConfigMap": _config_map,
    "Lease": _lease,
}
