"""What a real world can do for a strategy: processes on this machine, or a cluster."""

from __future__ import annotations

from typing import Protocol

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


class WorldError(Exception):
    """A real world cannot go on: the router died, the disk is full. The text is for the person at the terminal."""


class RealWorld(Protocol):
    """One service in the real world; times are scenario time (`chaos.clock.LiveClock`).

    What moves pods or traffic is absolute and idempotent: doing it twice changes nothing. The driver calls these one
    after the other; what waits (`await_…`, `observe`, `ask_person`, `measure`) runs beside them and may be cancelled.
    """

    async def start(self, release: Release) -> None:
        """Bring up the stable revision with all traffic, and wait until it serves."""
        ...

    async def stop(self) -> None:
        """End everything that `start` and the rollout began; may be called twice."""
        ...

    async def scale(self, revision: Revision, replicas: int) -> None:
        """Set the wanted number of pods; returns when the order is accepted, not when the pods are there."""
        ...

    async def roll_to(self, effect: RollTo) -> None:
        """Let the Deployment controller move everything to a revision."""
        ...

    async def set_weight(self, weight: float) -> None:
        """Send this share (0..1) of requests to the canary; returns when the router has accepted it."""
        ...

    async def await_available(self, effect: AwaitAvailable) -> Available | DeadlinePassed:
        """Wait for pods."""
        ...

    async def await_complete(self, effect: AwaitComplete) -> Available | DeadlinePassed:
        """Wait for the end of `roll_to`."""
        ...

    async def observe(self, effect: Observe) -> Counts | DeadlinePassed:
        """Pod counts: now, or when they change."""
        ...

    async def measure(self, ask: Ask) -> Measured:
        """Answer a question from scraped series."""
        ...

    async def ask_person(self, reason: str) -> Approved:
        """Wait for a person; one who says stop raises `strategies.drive.Refused`."""
        ...

    async def mark(self, decision: str, reason: str) -> None:
        """Take down a decision (promoted, rolled_back) or, with an empty one, a note."""
        ...
