"""What is installed in a cluster beside Kubernetes: a Gateway, Chaos Mesh, Prometheus, Argo Rollouts, our image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import urllib3

from chaos.cluster.kinds import (
    DEPLOYMENT,
    GATEWAY,
    HTTP_ROUTE,
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
from chaos.finding import Finding, State
from chaos.injectors.chaos_mesh_objects import engine

INJECT: Final = "chaos-mesh.org/inject"  #: annotation of namespaces that Chaos Mesh acts in when it filters
OLDEST_CHAOS_MESH: Final = (2, 8, 3)  #: older ones cannot always recover a pod that crashed under a partition
_MOST_IMAGES: Final = 50  #: that a node reports, the largest first (kubelet: nodeStatusMaxImages)
_FORBIDDEN: Final = 403
_GUIDE: Final = "docs/how-to/kind.md says how to install it"


# --- routing -----------------------------------------------------------------------------------------------------


def gateways(kube: Kube, settings: ClusterSettings) -> Iterator[Finding]:
    """Which Gateways there are, and whether their controller says that they work."""
    about = "Gateway"
    if settings.routing == "service":
        return
    without: State = "missing" if wanted(settings, "gateway") else "absent"
    if not kube.serves(HTTP_ROUTE):
        text = "the Gateway API is not installed: weights go by the number of pods"
        yield Finding(about=about, state=without, text=text, mend=_GUIDE)
        return
    parts = settings.gateway_parts
    try:
        if parts is not None:
            one = kube.get(GATEWAY, parts[1], parts[0])
            found = [] if one is None else [one]
        else:
            found = kube.list(GATEWAY)["items"]
    except ApiError as error:
        if error.status != _FORBIDDEN:
            raise
        text = f"{settings.gateway or 'Gateways'} may not be read by this account"
        yield Finding(
            about=about, state="missing", text=text, mend="--routing service  # weights by the number of pods"
        )
        return
    if not found and parts is not None:
        text, mend = f"there is no Gateway {settings.gateway}", "kubectl get gateways --all-namespaces"
        yield Finding(about=about, state="missing", text=text, mend=mend)
    elif not found:
        yield Finding(about=about, state=without, text="none: weights go by the number of pods", mend=_GUIDE)
    for each in found:
        yield _gateway(each)
    if len(found) > 1:
        text = f"{len(found)} Gateways, and a drill takes one"
        yield Finding(about=about, state="missing", text=text, mend=f"--gateway {_name(found[0])}  # or another one")


def _gateway(found: Object) -> Finding:
    status = found.get("status", {})
    states = {each["type"]: each for each in status.get("conditions", ())}
    programmed = states.get("Programmed", {})
    where = ", ".join(each["value"] for each in status.get("addresses", ()) if each.get("value"))
    if programmed.get("status") == "False":
        text = f"{_name(found)} is not programmed: {programmed.get('message') or programmed.get('reason', 'no reason')}"
        mend = f"kubectl describe gateway {found['metadata']['name']} --namespace {found['metadata']['namespace']}"
        return Finding(about="Gateway", state="warning", text=text, mend=mend)
    said = "is programmed" if programmed.get("status") == "True" else "is there; its controller does not say more"
    return Finding(about="Gateway", state="ok", text=f"{_name(found)} {said}{f', at {where}' if where else ''}")


# --- faults ------------------------------------------------------------------------------------------------------


def chaos_mesh(kube: Kube, settings: ClusterSettings) -> Iterator[Finding]:
    """Chaos Mesh, its version, and whether it may act in the namespace."""
    about = "Chaos Mesh"
    without: State = "missing" if wanted(settings, "chaos-mesh") else "absent"
    lacking = [kind.kind for kind in (POD_CHAOS, NETWORK_CHAOS, STRESS_CHAOS) if not kube.serves(kind)]
    if lacking:
        text = f"is not installed (no {', '.join(lacking)}): the application and our own injectors do the faults"
        yield Finding(about=about, state=without, text=text, mend=_GUIDE)
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
        yield Finding(about=about, state=without, text=text, mend=_GUIDE)
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
        return Finding(about="Chaos Mesh", state="warning", text=text, mend=_GUIDE)
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
        problem = _not_ready(url)
        if problem:
            mend = f"curl {url.rstrip('/')}/-/ready"
            yield Finding(about=about, state="missing", text=f"{url} is not ready: {problem}", mend=mend)
        else:
            yield Finding(about=about, state="ok", text=f"{url} is ready")
        return
    found = kube.list(SERVICE, labels="app.kubernetes.io/name=prometheus")["items"]
    named = ", ".join(_name(each) for each in found if _answers(kube, each))
    if named:
        text = f"{named} answers; a drill asks it with --metrics-url URL, and else scrapes pods itself"
        yield Finding(about=about, state="ok", text=text)
    else:
        yield Finding(about=about, state="absent", text="none was found: drills scrape pods themselves")


def _not_ready(url: str) -> str:
    """Why a Prometheus is not ready, empty when it is."""
    try:
        response = urllib3.request("GET", f"{url.rstrip('/')}/-/ready", timeout=3.0, retries=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return str(error)
    return "" if response.status == 200 else f"it answers {response.status}"


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
        yield Finding(about="Argo Rollouts", state="ok", text="is installed: --observe rollout/NAME watches one")
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


def _name(found: Object) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"
