"""The bench of judges, four worlds: mean detection time over the limit, and false-positive rate, cell by cell.

Both sides are simulations of 2,000 runs with their own standard errors; printed digits count as exact up to half a unit
of the last. A world has 28 or 30 cells. An honest one lies beyond 3 standard errors of the difference with probability
0.0027 at most, three or more of 30 with probability below 1e-4, any beyond 5 with probability below 2e-5: so at most two
of a world may lie beyond 3, and none beyond 5.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from strategies.judges import make
from strategies.judges.base import Judge
from strategies.judges.bench import alarms
from strategies.limits import kl, time_comparative_seconds

BENCH: dict[str, Any] = YAML(typ="safe").load(
    Path(__file__).parents[1].joinpath("published", "judges.yaml").read_text(encoding="utf-8")
)["bench"]
RUNS, SECONDS, ALPHA = BENCH["runs"], BENCH["seconds"], BENCH["alpha"]


def judge(name: str, world: dict[str, float]) -> Judge:
    """A judge of the table in one world, set as the published file says."""
    p0, p1, share = world["p0"], world["p1"], world["share"]
    kind, *numbers = name.split(" ", 1)
    line = (p0 + p1) / 2
    match kind:
        case "ripr_oracle":
            return make(kind, alpha=ALPHA, p0=p0, p1=p1, share=share)
        case "ripr":
            return make(kind, alpha=ALPHA)
        case "lindon_malek":
            return make(kind, alpha=ALPHA, share=share, k=float(numbers[0].removeprefix("k=")), sides=2)
        case "msprt":
            return make(kind, alpha=ALPHA, tau=p1 - p0)
        case "sprt":
            return make(kind, alpha=ALPHA, p0=p0, p1=p1)
        case "bernoulli_cusum" if numbers == ["horizon"]:
            return make(kind, alpha=ALPHA, p0=p0, p1=p1, horizon_requests=world["rate_per_second"] * share * SECONDS)
        case "bernoulli_cusum":
            return make(kind, p0=p0, p1=p1, height=-math.log(ALPHA))
        case "peeking_z":
            return make(kind, alpha=ALPHA, every_seconds=60, burn_in_errors=11)
        case "threshold":
            return make(kind, line=line, for_seconds=float(numbers[0].removeprefix("for ")))
        case "failure_limit":
            every, limit = numbers[0].split()
            return make(kind, line=line, every_seconds=float(every), failure_limit=int(limit))
    raise AssertionError(name)


def half_unit(text: str) -> float:
    """Half a unit of the last printed digit."""
    return 0.5 * 10.0 ** -len(text.partition(".")[2])


def distance(ours: float, printed: str, error: float) -> float:
    """How many standard errors of a difference two values lie apart, beyond the rounding."""
    return max(0.0, abs(ours - float(printed)) - half_unit(printed)) / error


def cells(name: str) -> list[tuple[str, float, str, float]]:
    """(cell, ours, printed, distance) of every cell in one world."""
    world = BENCH["worlds"][name]
    judges = {row: judge(row, world) for row, of in BENCH["judges"].items() if name in of}
    traffic = (RUNS, SECONDS, world["rate_per_second"], world["share"], world["p0"])
    rng = np.random.default_rng([2026, ord(name)])
    bad, good = (alarms(judges, rng, *traffic, p1) for p1 in (world["p1"], world["p0"]))
    limit = time_comparative_seconds(
        world["p0"], world["p1"], rate_per_second=world["rate_per_second"], share=world["share"], alpha=ALPHA
    )
    found = []
    for row in judges:
        ratio, rate = BENCH["judges"][row][name]
        delay = np.where(np.isnan(bad[row]), SECONDS, bad[row]) / limit
        # a cell without spread still has the bin of the look as its grain
        error = max(math.sqrt(2) * float(delay.std(ddof=1)) / math.sqrt(RUNS), 1 / limit / math.sqrt(RUNS))
        found.append((f"{name} {row} ratio", float(delay.mean()), ratio, distance(float(delay.mean()), ratio, error)))
        false = float(np.mean(~np.isnan(good[row])))
        pooled = (false + float(rate)) / 2 + 1 / RUNS
        error = math.sqrt(2 * pooled * (1 - pooled) / RUNS)
        found.append((f"{name} {row} fpr", false, rate, distance(false, rate, error)))
    return found


@pytest.mark.parametrize("name", list(BENCH["worlds"]))
def test_the_limit_of_each_world(name: str) -> None:
    world = BENCH["worlds"][name]
    limit = time_comparative_seconds(
        world["p0"], world["p1"], rate_per_second=world["rate_per_second"], share=world["share"], alpha=ALPHA
    )
    assert abs(limit - world["limit_seconds"]) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", list(BENCH["worlds"]))
def test_every_cell_of_the_bench(name: str) -> None:
    found = cells(name)
    assert len(found) == 2 * sum(name in of for of in BENCH["judges"].values()) >= 28
    far = [cell for cell in found if cell[3] > 3]
    assert len(far) <= 2, far
    assert all(cell[3] <= 5 for cell in far), far


def test_a_cusum_height_by_horizon_is_the_logarithm_that_the_bench_has() -> None:
    world = BENCH["worlds"]["A"]
    exposed = world["rate_per_second"] * world["share"] * SECONDS
    height = judge("bernoulli_cusum horizon", world).threshold
    assert height == pytest.approx(math.log(exposed * kl(world["p1"], world["p0"]) / ALPHA))
