"""Errors: one line each, several at once, whole across process borders."""

from __future__ import annotations

import pickle

import pytest

from scenarios.errors import Place, ScenarioError, ScenarioErrors, pick, raise_all, unknown


def test_one_line_says_where_what_and_what_would_be_right() -> None:
    error = unknown("maxsurge", ["maxSurge", "maxUnavailable"], field="strategies.a", place=Place("w.yaml", 7, 3))
    expected = (
        "w.yaml:7:3 strategies.a: unknown name 'maxsurge'; did you mean 'maxSurge'? known: maxSurge, maxUnavailable"
    )
    assert str(error) == expected
    assert (error.file, error.line, error.column, error.nearest) == ("w.yaml", 7, 3, "maxSurge")


def test_a_word_that_resembles_nothing_still_lists_what_is_known() -> None:
    assert str(unknown("x", ["b", "a"])) == "unknown name 'x'; known: a, b"


def test_pick_gives_the_value_or_the_names() -> None:
    assert pick("a", {"a": 1}, field="f") == 1
    with pytest.raises(
        ScenarioError, match=r"^f: unknown preset 'chekout'; did you mean 'checkout'\? known: checkout$"
    ):
        pick("chekout", {"checkout": 1}, field="f", what="preset")


def test_expected_and_got_make_the_sentence() -> None:
    error = ScenarioError(expected="1 or more", got=0, field="service.replicas", place=Place("w.yaml", 5))
    assert str(error) == "w.yaml:5 service.replicas: expected 1 or more, got 0"


def test_several_are_one_line_each_and_stand_for_their_first() -> None:
    both = [unknown("x", ["y"], place=Place("a.yaml", 1, 1)), ScenarioError("p", place=Place("a.yaml", 2, 1))]
    with pytest.raises(ScenarioErrors) as caught:
        raise_all([ScenarioErrors(both[:1]), both[1]])
    assert str(caught.value) == "a.yaml:1:1: unknown name 'x'; known: y\na.yaml:2:1: p"
    assert caught.value.errors == tuple(both)
    assert caught.value.line == 1
    raise_all([])


def test_errors_survive_a_process_border() -> None:
    errors = ScenarioErrors([unknown("x", ["y"], place=Place("a.yaml", 1, 1)), ScenarioError("p")])
    again = pickle.loads(pickle.dumps(errors))
    assert str(again) == str(errors)
    assert [one.known for one in again.errors] == [("y",), ()]
