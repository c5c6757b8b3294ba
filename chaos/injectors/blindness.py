"""Metrics that are not there: the strategy sees what it saw before, and then nothing."""

from __future__ import annotations

import time
from typing import Protocol

from chaos.faults.plan import FaultPlan
from chaos.injectors.knobs import targets_of
from chaos.injectors.protocol import Targets
from chaos.timeline import Moment
from chaos.world import WorldError


class Blindable(Protocol):
    """A world that measures by itself; while `blind` is true nothing is scraped."""

    blind: bool


class MetricsBlindness:
    """No scrape happens: the strategy sees what it saw before, and then nothing."""

    def __init__(self, plan: FaultPlan, world: Blindable) -> None:
        self._fault, self._world = plan, world
        self._injected: Moment | None = None

    def plan(self) -> Targets:
        """See `FaultInjector`."""
        return targets_of(self._fault, "scraper", "no scrape succeeds")

    async def inject(self) -> None:
        """See `FaultInjector`."""
        self._world.blind = True
        now = time.monotonic()
        self._injected = self._injected or Moment(now, now)

    async def await_injected(self) -> Moment:
        """See `FaultInjector`."""
        if self._injected is None:
            raise WorldError("blind metrics were not asked for")
        return self._injected

    async def ensure(self) -> list[str]:
        """See `FaultInjector`: there is one scraper."""
        return []

    async def recover(self) -> None:
        """See `FaultInjector`."""
        self._world.blind = False

    async def await_recovered(self) -> list[str]:
        """See `FaultInjector`."""
        return []

    async def sweep(self) -> list[str]:
        """See `FaultInjector`."""
        return []

    def capabilities(self) -> frozenset[str]:
        """See `FaultInjector`."""
        return frozenset({"blind"})
