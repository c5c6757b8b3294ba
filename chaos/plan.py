"""What one drill will do, decided before anything happens; or why it is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from chaos import preflight, rates
from chaos.cluster.settings import ClusterSettings
from chaos.faults import FaultPlan, planned
from chaos.faults.plan import Extra
from chaos.guards import Limits
from chaos.metrics.prometheus import check_url, unanswered
from scenarios.build import build_strategies
from scenarios.errors import ScenarioError, ScenarioErrors, pick
from scenarios.load import load_scenario
from scenarios.outcome import OUTCOMES
from scenarios.schema import Expectation, LatencyFault, Scenario, Severity
from strategies import observed
from strategies.effects import Release, Strategy

BASELINE_REQUESTS: Final = 300  #: that the steady state is measured by
_BASELINE_SECONDS: Final = (2.0, 10.0)  #: real time of it, shortest and longest
_TAIL_SECONDS: Final = 30.0  #: real time that recovery is waited for after a rollback
_WINDOW_REQUESTS: Final = 50  #: of a window of the objective
_WINDOW_SECONDS: Final = (0.5, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a drill is done, beside what its scenario says.

    Attributes:
        speed: scenario seconds per real second; None: chosen (`chaos.preflight.choose_speed`).
        by_router: errors and delays come from the router's fault filter, not from the application.
        extra: faults of processes and of pods, for which a scenario has no word.
        until_horizon: go on until the scenario's horizon, so that what counts until then is measured.
        clients: closed loop: this many send, wait and send again, instead of the scenario's traffic.
        state: where run directories stand; None: the user's state folder.
        keep_traffic: leave the traffic log beside the journal.
        expect: an outcome that takes the place of what the scenario expects: faults in `extra` are not in the file, so
            that it cannot know what should become of them. Empty: the file's expectations.
        metrics_url: of a Prometheus that answers the strategy's questions; empty: our own scraper.
        cluster: how the cluster is reached and used; None: processes on this machine.
    """

    speed: float | None = None
    seed: int = 0
    by_router: bool = False
    extra: tuple[Extra, ...] = ()
    until_horizon: bool = False
    clients: int | None = None
    limits: Limits = field(default_factory=Limits)
    state: Path | None = None
    keep_traffic: bool = False
    expect: str = ""
    metrics_url: str = ""
    cluster: ClusterSettings | None = None

    @property
    def world(self) -> str:
        """The name of the world that the drill is done in."""
        return "local" if self.cluster is None else "cluster"

    def __post_init__(self) -> None:
        if self.speed is not None and not 0 < self.speed < math.inf:
            raise ValueError(f"speed must be above 0, got {self.speed}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        if self.clients is not None and not 1 <= self.clients <= 2000:
            raise ValueError(f"clients must lie in 1..2000, got {self.clients}")
        if self.expect and self.expect not in OUTCOMES:
            raise ValueError(f"--expect: unknown outcome {self.expect!r}; known: {', '.join(OUTCOMES)}")
        if self.metrics_url:
            try:
                check_url(self.metrics_url)
            except ValueError as error:
                raise ValueError(f"--metrics-url: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a scenario comes from, so that a resumed drill finds it again."""

    path: str
    variant: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    allow_python: bool = False
    bind: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One drill, ready to be run.

    Attributes:
        problems: why it is refused; empty when it may begin.
        bad, severity: world draws: the faults are in the release, and how strong they are.
        steps: the traffic, for the load generator.
        lead_seconds, deadline_seconds, window_seconds, tail_seconds: real time: of the baseline, of the rollout at
            most, of a window of the objective, of waiting for recovery.
        expected_seconds: scenario time that the rollout should take.
        labels: what is not as in a cluster in real time.
    """

    scenario: Scenario
    source: Source
    digest: str
    strategy: Strategy
    name: str
    release: Release
    settings: Settings
    speed: float
    bad: bool
    severity: float
    faults: tuple[FaultPlan, ...]
    traffic_seed: int
    steps: rates.Steps
    lead_seconds: float
    deadline_seconds: float
    window_seconds: float
    tail_seconds: float
    expected_seconds: float
    labels: tuple[str, ...]
    problems: tuple[str, ...]
    engine: str = ""  #: who serves and routes, in words
    assumed: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The scenario's name: of its file."""
        return Path(self.source.path).stem

    @property
    def limits(self) -> Limits:
        """Hard limits: on this machine a drill may fail all of its own requests, when its faults are meant to."""
        own = self.settings.cluster is None and any(fault.may_fail_everything for fault in self.faults)
        return self.settings.limits.sparing() if own else self.settings.limits

    def expectations(self) -> list[Expectation]:
        """What this drill is held against: of the file what it says of this strategy and variant."""
        if not self.settings.expect:
            cell = (self.name, self.source.variant)
            return [each for each in self.scenario.expect if (each.strategy, each.variant) == cell]
        said = Expectation(
            strategy=self.name,
            variant=self.source.variant,
            statistic="share",
            column=f"outcome={self.settings.expect}",
            between=(1.0, 1.0),
            because="it was asked for, in place of what the file expects",
        )
        return [said]

    def steps_from(self, lead_seconds: float) -> rates.Steps:
        """The traffic for a generator that begins so many real seconds before the rollout; negative: after."""
        return _steps(self.scenario, self.traffic_seed, lead_seconds, self.speed)

    @property
    def max_lag_seconds(self) -> float:
        """How late the generator may be (p99): so little that its own lag alone makes no response slow."""
        return min(max(self.scenario.slo.latency_seconds / 2, 0.05), 0.5)

    @property
    def peak_per_second(self) -> float:
        """Requests per real second, at most."""
        return rates.peak(self.steps)


def make(source: Source, name: str, settings: Settings | None = None) -> Plan:
    """Plan a drill of one strategy of a scenario file.

    Raises:
        ScenarioErrors: the file, or the strategy's name, is wrong.
    """
    settings = settings or Settings()
    loaded = load_scenario(
        source.path, variant=source.variant, overrides=source.overrides, allow_python=source.allow_python
    )
    built = build_strategies(loaded, allow_python=source.allow_python, bind=source.bind)
    if built.patch:
        overrides = {**source.overrides, **built.patch}
        loaded = load_scenario(
            source.path, variant=source.variant, overrides=overrides, allow_python=source.allow_python
        )
    try:
        strategy = pick(name, built.strategies, field="strategy")
    except ScenarioError as error:
        raise ScenarioErrors([error]) from None
    scenario = loaded.scenario
    rng = np.random.default_rng([settings.seed, 5])  # no stream of another part of the drill
    observes = settings.cluster is not None and bool(settings.cluster.observe)
    bad, severity = bool(rng.random() < scenario.release.bad) and bool(scenario.faults), _severity(scenario, rng)
    if observes:  # the release is somebody else's, and as good as it is
        bad, strategy = False, observed.strategy(name)
    faults = planned(scenario, severity=severity, bad=bad, by_router=settings.by_router, extra=settings.extra)
    where = _where(scenario, faults, settings)
    if where.outside is not None:
        faults = tuple(
            replace(each, engine=where.outside) if _from_outside(each, settings) else each for each in faults
        )
    release = Release(
        replicas=scenario.service.replicas,
        routed=built.routed[name] and (where.weights or strategy.settings.get("kind") == "blue-green"),
        first=scenario.release.first,
        returning=scenario.release.returning,
    )
    traffic_seed = int(rng.integers(1 << 31))
    peak = rates.peak(_steps(scenario, traffic_seed, 0.0, 1.0))
    expected = preflight.expected_seconds(scenario, strategy, release, faults, peak)
    if settings.until_horizon or observes:
        expected = scenario.horizon_seconds
    real_time = observes or bool(settings.metrics_url)
    wanted = 1.0 if real_time and settings.speed is None else settings.speed
    speed, problems = preflight.choose_speed(scenario, peak, expected, wanted, where.pace)
    if real_time and speed != 1:
        who = "what is only observed" if observes else "a Prometheus"
        problems = [*problems, f"speed: {who} keeps real time; expected 1, got {speed:g}"]
    per_second = max(peak * speed, 1e-9)
    lead = _inside(BASELINE_REQUESTS / per_second, _BASELINE_SECONDS)
    window = _inside(_WINDOW_REQUESTS / per_second, _WINDOW_SECONDS)
    problems = [
        *where.refused,
        *problems,
        *preflight.too_long(scenario, speed, settings.limits.wall_seconds if settings.until_horizon else None),
        *where.problems,
    ]
    if settings.metrics_url and not problems and (why := unanswered(settings.metrics_url)):
        problems = [f"--metrics-url: the Prometheus at {settings.metrics_url} cannot be asked from here: {why}"]
    return Plan(
        scenario=scenario,
        source=source,
        digest=loaded.digest,
        strategy=strategy,
        name=name,
        release=release,
        settings=settings,
        speed=speed,
        bad=bad,
        severity=severity,
        faults=faults,
        traffic_seed=traffic_seed,
        steps=_steps(scenario, traffic_seed, lead, speed),
        lead_seconds=lead,
        deadline_seconds=scenario.horizon_seconds / speed,
        window_seconds=window,
        tail_seconds=_TAIL_SECONDS,
        expected_seconds=expected,
        labels=(*_labels(faults, speed, settings), *where.labels),
        problems=tuple(problems),
        engine=where.engine,
        assumed=loaded.assumed,
    )


def _steps(scenario: Scenario, seed: int, lead_seconds: float, speed: float) -> rates.Steps:
    """The same traffic for the same seed, from `lead_seconds` of real time before the rollout on."""
    return rates.steps(
        scenario.traffic,
        lead_seconds=lead_seconds * speed,
        until_seconds=scenario.horizon_seconds + 60.0 * speed,
        speed=speed,
        rng=np.random.default_rng(seed),
    )


def _inside(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])


def _severity(scenario: Scenario, rng: np.random.Generator) -> float:
    """The world draw of a scenario's severity."""
    law = scenario.release.severity
    if not isinstance(law, Severity):
        return float(law)
    if law.kind == "uniform":
        return law.low + (law.high - law.low) * float(rng.random())
    return law.median * math.exp(law.spread * float(rng.standard_normal()))


def _from_outside(fault: FaultPlan, settings: Settings) -> bool:
    """Faults of pods; with Chaos Mesh asked for by name also the delays of a scenario that it can do."""
    if settings.cluster is None or settings.cluster.engine != "chaos-mesh":
        return fault.engine == "node"
    return fault.engine == "node" or (isinstance(fault.fault, LatencyFault) and fault.fault.share == 1)


def _where(scenario: Scenario, faults: tuple[FaultPlan, ...], settings: Settings) -> preflight.Where:
    """What the world of a drill is like; a cluster is asked."""
    if settings.cluster is None:
        return preflight.here(scenario, faults, settings.state)
    from chaos.cluster.preflight import there  # loads the Kubernetes client

    return there(scenario, faults, settings.cluster, state=settings.state, by_router=settings.by_router)


def _labels(faults: tuple[FaultPlan, ...], speed: float, settings: Settings) -> tuple[str, ...]:
    found = []
    if speed != 1 and settings.cluster is not None:
        found.append(
            f"sped up {speed:g} times: waits, scrapes and the application's own start-up are {speed:g} times as short "
            f"as the scenario's, probes in whole seconds of at least 1, traffic {speed:g} times as dense; answering, "
            f"preStop and all that Kubernetes does take real time, and count {speed:g} times as long"
        )
    elif speed != 1:
        found.append(
            f"sped up {speed:g} times: waits, probes, scrapes and start-ups are {speed:g} times as short as the "
            f"scenario's, traffic {speed:g} times as dense; answering takes real time, and Envoy's lag and a request "
            f"in flight count {speed:g} times as long"
        )
    if settings.clients is not None:
        found.append(f"closed loop of {settings.clients} clients instead of the scenario's traffic")
    found += [f"{plan.kind}: {label}" for plan in faults for label in plan.labels]
    return tuple(found)
