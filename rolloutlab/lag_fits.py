"""Parameters fitted by the lags that they are, and the lags of drills beside those of the model.

A parameter is moved until the lags that were measured are likeliest under the simulator's own (`rolloutlab.lag_model`).
What is measured decides how much can be said: a start between two probes shows no more than the probe's period, and a
lag that no drill showed is not fitted, and said to be so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chaos.lags import KINDS
from chaos.results import Lag
from rolloutlab.density import FLOOR, HALF_CHI_SQUARED, density, kernel_width
from rolloutlab.drill.record import Record
from rolloutlab.lag_model import disturbed, predicted
from scenarios.schema import Scenario
from sim import intervals

FloatArray = NDArray[np.float64]
FEWEST: Final = 5  #: measured lags that a fit needs
ENDPOINTS: Final = "service.endpointLag"
#: fitted after the schedule and the pull, so that the whole way to ready, which is better known than its parts, is met
START: Final = "service.startup.start"
#: parameter -> the lags that show it
SHOWN_BY: Final = {
    "service.startup.schedule": ("schedule",),
    "service.startup.pull": ("pull",),
    START: ("start", "ready"),
    ENDPOINTS: ("join", "leave"),
    "router.lag": ("weight_on", "weight_off"),
}
#: why no drill may have shown it
MISSING: Final = {
    "service.startup.schedule": "processes have no scheduler, only the sum with the pull is there (`run`)",
    "service.startup.pull": "processes have no scheduler, only the sum with the schedule is there (`run`)",
    ENDPOINTS: "no pod came or went while its revision had traffic, as in a rolling update",
}
MEANINGS: Final = {
    "schedule": "pod made → on a node",
    "pull": "on a node → container runs",
    "run": "pod made → container runs",
    "start": "container runs → ready",
    "ready": "pod made → ready",
    "join": "ready → first request",
    "leave": "told to end → last request",
    "weight_on": "weight ordered → first request",
    "weight_off": "weight ordered → last request",
}
assert tuple(MEANINGS) == KINDS
_SEEN_SECONDS: Final = 0.02  #: real time within which a drill knows when something happened
_RELIST_SECONDS: Final = 0.29  #: the same of a container's start: a kubelet looks once a second
_LATE: Final = ("pull", "run", "start")  #: kinds that begin or end with that
_LEVEL: Final = 0.05  #: of a log-likelihood: what is so near to the best is as good
_GRID: Final = 31
_ZOOMS: Final = 4
_ENDS: Final = (0.25, 0.75)  #: quantiles that a uniform law is fitted by: a busy machine makes long tails
_ROUNDS: Final = 12


@dataclass(frozen=True, slots=True)
class Fitted:
    """A parameter of the model, moved so that the model meets what was measured.

    Attributes:
        field: in the words of the file, `router.lag`.
        lo, hi: its 95 % interval: by the likelihood of what was measured, or that of the measured quantile; infinite
            with too few drills.
        by: what it was fitted by.
        note: what a reader must know of it; `fitted` false: why it stays as it was.
    """

    field: str
    before: float
    after: float
    lo: float
    hi: float
    by: str
    drills: int
    note: str = ""
    fitted: bool = True


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of a lag, scenario seconds; NaN without values."""

    p05: float
    p50: float
    p95: float

    @classmethod
    def of(cls, values: FloatArray) -> Quantiles:
        """Those of some values."""
        return cls(*(np.quantile(values, [0.05, 0.5, 0.95]).tolist() if len(values) else [math.nan] * 3))

    def holds(self, values: FloatArray) -> int:
        """How many values lie between the outer two."""
        return int(((values >= self.p05) & (values <= self.p95)).sum())


@dataclass(frozen=True, slots=True)
class LagComparison:
    """One lag: the scenario's, the measured one, the fitted model's.

    Attributes:
        n: measured lags, in `drills` drills; a drill shows one for each pod.
        says: the model's as the scenario has it; `inside`: how many measured lie in its 90 %.
        fitted: the model's after the fits; None where nothing that makes this lag was fitted.
    """

    kind: str
    n: int
    drills: int
    measured: Quantiles
    says: Quantiles
    inside: int
    fitted: Quantiles | None = None
    inside_fitted: int | None = None


def of_kind(drills: Sequence[Record], kind: str, scenario: Scenario) -> list[Lag]:
    """The lags of a kind in some drills, without those of revisions whose lags a fault changes."""
    out = disturbed(scenario, kind)
    return [lag for one in drills for lag in one.lags if lag.kind == kind and lag.revision not in out]


def compared(
    drills: Sequence[Record], scenario: Scenario, fitted: Scenario | None, *, seed: int
) -> list[LagComparison]:
    """Every lag that some drills show beside the model's; `fitted` is the scenario after the fits."""
    found = []
    for kind in KINDS:
        there = of_kind(drills, kind, scenario)
        if not there:
            continue
        values, waits = _values(there), [lag.wait_seconds for lag in there]
        says = Quantiles.of(predicted(scenario, kind, waits, seed=seed))
        moved = fitted is not None and _makers(fitted, kind) != _makers(scenario, kind)
        after = Quantiles.of(predicted(fitted, kind, waits, seed=seed)) if fitted is not None and moved else None
        showing = sum(any(lag.kind == kind for lag in one.lags) for one in drills)
        found.append(
            LagComparison(
                kind,
                len(there),
                showing,
                Quantiles.of(values),
                says,
                says.holds(values),
                after,
                after.holds(values) if after is not None else None,
            )
        )
    return found


def _makers(scenario: Scenario, kind: str) -> list[tuple[float, ...]]:
    """The values of the parameters that make a lag."""
    parts = {"run": ("schedule", "pull"), "ready": ("schedule", "pull", "start")}.get(kind, (kind,))
    return [value(scenario, name) for name, kinds in SHOWN_BY.items() if set(parts) & set(kinds)]


# --- fits --------------------------------------------------------------------------------------------------------


def fit_by_lags(name: str, drills: Sequence[Record], scenario: Scenario, *, seed: int) -> list[Fitted] | None:
    """Fit a parameter of SHOWN_BY by its own lags; None when too few were measured.

    Args:
        scenario: with what was fitted before.
    """
    seen = {kind: of_kind(drills, kind, scenario) for kind in SHOWN_BY[name]}
    counts = [len(there) for there in seen.values()]
    if (max(counts) if name == START else sum(counts)) < FEWEST:  # a pod has a start and a ready, but is one pod
        return None
    if name == ENDPOINTS:
        return _endpoints(seen, drills, scenario, seed)
    return [_likeliest(name, seen, drills, scenario, seed)]


def not_fitted(name: str, drills: Sequence[Record], scenario: Scenario) -> list[Fitted]:
    """What is said of a parameter that nothing measured shows."""
    kinds = SHOWN_BY[name]
    count = sum(len(of_kind(drills, kind, scenario)) for kind in kinds)
    why = f"{count} lags of the kind {' or '.join(kinds)} were measured, {FEWEST} are needed"
    if not count and name in MISSING:
        why += f": {MISSING[name]}"
    now = value(scenario, name)
    return [
        Fitted(field, each, each, -math.inf, math.inf, "", len(drills), why, fitted=False)
        for field, each in zip(_fields(name), now, strict=True)
    ]


def value(scenario: Scenario, name: str) -> tuple[float, ...]:
    """A parameter of SHOWN_BY as the scenario has it, seconds; endpoints have a shortest and a longest lag."""
    startup = scenario.service.startup
    return {
        "service.startup.schedule": (startup.schedule_seconds,),
        "service.startup.pull": (startup.pull_seconds,),
        START: (startup.start_seconds,),
        ENDPOINTS: scenario.service.endpoint_lag_seconds,
        "router.lag": (scenario.router.lag_seconds,),
    }[name]


def with_value(scenario: Scenario, name: str, *seconds: float) -> Scenario:
    """The scenario with another value of a parameter of SHOWN_BY."""
    service = scenario.service
    if name == "router.lag":
        return scenario.model_copy(update={"router": scenario.router.model_copy(update={"lag_seconds": seconds[0]})})
    if name == ENDPOINTS:
        service = service.model_copy(update={"endpoint_lag_seconds": seconds})
    else:
        field = f"{name.rpartition('.')[2]}_seconds"
        service = service.model_copy(update={"startup": service.startup.model_copy(update={field: seconds[0]})})
    return scenario.model_copy(update={"service": service})


def _fields(name: str) -> tuple[str, ...]:
    return (f"{name}[0]", f"{name}[1]") if name == ENDPOINTS else (name,)


def _values(found: Sequence[Lag]) -> FloatArray:
    return np.array([lag.seconds for lag in found], dtype=np.float64)


def _said(seen: dict[str, list[Lag]]) -> str:
    return " and ".join(f"{len(there)} lags of the kind {kind}" for kind, there in seen.items() if there)


def _likeliest(
    name: str, seen: dict[str, list[Lag]], drills: Sequence[Record], scenario: Scenario, seed: int
) -> Fitted:
    """The value under which the measured lags are likeliest; of some that are as good the one nearest to what was."""
    (before,) = value(scenario, name)
    blurs = {kind: _blur(kind, drills) for kind in seen}

    def told(seconds: float) -> float:
        moved = with_value(scenario, name, seconds)
        return sum(_told(moved, kind, there, blurs[kind], seed) for kind, there in seen.items() if there)

    longest = max(blurs[kind] for kind, there in seen.items() if there)
    most = max(float(_values(there).max()) for there in seen.values() if there)
    after, low, high = _best(told, 0.0, 2.0 * max(0.0, most) + before + longest, before)
    note = ""
    if high - low > max(0.5 * high, 2 * longest):
        note = "what was measured is as likely anywhere in this interval, nearly"
    if low <= 0:
        note = "too short to be told from none"
    return Fitted(name, before, after, low, high, f"the likelihood of {_said(seen)}", len(drills), note)


def _told(scenario: Scenario, kind: str, there: Sequence[Lag], blur: float, seed: int) -> float:
    """Logarithm of the likelihood of some lags."""
    model = predicted(scenario, kind, [lag.wait_seconds for lag in there], seed=seed)
    dense = density(np.sort(model), _values(there), max(kernel_width(model), blur))
    return float(np.log(dense + FLOOR / blur).sum())


def _blur(kind: str, drills: Sequence[Record]) -> float:
    """Scenario seconds within which a drill knows when such a lag began and ended."""
    late = kind in _LATE and any(one.where.world == "cluster" for one in drills)
    return (_RELIST_SECONDS if late else _SEEN_SECONDS) * max((one.speed for one in drills), default=1.0)


def _best(told: Callable[[float], float], low: float, high: float, before: float) -> tuple[float, float, float]:
    """Where a function of one positive number is greatest, and between which bounds it is not much less (95 %)."""
    best = left = right = low
    unmoved = told(before)
    for _ in range(_ZOOMS):
        places = np.linspace(low, high, _GRID)
        heights = np.array([told(float(each)) for each in places])
        as_good = places[heights >= heights.max() - _LEVEL]
        nearest = float(as_good[np.argmin(np.abs(as_good - before))])
        best = before if unmoved >= heights.max() - _LEVEL else nearest
        near = places[heights >= heights.max() - HALF_CHI_SQUARED]
        left, right = float(near[0]), float(near[-1])
        step = float(places[1] - places[0])
        low, high = max(0.0, left - step), right + step
    return best, left, right


def _endpoints(seen: dict[str, list[Lag]], drills: Sequence[Record], scenario: Scenario, seed: int) -> list[Fitted]:
    """Shortest and longest lag, by the quartiles of all that were measured."""
    before = value(scenario, ENDPOINTS)
    values = np.concatenate([_values(there) for there in seen.values()])
    wanted = [intervals.quantile(values, q) for q in _ENDS]
    low, high = before
    for _ in range(_ROUNDS):
        moved = with_value(scenario, ENDPOINTS, low, high)
        there = np.quantile(_together(moved, seen, seed), _ENDS).tolist()
        low = max(0.0, low + wanted[0].value - there[0])
        high = max(low, high + wanted[1].value - there[1])
    by = f"the quartiles of {_said(seen)}"
    note = _apart(seen)
    found = []
    for field, was, now, end in zip(_fields(ENDPOINTS), before, (low, high), wanted, strict=True):
        bounds = (max(0.0, now + end.lo - end.value), max(0.0, now + end.hi - end.value))
        found.append(Fitted(field, was, now, *bounds, by, len(drills), note))
    return found


def _together(scenario: Scenario, seen: dict[str, list[Lag]], seed: int) -> FloatArray:
    """The model's joins and leaves, in the numbers in which they were measured."""
    parts = []
    most = max(map(len, seen.values()))
    for kind, there in seen.items():
        drawn = predicted(scenario, kind, [lag.wait_seconds for lag in there], seed=seed)
        parts.append(drawn[: round(len(drawn) * len(there) / most)])
    return np.concatenate(parts)


def _apart(seen: dict[str, list[Lag]]) -> str:
    """Whether joins and leaves, which the model gives the same law, differ."""
    middles = [intervals.quantile(_values(there), 0.5) for there in seen.values() if len(there) >= FEWEST]
    if len(middles) == 2 and (middles[0].lo > middles[1].hi or middles[1].lo > middles[0].hi):
        return "joins and leaves differ, which the model does not know"
    return ""
