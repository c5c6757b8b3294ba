"""The wire to an API server: one request after the other as one account, repeated until it is heard.

Repeated are 429 and 5xx (after the time that the server asks for, within bounds), lost connections, and a PATCH that
met a conflict. That is harmless: names are ours, patches are absolute, and a create that was heard twice answers 409.
No redirect is followed: nothing is sent to where an answer points.
"""

from __future__ import annotations

import copy
import email.utils
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self, TypeAlias
from urllib.parse import parse_qsl, urlencode

import urllib3
from kubernetes import client
from urllib3.exceptions import HTTPError

from chaos.cluster.kubeconfig import account
from chaos.world import WorldError

FIELD_MANAGER: Final = "rolloutlab"
LONGEST_WORDS: Final = 500  #: characters of what a server says
REQUEST_SECONDS: Final = 10.0  #: of one try
HASTY_SECONDS: Final = 5.0  #: of the only try of a hasty one
LONGEST: Final = 4 << 20  #: bytes of an answer that is not JSON
_TRIES: Final = 5
_LONGEST_WAIT_SECONDS: Final = 5.0  #: between two tries, whatever the server asks for
_LONGEST_ERROR: Final = 1 << 16  #: bytes that are read of an answer that says no
_SKEW_SECONDS: Final = 2.0  #: a difference of the clocks below this is the coarseness of the header that tells it
_CONFLICT: Final = 409
_OUT_OF_TIME: Final = (9, 10)  #: X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_UNKNOWN_ACCOUNT: Final = 401
Object: TypeAlias = dict[str, Any]


class ApiError(WorldError):
    """The API server refused: `status` is the HTTP status (0: it was not reached), the text says what and why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Retry(urllib3.Retry):
    """429 and 5xx for every verb, soon; a conflict only where the patch is absolute."""

    def get_retry_after(self, response: Any) -> float | None:
        asked: float | None = super().get_retry_after(response)
        return None if asked is None else min(asked, _LONGEST_WAIT_SECONDS)

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        if status_code == _CONFLICT:
            return method == "PATCH"
        return bool(super().is_retry(method, status_code, has_retry_after))


class Wire:
    """See `Kube`, which adds the verbs."""

    def __init__(self, kubeconfig: str | None = None, context: str | None = None) -> None:
        found = account(kubeconfig, context)
        settings = found.settings
        self._retries: Any = _Retry(
            total=_TRIES,
            redirect=0,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None,
            backoff_factor=0.1,
            backoff_max=2.0,
            raise_on_status=False,
        )
        self._seconds = REQUEST_SECONDS
        self._clock = {"skew": 0.0}  #: seconds that the server's clock is ahead; one of all copies
        self.server: str = settings.host
        self.kubeconfig, self.context = found.file, found.context
        self._client = client.ApiClient(settings)

    def hasty(self, seconds: float = HASTY_SECONDS) -> Self:
        """The same account, but each request is tried once: for callers that ask again by themselves."""
        found = copy.copy(self)
        found._retries, found._seconds = False, seconds
        return found

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
        response = self._send(method, path, body, content, query, timeout=self._seconds)
        return self._object(response.data or b"{}", f"{method} {path}")

    def text(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        seconds: float = 5.0,
        host: str = "",
    ) -> bytes:
        """One request whose answer is not JSON: logs, or what a pod answers through the API server's proxy.

        It is tried once: a pod that fails is news, not something to be tried away.

        Args:
            host: for whom it is meant; the API server hands this on to the pod as it stands.
        """
        query, _, asked = path.partition("?")
        response = self.hasty()._send(
            method, query, body, "application/json", dict(parse_qsl(asked)), timeout=seconds, stream=True, host=host
        )
        return self._bounded(response, path)

    def lines(self, path: str, query: Mapping[str, str], what: str, *, seconds: float) -> Iterator[Object]:
        """One request whose answer is a stream of JSON lines, as of a watch; tried once.

        Args:
            what: names it in messages.
            seconds: of silence after which it counts as lost.
        """
        response = self.hasty()._send("GET", path, None, "application/json", query, timeout=seconds, stream=True)
        rest = b""
        try:
            for part in response.stream(amt=None, decode_content=False):
                *lines, rest = (rest + part).split(b"\n")
                yield from (self._object(line, what) for line in lines if line)
        except (HTTPError, OSError) as error:
            raise ApiError(0, f"{self.server}: {what} was lost: {_plain(error)}") from None
        finally:
            response.close()
            response.release_conn()

    def now(self) -> float:
        """Epoch seconds by the server's clock: what all machines that use this cluster agree on."""
        return time.time() + self._clock["skew"]

    @property
    def skew_seconds(self) -> float:
        """How far the server's clock is ahead of this machine's, as its last answer told; 0 when about the same."""
        return self._clock["skew"]

    # -- one request --------------------------------------------------------------------------------------------------

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
        host: str = "",
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": content, "User-Agent": FIELD_MANAGER}
        if host:
            headers["Host"] = host
        url = f"{self.server}{path}{'?' + asked if (asked := _encoded(query)) else ''}"
        try:
            self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            response = self._client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body),
                headers={name: value.strip() for name, value in headers.items()},  # a token's file ends with a newline
                timeout=urllib3.Timeout(connect=3.0, read=timeout),
                retries=self._retries,
                redirect=False,
                preload_content=not stream,
            )
        except (HTTPError, OSError) as error:
            raise ApiError(0, f"the API server {self.server} is not reached: {_plain(error)}") from None
        except ValueError:  # of http.client, which repeats the header in its words
            raise ApiError(
                0, f"{method} {path}: the credentials of this account cannot be sent: not a header"
            ) from None
        self._hear(response.headers.get("Date"))
        if response.status >= 300:
            data = self._bounded(response, path, _LONGEST_ERROR) if stream else response.data[:_LONGEST_ERROR]
            raise ApiError(response.status, f"{method} {path}: {self._refusal(data, response)}")
        return response

    def _refusal(self, data: bytes, response: Any) -> str:
        if response.status < 400:
            return f"{response.status}: it points elsewhere, which is not followed; is {self.server} the API server?"
        said = _message(data, response.status)
        if response.status == _UNKNOWN_ACCOUNT:
            who = f"context {self.context}" if self.context else "this pod"
            return f"{said}: the credentials of {who} are not accepted; do they still work with kubectl?"
        return said

    def _hear(self, date: str | None) -> None:
        """What time the server says it is."""
        try:
            told = email.utils.parsedate_to_datetime(date or "").timestamp()
        except (ValueError, TypeError):
            return
        ahead = told + 0.5 - time.time()
        if abs(ahead) < _SKEW_SECONDS:
            self._clock["skew"] = 0.0
        elif abs(ahead - self._clock["skew"]) > _SKEW_SECONDS:  # else its rounding would make the time jump
            self._clock["skew"] = ahead

    def _bounded(self, response: Any, path: str, most: int = LONGEST) -> bytes:
        """The body of a streamed answer, which is given up where it is too long."""
        try:
            data: bytes = response.read(most + 1, decode_content=True)
            while len(data) <= most and (more := response.read(most, decode_content=True)):
                data += more
        except (HTTPError, OSError) as error:
            raise ApiError(0, f"{path}: the answer was cut short: {_plain(error)}") from None
        finally:
            response.close()
            response.release_conn()
        if len(data) > most and response.status < 300:
            raise ApiError(0, f"{path}: the answer is longer than {most} bytes")
        return data[:most]

    def _object(self, data: bytes, what: str) -> Object:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self.stranger(what)
        return found

    def stranger(self, what: str) -> ApiError:
        """An answer that no API server gives."""
        return ApiError(0, f"{self.server} does not answer {what} as a Kubernetes API server does; is it one?")


def _encoded(query: Mapping[str, str]) -> str:
    return urlencode({name: value for name, value in query.items() if value})


def _message(data: bytes, status: int) -> str:
    """What the server says; it is a stranger's text, so it is bounded."""
    try:
        return str(json.loads(data)["message"])[:LONGEST_WORDS]
    except (ValueError, KeyError, TypeError, RecursionError):
        words = " ".join(data.decode(errors="replace").split())
        return f"{status} {words[:200]}".strip()


def _plain(error: BaseException) -> str:
    """The innermost reason of a failed connection, for a person."""
    for each in (getattr(error, "reason", None), *error.args, error.__cause__):
        if isinstance(each, BaseException):
            return _plain(each)
    if isinstance(error, ssl.SSLCertVerificationError):
        by_time = ": is the clock of this machine right?" if error.verify_code in _OUT_OF_TIME else ""
        return f"its certificate is not accepted, {error.verify_message}{by_time}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).split(": ", 1)[-1] or type(error).__name__
