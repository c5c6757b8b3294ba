"""AnalysisRuns by their counters, order and schedule: argo-rollouts analysis/analysis.go, utils/evaluate/evaluate.go."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.analysis import Analysis, Condition, Metric, run
from strategies.effects import Abort, Inconclusive, Measure, Measured, Query, Wait

ERRORS = Query(quantity="error_ratio")
LATENCY = Query(quantity="latency_quantile")
BELOW = Condition("<", 0.05)
NAN = math.nan


class Script:
    """Answers one analysis: looks in order (the last one repeats), each taking `query_seconds`; time stands else still."""

    def __init__(self, looks: list[Any] | dict[Query, list[Any]], *, query_seconds: float = 0.0) -> None:
        self.looks = {query: list(values) for query, values in looks.items()} if isinstance(looks, dict) else None
        self.values = [] if isinstance(looks, dict) else list(looks)
        self.query_seconds = query_seconds
        self.now = 0.0
        self.asked: list[tuple[float, Query]] = []

    def value(self, query: Query) -> Any:
        values = self.values if self.looks is None else self.looks[query]
        return values.pop(0) if len(values) > 1 else values[0]

    def play(self, analysis: Analysis, *, most: int = 200) -> str:
        """The end: what it returned, or the failure as text."""
        program = run(analysis)
        try:
            effect = next(program)
            for _ in range(most):
                if isinstance(effect, Wait):
                    self.now += effect.seconds
                    answer = Measured(self.now, None)
                else:
                    assert isinstance(effect, Measure)
                    self.asked.append((self.now, effect.query))
                    self.now += self.query_seconds
                    value = self.value(effect.query)
                    answer = value if isinstance(value, Measured) else Measured(self.now, value)
                effect = program.send(answer)
        except StopIteration as end:
            return f"Successful {end.value}"
        except (Abort, Inconclusive) as failure:
            return f"{type(failure).__name__} {failure}"
        return "Running"

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.asked]


def one(**settings: Any) -> Analysis:
    settings.setdefault("success", BELOW)
    return Analysis(name="check", metrics=(Metric(name="errors", query=ERRORS, **settings),))


# --- the counters, in Argo's order -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "looks", "end", "times"),
    [
        # no interval and no count: one measurement, at once
        ({}, [0.0], "Successful errors: 1 measurements, 0 failed", [0]),
        ({}, [0.1], "Abort errors: 1 failed measurement > failureLimit 0; last 0.1", [0]),
        # a count and an interval; the first at once
        ({"count": 3, "interval_seconds": 60}, [0.0], "Successful errors: 3 measurements, 0 failed", [0, 60, 120]),
        # the first one after initialDelay
        ({"initial_delay_seconds": 90, "count": 2, "interval_seconds": 60}, [0], "Successful", [90, 150]),
        # failureLimit 3: the fourth failure ends it, and not the third
        (
            {"interval_seconds": 60, "failure_limit": 3},
            [1.0],
            "Abort errors: 4 failed measurements > failureLimit 3; last 1",
            [0, 60, 120, 180],
        ),
        # failures need not be consecutive
        ({"interval_seconds": 60, "failure_limit": 1}, [1, 0, 0, 1, 0], "Abort errors: 2 failed", [0, 60, 120, 180]),
        # failures within the limit do not prevent success, even if every measurement failed
        ({"interval_seconds": 60, "count": 3, "failure_limit": 3}, [1.0], "Successful", [0, 60, 120]),
        # at the last measurement the limit is asked first, then the count
        ({"interval_seconds": 60, "count": 2, "failure_limit": 1}, [1.0], "Abort errors: 2 failed", [0, 60]),
        # -1 turns the limit off
        ({"interval_seconds": 60, "count": 4, "failure_limit": -1}, [1.0], "Successful", [0, 60, 120, 180]),
        # an error (an empty vector) is asked again after 10 s, whatever the interval; the fifth in a row ends it
        (
            {"interval_seconds": 60},
            [None],
            "Abort errors: 5 consecutive errors > consecutiveErrorLimit 4; last no data",
            [0, 10, 20, 30, 40],
        ),
        ({"interval_seconds": 60, "consecutive_error_limit": 0}, [None], "Abort errors: 1 consecutive error >", [0]),
        # a measurement in between starts the count of errors again
        (
            {"interval_seconds": 60},
            [None, None, None, None, 0.0, None],
            "Abort errors: 5 consecutive errors",
            [0, 10, 20, 30, 40, 100, 110, 120, 130, 140],
        ),
        # so does a failed one
        (
            {"interval_seconds": 60, "failure_limit": 9, "consecutive_error_limit": 1},
            [None, 1.0, None, 1.0, None],
            "Abort errors: 2 consecutive errors",
            [0, 10, 70, 80, 140, 150],
        ),
        # an error does not count as a measurement
        ({"interval_seconds": 60, "count": 2}, [0.0, None, None, 0.0], "Successful errors: 2", [0, 60, 70, 80]),
        ({}, [None, 0.0], "Successful", [0, 10]),
        # an interval and no count: for ever
        ({"interval_seconds": 60}, [0.0], "Running", [60 * i for i in range(100)]),
    ],
)
def test_counters(settings: dict[str, Any], looks: list[Any], end: str, times: list[float]) -> None:
    script = Script(looks)
    assert script.play(one(**settings)).startswith(end)
    assert script.times == times


def test_the_next_measurement_is_due_an_interval_after_the_end_of_the_last() -> None:
    script = Script([0.0], query_seconds=2.5)
    script.play(one(interval_seconds=60, count=4))
    assert script.times == [0, 62.5, 125, 187.5]


def test_an_error_is_retried_ten_seconds_after_its_end() -> None:
    script = Script([None], query_seconds=2.5)
    script.play(one(interval_seconds=60))
    assert script.times == [0, 12.5, 25, 37.5, 50]


# --- conditions: T/F, NaN and the empty vector -------------------------------------------------------------------

ABOVE = Condition(">", 0.2)


@pytest.mark.parametrize(
    ("success", "failure", "value", "end"),
    [
        (BELOW, None, 0.01, "Successful"),
        (BELOW, None, 0.05, "Abort"),
        (BELOW, None, NAN, "Abort"),
        (BELOW, None, None, "Abort errors: 1 consecutive error"),
        (None, ABOVE, 0.3, "Abort"),
        (None, ABOVE, 0.1, "Successful"),
        (None, ABOVE, NAN, "Successful"),  # fails open
        (None, ABOVE, None, "Abort errors: 1 consecutive error"),
        (BELOW, ABOVE, 0.01, "Successful"),
        (BELOW, ABOVE, 0.3, "Abort"),
        (BELOW, ABOVE, 0.1, "Inconclusive errors: 1 inconclusive measurement > inconclusiveLimit 0; last 0.1"),
        (BELOW, Condition("<", 0.1), 0.01, "Inconclusive"),  # both hold
        (BELOW, ABOVE, NAN, "Inconclusive errors: 1 inconclusive measurement > inconclusiveLimit 0; last NaN"),
        (BELOW, ABOVE, None, "Abort errors: 1 consecutive error"),
        (None, None, 7.0, "Successful"),
        (None, None, NAN, "Successful"),
        (None, None, None, "Successful"),
    ],
)
def test_conditions(success: Condition | None, failure: Condition | None, value: Any, end: str) -> None:
    analysis = one(success=success, failure=failure, consecutive_error_limit=0)
    assert Script([value]).play(analysis).startswith(end)


def test_inconclusive_measurements_within_the_limit_count() -> None:
    analysis = one(failure=ABOVE, inconclusive_limit=2, interval_seconds=10, count=5)
    assert Script([0.1, 0.1, 0.0, 0.0, 0.0]).play(analysis) == "Successful errors: 5 measurements, 0 failed"
    script = Script([0.1])
    assert script.play(analysis).startswith("Inconclusive errors: 3 inconclusive measurements > inconclusiveLimit 2")
    assert script.times == [0, 10, 20]


def test_the_reason_names_the_evidence() -> None:
    look = Measured(0.0, 0.0521, requests=1203, errors=63)
    assert Script([look]).play(one()) == (
        "Abort errors: 1 failed measurement > failureLimit 0; last 0.0521 of 1203 requests"
    )


# --- several metrics ---------------------------------------------------------------------------------------------


def two(first: dict[str, Any], second: dict[str, Any]) -> Analysis:
    return Analysis(
        name="both",
        metrics=(
            Metric(name="errors", query=ERRORS, success=BELOW, **first),
            Metric(name="latency", query=LATENCY, success=Condition("<=", 0.5), **second),
        ),
    )


def test_each_metric_keeps_its_own_schedule() -> None:
    script = Script({ERRORS: [0.0], LATENCY: [0.1]})
    analysis = two(
        {"interval_seconds": 60, "count": 3}, {"interval_seconds": 25, "count": 4, "initial_delay_seconds": 5}
    )
    assert script.play(analysis).startswith("Successful")
    assert [at for at, query in script.asked if query == ERRORS] == [0, 60, 120]
    assert [at for at, query in script.asked if query == LATENCY] == [5, 30, 55, 80]
    assert analysis.queries == (ERRORS, LATENCY)
    assert not analysis.endless


def test_the_first_metric_that_ends_badly_ends_the_run() -> None:
    script = Script({ERRORS: [0.0], LATENCY: [0.1, 0.1, 2.0]})
    analysis = two({"interval_seconds": 60}, {"interval_seconds": 25})
    assert script.play(analysis) == "Abort latency: 1 failed measurement > failureLimit 0; last 2"
    assert script.now == 50
    assert analysis.endless


def test_a_metric_that_is_successful_leaves_the_other_running() -> None:
    script = Script({ERRORS: [0.0], LATENCY: [0.1]})
    assert script.play(two({}, {"interval_seconds": 25})) == "Running"
    assert [query for _, query in script.asked].count(ERRORS) == 1


@pytest.mark.parametrize("swap", [False, True])
def test_of_two_that_end_at_the_same_time_the_worse_counts(swap: bool) -> None:
    unsure = Metric(name="unsure", query=ERRORS, success=BELOW, failure=ABOVE)
    failing = Metric(name="failing", query=LATENCY, success=Condition("<=", 0.5))
    metrics = (failing, unsure) if swap else (unsure, failing)
    script = Script({ERRORS: [0.1], LATENCY: [2.0]})
    assert script.play(Analysis(name="both", metrics=metrics)).startswith("Abort failing")


looks = st.lists(st.sampled_from([0.0, 0.1, 0.3, NAN, None]), min_size=1, max_size=12)


@given(
    looks=looks,
    count=st.one_of(st.none(), st.integers(3, 6)),
    failure_limit=st.integers(-1, 3),
    inconclusive_limit=st.integers(0, 3),
    error_limit=st.integers(0, 4),
    delay=st.sampled_from([0.0, 7.0]),
)
def test_a_metric_in_company_does_what_it_does_alone(
    looks: list[Any],
    count: int | None,
    failure_limit: int,
    inconclusive_limit: int,
    error_limit: int,
    delay: float,
) -> None:
    metric = Metric(
        name="errors",
        query=ERRORS,
        interval_seconds=60,
        initial_delay_seconds=delay,
        count=count,
        failure_limit=failure_limit,
        inconclusive_limit=inconclusive_limit,
        consecutive_error_limit=error_limit,
        success=BELOW,
        failure=ABOVE,
    )
    quiet = Metric(name="quiet", query=LATENCY, initial_delay_seconds=1.0)
    alone, together = Script({ERRORS: looks}), Script({ERRORS: looks, LATENCY: [0.0]})
    end = alone.play(Analysis(name="alone", metrics=(metric,)), most=60)
    assert end.removeprefix("Successful ") in together.play(Analysis(name="both", metrics=(metric, quiet)), most=90)
    times = [at for at, query in together.asked if query == ERRORS]
    assert times[: len(alone.times)] == alone.times[: len(times)]


# --- reading and refusing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("result[0] >= 0.95", Condition(">=", 0.95)),
        ("result >= 1", Condition(">=", 1.0)),
        ("asFloat(result[0]) < 5e-2", Condition("<", 0.05)),
        ("  asFloat( result ) != -3.5 ", Condition("!=", -3.5)),
        ("result[0]==.5", Condition("==", 0.5)),
        ("result[ 0 ] <= 2.", Condition("<=", 2.0)),
    ],
)
def test_a_condition_is_read(text: str, condition: Condition) -> None:
    assert Condition.parse(text) == condition


@pytest.mark.parametrize(
    "text",
    ["", "result[1] > 3", "result[0] >= 0.95 && result[0] < 2", "0.95 <= result[0]", "len(result) > 0", "result[0] > x",
     "asFloat(result[0] > 3", "asInt(result[0]) > 3", "result[0] >= 0.95%", "result => 1", "result[0] > 1_0"],
)  # fmt: skip
def test_a_richer_condition_is_refused_with_what_is_supported(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected one comparison with a number, such as result\[0\] >= 0.95"):
        Condition.parse(text)


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "==", "!="])
@given(value=st.floats(allow_nan=True))
def test_a_condition_compares_as_the_language_does(op: str, value: float) -> None:
    expected = {
        "<": value < 0.5, "<=": value <= 0.5, ">": value > 0.5, ">=": value >= 0.5, "==": value == 0.5,
        "!=": value != 0.5,
    }[op]  # fmt: skip
    assert Condition(op, 0.5).holds(value) is expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interval_seconds": 0}, "interval_seconds must be above 0"),
        ({"initial_delay_seconds": -1}, "initial_delay_seconds must be 0 or more"),
        ({"count": 0}, "count must be 1 or more"),
        ({"count": 2}, "count 2 needs an interval"),
        ({"count": 2, "interval_seconds": 1, "failure_limit": 3}, "count must be at least failure_limit 3, got 2"),
        ({"count": 2, "interval_seconds": 1, "inconclusive_limit": 3}, "at least inconclusive_limit 3"),
        ({"failure_limit": -2}, "failure_limit must be -1"),
        ({"inconclusive_limit": -1}, "inconclusive_limit must be 0 or more"),
        ({"consecutive_error_limit": -1}, "consecutive_error_limit must be 0 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"metric 'errors': .*{message}"):
        one(**settings)


def test_an_analysis_needs_a_metric_and_a_condition_a_known_operator() -> None:
    with pytest.raises(ValueError, match="analysis 'none': expected at least one metric"):
        Analysis(name="none", metrics=())
    with pytest.raises(ValueError, match="op must be one of"):
        Condition("=>", 1.0)
    with pytest.raises(ValueError, match="threshold must be a number"):
        Condition("<", NAN)
