"""The charts of the page of judges: each a figure in words, in SVG and as the table behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rolloutlab import text
from rolloutlab.judging.bench import Bench
from rolloutlab.judging.card import Card
from rolloutlab.judging.segments import MEANINGS
from rolloutlab.judging.show import at_least, factor, in_seconds, late, marked, matched, rate
from rolloutlab.judging.words import change, percent
from rolloutlab.report import judges_plots as plots
from rolloutlab.report import svg
from rolloutlab.report.charts import Chart, Twin

#: judges that the operating curve draws, where they are there: more lines are a tangle
_DRAWN = ("yours", "ripr", "lindon-malek-10", "rate-for-1m", "argo-1m-limit-3", "peeking-z")
_ROW = 0.27  #: inches of a judge
Groups = Sequence[tuple[Bench, Sequence[Card]]]


def headline(groups: Groups, name: str = "limit") -> Chart:
    """Delay against limit for every judge, a panel a bench."""
    rows = []
    for bench, cards in groups:
        for card in cards:
            row = [bench.name, marked(card), rate(card.hour, interval=True), at_least(card) + _mean(card)]
            row += [late(bench, card.fault.p50, card.fault.p90), factor(card.ratio.value), matched(card)]
            rows.append(row)

    def draw(axes: Sequence[Axes]) -> None:
        for panel, (bench, cards) in zip(axes, groups, strict=False):
            plots.against_limit(panel, bench, cards)
            panel.set_title(f"{_title(bench)}\n{plots.lines_of(bench)}", loc="left", fontsize=10)
        for panel in axes[len(groups) :]:
            panel.set_visible(False)

    return Chart(
        name=name,
        title="Delay of every judge against what none can beat",
        caption="Mark: mean delay; bar: from the median to nine in ten; diamond: mean delay with the threshold set so "
        "that every judge takes back the same share of good releases. Solid green line: the limit of any judge that "
        "keeps its promise; dotted: of one that is told the error ratio of a good release. A cross, and ✗, is a judge "
        "that takes back more good releases than allowed: one left of the line has not beaten it, it cries wolf.",
        svg=_panels(name, draw, groups, "Delay of every judge against the limit", _told(groups), extra=1.3),
        twin=Twin(
            ["bench", "judge", "false alarms, 1 h [95 %]", "mean, s", "p50 / p90, s", "× limit", "matched × limit"],
            rows,
        ),
    )


def seconds(groups: Groups, name: str = "seconds") -> Chart:
    """Where the mean time goes, a panel a bench."""
    rows = []
    kinds = [one for one in MEANINGS if any(s.name == one for _, cards in groups for c in cards for s in c.segments)]
    for bench, cards in groups:
        for card in cards:
            found = {one.name: in_seconds(one.seconds) for one in card.segments}
            row = [bench.name, marked(card), *(found.get(one, text.NONE) for one in kinds)]
            rows.append([*row, at_least(card) + in_seconds(card.end_seconds)])

    def draw(axes: Sequence[Axes]) -> None:
        for panel, (bench, cards) in zip(axes, groups, strict=False):
            plots.where_it_goes(panel, bench, cards)
            panel.set_title(_title(bench), loc="left")
        for panel in axes[len(groups) :]:
            panel.set_visible(False)

    numbers = "; ".join(", ".join([row[0], row[1], f"{row[-1]} s"]) for row in rows)
    return Chart(
        name=name,
        title="Where the seconds go",
        caption="Statistics: until enough responses have failed. Settings: windows that must fill, and crossings that "
        "must last or come again. Plumbing: scrapes, evaluations, queries, the router. The green line is the limit of "
        "any judge; what lies beyond it is method and machinery.",
        svg=_panels(name, draw, groups, "Mean time to the end of the fault, in parts", numbers),
        twin=Twin(["bench", "judge", *kinds, "together"], rows),
    )


def curve(bench: Bench, cards: Sequence[Card], name: str) -> Chart:
    """Effect against median delay, for the judges that people use, or for the few that there are."""
    known = [card for card in cards if card.entrant.name in _DRAWN]
    drawn = list(cards) if len(cards) <= len(_DRAWN) else known
    rows = []
    for card in cards:
        found = [point.plain for point in card.curve]
        cells = [f"{percent(one.detected.value)}: {late(bench, one.p50, one.p90, one.p99)}" for one in found]
        rows.append([marked(card), *cells])

    def draw(axes: Sequence[Axes]) -> None:
        plots.operating_curve(axes[0], bench, drawn)

    limits = ", ".join(f"{percent(point.p1)} after {in_seconds(point.limit_seconds)} s" for point in cards[0].curve)
    return Chart(
        name=name,
        title=f"Operating curve, {bench.title}",
        caption="Median delay for smaller and larger faults than the one that the scenario asks about. Judges that "
        "were tuned to that fault stay tuned to it. A line that begins late is a judge that misses half of the smaller "
        "faults.",
        svg=_svg(name, draw, (1, 1), (8.2, 4.2), f"Operating curve, {bench.title}", f"The limit sees {limits}."),
        twin=Twin(["seen: p50 / p90 / p99, s", *(percent(ratio) for ratio in bench.effects)], rows),
    )


def _mean(card: Card) -> str:
    return in_seconds(card.fault.mean.value)


def _title(bench: Bench) -> str:
    return f"{bench.name}: {change(bench)}, canary {percent(bench.share)} of {bench.rate_per_second:g}/s"


def _told(groups: Groups) -> str:
    parts = []
    for bench, cards in groups:
        judges = "; ".join(f"{marked(card)} {_mean(card)} s, false alarms {rate(card.hour)}" for card in cards)
        parts.append(f"{bench.name}, limit {in_seconds(bench.limit_seconds())} s: {judges}")
    return f"{len(groups)} panels of mean delays. {'. '.join(parts)}."


def _panels(
    name: str, draw: Callable[[Sequence[Axes]], None], groups: Groups, title: str, told: str, *, extra: float = 0.9
) -> Markup:
    most = max(len(cards) for _, cards in groups)
    columns = 1 if len(groups) == 1 else 2
    lines = -(-len(groups) // columns)
    size = (9.0 if columns == 1 else 15.0, lines * (_ROW * most + extra))
    return _svg(name, draw, (lines, columns), size, title, told)


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
        draw(list(figure.subplots(*grid, squeeze=False).flat))
        return svg.inline(figure, name, title, description)
