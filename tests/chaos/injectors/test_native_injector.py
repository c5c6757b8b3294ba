"""The adapter for native faults without a node: whom it hits, once, and how it takes everything back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias, cast

import pytest

from chaos.cluster.kube import ApiError, Kube
from chaos.cluster.native.injection import Injection
from chaos.cluster.native.watch import EXPIRED, GONE, STRESS_ENDED
from chaos.cluster.pod import Pod
from chaos.faults.node import NODE_FAULTS, NodeFault
from chaos.injectors import FaultInjector
from chaos.injectors.native import AgentLink, NativeInjector
from chaos.injectors.native.api import FAILED_BY, IMAGES
from chaos.injectors.native.injector import Settings
from chaos.injectors.native.link import GoneError
from chaos.timeline import Moment
from chaos.world import WorldError

Names: TypeAlias = list[str]


class FakeLink:
    """An agent that remembers what is in place; pods in `gone` are not there."""

    def __init__(self) -> None:
        self.lacks: dict[str, str] = {}
        self.there: dict[str, Injection] = {}
        self.placed: list[Injection] = []
        self.killed: list[str] = []
        self.undone: list[str] = []
        self.gone: set[str] = set()
        self.trouble = ""
        self.pause = 0.0
        self._time = 0.0
        self._told: dict[str, Callable[[str, Mapping[str, Any]], None]] = {}

    async def start(self) -> None: ...

    def on_end(self, group: str, call: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._told[group] = call

    async def place(self, injection: Injection) -> Moment:
        if self.trouble:
            raise WorldError(self.trouble)
        if injection.pod in self.gone:
            raise GoneError(f"{injection.pod} is gone")
        self.there[injection.id] = injection
        self.placed.append(injection)
        await asyncio.sleep(self.pause)
        return self._moment()

    async def kill(self, injection: Injection) -> Moment:
        self.killed.append(injection.container_id)
        return self._moment()

    async def undo(self, group: str) -> list[str]:
        self.undone.append(group)
        for each in [each for each in self.there.values() if each.group == group]:
            self.end(each.id, "asked")
        return []

    async def borne(self, group: str) -> list[str]:
        return [each.pod for each in self.there.values() if each.group == group]

    async def sweep(self, owner: str | None, group: str | None = None) -> tuple[list[str], list[str]]:
        return [], []

    def end(self, id: str, why: str) -> None:
        """An injection ends."""
        injection = self.there.pop(id)
        self._told[injection.group](id, {"ended": why})

    def _moment(self) -> Moment:
        self._time += 1.0
        return Moment(self._time, self._time + 0.5)


class FakeKube:
    """Pods by name, as the API server keeps them."""

    def __init__(self, *pods: Pod) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.deleted: Names = []
        self.patched: Names = []
        for pod in pods:
            spec = {"containers": [{"name": "app", "image": "app:1"}, {"name": "side", "image": "side:7"}]}
            self.pods[pod.name] = {
                "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid, "labels": {}},
                "spec": spec,
                "status": {"containerStatuses": [{"name": "app", "containerID": "x://gone", "state": {}}]},
            }

    def get(self, _: object, name: str, namespace: str) -> dict[str, Any] | None:
        return self.pods.get(name)

    def delete(self, _: object, name: str, namespace: str, *, grace_seconds: int) -> bool:
        assert grace_seconds == 0
        self.deleted.append(name)
        return self.pods.pop(name, None) is not None

    def list(self, _: object, namespace: str, *, labels: str) -> dict[str, Any]:
        name, _, value = labels.partition("=")
        found = [each for each in self.pods.values() if name in each["metadata"]["labels"]]
        return {"items": [each for each in found if value in ("", each["metadata"]["labels"][name])]}

    def request(self, method: str, path: str, body: Mapping[str, Any], *, content: str) -> dict[str, Any]:
        assert (method, content) == ("PATCH", "application/strategic-merge-patch+json")
        pod = self.pods.get(path.rpartition("/")[2])
        if pod is None:
            raise ApiError(404, "not found")
        if pod["metadata"]["uid"] != body["metadata"]["uid"]:
            raise ApiError(409, "conflict")
        self.patched.append(pod["metadata"]["name"])
        for part in ("labels", "annotations"):
            merged = {**pod["metadata"].get(part, {}), **body["metadata"][part]}
            pod["metadata"][part] = {name: value for name, value in merged.items() if value is not None}
        images = {each["name"]: each["image"] for each in body["spec"]["containers"]}
        for each in pod["spec"]["containers"]:
            each["image"] = images[each["name"]]
        return pod

    def images(self, name: str) -> Names:
        return [each["image"] for each in self.pods[name]["spec"]["containers"]]


def pod(name: str, revision: Any = "canary", **more: Any) -> Pod:
    told = {"uid": f"uid-{name}", "container_id": f"cid-{name}", "running": True, "ready": True}
    return Pod(name=name, namespace="shop", revision=revision, **{**told, **more})


class Bench:
    """An injector with all that is around it."""

    def __init__(self, kind: Any, pods: list[Pod], *, kube: FakeKube | None = None, **more: Any) -> None:
        self.link, self.pods, self.kube = FakeLink(), pods, kube or FakeKube(*pods)
        settings = Settings(owner="d7", number=2, versions={"canary": "v2"}, pause_image="pause:1")
        self.injector = NativeInjector(
            NodeFault(kind=kind, **more),
            settings,
            targets=lambda: self.pods,
            link=cast(AgentLink, self.link),
            kube=cast(Kube, self.kube),
        )

    @property
    def names(self) -> list[str]:
        return [each.pod for each in self.link.placed]


def test_it_is_a_fault_injector() -> None:
    injector: FaultInjector = Bench("freeze", []).injector
    told = injector.plan()
    assert (told.engine, told.revisions, told.pods) == ("native", ("canary",), ())
    assert injector.capabilities() == frozenset(NODE_FAULTS)


def test_it_plans_what_it_then_does() -> None:
    bench = Bench(
        "partition", [pod("s", "stable"), pod("a"), pod("b", terminating=True), pod("c", running=False), pod("d")]
    )
    assert bench.injector.plan().pods == ("a", "d")
    assert "also those that come later" in bench.injector.plan().what
    asyncio.run(bench.injector.inject())
    assert bench.names == ["a", "d"]


def test_twice_is_once() -> None:
    bench = Bench("partition", [pod("a")])

    async def main() -> None:
        await bench.injector.inject()
        await bench.injector.inject()
        assert await bench.injector.ensure() == []
        first = await bench.injector.await_injected()
        assert first == await bench.injector.await_injected() == Moment(1.0, 1.5)
        assert bench.names == ["a"]
        await bench.injector.recover()
        await bench.injector.recover()
        assert await bench.injector.await_recovered() == []
        assert await bench.injector.ensure() == [], "what was taken back stays away"
        assert bench.names == ["a"]
        assert bench.injector.bearings["uid-a"].why == "asked"

    asyncio.run(main())


def test_pods_that_come_later_are_hit_and_the_first_one_counts() -> None:
    bench = Bench("partition", [])

    async def main() -> None:
        await bench.injector.inject()
        waiting = asyncio.create_task(bench.injector.await_injected())
        await asyncio.sleep(0.12)
        assert not waiting.done()
        bench.pods = [pod("a")]
        assert (await waiting).lo == 1.0
        bench.pods = [pod("a"), pod("b"), pod("c", running=False)]
        assert await bench.injector.ensure() == ["b"]
        bench.pods = [pod("a"), pod("b"), pod("c")]
        assert await bench.injector.ensure() == ["c"]
        assert (await bench.injector.await_injected()).lo == 1.0

    asyncio.run(main())


def test_a_few_of_each_revision_the_oldest_first_and_the_same_ones_again() -> None:
    stable = [pod(f"s{number}", "stable") for number in range(3)]
    bench = Bench("partition", [*stable, pod("c0"), pod("c1")], on="both", replicas=1)

    async def main() -> None:
        await bench.injector.inject()
        assert bench.names == ["s0", "c0"]
        bench.pods = [stable[2], stable[0], pod("c1"), pod("c0")]
        assert await bench.injector.ensure() == [], "the order of pods does not matter once it is in place"
        bench.pods = [stable[2], stable[1], pod("c0")]
        assert await bench.injector.ensure() == ["s2"], "another one in the place of one that is gone"

    asyncio.run(main())


@pytest.mark.parametrize(("kind", "again"), [("freeze", True), ("cpu_stress", True), ("partition", False)])
def test_a_restarted_container_is_a_new_target_of_faults_of_containers(kind: str, again: bool) -> None:
    bench = Bench(kind, [pod("a")])

    async def main() -> None:
        await bench.injector.inject()
        if again:
            bench.link.end("d7.2.0", GONE)
        bench.pods = [pod("a", container_id="cid-second", restarts=1)]
        assert await bench.injector.ensure() == (["a"] if again else [])

    asyncio.run(main())


@pytest.mark.parametrize(
    ("why", "again"), [("its guard ended with -9", True), (GONE, True), (EXPIRED, False), (STRESS_ENDED, False)]
)
def test_what_has_ended_is_made_again_only_where_nobody_meant_it(why: str, again: bool) -> None:
    bench = Bench("memory_stress", [pod("a")], mib=8)

    async def main() -> None:
        await bench.injector.inject()
        bench.link.end("d7.2.0", why)
        assert bench.injector.bearings["cid-a"].why == why
        assert await bench.injector.ensure() == (["a"] if again else [])

    asyncio.run(main())


def test_all_is_made_again_when_the_agent_was_lost() -> None:
    bench = Bench("partition", [pod("a"), pod("b")])

    async def main() -> None:
        await bench.injector.inject()
        bench.link.there.clear()
        bench.link._told["d7.2"]("", {"ended": "its agent has ended"})
        assert await bench.injector.ensure() == ["a", "b"]

    asyncio.run(main())


def test_recover_halfway_leaves_nothing() -> None:
    """The order is on its way when it is taken back: it is taken back again once it is there."""
    bench = Bench("partition", [pod("a")])
    bench.link.pause = 0.05

    async def main() -> None:
        injecting = asyncio.create_task(bench.injector.inject())
        await asyncio.sleep(0.01)
        await bench.injector.recover()
        await injecting
        assert bench.link.there == {}
        assert await bench.injector.await_recovered() == []

    asyncio.run(main())


def test_a_pod_that_is_just_going_is_no_failure_and_a_fault_that_cannot_be_had_is() -> None:
    bench = Bench("partition", [pod("a"), pod("b")])
    bench.link.gone = {"a"}
    asyncio.run(bench.injector.inject())
    assert bench.names == ["b"]

    bench = Bench("partition", [pod("a")])
    bench.link.trouble = "the pod has the network of its node"
    with pytest.raises(WorldError, match="the network of its node"):
        asyncio.run(bench.injector.inject())

    bench = Bench("packet_delay", [pod("a")], latency_seconds=0.1)
    bench.link.lacks = {"packet_delay": "netfilterqueue is not installed"}
    assert "packet_delay" not in bench.injector.capabilities()
    with pytest.raises(WorldError, match="packet_delay: netfilterqueue is not installed"):
        asyncio.run(bench.injector.inject())


def test_the_proxy_is_told_who_it_answers_for() -> None:
    bench = Bench("http_abort", [pod("a"), pod("s", "stable")], share=0.5, on="both")
    asyncio.run(bench.injector.inject())
    told = {each.pod: each.parameters for each in bench.link.placed}
    assert told["a"]["answer_headers"] == {"x-version": "v2", "x-pod": "a", "x-revision": "canary"}
    assert told["s"]["answer_headers"] == {"x-version": "stable", "x-pod": "s", "x-revision": "stable"}
    assert told["a"]["port"] == 8080
    assert "/readyz" in told["a"]["exempt_paths"]
    json.dumps([each.plain() for each in bench.link.placed])


# -- what happens once ------------------------------------------------------------------------------------------------


def test_a_container_is_killed_once_also_when_it_is_restarted() -> None:
    bench = Bench("container_kill", [pod("a"), pod("b")], replicas=1)

    async def main() -> None:
        await bench.injector.inject()
        assert bench.link.killed == ["cid-a"]
        bench.pods = [pod("a", container_id="cid-second", restarts=1), pod("b"), pod("c")]
        await bench.injector.inject()
        assert await bench.injector.ensure() == []
        assert bench.link.killed == ["cid-a"]
        await bench.injector.recover()
        assert await bench.injector.await_recovered() == []

    asyncio.run(main())


def test_a_pod_is_killed_once_and_its_successor_is_left_alone() -> None:
    bench = Bench("pod_kill", [pod("a", running=False), pod("s", "stable")])

    async def main() -> None:
        await bench.injector.inject()
        assert bench.kube.deleted == ["a"], "one that does not run can be deleted too"
        bench.pods = [pod("b")]
        await bench.injector.inject()
        assert await bench.injector.ensure() == []
        assert bench.kube.deleted == ["a"]

    asyncio.run(main())


def test_a_kill_of_nobody_waits_for_somebody() -> None:
    bench = Bench("pod_kill", [])

    async def main() -> None:
        await bench.injector.inject()
        bench.pods = [pod("a")]
        bench.kube = FakeKube(*bench.pods)
        bench.injector._kube = cast(Kube, bench.kube)
        await bench.injector.await_injected()
        assert bench.kube.deleted == ["a"]

    asyncio.run(main())


# -- pod failure ------------------------------------------------------------------------------------------------------


def test_a_failed_pod_gets_back_what_it_had() -> None:
    bench = Bench("pod_failure", [pod("a"), pod("b")], replicas=1)

    async def main() -> None:
        await bench.injector.inject()
        assert bench.kube.images("a") == ["pause:1", "pause:1"]
        assert bench.kube.images("b") == ["app:1", "side:7"]
        assert bench.kube.pods["a"]["metadata"]["labels"] == {FAILED_BY: "d7"}
        assert json.loads(bench.kube.pods["a"]["metadata"]["annotations"][IMAGES]) == {"app": "app:1", "side": "side:7"}
        bench.pods = [replace(bench.pods[0], running=False, container_id=""), bench.pods[1]]
        assert await bench.injector.ensure() == []
        await bench.injector.recover()
        await bench.injector.recover()
        assert bench.kube.images("a") == ["app:1", "side:7"]
        assert bench.kube.pods["a"]["metadata"]["labels"] == {}
        assert bench.kube.pods["a"]["metadata"]["annotations"] == {}
        assert await bench.injector.await_recovered() == []
        assert await bench.injector.sweep() == []
        assert bench.kube.patched == ["a", "a"]

    asyncio.run(main())


def test_a_pod_of_another_drill_is_not_given_back() -> None:
    bench = Bench("pod_failure", [pod("a"), pod("b")], replicas=1)
    bench.kube.pods["b"]["metadata"]["labels"] = {FAILED_BY: "d8"}

    async def main() -> None:
        await bench.injector.inject()
        await bench.injector.recover()
        assert bench.kube.patched == ["a", "a"]

    asyncio.run(main())


def test_another_pod_of_the_same_name_is_not_failed() -> None:
    bench = Bench("pod_failure", [pod("a")])
    bench.kube.pods["a"]["metadata"]["uid"] = "another"
    asyncio.run(bench.injector.inject())
    assert bench.injector.bearings == {}
    assert bench.kube.images("a") == ["app:1", "side:7"]


def test_faults_by_the_api_need_one() -> None:
    with pytest.raises(ValueError, match="pod_kill needs `kube`"):
        NativeInjector(NodeFault(kind="pod_kill"), Settings(owner="d"), targets=list, link=cast(AgentLink, FakeLink()))
