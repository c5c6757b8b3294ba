"""Prometheus' own answers.

`promtool test rules` is asked for samples that nobody expects, and prints what it got; or the engine itself is asked,
built from `prometheus_engine.go`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from promql_world import FAILED, Answer, Case, World, key, read_samples

from strategies.metrics.promql import PROMETHEUS_2_42, PROMETHEUS_3, Rules

MISSING = "promtool is not installed: apt-get install prometheus (the Debian package holds it)"
LAST = Case("vector(1)", 86_400_000)
_ENTRY = re.compile(r'^    expr: "((?:[^"\\]|\\.)*)", time: ([^,]+),(?: err: (.*))?$')


@dataclass(frozen=True)
class Oracle:
    """Whom to ask, and whose arithmetic that is."""

    name: str
    ask: Callable[[World, Sequence[Case]], dict[Case, Answer | str]]
    rules: Rules


def engine(program: str) -> Oracle:
    """The engine of Prometheus 3 behind `prometheus_engine.go`."""

    def ask(world: World, cases: Sequence[Case]) -> dict[Case, Answer | str]:
        asked = [{"expr": case.expr, "at_ms": case.at_ms} for case in cases]
        document = {"interval_ms": world.interval_ms, "series": world.series, "cases": asked}
        done = subprocess.run([program], input=json.dumps(document), capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr[:500]}")
        return {
            case: FAILED if found is None else {key(one["labels"]): float(one["value"]) for one in found}
            for case, found in zip(cases, json.loads(done.stdout), strict=True)
        }

    return Oracle("Prometheus 3.5 (prometheus_engine.go)", ask, PROMETHEUS_3)


def promtool() -> str | None:
    """The program, where it is installed."""
    return shutil.which("promtool")


def theirs(world: World, cases: Sequence[Case]) -> dict[Case, Answer | str]:
    """Prometheus' answer to each case.

    Raises:
        RuntimeError: what promtool said could not be read.
    """
    program = promtool()
    if program is None:
        raise RuntimeError(MISSING)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tests.json"  # JSON is YAML
        path.write_text(json.dumps(_document(world, cases)))
        done = subprocess.run([program, "test", "rules", str(path)], capture_output=True, text=True, timeout=120)
    said = _read(done.stderr)
    if said.pop((LAST.expr, LAST.at_ms), None) != {(): 1.0}:
        raise RuntimeError(f"promtool ended with {done.returncode}: {done.stderr[:500]}")
    answers: dict[Case, Answer | str] = {}
    for case in cases:
        answers[case] = said.pop((case.expr, case.at_ms), {})
    if said:
        raise RuntimeError(f"promtool answered what it was not asked: {list(said)[:3]}")
    return answers


PROMTOOL = Oracle("promtool 2.42 (Debian package prometheus)", theirs, PROMETHEUS_2_42)


def _document(world: World, cases: Sequence[Case]) -> object:
    # samples are loaded in whole minutes up to the last question only: one more question, later than all samples
    asked = [{"expr": case.expr, "eval_time": f"{case.at_ms}ms"} for case in cases]
    asked.append({"expr": LAST.expr, "eval_time": f"{LAST.at_ms}ms"})
    return {
        "evaluation_interval": "1m",  # the step of subqueries that name none
        "tests": [
            {
                "interval": f"{world.interval_ms}ms",
                "input_series": [{"series": labels, "values": text} for labels, text in world.series],
                "promql_expr_test": asked,
            }
        ],
    }


def _read(text: str) -> dict[tuple[str, int], Answer | str]:
    """What promtool printed of each case that has samples or an error."""
    found: dict[tuple[str, int], Answer | str] = {}
    at: tuple[str, int] | None = None
    for line in text.splitlines():
        entry = _ENTRY.match(line)
        if entry:
            at = (json.loads(f'"{entry[1]}"'), _milliseconds(entry[2]))
            if entry[3] is not None:
                found[at] = FAILED
        elif line.startswith("        got: ") and at is not None:
            found[at] = read_samples(line.removeprefix("        got: "))
        elif line.strip() and not line.startswith("        exp:") and line.strip() != "FAILED:":
            if at is not None and found.get(at) == FAILED:
                continue  # an error message of several lines
            raise RuntimeError(f"promtool printed {line!r}")
    return found


def _milliseconds(text: str) -> int:
    units = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", text))
