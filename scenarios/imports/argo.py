"""An Argo `Rollout` (canary or blueGreen) in the words of a scenario.

Fields are those of the Rollout CRD, defaults those of `utils/defaults/defaults.go`, rules those of
`pkg/apis/rollouts/validation/validation.go` (argo-rollouts @9f8d111d8). What would change the meaning and cannot be
simulated is an error; what is known and left out is a warning.
"""

from __future__ import annotations

from typing import Any, Final

from scenarios.errors import dotted
from scenarios.imports.analysis import analysis_words
from scenarios.imports.deployment import object_spec, service_facts
from scenarios.imports.library import Library
from scenarios.imports.section import Section
from scenarios.strategy_values import is_zero, pause_text

_SPEC: Final = (
    "replicas",
    "strategy",
    "template",
    "workloadRef",
    "minReadySeconds",
    "progressDeadlineSeconds",
    "progressDeadlineAbort",
)
_STEPS: Final = ("setWeight", "pause", "setCanaryScale", "analysis")
_NOT_YET: Final = ("experiment", "plugin", "setHeaderRoute", "setMirrorRoute")
_ROUTERS: Final = ("alb", "ambassador", "apisix", "appMesh", "istio", "nginx", "plugins", "smi", "traefik")


def read_rollout(root: Section, library: Library) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """Strategy in the words of a scenario, patch of its `service`, and whether a router splits traffic by weight."""
    spec = object_spec(root)
    spec.fields(
        read=_SPEC,
        quiet=("selector", "revisionHistoryLimit", "analysis", "restartAt", "paused"),
        ignored=("rollbackWindow",),
        refused=("paused",) if spec.boolean("paused") else (),
    )
    common: dict[str, Any] = {
        "minReadySeconds": spec.integer("minReadySeconds") or 0,
        "progressDeadlineSeconds": spec.integer("progressDeadlineSeconds", low=1) or 600,
        "progressDeadlineAbort": spec.boolean("progressDeadlineAbort"),
    }
    if common["progressDeadlineSeconds"] <= common["minReadySeconds"]:
        spec.fail("progressDeadlineSeconds", f"expected more than minReadySeconds ({common['minReadySeconds']})")
    facts = service_facts(spec, _template(spec, library))
    strategy = spec.section("strategy")
    kinds = [name for name in ("canary", "blueGreen") if strategy is not None and strategy.node.child(name) is not None]
    if strategy is None or len(kinds) != 1:
        owner = strategy or spec
        owner.fail(None, f"expected a strategy of canary or blueGreen, got {' and '.join(kinds) or 'none'}")
        return {}, facts, True
    strategy.fields(read=("canary", "blueGreen"))
    section = strategy.section(kinds[0])
    if section is None:  # `canary:` with nothing below is a canary of defaults
        return {"canary": common}, facts, False
    if kinds[0] == "blueGreen":
        return {"blueGreen": {**common, **_blue_green(section, library)}}, facts, True
    routed = _routed(section)
    return {"canary": {**common, **_canary(section, library, routed=routed)}}, facts, routed


def _template(spec: Section, library: Library) -> Section | None:
    """The pod template, or that of the Deployment which `workloadRef` names."""
    reference = spec.section("workloadRef")
    if reference is None:
        return spec.section("template")
    reference.fields(read=("kind", "name"), quiet=("apiVersion", "scaleDown"))
    if reference.text("kind") != "Deployment":
        reference.fail("kind", f"a workloadRef to a {reference.text('kind')} is not simulated yet, expected Deployment")
        return None
    name = reference.text("name")
    for document in library.documents:
        node, steps = document.node.nearest(("spec", "template"))
        if document.kind == "Deployment" and document.name == name and steps == 2:
            return Section(node, ("spec", "template"), library.notes)
    reference.fail("name", f"unknown Deployment {name!r}: no file that was read has one")
    return None


def _routed(canary: Section) -> bool:
    """Does a router split traffic? Without one, weights follow the pod counts."""
    routing = canary.section("trafficRouting")
    if routing is None:
        return False
    routing.fields(read=(*_ROUTERS, "maxTrafficWeight"), quiet=("managedRoutes",))
    if (routing.integer("maxTrafficWeight", low=1) or 100) != 100:
        routing.fail("maxTrafficWeight", "a maxTrafficWeight other than 100 is not simulated yet")
    kinds = [name for name in _ROUTERS if routing.has(name)]
    if not kinds and routing.clean:
        routing.fail(None, f"expected a router, got none; known: {', '.join(_ROUTERS)}")
    return True


def _canary(section: Section, library: Library, *, routed: bool) -> dict[str, Any]:
    section.fields(
        read=(
            "steps", "analysis", "maxSurge", "maxUnavailable", "dynamicStableScale", "trafficRouting",
            "scaleDownDelaySeconds", "abortScaleDownDelaySeconds", "minPodsPerReplicaSet",
        ),
        quiet=("canaryService", "stableService", "canaryMetadata", "stableMetadata"),
        ignored=("antiAffinity", "pingPong", "scaleDownDelayRevisionLimit"),
        refused=("replicaProgressThreshold",),
    )  # fmt: skip
    words: dict[str, Any] = {}
    for name in ("maxSurge", "maxUnavailable"):
        value = section.pods(name)
        if value is not None:
            words[name] = value
    if is_zero(words.get("maxSurge", "25%")) and is_zero(words.get("maxUnavailable", "25%")):
        section.fail("maxSurge", "expected maxSurge or maxUnavailable above 0, got 0 for both")
    if (section.integer("minPodsPerReplicaSet") or 1) > 1:
        section.fail("minPodsPerReplicaSet", "minPodsPerReplicaSet above 1 is not simulated yet")
    words |= _scale_down(section, routed=routed)
    words["steps"] = [_step(each, library, routed=routed) for each in section.sections("steps")]
    background = section.section("analysis")
    if background is not None:
        found = analysis_words(background, library, background=True)
        if found is not None:
            words["analysis"] = found
    return words


def _scale_down(section: Section, *, routed: bool) -> dict[str, Any]:
    """Dynamic scaling and the delays, all of which need a router."""
    words: dict[str, Any] = {}
    if section.boolean("dynamicStableScale"):
        words["dynamicStableScale"] = True
        if section.has("scaleDownDelaySeconds"):
            section.fail("scaleDownDelaySeconds", "expected none beside dynamicStableScale")
        if not routed:
            section.fail("dynamicStableScale", "expected trafficRouting beside it, got none")
    for name in ("scaleDownDelaySeconds", "abortScaleDownDelaySeconds"):
        value = section.integer(name)
        if value is None:
            continue
        words[name] = value
        if not routed:
            section.fail(name, "expected trafficRouting beside it, got none")
    return words


def _step(section: Section, library: Library, *, routed: bool) -> dict[str, Any]:
    section.fields(read=_STEPS, refused=_NOT_YET)
    given = [name for name in (*_STEPS, *_NOT_YET) if section.node.child(name) is not None]
    if not section.clean and len(given) < 2:
        return {}
    if len(given) != 1:
        section.fail(None, f"expected a step of exactly one kind, got {' and '.join(given) or 'none'}")
        return {}
    if given[0] == "setWeight":
        return {"setWeight": section.integer("setWeight", high=100)}
    if given[0] == "pause":
        pause = section.section("pause")
        if pause is None:
            return {"pause": {}}
        pause.fields(read=("duration",))
        return {"pause": pause_text(pause.go_duration("duration", bare=True))}
    if given[0] == "setCanaryScale":
        return {"setCanaryScale": _canary_scale(section, routed=routed)}
    below = section.section("analysis")
    found = analysis_words(below, library) if below is not None else None
    # an analysis of nothing but metrics that always succeed is over at once
    return {"analysis": found} if found is not None else {"pause": {"duration": "0s"}}


def _canary_scale(section: Section, *, routed: bool) -> dict[str, Any]:
    scale = section.section("setCanaryScale")
    if scale is None:
        return {}
    scale.fields(read=("replicas", "weight", "matchTrafficWeight"))
    if not routed:
        section.fail("setCanaryScale", "expected trafficRouting in the Rollout, got none")
    found: dict[str, Any] = {}
    if scale.boolean("matchTrafficWeight"):
        found["matchTrafficWeight"] = True
    for name, high in (("replicas", None), ("weight", 100)):
        value = scale.integer(name, high=high)
        if value is not None:
            found[name] = value
    if len(found) != 1:
        names = "replicas, weight and matchTrafficWeight: true"
        scale.fail(None, f"expected exactly one of {names}, got {' and '.join(found) or 'none'}")
    return found


def _blue_green(section: Section, library: Library) -> dict[str, Any]:
    section.fields(
        read=(
            "autoPromotionEnabled", "autoPromotionSeconds", "previewReplicaCount", "scaleDownDelaySeconds",
            "abortScaleDownDelaySeconds", "prePromotionAnalysis", "postPromotionAnalysis", "activeService",
        ),
        quiet=("previewService", "activeMetadata", "previewMetadata", "maxUnavailable"),
        ignored=("antiAffinity", "scaleDownDelayRevisionLimit"),
    )  # fmt: skip
    if section.text("activeService") is None:
        section.fail(None, f"expected {dotted((*section.path, 'activeService'))}, got none")
    words: dict[str, Any] = {}
    if not section.boolean("autoPromotionEnabled", default=True):
        words["autoPromotionEnabled"] = False
    for name, low in (
        ("autoPromotionSeconds", 0),
        ("previewReplicaCount", 1),
        ("scaleDownDelaySeconds", 0),
        ("abortScaleDownDelaySeconds", 0),
    ):
        value = section.integer(name, low=low)
        if value is not None:
            words[name] = value
    for name in ("prePromotionAnalysis", "postPromotionAnalysis"):
        below = section.section(name)
        found = analysis_words(below, library) if below is not None else None
        if found is not None:
            words[name] = found
    return words
