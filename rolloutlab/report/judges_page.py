"""The page of calibration cards: verdicts, the table of every bench, the charts, what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from rolloutlab import text
from rolloutlab.judging.bench import Bench
from rolloutlab.judging.card import Card
from rolloutlab.judging.result import Calibration
from rolloutlab.judging.segments import MEANINGS
from rolloutlab.judging.show import at_least, bench_heading, factor, in_seconds, late, mark_name, marked, matched, rate
from rolloutlab.judging.words import percent, verdicts
from rolloutlab.report import judges_charts as charts


def page(result: Calibration) -> str:
    """The page of a result, the same bytes for the same result.

    Raises:
        ValueError: a result without cards.
    """
    if not result.cards:
        raise ValueError("a page needs at least one card")
    environment = Environment(
        loader=PackageLoader("rolloutlab.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("judges.html.j2").render(**_content(result)) + "\n"


def _content(result: Calibration) -> dict[str, Any]:
    groups = [(bench, result.of(bench)) for bench in result.complete]
    single = len(groups) == 1
    return {
        "title": groups[0][0].title if single else f"Judges on {len(groups)} benches",
        "result": result,
        "marks": [mark_name(one) for one in result.cards[0].false_alarms],
        "benches": [_bench(number, bench, cards) for number, (bench, cards) in enumerate(groups)],
        "headline": charts.headline(groups),
        "seconds": charts.seconds(groups),
        "meanings": MEANINGS,
        "document": result.document(),
    }


def _bench(number: int, bench: Bench, cards: Sequence[Card]) -> dict[str, Any]:
    said = verdicts(bench, cards)
    return {
        "title": bench.title,
        "facts": bench_heading(bench).split("\n")[1:],
        "verdict": said[0] if said else "",
        "reasons": said[1:],
        "rows": [_row(bench, card) for card in cards],
        "curve": charts.curve(bench, cards, f"curve{number}"),
    }


def _row(bench: Bench, card: Card) -> dict[str, Any]:
    found = card.efficiency
    return {
        "label": marked(card),
        "about": card.entrant.about,
        "rates": [rate(one, interval=True) for one in card.false_alarms],
        "seen": percent(card.fault.detected.value),
        "late": late(bench, card.fault.p50, card.fault.p90, card.fault.p99),
        "ratio": at_least(card) + factor(card.ratio.value),
        "matched": matched(card),
        "efficiency": text.NONE if found is None else f"{found.value:.2f}",
        "end": at_least(card) + in_seconds(card.end_seconds),
        "exposed": at_least(card) + text.count(card.fault.exposed_mean.value),
    }
