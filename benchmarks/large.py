"""Whole studies: the wall time of many cells, and the memory of many replications (`python -m benchmarks.large N`)."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

from benchmarks.cases import model_of
from scenarios.build import build_strategies
from scenarios.library import FOLDER
from scenarios.load import load_scenario
from sim.study import simulate
from strategies import rolling

WORLDS = ("good", "errors-5pct", "slow", "crash-loop", "memory-leak")


def wall_seconds(runs: int, jobs: int) -> tuple[float, int]:
    """Time of all strategies of the five worlds of the library, and the number of cells."""
    start, cells = time.perf_counter(), 0
    for world in WORLDS:
        loaded = load_scenario(FOLDER / f"{world}.yaml")
        strategies = build_strategies(loaded).strategies
        cells += len(simulate(loaded.scenario, strategies, runs=runs, seed=1, jobs=jobs, scenario_name=world))
    return time.perf_counter() - start, cells


def memory_mib(runs: int) -> float:
    """Peak of a fresh process and of its largest worker, added, over one cell of so many replications."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.large", str(runs)], check=True, capture_output=True, text=True
    )
    return float(json.loads(done.stdout)["mib"])


def _one_cell(runs: int) -> None:
    strategy = rolling.strategy()
    simulate(model_of(strategy).scenario, {"rolling": strategy}, runs=runs, seed=1, jobs=2, scenario_name="memory")
    kib = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"mib": kib / 1024}))


if __name__ == "__main__":
    _one_cell(int(sys.argv[1]))
