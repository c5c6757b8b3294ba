"""What a study gives: summaries, frames and paired differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from sim.results import COLUMNS, METRICS, OUTCOMES, Cell, Study, paired


def cell(strategy: str = "canary", runs: int = 8, **columns: Any) -> Cell:
    """A cell of zeros, with some columns given."""
    zeros: dict[str, Any] = {name: np.zeros(runs) for name in COLUMNS}
    zeros |= {
        "replication": np.arange(runs),
        "outcome": np.zeros(runs, dtype=np.int8),
        "release_bad": np.ones(runs, dtype=bool),
    }
    given = {name: np.asarray(values) for name, values in columns.items()}
    return Cell("errors", strategy, None, runs, runs, 1, "batch", "iid", zeros | given)


def test_columns_are_those_of_the_vocabulary_in_order() -> None:
    assert COLUMNS[:4] == ("replication", "release_bad", "severity", "outcome")
    assert len(COLUMNS) == 22
    assert OUTCOMES == ("promoted", "rolled_back", "paused", "stalled")


def test_shares_of_outcomes_add_to_one_with_the_censored() -> None:
    told = cell(outcome=np.array([0, 0, 1, 1, 1, 2, 3, -1], dtype=np.int8)).summary()["outcomes"]
    assert {name: share["share"] for name, share in told.items()} == {
        "promoted": 0.25,
        "rolled_back": 0.375,
        "paused": 0.125,
        "stalled": 0.125,
        "censored": 0.125,
    }
    assert all(share["lo"] <= share["share"] <= share["hi"] for share in told.values())


def test_a_null_is_left_out_of_every_statistic() -> None:
    metric = cell(detection_seconds=[1.0, 2, 3, math.nan, math.nan, 4, 5, math.nan]).summary()["metrics"]
    found = metric["detection_seconds"]
    assert (found["mean"], found["p50"], found["n"]) == (3.0, 3.0, 5)
    assert found["lo"] < 3 < found["hi"]


def test_a_column_without_values_has_no_statistics() -> None:
    found = cell(users_exposed=np.full(8, math.nan)).summary()["metrics"]["users_exposed"]
    assert found["n"] == 0
    assert not any(math.isfinite(found[name]) for name in ("mean", "lo", "hi", "p50", "p90", "p99"))


def test_a_truth_is_summarised_as_a_share() -> None:
    found = cell(release_bad=np.arange(8) < 2).summary()["metrics"]["release_bad"]
    assert found["mean"] == 0.25
    assert 0 < found["lo"] < 0.25 < found["hi"] < 1


def test_a_summary_leaves_the_columns_as_they_are() -> None:
    values = np.array([5.0, 1, 4, 2, 3, 0, 7, 6])
    one = cell(bad_requests=values.copy())
    one.summary()
    np.testing.assert_array_equal(one.columns["bad_requests"], values)


def test_every_metric_is_in_the_summary() -> None:
    assert set(cell().summary()["metrics"]) == set(METRICS) == set(COLUMNS) - {"replication", "outcome"}


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(KeyError):
        cell().values("outcome=rolledback")


def test_a_frame_has_a_row_a_replication_and_words_for_outcomes() -> None:
    frame = Study([cell(outcome=np.array([0, 1, -1, 0, 0, 0, 0, 3], dtype=np.int8)), cell("rolling")]).frame
    assert list(frame.columns) == ["scenario", "strategy", "variant", *COLUMNS]
    assert len(frame) == 16
    assert list(frame.outcome[:3]) == ["promoted", "rolled_back", "censored"]


def test_the_summary_of_a_study_is_tidy() -> None:
    summary = Study([cell(bad_requests=np.arange(8.0))]).summary
    assert summary.loc[("errors", "canary", "", "bad_requests"), "mean"] == 3.5
    assert summary.loc[("errors", "canary", "", "outcome=promoted"), "mean"] == 1.0


def test_differences_are_taken_world_by_world() -> None:
    worlds = np.random.default_rng(1).normal(0, 1000, 200)
    one = cell("canary", 200, bad_requests=worlds + 1 + np.arange(200) % 2)
    other = cell("rolling", 200, bad_requests=worlds)
    (found,) = paired([other, one], "bad_requests")
    assert (found.strategy, found.minus, found.n) == ("canary", "rolling", 200)
    assert found.mean == pytest.approx(1.5)
    assert found.hi - found.lo < 0.2  # the spread of the worlds (1,000) cancels


def test_differences_of_interrupted_cells_use_the_worlds_of_both() -> None:
    one = cell("canary", 3, replication=[0, 5, 7], bad_requests=[10.0, 15, 17])
    other = cell("rolling", 8, bad_requests=np.arange(8.0))
    (found,) = paired([other, one], "bad_requests")
    assert (found.mean, found.n) == (10.0, 3)


def test_differences_skip_worlds_where_one_side_is_null() -> None:
    one = cell("canary", detection_seconds=[1.0, math.nan, 3, 4, 5, 6, 7, 8])
    other = cell("rolling", detection_seconds=[math.nan, 2.0, 1, 1, 1, 1, 1, 1])
    assert paired([other, one], "detection_seconds")[0].n == 6


def test_cells_of_different_seeds_are_not_paired() -> None:
    one = cell("canary")
    one.seed = 2
    with pytest.raises(ValueError, match="seeds 2 and 1"):
        paired([cell("rolling"), one], "bad_requests")


def test_a_variant_is_paired_with_the_file_as_it_stands() -> None:
    one = cell("canary", bad_requests=np.full(8, 3.0))
    one.variant = "fast"
    (found,) = paired([cell("canary"), cell("rolling"), one][::2], "bad_requests")
    assert (found.variant, found.minus, found.minus_variant, found.mean) == ("fast", "canary", None, 3.0)


def test_cells_of_different_questions_are_not_paired() -> None:
    one, two = cell("canary"), cell("canary")
    one.variant = "fast"
    two.scenario = "slow"
    assert paired([cell("rolling"), one, two], "bad_requests") == []
