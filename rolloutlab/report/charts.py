"""The charts of the page: each a figure in words, in SVG and as the table behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rolloutlab import text
from rolloutlab.report import plots, svg
from rolloutlab.table import question_of
from sim.results import Cell, by_question

_SAMPLES = 13  #: rows of the table behind a plot over time


@dataclass(frozen=True)
class Twin:
    """The table behind a chart."""

    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Chart:
    """A chart of the page: what it means (caption), what it looks like (svg), its numbers (twin)."""

    name: str
    title: str
    caption: str
    svg: Markup
    twin: Twin


def over_time(cells: Sequence[Cell], number: int) -> Chart | None:
    """Weights and bad responses over time, of the strategies of one question; None without profiles."""
    cells = [cell for cell in cells if cell.profile is not None]
    if not cells:
        return None

    def draw(axes: Sequence[Axes]) -> None:
        plots.weights(axes[0], cells)
        plots.errors(axes[1], cells)

    what = question_of(cells[0])
    peaks = []
    for cell in cells:
        assert cell.profile is not None
        peak = float(np.nanmax(cell.profile.bad_per_second))
        peaks.append(f"{cell.strategy} peaks at {text.count(peak)} bad responses a second")
    return Chart(
        name=f"time{number}",
        title=f"Traffic on the new revision and bad responses over time, {what}",
        caption="Left: share of traffic that the new revision gets; the line is the mean, the band holds 90 % of the "
        "replications. Right: bad responses a second that users get.",
        svg=_svg(f"time{number}", draw, (1, 2), (11.4, 3.2), what, f"Two panels over time. {'; '.join(peaks)}."),
        twin=_time_twin(cells),
    )


def detection(cells: Sequence[Cell]) -> Chart | None:
    """Distribution of the detection time, a panel a question; None when nothing was ever detected."""
    groups = [group for group in by_question(cells).values() if any(len(c.values("detection_seconds")) for c in group)]
    if not groups:
        return None
    rows = []
    for group in groups:
        for cell in group:
            metric = cell.summary()["metrics"]["detection_seconds"]
            known = metric["n"] / cell.runs
            quantiles = [text.seconds(metric[name]) if metric["n"] else text.NONE for name in ("p50", "p90", "p99")]
            rows.append([question_of(cell), cell.strategy, f"{100 * known:.1f} %", *quantiles])
    return Chart(
        name="detection",
        title="How long until a bad release is stopped",
        caption="Share of all replications in which the release was stopped within this time after its first bad "
        "response. A line that ends below 100 % is a strategy that misses releases.",
        svg=_panels("detection", groups, plots.detection, "Distribution of the detection time", rows),
        twin=Twin(["world", "strategy", "detected", "p50", "p90", "p99"], rows),
    )


def harm(cells: Sequence[Cell]) -> Chart:
    """Bad requests of each strategy with intervals, a panel a question."""
    groups = list(by_question(cells).values())
    rows = []
    for cell in cells:
        low, middle, high = np.quantile(cell.values("bad_requests"), [0.05, 0.5, 0.95])
        average = cell.mean("bad_requests")
        rows.append(
            [question_of(cell), cell.strategy]
            + [text.count(float(value)) for value in (low, middle, high, average.value)]
            + [f"{text.count(average.lo)} to {text.count(average.hi)}"]
        )
    return Chart(
        name="harm",
        title="Bad requests of each strategy",
        caption="The mark is the median, the bar holds 90 % of the replications, the stroke is the mean with its 95 % "
        "interval. A request is bad when it failed or was slower than the objective; a healthy service has some too.",
        svg=_panels("harm", groups, plots.bad_requests, "Bad requests of each strategy", rows, height=2.1),
        twin=Twin(["world", "strategy", "5 %", "median", "95 %", "mean", "mean, 95 % interval"], rows),
    )


def cost(cells: Sequence[Cell]) -> Chart:
    """How likely a release costs more than an amount, a panel a question."""
    groups = list(by_question(cells).values())
    rows = []
    for cell in cells:
        values = np.quantile(cell.values("total_usd"), [0.5, 0.9, 0.99])
        rows.append([question_of(cell), cell.strategy, *(text.usd(float(value)) for value in values)])

    def draw(axes: Axes, group: Sequence[Cell]) -> None:
        plots.exceedance(axes, group, "total_usd")
        axes.set_xlabel("cost of a release, USD")
        axes.set_ylabel("replications above")
        axes.set_title("")

    return Chart(
        name="cost",
        title="What a release costs",
        caption="Share of replications whose cost (pods, bad requests, people's time, at the prices of the scenario) "
        "is above an amount.",
        svg=_panels("cost", groups, draw, "Share of releases that cost more than an amount", rows),
        twin=Twin(["world", "strategy", "median", "1 in 10 above", "1 in 100 above"], rows),
    )


def _time_twin(cells: Sequence[Cell]) -> Twin:
    profile = cells[0].profile
    assert profile is not None
    at = np.unique(np.linspace(0, len(profile.time_seconds) - 1, _SAMPLES).astype(int))
    head = ["minutes"]
    for cell in cells:
        head += [f"{cell.strategy}: traffic", f"{cell.strategy}: bad/s"]
    rows = []
    for place in at:
        row = [f"{profile.time_seconds[place] / 60:.1f}"]
        for cell in cells:
            assert cell.profile is not None
            row += [f"{100 * cell.profile.weight_mean[place]:.1f} %", f"{cell.profile.bad_per_second[place]:.2f}"]
        rows.append(row)
    return Twin(head, rows)


def _panels(
    name: str,
    groups: Sequence[Sequence[Cell]],
    draw: Callable[[Axes, Sequence[Cell]], None],
    title: str,
    rows: Sequence[Sequence[str]],
    *,
    height: float = 2.6,
) -> Markup:
    """A panel a group, two beside each other; one legend."""
    columns = min(2, len(groups))
    lines = -(-len(groups) // columns)

    def draw_all(axes: Sequence[Axes]) -> None:
        for panel, group in zip(axes, groups, strict=False):
            draw(panel, group)
            panel.set_title(question_of(group[0]), loc="left")
        for panel in axes[len(groups) :]:
            panel.set_visible(False)

    numbers = "; ".join(", ".join(row[:5]) for row in rows)
    size = (11.4 if columns == 2 else 7.0, height * lines + 0.3)
    return _svg(name, draw_all, (lines, columns), size, title, f"{len(groups)} panels. {numbers}.")


def _svg(
    name: str,
    draw: Callable[[Sequence[Axes]], None],
    grid: tuple[int, int],
    size: tuple[float, float],
    title: str,
    description: str,
) -> Markup:
    with mpl.rc_context(svg.style()):
        figure = Figure(figsize=size, layout="constrained")
        axes = list(figure.subplots(*grid, squeeze=False).flat)
        draw(axes)
        _one_legend(figure, axes)
        return svg.inline(figure, name, title, description)


def _one_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend above all panels, in place of one in each."""
    lines: dict[str, Artist] = {}
    for panel in axes:
        if legend := panel.get_legend():
            legend.remove()
            handles, names = panel.get_legend_handles_labels()
            for handle, name in zip(handles, names, strict=True):
                lines.setdefault(name.removesuffix(plots.NEVER), handle)
    if lines:
        figure.legend(
            list(lines.values()), list(lines), loc="outside upper left", ncols=6, frameon=False, handlelength=3
        )
