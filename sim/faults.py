"""What each fault of a scenario does to a simulated cluster, and when it begins.

A fault begins at a time, or when the canary's effective weight first reaches a share. Faults that begin at time 0 act
on the containers of the very first pods; each later one opens a new regime, so that what happened before it is never
counted as its doing. `severity` is a factor on the intensity of error ratios, delays and leaks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scenarios.schema import (
    CrashLoopFault,
    ErrorRatioFault,
    Fault,
    LatencyFault,
    MemoryLeakFault,
    NeverReadyFault,
    PoolLeakFault,
    SlowStartFault,
)
from sim.leaks import Leaks
from sim.model import us
from sim.pods import CANARY, STABLE

if TYPE_CHECKING:
    from sim.world import SimulatedCluster


def begin(world: SimulatedCluster) -> None:
    """Let the faults of a bad release act, now or when their time or weight comes."""
    waiting: list[tuple[float, int]] = []
    for index, fault in enumerate(world.model.scenario.faults):
        if fault.from_weight is not None:
            waiting.append((fault.from_weight, index))
        elif fault.from_seconds > 0:
            world.clock.call_at(us(fault.from_seconds), _later, (world, index))
        else:
            _start(world, index)
    if waiting:
        world.router.on_weight = _ByWeight(world, waiting)


class _ByWeight:
    """Starts faults as the effective weight of the canary reaches their share."""

    def __init__(self, world: SimulatedCluster, waiting: list[tuple[float, int]]) -> None:
        self.world, self.waiting = world, waiting

    def __call__(self, weight: float) -> None:
        due = [index for share, index in self.waiting if weight >= share]
        self.waiting = [(share, index) for share, index in self.waiting if weight < share]
        for index in due:
            _later((self.world, index))


def _later(due: tuple[SimulatedCluster, int]) -> None:
    world, index = due
    world.regime += 1
    _start(world, index)
    world.plane.regime(world.regime, world.slow())
    world.traffic_changed()


def _start(world: SimulatedCluster, index: int) -> None:
    fault = world.model.scenario.faults[index]
    world.started.add(index)
    if world.fault_us < 0:
        world.fault_us = world.clock.now_us
    revisions = {"stable": (STABLE,), "canary": (CANARY,), "both": (STABLE, CANARY)}[fault.on]
    world.note("fault", fault.kind, on=fault.on, severity=world.severity)
    for revision in revisions:
        _START[type(fault)](world, fault, revision)


def _error_ratio(world: SimulatedCluster, fault: ErrorRatioFault, revision: int) -> None:
    base = world.base_error[revision]
    world.base_error[revision] = base + (1.0 - base) * min(1.0, fault.ratio * world.severity)


def _latency(world: SimulatedCluster, fault: LatencyFault, revision: int) -> None:
    """Latency laws are asked of the world by the data plane (`slow`); nothing else changes."""


def _crash_loop(world: SimulatedCluster, fault: CrashLoopFault, revision: int) -> None:
    after = us(fault.after_seconds)
    world.pods.faults[revision].crash_after_us = after
    now = world.clock.now_us
    if now:
        for pod in world.pods.active[revision]:
            if pod.running_us >= 0:
                world.clock.call_at(now + after, world.pods.crash_if, (pod, pod.epoch, "crash"))


def _never_ready(world: SimulatedCluster, fault: NeverReadyFault, revision: int) -> None:
    world.pods.faults[revision].never_ready = True
    probe = world.model.scenario.service.probes.readiness
    if world.clock.now_us and probe is not None:
        delay = us(probe.failure_threshold * probe.period_seconds)
        for pod in tuple(world.pods.active[revision]):
            world.clock.call_at(world.clock.now_us + delay, world.pods.become_unready, pod)


def _slow_start(world: SimulatedCluster, fault: SlowStartFault, revision: int) -> None:
    world.pods.faults[revision].slow_start_us = us(fault.add_seconds * world.severity)


def _memory_leak(world: SimulatedCluster, fault: MemoryLeakFault, revision: int) -> None:
    resources = world.model.scenario.service.resources
    if fault.mib_per_minute is None:
        _leak_by_request(world, revision, "memory")
        return
    room = resources.memory_limit_mib - resources.memory_base_mib
    life = us(60.0 * room / (fault.mib_per_minute * world.severity)) if world.severity > 0 else -1
    world.pods.faults[revision].leak_life_us = life
    if world.clock.now_us and life >= 0:
        for pod in world.pods.active[revision]:
            if pod.ready:
                pod.leaks_us = world.clock.now_us
                due = (pod, pod.epoch, "out of memory")
                world.clock.call_at(world.clock.now_us + life, world.pods.crash_if, due)


def _pool_leak(world: SimulatedCluster, fault: PoolLeakFault, revision: int) -> None:
    if fault.scope == "pod":
        _leak_by_request(world, revision, "pool")
    else:
        _leaks(world).share_pool(revision, world.draws.shared_leak[world.place])


def _leak_by_request(world: SimulatedCluster, revision: int, kind: str) -> None:
    world.pods.faults[revision].leak_by_request = kind
    leaks = _leaks(world)
    for pod in world.pods.in_service[revision]:
        leaks.watch(pod)


def _leaks(world: SimulatedCluster) -> Leaks:
    if world.leaks is None:
        world.leaks = Leaks(world.pods, world.clock, world.arrivals, world)
        world.leaks.shares_changed(*world.router.shares())
        world.pods.exposure_hook = world.leaks.watch
    return world.leaks


_START: dict[type[Fault], Callable[[SimulatedCluster, Any, int], None]] = {
    ErrorRatioFault: _error_ratio,
    LatencyFault: _latency,
    CrashLoopFault: _crash_loop,
    NeverReadyFault: _never_ready,
    SlowStartFault: _slow_start,
    MemoryLeakFault: _memory_leak,
    PoolLeakFault: _pool_leak,
}
