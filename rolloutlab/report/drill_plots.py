"""Plots of a drill, each on the axes it is given: one line style a revision, moments as bands of their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from rolloutlab.drill.record import Record
from rolloutlab.report.plots import COLOURS
from rolloutlab.text import TimeUnit, time_unit

REVISIONS: Final = {"stable": (COLOURS[0], "-", "o"), "canary": (COLOURS[1], "--", "s")}
MARK: Final = "#707A86"  #: of moments: a contrast of 3 on white and on black
_LABEL_ROWS: Final = 4
_ENOUGH: Final = 60  #: requests of one point of a line
#: apart, for two metrics may look at one time
_LOOK_HEIGHTS: Final = {True: 0.2, False: -0.2, None: 0.0}
_LOOKS: Final = {True: ("X", "bad look"), False: (".", "good look"), None: ("|", "look without an answer")}


def unit_of(record: Record) -> TimeUnit:
    """The unit of the time axis."""
    low, high = limits(record)
    return time_unit(max(abs(low), high))


def limits(record: Record) -> tuple[float, float]:
    """Scenario seconds between which something is known."""
    known = [bound for one in record.moments().values() for bound in (one.lo, one.hi) if math.isfinite(bound)]
    known += [step.at_seconds for step in record.steps]
    known += [edge for one in record.traffic for edge in (one.at, one.at + one.seconds)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    return low, high if high > low else low + 1.0


def weights(axes: Axes, record: Record) -> None:
    """Share of traffic on the canary, as the router had it."""
    low, high = limits(record)
    at, share = [low], [0.0]
    for step in record.of_kind("weight"):
        if step.value is not None:
            at += [step.at_seconds, step.at_seconds]
            share += [share[-1], step.value]
    axes.plot([*at, high], [*share, share[-1]], color=COLOURS[1], linewidth=2)
    axes.fill_between([*at, high], [*share, share[-1]], color=COLOURS[1], alpha=0.15, linewidth=0)
    axes.set_ylim(-0.03, 1.06)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylabel("canary's traffic")


def bad_ratio(axes: Axes, record: Record) -> None:
    """Share of bad responses of each revision, by stretches of time."""
    for name, (colour, dash, marker) in REVISIONS.items():
        _line(axes, ratios(record, name), name, colour, dash, marker)
    allowed = record.where.allowed_ratio
    axes.axhline(allowed, color=MARK, linewidth=1, linestyle=":", label="allowed by the objective")
    top = max([axes.get_ylim()[1], 3 * allowed, 0.01])
    axes.set_ylim(-0.03 * top, top)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if top > 0.05 else 1))
    axes.set_ylabel("bad responses")


def ratios(record: Record, revision: str) -> list[tuple[float, float]]:
    """Middle of a stretch (scenario seconds) and the share of bad responses in it (0..1).

    Neighbouring stretches are taken together until they hold enough requests for a share to mean something.
    """
    found = []
    start, requests, bad = 0.0, 0, 0
    for one in record.traffic:
        counts = next((each for each in one.counts if each.revision == revision), None)
        if counts is None:
            continue
        start = one.at if requests == 0 else start
        requests, bad = requests + counts.requests, bad + counts.bad
        if requests >= _ENOUGH:
            found.append(((start + one.at + one.seconds) / 2, bad / requests))
            requests = bad = 0
    return found


def latency(axes: Axes, record: Record) -> None:
    """99th percentile of the latency of each revision, in real milliseconds."""
    for name, (colour, dash, marker) in REVISIONS.items():
        found = [
            (one.at + one.seconds / 2, 1000 * value)
            for one in record.traffic
            if (value := one.p99.get(name)) is not None
        ]
        _line(axes, found, name, colour, dash, marker)
    known = [value for one in record.traffic for value in one.p99.values() if value]
    if known and max(known) > 20 * min(known):
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, 1.15 * 1000 * max(known, default=1.0))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel("p99, real ms")


def events(axes: Axes, record: Record) -> None:
    """Faults as bars, looks as marks, the decision."""
    _, high = limits(record)
    moments = record.moments()
    rows: list[str] = []
    begin, end = moments.get("t2") or moments.get("t1"), moments.get("t8")
    for number, fault in enumerate(record.faults):
        if begin is None or not fault.injected:
            continue
        start = begin.lo if begin.censored else begin.hi
        stop = high if end is None else end.lo
        axes.barh(len(rows), max(stop - start, 0.0), left=start, height=0.6, color=COLOURS[1], alpha=0.35, hatch="//")
        rows.append(f"fault {number + 1}: {fault.kind}" if len(record.faults) > 1 else f"fault: {fault.kind}")
    looks = record.of_kind("look")
    if looks:
        for bad, (marker, name) in _LOOKS.items():
            at = [step.at_seconds for step in looks if step.bad is bad]
            if at:
                colour = COLOURS[1] if bad else COLOURS[0] if bad is False else MARK
                height = len(rows) + _LOOK_HEIGHTS[bad]
                axes.plot(at, [height] * len(at), marker, color=colour, label=name)
        rows.append("looks")
    decisions = [*record.of_kind("decision")]
    for step in decisions:
        axes.plot([step.at_seconds], [len(rows)], marker="D", color=COLOURS[3], linestyle="none")
        axes.annotate(
            step.text.partition(":")[0][:40], (step.at_seconds, len(rows)), textcoords="offset points",
            xytext=(-8, 0), ha="right",
            va="center", fontsize=9,
        )  # fmt: skip
    if decisions:
        rows.append("decision")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(-0.7, max(len(rows), 1) - 0.3)


def moments(axes: Sequence[Axes], record: Record) -> None:
    """t0 to t8 through all lanes: a line where it was known to have happened, a band of its interval, a name above."""
    low, high = limits(record)
    last: list[float] = [-math.inf] * _LABEL_ROWS
    need = 0.035 * (high - low)
    for name, moment in record.moments().items():
        at = moment.lo if moment.censored else moment.hi
        for lane in axes:
            if not moment.censored and moment.hi > moment.lo:
                lane.axvspan(moment.lo, moment.hi, color=MARK, alpha=0.25, linewidth=0)
            lane.axvline(at, color=MARK, linewidth=0.9, linestyle=":" if moment.censored else "-")
        row = next((row for row in range(_LABEL_ROWS) if at - last[row] >= need), _LABEL_ROWS - 1)
        last[row] = at
        axes[0].annotate(
            f"{name}…" if moment.censored else name, (at, 1.0), xycoords=("data", "axes fraction"),
            textcoords="offset points", xytext=(0, 3 + 12 * row), ha="center", fontsize=9, annotation_clip=False,
        )  # fmt: skip


def time_axis(axes: Sequence[Axes], record: Record) -> None:
    """One time axis below all lanes, in scenario time, and the real one where the drill was sped up."""
    low, high = limits(record)
    pad = 0.015 * (high - low)
    unit = unit_of(record)
    for lane in axes:
        lane.set_xlim(low - pad, high + pad)
        lane.grid(True, axis="y", linewidth=0.5, alpha=0.3)
        lane.spines[["top", "right"]].set_visible(False)
        lane.tick_params(labelbottom=lane is axes[-1])
    axes[-1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit.seconds:,.4g}"))
    sped = f", {record.sped_up}" if record.sped_up else ", real time"
    axes[-1].set_xlabel(f"{unit.name} since the rollout began, scenario time{sped}")


def repeats(axes: Axes, group: Sequence[Record], column: str) -> None:
    """A column of each drill, in the order in which they were done, with the median as a line."""
    known = [(number + 1, one.number(column)) for number, one in enumerate(group) if not math.isnan(one.number(column))]
    axes.plot([x for x, _ in known], [y for _, y in known], "o", color=COLOURS[0])
    if known:
        ordered = sorted(y for _, y in known)
        middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
        axes.axhline(middle, color=COLOURS[1], linestyle="--", linewidth=1.4, label=f"median {middle:,.2f}")
        axes.legend(frameon=False, fontsize=9)
    axes.set_xlim(0.5, len(group) + 0.5)
    axes.set_ylim(0, 1.15 * max((y for _, y in known), default=1.0) or 1.0)
    axes.set_xlabel("drill")
    axes.grid(True, axis="y", linewidth=0.5, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _line(axes: Axes, found: Sequence[tuple[float, float]], name: str, colour: str, dash: str, marker: str) -> None:
    if found:
        small = 3 if len(found) <= 150 else 0
        axes.plot([x for x, _ in found], [y for _, y in found], color=colour, linestyle=dash, marker=marker,
                  markersize=small, linewidth=1.4, label=name)  # fmt: skip
