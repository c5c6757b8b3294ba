"""Which faults a drill has: those of its scenario, its outage of metrics, and faults of processes that it was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from chaos.faults.node import NodeFault
from scenarios.schema import (
    CrashLoopFault,
    ErrorRatioFault,
    Fault,
    LatencyFault,
    MemoryLeakFault,
    NeverReadyFault,
    Outage,
    PoolLeakFault,
    Scenario,
    SlowStartFault,
)
from strategies.effects import Revision

#: what acts on pods from outside; `stand-in` is test equipment in the place of Chaos Mesh, and says so
Outside: TypeAlias = Literal["native", "chaos-mesh", "stand-in"]
#: `node`: from outside, by whom is not decided yet
Engine: TypeAlias = Literal["application", "router", "processes", "scraper", "node"] | Outside
Extra: TypeAlias = "ProcessFault | NodeFault"
_NEARLY_ALL: Final = 0.6  #: share of failures near which the usual limit of a drill may be met by chance
BY_ROUTER: Final = (ErrorRatioFault, LatencyFault)  #: faults that the router can do as well


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFault:
    """Something happens to the processes of replicas, which no scenario has a word for.

    `kill`: SIGKILL; `hang`: SIGSTOP, which probes and users see as silence; `refuse`: the listener is closed.
    """

    kind: Literal["kill", "hang", "refuse"]
    on: Literal["canary", "stable", "both"] = "canary"
    from_seconds: float = 0.0
    from_weight: float | None = None
    replicas: int | None = None  #: how many of each revision, the oldest first; None: all
    for_seconds: float | None = None  #: scenario time after which it is taken back; None: at the end of the drill

    def __post_init__(self) -> None:
        if not self.from_seconds >= 0:
            raise ValueError(f"from_seconds must be 0 or more, got {self.from_seconds}")
        if self.from_weight is not None and not 0 <= self.from_weight <= 1:
            raise ValueError(f"from_weight must lie in 0..1, got {self.from_weight}")
        if self.replicas is not None and self.replicas < 1:
            raise ValueError(f"replicas must be 1 or more, got {self.replicas}")
        if self.for_seconds is not None and not self.for_seconds > 0:
            raise ValueError(f"for_seconds must be above 0, got {self.for_seconds}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """One fault of a drill.

    Attributes:
        number: its place among the faults of the drill.
        revisions: in whose pods it acts; none for an outage of metrics.
        from_weight: it begins when the canary's weight (0..1) first reaches this; else at `from_seconds`.
        for_seconds: it ends by itself after this scenario time; None: it stays until the verdict.
        severity: factor on its intensity.
        labels: what is not as the scenario says, in words.
    """

    number: int
    kind: str
    fault: Fault | Outage | ProcessFault | NodeFault
    revisions: tuple[Revision, ...]
    from_seconds: float
    from_weight: float | None
    for_seconds: float | None
    severity: float
    engine: Engine
    labels: tuple[str, ...] = ()

    @property
    def may_fail_everything(self) -> bool:
        """It may leave nobody who answers, or hardly anybody."""
        if isinstance(self.fault, ErrorRatioFault):
            return self.fault.ratio * self.severity > _NEARLY_ALL
        return isinstance(self.fault, PoolLeakFault | MemoryLeakFault | CrashLoopFault | ProcessFault)

    @property
    def in_release(self) -> bool:
        """It belongs to the new revision, so that taking the release back ends it."""
        return "canary" in self.revisions


def planned(
    scenario: Scenario, *, severity: float, bad: bool, by_router: bool = False, extra: Sequence[Extra] = ()
) -> tuple[FaultPlan, ...]:
    """All faults of a drill, in the order of the scenario.

    Args:
        bad: the faults of the scenario are in the release; without, only its outage of metrics and `extra` are left.
        by_router: errors and delays are done by the router instead of the application.
    """
    plans = [_of_scenario(fault, scenario, severity, by_router) for fault in (scenario.faults if bad else ())]
    plans += [_of_node(each) if isinstance(each, NodeFault) else _of_processes(each) for each in extra]
    if scenario.metrics.outage is not None:
        plans.append(_of_metrics(scenario.metrics.outage))
    return tuple(replace(plan, number=number) for number, plan in enumerate(plans))


def _of_scenario(fault: Fault, scenario: Scenario, severity: float, by_router: bool) -> FaultPlan:
    router = by_router and isinstance(fault, BY_ROUTER)
    return FaultPlan(
        number=0,
        kind=fault.kind,
        fault=fault,
        revisions=_revisions(fault.on),
        from_seconds=fault.from_seconds,
        from_weight=fault.from_weight,
        for_seconds=None,
        severity=severity,
        engine="router" if router else "application",
        labels=_labels(fault, router=router),
    )


def _of_processes(fault: ProcessFault) -> FaultPlan:
    return FaultPlan(
        number=0,
        kind=fault.kind,
        fault=fault,
        revisions=_revisions(fault.on),
        from_seconds=fault.from_seconds,
        from_weight=fault.from_weight,
        for_seconds=fault.for_seconds,
        severity=1.0,
        engine="application" if fault.kind == "refuse" else "processes",
    )


def _of_node(fault: NodeFault) -> FaultPlan:
    return FaultPlan(
        number=0,
        kind=fault.kind,
        fault=fault,
        revisions=fault.revisions,
        from_seconds=fault.from_seconds,
        from_weight=fault.from_weight,
        for_seconds=fault.for_seconds,
        severity=1.0,
        engine="node",
    )


def _of_metrics(outage: Outage) -> FaultPlan:
    return FaultPlan(
        number=0,
        kind="blind",
        fault=outage,
        revisions=(),
        from_seconds=outage.from_seconds,
        from_weight=None,
        for_seconds=outage.for_seconds,
        severity=1.0,
        engine="scraper",
    )


def _revisions(on: str) -> tuple[Revision, ...]:
    if on == "both":
        return ("stable", "canary")
    return ("canary",) if on == "canary" else ("stable",)


def _labels(fault: Fault, *, router: bool) -> tuple[str, ...]:
    """What a reader must know of how a fault is done here."""
    match fault:
        case ErrorRatioFault() | LatencyFault() if router:
            return (
                "done by the router's fault filter, in front of its count of upstream answers: users see it, "
                "and neither the router's nor the application's metrics do",
            )
        case MemoryLeakFault():
            return (
                "engine: emulated limit (the process ends itself with 137 where the kernel would kill it); memory is "
                "really allocated, on top of what the process has instead of memoryBase",
            )
        case PoolLeakFault():
            return ("an empty pool fails a request after 1 s of real waiting",)
        case CrashLoopFault() | NeverReadyFault() | SlowStartFault() | ErrorRatioFault() | LatencyFault():
            return ()
    raise AssertionError(f"no word for {fault!r}")
