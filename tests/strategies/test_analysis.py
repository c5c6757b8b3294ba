"""AnalysisRuns by their counters, order and schedule: argo-rollouts analysis/analysis.go, utils/evaluate/evaluate.go."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.analysis import Analysis, Condition, Expression, Metric, Phase, Script, run
from strategies.effects import Abort, Inconclusive, Measure, Measured, Note, PromQuery, Query, Wait

ERRORS = Query(quantity="error_ratio")
LATENCY = Query(quantity="latency_quantile")
BELOW = Condition("<", 0.05)
NAN = math.nan


class World:
    """Answers one analysis: looks in order (the last one repeats), each taking `query_seconds`; time stands else still."""

    def __init__(self, looks: list[Any] | dict[Query, list[Any]], *, query_seconds: float = 0.0) -> None:
        self.looks = {query: list(values) for query, values in looks.items()} if isinstance(looks, dict) else None
        self.values = [] if isinstance(looks, dict) else list(looks)
        self.query_seconds = query_seconds
        self.now = 0.0
        self.asked: list[tuple[float, Query]] = []
        self.notes: list[str] = []

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
                elif isinstance(effect, Note):
                    self.notes.append(effect.text)
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
    script = World(looks)
    assert script.play(one(**settings)).startswith(end)
    assert script.times == times


def test_the_next_measurement_is_due_an_interval_after_the_end_of_the_last() -> None:
    script = World([0.0], query_seconds=2.5)
    script.play(one(interval_seconds=60, count=4))
    assert script.times == [0, 62.5, 125, 187.5]


def test_an_error_is_retried_ten_seconds_after_its_end() -> None:
    script = World([None], query_seconds=2.5)
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
    assert World([value]).play(analysis).startswith(end)


def test_inconclusive_measurements_within_the_limit_count() -> None:
    analysis = one(failure=ABOVE, inconclusive_limit=2, interval_seconds=10, count=5)
    assert World([0.1, 0.1, 0.0, 0.0, 0.0]).play(analysis) == (
        "Successful errors: 5 measurements, 0 failed, 2 inconclusive"
    )
    script = World([0.1])
    assert script.play(analysis).startswith("Inconclusive errors: 3 inconclusive measurements > inconclusiveLimit 2")
    assert script.times == [0, 10, 20]


def test_the_reason_names_the_evidence() -> None:
    look = Measured(0.0, 0.0521, requests=1203, errors=63)
    assert World([look]).play(one()) == (
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
    script = World({ERRORS: [0.0], LATENCY: [0.1]})
    analysis = two(
        {"interval_seconds": 60, "count": 3}, {"interval_seconds": 25, "count": 4, "initial_delay_seconds": 5}
    )
    assert script.play(analysis).startswith("Successful")
    assert [at for at, query in script.asked if query == ERRORS] == [0, 60, 120]
    assert [at for at, query in script.asked if query == LATENCY] == [5, 30, 55, 80]
    assert analysis.queries == (ERRORS, LATENCY)
    assert not analysis.endless


def test_the_first_metric_that_ends_badly_ends_the_run() -> None:
    script = World({ERRORS: [0.0], LATENCY: [0.1, 0.1, 2.0]})
    analysis = two({"interval_seconds": 60}, {"interval_seconds": 25})
    assert script.play(analysis) == (
        "Abort latency: 1 failed measurement > failureLimit 0; last 2; "
        "errors: ended early, Successful, after 1 measurements, 0 failed"
    )
    assert script.now == 50
    assert analysis.endless


def test_a_metric_that_is_successful_leaves_the_other_running() -> None:
    script = World({ERRORS: [0.0], LATENCY: [0.1]})
    assert script.play(two({}, {"interval_seconds": 25})) == "Running"
    assert [query for _, query in script.asked].count(ERRORS) == 1


@pytest.mark.parametrize("swap", [False, True])
def test_of_two_that_end_at_the_same_time_the_worse_counts(swap: bool) -> None:
    unsure = Metric(name="unsure", query=ERRORS, success=BELOW, failure=ABOVE)
    failing = Metric(name="failing", query=LATENCY, success=Condition("<=", 0.5))
    metrics = (failing, unsure) if swap else (unsure, failing)
    script = World({ERRORS: [0.1], LATENCY: [2.0]})
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
    alone, together = World({ERRORS: looks}), World({ERRORS: looks, LATENCY: [0.0]})
    end = alone.play(Analysis(name="alone", metrics=(metric,)), most=60)
    assert end.removeprefix("Successful ") in together.play(Analysis(name="both", metrics=(metric, quiet)), most=90)
    times = [at for at, query in together.asked if query == ERRORS]
    assert times[: len(alone.times)] == alone.times[: len(times)]


# --- successes in a row ------------------------------------------------------------------------------------------

GOOD, BAD, UNSURE, GONE = 0.0, 1.0, 0.1, None


@pytest.mark.parametrize(
    ("settings", "looks", "end", "times"),
    [
        # as many successes in a row as are wanted end it early
        ({"count": 9, "consecutive_success_limit": 3}, [GOOD], "Successful errors: 3 measurements, 0 failed", [0, 60, 120]),
        # ... without a count too
        ({"consecutive_success_limit": 2}, [GOOD], "Successful", [0, 60]),
        # a failure starts the row again, and is tolerated as ever
        ({"consecutive_success_limit": 2, "failure_limit": 2}, [GOOD, BAD, GOOD, BAD, GOOD], "Successful", [0, 60, 120, 180, 240, 300]),
        ({"consecutive_success_limit": 2, "failure_limit": 1}, [GOOD, BAD, GOOD, BAD], "Abort errors: 2 failed", [0, 60, 120, 180]),
        # an error breaks the row
        ({"consecutive_success_limit": 2}, [GOOD, GONE, GOOD, GOOD], "Successful errors: 3 measurements, 0 failed, 1 errors", [0, 60, 70, 130]),
        # so does an inconclusive measurement
        (
            {"consecutive_success_limit": 2, "inconclusive_limit": 1, "failure": Condition(">", 0.2)},
            [GOOD, UNSURE, GOOD], "Successful errors: 4 measurements, 0 failed, 1 inconclusive", [0, 60, 120, 180],
        ),
        # the limits are asked before the row
        ({"consecutive_success_limit": 1, "failure_limit": 0}, [BAD], "Abort errors: 1 failed measurement > failureLimit 0", [0]),
        # the count is reached and the row is not: Inconclusive
        (
            {"count": 4, "consecutive_success_limit": 3, "failure_limit": 1}, [GOOD, GOOD, BAD, GOOD],
            "Inconclusive errors: successes in a row after 4 measurements: have 1, need 3 (consecutiveSuccessLimit)",
            [0, 60, 120, 180],
        ),
        # ... and Failed where failures never count
        (
            {"count": 4, "consecutive_success_limit": 3, "failure_limit": -1}, [BAD, BAD, GOOD, GOOD],
            "Abort errors: successes in a row after 4 measurements: have 2, need 3 (consecutiveSuccessLimit)",
            [0, 60, 120, 180],
        ),
        # reached at the very last measurement
        ({"count": 4, "consecutive_success_limit": 2, "failure_limit": -1}, [BAD, BAD, GOOD, GOOD], "Successful", [0, 60, 120, 180]),
    ],
)  # fmt: skip
def test_successes_in_a_row(settings: dict[str, Any], looks: list[Any], end: str, times: list[float]) -> None:
    world = World(looks)
    assert world.play(one(interval_seconds=60, **settings)).startswith(end)
    assert world.times == times


def by_the_book(looks: list[Any], metric: Metric) -> str:
    """Argo's runMeasurements and assessMetricStatus, told once more without haste; `Running` when the looks run out."""
    count = failed = inconclusive = errors = row = 0
    for look in looks:
        if look is GONE:
            errors, row = errors + 1, 0
        else:
            good, bad = look < 0.05, look > 0.2
            count, errors = count + 1, 0
            row = row + 1 if good else 0
            failed += bad
            inconclusive += not good and not bad
        phase = ""
        if metric.failure_limit >= 0 and failed > metric.failure_limit:
            phase = "Abort"
        if inconclusive > metric.inconclusive_limit:
            phase = "Inconclusive"
        if errors > metric.consecutive_error_limit:
            phase = "Abort"
        if phase:
            return phase
        if metric.consecutive_success_limit and row >= metric.consecutive_success_limit:
            return "Successful"
        if metric.count is not None and count >= metric.count:
            if not metric.consecutive_success_limit:
                return "Successful"
            return "Abort" if metric.failure_limit == -1 else "Inconclusive"
    return "Running"


@given(
    looks=st.lists(st.sampled_from([GOOD, GOOD, BAD, UNSURE, GONE]), min_size=1, max_size=14),
    count=st.one_of(st.none(), st.integers(6, 9)),
    row=st.integers(0, 3),
    failure_limit=st.integers(-1, 3),
    inconclusive_limit=st.integers(0, 3),
    error_limit=st.integers(0, 3),
)
def test_every_course_ends_as_argos_code_says(
    looks: list[Any], count: int | None, row: int, failure_limit: int, inconclusive_limit: int, error_limit: int
) -> None:
    metric = Metric(
        name="errors", query=ERRORS, interval_seconds=60, count=count, failure_limit=failure_limit,
        inconclusive_limit=inconclusive_limit, consecutive_error_limit=error_limit, consecutive_success_limit=row,
        success=BELOW, failure=ABOVE,
    )  # fmt: skip
    world = World(looks)
    # one wait stands between two looks
    end = world.play(Analysis(name="check", metrics=(metric,)), most=2 * len(looks) - 1)
    assert end.split(" ")[0] == by_the_book(looks, metric)


# --- dry runs ----------------------------------------------------------------------------------------------------


def test_a_dry_run_is_measured_and_told_and_decides_nothing() -> None:
    world = World({ERRORS: [0.0], LATENCY: [2.0]})
    analysis = two({"interval_seconds": 60, "count": 3}, {"interval_seconds": 25, "count": 4, "dry_run": True})
    assert world.play(analysis) == (
        "Successful errors: 3 measurements, 0 failed; "
        "latency: 1 failed measurement > failureLimit 0; last 2 (dry run: decides nothing)"
    )
    assert world.times == [0, 0, 60, 120]


@pytest.mark.parametrize("look", [2.0, None, NAN])
def test_a_dry_run_alone_succeeds_whatever_it_sees(look: Any) -> None:
    analysis = one(dry_run=True, consecutive_error_limit=0)
    end = World([look]).play(analysis)
    assert end.startswith("Successful errors: 1 ")
    assert end.endswith(" (dry run: decides nothing)")


def test_a_run_waits_for_its_dry_runs() -> None:
    world = World({ERRORS: [0.0], LATENCY: [0.1]})
    analysis = two({}, {"interval_seconds": 25, "count": 4, "dry_run": True})
    assert world.play(analysis).startswith("Successful")
    assert world.now == 75
    assert two({}, {"interval_seconds": 25, "dry_run": True}).endless


# --- what passes without having seen anything --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("success", "failure", "look", "why"),
    [
        (None, ABOVE, NAN, "failure-only condition on NaN"),
        (None, Expression("result[0] > 0.2"), NAN, "failure-only condition on NaN"),
        (None, Condition("==", 1.0), NAN, "failure-only condition on NaN"),
        (None, Expression("len(result) > 0 && result[0] > 0.2"), None, "failure-only condition on no data"),
        (None, None, NAN, "no condition, NaN"),
        (None, None, None, "no condition, no data"),
        (Expression("isNaN(result) || result < 0.05"), None, NAN, "successCondition holds for NaN"),
        (Expression("len(result) == 0 || result[0] < 0.05"), None, None, "successCondition holds for no data"),
        (Condition("!=", 1.0), None, NAN, "successCondition holds for NaN"),
        (Condition("!=", 1.0), ABOVE, NAN, "successCondition holds for NaN"),
    ],
)
def test_what_passes_blind_is_said(success: Any, failure: Any, look: Any, why: str) -> None:
    world = World([look])
    analysis = one(success=success, failure=failure, interval_seconds=60, count=3)
    assert world.play(analysis) == f"Successful errors: 3 measurements, 0 failed (Argo passes this: {why})"
    assert world.notes == [f"errors: Argo passes this: {why}"]  # once


def test_a_look_that_has_seen_something_passes_without_a_word() -> None:
    world = World([0.0, 0.01])
    assert world.play(one(interval_seconds=60, count=2, success=None, failure=ABOVE)).endswith("0 failed")
    assert world.notes == []


def test_no_traffic_says_what_it_has_and_needs() -> None:
    look = Measured(0.0, NAN, requests=0, errors=0)
    assert World([look]).play(one(failure=ABOVE)) == (
        "Inconclusive errors: 1 inconclusive measurement > inconclusiveLimit 0; "
        "last NaN: no traffic, have 0 requests, need 1"
    )


# --- expressions, whole answers and scripts ----------------------------------------------------------------------

PROM = PromQuery("sum by (pod) (up)")


@pytest.mark.parametrize(
    ("condition", "answer", "end"),
    [
        ("all(result, {# < 0.05})", [0.01, 0.02], "Successful"),
        ("all(result, {# < 0.05})", [0.01, 0.2], "Abort errors: 1 failed measurement > failureLimit 0; last 0.01 and 1 more"),
        ("result[1] < 0.05", [0.01], "Abort errors: 1 consecutive error > consecutiveErrorLimit 0; last 0.01: the list has 1 value: there is no [1]"),
        ("result < 0.05", [0.01], "Abort errors: 1 consecutive error > consecutiveErrorLimit 0; last 0.01: < compares two"),
        ("result < 0.05", 0.01, "Successful"),  # a scalar
        ("result[0] < 0.05", [], "Abort errors: 1 consecutive error > consecutiveErrorLimit 0; last no data: the list is empty: there is no [0]"),
        ("len(result) == 0", [], "Successful errors: 1 measurements, 0 failed (Argo passes this: successCondition holds for no data)"),
    ],
)  # fmt: skip
def test_a_condition_sees_the_whole_answer_of_prometheus(condition: str, answer: Any, end: str) -> None:
    metric = Metric(name="errors", query=PROM, success=Expression(condition), consecutive_error_limit=0)
    first = answer[0] if isinstance(answer, list) and answer else answer if answer != [] else None
    assert World([Measured(0.0, first, result=answer)]).play(Analysis(name="a", metrics=(metric,))).startswith(end)


def test_a_condition_of_a_typed_query_sees_the_value_times_its_factor() -> None:
    for condition in (Expression("result >= 95 && result[0] <= 100"), Condition(">=", 95.0)):
        analysis = one(success=condition, factor=100.0)
        assert World([0.96]).play(analysis).startswith("Successful")
        assert World([0.94]).play(analysis).startswith("Abort")


def scripted(*answers: Any, **settings: Any) -> Analysis:
    script = {key: settings.pop(key) for key in ("seconds", "at_end") if key in settings}
    settings.setdefault("success", Expression("result >= 0.95"))
    metric = Metric(name="job", query=Script(answers=answers, **script), **settings)
    return Analysis(name="check", metrics=(metric,))


@pytest.mark.parametrize(
    ("analysis", "end", "now"),
    [
        (scripted(0.99), "Successful job: 1 measurements, 0 failed", 0),
        (scripted(0.99, 0.9, interval_seconds=60), "Abort job: 1 failed measurement > failureLimit 0; last 0.9", 60),
        # a measurement that takes time: the next is due an interval after its end
        (scripted(Phase.SUCCESSFUL, seconds=30, interval_seconds=60, count=3), "Successful job: 3", 30 + 90 + 90),
        (scripted(Phase.FAILED, seconds=30), "Abort job: 1 failed measurement > failureLimit 0; last Failed", 30),
        (scripted(Phase.INCONCLUSIVE), "Inconclusive job: 1 inconclusive measurement", 0),
        (scripted(Phase.ERROR, 1.0), "Successful job: 1 measurements, 0 failed, 1 errors", 10),
        (scripted(Phase.ERROR), "Abort job: 5 consecutive errors > consecutiveErrorLimit 4; last Error: the provider could not", 40),
        # what follows the last answer
        (scripted(1.0, 0.0, at_end="hold", interval_seconds=1, failure_limit=1), "Abort job: 2 failed", 2),
        (scripted(1.0, 0.0, at_end="repeat", interval_seconds=1, failure_limit=1), "Abort job: 2 failed", 3),
        (scripted(1.0, at_end="error", interval_seconds=1), "Abort job: 5 consecutive errors", 41),
        # whole answers
        (scripted({"ok": True}, success=Expression("result.ok")), "Successful", 0),
        (scripted({"ok": False}, success=Expression("result.ok")), "Abort job: 1 failed measurement > failureLimit 0; last {'ok': False}", 0),
        (scripted("0.97", success=Expression("asFloat(result) > 0.9")), "Successful", 0),
        (scripted([0.99, 0.2], success=Expression("result[1] < 0.5")), "Successful", 0),
        (scripted(None, success=Expression("default(result, 0) == 0")), "Successful job: 1 measurements, 0 failed (Argo", 0),
        (scripted(NAN, success=None, failure=Condition(">", 1)), "Successful job: 1 measurements, 0 failed (Argo passes", 0),
        (scripted(False, success=Expression("result == false")), "Successful job: 1 measurements, 0 failed", 0),
    ],
)  # fmt: skip
def test_a_script_answers_by_itself(analysis: Analysis, end: str, now: float) -> None:
    world = World([0.0])
    assert world.play(analysis).startswith(end)
    assert world.asked == []
    assert world.now == now
    assert analysis.queries == ()


def test_each_run_hears_a_script_from_its_beginning() -> None:
    analysis = scripted(0.0, 1.0)
    assert World([0.0]).play(analysis).startswith("Abort")
    assert World([0.0]).play(analysis).startswith("Abort")


def test_a_job_that_takes_its_time_does_not_keep_its_siblings_waiting() -> None:
    job = Metric(name="job", query=Script(answers=(Phase.SUCCESSFUL,), seconds=100))
    errors = Metric(name="errors", query=ERRORS, interval_seconds=30, count=6, success=BELOW)
    world = World({ERRORS: [0.0, 0.0, 1.0]})
    assert world.play(Analysis(name="both", metrics=(job, errors))) == (
        "Abort errors: 1 failed measurement > failureLimit 0; last 1; "
        "job: ended early, Successful, after 0 measurements, 0 failed"
    )
    assert world.times == [0, 30, 60]
    assert world.now == 60


@pytest.mark.parametrize("dry", [False, True])
def test_the_end_tells_of_every_metric(dry: bool) -> None:
    metrics = (
        Metric(name="done", query=Script(answers=(1.0,))),
        Metric(name="dry", query=Script(answers=(Phase.FAILED,)), dry_run=True),
        Metric(name="waits", query=Script(answers=(1.0,)), initial_delay_seconds=90, dry_run=dry),
        Metric(name="bad", query=Script(answers=(1.0, 0.0)), interval_seconds=10, success=Condition(">", 0.5)),
    )
    assert World([0.0]).play(Analysis(name="all", metrics=metrics)) == (
        "Abort bad: 1 failed measurement > failureLimit 0; last 0; done: 1 measurements, 0 failed; "
        "dry: 1 failed measurement > failureLimit 0; last Failed (dry run: decides nothing); "
        "waits: ended early, Successful, after 0 measurements, 0 failed" + " (dry run: decides nothing)" * dry
    )


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
        ({"consecutive_success_limit": -1}, "consecutive_success_limit must be 0 or more"),
        ({"factor": 0.0}, "factor must be above 0"),
        (
            {"count": 4, "interval_seconds": 1, "failure_limit": 2, "consecutive_success_limit": 3},
            r"count must be at least failure_limit \+ consecutive_success_limit \(5\), got 4",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"metric 'errors': .*{message}"):
        one(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"answers": ()}, "at least one answer"),
        ({"answers": (1,), "seconds": -1.0}, "seconds must be 0 or more"),
        ({"answers": (1,), "at_end": "stop"}, "at_end must be one of hold, repeat, error"),
    ],
)
def test_a_script_that_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Script(**settings)


def test_an_analysis_needs_a_metric_and_a_condition_a_known_operator() -> None:
    with pytest.raises(ValueError, match="analysis 'none': expected at least one metric"):
        Analysis(name="none", metrics=())
    with pytest.raises(ValueError, match="op must be one of"):
        Condition("=>", 1.0)
    with pytest.raises(ValueError, match="threshold must be a number"):
        Condition("<", NAN)


@pytest.mark.parametrize("conditions", [{}, {"success": None}, {"success": None, "failure": Condition(">", 0.5)}])
def test_a_question_that_fails_is_an_error_whatever_the_conditions(conditions: dict[str, Any]) -> None:
    world = World([Measured(0.0, None, error="many-to-many matching")] * 9)
    end = world.play(one(**conditions))
    assert end.startswith("Abort errors: 5 consecutive errors > consecutiveErrorLimit 4")
    assert "many-to-many matching" in end
    assert world.times == [0, 10, 20, 30, 40]
