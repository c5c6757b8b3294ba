"""Conditions: Argo's own cases, expr-lang's rules, and what is refused with a place."""

from __future__ import annotations

import contextlib
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from strategies.metrics.conditions import Condition, ConditionError, Expression, read
from strategies.metrics.conditions.compiled import compiled
from strategies.metrics.conditions.kinds import kind_of

PUBLISHED = YAML(typ="safe").load(
    (Path(__file__).parents[2] / "published" / "argo_conditions.yaml").read_text(encoding="utf-8")
)
NAN, INF = math.nan, math.inf


def ask(text: str, result: Any = None) -> bool | str:
    """The answer, or the problem and the characters that it is about."""
    try:
        return Expression(text).holds(result)
    except ConditionError as error:
        return f"{error.problem} @{error.start}-{error.end}"


# --- Argo's own cases --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", PUBLISHED["conditions"], ids=lambda row: f"{row['test']}: {row['text']}")
def test_the_conditions_of_argos_tests(row: dict[str, Any]) -> None:
    answer = ask(row["text"], row["result"])
    assert (answer is row["expect"]) if row["expect"] is not None else isinstance(answer, str)


@pytest.mark.parametrize("row", PUBLISHED["refused"], ids=lambda row: row["test"])
def test_the_errors_of_argos_tests(row: dict[str, Any]) -> None:
    with pytest.raises(ConditionError) as caught:
        Expression(row["text"])
    assert caught.value.problem.startswith(row["problem"])


# --- in the wild -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "result", "answer"),
    [
        ("len(result) == 0 || isNaN(result[0]) || result[0] < 0.02", [], True),
        ("len(result) == 0 || isNaN(result[0]) || result[0] < 0.02", [NAN], True),
        ("len(result) == 0 || isNaN(result[0]) || result[0] < 0.02", [0.5], False),
        ("len(result) == 1 && !isNaN(result[0]) && !isInf(result[0]) && result[0] >= 20", [20.0], True),
        ("len(result) == 1 && !isNaN(result[0]) && !isInf(result[0]) && result[0] >= 20", [INF], False),
        ("len(result) == 1 && !isNaN(result[0]) && !isInf(result[0]) && result[0] >= 20", [20.0, 30.0], False),
        ("all(result, {# < 0.05})", [0.01, NAN], False),
        ("all(result, # < 1000)", [], True),
        ("any(result, {isNaN(#) or # > 1})", [0.0, NAN], True),
        ("any(result.counts.status, {.name == 'Alert' && .count > 0})", {"counts": {"status": [{"name": "Alert", "count": 1}]}}, True),
        ("result.counts.status == nil", {"counts": {}}, True),
        ("result.ok == true && result.latency < 500", {"ok": True, "latency": 20}, True),
        ("asFloat(result) >= 0.95", "0.97", True),
        ("result == 'true' || result == \"ok\"", "ok", True),
        ("result.status in ['Healthy', 'Degraded']", {"status": "Healthy"}, True),
        ("result['p-99'] <= 0.5 ? true : false", {"p-99": 0.6}, False),
        ("result[-1] < 5 and result[0:1][0] == 9", [9, 1], True),
        ("(result.a?.b ?? 3) == 3", {"a": None}, True),
        ("mean(result) < 2 && max(result) == 3 && count(result, {# > 1}) == 1", [0.0, 3.0], True),
        ("sum(map(result, {# * 2})) == 12 and len(filter(result, {# > 1})) == 2", [1, 2, 3], True),
    ],
)  # fmt: skip
def test_conditions_as_people_write_them(text: str, result: Any, answer: bool) -> None:
    assert ask(text, result) is answer


# --- expr-lang's rules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        # precedence and association
        ("1 + 2 * 3 == 7", True), ("2 ** 3 ** 2 == 512", True), ("-2 ** 2 == -4", True), ("2 ^ 2 == 4", True),
        ("10 - 4 - 3 == 3", True), ("true || false && false", True), ("(true || false) && false", False),
        ("not false and true", True), ("true or false and false", True), ("false and false or true", True), ("!(1 > 2) == true", True), ("1 < 2 < 3", True), ("3 > 2 > 2", False),
        ("1 == 1 == true", True), ("true ? false : true ? true : true", False), ("nil ?: true", None),
        ("1..3 == [1, 2, 3]", True), ("2 in 1..3", True), ("1 + 1 in [2]", True), ("3 not in [2]", True),
        # whole and broken numbers
        ("7 / 2 == 3.5", True), ("7 % 4 == 3", True), ("-7 % 4 == -3", True), ("1 == 1.0", True), ("2 ** -1 == 0.5", True),
        ("1 / 0 > 1e308", True), ("isNaN(0 / 0)", True), ("-1 / 0 < 0 and isInf(-1 / 0)", True), ("7.0 % 2 == 1", None),
        ("1_000 == 0x3e8", True), ("9223372036854775807 + 1 < 0", True), (".5 + 5e-1 == 1.", True),
        # types do not mix
        ("1 == true", None), ("1 == '1'", None), ("[1, true][0] == true", False), ("[1, ''][0] == '1'", False), ("'a' < 'b'", True), ("1 < '2'", None), ("nil < 1", None),
        ("nil == nil", True), ("true && 1", None), ("1 ? true : false", None), ("!nil", None), ("'a' + 'b' == 'ab'", True),
        ("'a' + 1 == 'a1'", None), ("true < false", None),
        # what is not needed is not asked
        ("false && [1][5] > 1", False), ("true || {a: 1}.b.c", True), ("true ? true : [1][9] == 1", True),
        # NaN
        ("asFloat('NaN') == asFloat('NaN')", False), ("asFloat('NaN') != 1", True), ("asFloat('nan') < 1", False),
        ("isInf(asFloat('-Inf'))", True), ("asInt(asFloat('Inf')) < 0", True), ("asInt('0x10') == 16", None),
        # functions
        ("len('abc') == 3 and len({a: 1, 'b-c': 2}) == 2 and len([]) == 0", True), ("len(5) == 1", None),
        ("abs(-3) == 3 and abs(-0.5) == 0.5 and ceil(1.2) == 2 and floor(-1.2) == -2", True),
        ("round(2.5) == 3 and round(-2.5) == -3 and round(0.49999999999999994) == 0", True),
        ("int('5') == 5 and int(5.9) == 5 and float('1.5') == 1.5 and string(5) == '5'", True),
        ("max(1, 2.5, [7]) == 7 and min([3, 2]) == 2 and median([3, 1, 2]) == 2 and median(1, 2) == 1.5", True),
        ("first([1, 2]) == 1 and last([1, 2]) == 2 and first([]) == nil", True),
        ("none([1, 2], {# > 2}) and one([1, 2], {# > 1}) and find([1, 2], {# > 1}) == 2", True),
        ("all([5, 6], {#index < 2}) and map([5], {#index})[0] == 0", True),
        ("all([[1], [2, 3]], {any(#, {# > 0}) and len(#) > 0})", True),
        ("'abc' contains 'b' and 'abc' startsWith 'a' and not ('abc' endsWith 'b') and 'x' not contains 'y'", True),
        ("lower('A') == 'a' and upper('a') == 'A' and 'x' in keys({x: 1}) and 1 in values({x: 1})", True),
        ("'a' in {a: 1} and 'b' not in {a: 1} and 1 not in nil", True),
        ("[1, 2,] == [1.0, 2.0] and {a: [1]} == {a: [1]} and {a: 1} != {b: 1}", True),
        ("[1, 2, 3][1:] == [2, 3] and [1, 2][:9] == [1, 2] and [1][:] == [1] and 'abc'[1:2] == 'b'", True),
        ("\"\\u0041\\n\" == 'A\n'", True), ("`a\\b` == 'a\\\\b' // a comment", True), ("/* a comment */ true", True),
    ],
)  # fmt: skip
def test_the_rules_of_the_language(text: str, answer: bool | None) -> None:
    text = text.replace("'A\n'", "`A\n`")
    found = ask(text)
    assert (found is answer) if answer is not None else isinstance(found, str), found


def test_default_and_is_nil_look_at_the_result_whatever_they_are_given() -> None:
    assert ask("isNil(nil)", 1.0) is False
    assert ask("isNil(1)", None) is True
    assert ask("default(nil, 7) == 3", 3.0) is True
    assert ask("isNil(result.a)", {"a": None}) is False
    assert str(ask("default(result[0], 0) < 1", [])).startswith("the list is empty: there is no [0]")


@pytest.mark.parametrize(
    ("text", "result", "problem"),
    [
        ("result[0] > 1", [], "the list is empty: there is no [0] @0-13"),
        ("result[2] > 1", [1.0], "the list has 1 value: there is no [2] @0-13"),
        ("result > 1", [2.0], "> compares two numbers or two texts, not a list and a number @0-10"),
        ("result[0] > 1", 2.0, "a position or a key is of a list or a mapping, not a number @0-6"),
        ("result.a > 1", 2.0, ".a is of a mapping, not a number @0-6"),
        ("result.a.b > 1", {"a": 2.0}, "a number has no .b @0-14"),
        ("result[0]", [2.0], "expected true or false, got a number @0-9"),
        ("isNaN(result)", [2.0], "isNaN takes a number, not a list @6-12"),
        ("asFloat(result) > 1", None, "asFloat takes a number, not nil @0-19"),
        ("all(result, {# > 0 ? true : 1})", [0.0], "a predicate takes true or false, not a number @0-31"),
    ],
)
def test_no_answer_is_an_error_that_says_why(text: str, result: Any, problem: str) -> None:
    assert ask(text, result) == problem


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        # a part that cannot be meant is an error, also where nobody would ask it
        ("len(result) == 0 || result < 1", "[]float", "< compares two numbers or two texts, not a list and a number"),
        ("true || result[0] > 1", "float", "a position or a key is of a list or a mapping, not a number"),
        ("isNaN(result) || result >= 0.95", "[]float", "isNaN takes a number, not a list"),
        ("result < 1", "nil", "< compares two numbers or two texts, not nil and a number"),
        ("all(result, {# == 'a'})", "[]float", "== of a number and a text"),
        ("result[0.5] > 1", "[]float", "the position in a list is a whole number, not a number"),
        ("result % 2 == 0", "float", "% takes two whole numbers, not a number and a number"),
        ("'a' in result", "[]float", "a text is never in a list of another kind"),
        (
            "map(result, {# > 1})[0] > 1",
            "[]float",
            "> compares two numbers or two texts, not a truth value and a number",
        ),
        ("result[0]", "[]float", "expected true or false, got a number"),
        ("result.x > 1", "text", ".x is of a mapping, not a text"),
        ("result.Values[0] > 1", "value", ".Values is of a mapping, not a number"),
        ("result[0].Values[0] > 1", "value", ".Values is of a mapping, not a number"),
        ("isNaN(result[0:1])", "value", "isNaN takes a number, not a list"),
        ("result == 'ok'", "value", "== of a number and a text"),
        # and these may have an answer
        ("result > 1 && result[0] > 1 && len(result) == 1 && 2 in result && all(result, {# > 1})", "value", None),
        ("max(result) > 1 && isNaN(result) || asFloat(result) > default(result, 0)", "value", None),
        ("default(result, 0) < 1", "[]float", None),
        ("default(result, 0) < 1", "nil", None),
        ("result == nil", "[]float", None),
        ("2 in result && len(result) > 0 && result[-1] + 1 > sum(result)", "[]float", None),
        ("result.a.b[0] > 1 ? result.c : !result.d", "mapping", None),
        ("result[0].x > 1", "[]any", None),
        ("max(result) > mean(result, 1) and any(filter(result, {# > 1}), {#index < 3})", "[]float", None),
        ("asFloat(result) > 1 && result != ''", "text", None),
        ("(result ?? 1) > 0", "nil", None),
        ("result", "bool", None),
        ("result", "any", None),
    ],
)
def test_what_cannot_be_meant_is_found_before_it_is_asked(text: str, kind: str, problem: str | None) -> None:
    fault = Expression(text).fault_for(kind)
    assert (fault.problem if fault is not None else None) == problem


def test_the_answer_of_prometheus_is_checked_by_its_kind() -> None:
    vector = Expression("len(result) == 0 || result[0] < 1")
    assert vector.holds_answer([]) is True
    with pytest.raises(ConditionError, match="len takes a list, a text or a mapping, not a number"):
        vector.holds_answer(0.5)
    with pytest.raises(ConditionError, match="compares two numbers or two texts, not a list and a number"):
        Expression("len(result) == 0 || result < 1").holds_answer([])


@given(number=st.one_of(st.floats(), st.integers(-100, 100)), line=st.floats(-2, 2))
@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "==", "!="])
def test_the_general_path_compares_as_the_short_one_does(op: str, number: float, line: float) -> None:
    short = Condition(op, line).holds(number)
    assert Expression(f"result[0] {op} {line!r}").holds([number]) is short
    assert Expression(f"result {op} {line!r}").holds(number) is short
    assert Expression(f"result[0] {op} {line!r}").holds_answer([float(number), 9.0]) is short
    assert Expression(f"(result[0] {op} {line!r}) == true").holds_answer([float(number)]) is short
    assert Expression(f"!(result {op} {line!r})").holds_value(number) is not short


def test_one_measured_number_is_a_number_and_a_list_of_one() -> None:
    for text in ("result > 1", "result[0] > 1", "result > 1 && result[0] > 1 && len(result) == 1", "2 in result",
                 "all(result, {# > 1})", "default(result, 0) > 1", "asFloat(result) > 1", "!isNaN(result)"):  # fmt: skip
        assert Expression(text).holds_value(2.0) is True
    assert Expression("len(result) == 0").holds_value(None) is True
    assert Expression("default(result, 0) == 0").holds_value(None) is True
    for text in ("result > 1", "result[0] > 1"):
        with pytest.raises(ConditionError):
            Expression(text).holds_value(None)


def test_a_single_comparison_is_read_as_one() -> None:
    assert read("asFloat(result[0]) < 5e-2") == Condition("<", 0.05)
    assert read("0.05 > result[0]") == Expression("0.05 > result[0]")


def test_an_expression_crosses_process_borders() -> None:
    found = pickle.loads(pickle.dumps(Expression("len(result) > 1")))
    assert found == Expression("len(result) > 1")
    assert found.holds([1, 2])


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected a value, got the end @0-1"),
        ("result[0] >= 0.95%", "expected a value, got the end @18-19"),
        ("result => 1", "unexpected character '='; did you mean '=='? @7-8"),
        ("result[0 > 1", "expected ']' after the position, got the end @12-13"),
        ("(result > 1", "expected ')' after the part in parentheses, got the end @11-12"),
        ("result > 1)", "expected an operator or the end, got ')' @10-11"),
        ("reslt > 1", "unknown name 'reslt'; did you mean 'result'? known: result, true, false, nil @0-5"),
        ("is_nan(result)", "unknown function 'is_nan'; did you mean 'isNaN'? known: asFloat"),
        ("now() > 1", "unknown function 'now'; known: asFloat"),
        ("len > 1", "expected ( after len @0-3"),
        ("asFloat(result, 2) > 1", "expected 1 argument of asFloat, got 2 @0-18"),
        ("all(result)", "expected ',' and a predicate in all, got ')' @10-11"),
        ("# > 1", "# stands outside a predicate such as {# < 1} @0-1"),
        ("all(result, {#x > 1})", "unknown name '#x'; known: #, #index @13-15"),
        ("result matches '(a+)+$'", "'matches' of expr-lang is not supported @7-14"),
        ("result | len() > 1", "'|' of expr-lang is not supported @7-8"),
        ("let x == 1", "'let' of expr-lang is not supported @0-3"),
        ("result.Name() == 1", "a call of a method, .Name(…), is not supported @7-11"),
        ("__import__('os')", "unknown function '__import__'; known: "),
        ("result.__class__ == 1 && ()", "expected a value, got ')' @26-27"),
        ("'open", "a string that does not end @0-5"),
        ("1 ?? 2 == 2", "== and ?? need parentheses between them @7-9"),
        ("1e > 2", "expected a number, got '1e' @0-2"),
        ("result > 5m", "expected a number, got '5m' @9-11"),
        ("result > 99999999999999999999", "expected a whole number below 2^63 @9-29"),
        ("result > 1e400", "expected a number below 1.8e308 @9-14"),
        ("result § 1", "unexpected character '§' @7-8"),
        ("result not 1", "expected an operator, got 'not' @7-10"),
        ("[1, 2", "expected ',' or ']' in a list, got the end @5-6"),
        ("{a 1}", "expected ':' after a key, got '1' @3-4"),
        ("'\\q' == 'q'", "unknown escape '\\\\q' @0-4"),
        ("x" * 1001, "expected a condition of at most 1000 characters, got 1001"),
        ("(" * 60 + "1" + ")" * 60, "expected at most 40 levels of nesting"),
        ("!" * 200 + "true", "expected at most 40 levels of nesting"),
        ("1" + "+1" * 400 + " > 0", "expected at most 150 operators one after the other"),
        ("result" + ".a" * 400, "expected at most 150 operators one after the other"),
        ("all(1..9, {all(1..9, {all(1..9, {all(1..9, {true})})})})", "expected at most 3 predicates inside each other"),
    ],
)
def test_a_text_that_is_no_condition_is_refused_with_a_place(text: str, problem: str) -> None:
    with pytest.raises(ConditionError) as caught:
        Expression(text)
    error = caught.value
    assert f"{error.problem} @{error.start}-{error.end}".startswith(problem)
    assert 0 <= error.start < error.end <= len(text) + 1


@pytest.mark.parametrize("number", ["99999999999999999999", "-9223372036854775808", "1e400", "\u0661"])
def test_a_comparison_is_no_exception_to_the_language(number: str) -> None:
    with pytest.raises(ConditionError):
        read(f"result[0] > {number}")


def test_predicates_end() -> None:
    assert str(ask("all(1..1000, {all(1..1000, {true})})")).startswith("predicates may look at 100000 items at most")
    assert str(ask("1..1000000 == []")).startswith(".. makes at most 10000 numbers")


texts = st.lists(
    st.sampled_from(
        [*"result[0]()#{}.,:?!&|<>=+-*/%'\"01 ", "result", " and ", " in ", "len(", "all(", "not ", "nil", "1.5"]
    ),
    max_size=25,
).map("".join)
results = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1), st.floats(), st.text(max_size=3)),
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.sampled_from("abc"), below, max_size=3)),
    max_leaves=5,
)


@given(text=texts, result=results)
def test_no_text_and_no_result_makes_it_crash(text: str, result: Any) -> None:
    assert isinstance(ask(text, result), bool | str)


strict = st.sampled_from(["+", "-", "*", "/", "%", "**", "<", ">=", "..", "contains"])


@given(data=st.data(), result=st.sampled_from([None, True, 2.0, "a", [], [1.0], [1.0, 2.0], {"a": 1.0}]))
def test_what_is_said_never_to_have_an_answer_has_none(data: st.DataObject, result: Any) -> None:
    """Operators that ask both sides: what the check of kinds refuses, the plain evaluation cannot answer either."""
    text = data.draw(st.sampled_from(["result", "1", "'a'"]))
    for _ in range(data.draw(st.integers(1, 3))):
        text = f"({text}) {data.draw(strict)} {data.draw(st.sampled_from(['result', 'result[0]', '1', '2.5', 'len(result)']))}"
    one = Expression(f"({text}) < 3")
    if one.fault_for(kind_of(result)) is not None:
        with pytest.raises(ConditionError):
            compiled(one.tree)(result, result)


operands = st.sampled_from(
    ["result", "result[0]", "1", "0", "2.5", "-1", "'a'", "nil", "true", "[1]", "{a: 1}", "result.a", "len(result)"]
)
operators = st.sampled_from(["+", "-", "*", "/", "%", "**", "==", "<", ">=", "&&", "||", "in", "..", "??", "contains"])


@given(data=st.data(), result=results)
def test_no_operation_makes_it_crash(data: st.DataObject, result: Any) -> None:
    text = data.draw(operands)
    for _ in range(data.draw(st.integers(1, 4))):
        text = f"({text}) {data.draw(operators)} {data.draw(operands)}"
    assert isinstance(ask(text, result), bool | str)
    with contextlib.suppress(ConditionError):
        assert isinstance(Expression(text).holds_value(2.0), bool)
