"""What a drill does and sees, in words: its faults, and what happens step by step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from chaos.faults import FaultPlan, ProcessFault
from chaos.faults.node import NodeFault
from chaos.results import Happening
from rolloutlab import text
from rolloutlab.drill.record import Step
from scenarios.schema import (
    CrashLoopFault,
    ErrorRatioFault,
    LatencyFault,
    MemoryLeakFault,
    NeverReadyFault,
    Outage,
    PoolLeakFault,
    SlowStartFault,
)
from scenarios.units import duration_text

_PHASES = {
    "preflight": "preflight",
    "steady_state": "the baseline is measured",
    "roll_out": "the rollout began",
    "inject": "a fault is put in place",
    "observe": "the rollout is watched",
    "verdict": "the verdict is reached",
    "recover": "the faults are taken back",
    "sweep": "processes and files are swept",
    "ended": "the drill ended",
}
_PROCESSES = {
    "kill": "processes are killed",
    "hang": "processes stand still (SIGSTOP)",
    "refuse": "listeners are closed",
}


_PODS = {
    "pod_kill": "pods are killed",
    "container_kill": "containers are killed",
    "pod_failure": "pods run an image that only sleeps",
    "freeze": "containers stand still",
    "partition": "pods are cut off from the network",
    "packet_delay": "packets are held",
    "packet_loss": "packets are lost",
    "http_delay": "requests wait",
    "http_abort": "requests are aborted",
    "cpu_stress": "the processor is taken away",
    "memory_stress": "the memory is taken away",
    "bandwidth": "the network is slow",
}


def _of_pods(fault: NodeFault) -> str:
    given = ", ".join(f"{name} {value}" for name, value in fault.parameters().items() if not isinstance(value, tuple))
    many = f" ({fault.replicas} of each revision)" if fault.replicas is not None else ""
    return f"{_PODS[fault.kind]}{f' ({given})' if given else ''}{many}"


def fault_text(plan: FaultPlan) -> str:
    """A fault, on whom, and from when.

    >>> from chaos.faults import FaultPlan
    >>> from scenarios.schema import ErrorRatioFault
    >>> fault = ErrorRatioFault(kind="error_ratio", ratio=0.05)
    >>> fault_text(FaultPlan(number=0, kind="error_ratio", fault=fault, revisions=("canary",), from_seconds=0.0,
    ...     from_weight=None, for_seconds=None, severity=1.0, engine="application"))
    '5 % of responses fail, on canary'
    """
    said = _what(plan)
    if plan.revisions:
        said += f", on {' and '.join(plan.revisions)}"
    if plan.from_weight is not None:
        said += f", from a weight of {_percent(plan.from_weight)} on"
    elif plan.from_seconds:
        said += f", from {duration_text(plan.from_seconds)} on"
    if plan.for_seconds is not None:
        said += f", for {duration_text(plan.for_seconds)}"
    return said


def _what(plan: FaultPlan) -> str:
    strength = plan.severity
    match plan.fault:
        case NodeFault() as fault:
            return _of_pods(fault)
        case ErrorRatioFault(ratio=ratio):
            return f"{_percent(min(1.0, ratio * strength))} of responses fail"
        case LatencyFault(add_seconds=add, share=share):
            return f"{duration_text(add * strength)} more for {_percent(share)} of requests"
        case CrashLoopFault(after_seconds=after):
            return f"the process exits {duration_text(after)} after each start"
        case NeverReadyFault():
            return "the readiness probe never succeeds"
        case SlowStartFault(add_seconds=add):
            return f"the process needs {duration_text(add * strength)} more to start"
        case MemoryLeakFault(mib_per_minute=float(rate)):
            return f"{rate * strength:g} MiB a minute leak"
        case MemoryLeakFault(mib_per_request=each):
            return f"{(each or 0.0) * strength:g} MiB a request leak"
        case PoolLeakFault(per_request=share):
            return f"{_percent(min(1.0, share * strength))} of requests keep their connection of the pool"
        case Outage():
            return "no scrape succeeds"
        case ProcessFault(kind=kind, replicas=count):
            return _PROCESSES[kind] + (f" of {count} replicas" if count is not None else "")
    raise AssertionError(f"no words for {plan.fault!r}")


def step_of(one: Happening) -> Step | None:
    """What happened, in words; None for what only a live view needs."""
    told = one.facts
    at = one.at_seconds
    match one.kind:
        case "phase":
            return Step(at, "phase", _PHASES.get(str(told.get("phase")), str(told.get("phase"))))
        case "weight_effective":
            weight = float(told.get("weight", 0.0))
            return Step(at, "weight", f"the router sends {_percent(weight)} to the canary", value=weight)
        case "follows_pods":
            return Step(at, "note", "traffic follows the pods: each gets the same share")
        case "look":
            bad = told.get("bad")
            return Step(at, "look", _look(one.who, told), bad=None if told.get("value") is None else bool(bad))
        case "fault":
            return Step(at, "fault", f"{one.who} asked for")
        case "injected":
            return Step(at, "fault", f"{one.who} in place")
        case "recovered":
            return Step(at, "fault", f"{one.who} taken back")
        case "decision":
            reason = f": {told['text']}" if told.get("text") else ""
            return Step(at, "decision", f"{text.outcome(str(told.get('outcome')))}{reason}"[:4000])
        case "stop" | "stopped":
            return Step(at, "guard", f"told to stop: {told.get('reason', '')}"[:4000])
        case "note":
            return Step(at, "note", str(told.get("text", ""))[:4000])
        case "approval":
            return Step(at, "note", f"a person is asked: {told.get('reason', '')}"[:4000])
        case "trouble":
            return Step(at, "note", f"{one.who}: {told.get('reason', '')}"[:4000])
        case "unanswered":
            return Step(at, "note", f"{one.who} did not answer: {told.get('reason', '')}"[:4000])
        case "verdict":
            return Step(at, "phase", f"verdict: {told.get('verdict', '')}")
        case "traffic":
            return None
    return Step(at, "pods", f"{one.who} {text.outcome(one.kind)}{_rest(told)}"[:4000])


def _look(who: str, told: Mapping[str, Any]) -> str:
    value = told.get("value")
    said = f"{who}: " + (f"{value:.4g}" if isinstance(value, int | float) and math.isfinite(value) else "no answer")
    requests = told.get("requests")
    return said + (f" of {requests:,.0f} requests" if isinstance(requests, int | float) else "")


def _rest(told: Mapping[str, Any]) -> str:
    shown = [f"{name} {value}" for name, value in told.items() if name != "late_seconds"]
    return f" ({', '.join(shown)})" if shown else ""


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
