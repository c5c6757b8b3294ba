"""Whatever a strategy does and whatever breaks, the books of a simulated cluster agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import chunk, scenario

from sim.world import SimulatedCluster
from strategies.effects import Effect, Program, Query, Release, RollTo, Scale, SetWeight, Wait

ERRORS = Query(quantity="error_ratio")

revision = st.sampled_from(["stable", "canary"])
effect = st.one_of(
    st.builds(Scale, revision=revision, replicas=st.integers(0, 6)),
    st.builds(
        RollTo,
        revision=revision,
        replicas=st.integers(1, 6),
        max_surge=st.integers(0, 3),
        max_unavailable=st.sampled_from([0, 1, "50%"]),
        min_ready_seconds=st.sampled_from([0.0, 15.0]),
    ),
    st.builds(SetWeight, weight=st.integers(0, 10).map(lambda tenth: tenth / 10)),
)
story = st.lists(st.tuples(effect, st.sampled_from([0.0, 0.7, 1.5, 12.0, 60.0, 400.0])), min_size=1, max_size=12)

begins = st.one_of(st.just({}), st.integers(1, 400).map(lambda t: {"from": t}), st.just({"fromWeight": 0.3}))
fault = st.tuples(
    st.sampled_from(
        [
            {"kind": "crash_loop", "after": 0.5},
            {"kind": "crash_loop", "after": 40},
            {"kind": "never_ready"},
            {"kind": "slow_start", "add": 30},
            {"kind": "memory_leak", "mibPerMinute": 200},
            {"kind": "memory_leak", "mibPerRequest": 1},
            {"kind": "pool_leak", "perRequest": 0.1},
            {"kind": "pool_leak", "perRequest": 0.1, "scope": "shared"},
            {"kind": "error_ratio", "ratio": 0.3},
            {"kind": "added_latency", "add": 1, "share": 0.5},
        ]
    ),
    begins,
    st.sampled_from(["stable", "canary", "both"]),
).map(lambda parts: {**parts[0], **parts[1], "on": parts[2]})
words = st.fixed_dictionaries(
    {
        "faults": st.lists(fault, max_size=3),
        "release": st.fixed_dictionaries({"first": st.booleans()}),
        "router": st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["weighted", "pods"]),
                "lag": st.sampled_from([0, 1, 30]),
                "connectionLife": st.sampled_from([0, 5, 100]),
                "noEndpoints": st.sampled_from(["fail", "uncounted", "fallback"]),
            }
        ),
        "service": st.fixed_dictionaries(
            {
                "replicas": st.integers(1, 5),
                "startup": st.fixed_dictionaries({"start": st.sampled_from([0, 1, 25]), "spread": st.just(0.5)}),
                "probes": st.fixed_dictionaries(
                    {
                        "readiness": st.sampled_from([None, {}, {"periodSeconds": 1}]),
                        "liveness": st.sampled_from([None, {}]),
                        "startup": st.sampled_from([None, {"failureThreshold": 4}]),
                    }
                ),
                "shutdown": st.fixed_dictionaries({"preStop": st.sampled_from([0, 1.3, 5]), "graceful": st.booleans()}),
            }
        ),
    }
)


def the_books_agree(world: SimulatedCluster) -> None:
    """Running totals are those of the pods, and the pods are where they should be."""
    pods, now = world.pods, world.clock.now_us
    slack = 2_000_000 + 200_000  # the longest lag, and a mean response time
    for side in (0, 1):
        active = pods.active[side]
        assert len(active) == pods.spec[side]
        assert pods.ready[side] == sum(pod.ready for pod in active)
        assert pods.available[side] == sum(pod.available for pod in active)
        assert all(pod.ready for pod in active if pod.available)
        assert pods.serving[side] == len(pods.in_service[side])
        assert len(set(pods.in_service[side])) == len(pods.in_service[side])
        assert all(pod.serving for pod in pods.in_service[side])
        assert pods.failing[side] == sum(pod.dead or pod.exhausted for pod in pods.in_service[side])
        for pod in active:
            if pod.ready and now > pod.ready_us + slack:
                assert pod.serving, (pod.name, now)
        for pod in pods.in_service[side]:
            if not pod.ready:
                assert now <= pod.leaves_us <= now + slack, (pod.name, now, pod.leaves_us)
    stable, canary = world.router.shares()
    assert 0 <= canary <= 1
    assert stable + canary == pytest.approx(1)


@settings(max_examples=150)
@given(words=words, story=story, seed=st.integers(0, 1000), reads=st.booleans())
def test_the_books_agree(words: dict[str, Any], story: list[tuple[Effect, float]], seed: int, reads: bool) -> None:
    """After every step of a random strategy in a random scenario, and at the end."""
    worlds: list[SimulatedCluster] = []

    def program(release: Release) -> Program:
        for effect, seconds in story:
            yield effect
            yield Wait(seconds)
            for world in worlds:
                if world.clock.now_us:
                    the_books_agree(world)
        yield Wait(1e9)

    of = scenario(horizon=1500, traffic={"rate": "20/s"}, users={"count": 100}, **words)
    tested = chunk(of, program, seed=seed, replications=1, reads=(ERRORS,) if reads else ())
    worlds.append(tested.worlds[0])
    rows = tested.run()
    the_books_agree(tested.worlds[0])
    total = tested.plane.total[0]
    assert total.sum() == pytest.approx(20 * 1500, rel=1e-9)
    assert (total >= 0).all()
    counted = tested.cumulative[0].sum()
    assert counted >= (0 if tested.model.uncounted else rows["bad_requests"][0])
    assert rows["bad_requests"][0] >= 0
    lives = tested.worlds[0].pods.lives_until(tested.model.horizon_us)
    assert all(0 <= born <= gone <= 1_500_000_000 for born, gone in lives)
    assert rows["pod_hours"][0] * 3600 == pytest.approx(sum(gone - born for born, gone in lives) / 1e6)
    at_once = max((sum(born <= at < gone for born, gone in lives) for at, _ in lives), default=0)
    assert rows["peak_pods"][0] >= at_once  # more when a pod was wanted and not wanted at the same instant
