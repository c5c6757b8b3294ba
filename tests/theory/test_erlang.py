"""Erlang's delay formula, which says where the engine without queues may be used."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import scenario

from sim.engines.choose import erlang_c, waits_at_peak, warnings
from sim.model import compile_model


@pytest.mark.parametrize(
    ("servers", "load", "waits"),
    [(1, 0.8, 0.8), (4, 2.8, 0.428654), (10, 8.0, 0.409180), (50, 45.0, 0.363864)],
)
def test_published_values(servers: int, load: float, waits: float) -> None:
    assert erlang_c(servers, load) == pytest.approx(waits, abs=5e-7)


@given(servers=st.integers(1, 120), busy=st.floats(0.01, 0.99))
def test_against_the_sum(servers: int, busy: float) -> None:
    """a^c / c! x c / (c - a) over itself plus Σ a^k / k!, in logarithms."""
    load = servers * busy
    terms = [k * math.log(load) - math.lgamma(k + 1) for k in range(servers + 1)]
    top = max(terms)
    queue = math.exp(terms[-1] - top) / (1 - busy)
    assert erlang_c(servers, load) == pytest.approx(
        queue / (queue + sum(math.exp(t - top) for t in terms[:-1])), rel=1e-9
    )


@pytest.mark.parametrize(("servers", "load"), [(1, 1.0), (10, 10.0), (10, 50.0)])
def test_overload_always_waits(servers: int, load: float) -> None:
    assert erlang_c(servers, load) == 1.0


def test_no_load_never_waits() -> None:
    assert erlang_c(10, 0.0) == 0.0


def test_the_peak_decides() -> None:
    """10 pods of 10 threads, 100 ms: 600/s are rho 0.6 (0.10), a peak of 900/s is rho 0.9 and warned of."""
    service = {"replicas": 10, "threads": 10, "latency": {"p50": 0.1, "p99": 0.1}}
    quiet = compile_model(scenario(service=service, traffic={"rate": "550/s"}), ())
    assert waits_at_peak(quiet) == pytest.approx(erlang_c(10, 5.5))
    assert warnings(quiet, "batch") == ()
    daily = compile_model(scenario(service=service, traffic={"kind": "daily", "mean": "600/s"}), ())
    assert waits_at_peak(daily) == pytest.approx(erlang_c(10, 9.0), rel=1e-3)
    assert len(warnings(daily, "batch")) == 1
    assert warnings(daily, "event") == ()
