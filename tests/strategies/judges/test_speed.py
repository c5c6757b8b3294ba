"""Many runs at once are worth their code: at least ten times as fast as one at a time, for every judge, in one run."""

from __future__ import annotations

import pytest

from benchmarks.judges import SETTINGS, ratio
from strategies.judges import REGISTRY


def test_every_judge_is_measured() -> None:
    assert set(SETTINGS) == set(REGISTRY)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(REGISTRY))
def test_many_runs_are_ten_times_as_fast_as_one_at_a_time(name: str) -> None:
    fast, slow, times = ratio(name, rounds=3, alone=2)
    assert times >= 10, f"{fast:.0f} runs a second together, {slow:.1f} alone"
