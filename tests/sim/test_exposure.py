"""Different users behind a number of requests, and the moment by which a fraction of an exposure has passed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import scenario

from sim.exposure import Activity, Exposure
from sim.model import compile_model
from sim.traffic import Arrivals


@pytest.mark.parametrize("zipf", [0.0, 0.5, 1.0, 1.1, 1.7, 3.0])
def test_users_of_a_zipf_law(zipf: float) -> None:
    """Σ 1 - exp(-r_i m) over 5 000 users one by one, from one request to a hundred million."""
    share = np.arange(1.0, 5001.0) ** -zipf
    share /= share.sum()
    activity = Activity(5000, zipf)
    for requests in (1, 10, 300, 1e4, 1e5, 1e6, 1e8):
        exact = -np.expm1(-share * requests).sum()
        assert float(activity.users(requests)) == pytest.approx(exact, rel=5e-3), requests


@settings(max_examples=50)
@given(count=st.integers(1, 10**7), zipf=st.floats(0, 3), requests=st.floats(0, 1e9))
def test_never_more_users_than_there_are_or_than_requests(count: int, zipf: float, requests: float) -> None:
    seen = float(Activity(count, zipf).users(requests))
    assert 0 <= seen <= min(count, requests) * (1 + 1e-6)


def test_measured_sampling() -> None:
    """Requests of 5 000 users drawn one by one: the number of different ones, within its own standard error."""
    rng = np.random.default_rng(20251123)
    share = np.arange(1.0, 5001.0) ** -1.1
    share /= share.sum()
    met = [np.unique(rng.choice(5000, size=rng.poisson(3000), p=share)).size for _ in range(400)]
    error = np.std(met, ddof=1) / 20
    assert abs(np.mean(met) - float(Activity(5000, 1.1).users(3000))) < 5 * error


def exposure(segments: list[tuple[int, float, tuple[float, float, float, float], int]]) -> Exposure:
    model = compile_model(scenario(traffic={"rate": "10/s"}), ())
    arrivals = Arrivals(model.law, 0.0, model.knots, model.cumulative)
    return Exposure(segments, arrivals, np.zeros((2, 2, 2)))


flows = st.lists(
    st.tuples(st.integers(0, 3600_000_000), st.floats(0, 1), st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=8
)


@settings(max_examples=100)
@given(flows=flows, ends=st.tuples(st.integers(0, 3600_000_000), st.integers(0, 3600_000_000)))
def test_pieces_of_an_interval_cover_it(flows, ends) -> None:  # type: ignore[no-untyped-def]
    """They touch, begin and end where the interval does, and carry the flow that was valid there."""
    low, high = sorted(ends)
    starts = sorted({0, *(at for at, *_ in flows)})
    segments = [
        (at, at * 1e-5, (1 - share, fails, share, fails), regime)
        for at, (_, share, fails, regime) in zip(starts, [flows[0], *flows], strict=False)
    ]
    of = exposure(segments)
    pieces = of.pieces(low, high)
    assert sum(b - a for a, b, *_ in pieces) == pytest.approx((high - low) * 1e-5, abs=1e-6)
    for (_, end, *_), (begin, *_) in pairwise(pieces):
        assert begin == pytest.approx(end)
    for a, b, flow, regime in pieces:
        middle = (a + b) / 2 * 1e5
        valid = [segment for segment in segments if segment[0] <= middle][-1]
        assert (flow, regime) == valid[2:]


@settings(max_examples=100)
@given(
    weights=st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=1, max_size=6),
    fraction=st.floats(0, 1, exclude_max=False),
)
def test_a_fraction_of_the_mass(weights: list[float], fraction: float) -> None:
    """Found inside a piece that has mass, where that fraction has passed; never in one without."""
    of = exposure([(0, 0.0, (1.0, 0.0, 0.0, 0.0), 0)])
    pieces = [(10.0 * i, 10.0 * (i + 1), weight) for i, weight in enumerate(weights)]
    at = of.place(pieces, fraction, -7)
    if not sum(weights):
        assert at == -7
        return
    done = sum(weight * min(max(at / 1e5 - low, 0.0), 10.0) for low, _, weight in pieces)
    assert done == pytest.approx(fraction * 10 * sum(weights), abs=1e-4)
    last = max(i for i, weight in enumerate(weights) if weight)
    assert at <= 1_000_000 * (last + 1) + 1
