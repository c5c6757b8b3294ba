"""An expectation holds, fails, or there is too little evidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scenarios.schema import Expectation
from sim.expectations import Holds, check
from sim.results import COLUMNS, Cell


def cell(runs: int, **columns: Any) -> Cell:
    zeros: dict[str, Any] = {name: np.full(runs, np.nan) for name in COLUMNS}
    zeros |= {"replication": np.arange(runs), "outcome": np.zeros(runs, dtype=np.int8)}
    zeros["release_bad"] = np.ones(runs, dtype=bool)
    return Cell("errors", "canary", None, runs, runs, 1, "batch", "iid", zeros | columns)


def expect(statistic: str, column: str, low: float, high: float, **more: Any) -> Expectation:
    return Expectation.model_validate(
        {"strategy": "canary", "statistic": statistic, "column": column, "between": [low, high], "because": "x", **more}
    )


DRAWN = np.random.default_rng(1).normal(100, 10, 2000)  # mean and p50 100, p90 112.8


@pytest.mark.parametrize(
    ("statistic", "low", "high", "holds"),
    [
        ("mean", 90, 110, Holds.YES),
        ("mean", 110, 120, Holds.NO),
        ("mean", 100, 110, Holds.UNSURE),
        ("p50", 95, 105, Holds.YES),
        ("p50", 0, 90, Holds.NO),
        ("p90", 110, 116, Holds.YES),
        ("p90", 95, 105, Holds.NO),
        ("p90", 112.8, 200, Holds.UNSURE),
    ],
)
def test_statistics(statistic: str, low: float, high: float, holds: Holds) -> None:
    (found,) = check([cell(2000, bad_requests=DRAWN)], [expect(statistic, "bad_requests", low, high)])
    assert found.holds is holds
    assert found.lo < found.value < found.hi


@pytest.mark.parametrize(("low", "high", "holds"), [(0.4, 0.6, Holds.YES), (0.6, 1, Holds.NO), (0.5, 1, Holds.UNSURE)])
def test_shares_of_an_outcome(low: float, high: float, holds: Holds) -> None:
    outcome = (np.arange(2000) % 2).astype(np.int8)
    (found,) = check([cell(2000, outcome=outcome)], [expect("share", "outcome=rolled_back", low, high)])
    assert found.holds is holds


def test_share_of_a_truth() -> None:
    (found,) = check([cell(2000)], [expect("share", "release_bad", 0.99, 1)])
    assert found.holds is Holds.YES


@pytest.mark.parametrize("statistic", ["mean", "p50", "p90"])
def test_both_ends_of_the_interval_count(statistic: str) -> None:
    one = cell(2000, bad_requests=DRAWN)

    def holds(low: float, high: float) -> Holds:
        return check([one], [expect(statistic, "bad_requests", low, high)])[0].holds

    (found,) = check([one], [expect(statistic, "bad_requests", 0, 1)])
    assert holds(found.lo, found.hi) is Holds.YES
    assert holds(0, (found.value + found.hi) / 2) is Holds.UNSURE
    assert holds((found.lo + found.value) / 2, 1000) is Holds.UNSURE
    assert holds(0, np.nextafter(found.lo, 0)) is Holds.NO
    assert holds(np.nextafter(found.hi, 1000), 1000) is Holds.NO


def test_few_replications_are_inconclusive_where_many_decide() -> None:
    wanted = expect("share", "release_bad", 0.99, 1)
    assert check([cell(50)], [wanted])[0].holds is Holds.UNSURE
    assert check([cell(5000)], [wanted])[0].holds is Holds.YES


def test_a_constant_column_holds_at_its_bounds() -> None:
    (found,) = check([cell(50, peak_pods=np.full(50, 6.0))], [expect("mean", "peak_pods", 6, 6)])
    assert found.holds is Holds.YES


def test_no_value_at_all_is_inconclusive_and_says_so() -> None:
    (found,) = check([cell(50)], [expect("mean", "detection_seconds", 0, 1e9)])
    assert found.holds is Holds.UNSURE
    assert "no replication has a value" in found.reason


def test_the_reason_has_the_numbers() -> None:
    (found,) = check([cell(2000, bad_requests=DRAWN)], [expect("mean", "bad_requests", 110, 120)])
    assert "mean of bad_requests is" in found.reason
    assert "(2000 values); expected 110 to 120" in found.reason


def test_expectations_of_other_strategies_and_variants_are_left_out() -> None:
    wanted = [expect("mean", "pod_hours", 0, 1, strategy="rolling"), expect("mean", "pod_hours", 0, 1, variant="fast")]
    assert check([cell(50)], wanted) == []
