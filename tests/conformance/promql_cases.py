"""Cases with Prometheus' answers in a file, for a suite that has no promtool."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from promql_world import FAILED, Answer, Case, World, read_samples
from ruamel.yaml import YAML

FILE = Path(__file__).with_name("promql_cases.yaml")  #: by promtool
FILE_3 = Path(__file__).with_name("promql_cases_3.yaml")  #: by the engine of Prometheus 3


def dump(path: Path, cases: Sequence[tuple[World, Case, Answer | str]], *, answered_by: str, options: str) -> None:
    """Write cases, those of one world together; `options` are those of the program that made them."""
    lines = [
        f"# Queries and the answers of {answered_by}, written by",
        f"#   python tests/conformance/promql_differential.py {options}",
        "# Samples stand one interval apart from time 0 on; _ is no sample, stale a staleness marker.",
    ]
    for world in dict.fromkeys(world for world, _, _ in cases):
        lines += [f"- interval_ms: {world.interval_ms}", "  series:"]
        lines += [f"  - [{json.dumps(labels)}, {json.dumps(values)}]" for labels, values in world.series]
        lines.append("  cases:  # query, time in ms, answer")
        lines += [
            f"  - [{json.dumps(case.expr)}, {case.at_ms}, {json.dumps(_written(answer))}]"
            for other, case, answer in cases
            if other == world
        ]
    path.write_text("\n".join(lines) + "\n")


def load(path: Path = FILE) -> list[tuple[World, Case, Answer | str]]:
    """The cases of a file."""
    found: list[tuple[World, Case, Answer | str]] = []
    for block in YAML(typ="safe").load(path.read_text()):
        world = World(block["interval_ms"], tuple((labels, values) for labels, values in block["series"]))
        for expr, at_ms, text in block["cases"]:
            found.append((world, Case(expr, at_ms), FAILED if text == FAILED else read_samples(text)))
    return found


def _written(answer: Answer | str) -> str:
    if isinstance(answer, str):
        return answer
    return ", ".join(f"{{{_labels(labels)}}} {_number(value)}" for labels, value in sorted(answer.items()))


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels)


def _number(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(value).replace("inf", "Inf")
