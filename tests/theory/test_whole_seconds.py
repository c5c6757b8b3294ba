"""Conditions of pods are kept in whole seconds, and of ready pods of about one age any may be deleted."""

from __future__ import annotations

from collections import Counter

import pytest
from worlds import events, scenario, times

from strategies.effects import AwaitAvailable, AwaitComplete, Fate, Outcome, Program, Release, RollTo, Scale, Wait


@pytest.mark.parametrize(
    ("schedule", "min_ready", "available"),
    [(2.4, 5, 17.0), (2.0, 5, 17.0), (2.999, 5, 17.0), (3.0, 5, 18.0), (2.4, 0, 12.4), (2.4, 0.25, 12.4)],
)
def test_seconds_of_readiness_count_from_a_whole_second(schedule: float, min_ready: float, available: float) -> None:
    """Ready at schedule + 10 s; a pod is available up to a second before it was ready for as long as was asked."""
    seen: list[float] = []

    def program(release: Release) -> Program:
        yield Scale("canary", 1)
        answer = yield AwaitAvailable("canary", 1, None, min_ready)
        seen.append(answer.at_seconds)
        return Fate(Outcome.PAUSED)

    startup = {"schedule": schedule, "pull": 0, "start": 10, "spread": 0}
    events(
        scenario(horizon="5m", service={"startup": startup, "probes": {"readiness": {"periodSeconds": 1}}}),
        program,
    )
    assert seen == [pytest.approx(available, abs=1e-6)]


def test_each_wave_of_a_rolling_update_begins_with_a_second() -> None:
    """One pod after the other, 12.4 s until ready: not 3 x 15.4 s, but 15 s each, for each begins at a whole second."""

    def program(release: Release) -> Program:
        yield RollTo("canary", 3, 1, 0, 3)
        yield AwaitComplete("canary", 3, None)
        return Fate(Outcome.PROMOTED)

    startup = {"schedule": 2.4, "pull": 0, "start": 10, "spread": 0}
    of = scenario(
        horizon="5m", service={"replicas": 3, "startup": startup, "probes": {"readiness": {"periodSeconds": 1}}}
    )
    steps = [event.at_seconds for event in events(of, program)[0] if event.kind == "scale" and event.who == "stable"]
    assert steps == [15, 30, 45]


def test_which_of_many_ready_pods_goes_is_chance() -> None:
    """Ten pods that have run for long shrink to nine: each of them is the one in some replication, evenly.

    256 replications, binomial with p = 1/10: 25.6 ± 4.8 each; five standard deviations, alpha below 1e-5 for all ten.
    """

    def program(release: Release) -> Program:
        yield Scale("stable", 9)
        return Fate(Outcome.PAUSED)

    logs = events(scenario(horizon="1m", service={"replicas": 10}), program, replications=256)
    chosen = Counter(event.who for log in logs for event in log if event.kind == "pod_deleted")
    assert sum(chosen.values()) == 256
    assert len(chosen) == 10
    assert all(abs(count - 25.6) < 5 * 4.8 for count in chosen.values())


def test_young_pods_go_before_old_ones() -> None:
    """Two canaries of 5 s and two of 100 s: shrunk to two, the old ones stay, in every replication."""

    def program(release: Release) -> Program:
        yield Scale("canary", 2)
        yield Wait(12 + 95)
        yield Scale("canary", 4)
        yield Wait(12 + 5)
        yield Scale("canary", 2)
        return Fate(Outcome.PAUSED)

    startup = {"schedule": 2, "pull": 0, "start": 10, "spread": 0}
    for log in events(scenario(horizon="5m", service={"replicas": 2, "startup": startup}), program, replications=64):
        assert {event.who for event in log if event.kind == "pod_deleted"} == {"canary-2", "canary-3"}
        assert len(times(log, "pod_ready")) == 4
