"""A result as the text of a terminal: what was asked, the table, differences, expectations, how to get it again."""

from __future__ import annotations

from rolloutlab import judgement, table, text
from rolloutlab.grid import Grid
from rolloutlab.result import Result
from sim.expectations import Holds


def table_text(result: Result, *, assumptions: bool = False) -> str:
    """The whole text of a result; with every assumption, if wanted."""
    parts = [_safe(heading(result))]
    if result.cells:
        parts.append(prediction(result) if result.command == "predict" else table.glance(result.cells))
    found = result.differences(tuple(table.DIFFERENCES)) if result.command == "compare" else []
    if found:
        parts.append("Differences in the same worlds\n" + table.differences(found))
    if result.expectations:
        parts.append("Expected by the file\n" + _safe(table.expectations(result.expectations)))
    if said := judgement.sentences(result):
        parts.append(_safe("\n".join(said)))
    parts.append(_safe(ending(result, assumptions=assumptions)))
    return "\n\n".join(parts)


def _safe(lines: str) -> str:
    return "\n".join(map(text.safe, lines.splitlines()))


def prediction(result: Result) -> str:
    """The table of `predict`: a row a world, with the two ways to be wrong."""
    cells = result.cells
    detection, exposure, duration = (
        table.unit_of(cells, f"{name}_seconds", quantile)
        for name, quantile in (("detection", "p90"), ("exposure", "p90"), ("duration", "p50"))
    )
    head = ["release", "P(false rollback)", "P(miss)", "detection", "exposure", "bad requests", "duration"]
    under = ["", "[95 %]", "[95 %]", f"p50 / p90, {detection.name}", f"p50 / p90, {exposure.name}"]
    under += ["p50 / p90 (mean)", f"p50, {duration.name}", "fewest", "most", "mean, USD"]
    rows = []
    for right in judgement.judged(result):
        cell = right.cell
        row = [table.question_of(cell), judgement.share(right.false_rollback, right.good)]
        row += [judgement.share(right.missed, right.bad), table.times(cell, "detection_seconds", detection)]
        row += [table.times(cell, "exposure_seconds", exposure), table.harm(cell)]
        row += [table.middle(cell, "duration_seconds", duration), *table.pods(cell), table.cost(cell)]
        rows.append(row)
    return Grid([*head, "available", "pods", "cost"], under, rows, spare=table.SPARE).text()


def heading(result: Result) -> str:
    """Title and facts of a single question; how many replications."""
    lines = []
    first = result.questions[0] if result.questions else None
    if first is not None and (result.title or len({question.path for question in result.questions}) == 1):
        lines.append(result.title or first.title)
        lines.append(" · ".join(first.facts))
    if result.interrupted:
        lines.append(result.stopped)
    each = {cell.runs for cell in result.cells}
    count = f"{min(each):,}" if len(each) == 1 else f"{min(each):,} to {max(each):,}" if each else "0"
    lines.append(f"{count} replications of each strategy · seed {result.seed} · fidelity {result.fidelity}")
    return "\n".join(lines)


def ending(result: Result, *, assumptions: bool = False) -> str:
    """What the numbers rest on, and the command that gives them again."""
    lines = []
    if result.assumed:
        count = f"Rests on {len(result.assumed)} assumptions where the input is silent"
        where = (
            "--assumptions lists them" if result.again else "`.assumed` holds them"
        )  # asked in a shell, or in Python
        lines += [f"{count}:", *(f"  {one}" for one in result.assumed)] if assumptions else [f"{count}; {where}."]
    bad = [one for one in result.expectations if one.holds is not Holds.YES]
    if result.expectations and not bad:
        lines.append(f"All {len(result.expectations)} expectations hold (99.9 % intervals).")
    if result.again:
        lines.append(f"Again: {result.again}")
    return "\n".join(lines)
