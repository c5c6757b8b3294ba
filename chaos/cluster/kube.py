"""The Kubernetes API as a drill needs it: objects are plain mappings, writes are repeated until they are accepted.

The official client brings authentication, TLS and connections; its typed classes are left out, since one small set of
verbs does for every kind. All calls block and are safe in threads; the harness calls them by `asyncio.to_thread`.

Repeated are 429 and 5xx (as long as the server asks for), lost connections, and a PATCH that met a conflict. That is
harmless: names are ours, patches are absolute, and a create that was heard twice answers 409.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from chaos.cluster.kinds import NAMESPACE, Kind
from chaos.world import WorldError

FIELD_MANAGER: Final = "rolloutlab"
REQUEST_SECONDS: Final = 10.0  #: of one try
_TRIES: Final = 5
_CONFLICT: Final = 409
Object: TypeAlias = dict[str, Any]


class ApiError(WorldError):
    """The API server refused: `status` is the HTTP status (0: it was not reached), the text says what and why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Retry(urllib3.Retry):
    """429 and 5xx for every verb; a conflict only where the patch is absolute."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        if status_code == _CONFLICT:
            return method == "PATCH"
        return bool(super().is_retry(method, status_code, has_retry_after))


class Kube:
    """One cluster, as one account.

    Args:
        kubeconfig: a file; None: as kubectl finds it, or the account of the pod that this runs in.
        context: of the file; None: its current one.

    Attributes worth reading: `server` (URL), `context`.

    Raises:
        WorldError: there is no such file or context.
    """

    def __init__(self, kubeconfig: str | None = None, context: str | None = None) -> None:
        settings = client.Configuration()
        try:
            load: Any = config.load_config  # the client's loaders carry no types
            load(config_file=kubeconfig, context=context, client_configuration=settings)
        except (ConfigException, OSError, ValueError) as error:
            where = kubeconfig or "the default kubeconfig"
            raise WorldError(f"{where}: {error}; `kubectl config get-contexts` lists contexts") from None
        settings.retries = _Retry(
            total=_TRIES,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None,
            backoff_factor=0.1,
            backoff_max=2.0,
            raise_on_status=False,
        )
        self.server: str = settings.host
        self.context = context or ""
        self._client = client.ApiClient(settings)

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
        return self.request("GET", kind.path(namespace), labelSelector=labels, fieldSelector=fields)

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
    ) -> bool:
        """Ask for the end of an object; false when there is none.

        Args:
            wait: dependants go first, and the object stays so long.
        """
        body: Object = {"propagationPolicy": "Foreground" if wait else "Background"}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        try:
            self.request("DELETE", kind.path(namespace, name), body)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content: str = "application/json",
        **query: str,
    ) -> Object:
        """One request whose answer is JSON.

        Raises:
            ApiError: the server refused, or was not reached.
        """
        response = self._send(method, path, body, content, query, timeout=REQUEST_SECONDS)
        found: Object = json.loads(response.data or b"{}")
        return found

    def text(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, seconds: float = 5.0) -> bytes:
        """One request whose answer is not JSON: logs, or what a pod answers through the API server's proxy."""
        data: bytes = self._send(method, path, body, "application/json", {}, timeout=seconds).data
        return data

    def watch(
        self, kind: Kind, namespace: str | None, *, since: str, labels: str = "", seconds: int
    ) -> Iterator[Object]:
        """Changes after a resource version, until the server ends the watch after `seconds`.

        A connection that was dropped without a word is noticed some two seconds after the watch should have ended.

        Raises:
            ApiError: 410 when the version is too old (list again); 0 when the connection was lost.
        """
        query = {"watch": "true", "resourceVersion": since, "labelSelector": labels, "timeoutSeconds": str(seconds)}
        response = self._send(
            "GET", kind.path(namespace), None, "application/json", query, timeout=seconds + 2.0, stream=True
        )
        rest = b""
        try:
            for part in response.stream(amt=None, decode_content=False):
                *lines, rest = (rest + part).split(b"\n")
                yield from (_event(line) for line in lines if line)
        except (HTTPError, OSError) as error:
            raise ApiError(0, f"{self.server}: the watch of {kind.plural} was lost: {error}") from None
        finally:
            response.close()
            response.release_conn()

    # -- facts ----------------------------------------------------------------------------------------------------

    def version(self) -> str:
        """The server's own, as `v1.35.4`."""
        return str(self.request("GET", "/version")["gitVersion"])

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

    # -- the wire -------------------------------------------------------------------------------------------------

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        content: str,
        query: Mapping[str, str],
        *,
        timeout: float,
        stream: bool = False,
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": content, "User-Agent": FIELD_MANAGER}
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        asked = urlencode({name: value for name, value in query.items() if value})
        url = f"{self.server}{path}{'?' + asked if asked else ''}"
        try:
            response = self._client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body),
                headers=headers,
                timeout=urllib3.Timeout(connect=3.0, read=timeout),
                preload_content=not stream,
            )
        except (HTTPError, OSError) as error:
            raise ApiError(0, f"the API server {self.server} is not reached: {_plain(error)}") from None
        if response.status >= 400:
            data = response.read() if stream else response.data
            response.release_conn()
            raise ApiError(response.status, f"{method} {path}: {_message(data, response.status)}")
        return response


def _event(line: bytes) -> Object:
    found: Object = json.loads(line)
    if found["type"] == "ERROR":
        raise ApiError(int(found["object"].get("code", 0)), str(found["object"].get("message", "watch failed")))
    return found


def _message(data: bytes, status: int) -> str:
    """What the server says; it is a stranger's text, so it is bounded."""
    try:
        return str(json.loads(data)["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return f"{status} {data.decode(errors='replace').strip()[:200]}"


def _plain(error: BaseException) -> str:
    """The innermost reason of a failed connection."""
    reason = getattr(error, "reason", None)
    return _plain(reason) if isinstance(reason, BaseException) else str(error).split(": ", 1)[-1]
