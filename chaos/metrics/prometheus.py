"""Questions of a strategy, sent to a real Prometheus (or what speaks its HTTP API)."""

from __future__ import annotations

import http.client
import json
import math
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from chaos.metrics.answers import families_of, text_of
from scenarios.schema import Metrics
from strategies.effects import Ask, CountsQuery, Measured, PromQuery, Query

TOKEN: Final = "ROLLOUTLAB_METRICS_TOKEN"  #: environment variable: a bearer token, if one is needed
SECONDS: Final = 5.0  #: of one query
LONGEST: Final = 4 << 20  #: bytes of one answer


def check_url(url: str) -> None:
    """ValueError for what is no address of a Prometheus, or holds a secret: it stands in the journal."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"expected the URL of a Prometheus such as http://10.0.0.1:9090, got {url!r:.100}")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"expected no password in the URL: give a token in the environment variable {TOKEN}")


class Prometheus:
    """Answers as `chaos.metrics.answers.answer` does; evaluation is Prometheus' own, in real time.

    An answer that cannot be had is no exception: `Measured.error` says why, as an analysis expects it.

    Args:
        silent: hears why a question was not answered at all; one that Prometheus refuses was answered.
    """

    def __init__(self, url: str, metrics: Metrics, *, silent: Callable[[str], None] = lambda reason: None) -> None:
        check_url(url)
        self._url, self._families, self._silent = url.rstrip("/"), families_of(metrics), silent
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def answer(self, ask: Ask, at_seconds: float) -> Measured:
        """The answer now; `at_seconds` is scenario time, for windows that begin with the rollout."""
        try:
            if isinstance(ask, CountsQuery):
                return Measured(at_seconds, None, result=await self._counts(max(1, math.ceil(at_seconds))))
            found = await self._ask(ask.text if isinstance(ask, PromQuery) else text_of(ask, self._families))
            if not isinstance(found, list):
                return Measured(at_seconds, found, result=found)
            first = found[0] if found else None
            if isinstance(ask, PromQuery) or first is None:
                return Measured(at_seconds, first, result=found if isinstance(ask, PromQuery) else None)
            return Measured(at_seconds, first, *(await self._evidence(ask)))
        except _Silence as error:
            self._silent(str(error))
            return Measured(at_seconds, None, error=str(error))
        except _NoAnswer as error:
            return Measured(at_seconds, None, error=str(error))

    async def _counts(self, seconds: int) -> list[int]:
        found = []
        for revision in ("canary", "stable"):
            found += [
                await self._grown(revision, seconds, failed=False),
                await self._grown(revision, seconds, failed=True),
            ]
        return found

    async def _evidence(self, ask: Query) -> tuple[int, int]:
        seconds = max(1, round(ask.window_seconds))
        return (
            await self._grown(ask.revision, seconds, failed=False),
            await self._grown(ask.revision, seconds, failed=True),
        )

    async def _grown(self, revision: str, seconds: int, *, failed: bool) -> int:
        """Responses of a window, as `increase` extrapolates them."""
        families = self._families
        matchers = [] if revision == "all" else [f'{families.revision}="{revision}"']
        matchers += [f'{families.code}=~"5.."'] if failed else []
        found = await self._ask(f"sum(increase({families.counts}{{{','.join(matchers)}}}[{seconds}s]))")
        number = found[0] if isinstance(found, list) and found else 0.0
        return round(number) if isinstance(number, float) and math.isfinite(number) else 0

    async def _ask(self, text: str) -> float | list[float]:
        """The numbers of a vector in their order, or the one of a scalar."""
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=_head(), timeout=aiohttp.ClientTimeout(total=SECONDS))
        try:
            asking = self._session.post(f"{self._url}/api/v1/query", data={"query": text}, allow_redirects=False)
            async with asking as response:
                raw = await response.content.read(LONGEST + 1)
                while len(raw) <= LONGEST and (more := await response.content.read(LONGEST)):
                    raw += more
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
            raise _Silence(f"{self._url}: {why or 'no answer in time'}") from None
        return self._read(raw, response.status)

    def _read(self, raw: bytes, status: int) -> float | list[float]:
        try:
            told: Any = json.loads(raw) if len(raw) <= LONGEST else None
            if told["status"] != "success":
                raise _NoAnswer(f"{self._url}: {str(told.get('error', 'failed'))[:300]}")
            data = told["data"]
            if data["resultType"] == "scalar":
                return float(data["result"][1])
            if data["resultType"] == "vector":
                return [float(each["value"][1]) for each in data["result"]]
            raise _NoAnswer(f"{self._url}: expected a vector or a scalar, got a {str(data['resultType'])[:40]}")
        except (ValueError, KeyError, TypeError, IndexError):
            raise _Silence(f"{self._url}: answered {status} with what is no answer of a Prometheus") from None


class _NoAnswer(Exception):
    """The question has no answer; the text says why."""


class _Silence(_NoAnswer):
    """Nobody answered who could have."""


def unanswered(url: str, *, seconds: float = SECONDS) -> str:
    """Why a Prometheus does not answer now, in words; empty: it does. Blocks."""
    asking = urllib.request.Request(f"{url.rstrip('/')}/api/v1/query?query=vector(1)", headers=_head())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)
    try:
        with opener.open(asking, timeout=seconds) as response:
            told = json.loads(response.read(LONGEST))
    except urllib.error.HTTPError as error:
        return f"it answers {error.code} {error.reason}"
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return str(getattr(reason, "strerror", None) or reason or "no answer in time")
    except ValueError:
        told = None
    return "" if isinstance(told, dict) and told.get("status") == "success" else "it answers as no Prometheus does"


class _Stay(urllib.request.HTTPRedirectHandler):
    """Nothing, and no token, is sent to where an answer points."""

    def redirect_request(self, *_: Any) -> None:
        """No redirect is followed: it is the answer."""


def _head() -> dict[str, str]:
    token = os.environ.get(TOKEN)
    return {"Authorization": f"Bearer {token}"} if token else {}
