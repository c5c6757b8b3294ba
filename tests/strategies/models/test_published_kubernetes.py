"""Every row of Kubernetes' own tables that the models imitate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from strategies.models import kubernetes

TABLES: dict[str, Any] = YAML(typ="safe").load(
    Path(__file__).parents[2].joinpath("published", "kubernetes_rounding.yaml").read_text(encoding="utf-8")
)


def test_no_row_was_lost() -> None:
    assert {name: len(rows) for name, rows in TABLES.items()} == {
        "fenceposts": 7,
        "max_unavailable": 7,
        "min_available": 7,
        "new_replicas": 2,
        "reconcile_new": 5,
        "reconcile_old": 5,
        "clean_up": 4,
        "scale_down": 5,
        "complete": 6,
        "crash_loop": 11,
    }


def _rows(section: str) -> Any:
    return pytest.mark.parametrize("row", TABLES[section], ids=str)


@_rows("fenceposts")
def test_fenceposts(row: list[Any]) -> None:
    surge, unavailable, replicas, *expected = row
    surge, unavailable = (0 if value is None else value for value in (surge, unavailable))
    if expected == [None, None]:
        with pytest.raises(ValueError, match="expected a whole number of pods"):
            kubernetes.resolve_fenceposts(surge, unavailable, replicas)
    else:
        assert kubernetes.resolve_fenceposts(surge, unavailable, replicas) == tuple(expected)


@_rows("max_unavailable")
def test_max_unavailable(row: list[Any]) -> None:
    replicas, unavailable, expected = row
    _, pods = kubernetes.resolve_fenceposts(1, unavailable, replicas)
    assert kubernetes.max_unavailable(pods, replicas) == expected


@_rows("min_available")
def test_min_available(row: list[Any]) -> None:
    replicas, unavailable, expected = row
    _, pods = kubernetes.resolve_fenceposts(1, unavailable, replicas)
    assert replicas - kubernetes.max_unavailable(pods, replicas) == expected


@_rows("new_replicas")
def test_size_of_the_new_replica_set(row: list[int]) -> None:
    replicas, surge, total, new, expected = row
    assert kubernetes.new_replicas(replicas, surge, total, new) == expected


@_rows("reconcile_new")
def test_a_sync_scales_the_new_replica_set_first(row: list[int]) -> None:
    replicas, surge, old, new, expected = row
    size, old_sizes = kubernetes.rolling_sync(replicas, surge, 0, (new, 0), [(old, old)])
    assert size == expected
    if size != new:
        assert old_sizes == [old]


@_rows("reconcile_old")
def test_a_sync_scales_the_old_replica_set(row: list[Any]) -> None:
    replicas, unavailable, old, new, expected = row
    surge, unavailable = kubernetes.resolve_fenceposts(0, unavailable, replicas)
    assert kubernetes.old_replicas(replicas, unavailable, tuple(new), [tuple(old)]) == [expected]
    # The same by a whole sync: without a surge these leave the new ReplicaSet no room.
    assert kubernetes.rolling_sync(replicas, surge, unavailable, tuple(new), [tuple(old)]) == (new[0], [expected])


@_rows("clean_up")
def test_clean_up_of_unavailable_pods(row: list[Any]) -> None:
    old, budget, removed = row
    sizes = [old[0]]
    assert kubernetes._clean_up(sizes, [tuple(old)], budget)
    assert old[0] - sizes[0] == removed


@_rows("scale_down")
def test_scale_down_of_available_pods(row: list[int]) -> None:
    replicas, unavailable, available, old, expected = row
    _, pods = kubernetes.resolve_fenceposts(0, unavailable, replicas)
    sizes = [old]
    kubernetes._scale_down(sizes, available - (replicas - pods))
    assert sizes == [expected]


@_rows("complete")
def test_deployment_complete(row: list[Any]) -> None:
    replicas, total, updated, available, expected = row
    assert kubernetes.deployment_complete(replicas, updated, total, available) is expected
    assert not kubernetes.deployment_complete(replicas, updated, total, available, observed=False)


@_rows("crash_loop")
def test_crash_loop_delay(row: list[float]) -> None:
    restarts, ran_seconds, expected = row
    assert kubernetes.crash_loop_delay_seconds(int(restarts), ran_seconds) == expected
