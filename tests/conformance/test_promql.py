"""The PromQL evaluator against Prometheus: kept answers of two versions, and new ones where promtool is installed."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace

import pytest
from promql_cases import FILE_3, load
from promql_differential import features, main, run
from promql_oracle import MISSING, promtool
from promql_world import FAILED, Answer, Case, World, difference, on_the_last_bit, ours, read_samples

from strategies.metrics.promql import PROMETHEUS_2_42, PROMETHEUS_3, windows
from strategies.metrics.promql.aggregate import OPERATORS
from strategies.metrics.promql.functions import FUNCTIONS

CASES, CASES_3 = load(), load(FILE_3)
STORES = {world: world.store() for world in dict.fromkeys(world for world, _, _ in (*CASES, *CASES_3))}


@pytest.mark.parametrize(
    ("world", "case", "theirs"), CASES, ids=[f"{case.expr[:60]}@{case.at_ms}" for _, case, _ in CASES]
)
def test_the_answer_is_that_of_promtool(world: World, case: Case, theirs: Answer | str) -> None:
    wrong = difference(ours(STORES[world], case), theirs)
    assert not wrong, f"{case.expr} at {case.at_ms} ms: {wrong}"


@pytest.mark.parametrize(
    ("world", "case", "theirs"), CASES_3, ids=[f"{case.expr[:60]}@{case.at_ms}" for _, case, _ in CASES_3]
)
def test_by_the_rules_that_users_get_it_is_that_of_prometheus_3(world: World, case: Case, theirs: Answer | str) -> None:
    wrong = difference(ours(STORES[world], case, rules=PROMETHEUS_3), theirs)
    assert not wrong, f"{case.expr} at {case.at_ms} ms: {wrong}"


@pytest.mark.parametrize("name", ["left_open", "clamp_first", "atan2_keeps_name", "one_is_steady"])
def test_the_kept_answers_tell_the_two_versions_apart(name: str) -> None:
    """Of `merge_close` there is no random case: it is in tests/strategies/metrics/test_promql_rules.py."""
    older = replace(PROMETHEUS_3, **{name: getattr(PROMETHEUS_2_42, name)})
    telling = [case for world, case, theirs in CASES_3 if difference(ours(STORES[world], case, rules=older), theirs)]
    assert len(telling) >= 3


@pytest.mark.parametrize("cases", [CASES, CASES_3], ids=["2.42", "3"])
def test_every_function_is_in_three_kept_answers_that_are_not_empty(
    cases: list[tuple[World, Case, Answer | str]],
) -> None:
    seen = Counter(word for _, case, theirs in cases if theirs != FAILED and theirs for word in features(case.expr))
    words = (
        *FUNCTIONS,
        *OPERATORS,
        "and",
        "or",
        "unless",
        "atan2",
        "bool",
        "offset",
        "@",
        "subquery",
        "on",
        "ignoring",
    )
    words += ("group_left", "group_right", "by", "without", "+", "-", "*", "/", "%", "^")
    assert {word: seen[word] for word in words if seen[word] < 3} == {}


def test_most_kept_answers_say_something() -> None:
    said = sum(theirs != FAILED and bool(theirs) for _, _, theirs in CASES)
    assert len(CASES) >= 300
    assert said > 0.8 * len(CASES)
    assert sum(theirs == FAILED for _, _, theirs in CASES) >= 3


OFF_GRID = [(world, case) for world, case, _ in CASES if "@" not in case.expr and not re.search(r"\[\w+:", case.expr)]


@pytest.mark.parametrize("number", range(0, len(OFF_GRID), 20))
def test_off_the_grid_of_scrapes_open_and_closed_windows_agree(number: int) -> None:
    """Durations are whole seconds and scrapes too, so no window that ends 137 ms later begins at one."""
    for world, case in OFF_GRID[number : number + 20]:
        later = Case(case.expr, case.at_ms + 137)
        closed = ours(STORES[world], later)
        opened = ours(STORES[world], later, rules=replace(PROMETHEUS_2_42, left_open=True))
        assert not difference(opened, closed, tolerance=0.0), case.expr


def test_long_series_are_cut_without_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [ours(STORES[world], case) for world, case, _ in CASES]
    monkeypatch.setattr(windows, "_LONG", 0)
    for (world, case, _), answer in zip(CASES, before, strict=True):
        assert not difference(ours(STORES[world], case), answer, tolerance=0.0), case.expr


@pytest.mark.skipif(promtool() is None, reason=MISSING)
def test_new_random_queries_have_the_answers_of_promtool() -> None:
    found = list(run(seed=20260101, cases=75))
    assert [f"{one.case.expr} at {one.case.at_ms} ms: {one.wrong}" for one in found if one.wrong] == []
    assert sum(one.says_something for one in found) > 30


def test_without_promtool_the_program_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["--cases", "1"]) == 3
    assert "apt-get install prometheus" in capsys.readouterr().err


def test_what_promtool_prints_is_read_back() -> None:
    text = r'{__name__="hits", pod="a\"b\\c, {d}"} 8E+00, {} NaN, {x="1"} -Inf'
    found = read_samples(text)
    assert found[(("__name__", "hits"), ("pod", 'a"b\\c, {d}'))] == 8
    assert math.isnan(found[()])
    assert found[(("x", "1"),)] == -math.inf
    with pytest.raises(ValueError, match="cannot read"):
        read_samples("{} 1 and more")


_MEM = (
    "100017.25 100034.5 100035.5 100035.2 100035.2 100035.3 100036.3 100036 100035 100034.7 100033.7 100033.7 100050.95 "
    "100051.95 100051.95 100051.65 100051.34999999999 100068.59999999999 100085.84999999999"
)


def test_a_remainder_of_a_large_number_hangs_on_the_last_bit_and_nothing_else_does() -> None:
    world, case = (
        World(60_000, (("mem{}", _MEM),)),
        Case("avg_over_time(mem[660s] offset 60s) % deriv(mem[120s])", 922_311),
    )
    mine = ours(world, case)
    assert isinstance(mine, dict)
    [value] = mine.values()
    assert on_the_last_bit(world, case, {(): value + 1.5e-11})
    assert not on_the_last_bit(world, case, {(): value * 1.01})
    assert not on_the_last_bit(world, case, {(("x", "1"),): value})
    plain = Case("rate(mem[660s])", 922_311)
    mine = ours(world, plain)
    assert isinstance(mine, dict)
    assert not on_the_last_bit(world, plain, {labels: value * (1 + 1e-8) for labels, value in mine.items()})


def test_a_difference_is_seen() -> None:
    a: Answer = {(("x", "1"),): 1.0}
    assert not difference(a, {(("x", "1"),): 1.0 + 1e-12})
    assert "ours 1.0, promtool 1.1" in difference(a, {(("x", "1"),): 1.1})
    assert "only promtool" in difference(a, {}) or "only ours" in difference(a, {})
    assert difference(a, FAILED)
    assert not difference(FAILED, FAILED)
    assert not difference({(): math.nan}, {(): math.nan})
    assert difference({(): math.nan}, {(): 0.0})
