"""Answers of the store to typed questions and counts, against Prometheus' rules in plain loops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import chunk, scenario

from sim.model import ChunkDraws, compile_model
from sim.scrape import Store
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
    total = [0] * (1 + len(BUCKETS) + 1)
    errors_rate, success_rate, found = 0.0, 0.0, False
    buckets = [0.0] * (len(BUCKETS) + 1)
    for revision, name in enumerate(("stable", "canary")):
        if query.revision not in (name, "all"):
            continue
        # Prometheus knows whole milliseconds only
        now_ms, width_ms = now_us // 1000, round(query.window_seconds * 1000)
        inside = [
            k for k, at in enumerate(stamps) if now_ms - width_ms < at // 1000 <= now_ms and k >= one.born[revision]
        ]
        if len(inside) < 2:
            continue
        found = True
        first, last = one.counts[inside[0]][revision], one.counts[inside[-1]][revision]
        times = [stamps[k] // 1000 for k in inside]
        for c in range(len(total)):
            total[c] += last[c] - first[c]
        errors_rate += rate(times, first[0], last[0], now_ms, width_ms)
        success_rate += rate(times, sum(first[1:]), sum(last[1:]), now_ms, width_ms)
        for c in range(len(buckets)):
            buckets[c] += rate(times, sum(first[1 : 2 + c]), sum(last[1 : 2 + c]), now_ms, width_ms)
    if not found:
        return None, 0, 0
    requests, errors = sum(total), total[0]
    if query.quantity == "error_ratio":
        value = errors_rate / (errors_rate + success_rate) if errors_rate + success_rate else math.nan
    elif query.quantity == "success_ratio":
        value = success_rate / (errors_rate + success_rate) if errors_rate + success_rate else math.nan
    elif query.quantity == "request_rate":
        value = errors_rate + success_rate
    else:
        value = bucket_quantile(query.quantile, buckets, (*BUCKETS, math.inf))
    return value, requests, errors


def rate(times_ms: list[int], first: int, last: int, now_ms: int, width_ms: int) -> float:
    """Prometheus' extrapolatedRate, by hand: stretched to the edges, half a spacing at most, never below zero."""
    spacing = (times_ms[-1] - times_ms[0]) / (len(times_ms) - 1)
    before, after = times_ms[0] - (now_ms - width_ms), now_ms - times_ms[-1]
    before = spacing / 2 if before >= 1.1 * spacing else before
    after = spacing / 2 if after >= 1.1 * spacing else after
    if last > first:
        before = min(before, (times_ms[-1] - times_ms[0]) * first / (last - first))
    covered = times_ms[-1] - times_ms[0]
    return (last - first) * (covered + before + after) / covered / (width_ms / 1000)


def bucket_quantile(q: float, cumulative: list[float], bounds: tuple[float, ...]) -> float:
    """Prometheus' bucketQuantile for classic histograms, by hand: the first bucket that reaches the rank.

    Each bucket is stretched for itself, so that a wider one may have less: it is raised to the one before it.
    """
    counts: list[float] = []
    for rate_of in cumulative:
        below = counts[-1] if counts else 0.0
        equal = below + rate_of == 0 or abs(rate_of - below) / (below + rate_of) < 1e-12
        counts.append(below if equal and counts else max(below, rate_of))
    if counts[-1] == 0:
        return math.nan
    rank = q * counts[-1]
    for place, bound in enumerate(bounds[:-1]):
        if counts[place] >= rank:
            low, before = (bounds[place - 1], counts[place - 1]) if place else (0.0, 0.0)
            return low + (bound - low) * (rank - before) / (counts[place] - before)
    return bounds[-2]


@st.composite
def questions(draw: st.DrawFn) -> tuple[int, Query, list[tuple[One, int]]]:
    interval = draw(st.sampled_from([1_000_000, 15_000_000, 7_300_000]))
    window = draw(
        st.one_of(
            st.integers(1, 8).map(lambda n: n * interval / 1e6),
            st.floats(0.5, 90).map(lambda seconds: round(seconds, 3)),
        )
    )
    query = Query(
        quantity=draw(st.sampled_from(QUANTITIES)),
        revision=draw(st.sampled_from(["stable", "canary", "all"])),
        window_seconds=window,
        quantile=draw(st.sampled_from([0.01, 0.5, 0.95, 0.99])),
    )
    replications = []
    scrapes = draw(st.integers(0, 14))
    for _ in range(draw(st.integers(1, 4))):
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
    last = len(replications[0][0].counts) - 1
    answers = store.measured(query, rows, now, last, [0.0] * len(rows))
    for row, (one, at) in enumerate(replications):
        wanted = reference(one, query, at, interval)
        assert (answers[row].value is None) == (wanted[0] is None), (row, wanted)
        if wanted[0] is not None:
            assert answers[row].value == pytest.approx(wanted[0], nan_ok=True)
            assert (answers[row].requests, answers[row].errors) == wanted[1:]


def test_the_ring_holds_the_longest_window() -> None:
    """After 200 scrapes the window still reaches as far back as it says, and no further."""
    query = Query(quantity="request_rate", revision="stable", window_seconds=60)
    store = Store(compile_model(scenario(), (query,)), 1)
    store.born[0] = 0
    for k in range(200):
        store.put(k, np.array([0]), np.array([[[0, k * k, 0], [0, 0, 0]]]))
    for after, oldest in ((0, 196), (14_999_999, 196)):
        now = 199 * 15_000_000 + after
        (answer,) = store.measured(query, np.array([0]), np.array([now]), 199, [0.0])
        # 45 s are seen, and the window is stretched to all of its 60 s
        assert answer.value == pytest.approx((199**2 - oldest**2) / 45)
        assert answer.requests == 199**2 - oldest**2


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
    (answer,) = store.measured(query, np.array([0]), np.array([15_000_000]), 1, [0.0])
    # all 40 between 0.1 and 0.5: the median is read as 0.3, although all are below 0.2
    assert answer.value == pytest.approx(0.3)


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
        # the window begins a spacing before the first sample, less than 1.1 spacings: it is stretched to all of it, but
        # for the failed responses where there were none before
        assert answer.requests > 1000
        assert (answer.requests - answer.errors - 1) / 15 <= answer.value <= (answer.requests + 1e-6) / 15
