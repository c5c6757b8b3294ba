"""What a cluster and an account can do for drills; only reading, each missing piece with the command that mends it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from typing import Final

from chaos.cluster import installed
from chaos.cluster.door import opened
from chaos.cluster.gateways import gateways
from chaos.cluster.kinds import CONFIG_MAP, NAMESPACE, Kind
from chaos.cluster.kube import ApiError, Kube
from chaos.cluster.permissions import permissions
from chaos.cluster.pod import ALLOWED
from chaos.cluster.safety import DENIED, STOP, refusals
from chaos.cluster.settings import ClusterSettings
from chaos.finding import Finding, State, ready
from chaos.world import WorldError

SUPPORTED: Final = (33, 36)  #: minor versions of Kubernetes 1
_REVIEW: Final = Kind("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False)


def examine(settings: ClusterSettings, *, metrics_url: str = "") -> list[Finding]:
    """Look at everything, the server first; without it the list ends.

    Args:
        metrics_url: of a Prometheus that a drill would ask.
    """
    try:
        door = opened(settings)
    except WorldError as error:
        mend = "make kind-up, or sudo make cluster-up  # each makes a cluster of its own"
        return [Finding(about="cluster", state="missing", text=str(error), mend=mend)]
    kube = door.kube
    found = [_server(kube)]
    if found[0].state == "missing":
        return found
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("account", lambda: _account(kube)),
        ("clock", lambda: _clock(kube)),
        ("identity", lambda: _identity(kube, settings)),
        ("namespace", lambda: _namespace(kube, settings.namespace)),
        ("stop switch", lambda: _stopped(kube, settings.namespace)),
        ("permissions", lambda: permissions(kube, settings)),
        ("Gateway", lambda: gateways(door, settings)),
        ("Chaos Mesh", lambda: installed.chaos_mesh(kube, settings)),
        ("Prometheus", lambda: installed.prometheus(kube, metrics_url)),
        ("Argo Rollouts", lambda: installed.argo(kube, settings)),
        ("image", lambda: installed.image(kube, settings)),
    )
    for about, check in checks:
        try:
            found += check()
        except ApiError as error:  # one thing that may not be read hides nothing of the others
            found.append(Finding(about=about, state="unknown", text=str(error)))
    return [*found, *_refusals(kube, settings, found)]


def account(kube: Kube) -> str:
    """The name under which the server knows us.

    Raises:
        ApiError: it does not say.
    """
    body = {"apiVersion": _REVIEW.api_version, "kind": _REVIEW.kind}
    return str(kube.create(_REVIEW, body)["status"]["userInfo"]["username"])


def _refusals(kube: Kube, settings: ClusterSettings, found: list[Finding]) -> Iterator[Finding]:
    """What a drill itself would refuse by, where nothing above says so already."""
    if not ready(found):
        return
    try:
        for text in refusals(kube, settings):
            yield Finding(about="drill", state="missing", text=f"would be refused: {text}")
    except ApiError as error:
        yield Finding(about="drill", state="missing", text=f"would be refused: {error}")


def _server(kube: Kube) -> Finding:
    about = "API server"
    context = f"--context {kube.context} " if kube.context else ""
    try:
        version = kube.hasty().version()
    except ApiError as error:
        refused = error.status in (401, 403)
        text = f"{kube.server} refuses this account: {error}" if refused else str(error)
        mend = f"kubectl {context}{'auth whoami' if refused else 'cluster-info'}"
        return Finding(about=about, state="missing", text=text, mend=mend)
    minor = re.match(r"v1\.(\d+)", version)
    lo, hi = SUPPORTED
    if minor is None or not lo <= int(minor[1]) <= hi:
        text = f"{version} at {kube.server}; drills are made for Kubernetes 1.{lo} to 1.{hi}"
        return Finding(about=about, state="warning", text=text)
    return Finding(about=about, state="ok", text=f"{version} at {kube.server}")


def _account(kube: Kube) -> Iterator[Finding]:
    yield Finding(about="account", state="ok", text=account(kube))


def _clock(kube: Kube) -> Iterator[Finding]:
    ahead = kube.skew_seconds
    if ahead:
        text = (
            f"the API server's is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}: drills go by it, and what "
        )
        text += "this machine writes down goes by its own"
        yield Finding(about="clock", state="warning", text=text, mend="timedatectl set-ntp true  # on both machines")
        return
    yield Finding(about="clock", state="ok", text="about the same as the API server's")


def _identity(kube: Kube, settings: ClusterSettings) -> Iterator[Finding]:
    about, wanted = "identity", settings.identity
    try:
        found = kube.identity()
    except ApiError as error:
        state: State = "missing" if wanted else "unknown"
        text = f"the namespace kube-system cannot be read, whose uid tells clusters apart: {error}"
        yield Finding(about=about, state=state, text=text)
        return
    if not wanted:
        text = f"{found}, not pinned: a context that points elsewhere would not be noticed"
        yield Finding(about=about, state="warning", text=text, mend=f"export ROLLOUTLAB_IDENTITY={found}")
    elif found != wanted:
        mend = "kubectl config get-contexts  # and name the right one with --context"
        yield Finding(about=about, state="missing", text=f"this cluster is {found}, expected {wanted}", mend=mend)
    else:
        yield Finding(about=about, state="ok", text=f"{found}, as expected")


def _namespace(kube: Kube, name: str) -> Iterator[Finding]:
    about = "namespace"
    denied = next((pattern for pattern in DENIED if fnmatch.fnmatchcase(name, pattern)), None)
    if denied is not None:
        text = f"{name} matches {denied}: no drill is run there, whatever its labels say"
        yield Finding(about=about, state="missing", text=text, mend="name another one with --namespace")
        return
    allow = f"kubectl label namespace {name} {ALLOWED}=true"
    found = kube.get(NAMESPACE, name)
    if found is None:
        mend = f"kubectl create namespace {name} && {allow}"
        yield Finding(about=about, state="missing", text=f"{name} does not exist", mend=mend)
    elif found.get("status", {}).get("phase") == "Terminating":
        mend = f"kubectl wait --for delete --timeout 5m namespace/{name}"
        yield Finding(about=about, state="missing", text=f"{name} is being deleted", mend=mend)
    elif (found["metadata"].get("labels") or {}).get(ALLOWED) != "true":
        text = f"{name} does not allow drills: it lacks the label {ALLOWED}=true"
        yield Finding(about=about, state="missing", text=text, mend=allow)
    else:
        yield Finding(about=about, state="ok", text=f"{name} allows drills")


def _stopped(kube: Kube, namespace: str) -> Iterator[Finding]:
    if kube.get(CONFIG_MAP, STOP, namespace) is not None:
        text = f"somebody has stopped all drills in {namespace}: there is a ConfigMap {STOP}"
        mend = f"kubectl delete configmap {STOP} --namespace {namespace}  # once you know why"
        yield Finding(about="stop switch", state="missing", text=text, mend=mend)
