"""What the doors hand back: the cells of a run, with all that a table, a page or a program says of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rolloutlab import text
from rolloutlab.question import Question
from sim.expectations import Checked, Holds, check
from sim.results import METRICS, Difference, Study, paired

if TYPE_CHECKING:
    from rolloutlab.report.plots import Plots

SCHEMA = 1  #: version of the JSON object
_OF_CELL = re.compile(r"(.*) \(in ([\d,]+ of [\d,]+) replications of (.*)\)")


def together(lines: Iterable[str]) -> list[str]:
    """Warnings, each once; those that differ only in how often, and in which world, become one line.

    >>> together([f"{what} (in 8 of 8 replications of {world})" for what in "ab" for world in ("good", "slow")])
    ['a (in 8 of 8 replications of good and slow)', 'b (in 8 of 8 replications of good and slow)']
    >>> together(["a (in 8 of 8 replications of good)", "b", "a (in 3 of 8 replications of slow)", "b"])
    ['a (in 8 of 8 replications of good, 3 of 8 of slow)', 'b']
    """
    found: dict[str, dict[str, list[str]]] = {}  # what is said -> how often -> of which worlds
    for line in dict.fromkeys(lines):
        said = _OF_CELL.fullmatch(line)
        often = found.setdefault(said[1] if said else line, {})
        if said:
            often.setdefault(said[2], []).append(said[3])
    return [f"{what} (in {_often(often)})" if often else what for what, often in found.items()]


def _often(often: Mapping[str, Sequence[str]]) -> str:
    parts = [
        (count, ", ".join(worlds[:-1]) + " and " * (len(worlds) > 1) + worlds[-1]) for count, worlds in often.items()
    ]
    (count, worlds), *rest = parts
    return ", ".join([f"{count} replications of {worlds}", *(f"{count} of {worlds}" for count, worlds in rest)])


@dataclass(repr=False)
class Result(Study):
    """Cells, the questions they answer, and how to get them again.

    Attributes:
        requested: replications asked for in all; more than there are after Ctrl-C.
        inputs: what was asked, for programs.
        again: the command that gives the same result; empty when it was asked for in Python.
        title: of several questions together; empty takes that of the file.
    """

    questions: list[Question] = field(default_factory=list)
    command: str = ""
    seed: int = 0
    engine: str = "batch"
    requested: int = 0
    inputs: dict[str, Any] = field(default_factory=dict)
    again: str = ""
    title: str = ""

    @property
    def runs(self) -> int:
        """Replications that are there, in all cells."""
        return sum(cell.runs for cell in self.cells)

    @property
    def interrupted(self) -> bool:
        """Whether replications are missing."""
        return self.runs < self.requested

    @property
    def fidelity(self) -> str:
        """`iid` or `request`: what the requests of these cells are made of."""
        return self.cells[0].fidelity if self.cells else ("iid" if self.engine == "batch" else "request")

    @property
    def assumed(self) -> list[str]:
        """Every default that the result rests on."""
        manifests: dict[str, list[str]] = {}
        for line in dict.fromkeys(line for cell in self.cells for line in cell.assumed):
            fact, _, manifest = line.partition(" (manifest ")
            manifests.setdefault(fact, []).append(manifest.removesuffix(")"))
        return [fact if names == [""] else f"{fact} ({_manifests(names)})" for fact, names in manifests.items()]

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the numbers."""
        found = together(line for cell in self.cells for line in cell.warnings)
        return [self.stopped, *found] if self.interrupted else found

    @property
    def stopped(self) -> str:
        """How much an interrupted run holds."""
        return f"interrupted: holds {self.runs:,} of {self.requested:,} replications"

    @cached_property
    def expectations(self) -> list[Checked]:
        """What the files expect, and whether it holds."""
        found = []
        for question in self.questions:
            cells = [cell for cell in self.cells if (cell.scenario, cell.variant) == (question.name, question.variant)]
            found += check(cells, question.expectations)
        return found

    @property
    def exit_code(self) -> int:
        """0 as expected, 1 an expectation fails, 5 one is inconclusive, 130 interrupted."""
        holds = {one.holds for one in self.expectations}
        if self.interrupted:
            return 130
        return 1 if Holds.NO in holds else 5 if Holds.UNSURE in holds else 0

    def differences(self, columns: Sequence[str] = ()) -> list[Difference]:
        """Paired differences between the strategies of each question, of all metrics or of some columns."""
        return [one for column in columns or ("outcome=rolled_back", *METRICS) for one in paired(self.cells, column)]

    def document(self) -> dict[str, Any]:
        """All of it as plain values; what does not exist is None."""
        shown: dict[str, Any] = {
            "schema": SCHEMA,
            "command": self.command,
            "inputs": self.inputs,
            "seed": self.seed,
            "fidelity": self.fidelity,
            "results": [cell.summary() for cell in self.cells],
        }
        if self.command == "compare":
            shown["differences"] = [vars(one) for one in self.differences()]
        shown["expectations"] = [_expectation(one) for one in self.expectations]
        shown["assumed"] = self.assumed
        shown["warnings"] = self.warnings
        found: dict[str, Any] = plain(shown)
        return found

    def json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False, allow_nan=False)

    @property
    def plot(self) -> Plots:
        """`plot.detection()`, `plot.weights()`, `plot.errors()`, `plot.bad_requests()`, `plot.exceedance(column)`."""
        from rolloutlab.report.plots import Plots

        return Plots(self.cells)

    def report(self, path: str | Path) -> Path:
        """Write everything as one page that needs nothing else."""
        from rolloutlab.report.page import page

        target = Path(path)
        html = page(self)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(html, encoding="utf-8")
        return target

    def __repr__(self) -> str:
        from rolloutlab.show import table_text

        return table_text(self)

    def _repr_html_(self) -> str:
        from rolloutlab.report.notebook import fragment

        return fragment(self)


def plain(value: Any) -> Any:
    """Plain values that JSON can say: numbers that do not exist become None."""
    if isinstance(value, dict):
        return {name: plain(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [plain(below) for below in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _expectation(one: Checked) -> dict[str, Any]:
    asked = one.expectation
    return {
        "scenario": one.scenario,
        "strategy": asked.strategy,
        "variant": asked.variant,
        "statistic": asked.statistic,
        "column": asked.column,
        "between": list(asked.between),
        "because": text.one_line(asked.because),
        "holds": one.holds.value,
        "value": one.value,
        "lo": one.lo,
        "hi": one.hi,
        "n": one.n,
    }


def _manifests(names: Sequence[str]) -> str:
    """`manifests a/b.yaml, c.yaml`: the folder once, where it is the same."""
    folder = Path(names[0]).parent
    rest = [Path(name).name if Path(name).parent == folder else name for name in names[1:]]
    return f"manifest{'s' if rest else ''} {', '.join([names[0], *rest])}"
