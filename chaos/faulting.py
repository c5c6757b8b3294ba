"""All faults of a drill at work: bound to a world, put in place, kept in place, taken back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from chaos.clock import MICROSECONDS, LiveClock
from chaos.drill_events import Event, FaultDue, FaultInjected, FaultRefused
from chaos.faults import FaultPlan
from chaos.hearing import Hearing
from chaos.injectors import FaultInjector
from chaos.plan import Plan
from chaos.site import Site
from chaos.world import WorldError

_RECOVER_SECONDS: Final = 8.0  #: real time that one fault may take to be taken back


class Faulting:
    """Args: `post` takes the events of the state machine."""

    def __init__(self, plan: Plan, clock: LiveClock, hearing: Hearing, post: Callable[[Event], None]) -> None:
        self._plan, self._clock, self._hearing, self._post = plan, clock, hearing, post
        self._injectors: dict[int, FaultInjector] = {}

    def bind(self, site: Site) -> None:
        """Act at this site, whose stable pods run."""
        self._injectors = {each.number: site.injector(each) for each in self._plan.faults}

    async def due(self, fault: FaultPlan) -> None:
        """Say when the time of a fault has come."""
        await self._clock.sleep(max(0.0, fault.from_seconds - self._clock.now_us() / MICROSECONDS))
        self._post(FaultDue(at=time.monotonic(), fault=fault.number))

    async def inject(self, number: int, since: float) -> None:
        """Put a fault in place, and take it back when its time is over.

        Args:
            since: monotonic seconds at which it was first asked for; by a killed harness, perhaps.
        """
        fault, injector = self._plan.faults[number], self._injectors[number]
        left = None
        if fault.for_seconds is not None:
            left = self._clock.real_seconds(fault.for_seconds) - (time.monotonic() - since)
            if left <= 0:
                return
        asked = time.monotonic()
        self._hearing.happened("fault", fault.kind, on=list(fault.revisions), engine=fault.engine)
        try:
            await injector.inject()
        except WorldError as error:
            self._post(FaultRefused(at=time.monotonic(), fault=number, reason=str(error)))
            return
        try:
            there = await injector.await_injected()
        except WorldError as error:
            self._post(FaultRefused(at=time.monotonic(), fault=number, reason=str(error)))
            return
        self._post(FaultInjected(at=there.hi, fault=number, asked=asked, lo=there.lo))
        self._hearing.happened("injected", fault.kind, on=list(fault.revisions))
        if left is not None:
            await asyncio.sleep(left)
            await injector.recover()
            self._hearing.happened("recovered", fault.kind)

    async def ensure(self, numbers: Iterable[int]) -> None:
        """Give faults that are in place to targets that came later."""
        for number in numbers:
            if number not in self._injectors:
                continue
            try:
                await self._injectors[number].ensure()
            except WorldError as error:  # whether it bit all the same is seen in traffic
                self._hearing.happened("trouble", self._plan.faults[number].kind, reason=str(error))

    async def recover(self, asked: Mapping[int, float], lost: Callable[[], bool]) -> tuple[str, ...]:
        """Take all faults back; what could not be, in words. Faults end with their processes when these are lost."""
        left: list[str] = []
        for number in sorted(asked):
            if number not in self._injectors or lost():
                continue
            kind, injector = self._plan.faults[number].kind, self._injectors[number]
            try:
                async with asyncio.timeout(_RECOVER_SECONDS):
                    await injector.recover()
                    left += [f"{kind}: {who}" for who in await injector.await_recovered()]
                left += await injector.sweep()
            except (WorldError, OSError) as error:
                if not lost():
                    left.append(f"{kind}: {error or 'no answer in time'}")
        return tuple(left)
