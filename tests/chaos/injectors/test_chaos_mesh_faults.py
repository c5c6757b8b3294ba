"""Which fault of a drill becomes which object of Chaos Mesh, and which is refused with who can do it."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from fake_kube import FakeKube

from chaos.cluster.pod import Pod
from chaos.faults.node import NODE_FAULTS, NodeFault
from chaos.faults.plan import FaultPlan, ProcessFault
from chaos.injectors.chaos_mesh_faults import CAN, Around, injector_of, of_node, of_scenario
from chaos.injectors.chaos_mesh_ledger import Place
from chaos.world import WorldError
from scenarios.schema import (
    CrashLoopFault,
    ErrorRatioFault,
    Fault,
    LatencyFault,
    MemoryLeakFault,
    NeverReadyFault,
    Outage,
    PoolLeakFault,
    SlowStartFault,
)

AROUND = Around(namespace="shop", speed=10.0, port=8080)
SCENARIO: dict[str, Any] = {
    "error_ratio": ErrorRatioFault(kind="error_ratio", ratio=0.5),
    "added_latency": LatencyFault(kind="added_latency", add=0.4),
    "crash_loop": CrashLoopFault(kind="crash_loop"),
    "never_ready": NeverReadyFault(kind="never_ready"),
    "slow_start": SlowStartFault(kind="slow_start", add=5),
    "memory_leak": MemoryLeakFault(kind="memory_leak", mibPerMinute=5),
    "pool_leak": PoolLeakFault(kind="pool_leak", perRequest=0.1),
    "kill": ProcessFault(kind="kill", replicas=2),
    "hang": ProcessFault(kind="hang"),
    "refuse": ProcessFault(kind="refuse"),
    "blind": Outage.model_validate({"from": 1, "for": 2}),
}
NODE: dict[str, NodeFault] = {
    "pod_kill": NodeFault(kind="pod_kill", replicas=1),
    "container_kill": NodeFault(kind="container_kill"),
    "pod_failure": NodeFault(kind="pod_failure"),
    "freeze": NodeFault(kind="freeze"),
    "partition": NodeFault(kind="partition", on="both"),
    "packet_delay": NodeFault(kind="packet_delay", latency_seconds=0.2, jitter_seconds=0.05, for_seconds=50),
    "packet_loss": NodeFault(kind="packet_loss", loss_ratio=0.3),
    "http_delay": NodeFault(kind="http_delay", latency_seconds=2),
    "http_abort": NodeFault(kind="http_abort", share=1, status=500),
    "cpu_stress": NodeFault(kind="cpu_stress", workers=4),
    "memory_stress": NodeFault(kind="memory_stress", mib=64),
    "bandwidth": NodeFault(kind="bandwidth", rate_kbit_per_second=64),
}


def plan(kind: str, **more: Any) -> FaultPlan:
    facts = {"number": 3, "revisions": ("canary",), "from_seconds": 0.0, "from_weight": None, "for_seconds": None}
    fault = more.pop("fault", SCENARIO[kind])
    return FaultPlan(
        kind=kind, fault=fault, severity=more.pop("severity", 1.0), engine="application", **{**facts, **more}
    )


def test_every_kind_of_fault_is_tried_here() -> None:
    kinds = {each.model_fields["kind"].annotation for each in get_args(get_args(Fault)[0])}
    words = {word for kind in kinds for word in get_args(kind)}
    assert words <= SCENARIO.keys()
    assert set(get_args(ProcessFault.__annotations__["kind"]) or ("kill", "hang", "refuse")) <= SCENARIO.keys()
    assert set(NODE_FAULTS) == NODE.keys()


@pytest.mark.parametrize(
    ("fault", "fields"),
    [
        ("pod_kill", {"action": "pod-kill", "gracePeriod": 0}),
        ("container_kill", {"action": "container-kill", "containerNames": ["app"]}),
        ("pod_failure", {"action": "pod-failure"}),
        ("partition", {"action": "partition", "direction": "both"}),
        ("packet_delay", {"delay": {"latency": "200ms", "jitter": "50ms", "correlation": "0"}, "direction": "to"}),
        ("packet_loss", {"loss": {"loss": "30", "correlation": "0"}}),
        ("http_delay", {"delay": "2s", "port": 8080, "target": "Request"}),
        ("http_abort", {"replace": {"code": 500}, "target": "Response"}),
        ("cpu_stress", {"stressors": {"cpu": {"workers": 4, "load": 100}}, "containerNames": ["app"]}),
        ("memory_stress", {"stressors": {"memory": {"workers": 1, "size": "67108864B", "oomScoreAdj": 0}}}),
        ("bandwidth", {"bandwidth": {"rate": "8000bps", "limit": 100_000, "buffer": 10_000}}),
    ],
)
def test_a_fault_from_the_side_of_the_node(fault: str, fields: dict[str, Any]) -> None:
    made = of_node(NODE[fault], 5, AROUND)
    spec = made.chaos.spec()
    assert {name: spec.get(name) for name in fields} == fields
    assert (made.number, made.kind, made.revisions) == (5, fault, NODE[fault].revisions)
    assert made.replicas == NODE[fault].replicas
    assert fault in CAN


def test_times_of_a_scenario_become_real_ones() -> None:
    assert of_node(NODE["packet_delay"], 0, AROUND).for_seconds == 5.0
    assert of_scenario(plan("added_latency", for_seconds=30.0), AROUND).for_seconds == 3.0
    assert of_scenario(plan("added_latency"), AROUND).for_seconds is None


def test_an_added_latency_is_a_delay_of_packets_of_its_severity() -> None:
    made = of_scenario(plan("added_latency", severity=2.0), AROUND)
    assert made.chaos.spec()["delay"]["latency"] == "800ms"
    assert made.notes == ("a request over a new connection is late by about twice the delay",)
    assert made.number == 3


def test_a_killed_process_is_a_killed_container_of_so_many_pods() -> None:
    made = of_scenario(plan("kill"), AROUND)
    assert made.chaos.spec()["action"] == "container-kill"
    assert made.replicas == 2


def test_errors_can_be_had_of_all_requests_only() -> None:
    made = of_scenario(plan("error_ratio", severity=2.0), AROUND)
    assert made.chaos.spec()["replace"] == {"code": 503}
    assert "every request to port 8080 is hit, probes too" in made.notes[0]


REFUSED = {
    "error_ratio": "not a share of 0.5; the knobs of our application can, or the native injectors (http_abort)",
    "crash_loop": "a container-kill happens once; the knobs of our application can",
    "never_ready": "the knobs of our application can",
    "slow_start": "the knobs of our application can",
    "memory_leak": "StressChaos holds a fixed size",
    "pool_leak": "the knobs of our application can",
    "hang": "the native injectors can (freeze)",
    "refuse": "a partition is silent and refuses nothing",
    "blind": "our own scraper can stop scraping",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_it_cannot_do_is_refused_by_name_with_who_can(kind: str) -> None:
    with pytest.raises(WorldError) as caught:
        of_scenario(plan(kind), AROUND)
    assert str(caught.value).startswith(f"Chaos Mesh cannot do {kind}: ")
    assert REFUSED[kind] in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (NodeFault(kind="freeze"), "cannot do freeze: the native injectors can"),
        (NodeFault(kind="http_abort", share=0.5), "a share of 0.5 of the requests; the native injectors can"),
        (
            NodeFault(kind="http_delay", latency_seconds=1, jitter_seconds=0.5, exempt_paths=("/readyz",)),
            "no way for a jitter and exempt paths (/readyz)",
        ),
    ],
)
def test_what_it_cannot_do_from_the_side_of_the_node(fault: NodeFault, text: str) -> None:
    with pytest.raises(WorldError) as caught:
        of_node(fault, 0, AROUND)
    assert text in str(caught.value)


def test_a_share_of_delayed_requests_is_refused() -> None:
    some = LatencyFault(kind="added_latency", add=0.4, share=0.25)
    with pytest.raises(WorldError, match="not a share of 0.25"):
        of_scenario(plan("added_latency", fault=some), AROUND)


def test_an_injector_says_what_it_will_do_before_it_does_anything() -> None:
    pods = [
        Pod(name="web-1", namespace="shop", uid="1", revision="canary", running=True, ready=True),
        Pod(name="web-2", namespace="shop", uid="2", revision="canary", running=True, ready=True),
        Pod(name="old-1", namespace="shop", uid="3", revision="stable", running=True, ready=True),
    ]
    place = Place(kube=FakeKube(), namespace="shop", drill="d1", expires_at=4e9)  # type: ignore[arg-type]
    killing = injector_of(NODE["pod_kill"], 4, AROUND, place, lambda: pods)
    plan_of_kill = killing.plan()
    assert (plan_of_kill.engine, plan_of_kill.revisions, plan_of_kill.pods) == ("chaos-mesh", ("canary",), ("web-1",))
    assert plan_of_kill.what == "pod_kill by PodChaos: action=pod-kill, gracePeriod=0"
    late = injector_of(plan("added_latency"), 0, AROUND, place, lambda: pods).plan()
    assert late.pods == ("web-1", "web-2")
    assert late.what.endswith("a request over a new connection is late by about twice the delay")
    assert killing.capabilities() == CAN
    with pytest.raises(WorldError, match="Chaos Mesh cannot do freeze"):
        injector_of(NODE["freeze"], 0, AROUND, place, lambda: pods)
