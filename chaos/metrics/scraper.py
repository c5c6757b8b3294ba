"""Our own scraper: every target at every interval of scenario time, into a `LiveStore`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from chaos.clock import MICROSECONDS, LiveClock
from chaos.metrics.store import LiveStore
from strategies.metrics.series import NAME

LONGEST: Final = 4 << 20  #: bytes of one scrape
TIMEOUT_SECONDS: Final = 1.0  #: real time of one scrape


@dataclass(frozen=True, slots=True)
class Target:
    """What is scraped."""

    name: str
    url: str
    own: Mapping[str, str] = field(default_factory=dict)  #: its labels, such as `instance`


Fetch = Callable[[Target], Awaitable[bytes]]
Relabel = Callable[[Target, Mapping[str, str]], Mapping[str, str] | None]


class Scraper:
    """Scrapes until it is cancelled.

    Args:
        targets: asked before each round, since pods come and go.
        blind: while it answers true, no scrape happens (an injected outage of the metrics).
        relabel: what is made of the labels of a sample of a target; None: it is dropped.
        fetch: what a target answers; None: a GET of its URL. ValueError, OSError or TimeoutError: it failed.

    Attributes worth reading: `store`, `rounds_us` (scenario times of the rounds), `failures`.
    """

    def __init__(
        self,
        clock: LiveClock,
        interval_seconds: float,
        targets: Callable[[], list[Target]],
        *,
        blind: Callable[[], bool] = lambda: False,
        relabel: Relabel | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self.clock, self.interval_seconds, self.targets, self.blind = clock, interval_seconds, targets, blind
        self._fetch, self._relabel = fetch, relabel
        self.store = LiveStore()
        self.failures = 0
        self.rounds_us: list[int] = []
        self._known: dict[str, Target] = {}

    async def run(self) -> None:
        """Scrape at multiples of the interval; a round that takes longer than it delays the next, as in Prometheus."""
        step_us = round(self.interval_seconds * MICROSECONDS)
        limit = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=limit) as session:
            while True:
                due_us = (self.clock.now_us() // step_us + 1) * step_us
                await self.clock.sleep((due_us - self.clock.now_us()) / MICROSECONDS)
                if not self.blind():
                    await self.round(session)

    async def round(self, session: aiohttp.ClientSession) -> None:
        """Scrape all targets at once."""
        targets = {target.name: target for target in self.targets()}
        for name in self._known.keys() - targets.keys():
            self.store.gone(name, self._now_ms(), own=self._known[name].own)
        self._known = targets
        await asyncio.gather(*(self._one(session, target) for target in targets.values()))
        self.rounds_us.append(self.clock.now_us())

    async def _one(self, session: aiohttp.ClientSession, target: Target) -> None:
        at_ms = self._now_ms()
        try:
            raw = await (_got(session, target) if self._fetch is None else self._fetch(target))
            if len(raw) > LONGEST:
                raise ValueError(f"expected at most {LONGEST} bytes")
            self.store.scraped(target.name, at_ms, self._kept(target, raw.decode()), own=target.own)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            self.failures += 1
            self.store.failed(target.name, at_ms, own=target.own)

    def _kept(self, target: Target, text: str) -> Iterator[tuple[Mapping[str, str], float]]:
        for labels, value in samples(text):
            kept = labels if self._relabel is None else self._relabel(target, labels)
            if kept is not None:
                yield kept, value

    def _now_ms(self) -> int:
        return self.clock.now_us() // 1000


async def _got(session: aiohttp.ClientSession, target: Target) -> bytes:
    async with session.get(target.url) as response:
        response.raise_for_status()
        raw = await response.content.read(LONGEST + 1)
        while len(raw) <= LONGEST and (more := await response.content.read(LONGEST)):
            raw += more
        return raw


def samples(text: str) -> Iterator[tuple[dict[str, str], float]]:
    """Label sets (with `__name__`) and values of Prometheus' text format.

    >>> list(samples('hits_total{code="200"} 3\\n'))
    [({'__name__': 'hits_total', 'code': '200'}, 3)]

    Raises:
        ValueError: it is something else.
    """
    # without the comments that say the type: of a counter the parser would change the name to end in _total
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("#")) + "\n"
    for family in text_string_to_metric_families(bare):
        for sample in family.samples:
            yield {NAME: sample.name, **sample.labels}, sample.value
