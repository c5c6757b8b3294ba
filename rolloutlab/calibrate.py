"""Predicted against measured: the simulator's times of a scenario beside those of drills, and parameters fitted.

A drill is a draw from the world, a replication one from the model. If the model is right, nine in ten measured times
lie in its 90 % interval, and the share of replications below a measured time (its PIT) is uniform over 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rolloutlab.density import FLOOR, HALF_CHI_SQUARED, density, kernel_width
from rolloutlab.drill.record import Record
from rolloutlab.lag_fits import ENDPOINTS, SHOWN_BY, Fitted
from scenarios.errors import ScenarioError, unknown
from sim import intervals
from sim.intervals import Interval

FloatArray = NDArray[np.float64]
LEVEL: Final = 0.9  #: of the predicted interval
#: so rare a coverage, were the model right, is taken against it: 14 of 20 or fewer in the interval fail, 15 do not
SURPRISE: Final = 0.02
UNEVEN: Final = 1e-3  #: so uneven PITs are told; they do not decide, for no model is right to the last second
WIDEST: Final = 3.0  #: how many times as wide as the measured spread a useful interval may be
FEWEST: Final = 5  #: measured times that a verdict needs
FEWEST_FOR_SPREAD: Final = 10
HOLDS, FAILS, CANNOT_SAY = "holds", "fails", "cannot say"

#: What is compared -> what it says. `onset` is no column of the results: it is decision less detection.
JUDGED: Final = {
    "detection_seconds": "from the first bad response to the decision",
    "rollback_seconds": "from the decision to the last response of the bad revision",
}
ONSET: Final = "onset_seconds"
MEANINGS: Final = {**JUDGED, ONSET: "from the start of the fault to the first bad response"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One time, predicted and measured; scenario seconds.

    Attributes:
        predicted: replications that have a value; p05, p50, p95: their quantiles.
        values: of the drills that have one, in their order; `missing`: drills that have none.
        inside: how many of them lie in [p05, p95]; `coverage`: that share, with its 95 % interval.
        pit: for each value the share of replications below it, ties counted half.
        uniform_p: probability of so uneven PITs, or more, were the model right (two-sided Kolmogorov-Smirnov).
        width_ratio: width of [p05, p95] by that of the measured values; NaN with too few of them.
        judged: it counts for the verdict.
    """

    column: str
    predicted: int
    p05: float
    p50: float
    p95: float
    values: tuple[float, ...]
    missing: int
    inside: int
    coverage: Interval
    pit: tuple[float, ...]
    uniform_p: float
    width_ratio: float
    holds: str
    reason: str
    judged: bool = True

    @property
    def median(self) -> Interval:
        """The measured median with its 95 % interval."""
        return intervals.quantile(np.array(self.values), 0.5)


def compare(column: str, predicted: FloatArray, measured: FloatArray) -> Comparison:
    """Hold measured times against the model's.

    Args:
        predicted: of replications, shape [R]; NaN where it does not apply.
        measured: of drills, shape [n]; NaN where it does not apply.
    """
    model = np.sort(predicted[~np.isnan(predicted)])
    values = measured[~np.isnan(measured)]
    p05, p50, p95 = np.quantile(model, [0.05, 0.5, 0.95]).tolist() if len(model) else [math.nan] * 3
    inside = int(((values >= p05) & (values <= p95)).sum())
    pit = pits(model, values)
    ratio = width_ratio(p95 - p05, values)
    holds, reason = _verdict(len(model), values, inside, ratio)
    uneven = uniform_p(pit)
    if uneven < UNEVEN:
        reason += f"; the values lie unevenly in it (PIT, p = {uneven:.2g}): the model is off, if only by a little"
    return Comparison(
        column=column,
        predicted=len(model),
        p05=p05,
        p50=p50,
        p95=p95,
        values=tuple(values.tolist()),
        missing=len(measured) - len(values),
        inside=inside,
        coverage=intervals.wilson(inside, len(values)),
        pit=tuple(pit.tolist()),
        uniform_p=uneven,
        width_ratio=ratio,
        holds=holds,
        reason=reason,
        judged=column in JUDGED,
    )


def pits(model: FloatArray, values: FloatArray) -> FloatArray:
    """Share of replications below each value, ties counted half; shape of `values`, NaN without replications.

    >>> pits(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 2.0, 9.0])).tolist()
    [0.0, 0.375, 1.0]
    """
    if not len(model):
        return np.full(len(values), math.nan)
    low, high = (np.searchsorted(model, values, side=side) for side in ("left", "right"))
    return np.asarray((low + high) / (2.0 * len(model)), dtype=np.float64)


def uniform_p(pit: FloatArray) -> float:
    """Probability of PITs as uneven as these, or more, under a right model; NaN without any.

    Source:
        Kolmogorov's statistic; twice Smirnov's exact one-sided probability, which bounds the two-sided one.

    >>> round(uniform_p(np.array([0.1, 0.3, 0.5, 0.7, 0.9])), 2), round(uniform_p(np.full(9, 0.99)), 6)
    (1.0, 0.0)
    """
    n = len(pit)
    if n == 0 or bool(np.isnan(pit).any()):
        return math.nan
    ordered = np.sort(pit)
    steps = np.arange(n + 1) / n
    distance = float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))
    return min(1.0, 2.0 * float(special.smirnov(n, min(1.0, distance))))


def width_ratio(width: float, values: FloatArray) -> float:
    """The predicted width by the measured one (5 % to 95 % of the values); NaN with too few values."""
    if len(values) < FEWEST_FOR_SPREAD:
        return math.nan
    low, high = np.quantile(values, [0.05, 0.95])
    spread = float(high - low)
    return width / spread if spread > 0 else math.inf


def _verdict(replications: int, values: FloatArray, inside: int, ratio: float) -> tuple[str, str]:
    n = len(values)
    if not replications:
        return CANNOT_SAY, "the model predicts no value"
    if n < FEWEST:
        return CANNOT_SAY, f"{n} measured values, {FEWEST} are needed"
    rare = float(special.bdtr(inside, n, LEVEL))
    said = f"{inside} of {n} measured lie in the predicted 90 % interval"
    if rare <= SURPRISE:
        return FAILS, f"{said}: were the model right, so few would be a chance of {rare:.2g}"
    if ratio > WIDEST:
        return FAILS, f"{said}, but it is {ratio:.3g} times as wide as what was measured: at most {WIDEST:g} is of use"
    return HOLDS, said + (f", which is {ratio:.3g} times as wide as the measured spread" if ratio == ratio else "")


# --- what is measured --------------------------------------------------------------------------------------------


def measured(drills: Sequence[Record], column: str) -> FloatArray:
    """A time of each drill in scenario seconds, NaN where it does not apply; shape [n]."""
    if column == ONSET:
        return measured(drills, "decision_seconds") - measured(drills, "detection_seconds")
    return np.array([one.number(column) for one in drills], dtype=np.float64)


def predicted(columns: Mapping[str, NDArray[Any]], column: str) -> FloatArray:
    """The same of replications, shape [R]."""
    if column == ONSET:
        return predicted(columns, "decision_seconds") - predicted(columns, "detection_seconds")
    return np.asarray(columns[column], dtype=np.float64)


# --- parameters --------------------------------------------------------------------------------------------------


#: parameter -> (what it moves one to one, in words of the results)
SHIFTS: Final = {"router.lag": "rollback_seconds", "service.startup.start": ONSET}
LATENCY: Final = "service.latency"
#: in the order in which they are fitted: each leaves the earlier ones alone
PARAMETERS: Final = (LATENCY, *(name for name in SHOWN_BY if name not in SHIFTS), *SHIFTS)
#: what is no parameter although it makes a lag -> why
_GIVEN: Final = {
    "service.probes.readiness": "the drill gives this probe to the pods as the file has it: there is nothing to fit; "
    "what it makes of a start is in the lag `start`",
}
_ROUNDS: Final = 4
_CLOSE_SECONDS: Final = 0.02
_ZOOMS: Final = 3
_SHIFTS_TRIED: Final = 401

#: Fits a parameter by lags of its own, given what was fitted before; None when it has none, or too few were measured.
ByLags = Callable[[str, Mapping[str, Any]], list[Fitted] | None]
#: Runs the model under overrides and gives its columns.
Model = Callable[[Mapping[str, Any]], Mapping[str, NDArray[Any]]]


def fit(
    names: Sequence[str],
    drills: Sequence[Record],
    model: Model,
    now: Mapping[str, float],
    *,
    by_lags: ByLags = lambda name, changes: None,
    otherwise: Callable[[str], list[Fitted]] = lambda name: [],
) -> tuple[list[Fitted], dict[str, Any]]:
    """Fit some parameters to some drills.

    Args:
        names: of PARAMETERS, in any order.
        model: the simulator, under overrides; the same worlds each time.
        now: seconds that the scenario says: each of SHIFTS, and `service.latency.p50` and `.p99`.
        by_lags: goes before what the results say of a parameter.
        otherwise: what is said of a parameter that nothing shows.

    Returns:
        The fits, and the overrides that hold them; of `service.endpointLag` both ends.
    """
    check(names)
    found: list[Fitted] = []
    changes: dict[str, Any] = {}
    for name in PARAMETERS:
        if name not in names:
            continue
        fits = by_lags(name, changes) or _fits(name, drills, model, now, changes) or otherwise(name)
        found += fits
        moved = {one.field: one.after for one in fits if one.fitted}
        changes |= {name: list(moved.values())} if moved and name == ENDPOINTS else moved
    return found, changes


def check(names: Sequence[str]) -> None:
    """Raises:
    ScenarioError: one of them is no parameter.
    """
    for name in names:
        if name in _GIVEN or name.rpartition(".")[0] in _GIVEN:
            raise ScenarioError(_GIVEN.get(name) or _GIVEN[name.rpartition(".")[0]], field=f"--fit {name}")
        if name not in PARAMETERS:
            raise unknown(name, PARAMETERS, field="--fit", what="parameter")


def _fits(
    name: str, drills: Sequence[Record], model: Model, now: Mapping[str, float], changes: Mapping[str, Any]
) -> list[Fitted]:
    """By what the results say; empty for what they say nothing of."""
    if name == LATENCY:
        return _latency(drills, now)
    return [_shift(name, drills, model, now[name], changes)] if name in SHIFTS else []


def _shift(name: str, drills: Sequence[Record], model: Model, before: float, changes: Mapping[str, Any]) -> Fitted:
    """Move a parameter until what was measured is likeliest; what it moves follows it one to one or less."""
    column = SHIFTS[name]
    seen = measured(drills, column)
    seen = seen[~np.isnan(seen)]
    after, low, high = before, -math.inf, math.inf
    for _ in range(_ROUNDS if len(seen) else 0):
        there = predicted(model({**changes, name: after}), column)
        there = there[~np.isnan(there)]
        if len(there) < 2:
            break
        late, low, high = likeliest_shift(there, seen)
        low, high, moved = after + low, after + high, max(0.0, after + late)
        if abs(moved - after) < _CLOSE_SECONDS:
            break
        after = moved
    by = f"the likelihood of {column}"
    return Fitted(name, before, after, max(0.0, low), max(0.0, high), by, len(seen))


def likeliest_shift(model: FloatArray, values: FloatArray) -> tuple[float, float, float]:
    """By how much the model must be moved to make some values likeliest, and between which bounds (95 %).

    Args:
        model: replications, shape [R]; values: measured ones, shape [n].

    A sharp edge of the model, as that of a router's lag, says more of where it lies than its median does.

    Source:
        Density by Gaussian kernels, Silverman's rule of thumb (1986, 3.31); bounds by the likelihood ratio.
    """
    width = max(kernel_width(model), _CLOSE_SECONDS)
    middle = float(np.median(values) - np.median(model))
    reach = float(np.ptp(model) + np.ptp(values)) + 10 * width
    for _ in range(_ZOOMS):
        shifts = np.linspace(middle - reach, middle + reach, _SHIFTS_TRIED)
        gaps = (values[:, None] - shifts[None, :]).ravel()
        places = np.sort(model)
        weights = density(places, gaps, width).reshape(len(values), len(shifts))
        told = np.log(weights + FLOOR / width).sum(axis=0)
        middle = float(shifts[int(np.argmax(told))])
        near = shifts[told >= told.max() - HALF_CHI_SQUARED]
        low, high = float(near[0]), float(near[-1])
        reach = max(2.0 * max(high - middle, middle - low), 2 * width)
    return middle, low, high


def _latency(drills: Sequence[Record], now: Mapping[str, float]) -> list[Fitted]:
    """Median and 99th percentile of the stable revision's answers: the median over all stretches of all drills."""
    found = []
    for quantile in ("p50", "p99"):
        told = [
            value
            for record in drills
            for one in record.traffic
            if (value := getattr(one, quantile).get("stable")) is not None
        ]
        name = f"{LATENCY}.{quantile}"
        middle = intervals.quantile(np.array(told, dtype=np.float64), 0.5)
        after = middle.value if told else now[name]
        by = f"the {quantile} of the stable revision's latency"
        found.append(Fitted(name, now[name], after, middle.lo, middle.hi, by, len(drills)))
    return found
