"""Measure everything in one run; writes out/bench.json and out/bench.md."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import bare, large, scalar
from benchmarks.cases import CANARY, REQUESTS, ROLLING, model_of
from benchmarks.measure import rates
from sim.engines.batch import Chunk
from sim.engines.event import run_one
from sim.model import Model
from sim.seeds import CHUNK
from sim.study import Task, run_task
from strategies.effects import Strategy


@dataclass
class Line:
    """One row of the table."""

    what: str
    measured: float
    unit: str
    target: str
    met: bool | None  #: None: reported only
    detail: str


def _batch(model: Model, strategy: Strategy) -> Callable[[int], float]:
    def work(number: int) -> float:
        run_task(Task(0, model, strategy, 1, number, CHUNK, "batch", False))
        return CHUNK

    return work


def _against_event(rounds: int) -> Line:
    model = model_of(CANARY)

    def event(number: int) -> float:
        run_one(model, CANARY, 1, number)
        return 1.0

    fast, slow = rates(_batch(model, CANARY), event, rounds=rounds)
    detail = f"canary of one hour at 100 requests/s: {fast:,.0f} and {slow:.3f} replications/s"
    return Line("batch : event", fast / slow, "x", "at least 3,000", fast / slow >= 3000, detail)


def _against_bare(rounds: int) -> Line:
    model = model_of(CANARY, horizon="20m")
    requests, sigma = REQUESTS / 3, model.latency.sigma

    def event(number: int) -> float:
        run_one(model, CANARY, 1, number)
        return requests

    def yardstick(number: int) -> float:
        return sum(bare.serve(100.0, 0.04, sigma, 0.001, 1200.0, number).values())

    ours, theirs = rates(event, yardstick, rounds=rounds)
    detail = f"{ours:,.0f} and {theirs:,.0f} requests/s"
    return Line("event : bare SimPy", ours / theirs, "x", "at least 0.5", ours / theirs >= 0.5, detail)


def _against_scalar(strategy: Strategy, least: float, rounds: int) -> Line:
    model = model_of(strategy)

    def hybrid(number: int) -> float:
        scalar.run(model, strategy, number, 64)
        return 64

    fast, slow = rates(_batch(model, strategy), hybrid, rounds=rounds)
    detail = f"{strategy.name} of one hour: {fast:,.0f} and {slow:,.0f} replications/s"
    target = f"at least {least:g}"
    return Line(f"batch : scalar draws, {strategy.name}", fast / slow, "x", target, fast / slow >= least, detail)


class _Listening:
    """A generator that remembers the means it was asked for."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.means = rng, []  # type: ignore[var-annotated]

    def poisson(self, means: Any) -> Any:
        self.means.append(means.copy())
        return self.rng.poisson(means)


def _ceiling(strategy: Strategy, rounds: int) -> Line:
    model = model_of(strategy)
    chunk = Chunk(model, strategy, 1, 0)
    listening = chunk.rng = _Listening(chunk.rng)  # type: ignore[assignment]
    chunk.run()
    rng = np.random.default_rng(1)

    def draws(_: int) -> float:
        for means in listening.means:
            rng.poisson(means)
        return CHUNK

    ours, bare_draws = rates(_batch(model, strategy), draws, rounds=rounds)
    detail = f"bare Poisson draws of the same cells would allow {bare_draws:,.0f} replications/s"
    return Line(f"share of the ceiling, {strategy.name}", ours / bare_draws, "", "reported", None, detail)


def _whole_studies() -> list[Line]:
    seconds, cells = large.wall_seconds(10_000, jobs=2)
    some, many = large.memory_mib(100_000), large.memory_mib(1_000_000)
    detail = f"{some:,.0f} MiB for 100,000; the process and its largest worker"
    return [
        Line("10,000 replications of every cell", seconds, "s", "below 75", seconds < 75, f"{cells} cells, 2 workers"),
        Line("memory of 1,000,000 replications", many, "MiB", "below 1,024", many < 1024, detail),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no whole studies")
    quick = parser.parse_args().quick
    rounds = 3 if quick else 9
    lines = [
        _against_event(min(rounds, 5)),
        _against_bare(rounds),
        _against_scalar(CANARY, 3.0, rounds),
        _against_scalar(ROLLING, 5.0, rounds),
        _ceiling(CANARY, rounds),
        _ceiling(ROLLING, rounds),
        *([] if quick else _whole_studies()),
    ]
    table = ["| measured in one run | | target | met | |", "|---|--:|---|---|---|"]
    for line in lines:
        met = {True: "yes", False: "NO", None: ""}[line.met]
        value = f"{line.measured:,.0f}" if line.measured >= 100 else f"{line.measured:.2f}"
        table.append(f"| {line.what} | {value} {line.unit} | {line.target} | {met} | {line.detail} |")
    out = Path("out")
    out.mkdir(exist_ok=True)
    (out / "bench.json").write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n", encoding="utf-8")
    (out / "bench.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    print("\n".join(table))


if __name__ == "__main__":
    main()
