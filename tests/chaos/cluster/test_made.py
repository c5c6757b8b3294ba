"""What orders make of the objects of a drill: once, twice, in any order, and after a harness that was killed."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.cluster.kinds import CONFIG_MAP, DEPLOYMENT, HTTP_ROUTE, SERVICE
from chaos.cluster.kube import Kube
from chaos.cluster.made import Made
from chaos.cluster.objects import Drilled
from chaos.cluster.pod import REVISION
from chaos.cluster.testing import ApiServer, Store
from chaos.world import WorldError
from scenarios.schema import Scenario
from strategies.effects import Revision, RollTo

NAMESPACE = "drills"
GATEWAY = ("traefik", "gateway")
SCENARIO = Scenario.model_validate({"apiVersion": "rolloutlab/v1", "strategies": {"rolling": {"rollingUpdate": {}}}})


class Drill:
    """One drill's objects, and the harness that has them in hand."""

    def __init__(self, api: ApiServer, kube: Kube, gateway: tuple[str, str] | None = GATEWAY) -> None:
        self.api, self.kube, self.gateway = api, kube, gateway
        self.error: dict[str, float] = {"stable": 0.001, "canary": 0.001}
        self.made = self.harness()

    def harness(self) -> Made:
        drilled = Drilled(id="x1", name="web-x1", namespace=NAMESPACE, image="i:1", speed=1.0, expires=2_000_000_000)
        return Made(self.kube, drilled, SCENARIO, gateway=self.gateway, settings=self.settings)

    def settings(self, revision: Revision) -> dict[str, Any]:
        return {"APP_REVISION": revision, "ERROR_RATE": self.error[revision]}

    async def begin(self, replicas: int = 4) -> None:
        assert not await self.made.anchor({"replicas": replicas})
        await self.made.service(replicas)

    async def killed(self) -> bool:
        """Another harness takes over; whether all was there."""
        self.made = self.harness()
        assert await self.made.anchor({})
        return await self.made.found()

    def pods(self) -> dict[str, int]:
        """Wanted pods by revision."""
        found = {"stable": 0, "canary": 0}
        for each in self.api.store.all(DEPLOYMENT, NAMESPACE):
            found[each["spec"]["template"]["metadata"]["labels"][REVISION]] += each["spec"]["replicas"]
        return found

    def weights(self) -> dict[str, int]:
        """Of the route, by the end of the Service's name."""
        route = self.api.store.get(HTTP_ROUTE, "web-x1", NAMESPACE)
        assert route is not None
        (rule,) = route["spec"]["rules"]
        return {each["name"].removeprefix("web-x1-"): each["weight"] for each in rule["backendRefs"]}

    def selected(self) -> str | None:
        """The revision that the Service of all pods selects."""
        service = self.api.store.get(SERVICE, "web-x1-all", NAMESPACE)
        assert service is not None
        revision: str | None = service["spec"]["selector"].get(REVISION)
        return revision

    def templates(self) -> dict[str, Any]:
        return {
            each["metadata"]["name"]: each["spec"]["template"] for each in self.api.store.all(DEPLOYMENT, NAMESPACE)
        }

    def versions(self) -> dict[str, str]:
        found = {}
        for kind in (CONFIG_MAP, DEPLOYMENT, SERVICE, HTTP_ROUTE):
            for each in self.api.store.all(kind, NAMESPACE):
                found[f"{kind.kind}/{each['metadata']['name']}"] = each["metadata"]["resourceVersion"]
        return found


@pytest.fixture
def drill(api: ApiServer, kube: Kube) -> Drill:
    return Drill(api, kube)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


Order = Callable[[Made], Coroutine[Any, Any, None]]
ORDERS: dict[str, Order] = {
    "scale stable": lambda made: made.scale("stable", 3),
    "scale canary": lambda made: made.scale("canary", 2),
    "canary to nothing": lambda made: made.scale("canary", 0),
    "roll to canary": lambda made: made.roll_to(RollTo("canary", 4, max_surge=1, max_unavailable=0), 2.5),
    "roll to stable": lambda made: made.roll_to(RollTo("stable", 4), 0.0),
    "some": lambda made: made.weight(0.25),
    "all": lambda made: made.weight(1.0),
    "none": lambda made: made.weight(0.0),
    "by pods": lambda made: made.weight(None),
}


# --- the beginning ---------------------------------------------------------------------------------------------------


def test_all_there_is_belongs_to_the_anchor(api: ApiServer, drill: Drill) -> None:
    run(drill.begin())
    anchor = api.store.get(CONFIG_MAP, "web-x1-drill", NAMESPACE)
    assert anchor is not None
    names = {
        "Deployment/web-x1-main",
        "Service/web-x1-stable",
        "Service/web-x1-canary",
        "Service/web-x1-all",
        "HTTPRoute/web-x1",
    }
    assert set(api.store.names(NAMESPACE)) == names | {"ConfigMap/web-x1-drill"}
    for kind in (DEPLOYMENT, SERVICE, HTTP_ROUTE):
        for each in api.store.all(kind, NAMESPACE):
            (owner,) = each["metadata"]["ownerReferences"]
            assert owner["uid"] == anchor["metadata"]["uid"]
    assert (drill.pods(), drill.weights()) == ({"stable": 4, "canary": 0}, {"stable": 1000, "canary": 0})
    assert api.trouble.requests[1].method == "POST", "the anchor comes first"
    assert [each.method for each in api.trouble.requests].count("POST") == 1


def test_when_the_anchor_goes_all_goes(api: ApiServer, drill: Drill) -> None:
    run(drill.begin())
    drill.made.remove()
    for _ in range(5):
        api.store.collect()
    assert api.store.names(NAMESPACE) == []
    drill.made.remove()  # again, and nothing is there


def test_an_anchor_whose_answer_was_lost_is_ours(api: ApiServer, drill: Drill) -> None:
    api.trouble.add(act="reset after", method="POST")
    run(drill.begin())
    assert drill.pods()["stable"] == 4


def test_what_somebody_else_has_by_that_name_is_not_touched(api: ApiServer, drill: Drill) -> None:
    body = {"metadata": {"name": "web-x1-drill", "labels": {"rolloutlab/drill": "another"}}}
    api.store.create(CONFIG_MAP, body, NAMESPACE)
    with pytest.raises(WorldError, match="ConfigMap web-x1-drill of namespace drills is of something else"):
        run(drill.made.anchor({}))  # type: ignore[arg-type]
    assert not any(each.writes for each in api.trouble.requests)


def test_what_is_being_deleted_is_not_taken_over(api: ApiServer, drill: Drill) -> None:
    async def work() -> None:
        await drill.begin()
        api.store.patch(CONFIG_MAP, "web-x1-drill", {"metadata": {"finalizers": ["x/y"]}}, NAMESPACE)
        drill.made.remove()
        with pytest.raises(WorldError, match="is being deleted"):
            await drill.killed()

    run(work())


# --- orders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("before", [None, "scale canary", "roll to canary"])
@pytest.mark.parametrize("router", [GATEWAY, None])
def test_an_order_twice_changes_nothing(
    api: ApiServer, kube: Kube, name: str, before: str | None, router: tuple[str, str] | None
) -> None:
    drill = Drill(api, kube, router)

    async def work() -> None:
        await drill.begin()
        if before is not None:
            await ORDERS[before](drill.made)
        await ORDERS[name](drill.made)
        once = drill.versions()
        drill.error["canary"] = drill.error["stable"] = 0.5  # a fault began, which new pods would bear
        await ORDERS[name](drill.made)
        assert drill.versions() == once
        await drill.killed()
        await ORDERS[name](drill.made)
        assert drill.versions() == once, "nor does a harness that takes over"

    run(work())


@pytest.mark.parametrize("method", ["PATCH", "POST"])
@pytest.mark.parametrize("act", ["reset", "reset after"])
def test_a_lost_answer_makes_no_difference(api: ApiServer, kube: Kube, method: str, act: str) -> None:
    """Whatever is lost, what is made is the same."""

    async def work(drill: Drill) -> None:
        await drill.begin()
        for name in ("scale canary", "some", "roll to canary", "scale stable", "none"):
            await ORDERS[name](drill.made)

    drill = Drill(api, kube)
    run(work(drill))
    wanted = (drill.pods(), drill.weights(), drill.templates())
    writes = api.trouble.count(method)
    for number in range(writes):
        with ApiServer(Store({NAMESPACE: {}}), token=api.token) as other:
            other.trouble.add(act=act, method=method, after=number)
            drill = Drill(other, _pointed_at(kube, other))
            run(work(drill))
            assert (drill.pods(), drill.weights(), drill.templates()) == wanted, number


def _pointed_at(kube: Kube, other: ApiServer) -> Kube:
    found = kube.hasty()
    found._retries, found.server = kube._retries, other.url
    return found


def test_a_revision_that_the_second_deployment_no_longer_has_is_put_there(drill: Drill) -> None:
    """A canary was tried, the main Deployment was rolled to it, and stable pods are wanted again."""

    async def work() -> None:
        await drill.begin()
        await drill.made.scale("canary", 2)
        await drill.made.roll_to(RollTo("canary", 4), 0.0)
        assert drill.pods() == {"stable": 0, "canary": 4}
        await drill.made.scale("stable", 3)
        assert drill.pods() == {"stable": 3, "canary": 4}
        await drill.made.scale("canary", 1)
        assert drill.pods() == {"stable": 3, "canary": 1}

    run(work())


def test_rolling_to_what_is_there_leaves_the_pods_as_they_were_started(drill: Drill) -> None:
    async def work() -> None:
        await drill.begin()
        await ORDERS["roll to canary"](drill.made)
        before = drill.templates()
        drill.error["canary"] = 0.5
        await drill.made.roll_to(RollTo("canary", 7, max_surge="50%"), 1.0)
        assert drill.templates() == before
        (main,) = drill.api.store.all(DEPLOYMENT, NAMESPACE)
        assert main["spec"]["replicas"] == 7
        assert main["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == "50%"
        assert main["spec"]["minReadySeconds"] == 1

    run(work())


def test_new_pods_of_a_revision_bear_what_it_is_told_now(drill: Drill) -> None:
    async def work() -> None:
        await drill.begin()
        drill.error["canary"] = 0.5
        await drill.made.scale("canary", 2)
        assert drill.made.given["canary"]["ERROR_RATE"] == 0.5
        (container,) = drill.templates()["web-x1-canary"]["spec"]["containers"]
        assert {"name": "ERROR_RATE", "value": "0.5"} in container["env"]

    run(work())


def test_without_a_router_a_service_is_switched(api: ApiServer, kube: Kube) -> None:
    drill = Drill(api, kube, None)

    async def work() -> None:
        await drill.begin()
        assert drill.selected() == "stable"
        for weight, revision in ((1.0, "canary"), (0.3, None), (0.0, "stable"), (None, None)):
            await drill.made.weight(weight)
            assert drill.selected() == revision, weight
        assert api.store.all(HTTP_ROUTE) == []

    run(work())


def test_with_a_router_the_route_has_the_weights_and_only_they(drill: Drill) -> None:
    async def work() -> None:
        await drill.begin()
        for weight, found in (
            (0.25, {"stable": 750, "canary": 250}),
            (None, {"all": 1}),
            (1.0, {"stable": 0, "canary": 1000}),
        ):
            await drill.made.weight(weight)
            assert drill.weights() == found

    run(work())


@given(names=st.lists(st.sampled_from(sorted(ORDERS)), max_size=8), kills=st.sets(st.integers(0, 8), max_size=2))
@settings(max_examples=25)
def test_any_orders_with_kills_between_them_end_as_the_last_ones_say(names: list[str], kills: set[int]) -> None:
    with ApiServer(Store({NAMESPACE: {}})) as api, tempfile.TemporaryDirectory() as folder:
        drill = Drill(api, Kube(str(api.kubeconfig(Path(folder) / "kc"))))
        pods, weight = {"stable": 4, "canary": 0}, {"stable": 1000, "canary": 0}

        async def work() -> None:
            await drill.begin()
            for number, name in enumerate(names):
                if number in kills:
                    assert await drill.killed()
                await ORDERS[name](drill.made)
                match name:
                    case "scale stable":
                        pods["stable"] = 3
                    case "scale canary":
                        pods["canary"] = 2
                    case "canary to nothing":
                        pods["canary"] = 0
                    case "roll to canary":
                        pods.update(stable=0, canary=4)
                    case "roll to stable":
                        pods.update(stable=4, canary=0)
                    case _:
                        weight.clear()
                        weight.update({"some": {"stable": 750, "canary": 250}, "all": {"stable": 0, "canary": 1000},
                                       "none": {"stable": 1000, "canary": 0}, "by pods": {"all": 1}}[name])  # fmt: skip
                assert (drill.pods(), drill.weights()) == (pods, weight), (number, name)

        run(work())


# --- taking over -----------------------------------------------------------------------------------------------------


def test_a_harness_that_was_killed_before_all_was_there_is_no_help(api: ApiServer, kube: Kube) -> None:
    """Whatever was made before the kill: the next one sees that it is not all, makes the rest, and it is the same."""
    whole = Drill(api, kube)
    run(whole.begin())
    wanted = (whole.pods(), whole.weights(), api.store.names(NAMESPACE))
    writes = sum(each.writes for each in api.trouble.requests)
    for number in range(1, writes):
        with ApiServer(Store({NAMESPACE: {}}), token=api.token) as other:
            other.trouble.add(status=422, method="PATCH", after=number - 1, times=None)
            drill = Drill(other, _pointed_at(kube, other))
            with pytest.raises(WorldError, match="trouble on purpose"):
                run(drill.begin())
            other.trouble.clear()

            async def again(drill: Drill = drill) -> None:
                assert not await drill.killed()
                await drill.made.service(4)

            run(again())
            assert (drill.pods(), drill.weights(), other.store.names(NAMESPACE)) == wanted, number


def test_who_takes_over_knows_what_was_there(drill: Drill) -> None:
    async def work() -> None:
        drill.error.update(stable=0.25, canary=0.5)
        await drill.begin()
        await ORDERS["roll to canary"](drill.made)
        await drill.made.scale("stable", 1)
        before = drill.templates()
        drill.error.update(stable=0.0, canary=0.0)
        assert await drill.killed()
        assert drill.made.main == "canary"
        assert {revision: told["ERROR_RATE"] for revision, told in drill.made.given.items()} == {
            "stable": 0.25,
            "canary": 0.5,
        }
        for revision, replicas in itertools.product(("stable", "canary"), (2, 3)):
            await drill.made.scale(revision, replicas)  # type: ignore[arg-type]
            assert drill.pods()[revision] == replicas
        assert drill.templates() == before

    run(work())
