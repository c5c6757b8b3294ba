"""Results as text tables for a terminal or a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rolloutlab import text
from rolloutlab.grid import Grid
from sim.expectations import Checked, Holds
from sim.results import CENSORED, Cell, Difference, by_question

#: columns that a narrow terminal does not get, the first one first
SPARE: Final = ("duration", "pods", "users met", "available", "exposure", "other ends", "cost", "detection")
#: what `compare` shows of the paired differences: column and head
DIFFERENCES: Final = {
    "outcome=rolled_back": "rolled back, points",
    "bad_requests": "bad requests",
    "duration_seconds": "duration, s",
    "pod_hours": "pod-hours",
    "total_usd": "cost, USD",
}
_MARKS: Final = {Holds.YES: "✓ holds", Holds.NO: "✗ fails", Holds.UNSURE: "? inconclusive"}


def question_of(cell: Cell) -> str:
    """The name of a scenario and its variant."""
    return name_of(cell.scenario, cell.variant)


def name_of(scenario: str, variant: str | None) -> str:
    """A scenario and its variant in one name."""
    return f"{scenario} / {variant}" if variant else scenario


def glance(cells: Sequence[Cell]) -> str:
    """The table of all cells: a row a strategy, in the order of the scenarios."""
    several = len(by_question(cells)) > 1
    detection, duration = unit_of(cells, "detection_seconds", "p90"), unit_of(cells, "duration_seconds", "p50")
    users = any(len(cell.values("users_exposed")) for cell in cells)
    others = any(other_ends(cell) for cell in cells)
    head = ["scenario"] * several + ["strategy", "rolled back", *(["other ends"] * others)]
    under = [""] * several + ["", "share [95 %]", *([""] * others)]
    head += ["detection", "bad requests", *(["users met"] * users), "duration", "available", "pods", "cost"]
    under += [f"p50 / p90, {detection.name}", "p50 / p90 (mean)", *(["p50 / p90"] * users)]
    under += [f"p50, {duration.name}", "fewest", "most", "mean, USD"]
    rows: list[list[str]] = []
    breaks = []
    for group in by_question(cells).values():
        for number, cell in enumerate(group):
            row = [question_of(cell) if number == 0 else ""] * several + [cell.strategy, rolled_back(cell)]
            row += [other_ends(cell)] * others + [times(cell, "detection_seconds", detection), harm(cell)]
            row += [pair(cell, "users_exposed")] * users
            row += [middle(cell, "duration_seconds", duration), *pods(cell), cost(cell)]
            rows.append(row)
        breaks.append(len(rows))
    return Grid(head, under, rows, 1 + several, breaks[:-1] if several else (), SPARE).text()


def rolled_back(cell: Cell) -> str:
    """The share of rollbacks with its interval."""
    return text.share(cell.summary()["outcomes"]["rolled_back"], cell.runs)


def other_ends(cell: Cell) -> str:
    """Shares of the outcomes besides promoted and rolled back, where there are any."""
    shares = {name: cell.summary()["outcomes"][name]["share"] for name in ("paused", "stalled", CENSORED)}
    return ", ".join(
        f"{text.outcome(name)} {share:.{text.decimals(share)}f} %"
        for name, value in shares.items()
        if (share := 100 * value)
    )


def unit_of(cells: Sequence[Cell], column: str, statistic: str) -> text.TimeUnit:
    """One unit for the times of a column of a table."""
    found = [metric[statistic] for cell in cells if (metric := cell.summary()["metrics"][column])["n"]]
    return text.time_unit(max(found, default=0.0))


def times(cell: Cell, column: str, unit: text.TimeUnit) -> str:
    """Median and 90th percentile of a time."""
    metric = cell.summary()["metrics"][column]
    return unit.text(metric["p50"], metric["p90"])


def pair(cell: Cell, column: str) -> str:
    """Median and 90th percentile of a number of things."""
    metric = cell.summary()["metrics"][column]
    return f"{text.count(metric['p50'])} / {text.count(metric['p90'])}" if metric["n"] else text.NONE


def harm(cell: Cell) -> str:
    """Bad requests: median, 90th percentile, mean."""
    return f"{pair(cell, 'bad_requests')} ({text.count(cell.mean('bad_requests').value)})"


def middle(cell: Cell, column: str, unit: text.TimeUnit) -> str:
    """The median of a time."""
    return unit.text(cell.summary()["metrics"][column]["p50"])


def pods(cell: Cell) -> tuple[str, str]:
    """Fewest available and most existing pods: the median."""
    metrics = cell.summary()["metrics"]
    return tuple(text.count(metrics[name]["p50"]) for name in ("min_available_replicas", "peak_pods"))  # type: ignore[return-value]


def cost(cell: Cell) -> str:
    """Mean cost of a release."""
    return text.usd(cell.mean("total_usd").value)


@dataclass(frozen=True)
class Pair:
    """Two cells and how they differ: of each column of DIFFERENCES the mean with its interval, in words."""

    world: str
    names: str
    texts: dict[str, str]


def pairs(found: Sequence[Difference]) -> list[Pair]:
    """The differences of each two cells together."""
    rows: dict[tuple[str, str], Pair] = {}
    for one in found:
        world = name_of(one.scenario, one.variant)
        names = f"{one.strategy} − {one.minus}"
        if one.minus_variant != one.variant:
            names = f"{one.strategy} − {one.minus} as it stands"
        scale = 100 if one.column.startswith("outcome=") else 1
        said = text.with_interval(one.mean * scale, one.lo * scale, one.hi * scale)
        rows.setdefault((world, names), Pair(world, names, {})).texts[one.column] = said
    return list(rows.values())


def differences(found: Sequence[Difference]) -> str:
    """Paired differences: a row a pair."""
    told = pairs(found)
    several = len({pair.world for pair in told}) > 1
    rows: list[list[str]] = []
    breaks = []
    for number, pair in enumerate(told):
        new = number == 0 or told[number - 1].world != pair.world
        if new and number:
            breaks.append(number)
        columns = [pair.texts.get(column, text.NONE) for column in DIFFERENCES]
        rows.append([pair.world if new else ""] * several + [pair.names, *columns])
    head = ["scenario"] * several + ["difference, mean [95 %]", *DIFFERENCES.values()]
    spare = [DIFFERENCES[name] for name in ("pod_hours", "duration_seconds", "outcome=rolled_back")]
    return Grid(head, [], rows, 1 + several, breaks, spare).text()


def expectations(checked: Sequence[Checked]) -> str:
    """One line an expectation."""
    lines = []
    for one in checked:
        variant = f", {one.expectation.variant}" if one.expectation.variant else ""
        lines.append(f"{_MARKS[one.holds]}  {one.expectation.strategy}{variant}: {one.reason}")
    return "\n".join(lines)
