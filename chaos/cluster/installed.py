"""What is installed in a cluster beside Kubernetes and its router: Chaos Mesh, Prometheus, Argo Rollouts, our image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from chaos.cluster.gateways import name_of
from chaos.cluster.kinds import (
    DEPLOYMENT,
    NAMESPACE,
    NETWORK_CHAOS,
    NODE,
    POD_CHAOS,
    ROLLOUT,
    SERVICE,
    STRESS_CHAOS,
)
from chaos.cluster.kube import ApiError, Kube, Object
from chaos.cluster.permissions import wanted
from chaos.cluster.settings import IMAGE, ClusterSettings
from chaos.finding import GUIDE, Finding, State
from chaos.injectors.chaos_mesh_objects import engine
from chaos.metrics.prometheus import unanswered

INJECT: Final = "chaos-mesh.org/inject"  #: annotation of namespaces that Chaos Mesh acts in when it filters
OLDEST_CHAOS_MESH: Final = (2, 8, 3)  #: older ones cannot always recover a pod that crashed under a partition
_MOST_IMAGES: Final = 50  #: that a node reports, the largest first (kubelet: nodeStatusMaxImages)


# --- faults ------------------------------------------------------------------------------------------------------


def chaos_mesh(kube: Kube, settings: ClusterSettings) -> Iterator[Finding]:
    """Chaos Mesh, its version, and whether it may act in the namespace."""
    about = "Chaos Mesh"
    without: State = "missing" if wanted(settings, "chaos-mesh") else "absent"
    lacking = [kind.kind for kind in (POD_CHAOS, NETWORK_CHAOS, STRESS_CHAOS) if not kube.serves(kind)]
    if lacking:
        text = f"is not installed (no {', '.join(lacking)}): --fault needs it everywhere but on the native node"
        yield Finding(about=about, state=without, text=text, mend=GUIDE)
        return
    if (who := engine(kube)) != "chaos-mesh":
        text = f"its kinds are installed, and {who} acts for it: what it injects is an emulation"
        yield Finding(about=about, state="warning", text=text)
        return
    try:
        managers = kube.list(DEPLOYMENT, labels="app.kubernetes.io/component=controller-manager")["items"]
    except ApiError as error:
        yield Finding(about=about, state="unknown", text=f"is installed; its settings cannot be read: {error}")
        return
    container = next(filter(None, map(_manager, managers)), None)
    if container is None:
        text = "its kinds are known, and no chaos-controller-manager runs: faults would wait for ever"
        yield Finding(about=about, state=without, text=text, mend=GUIDE)
        return
    yield _version(container)
    yield from _filter(kube, container, settings, without)


def _manager(deployment: Object) -> Object | None:
    """The container of the controller, of a Deployment that is it."""
    containers: list[Object] = deployment["spec"]["template"]["spec"]["containers"]
    return next((each for each in containers if "/chaos-mesh:" in f"/{each['image']}"), None)


def _version(container: Mapping[str, Any]) -> Finding:
    tag = str(container["image"]).rpartition(":")[2]
    numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)", tag)
    if numbers is None:
        return Finding(about="Chaos Mesh", state="unknown", text=f"is installed, of a version called {tag}")
    if tuple(map(int, numbers.groups())) < OLDEST_CHAOS_MESH:
        oldest = ".".join(map(str, OLDEST_CHAOS_MESH))
        text = f"{tag} is older than {oldest}, and cannot always recover a pod that crashed under a partition"
        return Finding(about="Chaos Mesh", state="warning", text=text, mend=GUIDE)
    return Finding(about="Chaos Mesh", state="ok", text=f"{tag} is installed")


def _filter(kube: Kube, container: Mapping[str, Any], settings: ClusterSettings, without: State) -> Iterator[Finding]:
    about, name = "Chaos Mesh", settings.namespace
    values = {each["name"]: each.get("value", "") for each in container.get("env", ())}
    if values.get("ENABLE_FILTER_NAMESPACE", "").lower() != "true":
        text = "acts in every namespace, so that a wide selector of anybody's can hit this one"
        mend = "helm upgrade … --reuse-values --set controllerManager.enableFilterNamespace=true"
        yield Finding(about=about, state="warning", text=text, mend=mend)
        return
    namespace = kube.get(NAMESPACE, name) or {"metadata": {}}
    if namespace["metadata"].get("annotations", {}).get(INJECT) != "enabled":
        state: State = "missing" if without == "missing" else "warning"
        mend = f"kubectl annotate namespace {name} {INJECT}=enabled"
        yield Finding(about=about, state=state, text=f"may not act in {name}: it lacks {INJECT}=enabled", mend=mend)


# --- metrics -----------------------------------------------------------------------------------------------------


def prometheus(kube: Kube, url: str) -> Iterator[Finding]:
    """The Prometheus that was named, or those that the cluster shows."""
    about = "Prometheus"
    if url:
        problem = unanswered(url)
        if problem:
            mend = f"curl '{url.rstrip('/')}/api/v1/query?query=vector(1)'"
            yield Finding(about=about, state="missing", text=f"{url} does not answer: {problem}", mend=mend)
        else:
            yield Finding(about=about, state="ok", text=f"{url} answers")
        return
    found = kube.list(SERVICE, labels="app.kubernetes.io/name=prometheus")["items"]
    named = ", ".join(name_of(each) for each in found if _answers(kube, each))
    if named:
        text = f"{named} answers; a drill asks it with --metrics-url URL, and else scrapes pods itself"
        yield Finding(about=about, state="ok", text=text)
    else:
        yield Finding(about=about, state="absent", text="none was found: drills scrape pods themselves")


def _answers(kube: Kube, service: Object) -> bool:
    """Any port of a Service is that of a Prometheus that is ready."""
    meta = service["metadata"]
    for port in service["spec"].get("ports", ()):
        path = SERVICE.path(meta["namespace"], f"{meta['name']}:{port['port']}", "proxy/-/ready")
        try:
            kube.hasty().text("GET", path, seconds=3.0)
        except ApiError:
            continue
        return True
    return False


# --- the rest ----------------------------------------------------------------------------------------------------


def argo(kube: Kube, settings: ClusterSettings) -> Iterator[Finding]:
    """Whether there are Argo Rollouts to watch."""
    if kube.serves(ROLLOUT):
        yield Finding(about="Argo Rollouts", state="ok", text="is installed")
        return
    state: State = "missing" if wanted(settings, "argo") else "absent"
    yield Finding(
        about="Argo Rollouts", state=state, text="is not installed; only watching one of its Rollouts needs it"
    )


def image(kube: Kube, settings: ClusterSettings) -> Iterator[Finding]:
    """Whether the nodes have the image of the application, where that can be known."""
    name, about = settings.image, "image"
    nodes = kube.list(NODE)["items"]
    shown = {node["metadata"]["name"]: _images(node) for node in nodes}
    with_it = [node for node, images in shown.items() if _spelled(name) & images]
    if not nodes:
        yield Finding(about=about, state="missing", text="the cluster has no node", mend="kubectl get nodes")
    elif len(with_it) == len(shown):
        yield Finding(about=about, state="ok", text=f"{name} is on {len(shown)} of {len(shown)} nodes")
    elif not all(0 < len(node["status"].get("images", ())) < _MOST_IMAGES for node in nodes):
        text = (
            f"a node tells of none of its images yet, or of the {_MOST_IMAGES} largest only; {name} is not among them"
        )
        yield Finding(about=about, state="unknown", text=text)
    elif with_it:
        text = f"{name} is on {len(with_it)} of {len(shown)} nodes; the others pull it, if they can"
        yield Finding(about=about, state="warning", text=text, mend=_load(name))
    else:
        pulled = "" if name == IMAGE else "; they pull it, if they can"
        text = f"{name} is on none of {len(shown)} nodes{pulled}"
        state: State = "missing" if name == IMAGE else "warning"
        yield Finding(about=about, state=state, text=text, mend=_load(name))


def _load(name: str) -> str:
    if name == IMAGE:
        return "make kind-up and make cluster-up bring it; elsewhere push one of yours, and name it with --image"
    return f"kubectl run try --image {name} --restart Never  # says whether they can"


def _images(node: Object) -> set[str]:
    return {name for each in node["status"].get("images", ()) for name in each.get("names") or ()}


def _spelled(name: str) -> set[str]:
    """The ways in which a container runtime may spell an image.

    >>> sorted(_spelled("traefik:v3")), _spelled("rolloutlab.local/app:1")
    (['docker.io/library/traefik:v3', 'docker.io/traefik:v3', 'traefik:v3'], {'rolloutlab.local/app:1'})
    """
    first = name.partition("/")[0]
    if "/" in name and ("." in first or ":" in first or first == "localhost"):
        return {name}
    return {name, f"docker.io/{name}", *([] if "/" in name else [f"docker.io/library/{name}"])}
