"""The charts of the page of drills: each a figure in words, in SVG and as the table behind it."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rolloutlab import text
from rolloutlab.drill.record import Record
from rolloutlab.drill.show import TIMES, moment_rows, span_texts
from rolloutlab.drill.summary import values
from rolloutlab.report import drill_plots as plots
from rolloutlab.report import svg
from rolloutlab.report.charts import Chart, Twin

_MOST_ROWS = 40  #: of the table behind the timeline
_LANES = (plots.weights, plots.bad_ratio, plots.latency, plots.events)
_HEIGHTS = (1.0, 1.3, 1.0, 0.8)


def timeline(record: Record, name: str = "timeline") -> Chart:
    """The drill over time: weights, bad responses, latency, faults and looks, with the moments through all of them."""
    with mpl.rc_context(svg.style()):
        figure = Figure(figsize=(11.4, 7.4), layout="constrained")
        axes = list(figure.subplots(len(_LANES), 1, sharex=True, height_ratios=_HEIGHTS))
        for lane, draw in zip(axes, _LANES, strict=True):
            draw(lane, record)
        plots.moments(axes, record)
        plots.time_axis(axes, record)
        _one_legend(figure, axes)
        drawing = svg.inline(figure, name, f"Timeline of the drill {record.name}", _told(record))
    return Chart(
        name=name,
        title="What happened when",
        caption="Four lanes on one time axis: the canary's share of traffic, bad responses (failed or slow) as users "
        "saw them, the 99th percentile of latency, and what was done and looked at. Lines t0 to t8 are the moments of "
        "the table; a grey band is where a moment is known to lie, a dotted line one that was not seen until then.",
        svg=drawing,
        twin=_twin(record),
    )


def repeats(group: Sequence[Record], name: str = "repeats") -> Chart | None:
    """What was measured in each of several drills; None where nothing was."""
    columns = [column for column in TIMES if len(values(group, column))]
    if not columns:
        return None
    with mpl.rc_context(svg.style()):
        figure = Figure(figsize=(11.4, 2.9), layout="constrained")
        axes = list(figure.subplots(1, len(columns), squeeze=False).flat)
        for panel, column in zip(axes, columns, strict=True):
            plots.repeats(panel, group, column)
            panel.set_title(TIMES[column], loc="left")
        rows = [[str(number + 1), *(_value(one, column) for column in columns)] for number, one in enumerate(group)]
        said = "; ".join(f"drill {row[0]}: {', '.join(row[1:])}" for row in rows)
        drawing = svg.inline(figure, name, f"{len(group)} drills of {group[0].name}", f"{len(columns)} panels. {said}.")
    return Chart(
        name=name,
        title="Every drill of the series",
        caption="A mark is a drill, in the order in which they were done; the dashed line is the median. Times are "
        "scenario time.",
        svg=drawing,
        twin=Twin(["drill", *(TIMES[column] for column in columns)], rows),
    )


def _one_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend below all lanes: the same style says the same in each."""
    found: dict[str, Artist] = {}
    for lane in axes:
        for handle, name in zip(*lane.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    if found:
        figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=6, frameon=False)


def _value(record: Record, column: str) -> str:
    value = record.number(column)
    return text.NONE if value != value else f"{value:,.2f}"


def _told(record: Record) -> str:
    """What somebody who cannot see the drawing needs: the moments and the times between them, with numbers."""
    moments = "; ".join(
        f"{name} at {at} s" if at != text.NONE else f"{name} {bounds}" for name, at, bounds, _ in moment_rows(record)
    )
    weights = ", ".join(
        f"{100 * step.value:.3g} % at {step.at_seconds:.0f} s"
        for step in record.of_kind("weight")
        if step.value is not None
    )
    parts = [f"Four lanes. {moments}", "; ".join(span_texts(record)), f"canary's weight: {weights}" if weights else ""]
    return ". ".join(part for part in parts if part) + "."


def _twin(record: Record) -> Twin:
    """Traffic by stretches of time: at most so many rows, every nth one."""
    head = ["from, s", "requests", "bad", "canary requests", "canary bad", "canary p50, real ms", "canary p99, real ms"]
    step = -(-len(record.traffic) // _MOST_ROWS) or 1
    rows = []
    for one in record.traffic[::step]:
        by = {counts.revision: counts for counts in one.counts}
        row = [f"{one.at:,.0f}"]
        for revision in ("", "canary"):
            found = by.get(revision)
            row += [f"{found.requests:,}", f"{found.bad:,}"] if found else [text.NONE, text.NONE]
        for quantiles in (one.p50, one.p99):
            value = quantiles.get("canary")
            row.append(text.NONE if value is None else f"{1000 * value:,.1f}")
        rows.append(row)
    return Twin(head, rows)
