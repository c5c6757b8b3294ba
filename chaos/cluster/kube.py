"""The Kubernetes API as a drill needs it: objects are plain mappings, writes are repeated until they are accepted.

The official client brings authentication, TLS and connections; its typed classes are left out, since one small set of
verbs does for every kind. All calls block and are safe in threads; the harness calls them by `asyncio.to_thread`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from chaos.cluster.kinds import NAMESPACE, Kind
from chaos.cluster.wire import FIELD_MANAGER, LONGEST_WORDS, Wire
from chaos.cluster.wire import ApiError as ApiError
from chaos.cluster.wire import Object as Object

AWAY: Final = (0, 429, 500, 502, 503, 504)  #: status of a server that is not there, for a while perhaps
SILENCE_SECONDS: Final = 2.0  #: that the end of a watch may be late before it counts as lost


class Kube(Wire):
    """One cluster, as one account.

    Args:
        kubeconfig: a file; None: as kubectl finds it, or the account of the pod that this runs in.
        context: of the file; None: its current one.

    Attributes worth reading: `server` (URL), `kubeconfig` (absolute; None in a pod), `context`.

    Raises:
        WorldError: there is no such file or context.
    """

    # -- verbs ----------------------------------------------------------------------------------------------------

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """One object, None when there is none."""
        try:
            return self.request("GET", kind.path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Object:
        """All objects of a kind that the selectors match: the list, with `items` and `metadata.resourceVersion`."""
        path = kind.path(namespace)
        found = self.request("GET", path, labelSelector=labels, fieldSelector=fields)
        items = found.get("items")
        if not isinstance(items, list) and ("items" not in found or items is not None):
            raise self.stranger(f"GET {path}")
        return {**found, "items": items or []}

    def create(self, kind: Kind, body: Mapping[str, Any], namespace: str | None = None, **query: str) -> Object:
        """Make a new object; 409 when its name is taken."""
        return self.request("POST", kind.path(namespace), body, **{"fieldManager": FIELD_MANAGER, **query})

    def apply(self, kind: Kind, body: Mapping[str, Any], namespace: str | None = None, **query: str) -> Object:
        """Server-side apply under our field manager: what the body says is so afterwards, all else stays."""
        whole = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        path = kind.path(namespace, body["metadata"]["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true", **query}
        return self.request("PATCH", path, whole, content="application/apply-patch+yaml", **query)

    def patch(
        self, kind: Kind, name: str, body: Mapping[str, Any], namespace: str | None = None, *, part: str | None = None
    ) -> Object:
        """Merge a patch (RFC 7386: null removes); of `part` (`scale`, `status`) where one is named."""
        path = kind.path(namespace, name, part)
        return self.request("PATCH", path, body, content="application/merge-patch+json", fieldManager=FIELD_MANAGER)

    def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        grace_seconds: int | None = None,
        wait: bool = False,
        version: str | None = None,
    ) -> bool:
        """Ask for the end of an object; false when there is none.

        Args:
            wait: dependants go first, and the object stays so long.
            version: only if it still has this resourceVersion; else 409.
        """
        body: Object = {"propagationPolicy": "Foreground" if wait else "Background"}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        if version is not None:
            body["preconditions"] = {"resourceVersion": version}
        try:
            self.request("DELETE", kind.path(namespace, name), body)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def watch(
        self, kind: Kind, namespace: str | None, *, since: str, labels: str = "", seconds: int
    ) -> Iterator[Object]:
        """Changes after a resource version, until the server ends the watch after `seconds`.

        A connection that was dropped without a word is noticed `SILENCE_SECONDS` after the watch should have ended.

        Raises:
            ApiError: 410 when the version is too old (list again); 0 when the connection was lost.
        """
        what = f"the watch of {kind.plural}"
        query = {"watch": "true", "resourceVersion": since, "labelSelector": labels, "timeoutSeconds": str(seconds)}
        for found in self.lines(kind.path(namespace), query, what, seconds=seconds + SILENCE_SECONDS):
            about = found.get("object")
            if "type" not in found or not isinstance(about, dict):
                raise self.stranger(what)
            if found["type"] == "ERROR":
                said = str(about.get("message", "it failed"))[:LONGEST_WORDS]
                code = about.get("code")
                raise ApiError(code if isinstance(code, int) else 0, f"{what}: {said}")
            yield found

    # -- facts ----------------------------------------------------------------------------------------------------

    def version(self) -> str:
        """The server's own, as `v1.35.4`."""
        found = self.request("GET", "/version")
        if "gitVersion" not in found:
            raise self.stranger("GET /version")
        return str(found["gitVersion"])

    def identity(self) -> str:
        """What tells this cluster from all others: the uid of its namespace kube-system."""
        found = self.get(NAMESPACE, "kube-system")
        return str(found["metadata"]["uid"]) if found is not None else ""

    def serves(self, kind: Kind) -> bool:
        """The server knows this kind."""
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        try:
            found = self.request("GET", root)
        except ApiError as error:
            if error.status in (403, 404):
                return False
            raise
        return any(each["name"] == kind.plural for each in found.get("resources", ()))
