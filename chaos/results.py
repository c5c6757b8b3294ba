"""What a drill gives: its timeline, its verdict, and the row that a simulated replication would have.

The row has the columns of `scenarios.outcome` in scenario seconds. Null means: not applicable, or not measured. Columns
that count until the horizon are null when the drill ended before it; what was seen until its end stands in `counts`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from chaos.evidence import Bin, Counts
from chaos.timeline import Span, Timeline, span
from chaos.verdict import Measurement, Verdict, plain
from scenarios.outcome import COLUMNS
from scenarios.schema import Scenario

Row = dict[str, Any]
SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultReport:
    """One fault of a drill and what became of it; times are scenario seconds, None where it did not happen."""

    number: int
    kind: str
    on: tuple[str, ...]
    engine: str
    asked_seconds: float | None
    injected_seconds: float | None
    effect_verified: bool
    reason: str
    p_value: float | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that a live view or a drawing shows; `at_seconds` is scenario time."""

    at_seconds: float
    kind: str
    who: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def revision_told(who: str, facts: Mapping[str, Any]) -> str:
    """The revision of a pod of which something is told; the name of a replica of this machine begins with it.

    >>> revision_told("canary-0", {}), revision_told("shop-main-7d9f-x2x4z", {"revision": "canary"})
    ('canary', 'canary')
    """
    return str(facts.get("revision") or who.rpartition("-")[0])


@dataclass(frozen=True, slots=True)
class Lag:
    """One lag that a drill showed (`chaos.lags` says what each kind is); scenario seconds.

    Attributes:
        who: the pod, or `router`.
        seconds: as it was seen; of what is seen in traffic it may be a little below 0.
        wait_seconds: mean time between the requests by which it was seen; 0 where it was heard of, not seen.
    """

    kind: str
    who: str
    revision: str
    seconds: float
    wait_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DrillResult:
    """One drill.

    Attributes:
        effect_verified: every fault was seen to act; None without a fault.
        counts: requests until the end of the drill, all and by revision.
        series: traffic over time. `happenings`: weights, pods, looks, faults, decisions.
        labels: what is not as in a cluster in real time, in words; shown wherever a figure of it is.
        load: the report of the load generator.
        left: what could not be cleaned up.
        lags: of pods, endpoints and router; none of a drill that was killed and gone on with.
    """

    run_id: str
    scenario: str
    strategy: str
    variant: str | None
    seed: int
    speed: float
    world: str
    outcome: str
    reason: str
    timeline: Timeline
    row: Row
    verdict: Verdict
    exit_code: int
    effect_verified: bool | None
    faults: tuple[FaultReport, ...]
    counts: tuple[Counts, ...]
    series: tuple[Bin, ...]
    happenings: tuple[Happening, ...]
    labels: tuple[str, ...]
    load: Mapping[str, Any] | None
    resumed: int
    left: tuple[str, ...]
    journal: str
    wall_began: float
    lags: tuple[Lag, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON holds it; NaN and infinities are null."""
        told = {name: getattr(self, name) for name in _AS_THEY_ARE}
        return {
            "schema": SCHEMA,
            **told,
            **{name: value for name, value in plain(self.verdict).items() if name != "exit_code"},
            "timeline": self.timeline.plain(),
            "faults": [asdict(each) for each in self.faults],
            "counts": [{**asdict(each), "bad": each.bad} for each in self.counts],
            "series": [asdict(each) for each in self.series],
            "happenings": [_told(asdict(each)) for each in self.happenings],
            "lags": [asdict(each) for each in self.lags],
        }


def _told(value: Any) -> Any:
    """The same with null for what JSON has no number for: a look that was NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _told(each) for name, each in value.items()}
    return [_told(each) for each in value] if isinstance(value, list | tuple) else value


_AS_THEY_ARE: Final = (
    "run_id", "scenario", "strategy", "variant", "seed", "speed", "world", "outcome", "reason", "exit_code",
    "effect_verified", "row", "labels", "load", "resumed", "left", "journal", "wall_began",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """What the replicas of a drill came to; scenario time."""

    least_available: int
    peak: int
    seconds: float  #: pod time from the start of the rollout to the end of looking


def measurements(timeline: Timeline, outcome: str, *, ended: float | None, pods: Pods) -> dict[str, Measurement]:
    """Columns that one drill measures, with their bounds; those that do not apply are missing.

    Args:
        ended: monotonic seconds at which the strategy returned its fate.
    """
    speed, found = timeline.speed, dict[str, Measurement]()
    caught = outcome in ("rolled_back", "stalled")
    decision = span(timeline.t1, timeline.t5)
    if decision is not None and not decision.hi < 0:
        found["decision_seconds"] = _measurement(decision, speed)
    if caught and timeline.detection is not None and not timeline.detection.hi < 0:
        found["detection_seconds"] = _measurement(timeline.detection, speed)
    if outcome == "rolled_back" and timeline.rollback is not None and not timeline.rollback.hi < 0:
        found["rollback_seconds"] = _measurement(timeline.rollback, speed)
    if timeline.exposure is not None and not timeline.exposure.hi < 0:
        found["exposure_seconds"] = _measurement(timeline.exposure, speed)
    if ended is not None:
        took = (ended - timeline.began) * speed
        found["duration_seconds"] = Measurement(took, took, took)
    for name, number in (("min_available_replicas", pods.least_available), ("peak_pods", pods.peak)):
        found[name] = Measurement(float(number), float(number), float(number))
    return found


def until_horizon(
    scenario: Scenario, counts: Counts, *, pods: Pods, outcome: str, bad_release: bool, users: int | None
) -> dict[str, Measurement]:
    """The columns that count until the horizon, of a drill that lasted until then; prices as the simulator's."""
    prices, hours = scenario.prices, scenario.horizon_seconds / 3600
    pod_hours = pods.seconds / 3600
    infrastructure = pod_hours * prices.pod_hour_usd
    outage = counts.failed * prices.failed_request_usd + counts.slow * prices.slow_request_usd
    engineering = engineering_usd(scenario, outcome, bad_release=bad_release)
    rate = counts.requests / scenario.horizon_seconds
    values: dict[str, float | None] = {
        "failed_requests": counts.failed,
        "slow_requests": counts.slow,
        "bad_requests": counts.bad,
        "users_exposed": users,
        "pod_hours": pod_hours,
        "infrastructure_usd": infrastructure,
        "extra_infrastructure_usd": infrastructure - scenario.service.replicas * hours * prices.pod_hour_usd,
        "outage_usd": outage,
        "total_usd": infrastructure + outage + engineering,
        "error_budget_seconds": counts.bad / rate if rate else None,
    }
    return {name: Measurement(value, value, value) for name, value in values.items() if value is not None}


def engineering_usd(scenario: Scenario, outcome: str, *, bad_release: bool) -> float:
    """People's time by price: a rollback, a rollout that got stuck, a bad release that was promoted."""
    prices = scenario.prices
    hours = {
        "rolled_back": prices.hours_per_rollback,
        "paused": prices.hours_per_stall,
        "stalled": prices.hours_per_stall,
        "promoted": prices.hours_per_bad_promotion if bad_release else 0.0,
    }.get(outcome, 0.0)
    return hours * prices.engineer_hour_usd


def row(
    measured: Mapping[str, Measurement], *, replication: int, bad: bool, severity: float | None, outcome: str
) -> Row:
    """The row of one drill: every column, null where it has none."""
    found: Row = dict.fromkeys(COLUMNS)
    for name, value in measured.items():
        found[name] = value.value if math.isfinite(value.value) else None
    return {
        **found,
        "replication": replication,
        "release_bad": bad,
        "severity": severity if bad else None,
        "outcome": outcome or None,
    }


def _measurement(span: Span, speed: float) -> Measurement:
    """In scenario seconds; what may have come a moment before its cause counts as 0."""
    there = span.scaled(speed)
    return Measurement(there.value if math.isnan(there.value) else max(0.0, there.value), max(0.0, there.lo), there.hi)


# --- repeated drills ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Repeated:
    """One column over several drills of the same cell, in scenario seconds or as the column says.

    Attributes:
        lo, hi: interval of the median between two order statistics; infinite where there are too few drills.
        confidence: that the interval really has, at least 0.9 where it is finite.
    """

    column: str
    n: int
    median: float
    worst: float
    lo: float
    hi: float
    confidence: float


def repeated(results: Sequence[DrillResult], confidence: float = 0.9) -> list[Repeated]:
    """Median, worst and interval of every number that at least one drill has."""
    found = []
    for name in COLUMNS:
        values = sorted(
            float(each.row[name])
            for each in results
            if isinstance(each.row.get(name), int | float) and not isinstance(each.row[name], bool)
        )
        if values and name != "replication":
            found.append(_repeated(name, values, confidence))
    return found


def _repeated(name: str, values: list[float], confidence: float) -> Repeated:
    """The median lies between the k-th smallest and k-th largest of n unless k or more of one side are missing.

    Source:
        The number of values below the median is binomial (n, 1/2); David & Nagaraja, Order Statistics, 7.1.
    """
    n = len(values)
    median = (values[(n - 1) // 2] + values[n // 2]) / 2
    worst = values[0] if name == "min_available_replicas" else values[-1]
    below, rank = 0.0, 0
    while rank < n // 2 and 2 * (below + math.comb(n, rank) / 2**n) <= 1 - confidence:
        below += math.comb(n, rank) / 2**n
        rank += 1
    if rank == 0:
        return Repeated(name, n, median, worst, -math.inf, math.inf, 1.0)
    return Repeated(name, n, median, worst, values[rank - 1], values[n - rank], 1 - 2 * below)
