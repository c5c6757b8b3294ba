"""From the faults of a drill to what Chaos Mesh does for them; what it cannot do is refused, with who can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from chaos.cluster.pod import CONTAINER, PORT, REVISION, Pod
from chaos.faults.chaos_mesh import (
    Bandwidth,
    Chaos,
    Cpu,
    Delay,
    HTTPChaos,
    Memory,
    NetworkChaos,
    Partition,
    PodChaos,
    Replace,
    Selector,
    Share,
    StressChaos,
    Target,
)
from chaos.faults.node import NodeFault
from chaos.faults.plan import FaultPlan, ProcessFault
from chaos.injectors.chaos_mesh import ChaosMesh, MeshFault
from chaos.injectors.chaos_mesh_ledger import Place
from chaos.world import WorldError
from scenarios.schema import ErrorRatioFault, LatencyFault

#: kinds of faults that Chaos Mesh can do, some of them under conditions
CAN: Final = frozenset(
    {
        "added_latency",
        "bandwidth",
        "container_kill",
        "cpu_stress",
        "error_ratio",
        "http_abort",
        "http_delay",
        "kill",
        "memory_stress",
        "packet_delay",
        "packet_loss",
        "partition",
        "pod_failure",
        "pod_kill",
    }
)
_KNOBS: Final = "the knobs of our application can"
#: who can do what Chaos Mesh cannot
_OTHERS: Final = {
    "blind": "our own scraper can stop scraping",
    "crash_loop": f"a container-kill happens once; {_KNOBS}",
    "freeze": "the native injectors can",
    "hang": "the native injectors can (freeze)",
    "memory_leak": f"StressChaos holds a fixed size; {_KNOBS}",
    "never_ready": _KNOBS,
    "pool_leak": _KNOBS,
    "refuse": f"a partition is silent and refuses nothing; {_KNOBS}",
    "slow_start": _KNOBS,
}
_TWICE: Final = "a request over a new connection is late by about twice the delay"
_PROBES: Final = "every request to port {} is hit, probes too; connections that are open are not"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a fault has to reckon with.

    Attributes:
        speed: scenario seconds per real second.
        container, port: of the pods under test.
    """

    namespace: str
    speed: float = 1.0
    container: str = CONTAINER
    port: int = PORT


def injector_of(
    fault: FaultPlan | NodeFault, number: int, around: Around, place: Place, pods: Callable[[], Sequence[Pod]]
) -> ChaosMesh:
    """The injector of a fault of a drill.

    Args:
        number: its place among the faults of the drill, other than that of any other.
        pods: all pods of the service as they are now, the oldest first.

    Raises:
        WorldError: Chaos Mesh cannot do it.
    """
    made = of_node(fault, number, around) if isinstance(fault, NodeFault) else of_scenario(fault, around)
    return ChaosMesh(replace(made, number=number), place, pods, can=CAN)


def of_scenario(plan: FaultPlan, around: Around) -> MeshFault:
    """A fault of a scenario, or of processes.

    Raises:
        WorldError: Chaos Mesh cannot do it.
    """
    fault, notes, replicas = plan.fault, tuple[str, ...](), None
    target = _template(plan.revisions[0] if plan.revisions else "canary", around)
    match fault:
        case LatencyFault():
            if fault.share < 1:
                raise _refused(plan.kind, f"it holds all packets of a pod, not a share of {fault.share:g}; {_KNOBS}")
            delay = Delay(fault.add_seconds * plan.severity)
            chaos: Chaos = NetworkChaos(action=delay, target=target, duration_seconds=1)
            notes = (_TWICE,)
        case ErrorRatioFault():
            ratio = fault.ratio * plan.severity
            if ratio < 1:
                why = f"HTTPChaos hits every request of a pod, not a share of {ratio:g}"
                raise _refused(plan.kind, f"{why}; {_KNOBS}, or the native injectors (http_abort)")
            chaos, notes = _status(503, target, around), (_PROBES.format(around.port),)
        case ProcessFault(kind="kill"):
            chaos, replicas = _pod("container-kill", target, around), fault.replicas
        case _:
            raise _refused(plan.kind, _OTHERS[plan.kind])
    seconds = None if plan.for_seconds is None else plan.for_seconds / around.speed
    return MeshFault(
        number=plan.number,
        kind=plan.kind,
        chaos=chaos,
        revisions=plan.revisions,
        replicas=replicas,
        for_seconds=seconds,
        notes=notes,
    )


def of_node(fault: NodeFault, number: int, around: Around) -> MeshFault:
    """A fault from the side of the node, as Chaos Mesh does it.

    Raises:
        WorldError: Chaos Mesh cannot do it.
    """
    chaos, notes = _of_node(fault, _template(fault.revisions[0], around), around)
    return MeshFault(
        number=number,
        kind=fault.kind,
        chaos=chaos,
        revisions=fault.revisions,
        replicas=fault.replicas,
        for_seconds=None if fault.for_seconds is None else fault.for_seconds / around.speed,
        notes=notes,
    )


def _of_node(fault: NodeFault, target: Target, around: Around) -> tuple[Chaos, tuple[str, ...]]:
    has, only = fault.parameters(), (around.container,)
    match fault.kind:
        case "pod_kill":
            return _pod("pod-kill", target, around), ()
        case "container_kill":
            return _pod("container-kill", target, around), ()
        case "pod_failure":
            return _pod("pod-failure", target, around), ()
        case "partition":
            return NetworkChaos(action=Partition(), direction="both", target=target, duration_seconds=1), ()
        case "packet_delay":
            delay = Delay(has["latency_seconds"], has["jitter_seconds"])
            return NetworkChaos(action=delay, target=target, duration_seconds=1), (_TWICE,)
        case "packet_loss":
            return NetworkChaos(action=Share("loss", has["loss_ratio"]), target=target, duration_seconds=1), ()
        case "bandwidth":
            rate = Bandwidth(has["rate_kbit_per_second"] * 1000 // 8)
            return NetworkChaos(action=rate, target=target, duration_seconds=1), ()
        case "cpu_stress":
            return StressChaos(target=target, duration_seconds=1, cpu=Cpu(has["workers"]), containers=only), ()
        case "memory_stress":
            return StressChaos(target=target, duration_seconds=1, memory=Memory(has["mib"]), containers=only), ()
        case "http_delay" | "http_abort":
            return _http(fault, target, around), (_PROBES.format(around.port),)
        case _:
            raise _refused(fault.kind, _OTHERS[fault.kind])


def _http(fault: NodeFault, target: Target, around: Around) -> Chaos:
    """HTTPChaos knows no share, no jitter and no exempt path; what was not asked for is not missed."""
    has = fault.parameters()
    missing = []
    if has["share"] < 1:
        missing.append(f"a share of {has['share']:g} of the requests")
    if has.get("jitter_seconds"):
        missing.append("a jitter")
    if fault.exempt_paths:
        missing.append(f"exempt paths ({', '.join(fault.exempt_paths)})")
    if missing:
        raise _refused(fault.kind, f"HTTPChaos has no way for {' and '.join(missing)}; the native injectors can")
    if fault.kind == "http_abort":
        return _status(has["status"], target, around)
    delay = has["latency_seconds"]
    return HTTPChaos(side="Request", port=around.port, target=target, duration_seconds=1, delay_seconds=delay)


def _status(code: int, target: Target, around: Around) -> Chaos:
    """Every answer gets this status; `abort` would close the connection, which users see as no answer."""
    change = Replace(code=code)
    return HTTPChaos(side="Response", port=around.port, target=target, duration_seconds=1, replace=change)


def _pod(action: Literal["pod-kill", "pod-failure", "container-kill"], target: Target, around: Around) -> Chaos:
    only = (around.container,) if action == "container-kill" else ()
    return PodChaos(action=action, target=target, duration_seconds=1, containers=only)


def _template(revision: str, around: Around) -> Target:
    """Of the spec before it is aimed at pods."""
    return Target(Selector(namespace=around.namespace, labels={REVISION: revision}))


def _refused(kind: str, why: str) -> WorldError:
    return WorldError(f"Chaos Mesh cannot do {kind}: {why}")
