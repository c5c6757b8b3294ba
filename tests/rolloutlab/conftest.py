"""Cells made up by hand, for tests of what shows results; no engine runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rolloutlab.question import Question
from rolloutlab.result import Result
from sim.results import COLUMNS, Cell, Profile


def make_cell(
    strategy: str = "canary",
    scenario: str = "errors",
    *,
    runs: int = 400,
    stopped: float = 0.97,
    bad: bool = True,
    harm: float = 120.0,
    detection: float = 240.0,
    number: int = 0,
    requested: int | None = None,
    variant: str | None = None,
) -> Cell:
    """A cell with a share `stopped` of rollbacks, and bad requests around 360 + harm."""
    rng = np.random.default_rng(number)
    rolled = np.arange(runs) < round(stopped * runs)
    harmed = np.where(rolled, harm, 40 * harm + 20) * rng.lognormal(0, 0.3, runs) if bad else np.zeros(runs)
    failed = np.rint(360 + harmed)
    seen = detection * rng.lognormal(0, 0.2, runs)
    columns = {name: np.zeros(runs) for name in COLUMNS}
    columns |= {
        "replication": np.arange(runs),
        "release_bad": np.full(runs, bad),
        "severity": np.ones(runs),
        "outcome": np.where(rolled, 1, 0).astype(np.int8),
        "decision_seconds": seen + 2,
        "detection_seconds": np.where(rolled & bad, seen, np.nan),
        "rollback_seconds": np.where(rolled, 3.0, np.nan),
        "exposure_seconds": np.where(rolled, seen + 3, np.nan),
        "duration_seconds": np.where(rolled, seen + 60, 2300.0),
        "failed_requests": failed,
        "bad_requests": failed,
        "users_exposed": np.full(runs, np.nan),
        "min_available_replicas": np.full(runs, 10.0),
        "peak_pods": np.full(runs, 20.0 if strategy == "blue-green" else 13.0),
        "pod_hours": np.full(runs, 11.0),
        "infrastructure_usd": np.full(runs, 0.55),
        "extra_infrastructure_usd": np.full(runs, 0.05),
        "outage_usd": failed * 0.01,
        "engineering_usd": np.where(rolled, 100.0, 400.0 if bad else 0.0),
        "error_budget_seconds": failed / 100,
    }
    columns["total_usd"] = columns["infrastructure_usd"] + columns["outage_usd"] + columns["engineering_usd"]
    time = np.linspace(0, 3600, 181)
    weight = np.clip(np.floor(time / 600) * 0.2, 0, 1) if strategy == "canary" else np.minimum(time / 90, 1.0)
    kept = weight * (1 - stopped * (time > detection))
    return Cell(
        scenario=scenario,
        strategy=strategy,
        variant=variant,
        runs=runs,
        requested=requested or runs,
        seed=7,
        engine="batch",
        fidelity="iid",
        columns=columns,
        profile=Profile(time, kept, kept * 0.8, np.minimum(1, kept * 1.2), 0.05 * kept, 5 * kept, 10 + 3 * kept),
        assumed=("service.threads = 50 (schema default)", "traffic: constant"),
        warnings=(),
    )


@pytest.fixture
def cell() -> Callable[..., Cell]:
    return make_cell


@pytest.fixture
def cells() -> list[Cell]:
    """Three strategies in a good world and in a bad one."""
    found = []
    for scenario, bad in (("good", False), ("errors", True)):
        for number, (strategy, stopped, harm) in enumerate(
            (("rolling", 0.0, 400.0), ("blue-green", 0.99, 1200.0), ("canary", 0.97, 120.0))
        ):
            rate = stopped if bad else 0.01 if strategy == "canary" else 0.0
            found.append(make_cell(strategy, scenario, stopped=rate, bad=bad, harm=harm, number=number))
    return found


@pytest.fixture
def result(cells: list[Cell]) -> Result:
    """The same cells as a result of `compare`."""
    return make_result(cells)


def make_result(cells: list[Cell], **changes: Any) -> Result:
    questions = [
        Question(
            name=name,
            variant=None,
            path=name,
            digest="0" * 64,
            title=f"Title of {name}",
            text=f"Question of {name}?",
            harm="none" if name == "good" else "canary",
            facts=("10 replicas", "100/s"),
            horizon_seconds=3600.0,
            parts=(),
            expectations=(),
            assumed=(),
            warnings=(),
        )
        for name in dict.fromkeys(cell.scenario for cell in cells)
    ]
    given = {
        "cells": cells,
        "questions": questions,
        "command": "compare",
        "seed": 7,
        "requested": sum(cell.requested for cell in cells),
        "again": "rolloutlab compare x --seed 7",
        "title": "Made up",
    }
    return Result(**(given | changes))


@pytest.fixture
def result_of() -> Callable[..., Result]:
    return make_result
