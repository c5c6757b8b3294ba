"""From a user's manifest files to the words of one strategy and the facts of its service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from scenarios.errors import Place, ScenarioError, ScenarioErrors, dotted, unknown
from scenarios.imports.argo import read_rollout
from scenarios.imports.deployment import read_deployment
from scenarios.imports.documents import Document, read_documents
from scenarios.imports.library import TEMPLATE_KINDS, Library
from scenarios.imports.section import Notes, Section
from scenarios.measures import Binding
from scenarios.strategy_spec import ScriptWords
from scenarios.yaml_nodes import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A manifest in the words of a scenario."""

    kind: Literal["Rollout", "Deployment"]
    name: str
    place: Place
    words: dict[str, Any]  #: one entry of `strategies:`
    patch: dict[str, Any]  #: laid over the scenario: the manifest's facts win
    routed: bool  #: a router splits traffic by weight; without one, weights follow the number of pods
    assumed: tuple[str, ...]
    warnings: tuple[str, ...]
    used: frozenset[str]  #: names of the bindings that a metric took
    names: frozenset[str]  #: names that a binding may have
    queries: Mapping[str, Place]  #: where each query stands that is asked as it is


def import_manifest(
    path: str | Path,
    *,
    templates: Iterable[str | Path] = (),
    bind: Mapping[str, Any] | None = None,
    places: Mapping[str, Place] | None = None,
    strict: bool = True,
) -> Imported:
    """Read a Rollout or a Deployment.

    Args:
        path: file with exactly one Rollout, or (without a Rollout) exactly one Deployment; other kinds are left alone.
        templates: more files, with AnalysisTemplates or the Deployment of a `workloadRef`.
        bind: what each query measures: `{"success-rate": "success_ratio:canary"}`, or what its provider answers:
            `{"smoke": {"script": ["Failed"], "takes": "90s"}}`; by the name of a metric, or of a template that has
            one metric, or by `template/metric`.
        places: where each binding stands, for errors.
        strict: a binding that no metric takes is an error.

    Raises:
        ScenarioErrors: everything wrong with the files, each with its place.
    """
    try:
        return _import(Path(path), [Path(each) for each in templates], bind or {}, places or {}, strict=strict)
    except ScenarioErrors:
        raise
    except ScenarioError as error:
        raise ScenarioErrors([error]) from None


#: what routers do with requests for a revision without endpoints, where it is not to fail and be counted. ingress-nginx
#: drops a canary backend without endpoints and serves the main one (its controller's own code); Traefik 3.7 answers 503
#: and counts it under no Service (measured, docs/limits.md)
_NO_ENDPOINTS: Final = {"nginx": "fallback", "traefik": "uncounted"}
_ROUTING = ("spec", "strategy", "canary", "trafficRouting")


def _import(
    path: Path, templates: list[Path], bind: Mapping[str, Any], places: Mapping[str, Place], *, strict: bool
) -> Imported:
    own = read_documents(path)
    main = _main(own, path)
    more = [document for each in templates for document in read_documents(each)]
    notes = Notes()
    bindings = _bindings(bind, places, notes)
    library = Library([*own, *more], bindings, notes, main.node)
    _once(library, notes)
    root = Section(main.node, (), notes)
    if main.kind == "Rollout":
        words, facts, routed = read_rollout(root, library)
    else:
        words, facts = read_deployment(root)
        routed = True
    if strict and not notes.errors:
        notes.errors += unused(bind, library.used, library.names, places)
    notes.finish()
    patch = {"service": {**({"name": main.name} if main.name else {}), **facts}}
    no_endpoints = _no_endpoints(root.node) if main.kind == "Rollout" else None
    if no_endpoints is not None:
        patch["router"] = {"noEndpoints": no_endpoints}
    services = _services(root.node)
    if len(services) == 2:
        patch["metrics"] = {"services": services}
    return Imported(
        kind="Rollout" if main.kind == "Rollout" else "Deployment",
        name=main.name or path.stem,
        place=main.place,
        words=words,
        patch=patch,
        routed=routed,
        assumed=tuple(dict.fromkeys((*_facts(patch, main.place), *notes.assumed))),
        warnings=tuple(dict.fromkeys(notes.warnings)),
        used=frozenset(library.used),
        names=frozenset(library.names),
        queries=library.queries,
    )


def _no_endpoints(rollout: Node) -> str | None:
    """What the router of a canary does where a revision has no endpoint; None where it is as the schema's default."""
    for router, what in _NO_ENDPOINTS.items():
        if rollout.nearest((*_ROUTING, router))[1] == len(_ROUTING) + 1:
            return what
    return None


def _services(rollout: Node) -> dict[str, str]:
    """Names of the Services that each revision of a canary has alone: a query may tell revisions apart by them."""
    found = {}
    for revision in ("canary", "stable"):
        path = ("spec", "strategy", "canary", f"{revision}Service")
        node, steps = rollout.nearest(path)
        if steps == len(path) and isinstance(node.value, str):
            found[revision] = node.value
    return found


def _main(documents: list[Document], path: Path) -> Document:
    """The Rollout of a file, or its Deployment."""
    for kind in ("Rollout", "Deployment"):
        found = [document for document in documents if document.kind == kind]
        if kind == "Rollout":
            others = [each for each in found if not _of_argo(each.node)]
            if others:
                raise ScenarioError(
                    expected="argoproj.io/v1alpha1",
                    got=others[0].node.nearest(("apiVersion",))[0].plain(),
                    field="apiVersion",
                    place=others[0].place,
                )
        if len(found) > 1:
            names = ", ".join(f"{each.name} (line {each.place.line})" for each in found)
            raise ScenarioError(f"expected one {kind}, got {len(found)}: {names}", place=found[1].place)
        if found:
            return found[0]
    kinds = ", ".join(dict.fromkeys(each.kind for each in documents)) or "no object"
    raise ScenarioError(f"expected a Rollout or a Deployment, got {kinds}", place=Place(str(path)))


def _of_argo(node: Node) -> bool:
    version = node.child("apiVersion")
    return version is not None and str(version.value).startswith("argoproj.io/")


def _once(library: Library, notes: Notes) -> None:
    """Two templates of the same kind and name: nobody can say which one is meant."""
    seen: dict[tuple[str, str], Place] = {}
    for each in library.documents:
        if each.kind not in TEMPLATE_KINDS:
            continue
        first = seen.setdefault((each.kind, each.name), each.place)
        if first != each.place:
            problem = f"{each.kind} {each.name!r} stands in {first.file}:{first.line} already"
            notes.errors.append(ScenarioError(problem, field="metadata.name", place=each.place))


def _bindings(bind: Mapping[str, Any], places: Mapping[str, Place], notes: Notes) -> dict[str, Binding]:
    found = {}
    for name, text in bind.items():
        try:
            words = text.model_dump(by_alias=True) if isinstance(text, ScriptWords) else text
            found[name] = Binding.parse(words)
        except ValueError as error:
            notes.errors.append(ScenarioError(str(error), field=dotted(("bind", name)), place=places.get(name)))
            found[name] = Binding(measure="", revision="", passes=True)
    return found


def unused(
    bind: Iterable[str], used: Iterable[str], names: Iterable[str], places: Mapping[str, Place]
) -> list[ScenarioError]:
    """An error for each binding that no metric took."""
    used, names = set(used), sorted(names)
    errors = []
    for name in bind:
        if name in used:
            continue
        if name in names:
            problem = f"no metric takes the binding {name!r}: another binding of the same metric is more exact"
            errors.append(ScenarioError(problem, field=dotted(("bind", name)), place=places.get(name)))
        elif names:
            errors.append(unknown(name, names, field=dotted(("bind", name)), place=places.get(name), what="metric"))
        else:
            problem = f"no metric takes the binding {name!r}: the manifest has no analysis"
            errors.append(ScenarioError(problem, field=dotted(("bind", name)), place=places.get(name)))
    return errors


def _facts(patch: Mapping[str, Any], place: Place) -> list[str]:
    """One line a fact that the manifest (or the API's default) says of the service."""
    lines = []
    facts = {f"service.{name}": value for name, value in patch["service"].items()}
    facts |= {f"router.{name}": value for name, value in patch.get("router", {}).items()}
    for name, value in facts.items():
        below = value.items() if isinstance(value, dict) else ((None, value),)
        for part, fact in below:
            field = f"{name}.{part}" if part else name
            lines.append(f"{field} = {_text(fact)} (manifest {place.file})")
    return lines


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_text(below)}" for name, below in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)
