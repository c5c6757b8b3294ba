"""The series store."""

from __future__ import annotations

import numpy as np
import pytest

from strategies.metrics.series import Matcher, SeriesStore, pairs, satisfies


def test_series_of_different_lengths_share_one_array() -> None:
    store = SeriesStore(2)
    store.add({"__name__": "m", "pod": "b"}, times_ms=[0, 10, 20], values=[1.0, 2.0, 3.0])
    store.add({"__name__": "m", "pod": "a"}, times_ms=[[5], [7]], values=[[8.0], [9.0]])
    found = store.select([Matcher("__name__", "=", "m")])
    assert [labels["pod"] for labels in found.labels] == ["a", "b"]
    assert found.values.shape == found.kept.shape == (2, 2, 3)
    assert found.kept[0].tolist() == [[True, False, False]] * 2
    assert (np.diff(found.times_ms, axis=2) > 0).all()
    assert found.values[0, :, 0].tolist() == [8.0, 9.0]


def test_series_on_one_grid_share_their_times() -> None:
    store = SeriesStore()
    for pod in "ab":
        store.add({"__name__": "m", "pod": pod}, times_ms=[0, 10], values=[1.0, 2.0])
    assert store.select([Matcher("__name__", "=", "m")]).times_ms.shape == (1, 1, 2)


def test_a_series_that_comes_later_is_found() -> None:
    store, all_of = SeriesStore(), [Matcher("__name__", "=~", "m|n")]
    store.add({"__name__": "m"}, times_ms=[0], values=[1.0])
    assert len(store.select(all_of).labels) == 1
    store.add({"__name__": "n"}, times_ms=[0], values=[1.0])
    assert len(store.select(all_of).labels) == 2


def test_a_marker_is_kept() -> None:
    store = SeriesStore()
    store.add({"__name__": "m"}, times_ms=[0, 10], values=[1.0, 0.0], kept=[True, False], stale=[False, True])
    found = store.select([])
    assert found.kept.tolist() == [[[True, True]]]
    assert found.stale is not None
    assert found.stale.tolist() == [[[False, True]]]


@pytest.mark.parametrize(
    ("times_ms", "values", "problem"),
    [
        ([0, 0], [1.0, 2.0], "times_ms must ascend"),
        ([0, 1, 2], [1.0, 2.0], "broadcast"),
        ([0], [[1.0]] * 3, "broadcast"),
    ],
)
def test_what_is_no_series_is_refused(times_ms: list[int], values: list[float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        SeriesStore(2).add({"__name__": "m"}, times_ms=times_ms, values=values)


def test_a_label_set_is_added_once() -> None:
    store = SeriesStore()
    store.add({"__name__": "m", "zone": ""}, times_ms=[0], values=[1.0])
    with pytest.raises(ValueError, match="already in the store"):
        store.add({"__name__": "m"}, times_ms=[0], values=[1.0])


@pytest.mark.parametrize(
    ("matcher", "holds"),
    [
        (Matcher("code", "=", "500"), True),
        (Matcher("code", "!=", "500"), False),
        (Matcher("code", "=~", "5.."), True),
        (Matcher("code", "=~", "5"), False),
        (Matcher("code", "!~", "5|4.."), True),
        (Matcher("nosuch", "=", ""), True),
        (Matcher("nosuch", "=~", ".+"), False),
        (Matcher("nosuch", "!=", "x"), True),
    ],
)
def test_matchers(matcher: Matcher, holds: bool) -> None:
    assert satisfies({"__name__": "m", "code": "500"}, [matcher]) is holds


def test_an_empty_label_is_no_label() -> None:
    assert pairs({"b": "2", "a": "", "__name__": "m"}) == (("__name__", "m"), ("b", "2"))
