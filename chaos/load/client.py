"""One request over HTTP/1.1 and what became of it, as a record of the traffic log."""

from __future__ import annotations

import asyncio
import time
from typing import Final, Self

import aiohttp
from yarl import URL

from chaos.load.arrivals import Carriers
from chaos.load.config import Load
from chaos.load.log import REASONS, REVISIONS, TrafficWriter

LARGEST_BODY: Final = 1 << 20  #: bytes of an answer that are read
TIMEOUT, REFUSED, LOST, MALFORMED, NO_CONNECTION, ENDED, NOT_SENT = range(1, len(REASONS))
_REVISION: Final = {name: code for code, name in enumerate(REVISIONS)}


def now_us() -> int:
    """Microseconds of the monotonic clock."""
    return time.monotonic_ns() // 1000


class Client:
    """Sends requests and writes what became of each into the log: one record for each, whatever happens."""

    def __init__(self, load: Load, log: TrafficWriter, carriers: Carriers | None, began_us: int) -> None:
        host = f"[{load.host}]" if ":" in load.host else load.host
        self._url = URL(f"http://{host}:{load.port}{load.path}", encoded=True)
        self._timeout_us = round(load.timeout_seconds * 1e6)
        self._keeps_cookies = load.users is not None and load.users.keep_cookies
        self._log, self._carriers = log, carriers
        self._version_header = load.version_header or "x-version"
        self._tells_revision = not load.version_header
        self._learn_until_us = began_us + round(load.learn_seconds * 1e6)
        self._stable: set[str] = set()
        self._kept = _session(load, fresh=False)
        self._fresh = _session(load, fresh=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kept.close()
        await self._fresh.close()

    async def send(self, intended_us: int, user: int, fresh: bool) -> None:
        """Send one request, and wait for its end."""
        sent_us = now_us()
        status = reason = revision = 0
        version = pod = b""
        try:
            session = self._fresh if fresh else self._kept
            headers = None if self._carriers is None else self._carriers.headers(user)
            async with asyncio.timeout((intended_us + self._timeout_us - sent_us) / 1e6):
                async with session.get(self._url, headers=headers, allow_redirects=False) as response:
                    found = response.headers
                    if not await _read(response):
                        reason = MALFORMED
                    else:
                        status = response.status
                    name = found.get(self._version_header, "")
                    own = found.get("x-revision", "") if self._tells_revision else self._learned(name, intended_us)
                    revision, version = _REVISION.get(own, 0), name.encode("ascii", "replace")
                    pod = found.get("x-pod", "").encode("ascii", "replace")
                    if self._keeps_cookies and self._carriers is not None and response.cookies:
                        self._carriers.learn(user, {name: each.value for name, each in response.cookies.items()})
        except TimeoutError:
            reason = TIMEOUT
        except asyncio.CancelledError:
            reason = ENDED  # the only one who cancels is the end of the run; this is how the task ends
        except (aiohttp.ClientError, OSError) as error:
            reason = _reason(error)
        record = (intended_us, sent_us, now_us(), user, status, reason, revision, fresh, version, pod)
        self._log.add(*record)

    def _learned(self, version: str, intended_us: int) -> str:
        """The revision of a version: those that were there from the beginning are stable."""
        if version and intended_us < self._learn_until_us:
            self._stable.add(version)
        if not version:
            return ""
        return "stable" if version in self._stable else "canary"

    def not_sent(self, intended_us: int, user: int, fresh: bool) -> None:
        """Record a request for which there was no time any more."""
        end_us = now_us()
        self._log.add(intended_us, end_us, end_us, user, 0, NOT_SENT, 0, fresh, b"", b"")


def _session(load: Load, *, fresh: bool) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=fresh),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=load.headers,
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        trust_env=False,
    )
    # A client that quietly sends again what failed on a connection that was kept alive would hide the failure. There is
    # no public switch; the library's own test client sets the same attribute.
    session._retry_connection = False
    return session


async def _read(response: aiohttp.ClientResponse) -> bool:
    """Read the body; false when it is larger than anybody has asked for."""
    length = response.content_length
    if length is not None and length <= LARGEST_BODY:
        await response.read()
        return True
    total = 0
    async for piece in response.content.iter_any():
        total += len(piece)
        if total > LARGEST_BODY:
            response.close()
            return False
    return True


def _reason(error: aiohttp.ClientError | OSError) -> int:
    if isinstance(error, ConnectionRefusedError):
        return REFUSED
    if isinstance(error, aiohttp.ClientConnectorError):
        return REFUSED if isinstance(error.os_error, ConnectionRefusedError) else NO_CONNECTION
    if isinstance(error, ConnectionError | aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return LOST
    if isinstance(error, aiohttp.ClientPayloadError):
        return LOST  # the answer ended before its end
    return MALFORMED if isinstance(error, aiohttp.ClientError) else NO_CONNECTION
