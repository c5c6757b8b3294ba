"""What keeps a drill from hurting what it was not pointed at; every refusal says what would allow it.

A namespace must carry our label and must not look like one that matters; the cluster is the pinned one, where one is
pinned; nobody has pulled the kill switch; and no other drill holds the lease of the namespace. All times of a lease are
by the server's clock, since those of two machines may differ by more than it lasts.
"""

from __future__ import annotations

import datetime
import fnmatch
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from chaos.cluster.kinds import CONFIG_MAP, LEASE, NAMESPACE
from chaos.cluster.kube import ApiError, Kube, Object
from chaos.cluster.pod import ALLOWED
from chaos.cluster.settings import ClusterSettings
from chaos.world import WorldError

DENIED: Final = ("kube-*", "prod*", "*-prod", "*-production", "default")  #: namespaces in which no drill ever runs
STOP: Final = "rolloutlab-stop"  #: a ConfigMap of this name in the namespace stops drills and lets none begin
LEASE_NAME: Final = "rolloutlab-drill"
LEASE_SECONDS: Final = 45
RENEW_SECONDS: Final = 5.0
_ASK_SECONDS: Final = 5.0  #: that one request of the thread may take, besides as long to connect
#: without a renewal for so long a drill stops: before others may take the lease, whatever is still under way
_GIVE_UP_SECONDS: Final = LEASE_SECONDS - RENEW_SECONDS - 2 * _ASK_SECONDS
_TRIES: Final = 3
_CONFLICT: Final = 409


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
    if (wrong := another(kube, settings)) is not None:
        yield wrong
        return
    namespace = kube.get(NAMESPACE, name)
    if namespace is None:
        yield f"namespace {name} does not exist: `kubectl create namespace {name}`, then label it {ALLOWED}=true"
        return
    if "deletionTimestamp" in namespace["metadata"]:
        yield f"namespace {name} is being deleted; make it again when it is gone, or name another one with --namespace"
        return
    if (namespace["metadata"].get("labels") or {}).get(ALLOWED) != "true":
        yield f"namespace {name} is not for drills: `kubectl label namespace {name} {ALLOWED}=true` allows them"
    if kube.get(CONFIG_MAP, STOP, name) is not None:
        yield stopped(name)
    if running := holder(kube, name):
        yield f"drill {running} is running in namespace {name}: wait for its end, or `rolloutlab abort` it"


def another(kube: Kube, settings: ClusterSettings) -> str | None:
    """Why this is not the cluster that is pinned, in words; None: it is, or none is pinned."""
    if not settings.identity:
        return None
    found = kube.identity()
    if found == settings.identity:
        return None
    return (
        f"this cluster ({kube.server}) has identity {found or 'unknown'}, pinned is {settings.identity}: "
        f"is it the right context?"
    )


def holder(kube: Kube, namespace: str) -> str:
    """The drill that is running in a namespace, empty when none is."""
    return _holder(kube.get(LEASE, LEASE_NAME, namespace), kube.now())


def free(kube: Kube, namespace: str, drill: str) -> None:
    """Take the lease from a drill that is gone, which would keep others out until it runs out; blocks."""
    found = kube.get(LEASE, LEASE_NAME, namespace)
    if found is None or found.get("spec", {}).get("holderIdentity") != drill:
        return
    try:
        kube.delete(LEASE, LEASE_NAME, namespace, version=found["metadata"]["resourceVersion"])
    except ApiError as error:
        if error.status != _CONFLICT:  # else somebody else has it meanwhile
            raise


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
        self._renewed = 0.0  #: monotonic; before the request that last succeeded
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def take(self) -> None:
        """Take it; blocks.

        Raises:
            WorldError: another drill has it.
        """
        for _ in range(_TRIES):
            self._renewed = time.monotonic()
            found = self._kube.get(LEASE, LEASE_NAME, self._namespace)
            other = _holder(found, self._kube.now())
            if other not in ("", self._holder):
                raise WorldError(f"drill {other} has begun in namespace {self._namespace} meanwhile")
            if self._wrote(found):
                self._thread.start()
                return
        raise WorldError(f"the lease of namespace {self._namespace} cannot be had: others are after it as well")

    def _wrote(self, found: Object | None) -> bool:
        """Whether it is ours now: only one who saw the same version can write it."""
        body: Object = {"metadata": {"name": LEASE_NAME, "namespace": self._namespace}, "spec": self._spec()}
        try:
            if found is None:
                self._kube.create(LEASE, body, self._namespace)
            else:
                body["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
                self._kube.request("PUT", LEASE.path(self._namespace, LEASE_NAME), body)
        except ApiError as error:
            if error.status in (404, _CONFLICT):
                return False
            raise
        return True

    def let_go(self) -> bool:
        """Renew it no more, so that it runs out by itself; blocks. False: it was not held, or let go of before."""
        if self._over.is_set() or not self._thread.ident:
            return False
        self._over.set()
        self._thread.join(2 * _ASK_SECONDS + 1)
        return True

    def release(self) -> None:
        """Give it back; blocks, and may be called twice."""
        if self.let_go():
            free(self._kube, self._namespace, self._holder)

    def _keep(self) -> None:
        kube = self._kube.hasty(_ASK_SECONDS)
        while not self._over.wait(RENEW_SECONDS):
            try:
                problem = self._problem(kube)
            except (ApiError, AttributeError, KeyError, TypeError) as raised:  # or an answer of another shape
                error = raised if isinstance(raised, ApiError) else kube.stranger("GET of the lease")
                since = time.monotonic() - self._renewed
                if since < _GIVE_UP_SECONDS:
                    continue
                problem = f"the lease of the drill could not be renewed for {since:.0f} s: {error}"
            if problem:
                if not self._over.is_set():
                    self._lost(WorldError(problem))
                return

    def _problem(self, kube: Kube) -> str:
        """Renew it; why the drill must stop, empty when it need not."""
        namespace, asked = self._namespace, time.monotonic()
        if kube.get(CONFIG_MAP, STOP, namespace) is not None:
            return stopped(namespace)
        found = kube.get(LEASE, LEASE_NAME, namespace)
        if found is None:
            return f"somebody deleted the lease of namespace {namespace}"
        other = found.get("spec", {}).get("holderIdentity", "")
        if other != self._holder:
            return f"drill {other or 'unknown'} took the lease of namespace {namespace}"
        version = {"resourceVersion": found["metadata"]["resourceVersion"]}
        kube.patch(LEASE, LEASE_NAME, {"metadata": version, "spec": self._spec()}, namespace)
        self._renewed = asked
        return ""

    def _spec(self) -> Object:
        now = datetime.datetime.fromtimestamp(self._kube.now(), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"holderIdentity": self._holder, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}


def _holder(found: Object | None, now: float) -> str:
    """Who has a lease that has not run out."""
    spec = (found or {}).get("spec") or {}
    try:
        renewed = datetime.datetime.fromisoformat(spec["renewTime"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return ""
    lasts = spec.get("leaseDurationSeconds") or LEASE_SECONDS
    return str(spec.get("holderIdentity") or "") if now - renewed < lasts else ""
