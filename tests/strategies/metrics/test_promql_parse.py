"""What a query is refused for, in which words, and where the caret stands."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.metrics.promql import PromqlError, longest_ms, names_of, parse
from strategies.metrics.promql.tree import Binary, Call, Select, walk
from strategies.metrics.series import Matcher


def refused(text: str) -> tuple[str, str]:
    """The problem of a text, and what its caret underlines."""
    with pytest.raises(PromqlError) as caught:
        parse(text)
    error = caught.value
    assert 0 <= error.start <= error.end <= len(text)
    assert str(error) == error.problem
    return error.problem, text[error.start : error.end]


@pytest.mark.parametrize(
    ("text", "problem", "under"),
    [
        ("sum(rate(hits[5m]", "unclosed", "("),
        ("hits{code=\"500\"", "unexpected end of input inside braces", "{"),
        ("hits[5m", "unexpected end of input inside brackets", "["),
        ("rate(hits[5x])", "bad number or duration syntax: 5x", "hits[5x]"),
        ("sum(rate(hits))", "expected type matrix in call to function 'rate', got vector", "rate(hits)"),
        ("1 + abs(1)", "expected type vector in call to function 'abs', got scalar", "abs(1)"),
        ("hits hits", "unexpected 'hits'", "hits"),
        ("sum(hits) by (pod) up", "unexpected 'up'", "up"),
        ("hits +", "the query ends where more is expected", ""),
        ("", "no expression found in input", ""),
        ("hits{code=~\"(\"}", "'(' is no regular expression", '"("'),
        ("sum(rate(hits[5m])) / {{args.total}}", "{{args.total}} is not filled in", "{{args.total}}"),
        ("rate(hits[{{ args.window }}])", "{{ args.window }} is not filled in", "{{ args.window }}"),
        ("rate(hits[$__interval])", "$__interval is not filled in", "$__interval"),
        ("hits{app=\"web\", service=\"{{inputs.x}}-canary\"}", "{{inputs.x}} is not filled in", "{{inputs.x}}"),
        ("up{job=~`\\d`} + rate(hits)", "expected type matrix in call to function 'rate', got vector", "rate(hits)"),
        ("up{job=~`\\d(`}", "is no regular expression", "`\\d(`"),
        ("up{job=`web", "unterminated quoted string `", "`"),
        ("1 == 1", "comparisons between scalars must use BOOL modifier", "1 == 1"),
        ("hits and 1", "set operator 'and' not allowed in binary scalar expression", "and"),
        ("{}", "vector selector must contain at least one non-empty matcher", "{}"),
        # not supported
        ("1 + holt_winters(hits[5m], 0.1, 0.2)", "function 'holt_winters' is not supported", "holt_winters"),
        ("1 + double_exponential_smoothing(hits[5m], 0.1, 0.2)", "is not supported", "double_exponential_smoothing"),
        ("histogram_count(hits)", "function 'histogram_count' is not supported", "histogram_count"),
        ("sum(rates(hits[5m]))", "did you mean 'rate'?", "rates"),
        ("sum(sin(hits))", "'sin' is not supported; known", "sin"),
        ("limitk(2, hits)", "function 'limitk' is not supported", "limitk"),
        ("sum(sin(hits))", "known: abs, absent, absent_over_time, avg", "sin"),
        ("hour()", "function 'hour' is not supported", "hour"),
        ("up * hits{a=\"b\" or c=\"d\"}", "'or' between matchers is not supported", 'hits{a="b" or c="d"}'),
        ("hits + fill(0) up", "'fill' is not supported", "+"),
        ("hits @ -5", "a time before 1970 after @ is not supported", "@ -"),
        ("hits{pod=~\"\\\\pL+\"}", "\\p is not supported", "hits{pod=~\"\\\\pL+\"}"),
        # what no data can mend
        ("hits[5m]", "expected a query that gives a vector or a number, got a range vector", "hits[5m]"),
        ('"text"', "expected a query that gives a vector or a number, got a string", '"text"'),
        ('label_replace(hits, "a-b", "", "pod", "")', "label_replace: 'a-b' is no name of a label", "label_replace"),
        ('sum(label_join(hits, "a", "-", "b c"))', "label_join: 'b c' is no name of a label", "label_join"),
        ('label_replace(hits, "a", "", "pod", "(")', "regular expression '(': missing )", "label_replace"),
        ('count_values("a b", hits)', "count_values: 'a b' is no name of a label", "count_values"),
        # too large
        ("hits[1e999]", "a duration of inf seconds is out of bounds", "1e999"),
        ("max_over_time(hits[5m:1e-9])", "a duration of 1e-09 seconds is out of bounds", "1e-9"),
        ("hits offset -Inf", "a duration of inf seconds is out of bounds", "Inf"),
        ("hits offset NaN", "a duration of nan seconds is out of bounds", "NaN"),
        ("hits[1e15]", "out of bounds", "1e15"),
        ("hits offset 99999999999999y", "duration must be greater than 0", "hits offset 99999999999999y"),
        ("hits @ 1e13", "a time after @ that is too far away", "hits"),
        ("hits @ 1e300", "a time after @ that is too far away", "hits"),
        ("hits" + " + hits" * 600, "more than 500 operators and brackets", "+"),
        ("(" * 101 + "1" + ")" * 101, "brackets nested deeper than 100", "("),
        ("max_over_time(hits[5d:1s])", "subqueries with more than 11000 steps", "max_over_time(hits[5d:1s])"),
        ("max_over_time(max_over_time(hits[10m:1s])[10m:1s])", "more than 11000 steps", "max_over_time(max_over_time(hits[10m:1s])[10m:1s])"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_where(text: str, problem: str, under: str) -> None:
    said, found = refused(text)
    assert problem in said
    assert found == under


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (r"a\d+", r"a\d+"),
        (r"a\\d", r"a\\d"),
        ("a\"b'c", "a\"b'c"),
        ("a\nb", "a\nb"),
        (r"end\ "[:-1], "end\\"),
        ("", ""),
    ],
)
def test_a_raw_string_has_no_escapes(raw: str, value: str) -> None:
    (selector,) = names_of(parse(f"up{{job=`{raw}`, pod!=`a`}}"))
    assert selector.matchers[1:] == (Matcher("job", "=", value), Matcher("pod", "!=", "a"))


def test_a_long_text_is_refused_before_it_is_read() -> None:
    assert "longer than 10000 characters" in refused("x" * 10_001)[0]


def test_a_deep_tree_is_refused() -> None:
    assert "nested deeper than 100" in refused("1" + " + 1" * 400)[0]


@given(st.text(alphabet="sumrate(hits)[5m]{}=~\"'`,+-*/ @offset by onand12.:#\\", max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        query = parse(text)
    except PromqlError as refusal:
        place = refusal.start, refusal.end
    else:
        place = 0, len(query.text)
    assert 0 <= place[0] <= place[1] <= len(text)


def test_the_places_of_nodes_are_those_of_their_words() -> None:
    text = 'sum by (pod) (rate(hits{code="5"}[5m])) - on(pod) -up > bool 2 # rate(\n and rate(mem[1m]) unless {pod="a"}'
    root = parse(text).root
    under = {text[node.place.start : node.place.end] for node in walk(root) if isinstance(node, Call | Select | Binary)}
    assert under == {"rate", 'hits{code="5"}', "-", "up", ">", "and", "mem", "unless", '{pod="a"}'}
    calls = [node.place.start for node in walk(root) if isinstance(node, Call)]
    assert calls == [text.index("rate("), text.index("rate(mem")]


def test_a_sign_after_a_matching_is_no_operator() -> None:
    text = "a + on(pod) -b - c"
    minus = [node for node in walk(parse(text).root) if isinstance(node, Binary) and node.op == "-"]
    assert [node.place.start for node in minus] == [text.rindex("-")]


def test_the_selectors_of_a_query() -> None:
    query = parse('rate(hits{code=~"5.."}[5m] offset 1m) / scalar(up) + max_over_time(mem[10m:1m] offset -2m)')
    found = names_of(query)
    assert [(one.matchers[0].value, one.range_ms, one.offset_ms) for one in found] == [
        ("hits", 300_000, 60_000),
        ("up", 0, 0),
        ("mem", 0, 0),
    ]
    assert found[0].matchers == (Matcher("__name__", "=", "hits"), Matcher("code", "=~", "5.."))
    assert query.text[found[1].place.start : found[1].place.end] == "up"


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("up", 300_000),
        ("rate(hits[5m])", 300_000),
        ("rate(hits[1h]) / up", 3_600_000),
        ("rate(hits[5m] offset 10m)", 900_000),
        ("up offset -1h", 0),
        ("max_over_time(rate(hits[5m])[1h:])", 3_900_000),
        ("max_over_time(max_over_time(up[10m:1m] offset 1m)[1h:1m])", 4_560_000),
        ("up @ end()", 300_000),
        ("max_over_time(up[1h:1m] @ start())", 3_900_000),
        ("rate(hits[5m] @ 100) + up", None),
        ("1 + time()", 0),
    ],
)  # fmt: skip
def test_how_far_back_a_query_looks(text: str, longest: int | None) -> None:
    assert longest_ms(parse(text)) == longest


def test_a_query_can_be_sent_to_another_process() -> None:
    query = parse('sum(rate(hits{code=~"5.."}[5m])) > bool on() vector(1)')
    assert pickle.loads(pickle.dumps(query)) == query
    assert hash(query) == hash(parse(query.text))
