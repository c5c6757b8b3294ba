"""One replication and everything it did: JSON lines, and a trace that browsers draw."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

import click

from rolloutlab import door
from rolloutlab.cli.targets import check_writable
from rolloutlab.cli.work import Wish
from rolloutlab.result import plain
from rolloutlab.text import safe
from sim.results import OUTCOMES

#: events that are counters of the Chrome trace: kind -> the fields that it draws
_COUNTED: Final = frozenset({"set_weight", "weight_effective", "traffic", "scale"})


def trace_and_print(wish: Wish, *, replication: int, seed: int, engine: str, prefix: str) -> None:
    """Run one replication of each strategy again and tell all of it."""
    from sim.study import trace_one

    targets = [Path(f"{prefix}.jsonl"), Path(f"{prefix}.trace.json")] if prefix else []
    check_writable(*targets, make_folders=False)
    lines: list[dict[str, Any]] = []
    questions = wish.read()
    for warning in dict.fromkeys(line for question in questions for line in question.warnings):
        click.echo(f"warning: {safe(warning)}", err=True)
    for question in questions:
        for scenario, strategies in question.parts:
            for name, strategy in strategies.items():
                row, events = trace_one(
                    scenario, strategy, replication=replication, seed=seed, engine=cast(door.Engine, engine)
                )
                key = {"scenario": question.name, "variant": question.variant, "strategy": name}
                lines += [plain({**key, **event}) for event in events]
                lines.append(plain({**key, "kind": "row", **_named(row)}))
    text = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
    if not prefix:
        click.echo(text, nl=False)
        return
    chrome = json.dumps(chrome_trace(lines), ensure_ascii=False, allow_nan=False)
    try:
        for target, words in zip(targets, (text, chrome), strict=True):
            target.write_text(words, encoding="utf-8")
    except OSError:  # a full disk: half a trace would be taken for a whole one
        for target in targets:
            target.unlink(missing_ok=True)
        raise
    click.echo(f"wrote {' and '.join(map(str, targets))}", err=True)


def _named(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the word of its outcome."""
    code = int(row["outcome"])
    return {**row, "outcome": OUTCOMES[code] if code >= 0 else None}


def chrome_trace(lines: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Events in the Trace Event Format: a process a cell, a thread for each who, instants and counters.

    Effects that are answered become spans.

    Source:
        Trace Event Format, Google; `ph` X (complete), i (instant), C (counter), M (names); times in microseconds.
    """
    lines = list(lines)
    processes: dict[str, int] = {}
    threads: dict[tuple[int, str], int] = {}
    open_effects: dict[tuple[int, Any], dict[str, Any]] = {}
    found: list[dict[str, Any]] = []
    for line in lines:
        cell = " ".join(str(line[name]) for name in ("scenario", "variant", "strategy") if line[name])
        process = processes.setdefault(cell, len(processes) + 1)
        if line["kind"] == "row":
            continue
        who = str(line.get("who") or "world")
        thread = threads.setdefault((process, who), len(threads) + 1)
        at_us = line["at_seconds"] * 1e6
        more = {k: v for k, v in line.items() if k not in ("scenario", "variant", "strategy", "at_seconds", "who")}
        numbers = {k: v for k, v in more.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        base = {"pid": process, "tid": thread, "ts": at_us}
        if line["kind"] == "effect":
            open_effects[process, line.get("program")] = {**base, "name": str(line["what"]), "args": more}
        elif line["kind"] == "answer" and (begun := open_effects.pop((process, line.get("program")), None)):
            found.append({**begun, "ph": "X", "dur": at_us - begun["ts"]})
        elif line["kind"] in _COUNTED and numbers:
            found.append({**base, "ph": "C", "name": f"{line['kind']} {who}", "args": numbers})
        else:
            found.append({**base, "ph": "i", "s": "t", "name": line["kind"], "args": more})
    found += [{**begun, "ph": "i", "s": "t"} for begun in open_effects.values()]
    names = [{"ph": "M", "pid": pid, "name": "process_name", "args": {"name": cell}} for cell, pid in processes.items()]
    names += [
        {"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": who}}
        for (pid, who), tid in threads.items()
    ]
    return {"displayTimeUnit": "ms", "traceEvents": [*names, *found]}
