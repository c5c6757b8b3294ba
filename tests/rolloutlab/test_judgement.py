"""The decision sentence says what the numbers say, and nothing when they say nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rolloutlab import judgement
from rolloutlab.result import Result
from sim.results import Cell

MakeCell = Callable[..., Cell]
MakeResult = Callable[..., Result]


def test_the_least_harmful_strategy_is_chosen_with_its_numbers(result: Result) -> None:
    said = judgement.sentences(result)
    assert said[0].startswith("Choose canary: over the 2 worlds it gives users the fewest bad requests, ")
    assert "rolling gives the most" in said[0]
    assert any("promotes the bad release in 3 % [" in line for line in said)
    assert any("takes a good release back in 1 % [" in line for line in said)


def test_no_difference_is_no_decision(cell: MakeCell, result_of: MakeResult) -> None:
    twins = [cell("a", number=1), cell("b", number=1)]
    assert judgement.sentences(result_of(twins))[0].startswith("No detectable difference in bad requests")


def test_an_interrupted_run_decides_nothing(cell: MakeCell, result_of: MakeResult) -> None:
    found = result_of([cell("a"), cell("b", harm=9, requested=9000)])
    assert judgement.sentences(found) == ["No decision: interrupted: holds 800 of 9,400 replications."]


def test_never_seen_is_below_three_over_n(cell: MakeCell, result_of: MakeResult) -> None:
    found = result_of([cell("only", runs=300, stopped=1.0)])
    assert judgement.sentences(found) == ["Only never promotes the bad release (below 1 %)."]


def test_right_and_wrong_are_told_apart_by_the_release(result: Result) -> None:
    rights = {(one.question.name, one.cell.strategy): one for one in judgement.judged(result)}
    assert (rights["good", "canary"].good, rights["good", "canary"].bad) == (400, 0)
    assert rights["good", "canary"].false_rollback.value == 0.01
    assert rights["errors", "rolling"].missed.value == 1.0


def test_too_few_replications_give_no_bound(cell: MakeCell, result_of: MakeResult) -> None:
    found = result_of([cell("only", runs=3, stopped=1.0)])
    assert judgement.sentences(found) == [
        "Only never promotes the bad release (3 replications are too few to say more)."
    ]


def test_always_is_not_most_often(cell: MakeCell, result_of: MakeResult) -> None:
    found = result_of([cell("only", "errors", runs=300), cell("only", "leak", runs=300, stopped=0.0)])
    assert judgement.sentences(found) == ["Only promotes the bad release of leak in 100 % [> 99] of cases."]
    found = result_of([cell("only", "errors", runs=300), cell("only", "leak", runs=300, stopped=0.5)])
    assert judgement.sentences(found)[0].startswith("Only promotes a bad release most often in leak: 50 % [")


def test_variants_of_one_file_are_told_apart(cell: MakeCell, result_of: MakeResult) -> None:
    cells = [cell("only", "errors", runs=300), cell("only", "errors", variant="late", runs=300, stopped=0.5)]
    (question,) = result_of(cells).questions
    found = result_of(cells, questions=[question, replace(question, variant="late")])
    assert judgement.sentences(found)[0].startswith("Only promotes a bad release most often in errors / late: 50 % [")
