"""The rules of Prometheus, one by one, on numbers that can be checked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.metrics.promql import PROMETHEUS_2_42, PROMETHEUS_3, PromqlError, Rules, Vector, evaluate, parse
from strategies.metrics.promql.extrapolate import extrapolated
from strategies.metrics.promql.quantile import bucket_quantile, value_quantile
from strategies.metrics.series import SeriesStore

NAN = math.nan


def ask(
    text: str, series: dict[str, list[float | str]], at_s: float, *, every_s: int = 60, rules: Rules = PROMETHEUS_3
) -> list[float]:
    """The numbers of an answer; series are pods of the metric `m`, with `_` for no sample and `x` for a marker."""
    store = SeriesStore()
    for pod, values in series.items():
        store.add(
            {"__name__": "m", "pod": pod},
            times_ms=np.arange(len(values)) * every_s * 1000,
            values=[NAN if isinstance(value, str) else value for value in values],
            kept=[value != "_" for value in values],
            stale=[value == "x" for value in values],
        )
    value = evaluate(parse(text), store, np.array([round(at_s * 1000)]), rules=rules)
    return value.numbers(0) if isinstance(value, Vector) else value.values.tolist()


def test_a_window_is_open_at_its_beginning_in_version_3_only() -> None:
    series = {"a": [1.0, 2.0, 3.0, 4.0]}
    assert ask("count_over_time(m[2m])", series, 180) == [2.0]
    assert ask("count_over_time(m[2m])", series, 180, rules=PROMETHEUS_2_42) == [3.0]
    assert ask("count_over_time(m[2m])", series, 179) == [2.0]  # off the grid there is no difference
    assert ask("count_over_time(m[2m])", series, 179, rules=PROMETHEUS_2_42) == [2.0]
    assert ask("count_over_time(m[2m:1m])", series, 180) == [2.0]
    assert ask("count_over_time(m[2m:1m])", series, 180, rules=PROMETHEUS_2_42) == [3.0]


def test_an_instant_selector_finds_a_sample_for_five_minutes() -> None:
    assert ask("m", {"a": [7.0]}, 299.999) == [7.0]
    assert ask("m", {"a": [7.0]}, 300) == []
    assert ask("m", {"a": [7.0]}, 300, rules=PROMETHEUS_2_42) == [7.0]
    assert ask("m", {"a": [7.0]}, 300.001, rules=PROMETHEUS_2_42) == []


def test_a_marker_ends_a_series_at_once_and_is_no_sample_of_a_window() -> None:
    series: dict[str, list[float | str]] = {"a": [1.0, 2.0, "x"]}
    assert ask("m", series, 119) == [2.0]
    assert ask("m", series, 120) == []
    assert ask("count_over_time(m[5m])", series, 120) == [2.0]
    assert ask("absent(m)", series, 120) == [1.0]


def test_nan_is_a_sample() -> None:
    assert math.isnan(ask("m", {"a": [NAN]}, 0)[0])
    assert ask("count_over_time(m[1m])", {"a": [NAN]}, 0) == [1.0]
    assert ask("max_over_time(m[5m])", {"a": [NAN, 1.0, NAN]}, 120) == [1.0]
    assert ask("m > 0", {"a": [NAN]}, 0) == []
    assert ask("m != 0", {"a": [NAN]}, 0) != []


def test_a_rate_needs_two_samples() -> None:
    assert ask("rate(m[1m])", {"a": [1.0, 2.0, 3.0]}, 120) == []
    assert ask("rate(m[2m])", {"a": [1.0, 2.0, 3.0]}, 120) == [pytest.approx(1 / 60)]
    assert ask("irate(m[90s])", {"a": [1.0, 2.0, 8.0]}, 130) == [pytest.approx(0.1)]


def test_nothing_over_nothing_is_nothing_and_zero_over_zero_is_nan() -> None:
    assert ask('sum(m{pod="b"}) / sum(m)', {"a": [0.0]}, 0) == []
    assert math.isnan(ask("sum(m) / sum(m)", {"a": [0.0]}, 0)[0])
    assert ask("sum(m) / 0", {"a": [3.0]}, 0) == [math.inf]


@pytest.mark.parametrize(
    ("values", "at_s", "increase"),
    [
        # samples at 60, 120, 180 and 240 s of (0, 300]: 60 s to each edge is within 1.1 spacings -> 300 s / 180 s
        ([900.0, 903.0, 906.0, 909.0, 912.0], 300, 15.0),
        # a reset: 6, then 2 and 5: 5 - 6 + 6 = 5 up to 120 s; the windows ends 60 s later; to the left 60 s
        ([1e6, 6.0, 2.0, 5.0], 180, 5.0 * (120 + 120 * 6 / 5 if 120 * 6 / 5 < 60 else 120 + 60) / 120),
        # born at 0: nothing was there before the first sample
        (["_", "_", 0.0, 3.0, 6.0], 300, 6.0 * (120 + 0 + 60) / 120),
        # would have been zero 20 s before the first sample
        (["_", "_", 1.0, 4.0, 7.0], 300, 6.0 * (120 + 20 + 60) / 120),
        # far from the left edge (120 s): half a spacing, 30 s
        (["_", "_", 100.0, 103.0, 106.0], 300, 6.0 * (120 + 30 + 60) / 120),
    ],
)  # fmt: skip
def test_increase_is_stretched_to_the_window(values: list[float | str], at_s: float, increase: float) -> None:
    window = "5m" if at_s == 300 else "3m"
    assert ask(f"increase(m[{window}])", {"a": values}, at_s) == [pytest.approx(increase)]


def test_a_reset_behind_a_missed_scrape_is_a_reset() -> None:
    series: dict[str, list[float | str]] = {"a": [100.0, 110.0, "_", 4.0, 14.0]}
    assert ask("increase(m[5m])", series, 240) == [pytest.approx((14 - 100 + 110) * 300 / 240)]
    assert ask("resets(m[5m])", series, 240) == [1.0]


def test_a_series_that_is_not_there_adds_nothing() -> None:
    series: dict[str, list[float | str]] = {"a": [2.0, 2.0], "b": ["_", "_"], "c": [4.0, "x"], "d": [8.0, 8.0]}
    for at_s, there in ((0, [2.0, 4.0, 8.0]), (60, [2.0, 8.0])):
        for name, of in (
            ("sum", np.sum),
            ("avg", np.mean),
            ("min", np.min),
            ("max", np.max),
            ("stddev", np.std),
            ("stdvar", np.var),
            ("count", len),
        ):
            assert ask(f"{name}(m)", series, at_s) == [pytest.approx(float(of(there)))], name  # type: ignore[operator]
        assert ask("quantile(0.5, m)", series, at_s) == [pytest.approx(float(np.median(there)))]


def test_a_remainder_has_the_sign_of_what_is_divided() -> None:
    assert ask("vector(-5) % 3", {}, 0) == [-2.0]
    assert ask("-5 % 3", {}, 0) == [-2.0]
    assert ask("-2 ^ 2", {}, 0) == [-4.0]


def test_the_zero_point_shortens_the_stretch_and_never_lengthens_it_in_version_3() -> None:
    # 120 s from the left edge, zero point 40 s before the first sample, half a spacing is 30 s
    series: dict[str, list[float | str]] = {"a": ["_", "_", 2.0, 5.0, 8.0]}
    assert ask("increase(m[5m])", series, 300) == [pytest.approx(6.0 * (120 + 30 + 60) / 120)]
    old = ask("increase(m[299s])", series, 300, rules=PROMETHEUS_2_42)
    assert old == [pytest.approx(6.0 * (120 + 40 + 60) / 120)]


@given(
    first=st.floats(0, 1e6), steps=st.lists(st.floats(0, 1e3), min_size=1, max_size=20), early=st.integers(0, 200_000)
)
@settings(max_examples=200, deadline=None)
def test_a_counter_is_never_stretched_below_zero(first: float, steps: list[float], early: int) -> None:
    rise = float(np.sum(steps))
    last_ms = 15_000 * len(steps)
    value, ok = extrapolated(
        np.array(0), np.array(first), np.array(last_ms), np.array(rise), np.array(len(steps) + 1),
        np.array(last_ms), last_ms + early, is_counter=True, is_rate=False,
    )  # fmt: skip
    assert bool(ok)
    before = float(value) - rise  # what is added to the left of the first sample
    assert -1e-9 * rise <= before <= first * (1 + 1e-9) + 1e-9
    assert before <= 1.1 * rise / len(steps) * (1 + 1e-9) + 1e-9


def naive_bucket_quantile(q: float, bounds: list[float], counts: list[float]) -> float:
    """The textbook: the bucket that holds the rank, linear inside."""
    if not counts[-1]:
        return NAN
    rank = q * counts[-1]
    place = next(i for i, count in enumerate(counts) if count >= rank)
    if place == len(counts) - 1:
        return bounds[-2]
    low = bounds[place - 1] if place else 0.0
    before = counts[place - 1] if place else 0.0
    if place == 0 and bounds[0] <= 0:
        return bounds[0]
    return low + (bounds[place] - low) * (rank - before) / (counts[place] - before) if counts[place] > before else NAN


@given(
    q=st.floats(0.01, 1),
    steps=st.lists(st.integers(0, 20), min_size=3, max_size=6),
    start=st.sampled_from([-1.0, 0.0, 0.1]),
)
@settings(max_examples=300, deadline=None)
def test_a_bucket_quantile_is_the_textbook_s(q: float, steps: list[int], start: float) -> None:
    counts = np.cumsum(steps).astype(float)
    bounds = [start + place for place in range(len(steps) - 1)] + [math.inf]
    expected = naive_bucket_quantile(q, bounds, counts.tolist())
    found = bucket_quantile(q, np.array(bounds), counts[:, None])
    assert found.tolist() == [pytest.approx(expected, nan_ok=True)]


@pytest.mark.parametrize(
    ("q", "bounds", "counts", "expected"),
    [
        (NAN, [1.0, math.inf], [1.0, 2.0], NAN),
        (-0.1, [1.0, math.inf], [1.0, 2.0], -math.inf),
        (1.1, [1.0, math.inf], [1.0, 2.0], math.inf),
        (0.5, [1.0, 2.0], [1.0, 2.0], NAN),  # no +Inf bucket
        (0.5, [math.inf], [2.0], NAN),  # one bucket
        (0.5, [1.0, math.inf], [0.0, 0.0], NAN),
        (0.99, [1.0, 2.0, math.inf], [1.0, 1.0, 9.0], 2.0),  # in the last bucket
        (0.5, [1.0, 2.0, math.inf], [10.0, 8.0, 10.0], 0.5),  # a count that falls is raised
    ],
)
def test_bucket_quantiles_out_of_the_ordinary(
    q: float, bounds: list[float], counts: list[float], expected: float
) -> None:
    found = bucket_quantile(q, np.array(bounds), np.array(counts)[:, None])
    assert found.tolist() == [pytest.approx(expected, nan_ok=True)]


def test_counts_that_differ_by_rounding_are_equal_in_version_3() -> None:
    bounds, counts = np.array([1.0, 10.0, math.inf]), np.array([[100.0], [100.0], [100.0 + 1e-12]])
    assert bucket_quantile(1.0, bounds, counts).tolist() == [1.0]
    assert bucket_quantile(1.0, bounds, counts, merge_close=False).tolist() == [10.0]


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12), q=st.floats(0, 1), gone=st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_a_value_quantile_is_numpy_s(values: list[float], q: float, gone: int) -> None:
    rows = np.array([*values, *[5e6] * gone])[:, None]
    kept = np.array([True] * len(values) + [False] * gone)[:, None]
    assert value_quantile(q, rows, kept).tolist() == [pytest.approx(float(np.quantile(values, q)), rel=1e-9, abs=1e-6)]


def test_the_answer_is_in_the_order_that_was_asked_for() -> None:
    series: dict[str, list[float | str]] = {"a": [2.0], "b": [NAN], "c": [3.0], "d": [1.0], "e": ["_"]}
    assert ask("m", series, 0)[2:] == [3.0, 1.0]
    assert ask("sort(m)", series, 0)[:3] == [1.0, 2.0, 3.0]
    assert ask("sort_desc(m)", series, 0)[:3] == [3.0, 2.0, 1.0]
    assert ask("topk(2, m)", series, 0) == [3.0, 2.0]
    assert ask("bottomk(2, m)", series, 0) == [1.0, 2.0]
    assert len(ask("topk(9, m)", series, 0)) == 4


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("m * ignoring(pod) m", "found duplicate series for the match group {} on the right hand-side"),
        ("m * on() group_left() m", "on the right hand-side"),
        ("m * on() group_right() m", "on the left hand-side"),
        ("m * on() sum(m)", "many-to-one matching must be explicit"),
        ('label_replace(m, "pod", "x", "pod", ".*")', "vector cannot contain metrics with the same labelset"),
        ('rate({pod=~"a|b"}[5m]) or label_replace(rate(m[5m]), "pod", "a", "", "")', "same labelset"),
        ("topk(NaN, m)", "the parameter of topk is no whole number"),
        ("m + on(pod) group_left(pod, x) (sum by (pod) (m)) or abs({__name__=~\"m|n\"})", "must not occur in ON and GROUP"),
    ],
)  # fmt: skip
def test_what_prometheus_refuses_at_evaluation(text: str, problem: str) -> None:
    with pytest.raises(PromqlError) as caught:
        ask(text, {"a": [1.0, 2.0], "b": [2.0, 3.0]}, 60)
    assert problem in caught.value.problem


def test_a_selector_that_finds_too_many_series_is_refused() -> None:
    store = SeriesStore()
    for number in range(10_001):
        store.add({"__name__": "m", "n": str(number)}, times_ms=[0], values=[1.0])
    with pytest.raises(PromqlError, match="the selector finds more than 10000 series"):
        evaluate(parse("sum(m)"), store, np.array([0]))
