"""What each generated part of the documentation holds."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from markdown import fenced, table
from scenario_fields import scenario_fields, strategy_fields

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out"
COMPARE = "rolloutlab compare scenarios/library/errors-5pct.yaml --runs 1024 --seed 1 -o json"
JUDGES = ["judges-limits", "judges-across", "judges-plot", "judges-card", "judges-seconds", "judges-said"]
SIMULATE = "rolloutlab simulate scenarios/library/errors-5pct.yaml --engine event --runs 8 --seed 1 -o json"


# --- drawn from the code: the same on every machine ------------------------------------------------------------------


def cli() -> str:
    """The help of every command."""
    import click
    from click.testing import CliRunner

    from rolloutlab.cli import main

    def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                if child is not None and not child.hidden:
                    yield from walk(child, (*path, name))

    parts = []
    for path in walk(main, ()):
        title = " ".join(("rolloutlab", *path))
        result = CliRunner().invoke(main, [*path, "--help"], prog_name="rolloutlab", terminal_width=100, color=False)
        if result.exit_code:
            raise SystemExit(f"{title} --help failed: {result.output}")
        parts.append(f"## {title}\n\n{fenced(result.output, 'text')}")
    return "\n\n".join(parts)


def effects() -> str:
    """Every effect, its meaning, and the phases in which it is legal."""
    from strategies import effects as vocabulary
    from strategies.legal import IN_CHILD, TABLE

    kinds = [kind for kind in vars(vocabulary).values() if isinstance(kind, type) and _is_effect(kind)]
    rows: list[list[object]] = []
    for kind in kinds:
        moves = [(phase, row[kind]) for phase, row in TABLE.items() if kind in row]
        legal = [str(phase) if phase == next_phase else f"{phase} → {next_phase}" for phase, next_phase in moves]
        rows.append([f"`{kind.__name__}`", kind.__doc__, ", ".join(legal), "yes" if kind in IN_CHILD else ""])
    return table(["effect", "meaning", "legal in phase", "in a spawned program"], rows)


def _is_effect(kind: type) -> bool:
    from strategies.effects import Effect

    return issubclass(kind, Effect) and kind is not Effect


def columns() -> str:
    """The columns of a result."""
    from scenarios.outcome import COLUMNS

    return table(["column", "meaning"], [[f"`{name}`", meaning] for name, meaning in COLUMNS.items()])


def library() -> str:
    """The scenario files that ship, with their questions."""
    from scenarios import load_scenario

    rows: list[list[object]] = []
    for path in sorted((ROOT / "scenarios" / "library").glob("*.yaml")):
        scenario = load_scenario(path).scenario
        rows.append([f"`{path.name}`", scenario.title, scenario.question, ", ".join(scenario.strategies)])
    return table(["file", "title", "question", "strategies"], rows)


def presets() -> str:
    """The named schedules and services."""
    from scenarios.presets import schedules, services

    rows: list[list[object]] = [[f"`{name}`", "schedule", schedule.about] for name, schedule in schedules().items()]
    rows += [[f"`{name}`", "service", about] for name, about in services().items()]
    return table(["name", "of", "what it is"], rows)


# --- recorded from one run -------------------------------------------------------------------------------------------


def recorded(file: str, *, code: bool) -> Callable[[], str | None]:
    """The text of a file in out/, or None when it is not there."""

    def read() -> str | None:
        path = OUT / file
        if not path.exists():
            print(f"out/{file} is not there; its part of the documentation stays as it is", file=sys.stderr)
            return None
        text = path.read_text(encoding="utf-8")
        return fenced(text, "text") if code else text

    return read


@cache
def output_of(line: str) -> Any:
    """What a command prints as JSON."""
    words = [str(Path(sys.executable).parent / "rolloutlab"), *shlex.split(line)[1:]]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 5):
        raise SystemExit(f"{line}: exit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def command(line: str, *, whole: bool) -> Callable[[], str]:
    """A command and its output: whole, or of every list of objects the first. The white space is ours."""

    def run() -> str:
        head = fenced(line, "sh")
        if whole:
            return f"{head}\n\n{fenced(compact(output_of(line)), 'json')}"
        text = fenced(compact(output_of(line), keep=1), "text")
        return f"{head}\n\n<details><summary>its output, the first of each list</summary>\n\n{text}\n\n</details>"

    return run


def compact(value: Any, indent: str = "", keep: int | None = None) -> str:
    """JSON with every innermost object or list on one line; of a list of objects only the first `keep`.

    >>> print(compact({"a": {"mean": 1, "n": 2}, "b": [{"c": 3}, {"c": 4}]}, keep=1))
    {
      "a": {"mean": 1, "n": 2},
      "b": [
        {"c": 3},
        … 1 more
      ]
    }
    """
    inner = indent + "  "
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not any(isinstance(item, dict | list) for item in items):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        shown = [compact(item, inner, keep) for item in value[:keep]]
        shown += [f"… {len(value) - len(shown)} more"] if len(value) > len(shown) else []
        return "[\n" + ",\n".join(inner + item for item in shown) + f"\n{indent}]"
    lines = [f"{json.dumps(key, ensure_ascii=False)}: {compact(item, inner, keep)}" for key, item in value.items()]
    return "{\n" + ",\n".join(inner + text for text in lines) + f"\n{indent}}}"


def of_judges(name: str) -> Callable[[], str]:
    """A part of explanation/judges.md; all of them come from one run of a few minutes."""

    def run() -> str:
        import judges

        return judges.RECORDED[name]()

    return run


DRAWN: dict[str, Callable[[], str]] = {
    "cli": cli,
    "columns": columns,
    "effects": effects,
    "library": library,
    "presets": presets,
    "scenario-fields": scenario_fields,
    "strategy-fields": strategy_fields,
}
RECORDED: dict[str, Callable[[], str | None]] = {
    "demo": recorded("demo.txt", code=True),
    "bench": recorded("bench.md", code=False),
    "compare-json": command(COMPARE, whole=False),
    "compare-json-whole": command(COMPARE, whole=True),
    "simulate-json": command(SIMULATE, whole=False),
    "simulate-json-whole": command(SIMULATE, whole=True),
    **{name: of_judges(name) for name in JUDGES},
}
