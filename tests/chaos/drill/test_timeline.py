"""Moments, spans and the columns that are made of them: intervals stay honest, censoring is said."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.results import Pods, measurements
from chaos.timeline import NAMES, Moment, Timeline, span

PODS = Pods(least_available=2, peak=4, seconds=100.0)
TIMES = st.floats(0, 1e6, allow_nan=False)


@st.composite
def moments(draw: st.DrawFn) -> Moment:
    low = draw(TIMES)
    return draw(st.sampled_from([Moment(low, low), Moment(low, low + draw(st.floats(0, 10))), Moment.never(low)]))


def test_a_moment_ends_after_it_begins() -> None:
    with pytest.raises(ValueError, match="lo <= hi"):
        Moment(2.0, 1.0)


@given(moments(), moments())
def test_a_span_holds_every_pair_of_instants(first: Moment, second: Moment) -> None:
    found = span(first, second)
    if first.censored:
        assert found is None
        return
    assert found is not None
    if second.censored:
        assert math.isnan(found.value)
        assert math.isinf(found.hi)
        assert found.lo == max(0.0, second.lo - first.hi)
        return
    for a in (first.lo, first.hi):
        for b in (second.lo, second.hi):
            assert found.lo <= b - a <= found.hi
    assert found.lo <= found.value <= found.hi


def test_a_span_needs_both_moments() -> None:
    assert span(None, Moment(1, 2)) is None
    assert span(Moment(1, 2), None) is None


@given(st.floats(0.5, 100), st.lists(moments(), min_size=9, max_size=9), st.integers(0, 511))
def test_a_timeline_survives_json(speed: float, places: list[Moment], chosen: int) -> None:
    there = {name: places[i] for i, name in enumerate(NAMES) if chosen >> i & 1}
    timeline = Timeline(3.0, speed, **there)
    told = json.loads(json.dumps(timeline.plain(), allow_nan=False))
    assert Timeline.from_plain(told) == timeline


def test_a_timeline_is_refused_when_it_is_none() -> None:
    with pytest.raises(ValueError, match="not a timeline"):
        Timeline.from_plain({"speed": 1.0})


TIMELINE = Timeline(
    100.0,
    4.0,
    t1=Moment(100.0, 100.0),
    t3=Moment(101.0, 101.5),
    t5=Moment(103.0, 103.25),
    t6=Moment(103.5, 103.75),
    t7=Moment(104.0, 105.0),
)


def test_columns_are_scenario_seconds_of_the_definitions() -> None:
    found = measurements(TIMELINE, "rolled_back", ended=106.0, pods=PODS)
    assert found["detection_seconds"].value == pytest.approx((103.25 - 101.5) * 4)
    assert (found["detection_seconds"].lo, found["detection_seconds"].hi) == pytest.approx((1.5 * 4, 2.25 * 4))
    assert found["rollback_seconds"].value == pytest.approx(0.5 * 4)
    assert found["exposure_seconds"].value == pytest.approx((103.75 - 101.5) * 4)
    assert found["decision_seconds"].value == pytest.approx(3.25 * 4)
    assert found["duration_seconds"].value == pytest.approx(24.0)
    assert found["peak_pods"].value == 4


def test_a_promoted_release_has_no_detection_and_no_rollback() -> None:
    found = measurements(TIMELINE, "promoted", ended=106.0, pods=PODS)
    assert "detection_seconds" not in found
    assert "rollback_seconds" not in found
    assert "exposure_seconds" in found


def test_what_was_not_seen_is_censored_and_what_does_not_apply_is_missing() -> None:
    seen = Timeline(100.0, 2.0, t1=Moment(100, 100), t3=Moment(101, 101), t5=Moment(103, 103), t6=Moment.never(110))
    found = measurements(seen, "rolled_back", ended=None, pods=PODS)
    assert math.isnan(found["rollback_seconds"].value)
    assert (found["rollback_seconds"].lo, found["rollback_seconds"].hi) == (14.0, math.inf)
    assert "duration_seconds" not in found
    assert set(measurements(Timeline(0.0, 1.0), "", ended=None, pods=PODS)) == {"min_available_replicas", "peak_pods"}


def test_a_last_response_before_the_decision_is_no_rollback_time() -> None:
    early = Timeline(0.0, 1.0, t5=Moment(10, 10), t6=Moment(3, 4))
    assert "rollback_seconds" not in measurements(early, "rolled_back", ended=None, pods=PODS)
    touching = Timeline(0.0, 1.0, t5=Moment(10, 10.5), t6=Moment(10, 10.2))
    assert measurements(touching, "rolled_back", ended=None, pods=PODS)["rollback_seconds"].value == 0.0
