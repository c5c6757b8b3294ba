"""After a kill: what the journal says the world was told last, and what the strategy had decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chaos.clock import LiveClock
from chaos.drill_events import Decided
from chaos.hearing import decided
from chaos.world import RealWorld
from scenarios.schema import Startup
from strategies.effects import AwaitAvailable, Revision, RollTo, Scale, SetWeight
from strategies.tape import Entry


@dataclass(slots=True)
class Orders:
    """The last orders about pods and traffic; a `RollTo` takes the place of earlier scalings, and they of it."""

    scale: dict[Revision, int] = field(default_factory=dict)
    roll: RollTo | None = None
    weight: float = 0.0


def last_orders(entries: Sequence[Entry]) -> Orders:
    """What the strategy asked for last, answered or not: orders are absolute, so giving them again is harmless."""
    found = Orders()
    for entry in entries:
        if entry.kind != "effect":
            continue
        match entry.what:
            case Scale(revision, replicas):
                found.scale[revision], found.roll = replicas, None
            case RollTo():
                found.scale, found.roll = {}, entry.what
            case SetWeight(weight):
                found.weight = weight
    return found


def decisions(entries: Sequence[Entry], clock: LiveClock) -> list[Decided]:
    """All decisions of a journal, at the instants of their entries."""
    found = []
    for entry in entries:
        at = clock.real(entry.at_us)
        decision = decided(entry.kind, entry.what, lo=at, at=at)
        if decision is not None:
            found.append(decision)
    return found


async def give(orders: Orders, world: RealWorld, startup: Startup) -> None:
    """Give the orders again: pods first, and traffic when they are there (or cannot be expected any more)."""
    for revision, replicas in orders.scale.items():
        await world.scale(revision, replicas)
    if orders.roll is not None:
        await world.roll_to(orders.roll)
    elif orders.weight > 0:
        patience = 5 * (startup.schedule_seconds + startup.pull_seconds + startup.start_seconds) + 60.0
        needed = orders.scale.get("canary", 0)
        await world.await_available(AwaitAvailable("canary", needed, deadline_seconds=patience))
        await world.set_weight(orders.weight)
