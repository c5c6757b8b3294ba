"""The stand-in writes what Chaos Mesh writes, in its order: sequences of states of one object, one a write.

Each row is what a reader of the object sees: desiredPhase, the conditions that are true, and of each record its phase
with how often it was injected and recovered. Source: the laws of Chaos Mesh 2.8.3 in `chaos_mesh_status`.
"""

from __future__ import annotations

import calendar
import re
import time
from typing import Any

import pytest
import standin_rules as rules
from fake_kube import FakeKube
from standin_controller import StandIn

from chaos.cluster.kinds import EVENT, NETWORK_CHAOS, POD, POD_CHAOS, STRESS_CHAOS, Kind
from chaos.cluster.kube import Object


class Scripted:
    """An actor that does as it is told: texts are failures, one for each try."""

    def __init__(self) -> None:
        self.applying: list[str] = []
        self.recovering: list[str] = []
        self.bears: set[str] = set()

    def apply(self, found: Object, id: str) -> None:
        if self.applying:
            raise rules.ApplyFailedError(self.applying.pop(0))
        self.bears.add(id)

    def recover(self, found: Object, id: str) -> None:
        if self.recovering:
            raise rules.ApplyFailedError(self.recovering.pop(0))
        self.bears.discard(id)


class Watched(FakeKube):
    """Takes down every state that an object was written in."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[str] = []

    def _write(self, key: tuple[str, str, str], found: Object) -> Object:
        made = super()._write(key, found)
        if key[0].endswith("chaos"):
            self.rows.append(row(made))
        return made


def row(found: Object) -> str:
    status = found.get("status", {})
    experiment = status.get("experiment", {})
    true = [each["type"] for each in status.get("conditions", ()) if each["status"] == "True"]
    records = [
        f"{each['id']} {each['phase']} {each['injectedCount']}/{each['recoveredCount']}"
        for each in experiment.get("containerRecords") or ()
    ]
    held = "held" if found["metadata"].get("finalizers") else "free"
    return " | ".join((held, experiment.get("desiredPhase", "-"), " ".join(true) or "-", *records))


def settle(kube: FakeKube, standin: StandIn) -> None:
    """Turn until nothing changes; retries come at once."""
    before = -1
    while before != kube._version:
        before = kube._version
        hurry(standin)
        standin.turn()


def hurry(standin: StandIn) -> None:
    """What waits for less than a second waits no more."""
    soon = time.monotonic() + 1
    standin._again = {uid: 0.0 if at < soon else at for uid, at in standin._again.items()}


def begin(kind: Kind, **spec: Any) -> tuple[Watched, Scripted, StandIn]:
    kube, actor = Watched(), Scripted()
    kube.pod("web-1", revision="canary")
    selector = {"namespaces": ["shop"], "pods": {"shop": ["web-1"]}}
    body = {"metadata": {"name": "x"}, "spec": {"selector": selector, "mode": "all", "duration": "60s", **spec}}
    kube.create(kind, body, "shop")
    standin = StandIn(kube, actor)  # type: ignore[arg-type]
    settle(kube, standin)
    return kube, actor, standin


def said(kube: FakeKube) -> list[str]:
    return [f"{each['type']} {each['reason']}: {each['message']}" for each in kube.of(EVENT)]


def test_a_delay_is_put_on_in_two_steps_and_taken_off_in_two() -> None:
    kube, actor, standin = begin(NETWORK_CHAOS, action="delay")
    assert kube.rows == [
        "free | - | -",
        "held | - | -",
        "held | Run | -",
        "held | Run | - | shop/web-1 Not Injected/Wait 0/0",
        "held | Run | Selected | shop/web-1 Not Injected/Wait 0/0",
        "held | Run | Selected | shop/web-1 Injected 1/0",
        "held | Run | Selected AllInjected | shop/web-1 Injected 1/0",
    ]
    assert actor.bears == {"shop/web-1"}
    del kube.rows[:]
    kube.delete(NETWORK_CHAOS, "x", "shop")
    settle(kube, standin)
    assert kube.rows == [
        "held | Run | Selected AllInjected | shop/web-1 Injected 1/0",
        "held | Stop | Selected AllInjected | shop/web-1 Injected 1/0",
        "held | Stop | Selected AllInjected | shop/web-1 Injected/Wait 1/0",
        "held | Stop | Selected | shop/web-1 Injected/Wait 1/0",
        "held | Stop | Selected | shop/web-1 Not Injected 1/1",
        "held | Stop | Selected AllRecovered | shop/web-1 Not Injected 1/1",
        "free | Stop | Selected AllRecovered | shop/web-1 Not Injected 1/1",
    ]
    assert not actor.bears
    assert kube.get(NETWORK_CHAOS, "x", "shop") is None
    assert "Normal Applied: Successfully apply chaos for shop/web-1" in said(kube)
    assert said(kube)[-1] == "Normal FinalizerInited: Finalizer has been removed"  # that is what it says


def test_what_was_never_injected_says_recovered() -> None:
    kube, actor = Watched(), Scripted()
    kube.pod("web-1")
    actor.applying = ["not yet"]
    spec = {"selector": {"pods": {"shop": ["web-1"]}}, "mode": "all"}
    kube.create(STRESS_CHAOS, {"metadata": {"name": "x"}, "spec": spec}, "shop")
    StandIn(kube, actor).turn()  # type: ignore[arg-type]
    assert kube.rows[-1] == "held | Run | Selected AllRecovered | shop/web-1/app Not Injected 0/0"


def test_who_selects_nobody_stays_so_and_is_not_asked_again() -> None:
    kube, actor, standin = begin(NETWORK_CHAOS, selector={"namespaces": ["shop"], "pods": {"shop": ["gone"]}})
    assert kube.rows[-1] == "held | Run | -"
    warned = [each for each in said(kube) if each.startswith("Warning")]
    assert set(warned) == {"Warning Failed: Failed to select targets: no pod is selected"}
    kube.pod("gone")
    settle(kube, standin)
    assert kube.rows[-1] == "held | Run | -"
    assert not actor.bears
    kube.delete(NETWORK_CHAOS, "x", "shop")
    settle(kube, standin)
    assert kube.get(NETWORK_CHAOS, "x", "shop") is None


@pytest.mark.parametrize("action", ["pod-kill", "container-kill"])
def test_a_kill_happens_once_and_runs_until_it_is_deleted(action: str) -> None:
    kube, actor, standin = begin(POD_CHAOS, action=action, duration="1s", containerNames=["app"])
    id = "shop/web-1" if action == "pod-kill" else "shop/web-1/app"
    assert kube.rows[-1] == f"held | Run | Selected AllInjected | {id} Injected 1/0"
    found = kube.get(POD_CHAOS, "x", "shop")
    assert found is not None
    assert rules.desired_phase(found, time.time() + 3600).changed is None  # its duration means nothing
    actor.recovering = ["there is nothing to recover"]
    kube.delete(POD_CHAOS, "x", "shop")
    settle(kube, standin)
    assert kube.get(POD_CHAOS, "x", "shop") is None


def test_a_duration_counts_from_creation_to_the_second() -> None:
    kube, _, _ = begin(STRESS_CHAOS, duration="1m30s")
    found = kube.get(STRESS_CHAOS, "x", "shop")
    assert found is not None
    stamp = found["metadata"]["creationTimestamp"]
    created = calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ"))
    early, late = rules.desired_phase(found, created + 89.5), rules.desired_phase(found, created + 90)
    assert early.changed is None
    assert early.again_seconds == pytest.approx(0.5)
    assert late.events == [("Normal", "TimeUp", "Time up according to the duration")]
    assert late.changed is not None
    assert row(late.changed).startswith("held | Stop")


def test_a_pause_takes_it_off_and_its_end_puts_it_on_again() -> None:
    kube, actor, standin = begin(STRESS_CHAOS)
    kube.patch(STRESS_CHAOS, "x", {"metadata": {"annotations": {rules.PAUSE: "true"}}}, "shop")
    settle(kube, standin)
    assert kube.rows[-1] == "held | Stop | Selected AllRecovered Paused | shop/web-1/app Not Injected 1/1"
    assert not actor.bears
    kube.patch(STRESS_CHAOS, "x", {"metadata": {"annotations": {rules.PAUSE: None}}}, "shop")
    settle(kube, standin)
    assert kube.rows[-1] == "held | Run | Selected AllInjected | shop/web-1/app Injected 2/1"


def test_what_fails_is_tried_again_and_holds_the_object_until_it_is_forced() -> None:
    kube, actor, standin = begin(STRESS_CHAOS)
    actor.recovering = [f"daemon away {n}" for n in range(8)]
    kube.delete(STRESS_CHAOS, "x", "shop")
    for _ in range(8):
        hurry(standin)
        standin.turn()
    found = kube.get(STRESS_CHAOS, "x", "shop")
    assert found is not None
    assert row(found) == "held | Stop | Selected AllInjected | shop/web-1/app Injected 1/0"
    events = found["status"]["experiment"]["containerRecords"][0]["events"]
    assert [each["type"] for each in events] == ["Failed"] * rules.MAX_EVENTS
    assert all(re.fullmatch(r"[0-9-]+T[0-9:]+Z", each["timestamp"]) for each in events)
    assert "Warning Failed: Failed to recover chaos: daemon away 3" in said(kube)
    actor.recovering = ["still away"] * 50
    kube.patch(STRESS_CHAOS, "x", {"metadata": {"annotations": {rules.FORCE: "forced"}}}, "shop")
    standin.turn()
    assert kube.get(STRESS_CHAOS, "x", "shop") is None
    assert actor.bears == {"shop/web-1/app"}  # the object is gone, and the fault is not


def test_peers_have_records_of_their_own() -> None:
    kube, _, _ = begin(
        NETWORK_CHAOS,
        action="partition",
        direction="both",
        target={
            "selector": {"namespaces": ["shop"], "labelSelectors": {"rolloutlab/revision": "canary"}},
            "mode": "all",
        },
    )
    found = kube.get(NETWORK_CHAOS, "x", "shop")
    assert found is not None
    keys = [each["selectorKey"] for each in found["status"]["experiment"]["containerRecords"]]
    assert keys == [".", ".Target"]


@pytest.mark.parametrize(
    ("mode", "value", "number"), [("all", None, 4), ("one", None, 1), ("fixed", "3", 3), ("fixed-percent", "60", 2)]
)
def test_how_many_pods_a_mode_takes(mode: str, value: str | None, number: int) -> None:
    kube, actor = FakeKube(), Scripted()
    for n in range(4):
        kube.pod(f"web-{n}", revision="canary")
    kube.pod("done", phase="Succeeded", revision="canary")
    kube.pod("other", revision="stable")
    labels = {"rolloutlab/revision": "canary"}
    selector = {"namespaces": ["shop"], "labelSelectors": labels, "podPhaseSelectors": ["Running"]}
    spec = {"selector": selector, "mode": mode, **({"value": value} if value else {})}
    kube.create(STRESS_CHAOS, {"metadata": {"name": "x"}, "spec": spec}, "shop")
    settle(kube, StandIn(kube, actor))  # type: ignore[arg-type]
    assert len(actor.bears) == number
    assert all(id.startswith("shop/web-") for id in actor.bears)
    assert len(kube.of(POD)) == 6
