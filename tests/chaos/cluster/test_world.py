"""The world of a cluster, driven as a strategy drives it, against controllers in memory: no process runs."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chaos.clock import LiveClock
from chaos.cluster import fleet as fleets
from chaos.cluster import made as hands
from chaos.cluster import world as under_test
from chaos.cluster.informer import Informer
from chaos.cluster.kinds import CONFIG_MAP, DEPLOYMENT, GATEWAY, HTTP_ROUTE, POD, SERVICE
from chaos.cluster.kube import Kube
from chaos.cluster.objects import Drilled
from chaos.cluster.pod import ADMIN_PORT, REVISION, Pod
from chaos.cluster.testing import ApiServer, Behaviour, Store, Workloads
from chaos.cluster.world import ClusterWorld
from chaos.world import WorldError
from scenarios.schema import Scenario
from strategies.effects import (
    Available,
    AwaitAvailable,
    AwaitComplete,
    Counts,
    CountsQuery,
    DeadlinePassed,
    Observe,
    Release,
    RollTo,
)

SPEED = 20.0
PATIENCE = 60.0
HERE = "drills"
METRICS = 'http_requests_total{code="200",method="GET",path="/"} 7\n'


def scenario(**service: Any) -> Scenario:
    return Scenario.model_validate(
        {
            "apiVersion": "rolloutlab/v1",
            "service": {"replicas": 4, "probes": {"readiness": {"periodSeconds": 1}}, **service},
            "metrics": {"scrapeInterval": "5s"},
            "strategies": {"rolling": {"rollingUpdate": {}}},
        }
    )


@dataclass
class Cluster:
    """A cluster in memory whose pods behave as a test says, and what a world in it told."""

    behave: Callable[[dict[str, Any]], Behaviour] = lambda pod: Behaviour()
    quota: int | None = None
    gateway: dict[str, Any] | None = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  #: of pods: method, path
    told: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    api: ApiServer = None  # type: ignore[assignment]
    kube: Kube = None  # type: ignore[assignment]

    def answer(self, method: str, name: str, path: str, body: bytes) -> tuple[int, bytes]:
        self.asked.append((method, f"{name}{path}"))
        return 200, METRICS.encode() if path == "/metrics" else b"{}"

    def world(self, expires: int = 2_000_000_000, **service: Any) -> ClusterWorld:
        drilled = Drilled(id="x1", name="web-x1", namespace=HERE, image="an/image:1", speed=SPEED, expires=expires)
        return ClusterWorld(
            self.kube,
            drilled,
            scenario(**service),
            LiveClock(SPEED),
            gateway=("infra", "web") if self.gateway is not None else None,
            seed=1,
            extra=lambda revision: {},
            person=self.person,
            failed=self.failures.append,
            tell=lambda kind, who, **facts: self.told.append((kind, who, facts)),
        )

    async def person(self, reason: str) -> str:
        return f"somebody, of {reason}"

    def pods(self, revision: str) -> list[dict[str, Any]]:
        return self.api.store.all(POD, HERE, lambda each: each["metadata"]["labels"][REVISION] == revision)

    def weights(self) -> list[float]:
        return [facts["weight"] for kind, _, facts in self.told if kind == "weight_effective"]


Work = Callable[[ClusterWorld], Awaitable[None]]


def drilled(
    tmp_path: Path, cluster: Cluster, work: Work, *, routed: bool = True, expect_failure: bool = False, **service: Any
) -> None:
    """Do something in a world that is up."""
    with ApiServer(
        Store({HERE: {}, "infra": {}}), ticks=Workloads(cluster.behave, quota=cluster.quota), pod=cluster.answer
    ) as cluster.api:
        cluster.kube = Kube(str(cluster.api.kubeconfig(tmp_path / "kc")))
        if cluster.gateway is not None:
            spec = {"listeners": [{"name": "http", "protocol": "HTTP", "port": 80, **cluster.gateway}]}
            cluster.api.store.create(GATEWAY, {"metadata": {"name": "web"}, "spec": spec}, "infra")

        async def main() -> None:
            world = cluster.world(**service)
            try:
                await world.start(Release(replicas=4, routed=routed))
                await work(world)
            finally:
                await world.stop()
                await world.stop()  # twice is once

        asyncio.run(main())
    assert bool(cluster.failures) is expect_failure, cluster.failures


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.01)


# --- the beginning ---------------------------------------------------------------------------------------------------


def test_the_stable_revision_is_up_and_has_all_traffic(tmp_path: Path) -> None:
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        assert world.fleet.available("stable") == 4
        assert len(cluster.pods("stable")) == 4
        assert cluster.pods("canary") == []
        assert world.reach.direct is False, "no such address answers with the name of the pod"
        assert (await world.ask_person("why")).by == "somebody, of why"

    drilled(tmp_path, cluster, work)
    kinds = [kind for kind, _, _ in cluster.told]
    assert kinds.count("container_started") == kinds.count("pod_ready") == 4
    assert "Deployment/web-x1-main" in cluster.api.store.names(HERE), "what was made stays until it is swept"


def fate(name: str) -> Cluster:
    return Cluster(behave=lambda pod: Behaviour(fate=name))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (fate("image"), "the image an/image:1 cannot be had (ErrImagePull).*--image"),
        (fate("crash"), "web-x1-main-.* ended before the rollout began: the last words"),
        (fate("unschedulable"), "finds no node: 0/1 nodes"),
        (Cluster(quota=2), "pods of web-x1-main-.* cannot be made: .*exceeded quota"),
        (Cluster(behave=lambda pod: Behaviour(ready_seconds=1e9)), "4 stable pods were not ready within 2 s .*the last words"),
        (Cluster(gateway={"allowedRoutes": {"namespaces": {"from": "Same"}}}),
         "Gateway infra/web does not take routes of namespace drills .NotAllowedByListeners: no listener .*allowedRoutes"),
    ],
)  # fmt: skip
def test_a_service_that_cannot_be_brought_up_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster, said: str
) -> None:
    monkeypatch.setattr(under_test, "START_SECONDS", 2.0)
    monkeypatch.setattr(under_test, "HUNGRY_SECONDS", 0.3)
    monkeypatch.setattr(hands, "_ACCEPT_SECONDS", 0.5)

    async def work(world: ClusterWorld) -> None:
        raise AssertionError("it is up")

    with pytest.raises(WorldError, match=said.replace("(", r"\(").replace(")", r"\)")) as caught:
        drilled(tmp_path, cluster, work)
    assert "\n" not in str(caught.value)


def test_a_gateway_that_says_nothing_is_taken_at_its_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "_ACCEPT_SECONDS", 0.3)
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        world.made.gateway = ("infra", "another")  # nobody answers for it
        await world.made.weight(0.0)
        await world.made.accepted()

    drilled(tmp_path, cluster, work)


def test_a_namespace_that_takes_no_pod_for_a_moment_only_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(quota=2)
    workloads: list[Workloads] = []
    original = Workloads.__init__

    def remembered(self: Workloads, *words: Any, **more: Any) -> None:
        original(self, *words, **more)
        workloads.append(self)

    monkeypatch.setattr(Workloads, "__init__", remembered)

    async def work(world: ClusterWorld) -> None:
        assert world.fleet.available("stable") == 4

    async def freed() -> None:
        await asyncio.sleep(0.5)
        workloads[0].quota = None

    original_start = ClusterWorld.start

    async def start(self: ClusterWorld, release: Release) -> None:
        freeing = asyncio.create_task(freed())
        await original_start(self, release)
        await freeing

    monkeypatch.setattr(ClusterWorld, "start", start)
    drilled(tmp_path, cluster, work)


# --- a canary --------------------------------------------------------------------------------------------------------


def test_a_canary_comes_takes_traffic_and_goes(tmp_path: Path) -> None:
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        await world.scale("canary", 2)
        there = await world.await_available(AwaitAvailable("canary", 2, deadline_seconds=600))
        assert isinstance(there, Available)
        await world.set_weight(0.25)
        await world.set_weight(1.0)
        counts = await world.observe(Observe())
        assert isinstance(counts, Counts)
        assert (counts.canary, counts.stable) == ((2, 2), (4, 4))
        await world.set_weight(0.0)
        await world.scale("canary", 0)
        gone = await world.observe(Observe(changed_from=((0, 2), (4, 4)), deadline_seconds=6000))
        assert isinstance(gone, Counts)
        await until(lambda: not cluster.pods("canary"))
        assert world.fleet.summary(1e12).peak >= 6

    drilled(tmp_path, cluster, work)
    assert cluster.weights() == [0.25, 1.0, 0.0]


def test_minimum_ready_seconds_are_waited_for_though_nothing_more_happens(tmp_path: Path) -> None:
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        await world.scale("canary", 1)
        first = await world.await_available(AwaitAvailable("canary", 1))
        later = await world.await_available(AwaitAvailable("canary", 1, min_ready_seconds=10))
        assert isinstance(first, Available)
        assert isinstance(later, Available)
        assert later.at_seconds - first.at_seconds > 5, "in scenario time, of which it is known since the first look"

    drilled(tmp_path, cluster, work)


def test_pods_that_never_get_ready_pass_the_deadline(tmp_path: Path) -> None:
    def behave(pod: dict[str, Any]) -> Behaviour:
        return Behaviour(ready_seconds=1e9 if pod["metadata"]["labels"][REVISION] == "canary" else 0.02)

    cluster = Cluster(behave=behave)

    async def work(world: ClusterWorld) -> None:
        await world.scale("canary", 1)
        passed = await world.await_available(AwaitAvailable("canary", 1, deadline_seconds=20))
        assert isinstance(passed, DeadlinePassed)
        await world.scale("canary", 0)
        await until(lambda: not cluster.pods("canary"))

    drilled(tmp_path, cluster, work)


def test_progress_puts_the_deadline_off(tmp_path: Path) -> None:
    """Pods come one after the other, each within the deadline, all of them not."""
    since: dict[str, int] = {}

    def behave(pod: dict[str, Any]) -> Behaviour:
        if pod["metadata"]["labels"][REVISION] == "stable":
            return Behaviour(ready_seconds=0.0)
        return Behaviour(ready_seconds=0.8 * (1 + since.setdefault(pod["metadata"]["uid"], len(since))))

    cluster = Cluster(behave=behave)

    async def work(world: ClusterWorld) -> None:
        asked = world.clock.now_us()
        await world.scale("canary", 4)
        there = await world.await_available(AwaitAvailable("canary", 4, deadline_seconds=40))
        assert isinstance(there, Available)
        assert there.at_seconds - asked / 1e6 > 40

    drilled(tmp_path, cluster, work)


# --- without a router ------------------------------------------------------------------------------------------------


def test_without_a_router_traffic_follows_pods_and_services(tmp_path: Path) -> None:
    cluster = Cluster(gateway=None)

    async def work(world: ClusterWorld) -> None:
        service = cluster.api.store.get(SERVICE, "web-x1-all", HERE)
        assert service is not None
        assert REVISION not in service["spec"]["selector"]
        await world.set_weight(0.5)
        assert cluster.weights() == [], "there is nothing to set"
        await world.scale("canary", 4)
        await world.await_available(AwaitAvailable("canary", 4))
        await until(lambda: world.weight == 0.5)
        await world.scale("canary", 0)
        await until(lambda: world.weight == 0.0)
        assert cluster.api.store.all(HTTP_ROUTE) == []

    drilled(tmp_path, cluster, work, routed=False)
    assert set(cluster.weights()) >= {0.2, 0.5, 0.0}


# --- a rolling update ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("surge", "unavailable"), [(1, 0), (0, 1), ("50%", "25%")])
def test_the_deployment_controller_rolls_and_the_world_follows(
    tmp_path: Path, surge: int | str, unavailable: int | str
) -> None:
    cluster = Cluster()
    most = {1: 5, 0: 4, "50%": 6}[surge]
    fewest = {0: 4, 1: 3, "25%": 3}[unavailable]

    async def work(world: ClusterWorld) -> None:
        await world.roll_to(RollTo("canary", 4, max_surge=surge, max_unavailable=unavailable))
        done = await world.await_complete(AwaitComplete("canary", 4, deadline_seconds=6000))
        assert isinstance(done, Available)
        assert len(world.fleet.active("canary")) == 4
        assert world.fleet.active("stable") == []
        counts = await world.observe(Observe())
        assert isinstance(counts, Counts)
        assert (counts.canary, counts.stable) == ((4, 4), (0, 0))
        found = world.fleet.summary(1e12)
        assert found.least_available >= fewest
        assert found.peak >= most, "and terminating pods beside"
        await until(lambda: world.weight == 1.0)
        back = RollTo("stable", 4, max_surge=surge, max_unavailable=unavailable)
        await world.roll_to(back)
        assert isinstance(await world.await_complete(AwaitComplete("stable", 4)), Available)
        await until(lambda: world.weight == 0.0)

    drilled(tmp_path, cluster, work, routed=False)
    assert cluster.weights() == sorted(cluster.weights()[: cluster.weights().index(1.0) + 1]) + sorted(
        cluster.weights()[cluster.weights().index(1.0) + 1 :], reverse=True
    ), "it rises, then it falls"


@pytest.mark.parametrize(
    ("change", "complete"),
    [
        ({}, True),
        ({"observedGeneration": 6}, False),  # its controller has not looked at the order yet: all is as before
        ({"replicas": 5}, False),
        ({"updatedReplicas": 3}, False),
        ({"availableReplicas": 3}, False),
        ({"availableReplicas": None}, False),
    ],
)
def test_complete_is_what_kubernetes_calls_so(tmp_path: Path, change: dict[str, Any], complete: bool) -> None:
    status = {"observedGeneration": 7, "replicas": 4, "updatedReplicas": 4, "availableReplicas": 4, **change}
    found = {
        "metadata": {"name": "web-x1-main", "generation": 7},
        "spec": {"replicas": 4, "template": {"metadata": {"labels": {REVISION: "canary"}}}},
        "status": {name: value for name, value in status.items() if value is not None},
    }
    cluster = Cluster()
    with ApiServer(Store({HERE: {}})) as api:
        cluster.kube = Kube(str(api.kubeconfig(tmp_path / "kc")))
    world = cluster.world()
    assert world._complete(AwaitComplete("canary", 4)) is False, "nothing is known yet"
    world._deployments.objects["web-x1-main"] = found
    assert world._complete(AwaitComplete("canary", 4)) is complete
    assert world._complete(AwaitComplete("canary", 5)) is False
    assert world._complete(AwaitComplete("stable", 4)) is False
    world.fleet.pods["old"] = Pod(name="old", namespace=HERE, uid="u", revision="stable", ready=True)
    world.fleet._created_us["u"] = 0
    assert world._complete(AwaitComplete("canary", 4)) is False, "users may still meet the old revision"


def test_an_evicted_pod_does_not_hold_a_rollout_up(tmp_path: Path) -> None:
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        store = cluster.api.store
        (victim, *_) = cluster.pods("stable")
        name = victim["metadata"]["name"]
        state = {"terminated": {"exitCode": 137}}
        containers = [{**victim["status"]["containerStatuses"][0], "state": state, "ready": False}]
        status = {"phase": "Failed", "reason": "Evicted", "containerStatuses": containers, "conditions": []}
        store.patch(POD, name, {"status": status, "metadata": {"ownerReferences": None}}, HERE, "status")
        await until(lambda: name not in world.fleet.pods)
        await world.roll_to(RollTo("canary", 4))
        assert isinstance(await world.await_complete(AwaitComplete("canary", 4)), Available)
        assert store.get(POD, name, HERE) is not None

    drilled(tmp_path, cluster, work, routed=False)


# --- metrics ---------------------------------------------------------------------------------------------------------


def test_pods_out_of_reach_are_scraped_and_told_through_the_api_server(tmp_path: Path) -> None:
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        await until(lambda: len(world.scraper.rounds_us) >= 2)
        names = {pod.name for pod in world.fleet.active("stable")}
        assert {path for method, path in cluster.asked if method == "GET"} == {f"{name}:8080/metrics" for name in names}
        assert world.scraper.failures == 0
        await world.measure(CountsQuery())
        pod = world.fleet.active("stable")[0]
        await world.reach.post(pod, ADMIN_PORT, "/admin/knobs", {"ERROR_RATE": 1.0})
        assert ("POST", f"{pod.name}:{ADMIN_PORT}/admin/knobs") in cluster.asked
        world.blind = True
        await asyncio.sleep(0.3)
        count = len(cluster.asked)
        await asyncio.sleep(0.5)
        assert len(cluster.asked) == count

    drilled(tmp_path, cluster, work)


def test_pods_that_hang_delay_no_order(tmp_path: Path) -> None:
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        cluster.api.trouble.add(act="hang", path="/proxy/", times=None)
        pods = world.fleet.active("stable")
        asked = [asyncio.create_task(world.reach.get(pod, 8080, "/metrics", seconds=30)) for pod in 4 * pods]
        await asyncio.sleep(0.2)
        await world.set_weight(0.5)
        assert not any(task.done() for task in asked), "the order did not wait for one of them"
        cluster.api.trouble.closed.set()
        await asyncio.gather(*asked, return_exceptions=True)

    drilled(tmp_path, cluster, work)


# --- trouble with the API --------------------------------------------------------------------------------------------


def test_a_server_that_is_gone_ends_the_drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (fleets, under_test):
        monkeypatch.setattr(module, "Informer", functools.partial(Informer, patience_seconds=1.0))
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        cluster.api.trouble.add(act="reset", times=None)
        cluster.api.store.forget()
        await until(lambda: bool(cluster.failures))

    drilled(tmp_path, cluster, work, expect_failure=True)
    assert all(isinstance(each, WorldError) and cluster.api.url in str(each) for each in cluster.failures)


def test_an_order_waits_for_a_server_that_is_away_for_longer_than_a_request_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "_AGAIN_SECONDS", 0.05)
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        cluster.kube._retries = False
        cluster.api.trouble.add(times=5, method="PATCH", act="reset")
        await world.set_weight(0.5)
        cluster.api.trouble.add(times=None, method="PATCH", act="reset")
        monkeypatch.setattr(hands, "PATIENCE_SECONDS", 0.2)
        with pytest.raises(WorldError, match="is not reached"):
            await world.set_weight(0.1)

    drilled(tmp_path, cluster, work)


def test_a_deployment_that_somebody_deletes_ends_the_drill_and_says_so(tmp_path: Path) -> None:
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        cluster.api.store.delete(DEPLOYMENT, "web-x1-main", HERE)
        await until(lambda: bool(cluster.failures))

    drilled(tmp_path, cluster, work, expect_failure=True)
    assert "somebody deleted Deployment web-x1-main" in str(cluster.failures[0])


def test_an_order_that_meets_trouble_is_done_all_the_same(tmp_path: Path) -> None:
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        for trouble in ({"status": 503}, {"status": 409}, {"act": "reset"}, {"act": "reset after"}):
            cluster.api.trouble.add(times=2, method="PATCH", **trouble)  # type: ignore[arg-type]
            await world.set_weight(0.5)
            await world.set_weight(0.1)
            route = cluster.api.store.get(HTTP_ROUTE, "web-x1", HERE)
            assert route is not None
            assert route["spec"]["rules"][0]["backendRefs"][1]["weight"] == 100

    drilled(tmp_path, cluster, work)


# --- taking over -----------------------------------------------------------------------------------------------------


def test_another_harness_goes_on_in_the_middle_of_a_rollout(tmp_path: Path) -> None:
    cluster = Cluster(behave=lambda pod: Behaviour(ready_seconds=0.2))

    async def work(world: ClusterWorld) -> None:
        await world.roll_to(RollTo("canary", 4, max_surge=1, max_unavailable=0))
        await until(lambda: len(world.fleet.active("canary")) >= 2)
        await world.stop()
        uids = {each["metadata"]["uid"] for each in cluster.pods("canary")}
        other = cluster.world()
        try:
            await other.start(Release(replicas=4, routed=False))
            await other.roll_to(RollTo("canary", 4, max_surge=1, max_unavailable=0))
            assert isinstance(await other.await_complete(AwaitComplete("canary", 4)), Available)
            assert uids <= {each["metadata"]["uid"] for each in cluster.pods("canary")}, "no pod was made anew"
        finally:
            await other.stop()

    drilled(tmp_path, cluster, work, routed=False)


def test_a_harness_killed_while_it_began_begins_again(tmp_path: Path) -> None:
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        await world.stop()
        first = {each["metadata"]["uid"] for each in cluster.pods("stable")}
        cluster.api.store.remove(HTTP_ROUTE, "web-x1", HERE)  # as if it had been killed before this was made
        other = cluster.world()
        try:
            await other.start(Release(replicas=4, routed=True))
            assert other.fleet.available("stable") == 4
            assert {each["metadata"]["uid"] for each in cluster.pods("stable")} == first, "its pods are as good"
            assert cluster.api.store.get(HTTP_ROUTE, "web-x1", HERE) is not None
        finally:
            await other.stop()

    drilled(tmp_path, cluster, work)


def test_the_anchor_says_what_a_person_wants_to_know(tmp_path: Path) -> None:
    cluster = Cluster()

    async def work(world: ClusterWorld) -> None:
        found = cluster.api.store.get(CONFIG_MAP, "web-x1-drill", HERE)
        assert found is not None
        assert json.loads(found["data"]["drill.json"])["replicas"] == 4
        assert found["metadata"]["annotations"]["rolloutlab/expires-at"] == "2000000000"

    drilled(tmp_path, cluster, work)
