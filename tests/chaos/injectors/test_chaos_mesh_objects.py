"""Objects that drills left: found by label, paused, removed; what stays is told, and nothing else is touched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
import standin_rules as rules
from fake_kube import FakeKube
from standin_controller import StandIn

from chaos.cluster.kinds import CRD, NETWORK_CHAOS, POD_CHAOS, STRESS_CHAOS, Kind
from chaos.cluster.kube import ApiError, Object
from chaos.injectors import chaos_mesh_objects as objects
from chaos.injectors.chaos_mesh_status import status_of


class Bears:
    """An actor that counts."""

    def __init__(self) -> None:
        self.recovered: list[str] = []

    def apply(self, found: Object, id: str) -> None:
        pass

    def recover(self, found: Object, id: str) -> None:
        self.recovered.append(found["metadata"]["name"])


def fault(
    kube: FakeKube, name: str, kind: Kind = STRESS_CHAOS, *, expires: float = 4e9, drill: str = "d1", **spec: Any
) -> None:
    labels = {"rolloutlab/drill": drill, "rolloutlab/expires-at": str(round(expires))} if drill else {}
    selector = {"namespaces": ["shop"], "pods": {"shop": ["web-1"]}}
    body = {"metadata": {"name": name, "labels": labels}, "spec": {"selector": selector, "mode": "all", **spec}}
    kube.create(kind, body, "shop")


@pytest.fixture
def kube() -> FakeKube:
    made = FakeKube()
    made.pod("web-1", revision="canary")
    return made


def injected(kube: FakeKube) -> StandIn:
    """All objects in place."""
    standin = StandIn(kube, Bears())  # type: ignore[arg-type]
    for _ in range(12):
        standin.turn()
    return standin


def names(kube: FakeKube) -> list[str]:
    return sorted(
        each["metadata"]["name"] for kind in (STRESS_CHAOS, NETWORK_CHAOS, POD_CHAOS) for each in kube.of(kind)
    )


def test_one_drills_objects_go_and_all_others_stay(kube: FakeKube) -> None:
    fault(kube, "ours")
    fault(kube, "ours-too", NETWORK_CHAOS, action="partition")
    fault(kube, "another-drill", drill="d2")
    fault(kube, "a-users-own", drill="")
    standin = injected(kube)
    standin.start()
    left = asyncio.run(objects.remove(kube, "shop", drill="d1", seconds=20))  # type: ignore[arg-type]
    standin.stop()
    assert left == []
    assert names(kube) == ["a-users-own", "another-drill"]


def test_expired_ones_go_and_who_should_have_ended_them_is_told(kube: FakeKube) -> None:
    now = time.time()
    fault(kube, "just-over", expires=now - 5)
    fault(kube, "long-over", expires=now - 500)
    fault(kube, "killed", POD_CHAOS, expires=now - 500, action="pod-kill")
    fault(kube, "running", expires=now + 500)
    standin = injected(kube)
    standin.start()
    swept = asyncio.run(objects.sweep_expired(kube, "shop", seconds=20))  # type: ignore[arg-type]
    standin.stop()
    assert swept.left == []
    (late,) = swept.late
    assert late.startswith("StressChaos shop/long-over is there; web-1 under fault, 500 s after its time")
    assert names(kube) == ["running"]


def test_without_a_controller_what_expired_stays_and_is_told(kube: FakeKube) -> None:
    fault(kube, "over", expires=time.time() - 500)
    injected(kube)  # and then it died
    swept = asyncio.run(objects.sweep_expired(kube, "shop", seconds=0.3))  # type: ignore[arg-type]
    assert len(swept.left) == len(swept.late) == 1
    assert "StressChaos shop/over is deleted but held by its finalizer; web-1 under fault" in swept.left[0]
    assert names(kube) == ["over"]


def test_abort_pauses_before_it_deletes(kube: FakeKube) -> None:
    fault(kube, "a")
    fault(kube, "b", NETWORK_CHAOS, drill="d2", action="delay")
    fault(kube, "kill", POD_CHAOS, action="pod-kill")
    fault(kube, "a-users-own", drill="")
    paused: list[set[str]] = []
    bearing: list[set[str]] = []

    def watch(verb: str, body: Mapping[str, Any]) -> None:
        if verb == "delete":
            found = [each for each in kube.store.values() if each["metadata"].get("finalizers")]
            on = [each for each in found if each["metadata"]["annotations"].get(rules.PAUSE) == "true"]
            paused.append({each["metadata"]["name"] for each in on})
            bearing.append({each["metadata"]["name"] for each in found if status_of(each).bearers()})

    standin = injected(kube)
    kube.refuse = watch
    standin.start()
    assert asyncio.run(objects.abort_all(kube, "shop", seconds=20)) == []  # type: ignore[arg-type]
    standin.stop()
    assert paused[0] == {"a", "b", "kill"}
    assert bearing[0] == {"kill", "a-users-own"}  # a kill has no end
    assert names(kube) == ["a-users-own"]


def test_abort_ends_although_nobody_listens(kube: FakeKube) -> None:
    fault(kube, "a")
    injected(kube)
    began = time.monotonic()
    left = asyncio.run(objects.abort_all(kube, "shop", seconds=1))  # type: ignore[arg-type]
    assert len(left) == 1
    assert time.monotonic() - began < 30  # and not for ever


def test_kinds_that_are_not_served_or_not_allowed_are_passed_over(kube: FakeKube) -> None:
    fault(kube, "a")

    def refuse(verb: str, body: Mapping[str, Any]) -> None:
        if verb == "list" and body["kind"] == "NetworkChaos":
            raise ApiError(403, "forbidden")

    kube.refuse = refuse
    assert [each["metadata"]["name"] for _, each in objects.ours(kube, "shop")] == ["a"]  # type: ignore[arg-type]

    def down(verb: str, body: Mapping[str, Any]) -> None:
        raise ApiError(0, "not reached")

    kube.refuse = down
    with pytest.raises(ApiError, match="not reached"):
        objects.ours(kube, "shop")  # type: ignore[arg-type]


def test_who_injects_is_told_by_the_cluster(kube: FakeKube) -> None:
    assert objects.engine(kube) == "chaos-mesh"  # type: ignore[arg-type]
    crd = {"metadata": {"name": "networkchaos.chaos-mesh.org", "annotations": {"rolloutlab/engine": "stand-in"}}}
    kube.create(CRD, crd)
    assert objects.engine(kube) == "stand-in"  # type: ignore[arg-type]


def test_an_object_without_an_expiry_is_expired() -> None:
    assert objects.expires_at({"metadata": {}}) == 0
    assert objects.expires_at({"metadata": {"labels": {"rolloutlab/expires-at": "never"}}}) == 0
    assert objects.expires_at({"metadata": {"labels": {"rolloutlab/expires-at": "1800000000"}}}) == 1.8e9
