"""Cards as the text of a terminal: verdicts, one table a bench, and with `cards` every number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rolloutlab import text
from rolloutlab.grid import Grid
from rolloutlab.judging.bench import HOUR, Bench
from rolloutlab.judging.card import Card, FalseAlarms
from rolloutlab.judging.result import Calibration
from rolloutlab.judging.segments import MEANINGS
from rolloutlab.judging.words import change, per_second, percent, verdicts
from scenarios.units import duration_text
from sim.intervals import Interval

INVALID: Final = "✗ "
#: columns that a narrow terminal does not get, the first one first
_SPARE: Final = ("5 min", "15 min", "efficiency", "exposed", "24 h", "matched × limit", "end, s", "seen")


def text_of(result: Calibration, *, full: bool = False, assumptions: bool = False) -> str:
    """The whole text of a result.

    Args:
        full: with operating curves and segments; those of a single judge are always there.
        assumptions: with every choice that the numbers rest on.
    """
    parts = [_safe(_heading(result))]
    if len(result.complete) > 1:
        parts.append(across(result))
    for bench in result.complete:
        cards = result.of(bench)
        parts.append(_safe(bench_heading(bench)))
        parts.append(glance(bench, cards))
        if full or len(cards) == 1:
            parts += [curves(bench, cards), seconds(cards)]
        parts.append(_safe("\n".join(verdicts(bench, cards))))
    parts.append(_safe(_ending(result, assumptions=assumptions)))
    return "\n\n".join(parts)


def _safe(lines: str) -> str:
    """Lines from files of others; a table makes its own cells safe, and may be bold."""
    return "\n".join(map(text.safe, lines.split("\n")))


def _heading(result: Calibration) -> str:
    lines = [result.stopped] if result.interrupted else []
    lines.append(f"{result.runs:,} replications of each judge · seed {result.seed} · fidelity counts")
    return "\n".join(lines)


def bench_heading(bench: Bench) -> str:
    """What the judges of a bench were asked, and what none of them can beat."""
    limit, known = bench.limit_seconds(), bench.limit_seconds(knows_baseline=True)
    late = f", from {duration_text(bench.fault_seconds)} on" if bench.fault_seconds else ""
    return (
        f"{bench.title}\n"
        f"{bench.name} · {per_second(bench.rate_per_second)} · canary {percent(bench.share)} · errors {change(bench)}"
        f"{late} · at most {percent(bench.alpha)} of good releases taken back an hour\n"
        f"The limit: no judge that keeps {percent(bench.alpha)} sees it sooner than {text.seconds(limit)} on average "
        f"({text.count(limit * bench.canary_per_second)} canary requests); one that is told the "
        f"{percent(bench.p0)}, {text.seconds(known)}."
    )


def glance(bench: Bench, cards: Sequence[Card]) -> str:
    """One row a judge; ✗ marks those that take back too many good releases."""
    head, under = ["judge"], [""]
    for one in cards[0].false_alarms:
        main = one.seconds == HOUR
        head.append(f"false alarms, {mark_name(one)}" if main else mark_name(one))
        coarse = f"looks each {duration_text(one.look_seconds)}" if one.look_seconds > bench.look_seconds else ""
        under.append("good releases [95 %]" if main else coarse or "false alarms")
    head += ["seen", "delay, s", "× limit", "matched × limit", "efficiency", "end, s", "exposed"]
    under += ["", "p50 / p90 / p99", "mean", "mean [95 %]", "own rates", "mean", "requests"]
    rows = []
    for card in cards:
        row = [marked(card), *(rate(one, interval=one.seconds == HOUR) for one in card.false_alarms)]
        row += [percent(card.fault.detected.value), late(bench, card.fault.p50, card.fault.p90, card.fault.p99)]
        row += [at_least(card) + factor(card.ratio.value), matched(card)]
        row += [text.NONE if card.efficiency is None else f"{card.efficiency.value:.2f}"]
        row += [
            at_least(card) + in_seconds(card.end_seconds),
            at_least(card) + text.count(card.fault.exposed_mean.value),
        ]
        rows.append(row)
    return Grid(head, under, rows, spare=_SPARE).text()


def marked(card: Card) -> str:
    """The label, with ✗ where the judge takes back too many good releases."""
    return f"{'' if card.valid else INVALID}{card.entrant.label}"


def at_least(card: Card) -> str:
    """The sign before a mean in which some bad releases count with the horizon, for they were not seen in it."""
    return "≥ " if card.fault.missed else ""


def in_seconds(value: float) -> str:
    """Seconds without their unit, with one decimal below ten."""
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def mark_name(one: FalseAlarms) -> str:
    """`5 min`, `1 h`, `24 h`."""
    return f"{one.seconds / 60:g} min" if one.seconds < 3600 else f"{one.seconds / 3600:g} h"


def rate(one: FalseAlarms, *, interval: bool = False) -> str:
    """A false-positive rate in per cent; nothing seen is below 3/n (the rule of three)."""
    if one.alarms == 0:
        return f"< {percent(3 / one.runs)}"
    bounds = "–".join(percent(bound).removesuffix(" %") for bound in one.share[1:])
    return percent(one.share.value) + (f" [{bounds}]" if interval else "")


def late(bench: Bench, *values: float) -> str:
    """Times in seconds; one that lies beyond the horizon says so, and once if all do."""
    last = f"> {in_seconds(bench.horizon_seconds - bench.fault_seconds)}"
    if not any(map(math.isfinite, values)):
        return last
    return " / ".join(in_seconds(value) if math.isfinite(value) else last for value in values)


def factor(value: float) -> str:
    """A multiple of the limit.

    >>> factor(2.247), factor(22.2)
    ('2.25', '22')
    """
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def matched(card: Card) -> str:
    """Mean delay at the matched false-positive rate, as a multiple of the limit."""
    if card.matched is None:
        return text.NONE
    limit = card.bench.limit_seconds()
    middle, lo, hi = (value / limit for value in card.matched.mean)
    return f"{factor(middle)} [{factor(lo)}–{factor(hi) if math.isfinite(hi) else '?'}]"


def curves(bench: Bench, cards: Sequence[Card]) -> str:
    """The operating curves: a row a judge, a column an effect."""
    ratios = bench.effects
    head = ["operating curve", *(percent(ratio) for ratio in ratios)]
    under = ["seen: p50 / p90, s", *("" if ratio != bench.p1 else "the fault" for ratio in ratios)]
    rows = []
    for card in cards:
        found = [point.plain for point in card.curve]
        cells = [f"{percent(one.detected.value)}: {late(bench, one.p50, one.p90)}" for one in found]
        rows.append([marked(card), *cells])
    limits = ["limit of any judge (mean)", *(in_seconds(point.limit_seconds) for point in cards[0].curve)]
    return Grid(head, under, [*rows, limits], breaks=(len(rows),)).text()


def seconds(cards: Sequence[Card]) -> str:
    """Where the mean time goes: a row a judge, a column a segment, in the order in which a number meets them."""
    kinds = {one.name: one.kind for card in cards for one in card.segments}
    names = [name for name in MEANINGS if name in kinds]
    head = ["mean seconds", *names, "together"]
    rows = []
    for card in cards:
        found = {one.name: one.seconds for one in card.segments}
        row = [in_seconds(found[name]) if name in found else text.NONE for name in names]
        rows.append([marked(card), *row, at_least(card) + in_seconds(card.end_seconds)])
    return Grid(head, ["", *(kinds[name] for name in names), ""], rows).text()


def across(result: Calibration) -> str:
    """All benches beside each other: mean delay as a multiple of the limit, and the false-positive rate of the hour."""
    benches = result.complete
    cells = {(card.bench.name, row_name(card)): card for card in result.cards}
    names = list(dict.fromkeys(row_name(card) for card in result.cards))
    head = ["× limit (good ones taken back an hour)", *(bench.name for bench in benches)]
    under = ["", *(f"limit {text.seconds(bench.limit_seconds())}" for bench in benches)]
    rows = []
    for name in names:
        found = [cells.get((bench.name, name)) for bench in benches]
        rows.append([name, *(text.NONE if card is None else both(card) for card in found)])
    return Grid(head, under, rows).text()


def row_name(card: Card) -> str:
    """A judge's label without the numbers of its bench."""
    return generic(card.entrant.label)


def generic(label: str) -> str:
    """A label without its line: lines differ from bench to bench.

    >>> generic("rate[5m] > 1.5%, for 1m")
    'rate[5m] > line, for 1m'
    """
    head, sign, rest = label.partition(" > ")
    return f"{head}{sign}line{rest[rest.index('%') + 1 :]}" if sign and "%" in rest else label


def both(card: Card) -> str:
    """`2.25 (✗ 24 %)`: the multiple of the limit, and the rate; ✗ where the rate is too high."""
    one: Interval = card.hour.share
    seen = f"< {percent(3 / card.hour.runs)}" if card.hour.alarms == 0 else percent(one.value)
    return f"{at_least(card)}{factor(card.ratio.value)} ({'' if card.valid else INVALID}{seen})"


def _ending(result: Calibration, *, assumptions: bool) -> str:
    lines = [f"{INVALID}takes back more good releases than allowed: its speed is worth nothing."]
    lines = lines if any(not card.valid for card in result.cards) else []
    if assumptions:
        lines += [f"Rests on {len(result.assumed)} choices:", *(f"  {one}" for one in result.assumed)]
    else:
        lines.append(f"Rests on {len(result.assumed)} choices; --assumptions lists them.")
    if result.again:
        lines.append(f"Again: {result.again}")
    return "\n".join(lines)
