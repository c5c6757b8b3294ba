"""The injector of Chaos Mesh on an API server in memory, with the stand-in as its controller."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import standin_rules as rules
from fake_kube import FakeKube
from standin_controller import StandIn

from chaos.cluster.kinds import HTTP_CHAOS, NETWORK_CHAOS, POD_CHAOS, STRESS_CHAOS
from chaos.cluster.kube import ApiError, Object
from chaos.cluster.pod import Pod
from chaos.faults.chaos_mesh import Chaos, Cpu, Delay, NetworkChaos, PodChaos, Selector, StressChaos, Target
from chaos.injectors.chaos_mesh import ChaosMesh, MeshFault
from chaos.injectors.chaos_mesh_ledger import Place
from chaos.world import WorldError

TEMPLATE = Target(Selector(namespace="shop", labels={"rolloutlab/revision": "canary"}))
DELAY = NetworkChaos(action=Delay(0.2), target=TEMPLATE, duration_seconds=1)
STRESS = StressChaos(target=TEMPLATE, duration_seconds=1, cpu=Cpu(2), containers=("app",))
KILL = PodChaos(action="pod-kill", target=TEMPLATE, duration_seconds=1)


class Bearing:
    """An actor that takes down who bears a fault; `broken` says why it cannot."""

    def __init__(self, kube: FakeKube) -> None:
        self.kube, self.bears, self.broken = kube, set[str](), ""

    def apply(self, found: Object, id: str) -> None:
        if self.broken:
            raise rules.ApplyFailedError(self.broken)
        self.bears.add(id)

    def recover(self, found: Object, id: str) -> None:
        if self.broken:
            raise rules.ApplyFailedError(self.broken)
        self.bears.discard(id)


class World:
    """A namespace with pods, and a controller that may be away."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.actor = Bearing(self.kube)
        self.standin = StandIn(self.kube, self.actor)  # type: ignore[arg-type]
        self.pods: list[Pod] = []
        self.patience = 5.0

    def pod(self, name: str, **more: Any) -> Pod:
        made = self.kube.pod(name, revision=more.get("revision", "canary"))
        facts = {"revision": "canary", "running": True, "ready": True, **more}
        self.pods.append(Pod(name=name, namespace="shop", uid=made["metadata"]["uid"], **facts))
        return self.pods[-1]

    def change(self, pod: Pod, **facts: Any) -> None:
        self.pods[self.pods.index(pod)] = replace(pod, **facts)

    def injector(self, chaos: Chaos = DELAY, **more: Any) -> ChaosMesh:
        fault = MeshFault(**{"number": 0, "kind": "packet_delay", "chaos": chaos, "revisions": ("canary",), **more})
        expires = time.time() + 600
        place = Place(
            kube=self.kube, namespace="shop", drill="Drill_7", expires_at=expires, patience_seconds=self.patience
        )  # type: ignore[arg-type]
        return ChaosMesh(fault, place, lambda: self.pods)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.standin.stop()
    assert not made.standin.broken


def run(work: Coroutine[Any, Any, Any], *, most: float = 60) -> Any:
    return asyncio.run(asyncio.wait_for(work, most))


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


# --- one fault from its beginning to its end ----------------------------------------------------------------------


def test_a_fault_hits_the_ready_pods_of_its_revision_by_name_and_is_taken_back(world: World) -> None:
    world.standin.start()
    for name in ("web-1", "web-2"):
        world.pod(name)
    world.pod("old-1", revision="stable")
    world.pod("slow-1", ready=False)
    world.pod("gone-1", terminating=True)
    injector = world.injector()

    async def play() -> None:
        asked = time.monotonic()
        await injector.inject()
        placed = await injector.await_injected()
        assert asked <= placed.lo <= placed.hi <= time.monotonic()
        assert world.actor.bears == {"shop/web-1", "shop/web-2"}
        assert await injector.ensure() == []
        await injector.recover()
        assert await injector.await_recovered() == []

    assert injector.plan().pods == ("web-1", "web-2")
    run(play())
    assert not world.actor.bears
    assert not world.kube.of(NETWORK_CHAOS)
    (body,) = world.kube.created("NetworkChaos")
    assert body["spec"]["selector"]["pods"] == {"shop": ["web-1", "web-2"]}
    assert body["spec"]["mode"] == "all"
    assert re.fullmatch("rolloutlab-drill-7-0-[0-9a-f]{10}", body["metadata"]["name"])
    assert injector.engine == "stand-in"  # whatever it was told, an object says who acts


def test_a_pod_that_comes_later_gets_its_own_object_with_the_rest_of_the_duration(world: World) -> None:
    world.standin.start()
    injector = world.injector(for_seconds=100)

    async def play() -> None:
        await injector.inject()
        waiting = asyncio.ensure_future(injector.await_injected())
        await asyncio.sleep(0.3)
        assert not waiting.done()  # nobody to hit yet, and no object
        assert not world.kube.of(NETWORK_CHAOS)
        world.pod("web-1")
        await waiting
        late = world.pod("web-2", ready=False)
        assert await injector.ensure() == []
        assert len(world.kube.of(NETWORK_CHAOS)) == 1  # not ready yet: it would never get so
        world.change(late, ready=True)
        fresh: list[str] = []
        while not fresh:
            fresh = await injector.ensure()
        assert fresh == ["web-2"]
        assert world.actor.bears == {"shop/web-1", "shop/web-2"}
        assert await injector.ensure() == []

    run(play())
    first, second = world.kube.created("NetworkChaos")
    assert second["spec"]["selector"]["pods"] == {"shop": ["web-2"]}
    rest = [rules.duration_seconds(each["spec"]["duration"]) for each in (first, second)]
    assert rest[1] < rest[0] <= 130
    assert rest[0] > 120  # what was asked for, and slack for the injection
    labels = [each["metadata"]["labels"]["rolloutlab/expires-at"] for each in (first, second)]
    assert labels[0] == labels[1]  # and both are over at the same time


def test_pods_that_come_later_at_the_same_time_do_not_wait_for_each_other(world: World) -> None:
    world.standin.start()
    world.pod("web-1")
    injector = world.injector()

    async def play() -> None:
        await injector.inject()
        world.pod("web-2")
        world.pod("web-3")
        await injector.ensure()

    run(play())
    pods = [body["spec"]["selector"]["pods"]["shop"] for body in world.kube.created("NetworkChaos")]
    assert pods == [["web-1"], ["web-2"], ["web-3"]]


def test_stress_is_given_anew_to_a_restarted_container_and_a_delay_is_not(world: World) -> None:
    world.standin.start()
    pod = world.pod("web-1")

    async def play(injector: ChaosMesh) -> None:
        await injector.inject()
        await injector.await_injected()
        world.change(world.pods[0], restarts=pod.restarts + 1, ready=False)
        await injector.ensure()
        world.change(world.pods[0], restarts=pod.restarts, ready=True)

    run(play(world.injector()))
    run(play(world.injector(STRESS, number=1)))
    assert len(world.kube.created("NetworkChaos")) == 1
    assert len(world.kube.created("StressChaos")) == 2


def test_a_kill_is_of_those_that_were_there(world: World) -> None:
    world.standin.start()
    first = world.pod("web-1")
    injector = world.injector(KILL, kind="pod_kill")

    async def play() -> None:
        await injector.inject()
        await until(lambda: bool(world.actor.bears))
        world.pods.remove(first)  # the pod is gone when it is looked at
        await injector.await_injected()
        world.pod("web-2")
        assert await injector.ensure() == []
        world.actor.broken = "a kill is not recovered"
        await injector.recover()
        assert await injector.await_recovered() == []

    run(play())
    assert len(world.kube.created("PodChaos")) == 1
    assert world.actor.bears == {"shop/web-1"}
    assert injector.coverage() is None


def test_a_number_of_replicas_is_kept_and_one_that_died_is_replaced(world: World) -> None:
    world.standin.start()
    pods = [world.pod(f"web-{n}") for n in range(3)]
    injector = world.injector(replicas=1)

    async def play() -> None:
        await injector.inject()
        await injector.await_injected()
        world.pods.reverse()
        await injector.ensure()
        assert len(world.kube.created("NetworkChaos")) == 1
        world.pods.remove(pods[0])
        await injector.ensure()
        await until(lambda: len(world.actor.bears) == 1 and "shop/web-0" not in world.actor.bears)

    run(play())


def test_coverage_counts_from_when_a_pod_was_seen_to_bear_the_fault(world: World) -> None:
    world.standin.start()
    world.pod("web-1")
    injector = world.injector()

    async def play() -> None:
        await injector.inject()
        await injector.await_injected()
        await asyncio.sleep(1)
        await injector.recover()

    run(play())
    covered = injector.coverage()
    assert covered is not None
    assert 0.9 < covered.lo_seconds <= covered.hi_seconds <= covered.pod_seconds
    again = injector.coverage()
    assert again == covered  # it was taken back, so no more time counts


# --- what does not work ---------------------------------------------------------------------------------------------


def test_a_pod_that_is_gone_is_never_selected_and_the_wait_ends_with_what_events_say(world: World) -> None:
    world.standin.start()
    world.patience = 3
    world.pod("web-1")
    world.kube.store.clear()
    injector = world.injector()

    async def play() -> None:
        await injector.inject()
        await injector.await_injected()

    name = r"NetworkChaos shop/rolloutlab-drill-7-0-[0-9a-f]{10}"
    late = "was not in place within 3 s: no pod was selected, and Chaos Mesh does not look again"
    with pytest.raises(WorldError, match=f"{name} {late}; Failed to select targets: no pod is selected"):
        run(play())


def test_without_a_controller_it_says_so(world: World) -> None:
    world.patience = 0.3
    world.pod("web-1")
    injector = world.injector()

    async def play() -> None:
        await injector.inject()
        await injector.await_injected()

    with pytest.raises(WorldError, match="no controller has touched it; does Chaos Mesh run"):
        run(play())


def test_what_fails_in_a_pod_is_told_with_the_pod(world: World) -> None:
    world.standin.start()
    world.patience = 3
    world.actor.broken = "exit status 2: qdisc kind is unknown"
    world.pod("web-1")
    injector = world.injector(STRESS)

    async def play() -> None:
        await injector.inject()
        await injector.await_injected()

    with pytest.raises(WorldError, match="shop/web-1/app: exit status 2: qdisc kind is unknown"):
        run(play())


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (403, "StressChaos rolloutlab-drill-7-0-[0-9a-f]+ cannot be had: webhook denied"),
        (404, "this cluster has no StressChaos: Chaos Mesh is not installed"),
        (422, "cannot be had: webhook denied"),
    ],
)
def test_what_the_server_refuses_is_told(world: World, status: int, text: str) -> None:
    def refuse(verb: str, body: Mapping[str, Any]) -> None:
        if verb == "create":
            raise ApiError(status, "webhook denied")

    world.kube.refuse = refuse
    world.pods.append(Pod(name="web-1", namespace="shop", uid="1", revision="canary", running=True, ready=True))
    injector = world.injector(STRESS)
    with pytest.raises(WorldError, match=text):
        run(injector.check())
    with pytest.raises(WorldError, match=text):
        run(injector.inject())
    assert run(injector.ensure()) == []  # refused is not asked for again


def test_a_check_asks_the_server_and_makes_nothing(world: World) -> None:
    run(world.injector(STRESS).check())
    world.pod("web-1")
    run(world.injector(STRESS).check())
    assert not world.kube.of(STRESS_CHAOS)
    template, aimed = world.kube.created("StressChaos")
    assert template["query"]["dryRun"] == aimed["query"]["dryRun"] == "All"
    assert template["spec"]["selector"]["labelSelectors"] == {"rolloutlab/revision": "canary"}
    assert aimed["spec"]["selector"]["pods"] == {"shop": ["web-1"]}


def test_a_drill_whose_time_is_over_injects_nothing(world: World) -> None:
    world.pod("web-1")
    injector = world.injector()
    injector._place = replace(injector._place, expires_at=time.time() - 3)
    with pytest.raises(WorldError, match="the time of the drill is over, 3 s ago"):
        run(injector.inject())
    assert not world.kube.created("NetworkChaos")


def test_a_controller_that_died_leaves_an_object_that_is_told_and_never_forced(world: World) -> None:
    world.standin.start()
    world.pod("web-1")
    injector = world.injector()

    async def play() -> tuple[list[str], list[str]]:
        await injector.inject()
        await injector.await_injected()
        world.standin.stop()
        injector._place = replace(injector._place, patience_seconds=0.4)
        await injector.recover()
        return await injector.await_recovered(), await injector.sweep()

    left, swept = run(play())
    assert left == swept
    text = r"NetworkChaos shop/rolloutlab-\S+ is deleted but held by its finalizer; web-1 under fault"
    assert re.match(rf"{text} \(its controller does not answer: kubectl .*\); annotated", left[0])
    (found,) = world.kube.of(NETWORK_CHAOS)
    assert found["metadata"]["finalizers"] == ["chaos-mesh/records"]
    assert "cleanFinalizer" not in str(found)  # it is told, and not done
    world.standin.start()
    run(injector.sweep())
    assert not world.kube.of(NETWORK_CHAOS)
    assert not world.actor.bears


# --- harnesses that were killed -------------------------------------------------------------------------------------


def test_a_second_harness_takes_over_what_the_first_one_made(world: World) -> None:
    world.standin.start()
    world.pod("web-1")
    first, second = world.injector(for_seconds=50), world.injector(for_seconds=50)

    async def play() -> None:
        await first.inject()
        await first.await_injected()
        world.pod("web-2")
        await second.inject()
        await second.await_injected()
        await second.ensure()
        await until(lambda: len(world.actor.bears) == 2)
        await second.recover()
        assert await second.await_recovered() == []

    run(play())
    assert len(world.kube.created("NetworkChaos")) == 2  # one of each, not two of the first
    assert not world.actor.bears


def test_what_had_ended_by_itself_is_made_anew(world: World) -> None:
    world.standin.start()
    world.pod("web-1")
    first, second = world.injector(), world.injector()

    async def play() -> None:
        await first.inject()
        await first.await_injected()
        (found,) = world.kube.of(NETWORK_CHAOS)
        pause = {"metadata": {"annotations": {rules.PAUSE: "true"}}}
        world.kube.patch(NETWORK_CHAOS, found["metadata"]["name"], pause, "shop")
        await until(lambda: not world.actor.bears)
        await second.inject()
        await second.await_injected()

    run(play())
    assert world.actor.bears == {"shop/web-1"}
    (found,) = world.kube.of(NETWORK_CHAOS)
    assert rules.PAUSE not in found["metadata"]["annotations"]


def test_a_create_that_was_heard_twice_is_one_object(world: World) -> None:
    world.standin.start()
    world.pod("web-1")
    injector = world.injector()
    create = world.kube.create

    def twice(*what: Any, **query: str) -> Object:
        create(*what, **query)
        return create(*what, **query)

    world.kube.create = twice  # type: ignore[method-assign]

    async def play() -> None:
        await injector.inject()
        world.kube.create = create  # type: ignore[method-assign]
        await injector.await_injected()

    run(play())
    assert len(world.kube.of(NETWORK_CHAOS)) == 1


def test_an_injection_that_is_cancelled_while_it_is_written_is_found_by_whoever_takes_it_back(world: World) -> None:
    world.pod("web-1")
    injector = world.injector()
    under_way, go = threading.Event(), threading.Event()

    def slowly(verb: str, body: Mapping[str, Any]) -> None:
        if verb == "create":
            under_way.set()
            go.wait(10)

    async def play() -> None:
        task = asyncio.ensure_future(injector.inject())
        await asyncio.to_thread(under_way.wait, 10)
        world.kube._lock = threading.RLock()  # the server can be asked meanwhile
        task.cancel()
        recovering = asyncio.ensure_future(injector.recover())
        await asyncio.sleep(0.1)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await recovering

    world.kube.refuse = slowly
    run(play())
    assert len(world.kube.created("NetworkChaos")) == 1
    assert not world.kube.of(NETWORK_CHAOS)


def test_what_arrives_after_it_was_taken_back_is_removed_as_well(world: World) -> None:
    world.standin.start()
    world.pod("web-1")
    injector = world.injector()

    async def play() -> list[str]:
        await injector.inject()
        await injector.await_injected()
        await injector.recover()
        await until(lambda: not world.kube.of(NETWORK_CHAOS))
        body = world.kube.created("NetworkChaos")[0]  # by a request that the network held back
        world.kube.create(NETWORK_CHAOS, {key: body[key] for key in ("metadata", "spec")}, "shop")
        return await injector.await_recovered()

    assert run(play()) == []
    assert not world.kube.of(NETWORK_CHAOS)


def test_two_faults_of_one_kind_do_not_meet(world: World) -> None:
    world.standin.start()
    world.pod("web-1")
    first, second = world.injector(), world.injector(number=1)

    async def play() -> None:
        for injector in (first, second):
            await injector.inject()
            await injector.await_injected()
        await first.recover()
        assert await first.await_recovered() == []

    run(play())
    (found,) = world.kube.of(NETWORK_CHAOS)
    assert found["metadata"]["annotations"]["rolloutlab/fault"] == "1"


def test_kinds_do_not_meet_each_others_objects(world: World) -> None:
    world.standin.start()
    world.pod("web-1")
    delay, stress = world.injector(), world.injector(STRESS, number=1)

    async def play() -> None:
        for injector in (delay, stress):
            await injector.inject()
            await injector.await_injected()
        await delay.recover()
        await delay.await_recovered()

    run(play())
    assert not world.kube.of(NETWORK_CHAOS)
    assert world.actor.bears == {"shop/web-1/app"}
    assert not world.kube.of(POD_CHAOS)
    assert not world.kube.of(HTTP_CHAOS)
