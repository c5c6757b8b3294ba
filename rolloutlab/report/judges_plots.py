"""Plots of calibration cards, each on the axes it is given; an invalid judge is a cross and says so, in any colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from rolloutlab.judging.bench import Bench
from rolloutlab.judging.card import Card
from rolloutlab.judging.show import INVALID, in_seconds, marked, rate
from rolloutlab.judging.words import percent
from rolloutlab.report.plots import COLOURS, DASHES, MARKERS

VALID_COLOUR, INVALID_COLOUR = COLOURS[0], COLOURS[1]
KINDS: Final = ("statistics", "settings", "plumbing")
_HATCHES: Final = ("", "//", "..")
_KIND_COLOURS: Final = (COLOURS[0], COLOURS[4], "#9AA5B1")
_TICKS: Final = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)


def against_limit(axes: Axes, bench: Bench, cards: Sequence[Card]) -> None:
    """Delay of every judge against the limit: mean (mark), p50 to p90 (bar), mean at the matched rate (diamond).

    The false-positive rate of the hour stands at the right of each row; `lines_of` says what the two lines are.
    """
    longest = bench.horizon_seconds - bench.fault_seconds
    for row, card in enumerate(cards):
        colour = VALID_COLOUR if card.valid else INVALID_COLOUR
        ends = [min(card.fault.p50, longest), min(card.fault.p90, longest)]
        axes.plot(ends, [row, row], color=colour, linewidth=5, alpha=0.3, solid_capstyle="butt")
        never = card.fault.detected.value == 0
        marker = ">" if never else "o" if card.valid else "X"
        axes.plot([card.fault.mean.value], [row], marker=marker, markersize=8, color=colour, linestyle="none")
        if card.matched is not None and not never:
            axes.plot(
                [card.matched.mean.value], [row], marker="D", markersize=5, color=colour, fillstyle="none", linestyle=""
            )
        said = ("never seen, " if never else "") + ("" if card.valid else INVALID) + rate(card.hour)
        axes.annotate(
            said, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8.5,
            fontweight="normal" if card.valid else "bold", annotation_clip=False,
        )  # fmt: skip
    for known, dash in ((False, "-"), (True, ":")):
        limit = bench.limit_seconds(knows_baseline=known)
        axes.axvline(limit, linestyle=dash, linewidth=1.6, color=COLOURS[2])
    axes.set_yticks(range(len(cards)), [marked(card) for card in cards], fontsize=9)
    axes.set_ylim(len(cards) - 0.4, -0.8)
    _seconds(axes, low=bench.limit_seconds(knows_baseline=True) / 2.5, high=1.35 * longest)
    axes.annotate("false alarms, 1 h", (1.01, -0.7), xycoords=("axes fraction", "data"), fontsize=8.5, va="center",
                  annotation_clip=False)  # fmt: skip
    axes.set_xlabel("seconds from the fault to the alarm")


def lines_of(bench: Bench) -> str:
    """What the two lines of a panel are: a legend would lie on the marks."""
    limit, known = (in_seconds(bench.limit_seconds(knows_baseline=each)) for each in (False, True))
    return f"limit {limit} s (solid), {known} s if the {percent(bench.p0)} is known (dotted)"


def where_it_goes(axes: Axes, bench: Bench, cards: Sequence[Card]) -> None:
    """Mean time to the end of the fault's traffic: evidence, the judge's own settings, plumbing; those that see it."""
    shown = [card for card in cards if card.fault.detected.value > 0]
    for row, card in enumerate(shown):
        left = 0.0
        for kind, colour, hatch in zip(KINDS, _KIND_COLOURS, _HATCHES, strict=True):
            width = sum(one.seconds for one in card.segments if one.kind == kind)
            name = kind if row == 0 else None
            axes.barh(row, width, left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=name)
            left += width
        axes.annotate(
            in_seconds(left), (left, row), textcoords="offset points", xytext=(4, 0), va="center", fontsize=8.5
        )
    axes.axvline(bench.limit_seconds(), linewidth=1.6, color=COLOURS[2], label="limit")
    axes.set_yticks(range(len(shown)), [marked(card) for card in shown], fontsize=9)
    axes.set_ylim(len(shown) - 0.4, -0.7)
    axes.set_xlim(0, 1.12 * max(card.end_seconds for card in shown) if shown else 1.0)
    axes.set_xlabel("mean seconds from the fault to the end of its traffic")
    axes.grid(True, axis="x", linewidth=0.5, alpha=0.35)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center right", fontsize=8.5, framealpha=0.8)


def operating_curve(axes: Axes, bench: Bench, cards: Sequence[Card]) -> None:
    """Median delay against the error ratio of the bad canary, and the limit (a mean)."""
    for number, card in enumerate(cards):
        found = [(100 * point.p1, point.plain.p50) for point in card.curve if math.isfinite(point.plain.p50)]
        place = number % len(COLOURS)
        axes.plot(
            [x for x, _ in found], [y for _, y in found], color=COLOURS[place], linestyle=DASHES[place],
            marker=MARKERS[place], markersize=5, label=marked(card),
        )  # fmt: skip
    grid = np.geomspace(bench.effects[0], bench.effects[-1], 60)
    axes.plot(
        100 * grid, [bench.limit_seconds(p1=float(p1)) for p1 in grid], color="#555555", linewidth=2.4, label="limit"
    )
    axes.set_xscale("log")
    axes.set_xticks([100 * ratio for ratio in bench.effects], [percent(ratio) for ratio in bench.effects])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_seconds(value)))
    axes.set_xlabel("error ratio of the bad canary")
    axes.set_ylabel("seconds to the alarm, median")
    axes.grid(True, linewidth=0.5, alpha=0.35)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5)


def _seconds(axes: Axes, *, low: float, high: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(True, axis="x", linewidth=0.5, alpha=0.35)
    axes.spines[["top", "right"]].set_visible(False)
