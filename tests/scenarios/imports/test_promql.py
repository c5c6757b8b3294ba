"""Which window a query looks back over."""

from __future__ import annotations

import pytest

from scenarios.imports.promql import one_window, ranges


@pytest.mark.parametrize(
    ("query", "window"),
    [
        ("rate(x[5m])", 300.0),
        ("rate(x[1h30m])", 5400.0),
        ("rate(x[90s]) / rate(y[90s])", 90.0),
        ("rate(x[60s]) / rate(y[1m])", 60.0),  # the same window, written twice
        ("rate(x[1d])", 86400.0),
        ("rate(x[1y])", 365 * 86400.0),
        ("rate(x[5m]) / rate(y[1m])", None),
        ("up", None),
        ("max_over_time(rate(x[5m])[30m:1m])", None),
        ("rate(x[$__rate_interval])", None),
        ("rate(x[0s])", None),
        ('rate(x{path=~"/a[0-9]/[5m]"}[2m])', 120.0),
        ("rate(x{path=~'[1m]'}[2m]) # was [5m]", 120.0),
        ('rate(x{path="a\\"[1m]"}[2m])', 120.0),
        ("rate(x{path=`[1m]`}[2m])", 120.0),
        ('rate(x{path="#"}[2m])', 120.0),
    ],
)
def test_the_one_window_of_a_query(query: str, window: float | None) -> None:
    assert one_window(query) == window


def test_ranges_are_told_as_written() -> None:
    assert list(ranges("rate(x[5m]) / rate(y[ 1m ])")) == ["5m", "1m"]
