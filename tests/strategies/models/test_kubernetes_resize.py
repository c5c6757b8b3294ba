"""A Deployment that is resized: the rows of Kubernetes' own table, and what holds for any sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from strategies.models.kubernetes_resize import resize_sync

ROWS: list[Any] = YAML(typ="safe").load(
    Path(__file__).parents[2].joinpath("published", "kubernetes_resize.yaml").read_text(encoding="utf-8")
)["resize"]


def test_no_row_was_lost() -> None:
    assert len(ROWS) == 17


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_published(row: list[Any]) -> None:
    replicas, surge, sizes, before, new, expected = row
    assert resize_sync(replicas, surge, [(size, 0) for size in sizes], before, new=new) == expected


def test_old_pods_go_when_the_new_ones_are_all_available() -> None:
    assert resize_sync(5, 1, [(3, 3), (5, 5)], [8, 8], new=1) == [0, 5]
    assert resize_sync(5, 1, [(3, 3), (5, 4)], [8, 8], new=1) == [2, 4]


@given(
    replicas=st.integers(0, 60),
    surge=st.integers(0, 20),
    sizes=st.lists(st.integers(0, 30), min_size=2, max_size=4),
    before=st.integers(1, 80),
)
def test_the_sum_becomes_what_is_allowed(replicas: int, surge: int, sizes: list[int], before: int) -> None:
    """With pods in several ReplicaSets: replicas + surge in all, unless what is missing may not be taken from one."""
    sets = [(size, 0) for size in sizes]
    after = resize_sync(replicas, surge, sets, [before] * len(sizes), new=len(sizes) - 1)
    most = replicas + surge if replicas else 0
    assert min(after) >= 0
    if sum(size > 0 for size in sizes) < 2:
        assert max(after) == replicas
        return
    assert [size for size, was in zip(after, sizes, strict=True) if not was] == [0] * sizes.count(0)
    assert sum(after) >= most
    if most >= sum(sizes):
        assert sum(after) == most


@given(
    replicas=st.integers(1, 60), surge=st.integers(0, 20), sizes=st.lists(st.integers(1, 30), min_size=2, max_size=4)
)
def test_a_resize_keeps_the_order_of_sizes(replicas: int, surge: int, sizes: list[int]) -> None:
    """When all pods that were allowed exist, each ReplicaSet is left within a pod of its share, but for the leftovers."""
    before = sum(sizes)
    after = resize_sync(replicas, surge, [(size, 0) for size in sizes], [before] * len(sizes))
    most = replicas + surge
    for size, was in zip(after, sizes, strict=True):
        assert abs(size - was * most / before) <= len(sizes)
