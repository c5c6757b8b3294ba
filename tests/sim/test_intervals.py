"""Intervals cover the truth as often as they say, and equal published and scipy's values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim import intervals

#: Repetitions of a coverage test, and the error bound of its tolerance.
REPEATS, ALPHA = 1500, 1e-6


def at_least(covered: int, confidence: float) -> None:
    """Fail when so few intervals cover the truth that chance (ALPHA) does not explain it."""
    allowed = stats.binom.ppf(ALPHA, REPEATS, confidence)
    assert covered >= allowed, f"{covered} of {REPEATS} cover the truth, at least {allowed:.0f} should"


@pytest.mark.parametrize(("count", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (991, 1000)])
def test_wilson_equals_scipy(count: int, n: int) -> None:
    wanted = stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    found = intervals.wilson(count, n)
    assert (found.lo, found.hi) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_a_share_of_nothing_is_unknown() -> None:
    found = intervals.wilson(0, 0)
    assert math.isnan(found.value)
    assert (found.lo, found.hi) == (0.0, 1.0)


@given(st.integers(0, 400), st.integers(1, 400))
def test_a_share_lies_inside_its_interval(count: int, n: int) -> None:
    found = intervals.wilson(min(count, n), n)
    assert 0 <= found.lo <= found.value <= found.hi <= 1


def test_mean_equals_scipy() -> None:
    values = np.random.default_rng(1).normal(5, 2, 23)
    wanted = stats.t.interval(0.999, 22, values.mean(), stats.sem(values))
    assert intervals.mean(values, 0.999)[1:] == pytest.approx(wanted, rel=1e-12)


def test_one_value_has_no_bounds() -> None:
    assert intervals.mean(np.array([3.0])) == (3.0, -math.inf, math.inf)
    assert math.isnan(intervals.mean(np.array([])).value)


@pytest.mark.parametrize("n", [9, 40, 500])
@pytest.mark.parametrize("q", [0.5, 0.9])
def test_quantile_intervals_cover(n: int, q: float) -> None:
    truth = -math.log(1 - q)
    rng = np.random.default_rng(2)
    found = [intervals.quantile(rng.exponential(size=n), q) for _ in range(REPEATS)]
    at_least(sum(one.lo <= truth <= one.hi for one in found), 0.95)


@pytest.mark.parametrize(("n", "q"), [(5, 0.5), (100, 0.5), (100, 0.9), (3000, 0.9)])
def test_quantile_ranks_are_the_narrowest_that_keep_the_promise(n: int, q: float) -> None:
    low, high = intervals._ranks(n, q, 0.025)
    assert stats.binom.cdf(low - 1, n, q) <= 0.025 < stats.binom.cdf(low, n, q)
    assert stats.binom.sf(high - 1, n, q) <= 0.025
    assert high == n + 1 or stats.binom.sf(high - 2, n, q) > 0.025


def test_too_few_values_leave_a_quantile_open() -> None:
    found = intervals.quantile(np.arange(10.0), 0.9, 0.999)
    assert found.hi == math.inf
    assert math.isfinite(found.lo)


def test_paired_shares_cover() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(REPEATS):
        world = rng.random(60)
        first, second = world < 0.5, (world < 0.3) | (rng.random(60) < 0.05)
        truth = 0.5 - (0.3 + 0.7 * 0.05)
        found = intervals.paired_share(int((first & ~second).sum()), int((second & ~first).sum()), 60)
        covered += found.lo <= truth <= found.hi
    at_least(covered, 0.94)  # Agresti & Min: close to nominal, here and there a little below


def test_paired_shares_that_never_differ_are_not_certain() -> None:
    found = intervals.paired_share(0, 0, 100)
    assert found.lo < 0 < found.hi
