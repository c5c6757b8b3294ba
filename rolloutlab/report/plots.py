"""Plots of results, each on the axes it is given: a line style and a colour for each strategy, never colour alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from rolloutlab import text
from scenarios.outcome import COLUMNS as MEANINGS
from sim.results import METRICS, Cell

#: Okabe-Ito, those first that have a contrast of 3 on white and on black
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS: Final = ("o", "s", "D", "^", "v", "P")
POINTS: Final = 240  #: of a distribution: more than a screen shows

NEVER: Final = " (never)"  #: in the legend, after a strategy that stopped nothing

Draw = Callable[[Axes, Sequence[Cell]], None]


class Look(NamedTuple):
    """How the lines and marks of one strategy look."""

    colour: str
    dash: Any
    marker: str


def look(cells: Sequence[Cell], cell: Cell) -> Look:
    """The same look for the same strategy in every panel (the order of the first appearance)."""
    number = list(dict.fromkeys(one.strategy for one in cells)).index(cell.strategy) % len(COLOURS)
    return Look(COLOURS[number], DASHES[number], MARKERS[number])


def label(cells: Sequence[Cell], cell: Cell) -> str:
    """The strategy, with what tells cells apart where several questions share the axes."""
    parts = [cell.strategy]
    if len({one.scenario for one in cells}) > 1:
        parts.append(cell.scenario)
    if cell.variant is not None and len({one.variant for one in cells}) > 1:
        parts.append(cell.variant)
    return ", ".join(parts)


def weights(axes: Axes, cells: Sequence[Cell]) -> None:
    """Share of traffic on the new revision over time: mean, and the band of 90 % of the replications."""
    for cell in cells:
        if cell.profile is None:
            continue
        minutes, style = cell.profile.time_seconds / 60, look(cells, cell)
        axes.fill_between(
            minutes, cell.profile.weight_lo, cell.profile.weight_hi, color=style.colour, alpha=0.15, linewidth=0
        )
        axes.plot(minutes, cell.profile.weight_mean, color=style.colour, linestyle=style.dash, label=label(cells, cell))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylim(-0.02, 1.04)
    _finish(axes, "minutes since the rollout began", "traffic on the new revision")


def errors(axes: Axes, cells: Sequence[Cell]) -> None:
    """Expected bad responses a second over time."""
    for cell in cells:
        if cell.profile is None:
            continue
        style = look(cells, cell)
        axes.plot(
            cell.profile.time_seconds / 60,
            cell.profile.bad_per_second,
            color=style.colour,
            linestyle=style.dash,
            label=label(cells, cell),
        )
    axes.set_ylim(bottom=0)
    _finish(axes, "minutes since the rollout began", "bad responses per second")


def detection(axes: Axes, cells: Sequence[Cell]) -> None:
    """Share of all replications in which the release was stopped within a time after its first bad response."""
    times = {id(cell): np.sort(cell.values("detection_seconds")) for cell in cells}
    longest = max((float(found[-1]) for found in times.values() if len(found)), default=0.0)
    unit = text.time_unit(longest)
    end = 1.05 * max(longest, 1.0) / unit.seconds
    for cell in cells:
        found = times[id(cell)] / unit.seconds
        style = look(cells, cell)
        at = np.unique(np.linspace(0, len(found) - 1, POINTS).astype(int)) if len(found) else np.array([], dtype=int)
        rank = (at + 1) / max(cell.runs, 1)
        name = label(cells, cell) + ("" if len(found) else NEVER)
        x, y = [0.0, *found[at], end], [0.0, *rank, rank[-1] if len(found) else 0.0]
        axes.step(x, y, where="post", color=style.colour, linestyle=style.dash, label=name)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlim(0, end)
    _finish(axes, f"{_unit_word(unit)} since the first bad response", "replications stopped")


def bad_requests(axes: Axes, cells: Sequence[Cell]) -> None:
    """Bad requests of each strategy: median (mark), 5 % to 95 % of replications (bar), mean with its interval (|)."""
    for row, cell in enumerate(cells):
        style = look(cells, cell)
        values = cell.values("bad_requests")
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        average = cell.mean("bad_requests")
        axes.plot([low, high], [row, row], color=style.colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
        bounds = [b if np.isfinite(b) else average.value for b in (average.lo, average.hi)]
        axes.plot(bounds, [row, row], color=style.colour, linewidth=1.8)
        axes.plot([average.value], [row], marker="|", markersize=16, markeredgewidth=1.8, color=style.colour)
        axes.plot([middle], [row], marker=style.marker, markersize=7, color=style.colour)
        axes.annotate(
            text.count(float(middle)), (middle, row), textcoords="offset points", xytext=(0, 9), ha="center", fontsize=9
        )
    axes.set_yticks(range(len(cells)), [label(cells, cell) for cell in cells])
    axes.set_ylim(len(cells) - 0.4, -0.7)
    _finish(axes, "bad requests until the horizon", "", legend=False)
    _log_if_wide(axes, [cell.values("bad_requests") for cell in cells])


def exceedance(axes: Axes, cells: Sequence[Cell], column: str = "total_usd") -> None:
    """Share of replications in which a column is above a value; log scales where the values span decades.

    Raises:
        ValueError: no such column.
    """
    if column not in METRICS:
        raise ValueError(f"column: expected one of {', '.join(METRICS)}, got {column!r}")
    for cell in cells:
        values = np.sort(cell.values(column).astype(np.float64))
        if not len(values):
            continue
        style = look(cells, cell)
        at = np.unique(np.linspace(0, len(values) - 1, POINTS).astype(int))
        above = 1 - (at + 1) / len(values)
        axes.step(values[at], above, where="post", color=style.colour, linestyle=style.dash, label=label(cells, cell))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylim(-0.02, 1.04)
    _finish(axes, f"x = {column}", "replications above x")
    axes.set_title(MEANINGS[column], fontsize=10, loc="left")
    _log_if_wide(axes, [cell.values(column) for cell in cells])


def _log_if_wide(axes: Axes, found: Sequence[Any]) -> None:
    """A logarithmic x axis when all values are above 0 and the typical ones span more than a factor of 20."""
    some = [values for values in found if len(values)]
    if some and min(values.min() for values in some) > 0:
        middles = [float(np.median(values)) for values in some]
        if max(middles) > 20 * min(middles):
            axes.set_xscale("log")
    thousands = FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:g}")
    axes.xaxis.set_major_formatter(thousands)


def _finish(axes: Axes, x: str, y: str, *, legend: bool = True) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(True, linewidth=0.5, alpha=0.35)
    axes.spines[["top", "right"]].set_visible(False)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)


def _unit_word(unit: text.TimeUnit) -> str:
    return {"s": "seconds", "min": "minutes", "h": "hours"}[unit.name]


class Plots:
    """`result.plot`: each method draws on new axes, or on those given, and returns them."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells = cells

    def weights(self, ax: Axes | None = None) -> Axes:
        """Share of traffic on the new revision over time."""
        return self._on(ax, weights)

    def errors(self, ax: Axes | None = None) -> Axes:
        """Expected bad responses a second over time."""
        return self._on(ax, errors)

    def detection(self, ax: Axes | None = None) -> Axes:
        """Distribution of the time from the first bad response to the decision."""
        return self._on(ax, detection)

    def bad_requests(self, ax: Axes | None = None) -> Axes:
        """Bad requests of each strategy, with intervals."""
        return self._on(ax, bad_requests)

    def exceedance(self, column: str = "total_usd", ax: Axes | None = None) -> Axes:
        """Share of replications above each value of a column."""
        return self._on(ax, lambda axes, cells: exceedance(axes, cells, column))

    def _on(self, ax: Axes | None, draw: Draw) -> Axes:
        if ax is None:
            from matplotlib import pyplot

            ax = pyplot.subplots(figsize=(8, 4), layout="constrained")[1]
        draw(ax, self._cells)
        return ax
