"""Many replications at once give the same bits as each alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.metrics.promql import Scalar, evaluate, evaluate_each, parse
from strategies.metrics.promql.aggregate import OPERATORS
from strategies.metrics.promql.functions import FUNCTIONS
from strategies.metrics.series import SeriesStore

QUERIES = (
    'sum(rate(hits{code=~"5.."}[5m])) / sum(rate(hits[5m]))',
    "sum by (pod) (increase(hits[2m]))",
    "avg(irate(hits[2m])) + min(delta(hits[5m])) - max(idelta(hits[1m]))",
    "deriv(hits[5m]) * 3 ^ 0.37 % 7",
    "predict_linear(hits[5m], 60) atan2 hits",
    "resets(hits[5m]) + changes(hits[5m])",
    "histogram_quantile(0.9, sum by (le) (rate(lat_bucket[5m])))",
    "histogram_quantile(0.5, lat_bucket)",
    "avg_over_time(hits[3m]) / count_over_time(hits[3m])",
    "min_over_time(hits[3m]) - max_over_time(hits[3m])",
    "sum_over_time(hits[3m]) * last_over_time(hits[3m])",
    "present_over_time(hits[3m]) + quantile_over_time(0.37, hits[3m])",
    "stddev_over_time(hits[3m]) + stdvar_over_time(hits[3m])",
    "stddev(hits) + stdvar(hits) + scalar(group(hits))",
    'absent(hits{code="500"}) or absent_over_time(hits{pod="b"}[1m])',
    "ln(hits) + log2(hits) + log10(hits) + exp(hits / 1e4) + sqrt(hits)",
    "abs(ceil(hits) - floor(hits) + round(hits, 7) + sgn(hits))",
    "clamp(hits, 3, 90) + clamp_min(hits, 10) + clamp_max(hits, 50)",
    "sort(hits) > 5",
    "sort_desc(hits)",
    "topk(2, hits)",
    "bottomk by (code) (1, hits)",
    "quantile(0.9, hits)",
    'count_values("value", round(hits, 50))',
    "count without (pod) (hits > 20)",
    'label_replace(hits, "new", "$1", "pod", "(.)") * on(pod, code) label_join(hits, "both", "-", "pod", "code")',
    "hits / on(pod) group_left() sum by (pod) (hits)",
    "hits unless on(pod) (hits > 100) and hits",
    "timestamp(hits) - time() + on() group_left() vector(scalar(sum(hits)))",
    "max_over_time(rate(hits[1m])[5m:30s])",
    "hits offset 1m - hits offset -1m",
    "-hits @ 300",
)
GROWING = ("hits", "lat_bucket")


def world(seed: int, replications: int, *, gaps: float) -> tuple[SeriesStore, list[SeriesStore]]:
    """Counters with resets, gaps, staleness markers and NaN: all replications in one store, and each in its own."""
    dice = np.random.default_rng(seed)
    together, alone = SeriesStore(replications), [SeriesStore() for _ in range(replications)]
    times = dice.integers(0, 15_000, (replications, 1)) + np.arange(40) * 15_000
    rows: list[Mapping[str, str]] = [
        {"__name__": "hits", "pod": pod, "code": code} for pod in "ab" for code in ("200", "500")
    ]
    rows += [{"__name__": "lat_bucket", "le": le} for le in ("0.1", "0.5", "+Inf")]
    for number, labels in enumerate(rows):
        values = np.cumsum(dice.random((replications, 40)) * (1 + number), axis=1) * 7.3
        values = np.where(dice.random(values.shape) < 0.05, 0.3, values)
        values = np.where(dice.random(values.shape) < 0.01, np.nan, values)
        kept, stale = dice.random(values.shape) >= gaps, dice.random(values.shape) < gaps / 5
        together.add(labels, times_ms=times, values=values, kept=kept, stale=stale)
        for row, store in enumerate(alone):
            store.add(labels, times_ms=times[row], values=values[row], kept=kept[row], stale=stale[row])
    return together, alone


def rows_of(value: object, row: int) -> dict[tuple[tuple[str, str], ...], bytes]:
    """The answer of one replication, to the bit."""
    if isinstance(value, Scalar):
        return {(): value.values[row].tobytes()}
    return {
        tuple(sorted(labels.items())): value.values[place, row].tobytes()  # type: ignore[attr-defined]
        for place, labels in enumerate(value.labels)  # type: ignore[attr-defined]
        if value.kept[place, row]  # type: ignore[attr-defined]
    }


@pytest.mark.parametrize("text", QUERIES)
@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_a_replication_has_the_same_bits_alone_and_among_others(text: str, gaps: float) -> None:
    together, alone = world(1, 37, gaps=gaps)
    query = parse(text)
    at_ms = 400_000 + np.random.default_rng(2).integers(0, 200_000, 37)
    value, failures = evaluate_each(query, together, at_ms)
    said = 0
    for row, store in enumerate(alone):
        single, failure = evaluate_each(query, store, at_ms[row : row + 1])
        assert (row in failures) is bool(failure)
        if not failure:
            assert rows_of(single, 0) == rows_of(value, row)
            said += bool(rows_of(single, 0))
    assert said > 0 or text.startswith("absent")


def test_the_queries_above_use_every_function() -> None:
    everything = " ".join(QUERIES)
    assert [
        name for name in (*FUNCTIONS, *OPERATORS) if f"{name}(" not in everything and f"{name} " not in everything
    ] == []


@given(seed=st.integers(0, 10_000), text=st.sampled_from(QUERIES), gaps=st.sampled_from([0.0, 0.1, 0.6]))
@settings(max_examples=60, deadline=None)
def test_the_order_of_replications_does_not_matter(seed: int, text: str, gaps: float) -> None:
    together, alone = world(seed, 3, gaps=gaps)
    at_ms = np.random.default_rng(seed).integers(0, 700_000, 3)
    value, failures = evaluate_each(parse(text), together, at_ms)
    single, failure = evaluate_each(parse(text), alone[2], at_ms[2:])
    assert (2 in failures) is bool(failure)
    assert bool(failure) or rows_of(single, 0) == rows_of(value, 2)


def test_each_replication_is_asked_at_its_own_time() -> None:
    store = SeriesStore(3)
    store.add({"__name__": "up"}, times_ms=[0, 60_000], values=[1.0, 2.0])
    value = evaluate(parse("up"), store, np.array([30_000, 60_000, 400_000]))
    assert value.values.tolist()[0][:2] == [1.0, 2.0]
    assert value.kept.tolist() == [[True, True, False]]  # type: ignore[union-attr]


def test_an_error_belongs_to_the_replication_that_has_it() -> None:
    store = SeriesStore(2)
    store.add({"__name__": "a", "pod": "x"}, times_ms=[0], values=[1.0])
    store.add({"__name__": "a", "pod": "y"}, times_ms=[0], values=[[1.0], [2.0]], kept=[[True], [False]])
    value, failures = evaluate_each(parse("a * ignoring(pod) a"), store, np.array([0, 0]))
    assert list(failures) == [0]
    assert "many-to-many" in failures[0].problem
    assert value.kept[:, 1].tolist() == [True]  # type: ignore[union-attr]


def test_a_sum_of_many_series_is_added_in_one_order() -> None:
    """numpy adds more than eight numbers in pairs when they lie side by side, as they do in one replication alone."""
    dice = np.random.default_rng(3)
    together, alone = SeriesStore(7), SeriesStore()
    for pod in range(40):
        values = dice.random((7, 1)) * 10.0 ** dice.integers(-8, 8)
        together.add({"__name__": "m", "pod": str(pod)}, times_ms=[0], values=values)
        alone.add({"__name__": "m", "pod": str(pod)}, times_ms=[0], values=values[3])
    for text in ("sum(m)", "avg(m)", "stddev(m)", "stdvar(m)", "quantile(0.3, m)"):
        many, one = (
            evaluate(parse(text), together, np.zeros(7, dtype=np.int64)),
            evaluate(parse(text), alone, np.array([0])),
        )
        assert rows_of(many, 3) == rows_of(one, 0), text


def test_an_error_at_a_step_that_a_replication_does_not_have_is_not_its_error() -> None:
    """The second replication has one step, at 60 s; the pods clash from 120 s on, where only others would look."""
    store = SeriesStore(2)
    store.add({"__name__": "m", "pod": "a"}, times_ms=[0, 60_000, 120_000], values=[1.0, 1.0, 1.0])
    store.add({"__name__": "m", "pod": "b"}, times_ms=[120_000], values=[1.0])
    query = parse("count_over_time((m * on() m)[90s:60s])")
    value, failures = evaluate_each(query, store, np.array([60_000, 110_000]))
    assert failures == {}
    assert value.values.tolist() == [[2.0, 1.0]]
    assert list(evaluate_each(query, store, np.array([60_000, 120_000]))[1]) == [1]


def test_times_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at_ms must have shape \(2,\), got \(1,\)"):
        evaluate(parse("up"), SeriesStore(2), np.array([0]))
