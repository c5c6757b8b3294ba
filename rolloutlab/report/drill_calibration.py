"""The page of a calibration: verdicts, predicted against measured, the PIT plots, the fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rolloutlab.calibrate import FAILS, HOLDS, MEANINGS, Comparison
from rolloutlab.report import svg
from rolloutlab.report.charts import Chart, Twin
from rolloutlab.report.plots import COLOURS

if TYPE_CHECKING:
    from rolloutlab.calibration import Calibrated

Draw = Callable[[Axes, Comparison], None]
_WORDS: Final = {HOLDS: "✓ holds", FAILS: "✗ fails"}


def page(result: Calibrated) -> str:
    """The page of a calibration, the same bytes for the same result."""
    from rolloutlab.calibration import fit_line, lag_row, row

    environment = Environment(
        loader=PackageLoader("rolloutlab.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    known = [one for one in result.comparisons if one.values and one.predicted]
    content = {
        "result": result,
        "verdict": _WORDS.get(result.holds, "? cannot say"),
        "rows": [
            (
                row(one),
                _WORDS.get(one.holds, "? cannot say") if one.judged else "not judged",
                one.reason,
                MEANINGS[one.column],
            )
            for one in result.comparisons
        ],
        "fits": [fit_line(one) for one in result.fits],
        "lags": [lag_row(one) for one in result.lags],
        "charts": [against(known), pit(known)] if known else [],
        "document": result.document(),
    }
    return environment.get_template("drill_calibration.html.j2").render(**content) + "\n"


def fragment(result: Calibrated) -> str:
    """The table and the PIT plot as HTML for a notebook."""
    from rolloutlab.calibration import text_of

    known = [one for one in result.comparisons if one.values and one.predicted]
    drawing = Markup("<figure>{}</figure>").format(pit(known, "pit-notebook").svg) if known else ""
    return Markup("<pre>{}</pre>").format(text_of(result)) + drawing


def against(found: Sequence[Comparison], name: str = "against") -> Chart:
    """Predicted intervals with the measured values on them, a panel a time."""

    def draw(axes: Axes, one: Comparison) -> None:
        axes.plot([one.p05, one.p95], [1, 1], color=COLOURS[0], linewidth=9, alpha=0.35, solid_capstyle="butt",
                  label="predicted, 90 %")  # fmt: skip
        axes.plot([one.p50], [1], "|", color=COLOURS[0], markersize=22, markeredgewidth=2.5, label="predicted median")
        heights = 0.15 * np.sin(2.4 * np.arange(len(one.values)))  # apart, so that equal values can be told apart
        axes.plot(one.values, heights, "o", color=COLOURS[1], markersize=5, alpha=0.8, label="a drill")
        axes.set_yticks([0, 1], ["measured", "predicted"])
        axes.set_ylim(-0.6, 1.6)
        axes.set_xlabel(f"{_short(one)}, scenario seconds")
        axes.grid(True, axis="x", linewidth=0.5, alpha=0.3)

    rows = [
        [_short(one), f"{one.p05:.2f}", f"{one.p50:.2f}", f"{one.p95:.2f}", ", ".join(f"{v:.2f}" for v in one.values)]
        for one in found
    ]
    told = "; ".join(
        f"{r[0]}: predicted {r[1]} to {r[3]} s, {one.inside} of {len(one.values)} measured inside"
        for r, one in zip(rows, found, strict=True)
    )
    return Chart(
        name=name,
        title="Predicted against measured",
        caption="The bar holds 90 % of the replications of the model, the stroke is their median; a dot is a drill.",
        svg=_panels(name, found, draw, "Predicted against measured times", told),
        twin=Twin(["time", "predicted p05, s", "p50, s", "p95, s", "measured, s"], rows),
    )


def pit(found: Sequence[Comparison], name: str = "pit") -> Chart:
    """Share of drills up to each PIT: on the diagonal when the model is right."""

    def draw(axes: Axes, one: Comparison) -> None:
        n = len(one.pit)
        ordered = sorted(one.pit)
        reach = 1.358 / math.sqrt(n)  # 95 % of Kolmogorov's distribution
        grid = np.array([0.0, 1.0])
        axes.fill_between(
            grid, grid - reach, grid + reach, color=COLOURS[0], alpha=0.15, linewidth=0, label="95 % of right models"
        )
        axes.plot(grid, grid, color=COLOURS[0], linestyle="--", linewidth=1.2)
        axes.step(
            [0.0, *ordered, 1.0],
            [*(np.arange(n + 1) / n).tolist(), 1.0],
            where="post",
            color=COLOURS[1],
            label="drills",
        )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel(f"PIT of {_short(one)}: replications below")
        axes.set_ylabel("drills up to it")

    rows = [[_short(one), f"{one.uniform_p:.3g}", ", ".join(f"{value:.3f}" for value in one.pit)] for one in found]
    told = "; ".join(f"{row[0]}: probability of so uneven ones {row[1]}" for row in rows)
    return Chart(
        name=name,
        title="PIT: is a drill like any replication?",
        caption="For each drill the share of replications below it. If the model is right these shares are even, and "
        "the steps follow the diagonal; steps above it say that the model predicts too much, below it too little.",
        svg=_panels(name, found, draw, "PIT of measured times", told, height=3.6),
        twin=Twin(["time", "p of evenness", "PIT of each drill"], rows),
    )


def _short(one: Comparison) -> str:
    return one.column.removesuffix("_seconds")


def _panels(
    name: str, found: Sequence[Comparison], draw: Draw, title: str, told: str, *, height: float = 2.4
) -> Markup:
    with mpl.rc_context(svg.style()):
        figure = Figure(figsize=(3.8 * len(found), height), layout="constrained")
        axes = list(figure.subplots(1, len(found), squeeze=False).flat)
        for panel, one in zip(axes, found, strict=True):
            draw(panel, one)
            panel.spines[["top", "right"]].set_visible(False)
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=4, frameon=False)
        return svg.inline(figure, name, title, f"{len(found)} panels. {told}.")
