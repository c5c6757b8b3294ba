"""A scenario compiled for the engines: constants in the units of the engines, and the draws of one chunk of worlds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from scenarios.schema import LatencyFault, LatencyLaw, MemoryLeakFault, PoolLeakFault, Scenario, Severity
from sim import traffic
from sim.asked import Asked, asked_of
from sim.seeds import BLOCK, CHUNK, LIVES, stream
from strategies.effects import Ask, Release

FloatArray = NDArray[np.float64]
US: Final = 1_000_000
NEVER_US: Final = 1 << 58  #: sums of some of it still fit an int64
Z99: Final = 2.3263478740408408  # standard normal quantile of 0.99


def us(seconds: float) -> int:
    """Whole microseconds of a time; what is further away than 9,000 years never comes."""
    return round(min(seconds * US, NEVER_US))


def whole_us(seconds: FloatArray) -> NDArray[np.int64]:
    """`us` of an array, any shape."""
    return np.rint(np.minimum(seconds * US, NEVER_US)).astype(np.int64)


class Latency:
    """The log-normal law of response times, with a share of requests delayed by faults.

    `survival(x)` is P(latency > x) when each of the faults adds its delay to its share independently.
    """

    def __init__(self, law: LatencyLaw) -> None:
        self.log_median = math.log(law.p50_seconds)
        self.sigma = (math.log(law.p99_seconds) - self.log_median) / Z99
        self.mean_seconds = law.p50_seconds * math.exp(self.sigma**2 / 2)
        self._classes: dict[tuple[object, ...], tuple[float, ...]] = {}

    def below(self, seconds: float) -> float:
        """P(latency <= seconds) without faults."""
        if seconds <= 0:
            return 0.0
        if self.sigma == 0:
            return 1.0 if math.log(seconds) >= self.log_median else 0.0
        return 0.5 * math.erfc(-(math.log(seconds) - self.log_median) / (self.sigma * math.sqrt(2)))

    def classes(self, bounds: tuple[float, ...], delays: list[tuple[float, float]]) -> tuple[float, ...]:
        """P(latency in each class) for upper bounds in seconds, the last one infinite; remembered per set of delays."""
        key = (bounds, *delays) if delays else (bounds,)
        known = self._classes.get(key)
        if known is None:
            below = [1.0 if bound == math.inf else self.below_with(bound, delays) for bound in bounds]
            known = tuple(high - low for low, high in zip([0.0, *below], below, strict=False))
            if len(self._classes) < 10_000:  # a severity drawn per replication makes each set of delays its own
                self._classes[key] = known
        return known

    def below_with(self, seconds: float, delays: list[tuple[float, float]]) -> float:
        """P(latency <= seconds) with (added seconds, share of requests) of each fault that acts."""
        if not delays:
            return self.below(seconds)
        (added, share), rest = delays[0], delays[1:]
        return share * self.below_with(seconds - added, rest) + (1 - share) * self.below_with(seconds, rest)


@dataclass(frozen=True)
class Model:
    """Everything an engine needs to know of a scenario, read once.

    `buckets_seconds` are the upper bounds of the latency classes of successful responses, the last one infinite; the
    first `fast_classes` of them are within the objective. Without latency queries there are two: fast and slow.
    """

    scenario: Scenario
    release: Release
    reads: tuple[Ask, ...]
    horizon_us: int
    interval_us: int
    query_us: int
    law: traffic.Law
    knots: list[float]
    cumulative: list[float]
    latency: Latency
    buckets_seconds: tuple[float, ...]
    fast_classes: int
    regimes: int
    from_start: bool  #: a fault acts from time 0 on, so that regime 0 counts as faulty
    asked: Asked  #: what the questions need
    window_scrapes: int  #: kept of each series
    lag_us: int  #: from a scrape until a query sees it
    even: bool  #: every scrape comes in time and succeeds
    targets: tuple[bool, bool]  #: which revisions the faults sit in: (stable, canary)
    uncounted: bool  #: what finds no endpoint fails, and no series of its revision shows it

    @property
    def per_pod_measures(self) -> bool:
        """Typed questions are answered from pods' own series."""
        return self.scenario.metrics.source == "pods"


@dataclass(frozen=True, slots=True)
class ScrapeDraws:
    """One scrape of a chunk, where scrapes are uneven."""

    late_us: NDArray[np.int64]  #: shape [256], after its time on the grid
    failed: NDArray[np.bool_]  #: shape [256, 2], at the router and at the cluster's exporters


def compile_model(scenario: Scenario, reads: tuple[Ask, ...], *, routed: bool | None = None) -> Model:
    """Read a scenario once, for one strategy that asks `reads`; `routed` overrides what the scenario's router says."""
    law = traffic.law(scenario.traffic, scenario.horizon_seconds)
    limit = scenario.slo.latency_seconds
    asked = asked_of(scenario, reads)
    bounds = sorted({*asked.bounds_seconds, limit})
    late = sum(1 for fault in scenario.faults if fault.from_seconds > 0 or fault.from_weight is not None)
    metrics = scenario.metrics
    interval = metrics.scrape_interval_seconds
    kept = min(asked.longest_seconds, scenario.horizon_seconds) + metrics.lag_seconds + metrics.jitter_seconds
    return Model(
        scenario=scenario,
        release=Release(
            replicas=scenario.service.replicas,
            routed=scenario.router.kind == "weighted" if routed is None else routed,
            first=scenario.release.first,
            returning=scenario.release.returning,
        ),
        reads=reads,
        horizon_us=us(scenario.horizon_seconds),
        interval_us=us(interval),
        query_us=us(metrics.query_seconds),
        law=law,
        knots=law.knots_seconds.tolist(),
        cumulative=law.cumulative.tolist(),
        latency=Latency(scenario.service.latency),
        buckets_seconds=(*bounds, math.inf),
        fast_classes=bounds.index(limit) + 1,
        regimes=1 + late,
        from_start=late < len(scenario.faults),
        asked=asked,
        window_scrapes=math.ceil(kept / interval) + 3,
        lag_us=us(metrics.lag_seconds),
        even=not (metrics.jitter_seconds or metrics.missed or metrics.outage is not None),
        targets=(
            any(fault.on in ("stable", "both") for fault in scenario.faults),
            any(fault.on in ("canary", "both") for fault in scenario.faults),
        ),
        uncounted=scenario.router.no_endpoints == "uncounted",
    )


@dataclass
class PodDraws:
    """Start-up and lags of one revision's pods, as lists `[replication][ordinal]`; times in microseconds."""

    scheduled_us: list[list[int]]  #: from creation to the start of the container
    started_us: list[list[int]]  #: from the start of the container until the process can answer
    lag_in_us: list[list[int]]  #: from Ready to traffic
    lag_out_us: list[list[int]]  #: from not ready to no traffic
    leaks: list[list[list[float]]] | None  #: requests one pod serves until its leak bites, per life


class ChunkDraws:
    """The worlds of one chunk: everything that is decided before the first request.

    Attributes (lists of length 256 unless said): `bad`, `severity`, `offset_seconds` (into the traffic law),
    `phase_us` (of the scrapes), `approvals_us` (list of 8 per replication, or None when nobody answers),
    `shared_leak` (requests until a shared pool is empty).
    """

    def __init__(self, model: Model, root: int, chunk: int) -> None:
        self.model, self.root, self.chunk = model, root, chunk
        scenario = model.scenario
        rng = stream(root, chunk, "world")
        uniform = rng.random((3, CHUNK))
        normal = rng.standard_normal(CHUNK)
        faulty = bool(scenario.faults)
        self.bad: list[bool] = ((uniform[0] < scenario.release.bad) & faulty).tolist()
        self.severity: list[float] = _severity(scenario.release.severity, normal, uniform[1]).tolist()
        self.phase_us: list[int] = (uniform[2] * model.interval_us).astype(np.int64).tolist()
        starts = model.law.starts_seconds
        chosen = (stream(root, chunk, "traffic").random(CHUNK) * starts.size).astype(np.int64)
        self.offset_seconds: list[float] = starts[chosen].tolist()
        people = scenario.people
        self.approvals_us: list[list[int]] | None = None
        if people.approval_seconds is not None:
            delay = np.exp(people.spread * stream(root, chunk, "people").standard_normal((CHUNK, 8)))
            self.approvals_us = whole_us(people.approval_seconds * delay).tolist()
        self._pods: dict[tuple[int, int], PodDraws] = {}
        self._uids: dict[tuple[int, int], list[list[float]]] = {}
        self._scrapes: dict[int, ScrapeDraws] = {}
        self.shared_leak: list[float] = self._shared_leak()

    def pods(self, revision: int, block: int) -> PodDraws:
        """The draws of 32 ordinals of a revision, made when first needed."""
        key = (revision, block)
        if key not in self._pods:
            self._pods[key] = self._draw_pods(revision, block)
        return self._pods[key]

    def uids(self, revision: int, block: int) -> list[list[float]]:
        """What orders 32 pods of a revision among which nothing else does: 0..1, as lists `[replication][ordinal]`."""
        key = (revision, block)
        if key not in self._uids:
            self._uids[key] = stream(self.root, self.chunk, "uids", revision, block).random((CHUNK, BLOCK)).tolist()
        return self._uids[key]

    def scrape(self, k: int) -> ScrapeDraws:
        """Whether and when scrape k of each replication comes; the last ones are remembered."""
        if k not in self._scrapes:
            metrics = self.model.scenario.metrics
            uniform = stream(self.root, self.chunk, "scrapes", k).random((3, CHUNK))
            late = (uniform[0] * us(metrics.jitter_seconds)).astype(np.int64)
            failed = np.less(uniform[1:].T, metrics.missed)
            if metrics.outage is not None:
                failed |= self._out(k, late)[:, None]
            while len(self._scrapes) > 2:
                del self._scrapes[next(iter(self._scrapes))]
            self._scrapes[k] = ScrapeDraws(late, failed)
        return self._scrapes[k]

    def pod_scrapes(self, k: int, pods: int) -> NDArray[np.bool_]:
        """Which scrapes of pods fail, shape [256, 2, pods]."""
        metrics = self.model.scenario.metrics
        failed = np.zeros((CHUNK, 2, pods), dtype=bool)
        if metrics.missed:
            for revision in (0, 1):
                for block in range(-(-pods // BLOCK)):
                    part = slice(block * BLOCK, min((block + 1) * BLOCK, pods))
                    uniform = stream(self.root, self.chunk, "scrapes", k, revision, block).random((CHUNK, BLOCK))
                    failed[:, revision, part] = uniform[:, : part.stop - part.start] < metrics.missed
        if metrics.outage is not None:
            failed |= self._out(k, self.scrape(k).late_us)[:, None, None]
        return failed

    def _out(self, k: int, late_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which replications' scrape k falls into the outage."""
        outage = self.model.scenario.metrics.outage
        assert outage is not None, "asked only where there is one"
        at = np.asarray(self.phase_us) + k * self.model.interval_us + late_us
        return (at >= us(outage.from_seconds)) & (at < us(outage.from_seconds + outage.for_seconds))

    def _draw_pods(self, revision: int, block: int) -> PodDraws:
        service = self.model.scenario.service
        startup = service.startup
        rng = stream(self.root, self.chunk, "pods", revision, block)
        factor = np.exp(startup.spread * rng.standard_normal((3, CHUNK, BLOCK)))
        lags = rng.random((2, CHUNK, BLOCK))
        low, high = service.endpoint_lag_seconds
        lag = whole_us(low + (high - low) * lags)
        scheduled = whole_us(startup.schedule_seconds * factor[0] + startup.pull_seconds * factor[1])
        started = whole_us(startup.start_seconds * factor[2])
        return PodDraws(
            scheduled.tolist(),
            started.tolist(),
            lag[0].tolist(),
            lag[1].tolist(),
            self._leaks(rng, ("stable", "canary")[revision]),
        )

    def _leaks(self, rng: np.random.Generator, revision: str) -> list[list[list[float]]] | None:
        """Requests until a leak bites: the n-th of Poisson arrivals comes after Gamma(n) units of exposure."""
        resources = self.model.scenario.service.resources
        severity = np.asarray(self.severity)
        needed = None
        for fault in self.model.scenario.faults:
            if fault.on not in (revision, "both"):
                continue
            if isinstance(fault, MemoryLeakFault) and fault.mib_per_request is not None:
                room = resources.memory_limit_mib - resources.memory_base_mib
                with np.errstate(divide="ignore"):
                    needed = np.maximum(np.ceil(room / (fault.mib_per_request * severity)), 1.0)
                thin = np.ones(CHUNK)
            elif isinstance(fault, PoolLeakFault) and fault.scope == "pod":
                needed = np.full(CHUNK, float(resources.pool_size))
                thin = np.minimum(fault.per_request * severity, 1.0)
        if needed is None:
            return None
        uniform = rng.random((CHUNK, BLOCK, LIVES))
        with np.errstate(divide="ignore"):
            leaks: list[list[list[float]]] = (_gamma(needed[:, None, None], uniform) / thin[:, None, None]).tolist()
        return leaks

    def _shared_leak(self) -> list[float]:
        for fault in self.model.scenario.faults:
            if isinstance(fault, PoolLeakFault) and fault.scope == "shared":
                rng = stream(self.root, self.chunk, "pods", 2, 0)
                thin = np.minimum(fault.per_request * np.asarray(self.severity), 1.0)
                with np.errstate(divide="ignore"):
                    drawn: list[float] = (
                        _gamma(np.array([float(fault.shared_size)]), rng.random(CHUNK)) / thin
                    ).tolist()
                return drawn
        return []


def _gamma(shape: FloatArray, uniform: FloatArray) -> FloatArray:
    """Quantiles of the gamma distribution; infinite where the shape is.

    By inversion, so that an edited scenario keeps its worlds. From a shape of 200 on by the cube-root normal form,
    whose probabilities are off by less than 3e-5 there, at a fiftieth of the time.

    Source:
        Wilson and Hilferty, PNAS 17 (1931).
    """
    if shape.min() < 200:
        return np.where(np.isinf(shape), np.inf, special.gammaincinv(np.where(np.isinf(shape), 1.0, shape), uniform))
    with np.errstate(invalid="ignore"):
        root = 1.0 - 1.0 / (9.0 * shape) + special.ndtri(uniform) / (3.0 * np.sqrt(shape))
        return np.where(np.isinf(shape), np.inf, shape * root**3)


def _severity(law: float | Severity, normal: FloatArray, uniform: FloatArray) -> FloatArray:
    if not isinstance(law, Severity):
        return np.full(CHUNK, float(law))
    if law.kind == "uniform":
        return law.low + (law.high - law.low) * uniform
    return law.median * np.exp(law.spread * normal)


def delays_of(scenario: Scenario, revision: str, started: set[int], severity: float) -> list[tuple[float, float]]:
    """(added seconds, share) of the latency faults that act on a revision; `started` are indices of faults."""
    return [
        (fault.add_seconds * severity, fault.share)
        for index, fault in enumerate(scenario.faults)
        if isinstance(fault, LatencyFault) and index in started and fault.on in (revision, "both")
    ]
