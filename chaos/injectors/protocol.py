"""The contract of all injectors, local and in a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chaos.timeline import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What an injector means to do: shown before anything happens.

    Attributes:
        what: one sentence.
        pods: names of pods that exist now and will be hit; those that a rollout creates later come by `ensure`.
        engine: what does it; an emulated fault says so.
    """

    what: str
    engine: str
    revisions: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()


class FaultInjector(Protocol):
    """One fault. Everything is idempotent; `recover` undoes `inject` whenever it is called, also halfway through."""

    def plan(self) -> Targets:
        """What `inject` would do now."""
        ...

    async def inject(self) -> None:
        """Ask for the fault; WorldError when it cannot be had."""
        ...

    async def await_injected(self) -> Moment:
        """Wait until at least one target bears it."""
        ...

    async def ensure(self) -> list[str]:
        """Give it to targets that came later; the names of those that bear it only now."""
        ...

    async def recover(self) -> None:
        """Take it back."""
        ...

    async def await_recovered(self) -> list[str]:
        """Wait until nobody bears it; the names of those that still do."""
        ...

    async def sweep(self) -> list[str]:
        """Remove what it left outside the processes of the drill; what could not be removed, in words."""
        ...

    def capabilities(self) -> frozenset[str]:
        """Kinds of faults it can do."""
        ...
