"""Pod-seconds under fault: worked cases, and what holds of all of them."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from chaos.injectors.coverage import Coverage
from chaos.timeline import Moment


def test_two_pods_one_of_which_came_later_and_one_that_never_bore_it() -> None:
    coverage = Coverage()
    coverage.meant("a", "web-a", 10)
    coverage.meant("b", "web-b", 20)
    coverage.meant("c", "web-c", 20)
    assert coverage.bore("a", Moment(11, 12))
    assert not coverage.bore("a", Moment(13, 14))  # the first word counts
    assert coverage.bore("b", Moment(20.5, 21))
    coverage.gone("b", 26)
    coverage.over(30)
    covered = coverage.covered(99)
    assert covered.pod_seconds == 20 + 6 + 10
    assert covered.lo_seconds == (30 - 12) + (26 - 21)
    assert covered.hi_seconds == (30 - 11) + (26 - 20.5)
    assert covered.bare == ("web-c",)
    assert covered.share == 23 / 36


def test_nobody_is_no_share() -> None:
    coverage = Coverage()
    assert not coverage.bore("a", Moment(1, 2))
    assert math.isnan(coverage.covered(5).share)


times = st.floats(0, 100)


@given(st.lists(st.tuples(times, times, times, st.booleans()), max_size=6), times, times)
def test_what_is_covered_lies_between_nothing_and_everything(
    targets: list[tuple[float, float, float, bool]], over: float, now: float
) -> None:
    coverage = Coverage()
    for key, (since, one, other, bears) in enumerate(targets):
        coverage.meant(key, str(key), since)
        if bears:
            coverage.bore(key, Moment(min(one, other), max(one, other)))
    coverage.over(over)
    covered = coverage.covered(now)
    assert 0 <= covered.lo_seconds <= covered.hi_seconds <= covered.pod_seconds + 1e-9
    assert len(covered.bare) == sum(not bears for *_, bears in targets)
    assert coverage.covered(max(now, over)) == coverage.covered(1000)  # it was taken back
