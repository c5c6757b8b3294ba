"""Units: what is read, what is refused, and that text and value round-trip."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios import units

FINITE = st.floats(min_value=0, max_value=1e12, allow_nan=False, allow_infinity=False)
DURATIONS = st.just(0.0) | st.floats(min_value=units.SHORTEST_SECONDS * 1.01, max_value=units.LONGEST_SECONDS - 1)
RATES = st.floats(min_value=0, max_value=units.MOST_PER_SECOND)


@given(DURATIONS)
def test_a_duration_reads_back_from_its_text(seconds: float) -> None:
    # a double has 15 to 17 digits; milliseconds are scaled by 0.001, which is not exact
    assert math.isclose(units.duration(units.duration_text(seconds)), seconds, rel_tol=1e-14)


@given(st.integers(0, 10**9))
def test_whole_seconds_read_back_exactly(seconds: int) -> None:
    assert units.duration(units.duration_text(seconds)) == seconds


@given(FINITE)
def test_memory_reads_back_from_its_text(mib: float) -> None:
    assert units.quantity_mib(units.mib_text(mib)) == mib


@given(RATES)
def test_a_rate_reads_back_from_its_text(per_second: float) -> None:
    assert units.rate(units.rate_text(per_second)) == per_second


@given(st.floats(min_value=1e-6, max_value=1))
def test_a_share_reads_back_to_ten_digits(value: float) -> None:
    assert math.isclose(units.share(units.share_text(value)), value, rel_tol=1e-9)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert units.duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    ("read", "given_", "value"),
    [
        (units.duration, "1h30m", 5400.0),
        (units.duration, "1.5h", 5400.0),
        (units.duration, "250ms", 0.25),
        (units.duration, "2d", 172800.0),
        (units.duration, 90, 90.0),
        (units.duration, "90", 90.0),
        (units.quantity_mib, "512Mi", 512.0),
        (units.quantity_mib, "1Gi", 1024.0),
        (units.quantity_mib, "1048576", 1.0),
        (units.rate, "120/s", 120.0),
        (units.rate, "600/min", 10.0),
        (units.rate, "10M/d", 1e7 / 86400),
        (units.share, "5%", 0.05),
        (units.share, 0.05, 0.05),
        (units.share, 1, 1.0),
    ],
)
def test_what_is_read(read: object, given_: object, value: float) -> None:
    assert callable(read)
    assert read(given_) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("text", ["20 sec", "-5s", "5m 3s", "1h30", "", "s", "nan", "inf", "5M", None, True, [], -1])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="^expected a duration such as 30s, 5m or 1h30m"):
        units.duration(text)


@pytest.mark.parametrize("text", ["512MB", "-1Gi", "1 Gi", "Mi", None, False, math.nan])
def test_what_is_no_memory(text: object) -> None:
    with pytest.raises(ValueError, match="^expected a quantity of memory such as 512Mi or 1Gi"):
        units.quantity_mib(text)


@pytest.mark.parametrize("text", ["-5/s", "5", 5, "5/sec", "5 /s", "100", None])
def test_what_is_no_rate(text: object) -> None:
    with pytest.raises(ValueError, match="^expected a rate such as 120/s, 100/min or 10M/d"):
        units.rate(text)


@pytest.mark.parametrize("text", ["120%", 5, -0.1, "5", "5 %", "-5%", math.nan, True, None])
def test_what_is_no_share(text: object) -> None:
    with pytest.raises(ValueError, match="^expected a percentage from 0% to 100%"):
        units.share(text)


@pytest.mark.parametrize("value", [1.5, "10", True, None, math.inf])
def test_what_is_no_whole_number(value: object) -> None:
    with pytest.raises(ValueError, match="^expected a whole number"):
        units.whole(value)
