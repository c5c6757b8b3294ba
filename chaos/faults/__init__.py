"""From the faults of a scenario to what injectors do: who, when, by which means; and whether they bit."""

from __future__ import annotations

from chaos.faults.node import NODE_FAULTS, NodeFault
from chaos.faults.plan import FaultPlan, ProcessFault, planned
from chaos.faults.verify import ALPHA, Effect, Seen, verified

__all__ = [
    "ALPHA",
    "NODE_FAULTS",
    "Effect",
    "FaultPlan",
    "NodeFault",
    "ProcessFault",
    "Seen",
    "planned",
    "verified",
]
