"""What a fault turns in the application: from its words in the scenario to knobs in real seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from chaos.faults.plan import FaultPlan, ProcessFault
from scenarios.schema import (
    CrashLoopFault,
    ErrorRatioFault,
    LatencyFault,
    MemoryLeakFault,
    NeverReadyFault,
    PoolLeakFault,
    Service,
    SlowStartFault,
)

Knobs: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bearer:
    """The process whose knobs are turned.

    Attributes:
        age_seconds: real seconds that it has been running when the fault begins; 0 for one that starts under it.
    """

    age_seconds: float = 0.0


Turn: TypeAlias = Callable[[Knobs, Bearer], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a fault has to reckon with.

    Attributes:
        speed: scenario seconds per real second.
        resident_mib: what a replica needs without any leak.
    """

    service: Service
    speed: float
    resident_mib: float


def base(around: Circumstances) -> Knobs:
    """The knobs that faults turn, as they stand without one."""
    service = around.service
    return {
        "ERROR_RATE": service.error_ratio,
        "ADDED_LATENCY": 0.0,
        "ADDED_LATENCY_SHARE": 1.0,
        "LEAK_MIB_PER_MINUTE": 0.0,
        "LEAK_MIB_PER_REQUEST": 0.0,
        "MEMORY_LIMIT_MIB": service.resources.memory_limit_mib,
        "POOL_LEAK_PER_REQUEST": 0.0,
        "NOT_READY": False,
        "CRASH_AFTER": 0.0,
        "LISTEN": True,
    }


def turn_of(plan: FaultPlan, around: Circumstances) -> Turn:
    """What a fault does to the knobs of a process; absolute, so that doing it again changes nothing."""
    fault, severity, speed = plan.fault, plan.severity, around.speed

    def turn(knobs: Knobs, bearer: Bearer) -> None:
        match fault:
            case ErrorRatioFault():
                healthy = 1.0 - knobs["ERROR_RATE"]
                knobs["ERROR_RATE"] = 1.0 - healthy * (1.0 - min(1.0, fault.ratio * severity))
            case LatencyFault():
                knobs["ADDED_LATENCY"] = fault.add_seconds * severity
                knobs["ADDED_LATENCY_SHARE"] = fault.share
            case CrashLoopFault():
                knobs["CRASH_AFTER"] = max(bearer.age_seconds + fault.after_seconds / speed, 0.001)
            case NeverReadyFault():
                knobs["NOT_READY"] = True
            case MemoryLeakFault():
                resources = around.service.resources
                room = resources.memory_limit_mib - resources.memory_base_mib
                knobs["MEMORY_LIMIT_MIB"] = around.resident_mib + room
                knobs["LEAK_MIB_PER_MINUTE"] = (fault.mib_per_minute or 0.0) * severity * speed
                knobs["LEAK_MIB_PER_REQUEST"] = (fault.mib_per_request or 0.0) * severity
            case PoolLeakFault():
                knobs["POOL_LEAK_PER_REQUEST"] = min(1.0, fault.per_request * severity)
            case ProcessFault(kind="refuse"):
                knobs["LISTEN"] = False
            case _:
                pass  # a slow start is a setting of the start alone

    return turn


def start_seconds(plan: FaultPlan, around: Circumstances) -> float:
    """Real seconds by which the start of a process takes longer."""
    return plan.fault.add_seconds * plan.severity / around.speed if isinstance(plan.fault, SlowStartFault) else 0.0
