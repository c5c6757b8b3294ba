"""What keeps a drill from hurting what it was not pointed at; every refusal says what would allow it.

A namespace must carry our label and must not look like one that matters; the cluster is the pinned one, where one is
pinned; nobody has pulled the kill switch; and no other drill holds the lease of the namespace.
"""

from __future__ import annotations

import contextlib
import datetime
import fnmatch
import threading
from collections.abc import Callable, Iterator
from typing import Final

from chaos.cluster.kinds import CONFIG_MAP, LEASE, NAMESPACE
from chaos.cluster.kube import ApiError, Kube, Object
from chaos.cluster.pod import ALLOWED
from chaos.cluster.settings import ClusterSettings
from chaos.world import WorldError

DENIED: Final = ("kube-*", "prod*", "*-prod", "default")  #: namespaces in which no drill ever runs
STOP: Final = "rolloutlab-stop"  #: a ConfigMap of this name in the namespace stops drills and lets none begin
LEASE_NAME: Final = "rolloutlab-drill"
LEASE_SECONDS: Final = 30
RENEW_SECONDS: Final = 5.0


def refusals(kube: Kube, settings: ClusterSettings) -> list[str]:
    """Why no drill may run here; empty: it may.

    Raises:
        ApiError: the server cannot be asked.
    """
    return list(_refusals(kube, settings))


def _refusals(kube: Kube, settings: ClusterSettings) -> Iterator[str]:
    name = settings.namespace
    for pattern in DENIED:
        if fnmatch.fnmatchcase(name, pattern):
            yield f"namespace {name}: no drill runs in a namespace such as {pattern}; make one for drills"
            return
    if settings.identity and (found := kube.identity()) != settings.identity:
        yield (
            f"this cluster ({kube.server}) has identity {found or 'unknown'}, pinned is {settings.identity}: "
            f"is it the right context?"
        )
        return
    namespace = kube.get(NAMESPACE, name)
    if namespace is None:
        yield f"namespace {name} does not exist: `kubectl create namespace {name}`, then label it {ALLOWED}=true"
        return
    if namespace["metadata"].get("labels", {}).get(ALLOWED) != "true":
        yield f"namespace {name} is not for drills: `kubectl label namespace {name} {ALLOWED}=true` allows them"
    if kube.get(CONFIG_MAP, STOP, name) is not None:
        yield stopped(name)
    if running := holder(kube, name):
        yield f"drill {running} is running in namespace {name}: wait for its end, or `rolloutlab abort` it"


def holder(kube: Kube, namespace: str) -> str:
    """The drill that is running in a namespace, empty when none is."""
    return _holder(kube.get(LEASE, LEASE_NAME, namespace))


def stopped(namespace: str) -> str:
    """The kill switch, in words."""
    return (
        f"somebody stopped all drills (ConfigMap {STOP} in namespace {namespace}); "
        f"`kubectl delete configmap {STOP} --namespace {namespace}` allows them again"
    )


class Hold:
    """The lease of a namespace, renewed by a thread of its own, which watches the kill switch as well.

    Args:
        lost: called from the thread when the lease was lost, or somebody stopped all drills.
    """

    def __init__(self, kube: Kube, namespace: str, holder: str, lost: Callable[[WorldError], None]) -> None:
        self._kube, self._namespace, self._holder, self._lost = kube, namespace, holder, lost
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def take(self) -> None:
        """Take it; blocks.

        Raises:
            WorldError: another drill has it.
        """
        found = self._kube.get(LEASE, LEASE_NAME, self._namespace)
        other = _holder(found)
        if other not in ("", self._holder):
            raise WorldError(f"drill {other} has begun in namespace {self._namespace} meanwhile")
        body: Object = {"metadata": {"name": LEASE_NAME, "namespace": self._namespace}, "spec": self._spec()}
        if found is None:
            self._kube.create(LEASE, body, self._namespace)
        else:
            body["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
            self._kube.request("PUT", LEASE.path(self._namespace, LEASE_NAME), body)
        self._thread.start()

    def release(self) -> None:
        """Give it back; blocks, and may be called twice."""
        if self._over.is_set() or not self._thread.ident:
            return
        self._over.set()
        self._thread.join(RENEW_SECONDS)
        found = self._kube.get(LEASE, LEASE_NAME, self._namespace)
        if found is not None and found["spec"].get("holderIdentity") == self._holder:
            with contextlib.suppress(ApiError):
                self._kube.delete(LEASE, LEASE_NAME, self._namespace)

    def _keep(self) -> None:
        failures = 0
        while not self._over.wait(RENEW_SECONDS):
            try:
                if self._kube.get(CONFIG_MAP, STOP, self._namespace) is not None:
                    self._lost(WorldError(stopped(self._namespace)))
                    return
                if _holder(self._kube.get(LEASE, LEASE_NAME, self._namespace)) != self._holder:
                    self._lost(WorldError(f"the lease of namespace {self._namespace} was taken by somebody else"))
                    return
                self._kube.patch(LEASE, LEASE_NAME, {"spec": self._spec()}, self._namespace)
                failures = 0
            except ApiError as error:
                failures += 1
                if failures * RENEW_SECONDS >= LEASE_SECONDS:
                    self._lost(WorldError(f"the lease of the drill could not be renewed: {error}"))
                    return

    def _spec(self) -> Object:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"holderIdentity": self._holder, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}


def _holder(found: Object | None) -> str:
    """Who has a lease that has not run out."""
    if found is None:
        return ""
    spec = found.get("spec", {})
    try:
        renewed = datetime.datetime.fromisoformat(spec["renewTime"])
        age = (datetime.datetime.now(datetime.UTC) - renewed).total_seconds()
    except (KeyError, ValueError):
        return ""
    return str(spec.get("holderIdentity", "")) if age < spec.get("leaseDurationSeconds", LEASE_SECONDS) else ""
