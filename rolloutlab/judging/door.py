"""The one way in: from scenario files to cards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rolloutlab.door import Progress, workers
from rolloutlab.judging.card import Card
from rolloutlab.judging.field import chosen
from rolloutlab.judging.reading import Asked, read_bench
from rolloutlab.judging.result import Calibration
from rolloutlab.judging.study import Plan, run

RUNS: Final = 2048


def judge(
    paths: Sequence[str | Path],
    asked: Asked | None = None,
    *,
    judges: Sequence[str] = (),
    runs: int = RUNS,
    seed: int = 0,
    jobs: int | None = None,
    on_progress: Progress | None = None,
    again: str = "",
) -> Calibration:
    """The calibration cards of judges on the benches of some scenarios.

    Args:
        paths: scenario files, or names of shipped ones.
        asked: what is said beside the files.
        judges: names to keep; none keeps all.
        runs: replications of each judge, good and bad ones each.
        seed: the same gives the same numbers, for any number of `jobs`.
        jobs: worker processes; None takes as many as pay.
        on_progress: called with (replications done, replications in all).
        again: the command that gives the same result.

    Raises:
        ScenarioErrors: everything wrong with the input.
    """
    wanted = asked or Asked()
    benches = [read_bench(path, wanted) for path in paths]
    plans = [Plan(bench, tuple(chosen(bench, judges)), runs) for bench in benches]
    found: list[Card] = []
    replications = sum(plan.total for plan in plans)
    try:
        for cards in run(
            plans,
            seed=seed,
            jobs=workers(replications, "batch") if jobs is None else jobs,
            on_progress=on_progress,
        ):
            found += cards
    except KeyboardInterrupt:
        pass  # the benches that are complete are valid
    inputs = {
        "scenarios": [{"path": bench.path, "sha256": bench.digest} for bench in benches],
        "judges": [entrant.name for entrant in plans[0].entrants],
        "runs": runs,
        "alpha": wanted.alpha,
        "look": wanted.look,
        "weight": wanted.weight,
        "to": wanted.to,
        "overrides": dict(wanted.overrides),
        "bind": dict(wanted.bind),
    }
    return Calibration(benches=benches, cards=found, runs=runs, seed=seed, inputs=inputs, again=again)
