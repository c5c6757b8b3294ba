"""Where a drill takes place: what the harness needs of a real world beyond what a strategy does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chaos.clock import LiveClock
from chaos.faults.plan import FaultPlan
from chaos.injectors.protocol import FaultInjector
from chaos.local.processes import Processes
from chaos.local.runs import Run
from chaos.metrics.prometheus import Prometheus
from chaos.metrics.scraper import Scraper
from chaos.plan import Plan
from chaos.results import Pods
from chaos.world import RealWorld


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a site is built with.

    Attributes:
        person: asked for approvals; answers with a name.
        failed: told of what ends the drill.
        tell: hears what happens: kind, who, facts.
    """

    plan: Plan
    run: Run
    clock: LiveClock
    person: Callable[[str], Awaitable[str]]
    failed: Callable[[BaseException], None]
    tell: Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where users send their requests: an address, headers that each request bears, networks that are allowed.

    Attributes:
        by_connection: who balances there may know connections only, as kube-proxy does, and not requests: one that is
            kept alive stays with its pod, and would never meet a new one.
    """

    host: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    by_connection: bool = False
    version_header: str = ""  #: of a service of somebody else; empty: ours names its revision


def prometheus_of(around: Around) -> Prometheus | None:
    """The Prometheus that is to be asked, if one is; of pods' own counts, since no router is scraped by it."""
    settings = around.plan.settings
    if not settings.metrics_url:
        return None
    metrics = around.plan.scenario.metrics.model_copy(update={"source": "pods"})
    return Prometheus(
        settings.metrics_url, metrics, silent=lambda reason: around.tell("unanswered", "prometheus", reason=reason)
    )


class Site(Protocol):
    """One place of one drill.

    Attributes: `name` (`local`, `cluster`), `processes` (of this machine: the load generator is one).
    """

    name: str
    processes: Processes

    @property
    def world(self) -> RealWorld:
        """What the strategy acts in."""
        ...

    async def start(self) -> None:
        """Bring the service up, or take over what a killed harness left; WorldError when that cannot be."""
        ...

    def target(self) -> Target:
        """Where the traffic goes; known after `start`."""
        ...

    def arm(self, fault: FaultPlan) -> None:
        """Let a fault act in pods that start from now on, so that none is healthy; may come before `start`."""
        ...

    def injector(self, fault: FaultPlan) -> FaultInjector:
        """What puts a fault in place here."""
        ...

    def scraper(self) -> Scraper | None:
        """What measures, where it is our own."""
        ...

    def ready(self) -> int:
        """Ready pods of both revisions; called from another thread."""
        ...

    def pods(self, until: float) -> Pods:
        """Pods that there were until a monotonic time."""
        ...

    def end(self) -> bool:
        """End everything at once, from another thread: the event loop hangs; false: nothing is lost by it."""
        ...

    async def stop(self) -> None:
        """End what belongs to this harness; may be called twice."""
        ...

    async def clear(self) -> list[str]:
        """Leave nothing behind; what is left all the same, in words."""
        ...
