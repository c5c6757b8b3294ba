"""The generated parts of explanation/judges.md: one run of `rolloutlab judge` on the four shipped benches, its plot.

`python docs/judges.py` prints the parts; `blocks.py` puts them in their places.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from markdown import fenced, table

from rolloutlab.judging.card import Card
from rolloutlab.judging.door import judge
from rolloutlab.judging.result import Calibration
from rolloutlab.judging.segments import MEANINGS
from rolloutlab.judging.show import at_least, factor, in_seconds, late, marked, matched, rate, row_name
from rolloutlab.judging.words import change, per_second, percent, verdicts

FOLDER = Path(__file__).resolve().parent / "explanation"
BENCHES = ("judge-2pct", "judge-5pct", "judge-5pct-low-traffic", "judge-2pct-small-weight")
SHOWN = "judge-5pct-low-traffic"  #: the bench whose whole card the page shows
RUNS, SEED = 4096, 1
COMMAND = f"rolloutlab judge {' '.join(BENCHES)} --runs {RUNS} --seed {SEED}"


@cache
def result() -> Calibration:
    """The run that all parts show."""
    return judge(BENCHES, runs=RUNS, seed=SEED)


def limits() -> str:
    """The benches, and what no judge can beat on them."""
    rows: list[list[object]] = []
    for bench in result().benches:
        rows.append(
            [
                f"`{bench.name}`",
                per_second(bench.rate_per_second),
                percent(bench.share),
                change(bench),
                f"{bench.limit_seconds():.1f} s",
                f"{bench.limit_seconds() * bench.canary_per_second:,.0f}",
                f"{bench.limit_seconds(knows_baseline=True):.1f} s",
            ]
        )
    head = ["bench", "traffic", "canary", "errors", "limit", "canary requests in it", "limit if the baseline is known"]
    return table(head, rows)


def across() -> str:
    """Mean delay as a multiple of the limit, and good releases taken back in the hour, for every judge and bench."""
    found = result()
    names = list(dict.fromkeys(row_name(card) for card in found.cards))
    cards = {(card.bench.name, row_name(card)): card for card in found.cards}
    rows: list[list[object]] = [
        [name, *(_pair(cards.get((bench.name, name))) for bench in found.benches)] for name in names
    ]
    return f"{fenced(COMMAND, 'sh')}\n\n{table(['judge', *(f'`{one}`' for one in BENCHES)], rows)}"


def _pair(card: Card | None) -> str:
    if card is None:
        return "–"
    share = rate(card.hour)
    said = f"{at_least(card)}{factor(card.ratio.value)}"
    return f"{said} ({share})" if card.valid else f"{said} (**✗ {share}**)"


def plot() -> str:
    """The headline plot, written beside the page; its numbers stand in the alternative text."""
    from rolloutlab.report.judges_charts import headline

    found = result()
    chart = headline([(bench, found.of(bench)) for bench in found.benches])
    svg = str(chart.svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    svg = re.sub(r'style="max-width:(\d+)px"', r'width="\1" style="color:#1b2330;background:#fff"', svg, count=1)
    (FOLDER / "judges.svg").write_text(f"{svg.rstrip()}\n", encoding="utf-8")
    worst = max((card for card in found.cards if not card.valid), key=lambda card: card.hour.share.value)
    alt = (
        f"Four panels, one a bench: delay of each judge in seconds on a logarithmic axis, with a line for the limit. "
        f"Left of the line stand judges that are marked invalid, and one that is told the error ratio of a good "
        f"release (it has a line of its own); the worst, {worst.entrant.label}, takes back "
        f"{percent(worst.hour.share.value)} of good releases an hour. Rules on rate[5m] stand at 300 seconds and more "
        f"however gross the fault is."
    )
    return f"![{alt}](judges.svg)\n\n{chart.caption}"


def card() -> str:
    """The whole card of the judges of one bench."""
    cards = [one for one in result().cards if one.bench.name == SHOWN]
    head = [
        "judge",
        "false alarms, 1 h",
        "24 h",
        "delay p50 / p90 / p99, s",
        "× limit",
        "matched × limit",
        "efficiency",
    ]
    rows: list[list[object]] = []
    for one in cards:
        found = one.efficiency
        rows.append(
            [
                marked(one),
                rate(one.hour, interval=True),
                rate(one.false_alarms[-1]),
                late(one.bench, one.fault.p50, one.fault.p90, one.fault.p99),
                at_least(one) + factor(one.ratio.value),
                matched(one),
                "–" if found is None else f"{found.value:.2f}",
            ]
        )
    return table(head, rows)


def seconds() -> str:
    """Where the mean time of the judges of one bench goes."""
    cards = [one for one in result().cards if one.bench.name == SHOWN and one.fault.detected.value > 0]
    kinds = {part.name: part.kind for one in cards for part in one.segments}
    names = [name for name in MEANINGS if name in kinds]
    rows: list[list[object]] = []
    for one in cards:
        found = {part.name: in_seconds(part.seconds) for part in one.segments}
        end = at_least(one) + in_seconds(one.end_seconds)
        rows.append([marked(one), *(found.get(name, "–") for name in names), end])
    head = ["mean seconds", *(f"{name} ({kinds[name]})" for name in names), "together"]
    meanings = [f"- **{name}**: {MEANINGS[name]}." for name in names]
    return "\n".join([table(head, rows), "", *meanings])


def said() -> str:
    """The verdicts of every bench."""
    found = result()
    parts = []
    for bench in found.benches:
        lines = [f"> {line}" for line in verdicts(bench, found.of(bench))]
        parts.append(f"`{bench.name}`\n\n" + "\n>\n".join(lines))
    return "\n\n".join(parts)


RECORDED: dict[str, Callable[[], str]] = {
    "judges-limits": limits,
    "judges-across": across,
    "judges-plot": plot,
    "judges-card": card,
    "judges-seconds": seconds,
    "judges-said": said,
}


if __name__ == "__main__":
    for name, text in RECORDED.items():
        print(f"--- {name}\n{text()}\n")
