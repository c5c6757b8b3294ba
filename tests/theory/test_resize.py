"""A rollout whose replicas change: the simulated Deployment keeps proportions, and grows its old pods first."""

from __future__ import annotations

from worlds import chunk, events, scenario

from strategies.effects import AwaitComplete, Fate, Outcome, Program, Release, RollTo, Wait

#: ready 12 s after a pod was made
SERVICE = {"replicas": 10, "startup": {"schedule": 2, "pull": 0, "start": 10, "spread": 0}}


def sizes(program, **words):  # type: ignore[no-untyped-def]
    """(seconds, stable, canary) each time a ReplicaSet was scaled."""
    now = {"stable": 10, "canary": 0}
    found = []
    for event in events(scenario(horizon="1h", service=SERVICE, **words), program)[0]:
        if event.kind == "scale":
            now[event.who] = event.what["replicas"]
            found.append((event.at_seconds, now["stable"], now["canary"]))
    return found


def test_a_resize_half_way_keeps_proportions() -> None:
    """10 of 13 pods old and 5 new become 12 and 7 of 19; then the update goes on with the limits of 15 replicas."""

    def program(release: Release) -> Program:
        yield RollTo("canary", 10)
        yield Wait(5)
        yield RollTo("canary", 15)
        yield AwaitComplete("canary", 15, None)
        return Fate(Outcome.PROMOTED)

    found = sizes(program)
    assert found[:3] == [(0, 10, 3), (0, 8, 3), (0, 8, 5)]
    assert found[3:5] == [(5, 12, 5), (5, 12, 7)]
    assert all(stable + canary <= 19 for _, stable, canary in found)
    assert found[-1][1:] == (0, 15)


def test_a_rollout_that_is_stuck_shrinks_in_proportion() -> None:
    """6 replicas allow 8 pods where 10 allowed 13: 8 old and 5 new become 5 and 3, and 5 are available as promised."""

    def program(release: Release) -> Program:
        yield RollTo("canary", 10)
        yield Wait(100)
        yield RollTo("canary", 6)
        yield Wait(1000)
        return Fate(Outcome.STALLED)

    found = sizes(program, faults=[{"kind": "never_ready"}])
    assert found[-1] == (100, 5, 3)


def test_template_and_replicas_at_once_grow_the_old_pods_first() -> None:
    def program(release: Release) -> Program:
        yield RollTo("canary", 20)
        yield AwaitComplete("canary", 20, None)
        return Fate(Outcome.PROMOTED)

    found = sizes(program)
    assert found[:3] == [(0, 20, 0), (0, 20, 5), (0, 15, 5)]  # the ten pods that are not ready yet may go at once
    assert found[-1][1:] == (0, 20)


def test_a_finished_rollout_is_resized_as_any_deployment() -> None:
    def program(release: Release) -> Program:
        yield RollTo("canary", 10)
        yield AwaitComplete("canary", 10, None)
        yield RollTo("canary", 4)
        yield RollTo("canary", 12)
        yield AwaitComplete("canary", 12, None)
        return Fate(Outcome.PROMOTED)

    tested = chunk(scenario(horizon="1h", service=SERVICE), program, replications=2)
    tested.run()
    assert all(world.pods.spec == [0, 12] for world in tested.worlds)
