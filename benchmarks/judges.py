"""One-hour A/A runs of every judge, many at once by `paths` against one at a time by `Session.update`.

Run it with `python -m benchmarks.judges`. Looks come every second: 3,600 of them a run. Both ways see the same counts
and give the same statistics.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from benchmarks.measure import rates
from strategies.judges import Look, make
from strategies.judges.bench import draw_counts, first_alarm, look_seconds

SECONDS: Final = 3600
RUNS: Final = 256
TRAFFIC: Final = (100.0, 0.1, 0.01, 0.01)  #: requests a second, share, p0, p1

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "threshold": {"line": 0.03, "for_seconds": 60},
    "failure_limit": {"line": 0.03, "failure_limit": 3},
    "burn_rate": {"objective": 0.99},
    "lindon_malek": {"share": 0.1},
    "ripr": {},
    "ripr_oracle": {"p0": 0.01, "p1": 0.02, "share": 0.1},
    "msprt": {"tau": 0.01},
    "sprt": {"p0": 0.01, "p1": 0.02},
    "bernoulli_cusum": {"p0": 0.01, "p1": 0.02, "horizon_requests": 36_000},
    "peeking_z": {},
    "group_sequential": {"requests": 36_000},
}


def ratio(name: str, *, rounds: int = 3, alone: int = 4) -> tuple[float, float, float]:
    """Runs a second together and alone, and how many times faster together is."""
    judge = make(name, **SETTINGS[name])
    at_seconds = look_seconds(SECONDS)
    counts = draw_counts(np.random.default_rng(7), RUNS, SECONDS, *TRAFFIC)
    paths = [
        [Look(at, *look) for at, look in zip(at_seconds.tolist(), path.tolist(), strict=True)]
        for path in counts[:alone]
    ]

    def together(number: int) -> float:
        first_alarm(judge.paths(at_seconds, counts), judge.threshold)
        return RUNS

    def one_by_one(number: int) -> float:
        for path in paths:
            session = judge.begin()
            for look in path:
                session.update(look)
        return len(paths)

    fast, slow = rates(together, one_by_one, rounds=rounds)
    return fast, slow, fast / slow


def main(show: Callable[[str], object] = lambda line: sys.stdout.write(line + "\n")) -> None:
    """Print the table."""
    show(f"{'judge':<18}{'together/s':>12}{'alone/s':>10}{'ratio':>8}")
    for name in SETTINGS:
        fast, slow, times = ratio(name)
        show(f"{name:<18}{fast:>12,.0f}{slow:>10,.1f}{times:>8.0f}")


if __name__ == "__main__":
    main()
