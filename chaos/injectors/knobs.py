"""Faults that the application under test does itself, in every world."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from chaos.faults.plan import FaultPlan, ProcessFault
from chaos.injectors.board import Bearing, KnobBoard
from chaos.injectors.protocol import Targets
from chaos.timeline import Moment

_LOOK_SECONDS: Final = 0.02  #: real time between two looks at what is waited for
_PATIENCE_SECONDS: Final = 5.0


def targets_of(plan: FaultPlan, engine: str, what: str, pods: Sequence[Bearing] = ()) -> Targets:
    """What an injector means to do, in its own words."""
    return Targets(what=what, engine=engine, revisions=plan.revisions, pods=tuple(pod.name for pod in pods))


class AppKnobs:
    """Turns the application's knobs: by its admin endpoint, and by start settings of processes that come later.

    Args:
        everyone: all pods that there are.
        targets: those that the fault hits now.
    """

    def __init__(
        self,
        plan: FaultPlan,
        board: KnobBoard,
        *,
        everyone: Callable[[], Sequence[Bearing]],
        targets: Callable[[], Sequence[Bearing]],
    ) -> None:
        self._fault, self._board, self._everyone, self._targets = plan, board, everyone, targets

    def plan(self) -> Targets:
        """See `FaultInjector`."""
        what = f"{self._fault.kind} by the knobs of the application, also of pods that start later"
        return targets_of(self._fault, "application", what, self._targets())

    async def inject(self) -> None:
        """See `FaultInjector`."""
        few = isinstance(self._fault.fault, ProcessFault) and self._fault.fault.replicas is not None
        chosen = frozenset(pod.name for pod in self._targets()) if few else None
        self._board.begin(self._fault, chosen)
        await self._board.turn(self._everyone())

    async def await_injected(self) -> Moment:
        """See `FaultInjector`."""
        while not (borne := self._board.bearers(self._fault, self._everyone())):
            await asyncio.sleep(_LOOK_SECONDS)
        return min(borne.values(), key=lambda moment: moment.hi)

    async def ensure(self) -> list[str]:
        """See `FaultInjector`; a process that starts has its knobs already, so this repairs what was in between."""
        return await self._board.turn(self._everyone())

    async def recover(self) -> None:
        """See `FaultInjector`."""
        self._board.end(self._fault)
        await self._board.turn(self._everyone())

    async def await_recovered(self) -> list[str]:
        """See `FaultInjector`; a process that does not answer counts as recovered when it is gone."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (behind := self._board.behind(self._everyone())) and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
            await self._board.turn(self._everyone())
        return [pod.name for pod in behind]

    async def sweep(self) -> list[str]:
        """See `FaultInjector`: knobs end with their process."""
        return []

    def capabilities(self) -> frozenset[str]:
        """See `FaultInjector`."""
        faults = ("error_ratio", "added_latency", "crash_loop", "never_ready", "slow_start", "memory_leak", "pool_leak")
        return frozenset((*faults, "refuse"))
