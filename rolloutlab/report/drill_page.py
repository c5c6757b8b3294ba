"""The page of drills: verdict, the timeline drawn, moments, faults, expectations, and how to repeat it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from rolloutlab import text
from rolloutlab.drill import show
from rolloutlab.drill.record import Record
from rolloutlab.drill.summary import groups, median, values, worst
from rolloutlab.report import drill_charts as charts
from scenarios.outcome import COLUMNS

if TYPE_CHECKING:
    from rolloutlab.drill.result import Drills

_MOST_DRAWN = 12  #: drills whose timeline stands on the page; of a longer series the first, and those that did not pass


def page(result: Drills) -> str:
    """The page of a result, the same bytes for the same result.

    Raises:
        ValueError: a result without drills.
    """
    if not result.drills:
        raise ValueError("a page needs at least one drill")
    return _environment().get_template("drill.html.j2").render(**_content(result)) + "\n"


def fragment(result: Drills) -> str:
    """The verdicts and moments as HTML for a notebook, with the timeline of the first drill."""
    if not result.drills:
        return str(Markup("<p>{}</p>").format("no drill was begun"))
    parts = Markup()
    for record in result.drills:
        rows = Markup().join(
            Markup("<tr><th>{}</th><td>{}</td><td>{}</td><td style='text-align:left'>{}</td></tr>").format(*row)
            for row in show.moment_rows(record)
        )
        parts += Markup("<p><strong>{}</strong><br>{}</p><table><tbody>{}</tbody></table>").format(
            show.heading(record), show.verdict_line(record), rows
        )
    return parts + Markup("<figure>{}</figure>").format(charts.timeline(result.drills[0]).svg)


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("rolloutlab.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _content(result: Drills) -> dict[str, Any]:
    first = result.drills[0]
    found = groups(result.drills)
    drawn = [(number, one) for number, one in enumerate(result.drills) if number < 3 or one.exit_code][:_MOST_DRAWN]
    series = [
        (group, charts.repeats(group, f"repeats{number}")) for number, group in enumerate(found) if len(group) > 1
    ]
    return {
        "title": first.where.title or first.where.scenario,
        "subtitle": first.name if len(found) == 1 else f"{len(result.drills)} drills",
        "question": first.where.question,
        "facts": _facts(first),
        "result": result,
        "verdicts": [(one, show.verdict_line(one)) for one in result.drills] if len(result.drills) > 1 else [],
        "drills": [_drill(one, number, len(result.drills)) for number, one in drawn],
        "missing": len(result.drills) - len(drawn),
        "series": [{"name": group[0].name, "rows": _series(group), "chart": chart} for group, chart in series],
        "document": result.document(),
    }


def _facts(record: Record) -> list[str]:
    where = record.where
    speed = f"{record.sped_up}: times are those of the scenario" if record.sped_up else "in real time"
    return [f"{where.world} world: {where.engine}", speed, f"seed {where.seed}", *where.facts]


def _drill(record: Record, number: int, count: int) -> dict[str, Any]:
    return {
        "name": record.name + (f", drill {number + 1} of {count}" if count > 1 else ""),
        "verdict": show.verdict_line(record),
        "reasons": show.reasons(record),
        "moments": list(show.moment_rows(record)),
        "spans": show.span_texts(record),
        "chart": charts.timeline(record, f"timeline{number}"),
        "faults": [show.fault_line(record, place) for place in range(len(record.faults))],
        "lags": show.lag_line(record) if record.lags else "",
        "checks": [(show.CHECK_WORDS.get(one.holds, one.holds), one) for one in record.checks],
        "columns": [
            (name, _value(record, name), COLUMNS[name]) for name in COLUMNS if record.row.get(name) is not None
        ],
        "steps": [(show.signed(step.at_seconds), step.kind, step.text) for step in record.steps],
        "load": [(name.replace("_", " "), value) for name, value in record.load.items() if value is not None],
        "left": record.left,
    }


def _value(record: Record, name: str) -> str:
    value = record.row[name]
    if isinstance(value, str | bool):
        return text.outcome(str(value)).lower()
    return f"{value:,.3f}".rstrip("0").rstrip(".") if value is not None else text.NONE


def _series(group: list[Record]) -> list[tuple[str, str, str, str, int]]:
    rows = []
    for column, name in show.TIMES.items():
        if len(values(group, column)):
            middle, bounds = show.interval_texts(median(group, column))
            rows.append((name, middle, bounds, show.signed(worst(group, column)), len(values(group, column))))
    return rows
