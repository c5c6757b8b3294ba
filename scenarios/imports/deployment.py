"""A Kubernetes Deployment: the words of a rolling update and what its pods say of the service."""

from __future__ import annotations

from typing import Any

from scenarios.imports.pods import service_patch
from scenarios.imports.section import Section


def read_deployment(root: Section) -> tuple[dict[str, Any], dict[str, Any]]:
    """The strategy in the words of a scenario, and the patch of its `service`.

    Defaults are those of kubernetes/kubernetes `pkg/apis/apps/v1/defaults.go`.
    """
    spec = object_spec(root)
    spec.fields(
        read=("replicas", "strategy", "template", "minReadySeconds", "progressDeadlineSeconds"),
        quiet=("selector", "revisionHistoryLimit", "paused"),
        refused=("paused",) if spec.boolean("paused") else (),
    )
    words: dict[str, Any] = {
        "minReadySeconds": spec.integer("minReadySeconds") or 0,
        "progressDeadlineSeconds": spec.integer("progressDeadlineSeconds", low=1) or 600,
        **_surge(spec),
    }
    return {"rollingUpdate": words}, service_facts(spec, spec.section("template"))


def object_spec(root: Section) -> Section:
    """The `spec` of an object, whose other fields are checked."""
    root.fields(read=("spec",), quiet=("apiVersion", "kind", "metadata", "status"))
    spec = root.section("spec")
    if spec is None:
        root.fail(None, "expected a spec, got none")
        return Section(type(root.node)({}, root.node.place, root.node.key_place), ("spec",), root.notes)
    return spec


def service_facts(spec: Section, template: Section | None) -> dict[str, Any]:
    """Replicas and pod template as a patch of `service`."""
    if template is None and not spec.has("workloadRef"):
        spec.fail(None, "expected a pod template (template), got none")
    replicas = spec.integer("replicas", low=1, high=1000)
    return {"replicas": 1 if replicas is None else replicas, **(service_patch(template) if template else {})}


def _surge(spec: Section) -> dict[str, Any]:
    strategy = spec.section("strategy")
    found: dict[str, Any] = {"maxSurge": "25%", "maxUnavailable": "25%"}
    if strategy is None:
        return found
    strategy.fields(read=("type", "rollingUpdate"))
    kind = strategy.text("type")
    if kind == "Recreate":
        strategy.fail("type", "Recreate is not simulated yet, expected RollingUpdate")
    elif kind not in (None, "RollingUpdate"):
        strategy.fail("type", "", expected="RollingUpdate", got=kind)
    rolling = strategy.section("rollingUpdate")
    if rolling is None:
        return found
    rolling.fields(read=("maxSurge", "maxUnavailable"))
    for name in found:
        value = rolling.pods(name)
        if value is not None:
            found[name] = value
    return found
