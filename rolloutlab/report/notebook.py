"""A result in a notebook: one table and a small chart, no script."""

from __future__ import annotations

from markupsafe import Markup, escape

from rolloutlab import judgement, table, text
from rolloutlab.result import Result
from sim.results import by_question

_CELL = 'style="text-align:right;padding:2px 10px;white-space:nowrap"'
_LEFT = 'style="text-align:left;padding:2px 10px;white-space:nowrap"'


def fragment(result: Result) -> str:
    """The table at a glance as HTML."""
    if not result.cells:
        return str(escape(result.stopped))
    detection = table.unit_of(result.cells, "detection_seconds", "p90")
    head = ["release", "strategy", "rolled back [95 %]", f"detection p50 / p90, {detection.name}"]
    head += ["bad requests p50 / p90 (mean)", "available, fewest", "pods, most", "cost, USD (mean)"]
    rows = Markup()
    for group in by_question(result.cells).values():
        for number, cell in enumerate(group):
            told = [table.rolled_back(cell), table.times(cell, "detection_seconds", detection), table.harm(cell)]
            told += [*table.pods(cell), text.usd(cell.mean("total_usd").value)]
            world = table.question_of(cell) if number == 0 else ""
            rows += Markup("<tr><th {0}>{1}</th><th {0}>{2}</th>{3}</tr>").format(
                Markup(_LEFT),
                world,
                cell.strategy,
                Markup().join(Markup("<td {}>{}</td>").format(Markup(_CELL), value) for value in told),
            )
    titles = Markup().join(
        Markup('<th scope="col" {}>{}</th>').format(Markup(_LEFT if place < 2 else _CELL), name)
        for place, name in enumerate(head)
    )
    said = judgement.sentences(result)
    runs = f"{min(cell.runs for cell in result.cells):,} replications of each strategy, seed {result.seed}"
    return Markup(
        "<p>{}</p><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table><p><small>{}, fidelity {}</small></p>"
    ).format(" ".join(said), titles, rows, runs, result.fidelity)
