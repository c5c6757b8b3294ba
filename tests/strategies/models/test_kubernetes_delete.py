"""Which pods go first: the rules one by one, and that they make an order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.models.kubernetes_delete import deletion_rank

S = 1_000_000
NOW = 1_000 * S
POD: dict[str, Any] = {"running": True, "ready_us": 900 * S, "restarts": 0, "made_us": 800 * S, "uid": 0.5}


def rank(**other: Any) -> tuple[Any, ...]:
    return deletion_rank(NOW, **{**POD, **other})


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ({"running": False, "ready_us": None}, {"ready_us": None}),
        ({"ready_us": None}, {}),
        ({"ready_us": None, "restarts": 3}, {"ready_us": None, "restarts": 1}),
        ({"ready_us": None, "made_us": 990 * S}, {"ready_us": None}),
        ({"ready_us": 990 * S, "uid": 0.9}, {"uid": 0.1}),  # 10 s against 100 s
        ({"ready_us": 990 * S, "uid": 0.1}, {"ready_us": 991 * S, "uid": 0.9}),  # 2^33 ns are 8.6 s: 10 s is as 9 s
        ({"ready_us": 992 * S, "uid": 0.9}, {"ready_us": 991 * S, "uid": 0.1}),  # 8 s is less than 9 s
        ({"ready_us": NOW, "uid": 0.9}, {"ready_us": NOW - S, "uid": 0.1}),
        ({"ready_us": -10 * 86_400 * S, "uid": 0.1}, {"ready_us": -9 * 86_400 * S, "uid": 0.9}),
    ],
)
def test_the_first_goes_before_the_last(first: dict[str, Any], last: dict[str, Any]) -> None:
    assert rank(**first) < rank(**last)


@given(st.integers(-(10**12), NOW), st.integers(-(10**12), NOW))
def test_a_pod_twice_as_old_never_goes_first(one: int, other: int) -> None:
    young, old = sorted((one, other), reverse=True)
    if NOW - old > 2 * (NOW - young + S):  # a second may be lost in rounding
        assert rank(ready_us=young, uid=1.0) <= rank(ready_us=old, uid=1.0)
        assert rank(ready_us=young, uid=1.0)[3] < rank(ready_us=old)[3]
