"""Which of the rights that drills need this account has, by asking the server about each verb."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from chaos.cluster.kinds import ACCESS_REVIEW, HTTP_ROUTE, NAMESPACE, POD_CHAOS, ROLLOUT, Kind
from chaos.cluster.kube import ApiError, Kube
from chaos.cluster.rights import Part, Right, needed, only_reading
from chaos.cluster.settings import ClusterSettings
from chaos.finding import Finding, State

_ASKED_AT_ONCE: Final = 8
_NOBODY_SAYS: Final = (403, 404)  #: to the question what one may do; then the server has the last word later
#: part -> what is asked about, the kind without which nobody needs it
_PARTS: Final[dict[Part, tuple[str, Kind | None]]] = {
    "drill": ("permissions", None),
    "gateway": ("permissions for the Gateway", HTTP_ROUTE),
    "chaos-mesh": ("permissions for Chaos Mesh", POD_CHAOS),
    "argo": ("permissions for Argo Rollouts", ROLLOUT),
}


def permissions(kube: Kube, settings: ClusterSettings) -> Iterator[Finding]:
    """One finding for drills as such, and one for each part that is installed."""
    for part, (about, kind) in _PARTS.items():
        if kind is None or kube.serves(kind):
            yield _finding(kube, settings, part, about)


def refusals(kube: Kube, settings: ClusterSettings, parts: Sequence[Part]) -> list[str]:
    """Why a drill that needs these parts would end in the middle, in words; empty: this account may do all of it.

    Raises:
        ApiError: the server cannot be asked.
    """
    rights = only_reading(needed(parts)) if settings.observe else needed(parts)
    try:
        refused = _refused(kube, list(rights), settings.namespace)
    except ApiError as error:
        if error.status in _NOBODY_SAYS:
            return []
        raise
    if not refused:
        return []
    return [
        f"this account lacks rights in namespace {settings.namespace}: {_said(refused)}; "
        f"`{_print_role(kube, settings)}` prints the Role for who may apply it"
    ]


def wanted(settings: ClusterSettings, part: Part) -> bool:
    """A drill with these settings cannot do without this part."""
    return {
        "drill": True,
        "gateway": settings.routing == "gateway",
        "chaos-mesh": settings.engine == "chaos-mesh",
        "argo": settings.observe.startswith("rollout/"),
    }[part]


def _finding(kube: Kube, settings: ClusterSettings, part: Part, about: str) -> Finding:
    rights = [right for right in needed([part]) if right.part == part]
    refused = _refused(kube, rights, settings.namespace)
    if not refused:
        count = sum(len(right.verbs) for right in rights)
        return Finding(about=about, state="ok", text=f"all {count} that are needed in {settings.namespace}")
    # A drill that needs a part which is installed is refused without its rights; the next one may need it.
    state: State = "missing" if part != "argo" or wanted(settings, part) else "absent"
    mend = f"{_print_role(kube, settings)} > role.yaml  # for who may apply it"
    return Finding(about=about, state=state, text=f"refused in {settings.namespace}: {_said(refused)}", mend=mend)


def _said(refused: Sequence[tuple[Right, list[str]]]) -> str:
    return "; ".join(f"{', '.join(verbs)} {right.words}" for right, verbs in refused)


def _print_role(kube: Kube, settings: ClusterSettings) -> str:
    where = f" --context {kube.context}" if kube.context else ""
    return f"rolloutlab doctor{where} --namespace {settings.namespace} --print-role"


def _refused(kube: Kube, rights: Sequence[Right], namespace: str) -> list[tuple[Right, list[str]]]:
    asked = [(right, verb) for right in rights for verb in right.verbs]
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        answers = list(pool.map(lambda one: _allowed(kube, one[0], one[1], namespace), asked))
    found: dict[int, tuple[Right, list[str]]] = {}
    for (right, verb), allowed in zip(asked, answers, strict=True):
        if not allowed:
            found.setdefault(id(right), (right, []))[1].append(verb)
    return list(found.values())


def _allowed(kube: Kube, right: Right, verb: str, namespace: str) -> bool:
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": right.kind.group,
        "version": right.kind.version,
        "resource": right.kind.plural,
        "subresource": right.sub,
    }
    if right.kind is NAMESPACE:  # the server takes a request for a namespace for one inside of it
        attributes["name"] = namespace
    body = {
        "apiVersion": ACCESS_REVIEW.api_version,
        "kind": ACCESS_REVIEW.kind,
        "spec": {"resourceAttributes": attributes},
    }
    return bool(kube.create(ACCESS_REVIEW, body)["status"].get("allowed"))
