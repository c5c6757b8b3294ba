"""What `rolloutlab calibrate` does and hands back: drills, the model beside them, fits, the verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from rolloutlab import text
from rolloutlab.calibrate import (
    CANNOT_SAY,
    FAILS,
    HOLDS,
    MEANINGS,
    Comparison,
    Model,
    check,
    compare,
    fit,
    measured,
    predicted,
)
from rolloutlab.door import run
from rolloutlab.drill.record import Record
from rolloutlab.drill.result import exit_code
from rolloutlab.grid import Grid
from rolloutlab.inflight import as_seen, pace_of
from rolloutlab.lag_fits import MEANINGS as LAGS
from rolloutlab.lag_fits import (
    SHOWN_BY,
    Fitted,
    LagComparison,
    Quantiles,
    compared,
    fit_by_lags,
    not_fitted,
    with_value,
)
from rolloutlab.question import Asked, Question, read
from rolloutlab.result import plain
from scenarios.errors import ScenarioError
from scenarios.schema import Scenario

SCHEMA: Final = 1
RUNS: Final = 2048  #: replications of the model
_MARKS: Final = {HOLDS: "✓ holds", FAILS: "✗ fails", CANNOT_SAY: "? cannot say"}
_BARS: Final = " ▁▂▃▄▅▆▇█"
_PIT_BINS: Final = 10


@dataclass(repr=False)
class Calibrated:
    """A model held against drills.

    Attributes:
        fitting: drills that parameters were fitted to; `judging`: the others, that the verdict rests on.
        overrides: what the fits changed in the scenario.
        lags: of the drills that are judged, beside the model's before and after the fits; they do not decide.
    """

    name: str
    comparisons: list[Comparison]
    fits: list[Fitted]
    fitting: list[Record]
    judging: list[Record]
    runs: int
    seed: int
    overrides: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    again: str = ""
    lags: list[LagComparison] = field(default_factory=list)

    @property
    def holds(self) -> str:
        """Of all times that are judged: fails if one does, cannot say if one cannot."""
        found = {one.holds for one in self.comparisons if one.judged}
        return FAILS if FAILS in found else CANNOT_SAY if CANNOT_SAY in found or not found else HOLDS

    @property
    def exit_code(self) -> int:
        """That of the model: 0 holds, 1 fails, 5 cannot say; 4 and 130 of drills that say so."""
        urgent = [one.exit_code for one in (*self.fitting, *self.judging) if one.exit_code in (3, 4, 130)]
        return exit_code([*urgent, {HOLDS: 0, FAILS: 1, CANNOT_SAY: 5}[self.holds]])

    def document(self) -> dict[str, Any]:
        """All of it as plain values; what does not exist is None."""
        found: dict[str, Any] = plain(
            {
                "schema": SCHEMA,
                "command": "calibrate",
                "inputs": self.inputs,
                "seed": self.seed,
                "runs": self.runs,
                "holds": self.holds,
                "fits": [asdict(one) for one in self.fits],
                "overrides": self.overrides,
                "drills": {"fitted_to": len(self.fitting), "judged_on": len(self.judging)},
                "results": [_comparison(one) for one in self.comparisons],
                "lags": [asdict(one) for one in self.lags],
                "warnings": self.warnings,
                "exit_code": self.exit_code,
            }
        )
        return found

    def json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False, allow_nan=False)

    def report(self, path: str | Path) -> Path:
        """Write everything as one page that needs nothing else."""
        from rolloutlab.drill.files import write_whole
        from rolloutlab.report.drill_calibration import page

        target = Path(path)
        write_whole(target, page(self))
        return target

    def __repr__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        from rolloutlab.report.drill_calibration import fragment

        return fragment(self)


def calibrated(
    asked: Asked,
    drills: Sequence[Record],
    *,
    fit_to: int = 0,
    parameters: Sequence[str] = (),
    runs: int = RUNS,
    seed: int = 0,
    inputs: Mapping[str, Any] | None = None,
    again: str = "",
) -> Calibrated:
    """Hold the model of a scenario against drills of it.

    Args:
        asked: the scenario and one strategy.
        drills: of that strategy, in the order in which they were done.
        fit_to: how many of them, the first ones, parameters are fitted to; the others are judged.
        parameters: names of PARAMETERS.

    Raises:
        ScenarioError: drills of something else, a name that is none, nothing left to judge.
    """
    check(parameters)
    question = _question(asked)
    (strategy,) = question.strategies
    _same(drills, question, strategy)
    if parameters and not 0 < fit_to < len(drills):
        raise ScenarioError(
            expected=f"1 to {len(drills) - 1} of {len(drills)} drills", got=fit_to, field="--fit-repeat"
        )
    fitting, judging = list(drills[:fit_to]), list(drills[fit_to:])
    pace = pace_of(drills)

    def model(changes: Mapping[str, Any]) -> Mapping[str, NDArray[Any]]:
        here = _question(replace(asked, overrides={**asked.overrides, **_words(changes)}))
        columns = run([here], command="calibrate", runs=runs, seed=seed).cells[0].columns
        return as_seen(columns, here.parts[0][0], pace, seed=seed)

    scenario: Scenario = question.parts[0][0]
    fits, changes = _fitted(parameters, fitting, model, question, seed) if parameters else ([], {})
    after = _question(replace(asked, overrides={**asked.overrides, **_words(changes)})).parts[0][0] if changes else None
    columns = model(changes)
    found = [compare(column, predicted(columns, column), measured(judging, column)) for column in MEANINGS]
    return Calibrated(
        name=f"{question.name}{f' / {question.variant}' if question.variant else ''}, {strategy}",
        comparisons=found,
        fits=fits,
        fitting=fitting,
        judging=judging,
        runs=runs,
        seed=seed,
        overrides=_words(changes),
        inputs={"scenario": question.name, "path": question.path, "sha256": question.digest, **(inputs or {})},
        warnings=_warnings(judging),
        again=again,
        lags=compared(judging, scenario, after, seed=seed),
    )


def _fitted(
    parameters: Sequence[str], drills: Sequence[Record], model: Model, question: Question, seed: int
) -> tuple[list[Fitted], dict[str, Any]]:
    """The fits, by lags where there are any, and the overrides that hold them."""
    scenario: Scenario = question.parts[0][0]

    def by_lags(name: str, changes: Mapping[str, Any]) -> list[Fitted] | None:
        if name not in SHOWN_BY:
            return None
        moved = scenario
        for each in changes.keys() & SHOWN_BY.keys():
            moved = with_value(moved, each, *(changes[each] if isinstance(changes[each], list) else [changes[each]]))
        return fit_by_lags(name, drills, moved, seed=seed)

    return fit(
        parameters,
        drills,
        model,
        _now(question),
        by_lags=by_lags,
        otherwise=lambda name: not_fitted(name, drills, scenario),
    )


def _question(asked: Asked) -> Question:
    (question,) = read(replace(asked, variants=False))
    if len(question.strategies) != 1:
        raise ScenarioError("expected one strategy of the file", known=question.strategies, field="--strategy")
    return question


def _same(drills: Sequence[Record], question: Question, strategy: str) -> None:
    """Drills of another scenario or strategy say nothing about this one."""
    for number, one in enumerate(drills, 1):
        if (one.where.scenario, one.where.variant, one.where.strategy) != (question.name, question.variant, strategy):
            raise ScenarioError(
                expected=f"drills of {question.name}, {strategy}", got=one.name, field=f"drill {number}"
            )


def _now(question: Question) -> dict[str, float]:
    scenario: Scenario = question.parts[0][0]
    return {
        "router.lag": scenario.router.lag_seconds,
        "service.startup.start": scenario.service.startup.start_seconds,
        "service.latency.p50": scenario.service.latency.p50_seconds,
        "service.latency.p99": scenario.service.latency.p99_seconds,
    }


def _words(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds as the file says them."""

    def said(value: float) -> str:
        return f"{value:.6f}s"

    return {name: list(map(said, one)) if isinstance(one, list) else said(one) for name, one in changes.items()}


def _warnings(drills: Sequence[Record]) -> list[str]:
    """Drills whose figures are in doubt count all the same, and are named."""
    doubts = [
        f"drill {number}: {one.reasons[0]}" for number, one in enumerate(drills, 1) if one.exit_code and one.reasons
    ]
    speeds = sorted({one.speed for one in drills})
    if len(speeds) > 1:
        doubts.append(f"drills of different speeds: {', '.join(f'{speed:g}' for speed in speeds)}")
    labels = dict.fromkeys(label for one in drills for label in one.labels)
    return [*doubts, *labels]


def _comparison(one: Comparison) -> dict[str, Any]:
    middle = one.median if one.values else None
    return {
        "column": one.column,
        "judged": one.judged,
        "holds": one.holds,
        "reason": one.reason,
        "predicted": {"p05": one.p05, "p50": one.p50, "p95": one.p95, "n": one.predicted},
        "measured": {
            "values": list(one.values),
            "missing": one.missing,
            "p50": middle.value if middle else math.nan,
            "lo": middle.lo if middle else math.nan,
            "hi": middle.hi if middle else math.nan,
        },
        "coverage": {"inside": one.inside, "share": one.coverage.value, "lo": one.coverage.lo, "hi": one.coverage.hi},
        "width_ratio": one.width_ratio,
        "pit": list(one.pit),
        "uniform_p": one.uniform_p,
    }


# --- text --------------------------------------------------------------------------------------------------------


def text_of(result: Calibrated) -> str:
    """The table for a terminal: predicted, measured, coverage, PIT."""
    lines = [
        f"{result.name} · {result.runs:,} replications of the model, seed {result.seed} · "
        f"{len(result.judging)} drills judged" + (f", {len(result.fitting)} fitted to" if result.fits else ""),
        "",
        *(fit_line(one) for one in result.fits),
        *([""] if result.fits else []),
    ]
    head = ["scenario seconds", "predicted", "measured", "in 90 %", "width", "PIT 0 … 1", "uniform"]
    under = ["", "p05 / p50 / p95", "median [95 %]", "", "ratio", "", "p"]
    rows = [row(one) for one in result.comparisons]
    lines += [Grid(head, under, rows).text(), ""]
    for one in result.comparisons:
        name = one.column.removesuffix("_seconds")
        lines.append(
            f"{_MARKS[one.holds] if one.judged else '  not judged'}: {name} ({MEANINGS[one.column]}): {one.reason}"
        )
    if result.lags:
        rows = [lag_row(one) for one in result.lags]
        lines += ["", Grid(LAG_HEAD, LAG_UNDER, rows, left=2).text()]
    if result.again:
        lines += ["", f"Again: {result.again}"]
    return "\n".join(lines)


def row(one: Comparison) -> list[str]:
    """The cells of a time."""
    middle = one.median
    bounds = [f"{bound:.2f}" if math.isfinite(bound) else "?" for bound in (middle.lo, middle.hi)]
    told = f"{middle.value:.2f} [{bounds[0]}–{bounds[1]}]" if one.values else text.NONE
    shown = [f"{value:.2f}" if math.isfinite(value) else text.NONE for value in (one.p05, one.p50, one.p95)]
    ratio = f"{one.width_ratio:.2f}" if math.isfinite(one.width_ratio) else text.NONE
    uniform = f"{one.uniform_p:.2g}" if math.isfinite(one.uniform_p) else text.NONE
    inside = f"{one.inside} of {len(one.values)}"
    return [one.column.removesuffix("_seconds"), " / ".join(shown), told, inside, ratio, pit_text(one.pit), uniform]


LAG_HEAD: Final = ["lag, scenario seconds", "", "scenario says", "measured", "of", "fitted"]
LAG_UNDER: Final = ["", "", "p05 / p50 / p95", "median [p05–p95]", "n", "p05 / p50 / p95"]


def lag_row(one: LagComparison) -> list[str]:
    """The cells of a lag."""
    told = one.measured
    measured = f"{told.p50:.2f} [{told.p05:.2f}–{told.p95:.2f}]"
    fitted = _three(one.fitted) if one.fitted is not None else text.NONE
    return [one.kind, LAGS[one.kind], _three(one.says), measured, str(one.n), fitted]


def _three(told: Quantiles) -> str:
    return " / ".join(f"{value:.2f}" for value in (told.p05, told.p50, told.p95))


def pit_text(pit: Sequence[float]) -> str:
    """A histogram of PITs in ten letters; level is right, a slope or a hill is not.

    >>> pit_text([0.05, 0.5, 0.95, 0.96])
    '▄    ▄   █'
    """
    counts = [0] * _PIT_BINS
    for value in pit:
        if math.isfinite(value):
            counts[min(_PIT_BINS - 1, int(value * _PIT_BINS))] += 1
    most = max(counts) or 1
    return "".join(_BARS[math.ceil(count / most * (len(_BARS) - 1))] for count in counts)


def fit_line(one: Fitted) -> str:
    """A fit in words, or why there is none."""
    if not one.fitted:
        return f"not fitted {one.field}, it stays at {one.before:.3g} s: {one.note}"
    bounds = " to ".join(f"{bound:.3g} s" if math.isfinite(bound) else "?" for bound in (one.lo, one.hi))
    said = f"fitted {one.field}: {one.before:.3g} s → {one.after:.3g} s [{bounds}], by {one.by} of {one.drills} drills"
    return f"{said}; {one.note}" if one.note else said
