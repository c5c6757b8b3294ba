"""One page that needs nothing else: the decision, the tables, the charts, what they rest on, how to get them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from rolloutlab import judgement, table, text
from rolloutlab.report import charts
from rolloutlab.result import Result
from sim.results import Cell, by_question


@dataclass(frozen=True)
class Square:
    """One field of the matrix strategy x world."""

    rolled_back: str
    other: str
    harm: str
    right: int  #: 0..4: how often the release ended as it should, a good one in use and a bad one not


def page(result: Result) -> str:
    """The page of a result, the same bytes for the same result.

    Raises:
        ValueError: a result without cells.
    """
    if not result.cells:
        raise ValueError("a page needs at least one replication")
    environment = Environment(
        loader=PackageLoader("rolloutlab.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("compare.html.j2")
    return template.render(**_content(result)) + "\n"


def _content(result: Result) -> dict[str, Any]:
    groups = by_question(result.cells)
    first = result.questions[0]
    one_file = len({question.path for question in result.questions}) == 1
    times = [(key, charts.over_time(group, number)) for number, (key, group) in enumerate(groups.items())]
    sentences = judgement.sentences(result)
    return {
        "title": result.title or (first.title if one_file else f"{len(groups)} questions"),
        "question": first.text if one_file else "",
        "decision": sentences[0] if sentences else "",
        "reasons": sentences[1:],
        "facts": first.facts,
        "result": result,
        "runs": sorted({cell.runs for cell in result.cells}),
        "strategies": list(dict.fromkeys(cell.strategy for cell in result.cells)),
        "questions": [question for question in result.questions if (question.name, question.variant) in groups],
        "glance": _glance(result.cells),
        "matrix": _matrix(result),
        "rights": judgement.judged(result),
        "share": judgement.share,
        "name_of": table.name_of,
        "columns": table.DIFFERENCES,
        "titles": {} if one_file else {table.name_of(one.name, one.variant): one.title for one in result.questions},
        "times": [(table.name_of(*key), chart) for key, chart in times if chart is not None],
        "charts": [chart for chart in (charts.detection(result.cells), charts.harm(result.cells)) if chart],
        "cost": charts.cost(result.cells),
        "differences": _differences(result),
        "document": result.document(),
    }


def _glance(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """The rows of the table at a glance; the first of each question says how many follow."""
    detection = table.unit_of(cells, "detection_seconds", "p90")
    duration = table.unit_of(cells, "duration_seconds", "p50")
    rows = []
    for group in by_question(cells).values():
        for number, cell in enumerate(group):
            least, most = table.pods(cell)
            rows.append(
                {
                    "world": table.question_of(cell) if number == 0 else None,
                    "span": len(group),
                    "strategy": cell.strategy,
                    "rolled_back": table.rolled_back(cell),
                    "other": table.other_ends(cell),
                    "detection": table.times(cell, "detection_seconds", detection),
                    "harm": table.harm(cell),
                    "users": table.pair(cell, "users_exposed"),
                    "duration": table.middle(cell, "duration_seconds", duration),
                    "least": least,
                    "most": most,
                    "cost": text.usd(cell.mean("total_usd").value),
                    "detection_unit": detection.name,
                    "duration_unit": duration.name,
                }
            )
    return rows


def _matrix(result: Result) -> list[tuple[str, list[Square | None]]]:
    """A row a world, a square a strategy; empty when there is one world only."""
    groups = by_question(result.cells)
    if len(groups) < 2:
        return []
    names = list(dict.fromkeys(cell.strategy for cell in result.cells))
    rights = {
        (right.cell.scenario, right.cell.variant, right.cell.strategy): right for right in judgement.judged(result)
    }
    rows: list[tuple[str, list[Square | None]]] = []
    for (scenario, variant), group in groups.items():
        cells = {cell.strategy: cell for cell in group}
        squares: list[Square | None] = []
        for name in names:
            cell = cells.get(name)
            squares.append(_square(cell, rights[scenario, variant, name]) if cell else None)
        rows.append((table.name_of(scenario, variant), squares))
    return rows


def _square(cell: Cell, right: judgement.Right) -> Square:
    wrong = sum(value.value * n for value, n in ((right.missed, right.bad), (right.false_rollback, right.good)) if n)
    step = int(4 * (1 - wrong / cell.runs) + 1e-9)
    metric = cell.summary()["metrics"]["bad_requests"]
    return Square(table.rolled_back(cell), table.other_ends(cell), text.count(metric["p50"]), step)


def _differences(result: Result) -> list[dict[str, Any]]:
    """A row a pair of cells; the mean and its interval of each column apart."""
    rows = []
    for pair in table.pairs(result.differences(tuple(table.DIFFERENCES))):
        split = {column: said.partition(" [") for column, said in pair.texts.items()}
        columns = [(said, f"[{bounds}" if bounds else "") for said, _, bounds in split.values()]
        rows.append({"world": pair.world, "pair": pair.names, "columns": columns})
    return rows
