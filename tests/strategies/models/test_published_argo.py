"""Every row of Argo Rollouts' own tables, and the weights that pods can approximate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from strategies.models import argo

TABLES: dict[str, Any] = YAML(typ="safe").load(
    Path(__file__).parents[2].joinpath("published", "argo_replica_counts.yaml").read_text(encoding="utf-8")
)


def _named(section: str) -> list[Any]:
    return [pytest.param(row, id=f"{row.get('row') or row['test']}: {row['name']}") for row in TABLES[section]]


def _settings(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("name", "row", "test", "expect")}


def _pair(value: list[int] | None) -> tuple[int, int] | None:
    return None if value is None else (value[0], value[1])


def test_no_row_was_lost() -> None:
    assert {name: len(rows) for name, rows in TABLES.items()} == {
        "basic": 33 + 3,
        "routed": 7 + 1,
        "dynamic": 8,
        "abort": 2,
        "settled": 5,
        "weight_to_pods": 7,
        "approximation": 57,
    }


@pytest.mark.parametrize("row", _named("basic"))
def test_counts_without_a_router(row: dict[str, Any]) -> None:
    wanted = argo.basic_counts(
        row["replicas"],
        row["weight"],
        row["surge"],
        row["unavailable"],
        canary=_pair(row["canary"]),
        stable=_pair(row["stable"]),
        older=row["older"],
    )
    assert wanted == _pair(row["expect"])


@pytest.mark.parametrize("row", TABLES["approximation"], ids=str)
def test_nearest_weight(row: list[int]) -> None:
    replicas, weight, max_weight, max_surge, canary, stable = row
    assert argo.basic_weights(replicas, weight, max_surge, max_weight) == (canary, stable)


@pytest.mark.parametrize("row", TABLES["settled"], ids=str)
def test_settled(row: list[Any]) -> None:
    weight, canary, stable, stable_available, settled = row
    wanted = argo.basic_counts(4, weight, 1, 1, tuple(canary), (stable[0], stable_available))
    assert argo.basic_settled(wanted, tuple(canary), tuple(stable)) is settled


@pytest.mark.parametrize("row", _named("routed"))
def test_counts_with_a_router(row: dict[str, Any]) -> None:
    settings = _settings(row)
    assert argo.scaled_counts(**settings) == _pair(row["expect"])
    if set(settings) <= {"replicas", "weight", "min_pods"}:
        assert argo.routed_counts(**settings) == _pair(row["expect"])


@pytest.mark.parametrize("row", TABLES["weight_to_pods"], ids=str)
def test_weight_to_pods(row: list[int]) -> None:
    *given, pods = row
    assert argo.weight_to_pods(*given) == pods


@pytest.mark.parametrize("row", _named("dynamic"))
def test_counts_with_a_dynamic_stable_scale(row: dict[str, Any]) -> None:
    weight = row.get("weight")
    actual = _pair(row["actual"])
    assert actual is not None
    if weight is None:
        weight, _ = argo.abort_weights(
            row["replicas"], row["step_weights"], row["canary_available"], row["stable_available"], actual[0]
        )
    assert argo.dynamic_counts(row["replicas"], weight, actual, aborted=row["aborted"]) == _pair(row["expect"])


@pytest.mark.parametrize("row", _named("abort"))
def test_weight_of_the_router_in_an_abort(row: dict[str, Any]) -> None:
    assert argo.abort_weights(**_settings(row))[1] == row["expect"]
