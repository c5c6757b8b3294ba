"""The pod template of a Deployment or Rollout as a patch of the scenario's service.

A manifest's facts win over the scenario's defaults: a container without a readiness probe is ready when it runs, one
without a preStop hook gets SIGTERM at once.
"""

from __future__ import annotations

import re
from typing import Any

from scenarios.errors import shown
from scenarios.imports.section import Section, words
from scenarios.units import mib_text, quantity_mib

_POD_QUIET = words(
    "activeDeadlineSeconds automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks ephemeralContainers "
    "hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride imagePullSecrets nodeName os overhead "
    "preemptionPolicy priority priorityClassName resourceClaims restartPolicy runtimeClassName schedulerName "
    "securityContext serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain tolerations "
    "volumes"
)
_POD_IGNORED = words(
    "affinity initContainers nodeSelector readinessGates resources schedulingGates topologySpreadConstraints"
)
_CONTAINER_QUIET = words(
    "args command env envFrom image imagePullPolicy name ports resizePolicy restartPolicy restartPolicyRules "
    "securityContext stdin stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts "
    "workingDir"
)
_PROBE_NUMBERS = {
    # name: (Kubernetes default, lowest value); 0 stands for the default, as in the API
    "initialDelaySeconds": (0, 0),
    "periodSeconds": (10, 0),
    "timeoutSeconds": (1, 0),
    "successThreshold": (1, 0),
    "failureThreshold": (3, 0),
}
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_SLEEP = re.compile(r"(?:^|[\s;&/])sleep\s+(\d+(?:\.\d+)?)s?\s*(?:$|[;&\n])")


def service_patch(template: Section) -> dict[str, Any]:
    """What a pod template says of the service, in the words of a scenario's `service`."""
    template.fields(read=("spec",), quiet=("metadata",))
    spec = template.section("spec")
    if spec is None:
        template.fail(None, "expected a pod template with a spec, got none")
        return {}
    spec.fields(read=("containers", "terminationGracePeriodSeconds"), quiet=_POD_QUIET, ignored=_POD_IGNORED)
    container = _main_container(template, spec)
    if container is None:
        return {}
    container.fields(
        read=("lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "resources"), quiet=_CONTAINER_QUIET
    )
    grace = spec.integer("terminationGracePeriodSeconds")
    patch: dict[str, Any] = {
        "probes": {name: _probe(container, f"{name}Probe") for name in ("readiness", "liveness", "startup")},
        "shutdown": {"terminationGracePeriod": 30 if grace is None else grace, **_pre_stop(container)},
    }
    resources = _resources(container)
    if resources:
        patch["resources"] = resources
    return patch


def _main_container(template: Section, spec: Section) -> Section | None:
    """The container that serves: the one kubectl would choose, or the first."""
    containers = spec.sections("containers")
    if not containers:
        spec.fail("containers" if spec.has("containers") else None, "expected at least one container, got none")
        return None
    if len(containers) == 1:
        return containers[0]
    wanted, steps = template.node.nearest(("metadata", "annotations", _DEFAULT_CONTAINER))
    chosen = [each for each in containers if steps == 3 and each.node.child("name") is not None]
    named = [each for each in chosen if each.text("name") == wanted.value]
    main = (named or containers)[0]
    why = "by its annotation" if named else "the first"
    name = main.text("name") or "?"
    template.notes.assumed.append(f"container {name!r} serves: {why} of {len(containers)} ({main.where('name')})")
    return main


def _probe(container: Section, name: str) -> dict[str, int] | None:
    probe = container.section(name)
    if probe is None:
        return None
    probe.fields(
        read=_PROBE_NUMBERS, quiet=("exec", "grpc", "httpGet", "tcpSocket"), ignored=("terminationGracePeriodSeconds",)
    )
    values = {}
    for word, (default, low) in _PROBE_NUMBERS.items():
        values[word] = probe.integer(word, low=low) or default
    if name != "readinessProbe" and values["successThreshold"] != 1:
        probe.fail("successThreshold", f"expected 1 in a {name}, got {values['successThreshold']}")
    return values


def _pre_stop(container: Section) -> dict[str, float]:
    """The sleep of the preStop hook; nothing where the hook does something whose length nobody knows."""
    lifecycle = container.section("lifecycle")
    if lifecycle is None:
        return {"preStop": 0}
    lifecycle.fields(read=("preStop",), quiet=("stopSignal",), ignored=("postStart",))
    hook = lifecycle.section("preStop")
    if hook is None:
        return {"preStop": 0}
    hook.fields(read=("sleep", "exec", "httpGet", "tcpSocket"))
    sleep = hook.section("sleep")
    if sleep is not None:
        sleep.fields(read=("seconds",))
        return {"preStop": sleep.integer("seconds") or 0}
    seconds = _exec_sleep(hook)
    if seconds is not None:
        return {"preStop": seconds}
    hook.notes.warnings.append(
        f"{hook.where()}: the preStop hook is not a plain sleep; its length stays the scenario's shutdown.preStop"
    )
    return {}


def _exec_sleep(hook: Section) -> float | None:
    """Seconds of `[sleep, "10"]` or `[sh, -c, "sleep 10"]`."""
    run = hook.section("exec")
    node = run.get("command") if run else None
    if node is None or not isinstance(node.value, list):
        return None
    words = [str(each.value) for each in node.value]
    line = words[2] if len(words) == 3 and words[1] in ("-c", "-ec") else " ".join(words)
    found = _SLEEP.findall(line)
    return float(found[0]) if len(found) == 1 and line.count("sleep") == 1 and len(words) <= 3 else None


def _resources(container: Section) -> dict[str, str]:
    resources = container.section("resources")
    limit = request = None
    if resources is not None:
        resources.fields(read=("limits", "requests"), quiet=("claims",))
        limits, requests = resources.section("limits"), resources.section("requests")
        limit = limits.read("memory", _memory) if limits else None
        request = requests.read("memory", _memory) if requests else limit
    notes = container.notes
    if limit is None:
        notes.assumed.append(f"no memory limit: service.resources stays the scenario's ({container.where()})")
        return {}
    if request is not None and request < limit:
        notes.assumed.append(
            f"a fresh pod holds its memory request, {mib_text(request)} ({container.where('resources')})"
        )
        return {"memoryBase": mib_text(request), "memoryLimit": mib_text(limit)}
    notes.assumed.append(
        f"a fresh pod holds half of its memory limit, {mib_text(limit / 2)} ({container.where('resources')})"
    )
    return {"memoryBase": mib_text(limit / 2), "memoryLimit": mib_text(limit)}


def _memory(value: Any) -> float:
    try:
        mib = quantity_mib(value)
    except ValueError:
        raise ValueError(f"expected a quantity of memory such as 512Mi or 1Gi, got {shown(value)}") from None
    if not mib > 0:
        raise ValueError(f"expected a quantity of memory above 0, got {shown(value)}")
    return mib
