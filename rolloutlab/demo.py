"""The demo: a checkout service with real traffic, released three ways, when the release is good and when it is not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from rolloutlab import door
from rolloutlab.result import Result

RUNS: Final = 10_000
RATE: Final = "120/s"
TITLE: Final = "Checkout, released three ways"
TRACE: Final = "elb-requests-5min.csv"
USERS: Final = {"count": 50_000}
#: what the queries of the manifests measure
BIND: Final = {"success-rate": "success_ratio:canary", "latency-p95": "latency_p95:canary"}
_MANIFESTS: Final = {
    "rolling": ("checkout-deployment.yaml", False),
    "blue-green": ("checkout-bluegreen.yaml", True),
    "canary": ("checkout-rollout.yaml", True),
}


def demo(
    *,
    runs: int = RUNS,
    seed: int = 1,
    jobs: int | None = None,
    on_progress: door.Progress | None = None,
) -> Result:
    """Rolling, blue-green and canary over the five shipped worlds, with the shipped manifests and trace."""
    questions = door.worlds(_strategies(), overrides={"traffic": _traffic(), "users": USERS}, base_dir=Path())
    again = f"rolloutlab demo --runs {runs} --seed {seed}"
    return door.run(
        questions,
        command="demo",
        runs=runs,
        seed=seed,
        jobs=jobs,
        on_progress=on_progress,
        again=again,
        title=TITLE,
    )


def _shipped(folder: str, name: str) -> str:
    """A shipped file, relative to the working directory where it lies below that."""
    from scenarios.library import FOLDER

    path = FOLDER.parent / folder / name
    near = os.path.relpath(path)
    return str(path) if near.startswith("..") else near


def _strategies() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    for name, (manifest, analysed) in _MANIFESTS.items():
        entries[name] = {"from": _shipped("manifests", manifest)}
        if analysed:
            entries[name] |= {"templates": [_shipped("manifests", "checkout-analysis.yaml")], "bind": BIND}
    return entries


def _traffic() -> dict[str, Any]:
    return {"kind": "trace", "file": _shipped("traces", TRACE), "scaleToMean": RATE}
