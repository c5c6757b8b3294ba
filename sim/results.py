"""What a study gives: one row a replication, and a summary with intervals.

Null (not applicable: no fault, no decision, no users) is NaN in the columns. `outcome` holds the position in OUTCOMES;
-1 says that the horizon came first and is counted as `censored`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from scenarios import outcome as known
from sim import intervals
from sim.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd

OUTCOMES: Final = known.OUTCOMES
CENSORED: Final = "censored"
COLUMNS: Final = tuple(known.COLUMNS)
#: the columns of which a summary tells mean and quantiles; a truth counts as 0 or 1
METRICS: Final = (*known.TRUTHS, *known.NUMBERS)
STATISTICS: Final = ("mean", "lo", "hi", "p50", "p90", "p99", "n")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """The first chunk of replications over time: what plots show. All arrays have the shape [B].

    Attributes:
        time_seconds: since the rollout began.
        weight_mean, weight_lo, weight_hi: share of traffic on the new revision; mean, 5 % and 95 % quantile.
        bad_ratio_mean: expected share of bad responses among all, 0..1.
        bad_per_second: expected bad responses a second.
        pods_mean: pods that exist.
    """

    time_seconds: FloatArray
    weight_mean: FloatArray
    weight_lo: FloatArray
    weight_hi: FloatArray
    bad_ratio_mean: FloatArray
    bad_per_second: FloatArray
    pods_mean: FloatArray


@dataclass
class Cell:
    """One strategy in one scenario (and variant): its replications.

    Attributes:
        runs: replications that are there; below `requested` when the run was interrupted.
        columns: COLUMNS by name, each of shape [R] and in order of the replication.
        assumed: defaults that the result rests on.
    """

    scenario: str
    strategy: str
    variant: str | None
    runs: int
    requested: int
    seed: int
    engine: Literal["batch", "event"]
    fidelity: Literal["iid", "request"]
    columns: dict[str, NDArray[Any]]
    profile: Profile | None = None
    warnings: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    _summary: dict[str, Any] | None = field(default=None, repr=False, compare=False)

    def values(self, column: str) -> NDArray[Any]:
        """The values of a column that are there, shape [n]: nulls left out.

        Args:
            column: one of METRICS, or `outcome=NAME` for truths (shape [R]).

        Raises:
            KeyError: no such column or outcome.
        """
        return without_null(self.all_values(column))

    def all_values(self, column: str) -> NDArray[Any]:
        """The same with NaN where there is none, shape [R]."""
        name, _, outcome = column.partition("=")
        if not outcome:
            return self.columns[name]
        code = -1 if outcome == CENSORED else OUTCOMES.index(outcome) if outcome in OUTCOMES else None
        if name != "outcome" or code is None:
            raise KeyError(column)
        return np.asarray(self.columns["outcome"] == code)

    def share(self, outcome: str, confidence: float = intervals.CONFIDENCE) -> Interval:
        """The share of replications that ended so, with its interval."""
        return intervals.wilson(int(self.all_values(f"outcome={outcome}").sum()), self.runs, confidence)

    def quantile(self, column: str, q: float, confidence: float = intervals.CONFIDENCE) -> Interval:
        """A quantile of the values that are there, with the interval of its order statistics."""
        return intervals.quantile(self.values(column), q, confidence)

    def mean(self, column: str, confidence: float = intervals.CONFIDENCE) -> Interval:
        """The mean of the values that are there, with its interval; of truths it is the share with Wilson's."""
        values = self.values(column)
        if values.dtype == np.bool_:
            return intervals.wilson(int(values.sum()), len(values), confidence)
        return intervals.mean(values, confidence)

    def summary(self) -> dict[str, Any]:
        """All shares and metrics with 95 % intervals; a statistic that does not exist is NaN or infinite."""
        if self._summary is None:
            outcomes = {name: self.share(name) for name in (*OUTCOMES, CENSORED)}
            self._summary = {
                "scenario": self.scenario,
                "strategy": self.strategy,
                "variant": self.variant,
                "runs": self.runs,
                "outcomes": {
                    name: {"share": share.value, "lo": share.lo, "hi": share.hi} for name, share in outcomes.items()
                },
                "metrics": {name: self._metric(name) for name in METRICS},
            }
        return self._summary

    def _metric(self, column: str) -> dict[str, float]:
        average = self.mean(column)
        values = self.values(column)  # a copy: it may be sorted in place
        if values.dtype == np.bool_:
            values = values.astype(np.int8)
        low, high, top = np.quantile(values, [0.5, 0.9, 0.99], overwrite_input=True) if len(values) else [np.nan] * 3
        found = (average.value, average.lo, average.hi, float(low), float(high), float(top), len(values))
        return dict(zip(STATISTICS, found, strict=True))

    @property
    def frame(self) -> pd.DataFrame:
        """A tidy table, one row a replication; nulls are NaN."""
        import pandas as pd

        words = [*OUTCOMES, CENSORED]
        codes = np.asarray(self.columns["outcome"], dtype=np.int64)
        named = pd.Categorical.from_codes(np.where(codes < 0, len(OUTCOMES), codes), categories=pd.Index(words))
        keys = {"scenario": self.scenario, "strategy": self.strategy, "variant": self.variant}
        data = {name: named if name == "outcome" else self.columns[name] for name in COLUMNS}
        return pd.DataFrame({**keys, **data})


@dataclass
class Study:
    """The cells of one question, or of several."""

    cells: list[Cell]

    @property
    def frame(self) -> pd.DataFrame:
        """A tidy table of all cells, one row a replication."""
        import pandas as pd

        return pd.concat([cell.frame for cell in self.cells], ignore_index=True)

    @property
    def summary(self) -> pd.DataFrame:
        """One row a cell and metric, with mean, interval and quantiles; shares of outcomes are means of `outcome=…`."""
        import pandas as pd

        rows = []
        for cell in self.cells:
            told = cell.summary()
            key = (cell.scenario, cell.strategy, cell.variant or "")
            for name, share in told["outcomes"].items():
                bounds = {"mean": share["share"], "lo": share["lo"], "hi": share["hi"], "n": cell.runs}
                rows.append({"key": (*key, f"outcome={name}"), **bounds})
            rows += [{"key": (*key, name), **metric} for name, metric in told["metrics"].items()]
        index = pd.MultiIndex.from_tuples(
            [row.pop("key") for row in rows], names=["scenario", "strategy", "variant", "metric"]
        )
        return pd.DataFrame(rows, index=index, columns=list(STATISTICS)).replace([np.inf, -np.inf], np.nan)


@dataclass(frozen=True)
class Difference:
    """How much more of a column one cell has than another in the same worlds.

    Attributes:
        variant, strategy: of the one; `minus_variant`, `minus`: of the other.
        n: replications in which both have a value.
    """

    scenario: str
    variant: str | None
    column: str
    strategy: str
    minus: str
    minus_variant: str | None
    mean: float
    lo: float
    hi: float
    n: int


def paired(cells: Sequence[Cell], column: str, confidence: float = intervals.CONFIDENCE) -> list[Difference]:
    """The mean differences between cells of a scenario: every two strategies, and each variant with the file itself.

    The same replication is the same world for every strategy and variant, so differences are taken replication by
    replication: what the worlds have in common cancels.

    Args:
        cells: of one study (one seed).
        column: one of METRICS or `outcome=NAME`.
    """
    found = []
    for later, cell in enumerate(cells):
        for other in cells[:later]:
            if not _comparable(cell, other):
                continue
            mine, theirs = _same_worlds(cell, other, column)
            both = ~(np.isnan(mine) | np.isnan(theirs))
            value = _difference(mine[both], theirs[both], confidence)
            key = (cell.scenario, cell.variant, column, cell.strategy, other.strategy, other.variant)
            found.append(Difference(*key, *value, int(both.sum())))
    return found


def _comparable(cell: Cell, other: Cell) -> bool:
    """Two strategies of one variant, or one strategy in a variant and in the file as it stands."""
    if cell.scenario != other.scenario:
        return False
    if cell.variant == other.variant:
        return cell.strategy != other.strategy
    return cell.strategy == other.strategy and other.variant is None


def _difference(mine: NDArray[Any], theirs: NDArray[Any], confidence: float) -> Interval:
    if mine.dtype == np.bool_:
        return intervals.paired_share(int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), len(mine), confidence)
    return intervals.mean(mine.astype(np.float64) - theirs.astype(np.float64), confidence)


def _same_worlds(cell: Cell, other: Cell, column: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """A column of two cells at the replications that both hold."""
    if cell.seed != other.seed:
        raise ValueError(f"replications of the seeds {cell.seed} and {other.seed} are different worlds")
    mine, theirs = cell.all_values(column), other.all_values(column)
    numbers = (cell.columns["replication"], other.columns["replication"])
    if np.array_equal(*numbers):
        return mine, theirs
    _, at, there = np.intersect1d(*numbers, return_indices=True)
    return mine[at], theirs[there]


def without_null(values: NDArray[Any]) -> NDArray[Any]:
    """The values without NaN; always a copy."""
    return values[~np.isnan(values)] if values.dtype.kind == "f" else values.copy()


def is_partial(cells: Sequence[Cell]) -> bool:
    """Whether a cell holds fewer replications than were asked for."""
    return any(cell.runs < cell.requested for cell in cells)


def by_question(cells: Sequence[Cell]) -> Mapping[tuple[str, str | None], list[Cell]]:
    """The cells of each scenario and variant, in order."""
    found: dict[tuple[str, str | None], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.scenario, cell.variant), []).append(cell)
    return found
