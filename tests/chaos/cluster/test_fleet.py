"""What the fleet makes of pods as the API tells of them: lives, availability, peaks, pod-seconds."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chaos.clock import MICROSECONDS
from chaos.cluster import fleet as under_test
from chaos.cluster.fleet import Fleet, starved, trouble, unplaced
from chaos.cluster.pod import pod_of

SPEED = 10.0


class Clock:
    """Real seconds that pass when a test says so; scenario time is `SPEED` times as fast."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def now_us(self) -> int:
        return round((self.now - 100.0) * SPEED * MICROSECONDS)

    def real_seconds(self, seconds: float) -> float:
        return seconds / SPEED


class NoKube:
    """A client that nobody asks."""

    def hasty(self) -> NoKube:
        return self


@dataclass
class Told:
    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    changes: int = 0

    late: list[float] = field(default_factory=list)

    def tell(self, kind: str, who: str, *, late_seconds: float, **facts: Any) -> None:
        self.events.append((kind, who, facts))
        self.late.append(late_seconds)

    def changed(self) -> None:
        self.changes += 1

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.events]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(under_test, "time", found)
    return found


def make(clock: Clock) -> tuple[Fleet, Told]:
    told = Told()
    kube: Any = NoKube()
    live: Any = clock
    fleet = Fleet(kube, "drills", "drill=x", live, tell=told.tell, changed=told.changed, failed=lambda error: None)
    return fleet, told


def manifest(
    name: str = "p",
    uid: str = "u1",
    *,
    revision: str = "stable",
    running: bool = False,
    ready: bool = False,
    restarts: int = 0,
    waiting: str = "",
    ended: int | None = None,
    ended_before: int | None = None,
    phase: str = "",
    terminating: bool = False,
    node: str = "",
) -> dict[str, Any]:
    """A pod as the API server tells of it."""
    state: dict[str, Any] = {"running": {}} if running else {"waiting": {"reason": waiting or "ContainerCreating"}}
    if ended is not None:
        state = {"terminated": {"exitCode": ended}}
    container: dict[str, Any] = {
        "name": "app",
        "state": state,
        "restartCount": restarts,
        "containerID": f"containerd://{uid}{restarts}",
    }
    if ended_before is not None:
        container["lastState"] = {"terminated": {"exitCode": ended_before}}
    sidecar = {"name": "proxy", "state": {"terminated": {"exitCode": 99}}, "restartCount": 7}
    meta = {"name": name, "namespace": "drills", "uid": uid, "labels": {"rolloutlab/revision": revision}}
    if terminating:
        meta["deletionTimestamp"] = "2025-01-01T00:00:00Z"
    return {
        "metadata": meta,
        "spec": {"containers": [{"name": "app", "image": "an/image:1"}], **({"nodeName": node} if node else {})},
        "status": {
            "phase": phase or ("Running" if running else "Pending"),
            "podIP": "10.0.0.1",
            "containerStatuses": [sidecar, container],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def hear(fleet: Fleet, *, deleted: bool = False, **what: Any) -> None:
    fleet._heard(manifest(**what), deleted)


# --- lives -----------------------------------------------------------------------------------------------------------


def test_a_life_is_told_once(clock: Clock) -> None:
    fleet, told = make(clock)
    hear(fleet)
    hear(fleet, node="n1")
    hear(fleet, node="n1", running=True)
    hear(fleet, node="n1", running=True)
    hear(fleet, node="n1", running=True, ready=True)
    hear(fleet, node="n1", running=True, ready=True, terminating=True)
    hear(fleet, node="n1", running=True, ready=True, terminating=True)
    assert fleet.active("stable") == []
    assert fleet.ready() == 0
    assert len(fleet.pods) == 1, "it is there until it is gone"
    hear(fleet, node="n1", ended=143, terminating=True)
    hear(fleet, node="n1", ended=143, terminating=True, deleted=True)
    assert told.events == [
        ("pod_made", "p", {"revision": "stable"}),
        ("pod_scheduled", "p", {"revision": "stable"}),
        ("container_started", "p", {"revision": "stable"}),
        ("pod_ready", "p", {"revision": "stable"}),
        ("pod_deleted", "p", {"revision": "stable"}),
        ("container_died", "p", {"revision": "stable", "code": 143}),
        ("pod_gone", "p", {"revision": "stable"}),
    ]
    assert fleet.pods == {}


def test_what_the_loop_hears_late_is_told_with_how_late(clock: Clock) -> None:
    fleet, told = make(clock)
    fleet.informer.came = clock.now
    clock.now += 0.25
    hear(fleet, running=True)
    assert told.late == [0.25, 0.25]


def test_a_restart_is_a_death_and_a_new_life(clock: Clock) -> None:
    fleet, told = make(clock)
    hear(fleet, running=True, ready=True)
    hear(fleet, waiting="CrashLoopBackOff", restarts=1, ended_before=137)
    hear(fleet, running=True, restarts=1, ended_before=137)
    hear(fleet, running=True, ready=True, restarts=1, ended_before=137)
    lives = ["container_started", "pod_ready", "container_died", "container_started", "pod_ready"]
    assert told.kinds() == ["pod_made", *lives]
    assert told.events[3][2]["code"] == 137
    hear(fleet, running=True, ready=True, restarts=3, ended_before=1)  # so fast that the end in between was not told
    assert told.kinds()[6:] == ["container_died", "container_started"]


def test_the_exit_code_is_of_the_end_that_is_told_and_of_the_application(clock: Clock) -> None:
    fleet, told = make(clock)
    hear(fleet, running=True)
    hear(fleet, ended=137, ended_before=1)
    assert told.events[-1] == ("container_died", "p", {"revision": "stable", "code": 137})


def test_a_pod_of_the_same_name_is_another_one(clock: Clock) -> None:
    """A StatefulSet's, or one that was replaced while nobody listened."""
    fleet, told = make(clock)
    hear(fleet, uid="u1", running=True, ready=True)
    clock.now += 1
    hear(fleet, uid="u2", running=True)
    started = ["pod_made", "container_started"]
    assert told.kinds() == [*started, "pod_ready", "pod_gone", *started]
    hear(fleet, uid="u1", deleted=True)
    assert fleet.pods["p"].uid == "u2", "the late end of the first one is not its end"
    assert fleet.ready() == 0
    assert fleet.summary(10 * MICROSECONDS).seconds == pytest.approx(20 - 10, abs=1e-6)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_was_evicted_is_gone_although_its_object_stays(clock: Clock, phase: str) -> None:
    """As for the Deployment controller; else a rollout would wait for its end for ever."""
    fleet, told = make(clock)
    hear(fleet, running=True, ready=True)
    clock.now += 1
    hear(fleet, ended=137, phase=phase)
    assert told.kinds() == ["pod_made", "container_started", "pod_ready", "container_died", "pod_gone"]
    assert fleet.active("stable") == []
    clock.now += 1
    hear(fleet, ended=137, phase=phase, deleted=True)
    hear(fleet, name="q", uid="u9", phase=phase)
    assert len(told.events) == 5
    assert fleet.summary(1e12).seconds == pytest.approx(1 * SPEED)


def test_the_oldest_comes_first(clock: Clock) -> None:
    fleet, _ = make(clock)
    for name in ("b", "c", "a"):
        clock.now += 1
        hear(fleet, name=name, uid=name, running=True)
    hear(fleet, name="z", uid="z", revision="canary")
    assert [pod.name for pod in fleet.active("stable")] == ["b", "c", "a"]
    assert [pod.name for pod in fleet.active("canary")] == ["z"]


# --- availability ----------------------------------------------------------------------------------------------------


def test_a_pod_is_available_when_it_has_been_ready_for_long_enough(clock: Clock) -> None:
    async def main() -> None:
        fleet, _ = make(clock)
        fleet.min_ready_seconds = 30.0
        hear(fleet, running=True, ready=True)
        clock.now += 2.9
        assert fleet.available("stable") == 0
        clock.now += 0.2
        assert fleet.available("stable") == 1
        hear(fleet, running=True)
        hear(fleet, running=True, ready=True)
        assert fleet.available("stable") == 0, "it begins again"

    asyncio.run(main())


@pytest.mark.parametrize("before", [True, False])
def test_somebody_is_told_when_a_pod_becomes_available_by_time_alone(clock: Clock, before: bool) -> None:
    """Also where the wish comes after the pod: nothing else would wake up whoever waits."""

    async def main() -> None:
        fleet, told = make(clock)
        if before:
            fleet.min_ready_seconds = 0.2
        hear(fleet, running=True, ready=True)
        if not before:
            fleet.min_ready_seconds = 0.2
        count = told.changes
        clock.now += 0.03
        async with asyncio.timeout(30):
            while told.changes == count:
                await asyncio.sleep(0.005)
        assert fleet.available("stable") == 1

    asyncio.run(main())


def test_pods_from_before_the_rollout_have_been_ready_for_long(clock: Clock) -> None:
    """A Deployment's minReadySeconds do not make its old pods unavailable."""

    async def main() -> None:
        fleet, _ = make(clock)
        for number in range(3):
            hear(fleet, name=f"p{number}", uid=f"u{number}", running=True, ready=True)
        fleet.reset()
        fleet.min_ready_seconds = 60.0
        hear(fleet, name="new", uid="n", revision="canary", running=True, ready=True)
        assert (fleet.available("stable"), fleet.available("canary")) == (3, 0)
        assert fleet.summary(0).least_available == 3

    asyncio.run(main())


def test_peak_and_fewest_count_from_the_rollout_on(clock: Clock) -> None:
    fleet, _ = make(clock)
    hear(fleet, name="a", uid="a", running=True, ready=True)
    hear(fleet, name="b", uid="b")
    hear(fleet, name="b", uid="b", deleted=True)
    fleet.reset()
    found = fleet.summary(0)
    assert (found.peak, found.least_available) == (1, 1)
    hear(fleet, name="c", uid="c", running=True, ready=True)
    hear(fleet, name="a", uid="a", running=True)
    found = fleet.summary(0)
    assert (found.peak, found.least_available) == (2, 1)
    hear(fleet, name="c", uid="c", deleted=True)
    assert fleet.summary(0).least_available == 0


def test_the_fewest_are_of_available_pods_not_of_ready_ones(clock: Clock) -> None:
    async def main() -> None:
        fleet, _ = make(clock)
        hear(fleet, name="a", uid="a", running=True, ready=True)
        fleet.reset()
        fleet.min_ready_seconds = 30.0
        hear(fleet, name="b", uid="b", running=True, ready=True)
        hear(fleet, name="a", uid="a", running=True)
        assert fleet.ready() == 1
        assert fleet.summary(0).least_available == 0

    asyncio.run(main())


def test_pod_seconds_are_of_the_rollout(clock: Clock) -> None:
    """From scenario time 0, although the first pods are older, to the instant that is asked for."""
    fleet, _ = make(clock)
    clock.now -= 50
    hear(fleet, name="old", uid="a", running=True)
    hear(fleet, name="older", uid="b", running=True)
    clock.now += 10
    hear(fleet, name="older", uid="b", deleted=True)
    clock.now += 45  # five real seconds after the beginning
    hear(fleet, name="old", uid="a", deleted=True)
    assert fleet.summary(1e12).seconds == pytest.approx(5 * SPEED)
    assert fleet.summary(3 * SPEED * MICROSECONDS).seconds == pytest.approx(3 * SPEED)
    assert fleet.summary(-1).seconds == 0


def test_nobody_there_is_nothing(clock: Clock) -> None:
    fleet, _ = make(clock)
    found = fleet.summary(1e9)
    assert (found.least_available, found.peak, found.seconds) == (0, 0, 0)


# --- progress --------------------------------------------------------------------------------------------------------


def test_progress_is_what_moves(clock: Clock) -> None:
    fleet, _ = make(clock)
    moves: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({}, False),
        ({"waiting": "ImagePullBackOff"}, False),
        ({"running": True}, True),
        ({"running": True, "ready": True}, True),
        ({"running": True, "ready": True}, False),
        ({"running": True, "ready": True, "terminating": True}, True),
        ({"deleted": True}, True),
    ]
    for what, moved in moves:
        clock.now += 1
        hear(fleet, **what)
        assert (fleet.progress_us == clock.now_us()) is moved, what


# --- trouble ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"])
def test_an_image_that_cannot_be_had_says_what_to_do(reason: str) -> None:
    found = manifest(waiting=reason)
    said = str(trouble(pod_of(found), found))
    assert "an/image:1" in said
    assert "--image" in said


def test_what_may_yet_become_well_is_no_trouble() -> None:
    for what in ({}, {"running": True}, {"waiting": "CrashLoopBackOff"}, {"waiting": "PodInitializing"}):
        found = manifest(**what)
        assert trouble(pod_of(found), found) is None


def test_a_pod_that_finds_no_node_says_so() -> None:
    found = manifest()
    lacks = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: taints" * 99}
    found["status"]["conditions"].append(lacks)
    said = str(unplaced(pod_of(found), found))
    assert "0/3 nodes" in said
    assert len(said) < 400
    assert trouble(pod_of(found), found) is None, "which may pass"


def test_a_quota_says_what_to_do_and_other_refusals_only_what_was_said() -> None:
    def refused(message: str) -> str:
        failed = {"type": "ReplicaFailure", "status": "True", "message": message}
        return str(starved({"metadata": {"name": "web"}, "status": {"conditions": [failed]}}))

    assert "--set service.replicas" in refused('pods "web-1" is forbidden: exceeded quota: q, requested: pods=1')
    assert refused("violates PodSecurity") == "pods of web cannot be made: violates PodSecurity"


# --- all at once -----------------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")
STEPS = ("create", "run", "ready", "unready", "restart", "crash", "terminate", "delete", "evict", "replace", "again")


@dataclass
class Model:
    """The same, in the plainest way: every pod's state, and what it was at each instant."""

    uid: str
    revision: str
    made: float
    running: bool = False
    ready_since: float = math.inf
    terminating: bool = False
    restarts: int = 0

    def told(self) -> dict[str, Any]:
        ready = self.ready_since < math.inf
        return {"uid": self.uid, "revision": self.revision, "running": self.running, "ready": ready,
                "restarts": self.restarts, "terminating": self.terminating}  # fmt: skip


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(STEPS), st.sampled_from(NAMES), st.sampled_from([0.0, 0.25, 1.0])), max_size=60
    ),
    min_ready=st.sampled_from([0.0, 5.0]),
    begins=st.integers(0, 20),
)
@example(
    steps=[("create", "a", 0.0), ("ready", "a", 1.0), ("evict", "a", 1.0), ("create", "a", 1.0)],
    min_ready=0.0,
    begins=0,
)
def test_any_sequence_of_events_counts_as_by_hand(
    steps: list[tuple[str, str, float]], min_ready: float, begins: int
) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(under_test, "time", clock)
        asyncio.run(_sequence(clock, steps, min_ready, begins))


async def _sequence(clock: Clock, steps: list[tuple[str, str, float]], min_ready: float, begins: int) -> None:
    fleet, told = make(clock)
    fleet.min_ready_seconds = min_ready
    pods: dict[str, Model] = {}
    pod_seconds, peak, least, count = 0.0, 0, 0, 0

    def available(revision: str) -> int:
        wait = min_ready / SPEED
        mine = [each for each in pods.values() if each.revision == revision and not each.terminating]
        return sum(clock.now - each.ready_since >= wait for each in mine)

    for number, (step, name, pause) in enumerate(steps):
        if number == begins:
            fleet.reset()
            for each in pods.values():
                each.ready_since = -math.inf if each.ready_since < math.inf else math.inf
            peak, least = len(pods), available("stable") + available("canary")
        pod_seconds += pause * len(pods)
        clock.now += pause
        there = pods.get(name)
        deleted = False
        more: dict[str, Any] = {}
        if step in ("create", "replace") and (there is None or step == "replace"):
            count += 1
            there = pods[name] = Model(f"u{count}", "canary" if count % 2 else "stable", clock.now)
        elif there is None:
            continue
        elif step == "run":
            there.running = True
        elif step == "ready":
            there.running, there.ready_since = True, min(there.ready_since, clock.now)
        elif step == "unready":
            there.ready_since = math.inf
        elif step == "restart" and there.running:
            there.restarts += 1
        elif step == "crash":
            there.restarts, there.running, there.ready_since = there.restarts + 1, False, math.inf
        elif step == "terminate":
            there.terminating = True
        elif step == "delete":
            deleted = True
        elif step == "evict":
            there.running, there.ready_since, more = False, math.inf, {"phase": "Failed", "ended": 1}
        hear(fleet, name=name, deleted=deleted, **{**there.told(), **more})
        if deleted or more:
            del pods[name]
        assert {pod.name: pod.uid for pod in fleet.pods.values()} == {key: each.uid for key, each in pods.items()}
        assert fleet.ready() == sum(each.ready_since < math.inf and not each.terminating for each in pods.values())
        for revision in under_test.REVISIONS:
            assert fleet.available(revision) == available(revision) >= 0
        peak = max(peak, len(pods))
        least = min(least, available("stable") + available("canary"))
        found = fleet.summary(clock.now_us())
        assert found.seconds == pytest.approx(pod_seconds * SPEED, abs=1e-6)
        if number >= begins:
            assert (found.peak, found.least_available) == (peak, least)
    lives = told.kinds()
    assert lives.count("pod_gone") + len(pods) == count
    running = sum(each.running for each in pods.values())
    started, died = lives.count("container_started"), lives.count("container_died")
    assert started >= died
    assert started - died >= running
