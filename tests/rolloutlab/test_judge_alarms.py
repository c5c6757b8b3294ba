"""From paths to alarms: first looks, delays with what was missed, and the threshold that matches a rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import bdtr

from rolloutlab.judging.alarms import delays, first_alarms, matched

PATHS = arrays(
    np.float64, st.tuples(st.integers(1, 5), st.integers(1, 9)), elements=st.sampled_from([-np.inf, 0, 1, 2])
)


@given(PATHS)
def test_the_first_look_that_reaches_a_threshold(paths: np.ndarray) -> None:
    levels = np.array([1.0, 2.0, 3.0])
    found = first_alarms(paths, levels)
    for row, level in enumerate(levels):
        for run, path in enumerate(paths):
            plain = next((look for look, value in enumerate(path) if value >= level), len(path))
            assert found[row, run] == plain


def test_what_is_missed_counts_with_the_horizon_and_is_beyond_every_quantile() -> None:
    seconds = np.array([10.0, 20.0, 30.0, np.inf])
    found = delays(seconds, np.array([1.0, 2.0, 3.0, 100.0]), longest_seconds=100.0)
    assert (found.missed, found.runs) == (1, 4)
    assert found.mean.value == pytest.approx(40.0)
    assert (found.p50, found.p90) == (30.0, math.inf)
    assert found.detected.value == 0.75
    assert found.exposed_mean.value == pytest.approx(26.5)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=400), st.sampled_from([0.01, 0.05, 0.3]))
def test_the_matched_threshold_lets_at_most_alpha_of_the_sample_alarm(highest: list[int], alpha: float) -> None:
    values = np.array(highest, dtype=np.float64)
    found = matched(values, alpha)
    assert found is not None
    allowed = math.floor(alpha * len(values))
    assert (values >= found.value).sum() <= allowed
    assert (values >= np.nextafter(found.value, -np.inf)).sum() > allowed, "a lower one would let more alarm"
    assert found.lo <= found.value <= found.hi


def test_the_interval_of_the_matched_threshold_covers_as_often_as_it_says() -> None:
    """400 samples of 2,000 normal maxima; fewer than 90 % covered has a probability below 1e-4."""
    rng = np.random.default_rng(1)
    truth = 2.3263478740408408  # upper 1 % of the normal law
    covered = 0
    for _ in range(400):
        found = matched(rng.standard_normal(2000), 0.01)
        assert found is not None
        covered += found.lo <= truth <= found.hi
    assert bdtr(359, 400, 0.95) < 1e-4
    assert covered >= 360


def test_a_judge_that_never_spoke_has_no_matched_threshold() -> None:
    assert matched(np.full(100, -np.inf), 0.05) is None
    some = np.full(100, -np.inf)
    some[:3] = 1.0
    assert matched(some, 0.05) is None, "five may alarm and three spoke: any threshold keeps the rate"


def test_a_small_sample_leaves_the_upper_end_open() -> None:
    found = matched(np.arange(50.0), 0.01)
    assert found is not None
    assert found.hi == math.inf
    assert found.value > 49
