"""Blue-green with constant start-up times: when it ends and what its pods cost."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import columns, scenario

from strategies.effects import (
    AwaitAvailable,
    Fate,
    Outcome,
    Program,
    Promote,
    Release,
    Scale,
    SetWeight,
    Undo,
    Wait,
)


def blue_green(delay: float, undo: bool = False):  # type: ignore[no-untyped-def]
    def program(release: Release) -> Program:
        yield Scale("canary", release.replicas)
        yield AwaitAvailable("canary", release.replicas)
        yield SetWeight(1.0)
        if undo:
            yield Undo("on second thoughts")
            yield SetWeight(0.0)
            yield Wait(delay)
            yield Scale("canary", 0)
            return Fate(Outcome.ROLLED_BACK)
        yield Promote()
        yield Wait(delay)
        yield Scale("stable", 0)
        return Fate(Outcome.PROMOTED)

    return program


@settings(max_examples=60)
@given(
    replicas=st.integers(1, 40), start=st.integers(1, 90), period=st.integers(1, 20), delay=st.integers(0, 600),
    undo=st.booleans(), initial=st.integers(0, 30),
)  # fmt: skip
def test_duration_and_pod_seconds(replicas: int, start: int, period: int, delay: int, undo: bool, initial: int) -> None:
    """N pods more from the start; the others go `delay` after the switch and cost their shutdown of 7 s."""
    of = scenario(
        horizon="1h",
        service={
            "replicas": replicas,
            "startup": {"schedule": 1, "pull": 4, "start": start, "spread": 0},
            "probes": {"readiness": {"periodSeconds": period, "initialDelaySeconds": initial}},
        },
    )
    ready = 5 + period * math.ceil(max(start, initial) / period)
    rows = columns(of, blue_green(delay, undo), replications=2)
    assert rows["duration_seconds"].tolist() == pytest.approx([ready + delay] * 2, abs=1e-5)
    seconds = replicas * 3600 + replicas * (ready + delay + 7)  # one colour stays, the other is deleted
    assert (rows["pod_hours"] * 3600).tolist() == pytest.approx([seconds] * 2, abs=0.01)
    assert rows["peak_pods"].tolist() == [2 * replicas] * 2
    assert rows["min_available_replicas"].tolist() == [replicas] * 2
