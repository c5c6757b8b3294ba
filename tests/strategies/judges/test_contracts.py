"""The contract of a judge, for each that ships; and that one rollout and many agree on drawn counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.judges import REGISTRY, make
from strategies.judges.base import Judge
from strategies.judges.bench import Dice
from strategies.judges.testing import JudgeContract, agree

#: settings that show each judge's moods: decisions within a few hundred requests, windows of a few looks
MOODS: list[tuple[str, dict[str, Any]]] = [
    ("threshold", {"line": 0.03, "window_seconds": 60, "every_seconds": 20}),
    ("threshold", {"line": 0.03, "window_seconds": 60, "every_seconds": None, "for_seconds": 45, "min_requests": 30}),
    ("threshold", {"line": 0.1, "window_seconds": 300, "for_seconds": 60, "full_window": False, "arm": "all"}),
    ("threshold", {"line": 0.0, "window_seconds": 25, "every_seconds": 30, "enough": 700}),
    ("failure_limit", {"line": 0.03, "window_seconds": 60}),
    ("failure_limit", {"line": 0.03, "window_seconds": 60, "every_seconds": 20, "failure_limit": 3, "count": 8}),
    ("failure_limit", {"line": 0.05, "window_seconds": 300, "full_window": False, "failure_limit": 1, "arm": "all"}),
    ("lindon_malek", {"share": 0.1}),
    ("lindon_malek", {"share": 0.1, "k": 10, "sides": 2, "enough": 900}),
    ("ripr", {}),
    ("ripr", {"share": 0.1, "enough": 900}),
    ("ripr_oracle", {"p0": 0.01, "p1": 0.05}),
    ("ripr_oracle", {"p0": 0.01, "p1": 0.05, "share": 0.1, "alpha": 0.001}),
    ("burn_rate", {"objective": 0.99}),
    ("burn_rate", {"objective": 0.999, "pages_only": True, "every_seconds": None, "arm": "canary", "min_requests": 40}),
    ("burn_rate", {"objective": 0.99, "alerts": ((2.0, 120.0, 30.0, True),), "enough": 800}),
    ("msprt", {"tau": 0.04}),
    ("msprt", {"tau": 0.01, "burn_in_seconds": 0, "burn_in_errors": 1, "enough": 900}),
    ("sprt", {"p0": 0.01, "p1": 0.05}),
    ("sprt", {"p0": 0.01, "p1": 0.05, "beta": 0.1, "alpha": 0.05}),
    ("bernoulli_cusum", {"p0": 0.01, "p1": 0.05, "height": 4.6}),
    ("bernoulli_cusum", {"p0": 0.01, "p1": 0.05, "horizon_requests": 36000, "enough": 1500}),
    ("bernoulli_cusum", {"p0": 0.01, "p1": 0.05, "arl_requests": 10000}),
    ("peeking_z", {}),
    ("peeking_z", {"every_seconds": None, "sides": 2, "enough": 900}),
    ("group_sequential", {"requests": 1000}),
    ("group_sequential", {"requests": 600, "looks": 3, "kind": "pocock", "sides": 2}),
    ("group_sequential", {"requests": 40, "looks": 40}),
]
ALONE = {"threshold", "failure_limit", "burn_rate", "sprt", "bernoulli_cusum"}  #: judges that look at the canary alone
VALID = {"ripr", "ripr_oracle", "lindon_malek", "sprt"}  #: judges that keep alpha at all looks together


def _contract(name: str, settings: dict[str, Any]) -> type[JudgeContract]:
    class Contract(JudgeContract):
        needs = (
            ()
            if settings.get("arm", "all" if name == "burn_rate" else "canary") == "all"
            else ("canary",)
            if name in ALONE
            else ("canary", "stable")
        )

        alpha = settings.get("alpha", 0.01) if name in VALID and not settings.get("beta") else None

        def make_judge(self) -> Judge:
            return make(name, **settings)

        def dice(self, seed: int) -> Dice:
            return np.random.default_rng(seed)

    return Contract


for _number, (_name, _settings) in enumerate(MOODS):
    globals()[f"Test_{_name}_{_number}"] = _contract(_name, _settings)


def test_no_judge_was_forgotten() -> None:
    assert {name for name, _ in MOODS} == set(REGISTRY)


@st.composite
def paths(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Times [T] and cumulative counts [R, T, 4]; rates change at a few looks, down to nothing and up to all failing."""
    looks, runs = draw(st.integers(1, 40)), draw(st.integers(1, 3))
    steps = draw(st.lists(st.sampled_from([0.0, 1.0, 5.0, 15.0, 30.0, 59.9, 61.0]), min_size=looks, max_size=looks))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pieces = draw(st.integers(1, 4))
    rates = draw(
        st.lists(
            st.tuples(*[st.sampled_from([0, 1, 30, 400])] * 2, *[st.sampled_from([0, 0.01, 0.2, 1])] * 2),
            min_size=pieces,
            max_size=pieces,
        )
    )
    block = np.zeros((runs, looks, 4), dtype=np.int64)
    for look in range(looks):
        canary, stable, p_canary, p_stable = rates[look * pieces // looks]
        asked, stable_asked = rng.poisson(canary, runs), rng.poisson(stable, runs)
        block[:, look] = np.stack(
            [asked, rng.binomial(asked, p_canary), stable_asked, rng.binomial(stable_asked, p_stable)], axis=1
        )
    return np.cumsum(steps), np.cumsum(block, axis=1)


@pytest.mark.parametrize(("name", "mood"), MOODS, ids=str)
@given(path=paths())
@settings(deadline=None, max_examples=40)
def test_one_rollout_and_many_agree_on_drawn_counts(
    name: str, mood: dict[str, Any], path: tuple[np.ndarray, np.ndarray]
) -> None:
    agree(make(name, **mood), *path)
