"""Compiled queries against the general evaluator: the same numbers to the last bit, on any tape of scrapes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import scenario

from sim.model import compile_model
from sim.scrape import Store
from strategies.effects import QUANTITIES, Measured, PromQuery, Query

INTERVAL_US = 15_000_000
BUCKETS = ["50ms", "250ms", "1s"]
CANARY = 'revision="canary"'
RATIO = "sum(rate(istio_requests_total{{{0},response_code=~'5..'}}[{1}])) / sum(rate(istio_requests_total{{{0}}}[{1}]))"
QUERIES = [
    RATIO.format(CANARY, "1m"),
    RATIO.format('namespace="shop"', "45s"),
    f"1 - {RATIO.format(CANARY, '2m')}",
    f"100 * {RATIO.format(CANARY, '7s')}",
    'sum(increase(envoy_cluster_upstream_rq_xx{envoy_response_code_class!="5"}[90s]))',
    'sum(rate(istio_requests_total{revision="stable"}[1m] offset 30s)) - sum(rate(istio_requests_total[1m])) + 0.5',
    'sum(rate(nginx_ingress_controller_requests{canary!="",status!~"[4-5].*"}[1m])) * 60',
    f"histogram_quantile(0.95, sum by (le) (rate(istio_request_duration_milliseconds_bucket{{{CANARY}}}[1m])))",
    "histogram_quantile(0.5, sum(rate(envoy_cluster_upstream_rq_time_bucket[2m])) by (le))",
    f"histogram_quantile(0.99, rate(istio_request_duration_milliseconds_bucket{{{CANARY}}}[90s]))",
]
GENERAL = [
    "sum(rate(http_requests_total[1m]))",  # of pods
    "sum by (revision) (rate(istio_requests_total[1m]))",
    "rate(istio_requests_total[1m])",
    "max(rate(istio_requests_total[1m]))",
    "sum(irate(istio_requests_total[1m]))",
    "sum(rate(istio_requests_total[1m])) > 5",
    "histogram_quantile(0.9, rate(istio_request_duration_milliseconds_bucket[1m]))",
    "sum(rate(istio_requests_total[1m] offset -1m))",
    "sum(rate(istio_requests_totals[1m]))",
    "1 + 1",
]


@dataclass
class Tape:
    """Scrapes of some replications, and when each asks."""

    births: str
    lag_seconds: float
    phase_us: list[int]
    born: list[list[int]]
    counts: np.ndarray[Any, Any]  #: cumulative, [K, R, V, 1 + C]
    late_us: np.ndarray[Any, Any] | None  #: [K, R] of an uneven grid
    failed: np.ndarray[Any, Any] | None  #: [K, R]
    now_us: list[int]


@st.composite
def tapes(draw: st.DrawFn) -> Tape:
    replications, scrapes = draw(st.integers(1, 3)), draw(st.integers(0, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    mean = draw(st.sampled_from([0.05, 2.0, 400.0]))
    steps = rng.poisson(mean, (scrapes, replications, 2, 25)) * (rng.random((scrapes, replications, 2, 25)) < 0.7)
    uneven = draw(st.booleans())
    phase = rng.integers(0, INTERVAL_US, replications)
    late = rng.integers(0, INTERVAL_US, (scrapes, replications)) if uneven else None
    last = phase + (scrapes - 1) * INTERVAL_US
    if late is not None and scrapes:
        last = last + late[-1]
    after = draw(st.sampled_from([0, 1, 999, 7_654_321]))
    return Tape(
        births=draw(st.sampled_from(["start", "first_event"])),
        lag_seconds=draw(st.sampled_from([0.0, 0.0, 20.0])),
        phase_us=phase.tolist(),
        born=rng.choice([0, 0, 2, 99], (replications, 2)).tolist(),
        counts=np.cumsum(steps, axis=0),
        late_us=late,
        failed=rng.random((scrapes, replications)) < 0.3 if uneven else None,
        now_us=(np.maximum(last, 0) + after).tolist(),
    )


def store_of(tape: Tape, texts: list[str], typed: tuple[Query, ...] = ()) -> Store:
    metrics: dict[str, Any] = {"births": {"codes": tape.births}, "lag": tape.lag_seconds, "buckets": BUCKETS}
    if tape.late_us is not None:
        metrics |= {"jitter": "14s", "missed": "30%"}
    reads = (*(PromQuery(text) for text in texts), *typed)
    model = compile_model(scenario(metrics=metrics, slo={"latency": "250ms"}), reads)
    return filled(Store(model, len(tape.phase_us)), tape)


def filled(store: Store, tape: Tape) -> Store:
    """A store with the scrapes of a tape."""
    store.phase_us[:] = tape.phase_us
    store.born[:] = np.where(np.array(tape.born) > 50, 1 << 40, tape.born)
    rows = np.arange(len(tape.phase_us))
    columns = store.counts.shape[3]
    for k, counts in enumerate(tape.counts):
        store.put(k, rows, counts[:, :, :columns])
        if tape.late_us is not None and tape.failed is not None:
            time_us = store.phase_us + k * INTERVAL_US + tape.late_us[k]
            store.mark(k, rows, time_us, np.stack([tape.failed[k], tape.failed[k]], axis=1))
    return store


def answers(store: Store, tape: Tape, ask: PromQuery | Query, *, general: bool) -> list[Measured]:
    rows, now_us, k = np.arange(len(tape.phase_us)), np.array(tape.now_us), len(tape.counts) - 1
    if general:
        assert isinstance(ask, PromQuery)
        return store._general(ask, rows, now_us, k, [0.0] * rows.size)
    return store.measured(ask, rows, now_us, k, [0.0] * rows.size)


@settings(max_examples=120, deadline=None)
@given(tapes())
def test_compiled_and_general_are_equal_to_the_last_bit(tape: Tape) -> None:
    store = store_of(tape, QUERIES)
    for text in QUERIES:
        ask = PromQuery(text)
        assert store.shape(ask) is not None, text
        for one, other in zip(
            answers(store, tape, ask, general=False), answers(store, tape, ask, general=True), strict=True
        ):
            assert repr(one) == repr(other), text


def test_a_series_that_the_catalogue_alone_lets_begin_late_begins_late_in_both() -> None:
    """No word in the file, one label value in the data: its series begins with the first failure, at scrape 9."""
    failing = np.where(np.arange(14)[:, None, None] >= 9, 1, 0) * np.ones((14, 1, 2), dtype=np.int64)
    counts = np.cumsum(np.concatenate([failing[..., None], np.ones((14, 1, 2, 24), dtype=np.int64)], axis=3), axis=0)
    text = f"sum(rate(istio_requests_total{{{CANARY},response_code='500'}}[1m]))"
    for ask_at, there in ((9, False), (10, True)):  # one sample is no rate
        tape = Tape("start", 0.0, [0], [[0, 0]], counts[: ask_at + 1], None, None, [ask_at * INTERVAL_US])
        model = compile_model(scenario(metrics={"buckets": BUCKETS}, slo={"latency": "250ms"}), (PromQuery(text),))
        late = {
            name: tuple(replace(one, born="first_event") if one.part == "failed" else one for one in each)
            for name, each in model.asked.facts.series.items()
        }
        vars(model.asked.facts)["series"] = late
        store = filled(Store(model, 1), tape)
        fast, slow = (answers(store, tape, PromQuery(text), general=general) for general in (False, True))
        assert repr(fast) == repr(slow)
        assert (fast[0].value is not None) is there


@pytest.mark.parametrize("text", GENERAL)
def test_other_queries_are_left_to_the_evaluator(text: str) -> None:
    model = compile_model(scenario(), (PromQuery(text),))
    assert Store(model, 1).shape(PromQuery(text)) is None


@settings(max_examples=60, deadline=None)
@given(tapes(), st.sampled_from(["canary", "stable", "all"]), st.sampled_from([20.0, 60.0, 90.0]))
def test_typed_measures_are_the_promql_of_a_router(tape: Tape, revision: Any, window: float) -> None:
    """The counters are Istio's; its buckets are not those of the scenario, so quantiles are not compared here."""
    which = "" if revision == "all" else f'revision="{revision}"'
    span = f"[{window:g}s]"
    every = f"sum(rate(istio_requests_total{{{which}}}{span}))"

    def ratio(code: str) -> str:
        return f"sum(rate(istio_requests_total{{{', '.join(filter(None, (which, code)))}}}{span})) / {every}"

    texts = {
        "request_rate": every,
        "error_ratio": ratio('response_code=~"5.."'),
        "success_ratio": ratio('response_code!~"5.."'),
    }
    typed = {
        quantity: Query(quantity=quantity, revision=revision, window_seconds=window)
        for quantity in QUANTITIES
        if quantity in texts
    }
    store = store_of(tape, list(texts.values()), tuple(typed.values()))
    for quantity, query in typed.items():
        for one, other in zip(
            answers(store, tape, query, general=False),
            answers(store, tape, PromQuery(texts[quantity]), general=True),
            strict=True,
        ):
            assert repr(one.value) == repr(other.value), quantity


def test_a_tape_with_everything_gives_numbers() -> None:
    """The comparison above would hold between empty answers too: here all ten queries have a value."""
    rng = np.random.default_rng(1)
    counts = np.cumsum(rng.poisson(20.0, (14, 2, 2, 25)), axis=0)
    tape = Tape("start", 0.0, [0, 7_000_000], [[0, 0], [0, 1]], counts, None, None, [13 * INTERVAL_US + 8_000_000] * 2)
    store = store_of(tape, QUERIES)
    for text in QUERIES:
        if "7s" not in text:  # a window that never holds two scrapes
            assert all(one.value is not None for one in answers(store, tape, PromQuery(text), general=False)), text
