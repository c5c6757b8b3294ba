"""Answers of the store against a replication-by-replication reference, and quantiles against Prometheus' rules."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from worlds import chunk, scenario

from sim.model import ChunkDraws, compile_model
from sim.scrape import Store, histogram_quantile
from strategies.effects import QUANTITIES, Measure, Measured, Program, Query, Release, Wait

BUCKETS = (0.1, 0.25, 0.5)


@dataclass
class One:
    """One replication: cumulative counts of each scrape, [scrape][revision][class], and when its series begin."""

    phase_us: int
    counts: list[list[list[int]]]
    born: tuple[int, int]


def reference(one: One, query: Query, now_us: int, interval_us: int) -> tuple[float | None, int, int]:
    """(value, requests, errors), None for an empty vector: from the definition of a left-open window, in plain loops."""
    stamps = [one.phase_us + k * interval_us for k in range(len(one.counts))]
    width = round(query.window_seconds * 1e6)
    total = [0] * (1 + len(BUCKETS) + 1)
    span, found = 0, False
    for revision, name in enumerate(("stable", "canary")):
        if query.revision not in (name, "all"):
            continue
        inside = [k for k, at in enumerate(stamps) if now_us - width < at <= now_us and k >= one.born[revision]]
        if len(inside) < 2:
            continue
        found = True
        span = max(span, stamps[inside[-1]] - stamps[inside[0]])
        for c in range(len(total)):
            total[c] += one.counts[inside[-1]][revision][c] - one.counts[inside[0]][revision][c]
    if not found:
        return None, 0, 0
    requests, errors = sum(total), total[0]
    if query.quantity == "error_ratio":
        value = errors / requests if requests else math.nan
    elif query.quantity == "success_ratio":
        value = (requests - errors) / requests if requests else math.nan
    elif query.quantity == "request_rate":
        value = requests / (span / 1e6)
    else:
        value = bucket_quantile(query.quantile, total[1:], (*BUCKETS, math.inf))
    return value, requests, errors


def bucket_quantile(q: float, counts: list[int], bounds: tuple[float, ...]) -> float:
    """Prometheus' bucketQuantile for classic histograms, by hand: the first bucket that reaches the rank."""
    if sum(counts) == 0:
        return math.nan
    rank, below = q * sum(counts), 0
    for place, bound in enumerate(bounds[:-1]):
        if below + counts[place] >= rank:
            low = bounds[place - 1] if place else 0.0
            return low + (bound - low) * (rank - below) / counts[place]
        below += counts[place]
    return bounds[-2]


@st.composite
def questions(draw: st.DrawFn) -> tuple[int, Query, list[tuple[One, int]]]:
    interval = draw(st.sampled_from([1_000_000, 15_000_000, 7_300_000]))
    window = draw(
        st.one_of(
            st.integers(1, 8).map(lambda n: n * interval / 1e6),
            st.floats(0.5, 90).map(lambda seconds: round(seconds, 6)),
        )
    )
    query = Query(
        quantity=draw(st.sampled_from(QUANTITIES)),
        revision=draw(st.sampled_from(["stable", "canary", "all"])),
        window_seconds=window,
        quantile=draw(st.sampled_from([0.01, 0.5, 0.95, 0.99])),
    )
    replications = []
    for _ in range(draw(st.integers(1, 4))):
        scrapes = draw(st.integers(0, 14))
        steps = draw(
            st.lists(
                st.lists(st.lists(st.integers(0, 5), min_size=5, max_size=5), min_size=2, max_size=2),
                min_size=scrapes,
                max_size=scrapes,
            )
        )
        counts = np.cumsum(np.array(steps, dtype=int).reshape(scrapes, 2, 5), axis=0).tolist()
        phase = draw(st.integers(0, interval - 1))
        born = (draw(st.sampled_from([0, 1, 3, 99])), draw(st.sampled_from([0, 2, 5, 99])))
        # at a scrape, a window's width after one, or anywhere until the next scrape is due
        last = phase + (scrapes - 1) * interval
        now = draw(
            st.one_of(
                st.just(max(last, 0)),
                st.integers(max(last, 0), max(last + interval - 1, 0)),
                st.integers(0, 3).map(
                    lambda back, last=last: max(
                        last, min(last + interval - 1, last - back * interval + round(window * 1e6))
                    )
                ),
            )
        )
        replications.append((One(phase, counts, born), max(now, 0)))
    return interval, query, replications


@settings(max_examples=400)
@given(questions())
def test_answers(asked: tuple[int, Query, list[tuple[One, int]]]) -> None:
    """All replications at once give what each gives alone, with windows that begin or end at a scrape included."""
    interval, query, replications = asked
    of = scenario(metrics={"scrapeInterval": interval / 1e6, "buckets": list(BUCKETS)}, slo={"latency": 0.25})
    store = Store(compile_model(of, (query, Query(quantity="latency_quantile", window_seconds=0.1))), len(replications))
    for row, (one, _) in enumerate(replications):
        store.phase_us[row] = one.phase_us
        store.born[row] = one.born
        for k, counts in enumerate(one.counts):
            store.put(k, np.array([row]), np.array([counts]))
    rows = np.arange(len(replications))
    now = np.array([at for _, at in replications])
    last = np.array([len(one.counts) - 1 for one, _ in replications])
    value, requests, errors, empty = store.answer(query, rows, now, last)
    for row, (one, at) in enumerate(replications):
        wanted = reference(one, query, at, interval)
        assert bool(empty[row]) == (wanted[0] is None), (row, wanted)
        if wanted[0] is not None:
            assert value[row] == pytest.approx(wanted[0], nan_ok=True)
            assert (requests[row], errors[row]) == wanted[1:]


def test_the_ring_holds_the_longest_window() -> None:
    """After 200 scrapes the window still reaches as far back as it says, and no further."""
    query = Query(quantity="request_rate", revision="stable", window_seconds=60)
    store = Store(compile_model(scenario(), (query,)), 1)
    store.born[0] = 0
    for k in range(200):
        store.put(k, np.array([0]), np.array([[[0, k * k, 0], [0, 0, 0]]]))
    for after, oldest in ((0, 196), (14_999_999, 196)):
        now = 199 * 15_000_000 + after
        value, *_ = store.answer(query, np.array([0]), np.array([now]), np.array([199]))
        assert value[0] == pytest.approx((199**2 - oldest**2) / (15 * (199 - oldest)))


@pytest.mark.parametrize(
    ("quantile", "counts", "wanted"),
    [
        (0.5, [10, 10, 0, 0], 0.1),  # the rank is reached exactly at the bound of the first bucket
        (0.5, [20, 0, 0, 0], 0.05),  # first bucket: interpolated from 0
        (0.25, [20, 0, 0, 0], 0.025),
        (0.5, [0, 0, 10, 0], 0.375),  # halfway from 0.25 to 0.5
        (0.5, [10, 0, 0, 10], 0.1),
        (0.51, [10, 0, 0, 10], 0.5),  # in the +Inf bucket: the highest finite bound
        (0.99, [0, 0, 0, 5], 0.5),
        (0.75, [10, 10, 0, 0], 0.175),
        (0.9, [0, 0, 0, 0], math.nan),
    ],
)
def test_quantiles_by_hand(quantile: float, counts: list[int], wanted: float) -> None:
    got = histogram_quantile(quantile, np.array([counts]), (0.1, 0.25, 0.5, math.inf))
    assert got.tolist() == pytest.approx([wanted], nan_ok=True)


@settings(max_examples=300)
@given(
    counts=st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4), min_size=1, max_size=5),
    quantile=st.floats(0.001, 0.999),
)
@example([[0, 0, 0, 0], [1, 0, 0, 0]], 0.5)
def test_quantiles(counts: list[list[int]], quantile: float) -> None:
    bounds = (0.1, 0.25, 0.5, math.inf)
    got = histogram_quantile(quantile, np.array(counts), bounds).tolist()
    assert got == pytest.approx([bucket_quantile(quantile, row, bounds) for row in counts], nan_ok=True)


def test_the_objective_is_no_bucket_of_the_histogram() -> None:
    """An SLO between two buckets splits the counts of the simulator, not what a query interpolates between."""
    query = Query(quantity="latency_quantile", revision="stable", window_seconds=60, quantile=0.5)
    of = scenario(metrics={"buckets": [0.1, 0.5]}, slo={"latency": 0.2})
    model = compile_model(of, (query,))
    assert model.buckets_seconds == (0.1, 0.2, 0.5, math.inf)
    store = Store(model, 1)
    store.born[0] = 0
    store.put(0, np.array([0]), np.zeros((1, 2, 5), dtype=int))
    store.put(1, np.array([0]), np.array([[[3, 0, 40, 0, 0], [0, 0, 0, 0, 0]]]))
    value, *_ = store.answer(query, np.array([0]), np.array([15_000_000]), np.array([1]))
    # all 40 between 0.1 and 0.5: the median is read as 0.3, although all are below 0.2
    assert value.tolist() == pytest.approx([0.3])


def test_a_scrape_comes_before_everything_else_of_its_instant() -> None:
    """Asked at the very instant of scrape 4, a window of two intervals holds scrapes 3 and 4 (2 is outside)."""
    query = Query(quantity="request_rate", revision="stable", window_seconds=30)
    seen: list[Measured] = []
    phases: list[int] = []

    def program(release: Release) -> Program:
        phase_us = phases.pop(0)
        yield Wait((phase_us + 4 * 15_000_000) / 1e6)
        seen.append((yield Measure(query)))
        yield Wait(1e9)

    phases += ChunkDraws(compile_model(scenario(), (query,)), 0, 0).phase_us
    chunk(scenario(), program, reads=(query,)).run()
    assert len(seen) == 256
    for answer in seen:
        assert answer.value is not None
        assert answer.value == pytest.approx(answer.requests / 15)
