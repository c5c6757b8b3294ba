"""No stopping rule beats the limit: rules are solved exactly, path by path, and none may be faster.

Nothing here is simulated. A rule that looks after every request and ends at a horizon has error probabilities and a
mean number of requests that follow from adding up its paths; the limit at these very probabilities lies below.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from ruamel.yaml import YAML

from strategies import limits

PUBLISHED = Path(__file__).parents[1] / "published" / "detection_limits.yaml"
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class Solved(NamedTuple):
    """A rule at one error ratio: P(rejected by n), shape [N + 1], P(never rejected), and mean requests to its end."""

    rejected: FloatArray
    passed: float
    mean: float


def solve(p: float, reject_from: IntArray, accept_to: IntArray) -> Solved:
    """Add up the paths of a rule that sees one request after the other.

    Args:
        reject_from, accept_to: shape [N + 1]; after n requests it rejects with at least so many errors, accepts with
            at most so many; after N it accepts in any case.
    """
    alive = np.zeros(int(min(reject_from.max(), len(reject_from))) + 2)
    alive[0] = 1.0
    rejected = np.zeros(len(reject_from))
    mean, count = 0.0, np.arange(len(alive))
    for n in range(1, len(reject_from)):
        mean += alive.sum()
        alive[1:] = alive[1:] * (1 - p) + alive[:-1] * p
        alive[0] *= 1 - p
        rejects = count >= reject_from[n]
        rejected[n] = alive[rejects].sum()
        alive[rejects | (count <= accept_to[n])] = 0.0
    total = np.cumsum(rejected)
    return Solved(total, 1.0 - float(total[-1]), mean)


def sprt(p0: float, p1: float, upper: float, lower: float, horizon: int) -> tuple[IntArray, IntArray]:
    """Wald's boundaries as counts of errors: log-likelihood ratio at least `upper`, at most `lower`."""
    up, down = math.log(p1 / p0), math.log((1 - p0) / (1 - p1))
    n = np.arange(horizon + 1)
    tiny = 1e-9  # a sum that reaches the boundary exactly may not miss it by rounding
    return (
        np.ceil((upper + n * down) / (up + down) - tiny).astype(np.int64),
        np.floor((lower + n * down) / (up + down) + tiny).astype(np.int64),
    )


@pytest.mark.parametrize("row", YAML(typ="base").load(PUBLISHED)["sprt"], ids=" ".join)
def test_the_solver_finds_the_published_tests(row: list[str]) -> None:
    p0, p1, alpha, beta = map(float, row[:4])
    bounds = sprt(p0, p1, math.log((1 - beta) / alpha), math.log(beta / (1 - alpha)), 12_000)
    null, bad = (solve(p, *bounds) for p in (p0, p1))
    found = (null.rejected[-1], bad.passed, null.mean, bad.mean)
    for value, printed in zip(found, row[4:], strict=True):
        assert abs(value - float(printed)) <= 0.5 * 10.0 ** -len(printed.partition(".")[2])


def efficiency_of(p0: float, p1: float, reject_from: IntArray, accept_to: IntArray) -> float:
    """Limit ÷ mean requests of a rule, at its own exact error probabilities."""
    null, bad = (solve(p, reject_from, accept_to) for p in (p0, p1))
    alpha, beta = float(null.rejected[-1]), bad.passed
    if alpha < 1e-12:  # nothing to divide by: such a rule rejects nobody
        return 0.0
    limit = limits.minimum_exposure(p0, p1, alpha=min(alpha, 1.0), beta=min(max(beta, 0.0), 1.0))
    return limit / bad.mean


ratio = st.floats(0.005, 0.4)
factor = st.floats(1.1, 8)


@settings(max_examples=60)
@given(ratio, factor, st.floats(1e-4, 0.3), st.integers(5, 800))
def test_the_open_sprt_is_not_faster_than_the_limit(p0: float, times: float, alpha: float, horizon: int) -> None:
    """The best rule that is known for this question, cut off at a horizon: below 1, and not far below."""
    p1 = min(p0 * times, 0.9)
    reject_from, _ = sprt(p0, p1, math.log(1 / alpha), 0.0, horizon)
    assert efficiency_of(p0, p1, reject_from, np.full(horizon + 1, -1)) <= 1 + 1e-9


@pytest.mark.parametrize(("p0", "p1"), [(0.01, 0.02), (0.01, 0.05), (0.05, 0.08), (0.2, 0.4)])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_limit_is_nearly_reached(p0: float, p1: float, alpha: float) -> None:
    """A bound that nobody comes near would say nothing: the SPRT with both boundaries reaches 90 % of it."""
    bounds = sprt(p0, p1, math.log(1 / alpha), math.log(0.05), 8000)
    assert 0.9 <= efficiency_of(p0, p1, *bounds) <= 1 + 1e-9


@settings(max_examples=60)
@given(ratio, factor, st.integers(1, 400), st.data())
def test_no_rule_at_all_is_faster_than_the_limit(p0: float, times: float, horizon: int, data: st.DataObject) -> None:
    """Any boundaries: those of hypothesis, which looks for the rule that breaks the bound."""
    p1 = min(p0 * times, 0.95)
    steps = st.lists(st.integers(0, 3), min_size=1, max_size=12)
    reject_from, accept_to = (
        np.interp(np.arange(horizon + 1), np.linspace(0, horizon, len(one)), np.cumsum(one)).astype(np.int64)
        for one in (data.draw(steps), data.draw(steps))
    )
    reject_from += 1
    accept_to = np.minimum(accept_to, reject_from) - data.draw(st.integers(1, 6))
    assert efficiency_of(p0, p1, reject_from, accept_to) <= 1 + 1e-9


@settings(max_examples=40)
@given(ratio, factor, st.floats(1e-3, 0.3), st.integers(5, 400))
def test_no_moment_of_the_open_sprt_is_above_the_whole_curve(
    p0: float, times: float, alpha: float, horizon: int
) -> None:
    p1 = min(p0 * times, 0.9)
    reject_from, accept_to = sprt(p0, p1, math.log(1 / alpha), -1e3, horizon)
    null, bad = (solve(p, reject_from, accept_to) for p in (p0, p1))
    assume(null.rejected[-1] > 1e-9)
    n = np.arange(horizon + 1)
    assert np.all(bad.rejected <= limits.detection_bound(p0, p1, n, alpha=float(null.rejected[-1])) + 1e-9)


@pytest.mark.parametrize(("n", "errors"), [(100, 3), (500, 9), (2000, 30)])
def test_one_look_reaches_the_whole_curve(n: int, errors: int) -> None:
    """A fixed threshold at the end is the most powerful test of its size: there the curve is an equality."""
    reject_from = np.full(n + 1, n + 1)
    reject_from[n] = errors
    null, bad = (solve(p, reject_from, np.full(n + 1, -1)) for p in (0.01, 0.02))
    bound = limits.detection_bound(0.01, 0.02, n, alpha=float(null.rejected[-1]))
    assert float(bound) == pytest.approx(float(bad.rejected[-1]), rel=1e-7)


# --- two arms ----------------------------------------------------------------------------------------------------


def solve_arms(ratios: tuple[float, float], share: float, line: float, least: int, horizon: int) -> Solved:
    """Add up the paths of a z-test that is looked at after every request to either arm.

    Args:
        ratios: of errors, canary and stable.
        line: the z from which on it rejects; with at least `least` requests in each arm.
    """
    p1, p0 = ratios
    moves = (share * p1, share * (1 - p1), (1 - share) * p0, (1 - share) * (1 - p0))
    size = horizon + 1
    alive = np.zeros((size, size, size))  # canary requests, canary errors, stable errors
    alive[0, 0, 0] = 1.0
    requests, errors, others = np.meshgrid(*[np.arange(size)] * 3, indexing="ij", sparse=True)
    rejected, mean = np.zeros(size), 0.0
    for n in range(1, size):
        mean += alive.sum()
        before, alive = alive, np.zeros_like(alive)
        alive[1:, 1:, :] += moves[0] * before[:-1, :-1, :]
        alive[1:, :, :] += moves[1] * before[:-1, :, :]
        alive[:, :, 1:] += moves[2] * before[:, :, :-1]
        alive += moves[3] * before
        stable = np.maximum(n - requests, 1)
        canary = np.maximum(requests, 1)
        pooled = (errors + others) / n
        apart = errors / canary - others / stable
        spread = np.sqrt(np.maximum(pooled * (1 - pooled), 0) * (1 / canary + 1 / stable))
        rejects = (apart > line * spread) & (requests >= least) & (n - requests >= least) & (pooled <= 1)
        rejected[n] = alive[rejects].sum()
        alive[rejects] = 0.0
    total = np.cumsum(rejected)
    return Solved(total, 1.0 - float(total[-1]), mean)


@settings(max_examples=12)
@given(
    st.floats(0.05, 0.4), st.floats(0.1, 0.5), st.floats(0.2, 0.8), st.floats(0.5, 3), st.integers(1, 4), st.integers(4, 28)
)  # fmt: skip
def test_no_comparison_is_faster_than_the_comparative_limit(
    p0: float, more: float, share: float, line: float, least: int, horizon: int
) -> None:
    """Two arms, neither ratio known: the null that is hardest to tell apart has the mean ratio in both of them."""
    p1 = p0 + more
    mean = share * p1 + (1 - share) * p0
    null, bad = (solve_arms(pair, share, line, least, horizon) for pair in ((mean, mean), (p1, p0)))
    alpha = float(null.rejected[-1])
    assume(alpha > 1e-9)
    asked: dict[str, Any] = {"alpha": min(alpha, 1.0), "beta": min(max(bad.passed, 0.0), 1.0)}
    limit = limits.time_comparative_seconds(p0, p1, rate_per_second=1, share=share, **asked)
    assert limit <= bad.mean * (1 + 1e-9)
