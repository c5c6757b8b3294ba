"""What `rolloutlab drill` hands back: the records of all its drills, as text, JSON, JUnit, Prometheus text and page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rolloutlab.drill.record import FAIL, INCONCLUSIVE, PASS, REFUSED, Record
from rolloutlab.drill.summary import groups, median, values, worst
from rolloutlab.result import plain

SCHEMA: Final = 1
#: exit codes, the most urgent first: something left behind, an interruption, a refusal, a failure, no verdict
URGENCY: Final = (4, 130, 3, 1, 5, 0)


@dataclass(repr=False)
class Drills:
    """Some drills, and how to get such again.

    Attributes:
        requested: drills that were asked for; more than there are when an earlier one ended the series.
        inputs: what was asked, for programs.
        interrupted: Ctrl-C came between two drills.
    """

    drills: list[Record]
    requested: int = 1
    inputs: dict[str, Any] = field(default_factory=dict)
    again: str = ""
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """The most urgent of the drills' codes; 130 also when the series was interrupted between two of them."""
        return exit_code([one.exit_code for one in self.drills] + [130] * self.interrupted)

    @property
    def assumed(self) -> list[str]:
        """Every default that the scenarios rest on."""
        return list(dict.fromkeys(line for one in self.drills for line in one.assumed))

    @property
    def labels(self) -> list[str]:
        """What is not as in a cluster in real time."""
        return list(dict.fromkeys(line for one in self.drills for line in one.labels))

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the numbers."""
        found = list(dict.fromkeys(line for one in self.drills for line in one.warnings))
        if len(self.drills) < self.requested:
            found.insert(0, f"{len(self.drills)} of {self.requested} drills: the others were not begun")
        return found

    def document(self) -> dict[str, Any]:
        """All of it as plain values; what does not exist is None."""
        shown: dict[str, Any] = {
            "schema": SCHEMA,
            "command": "drill",
            "inputs": self.inputs,
            "seed": self.drills[0].where.seed if self.drills else None,
            "fidelity": "real",
            "results": [self._group(group) for group in groups(self.drills)],
            "drills": [one.plain() for one in self.drills],
            "assumed": self.assumed,
            "warnings": self.warnings,
            "exit_code": self.exit_code,
        }
        found: dict[str, Any] = plain(shown)
        return found

    def _group(self, group: Sequence[Record]) -> dict[str, Any]:
        where = group[0].where
        return {
            "scenario": where.scenario,
            "strategy": where.strategy,
            "variant": where.variant,
            "world": where.world,
            "runs": len(group),
            "verdicts": {
                word: sum(one.verdict == word for one in group) for word in (PASS, FAIL, INCONCLUSIVE, REFUSED)
            },
            "metrics": {name: _metric(group, name) for name in _columns(group)},
        }

    def json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False, allow_nan=False)

    def report(self, path: str | Path) -> Path:
        """Write everything as one page that needs nothing else."""
        from rolloutlab.drill.files import write_whole
        from rolloutlab.report.drill_page import page

        target = Path(path)
        write_whole(target, page(self))
        return target

    def __repr__(self) -> str:
        from rolloutlab.drill.show import text_of

        return text_of(self)

    def _repr_html_(self) -> str:
        from rolloutlab.report.drill_page import fragment

        return fragment(self)


def exit_code(codes: Sequence[int]) -> int:
    """The most urgent of some exit codes; 5 when there are none.

    >>> exit_code([0, 1, 5]), exit_code([0, 4, 130]), exit_code([0, 0]), exit_code([])
    (1, 4, 0, 5)
    """
    return next((code for code in URGENCY if code in codes), max(codes, default=5))


def load(*paths: str | Path) -> Drills:
    """The drills of some journals.

    Raises:
        ScenarioError: a file is no journal of ours.
        OSError: it cannot be read.
    """
    from rolloutlab.drill.journal import read

    found = [read(Path(path)) for path in paths]
    return Drills(found, requested=len(found), again=found[0].again if found else "")


def _columns(group: Sequence[Record]) -> list[str]:
    return [name for name in group[0].row if name != "outcome" and len(values(group, name))]


def _metric(group: Sequence[Record], name: str) -> dict[str, float | int]:
    middle = median(group, name)
    found = values(group, name)
    return {
        "mean": float(found.mean()),
        "p50": middle.value,
        "lo": middle.lo,
        "hi": middle.hi,
        "max": worst(group, name),
        "n": len(found),
    }
