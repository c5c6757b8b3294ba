"""One scenario file = one question: what it may say, with units, defaults and where the defaults come from.

Attribute names say their unit; the words of the file (aliases) carry the unit in their value. Defaults are those of
the imitated tool, or stand here and are listed as assumed in every result.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from scenarios.units import Count, Duration, Mib, Number, Rate, Seconds, Share, duration_text, mib_text

Revision = Literal["stable", "canary"]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=100)]
LabelValue = Annotated[str, Field(max_length=200)]
MAX_VARIANTS: Final = 50
LONGEST_HORIZON_SECONDS: Final = 366 * 86400.0


class Model(BaseModel):
    """Base of all parts of a scenario: unknown fields are errors, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


# --- the service -------------------------------------------------------------------------------------------------


class LatencyLaw(Model):
    """Time to answer one request: log-normal, given by its median and its 99th percentile."""

    p50_seconds: Duration = Field(alias="p50", gt=0)
    p99_seconds: Duration = Field(alias="p99", gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> LatencyLaw:
        if self.p99_seconds < self.p50_seconds:
            low, high = duration_text(self.p99_seconds), duration_text(self.p50_seconds)
            raise ValueError(f"expected a p99 of at least the p50 ({high}), got {low}")
        return self


class Startup(Model):
    """Time from creating a pod to a process that can answer; each part is log-normal around its median."""

    schedule_seconds: Duration = Field(1.0, alias="schedule")
    pull_seconds: Duration = Field(4.0, alias="pull")
    start_seconds: Duration = Field(20.0, alias="start")
    spread: Number = Field(0.2, ge=0, le=3, description="sigma of the logarithm; 0 makes the times constant")


class Probe(Model):
    """A probe of the kubelet; defaults as Kubernetes' SetDefaults_Probe."""

    initial_delay_seconds: Seconds = Field(0, alias="initialDelaySeconds", ge=0)
    period_seconds: Seconds = Field(10, alias="periodSeconds", ge=1)
    timeout_seconds: Seconds = Field(1, alias="timeoutSeconds", ge=1)
    success_threshold: Count = Field(1, alias="successThreshold", ge=1)
    failure_threshold: Count = Field(3, alias="failureThreshold", ge=1)


class Probes(Model):
    """The probes of the container; one that is null does not exist."""

    readiness: Probe | None = Probe()
    liveness: Probe | None = None
    startup: Probe | None = None


class Shutdown(Model):
    """How a pod ends."""

    pre_stop_seconds: Duration = Field(5.0, alias="preStop", description="sleep before SIGTERM; 0 = none")
    grace_seconds: Duration = Field(30.0, alias="terminationGracePeriod", description="Kubernetes: 30 s")
    graceful: bool = Field(True, description="the process finishes requests in flight after SIGTERM")
    drain_seconds: Duration = Field(2.0, alias="drain", description="time the process needs after SIGTERM")


class Resources(Model):
    """What one pod has; a leak runs into these limits."""

    memory_base_mib: Mib = Field(256.0, alias="memoryBase", description="resident size of a fresh pod")
    memory_limit_mib: Mib = Field(512.0, alias="memoryLimit")
    pool_size: Count = Field(20, alias="poolSize", ge=1, description="connections of one pod's pool")

    @model_validator(mode="after")
    def _ordered(self) -> Resources:
        if self.memory_base_mib >= self.memory_limit_mib:
            base, limit = mib_text(self.memory_base_mib), mib_text(self.memory_limit_mib)
            raise ValueError(f"expected a memoryBase below the memoryLimit ({limit}), got {base}")
        return self


class Service(Model):
    """The service whose release is studied."""

    name: str = "service"
    replicas: Count = Field(10, ge=1, le=1000)
    threads: Count = Field(50, ge=1, le=10_000, description="requests that one pod answers at the same time")
    latency: LatencyLaw = LatencyLaw(p50_seconds=0.04, p99_seconds=0.25)
    error_ratio: Share = Field(0.001, alias="errorRatio", description="share of failing responses of a healthy pod")
    startup: Startup = Startup()
    probes: Probes = Probes()
    shutdown: Shutdown = Shutdown()
    resources: Resources = Resources()
    endpoint_lag_seconds: tuple[Duration, Duration] = Field(
        (1.0, 2.0),
        alias="endpointLag",
        description="from a change of readiness until no proxy uses the old list, uniform",
    )

    @field_validator("endpoint_lag_seconds")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[1] < value[0]:
            raise ValueError(f"expected [shortest, longest], got [{', '.join(map(duration_text, value))}]")
        return value


class Slo(Model):
    """A response is bad when it failed or took longer than `latency`."""

    latency_seconds: Duration = Field(0.5, alias="latency", gt=0)
    objective: Share = 0.999


class Router(Model):
    """What splits traffic between the revisions."""

    kind: Literal["weighted", "pods"] = Field("weighted", description="pods: no router, traffic follows the pod counts")
    lag_seconds: Duration = Field(1.0, alias="lag", description="from an accepted weight to traffic that follows it")
    connection_life_seconds: Duration = Field(
        0.0, alias="connectionLife", description="mean life of connections that outlive a switch; 0 = none do"
    )
    no_endpoints: Literal["fail", "uncounted", "fallback"] = Field(
        "fail",
        alias="noEndpoints",
        description="fail: 503, as Envoy; uncounted: 503 that no series of the revision counts, as Traefik; "
        "fallback: to the other revision, as ingress-nginx",
    )


# --- traffic -----------------------------------------------------------------------------------------------------


class ConstantTraffic(Model):
    """The same rate all the time."""

    kind: Literal["constant"] = "constant"
    rate_per_second: Rate = Field(alias="rate")


class DailyTraffic(Model):
    """A sine over the day around its mean."""

    kind: Literal["daily"]
    mean_per_second: Rate = Field(alias="mean")
    amplitude: Share = Field(0.5, description="peak = mean x (1 + amplitude)")
    peak_at_seconds: Duration = Field(54000.0, alias="peakAt", description="time of day of the peak (15h)")
    start_at_seconds: Duration | None = Field(
        None, alias="startAt", description="time of day of the release; null = any time, drawn per replication"
    )


class FlashCrowd(Model):
    """A base rate, then an exponential rise to a peak and an exponential decay."""

    kind: Literal["flash_crowd"]
    base_per_second: Rate = Field(alias="base")
    peak_per_second: Rate = Field(alias="peak")
    at_seconds: Duration = Field(alias="at")
    rise_seconds: Duration = Field(60.0, alias="rise", gt=0)
    decay_seconds: Duration = Field(600.0, alias="decay", gt=0)


class TraceTraffic(Model):
    """Recorded request counts, CSV with the columns `timestamp,requests`."""

    kind: Literal["trace"]
    file: str
    scale_to_mean_per_second: Rate | None = Field(None, alias="scaleToMean", description="rescale the whole trace")
    start_at_seconds: Duration | None = Field(
        None, alias="startAt", description="offset into the trace; null = any row, drawn per replication"
    )


def _kind_of_traffic(value: Any) -> Any:
    """The word that says which traffic is meant; a mapping without it is constant."""
    return value.get("kind", "constant") if isinstance(value, dict) else getattr(value, "kind", None)


Traffic = Annotated[
    Annotated[ConstantTraffic, Tag("constant")]
    | Annotated[DailyTraffic, Tag("daily")]
    | Annotated[FlashCrowd, Tag("flash_crowd")]
    | Annotated[TraceTraffic, Tag("trace")],
    Discriminator(_kind_of_traffic),
]


class Users(Model):
    """Who sends the requests; needed for `users_exposed`."""

    count: Count = Field(ge=1, le=1_000_000_000)
    zipf: Number = Field(1.1, ge=0, le=3, description="exponent of the activity law; 0 = all users alike")
    routing: Literal["random", "sticky"] = Field("random", description="per request, or a user stays on a revision")


class People(Model):
    """Who answers AwaitApproval, and when; log-normal around the median."""

    approval_seconds: Duration | None = Field(600.0, alias="approval", description="median; null = nobody answers")
    spread: Number = Field(0.5, ge=0, le=3)


class Outage(Model):
    """A time in which no scrape succeeds."""

    from_seconds: Duration = Field(alias="from", description="time since the rollout began")
    for_seconds: Duration = Field(alias="for", gt=0)


class Births(Model):
    """When a series of a label value begins."""

    codes: Literal["start", "first_event"] | None = Field(
        None,
        description="of response codes; start: at 0 from the first scrape on; first_event: when it has counted one; "
        "null: as the catalogue says, at the start in an application and with the first event in a router",
    )


class SeriesLabels(Model):
    """Label values that tell the series of one revision from the other's."""

    stable: dict[LabelName, LabelValue] = Field({}, max_length=40)
    canary: dict[LabelName, LabelValue] = Field({}, max_length=40)

    @field_validator("stable", "canary")
    @classmethod
    def _free(cls, value: dict[str, str]) -> dict[str, str]:
        if value:
            from strategies.metrics.families import counted  # the catalogue: only where labels are given

            for name in value:
                if name.startswith("__") or name in counted():
                    raise ValueError(f"expected a label of your own, got {name!r}, which the simulator sets")
        return value


class Metrics(Model):
    """How measurements come about."""

    source: Literal["router", "pods"] = Field(
        "router",
        description="who counts for typed measures; pods: each for itself, and nobody what no pod answered",
    )
    scrape_interval_seconds: Duration = Field(15.0, alias="scrapeInterval", gt=0)
    jitter_seconds: Duration = Field(0.0, alias="jitter", description="a scrape comes late by up to this, uniform")
    missed: Share = Field(0.0, description="share of scrapes that fail, each target by itself")
    outage: Outage | None = Field(None, description="null: none")
    lag_seconds: Duration = Field(0.0, alias="lag", description="from a scrape until a query sees it")
    births: Births = Births()
    labels: SeriesLabels = SeriesLabels()
    services: dict[Revision, LabelValue] = Field({}, description="names of the Services that one revision has alone")
    query_seconds: Duration = Field(0.1, alias="query", description="time one query takes")
    buckets_seconds: tuple[Duration, ...] = Field(
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
        alias="buckets",
        min_length=1,
        max_length=40,
        description="upper bounds of the latency histogram; Prometheus client default",
    )

    @field_validator("buckets_seconds")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for low, high in pairwise((0.0, *value)):
            if high <= low:
                raise ValueError(
                    f"expected rising bounds above 0, got {duration_text(high)} after {duration_text(low)}"
                )
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Metrics:
        if self.jitter_seconds >= self.scrape_interval_seconds:
            limit, got = duration_text(self.scrape_interval_seconds), duration_text(self.jitter_seconds)
            raise ValueError(f"expected a jitter below the scrapeInterval ({limit}), got {got}")
        return self


# --- the release and its faults ----------------------------------------------------------------------------------


class Severity(Model):
    """How bad a bad release is: a factor on the intensity of every fault, drawn per replication."""

    kind: Literal["lognormal", "uniform"] = "lognormal"
    median: Number = Field(1.0, gt=0)
    spread: Number = Field(0.5, ge=0, le=3, description="lognormal: sigma of the logarithm")
    low: Number = Field(0.5, ge=0, description="uniform: lower end")
    high: Number = Field(1.5, ge=0, description="uniform: upper end")

    @model_validator(mode="after")
    def _ordered(self) -> Severity:
        if self.high < self.low:
            raise ValueError(f"expected a high of at least low ({self.low}), got {self.high}")
        return self


def _form_of_severity(value: Any) -> str:
    return "law" if isinstance(value, dict | Severity) else "number"


class ReleaseSpec(Model):
    """Is the release bad, and how bad."""

    bad: Share = Field(1.0, description="probability that the faults of this file are in the release")
    severity: Annotated[
        Annotated[Number, Field(ge=0), Tag("number")] | Annotated[Severity, Tag("law")],
        Discriminator(_form_of_severity),
    ] = 1.0
    first: bool = Field(False, description="first deployment: there is no stable revision")
    returning: bool = Field(False, description="the template is that of the stable revision")

    @model_validator(mode="after")
    def _one_story(self) -> ReleaseSpec:
        if self.first and self.returning:
            raise ValueError("expected first or returning, got both: a first deployment has nothing to return to")
        return self


class FaultBase(Model):
    """Where and from when a fault acts."""

    on: Literal["canary", "stable", "both"] = "canary"
    from_seconds: Duration = Field(0.0, alias="from", description="time since the rollout began")
    from_weight: Share | None = Field(
        None, alias="fromWeight", description="starts when the canary's weight reaches this"
    )


class ErrorRatioFault(FaultBase):
    """This share of responses fails, on top of the service's own."""

    kind: Literal["error_ratio"]
    ratio: Share


class LatencyFault(FaultBase):
    """Answers take longer: `add` to this share of requests."""

    kind: Literal["added_latency"]
    add_seconds: Duration = Field(alias="add")
    share: Share = 1.0


class CrashLoopFault(FaultBase):
    """The container exits this long after each start."""

    kind: Literal["crash_loop"]
    after_seconds: Duration = Field(5.0, alias="after")


class NeverReadyFault(FaultBase):
    """The readiness probe never succeeds."""

    kind: Literal["never_ready"]


class SlowStartFault(FaultBase):
    """The process needs this much longer before it can answer."""

    kind: Literal["slow_start"]
    add_seconds: Duration = Field(alias="add")


class MemoryLeakFault(FaultBase):
    """Memory that is never given back, until the kernel kills the container at its limit."""

    kind: Literal["memory_leak"]
    mib_per_minute: Number | None = Field(None, alias="mibPerMinute", gt=0)
    mib_per_request: Number | None = Field(None, alias="mibPerRequest", gt=0)

    @model_validator(mode="after")
    def _one_of(self) -> MemoryLeakFault:
        if (self.mib_per_minute is None) == (self.mib_per_request is None):
            raise ValueError("expected exactly one of mibPerMinute and mibPerRequest")
        return self


class PoolLeakFault(FaultBase):
    """Connections that are taken and never given back; an empty pool fails every request."""

    kind: Literal["pool_leak"]
    per_request: Share = Field(alias="perRequest", description="share of requests that leak a connection")
    scope: Literal["pod", "shared"] = "pod"
    shared_size: Count = Field(200, alias="sharedSize", ge=1, description="size of the shared pool (scope: shared)")


Fault = Annotated[
    ErrorRatioFault
    | LatencyFault
    | CrashLoopFault
    | NeverReadyFault
    | SlowStartFault
    | MemoryLeakFault
    | PoolLeakFault,
    Field(discriminator="kind"),
]


# --- strategies, prices, expectations ----------------------------------------------------------------------------


class Prices(Model):
    """What things cost, in US dollars."""

    pod_hour_usd: Number = Field(0.05, alias="podHour", ge=0)
    failed_request_usd: Number = Field(0.01, alias="failedRequest", ge=0, description="value of one failed request")
    slow_request_usd: Number = Field(0.0, alias="slowRequest", ge=0)
    engineer_hour_usd: Number = Field(100.0, alias="engineerHour", ge=0)
    hours_per_rollback: Number = Field(1.0, alias="hoursPerRollback", ge=0)
    hours_per_stall: Number = Field(
        2.0, alias="hoursPerStall", ge=0, description="a rollout that ended stalled or paused"
    )
    hours_per_bad_promotion: Number = Field(4.0, alias="hoursPerBadPromotion", ge=0)


class Expectation(Model):
    """A statement about the results that a run of this file checks."""

    strategy: str
    variant: str | None = Field(None, description="null: the file as it stands, without a variant")
    statistic: Literal["mean", "p50", "p90", "share"]
    column: str = Field(description="a results column; for share: outcome=NAME, or a column that is true or false")
    between: tuple[Number, Number] = Field(description="lowest and highest value that the question allows")
    because: str = Field(min_length=1, description="the arithmetic behind the two bounds")

    @model_validator(mode="after")
    def _ordered(self) -> Expectation:
        low, high = self.between
        if high < low:
            raise ValueError(f"expected between: [low, high] with low at most high, got [{low:g}, {high:g}]")
        return self


class Scenario(Model):
    """One question about one release of one service."""

    api_version: Literal["rolloutlab/v1"] = Field(alias="apiVersion")
    kind: Literal["Scenario"] = "Scenario"
    title: str = ""
    question: str = ""
    horizon_seconds: Duration = Field(3600.0, alias="horizon", gt=0)
    service: Service = Service()
    slo: Slo = Slo()
    router: Router = Router()
    traffic: Traffic = ConstantTraffic.model_validate({"rate": "100/s"})
    users: Users | None = None
    people: People = People()
    metrics: Metrics = Metrics()
    release: ReleaseSpec = ReleaseSpec()
    faults: tuple[Fault, ...] = ()
    strategies: dict[str, dict[str, Any]] = Field(min_length=1, max_length=50)
    variants: dict[str, dict[str, Any]] = Field({}, max_length=MAX_VARIANTS)
    prices: Prices = Prices()
    expect: tuple[Expectation, ...] = ()

    @field_validator("horizon_seconds")
    @classmethod
    def _short_enough(cls, value: float) -> float:
        if value > LONGEST_HORIZON_SECONDS:
            raise ValueError(f"expected a horizon of at most 366d, got {duration_text(value)}")
        return value
