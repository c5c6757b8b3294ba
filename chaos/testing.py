"""For tests of what drives a rollout in a real world: a scripted world that answers after a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chaos.clock import MICROSECONDS, LiveClock
from strategies.drive import Refused
from strategies.effects import (
    Approved,
    Ask,
    Available,
    AwaitAvailable,
    AwaitComplete,
    Counts,
    DeadlinePassed,
    Measured,
    Observe,
    Release,
    Revision,
    RollTo,
)
from strategies.tape_world import Looks, good


class ScriptedWorld:
    """A `RealWorld` without processes: pods are there a constant time after they were asked for.

    Args:
        clock: scenario time.
        looks: what a question is answered at a time (seconds).
        startup_seconds: from an order until its pods are available.
        accept_seconds: how long the router takes to accept a weight.
        query_seconds: how long a query takes.
        refuse: a person says stop with this reason; None: a person approves.
        told: hears every order before it is done; for tests that end the world there.

    Attributes worth reading: `orders` (what was done), `spec`, `weight`, `decision`.
    """

    def __init__(
        self,
        clock: LiveClock,
        *,
        looks: Looks = good,
        startup_seconds: float = 5.0,
        accept_seconds: float = 0.5,
        query_seconds: float = 0.5,
        refuse: str | None = None,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self.clock, self.looks, self.refuse = clock, looks, refuse
        self.startup_seconds, self.accept_seconds, self.query_seconds = startup_seconds, accept_seconds, query_seconds
        self._told = told
        self.orders: list[str] = []
        self.spec: dict[Revision, int] = {"stable": 0, "canary": 0}
        self._there_us: dict[Revision, int] = {"stable": 0, "canary": 0}  #: when what was asked for last is there
        self.weight = 0.0
        self.decision = ""

    async def start(self, release: Release) -> None:
        """See `RealWorld`."""
        self.spec["stable"] = 0 if release.first else release.replicas

    async def stop(self) -> None:
        """See `RealWorld`."""

    async def scale(self, revision: Revision, replicas: int) -> None:
        """See `RealWorld`."""
        self._order(f"{revision} {replicas}")
        if replicas > self.spec[revision]:
            self._there_us[revision] = self.clock.now_us() + round(self.startup_seconds * MICROSECONDS)
        self.spec[revision] = replicas

    async def roll_to(self, effect: RollTo) -> None:
        """See `RealWorld`."""
        self._order(f"roll to {effect.revision} {effect.replicas}")
        other: Revision = "stable" if effect.revision == "canary" else "canary"
        self.spec[effect.revision], self.spec[other] = effect.replicas, 0
        self._there_us[effect.revision] = self.clock.now_us() + round(self.startup_seconds * MICROSECONDS)

    async def set_weight(self, weight: float) -> None:
        """See `RealWorld`."""
        await self.clock.sleep(self.accept_seconds)
        self._order(f"weight {weight}")
        self.weight = weight

    async def await_available(self, effect: AwaitAvailable) -> Available | DeadlinePassed:
        """See `RealWorld`."""
        return await self._there(effect.revision)

    async def await_complete(self, effect: AwaitComplete) -> Available | DeadlinePassed:
        """See `RealWorld`."""
        return await self._there(effect.revision)

    async def observe(self, effect: Observe) -> Counts | DeadlinePassed:
        """See `RealWorld`; pods are there at once."""
        counts = ((self.spec["canary"],) * 2, (self.spec["stable"],) * 2)
        if counts == effect.changed_from:
            await asyncio.Event().wait()
        return Counts(self._seconds(), *counts)

    async def measure(self, ask: Ask) -> Measured:
        """See `RealWorld`."""
        await self.clock.sleep(self.query_seconds)
        at = self._seconds()
        seen = self.looks(ask, at)
        return seen if isinstance(seen, Measured) else Measured(at, seen)

    async def ask_person(self, reason: str) -> Approved:
        """See `RealWorld`."""
        if self.refuse is not None:
            raise Refused(self.refuse)
        return Approved(self._seconds(), "a script")

    async def mark(self, decision: str, reason: str) -> None:
        """See `RealWorld`."""
        if decision:
            self._order(decision)
            self.decision = decision

    def _order(self, text: str) -> None:
        if self._told is not None:
            self._told(text)
        self.orders.append(text)

    async def _there(self, revision: Revision) -> Available:
        late = self._there_us[revision] - self.clock.now_us()
        if late > 0:
            await self.clock.sleep(late / MICROSECONDS)
        return Available(self._seconds())

    def _seconds(self) -> float:
        return self.clock.now_us() / MICROSECONDS
