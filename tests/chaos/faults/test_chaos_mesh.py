"""Manifests of Chaos Mesh: what is built fits the CRD, what would be refused is refused before it is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from chaos_mesh_objects import DRILL, NAMESPACE, identities, objects
from crd_schema import schema_of, wrong
from hypothesis import given
from hypothesis import strategies as st

from chaos.faults.chaos_mesh import (
    Bandwidth,
    Chaos,
    Cpu,
    Delay,
    HTTPChaos,
    Identity,
    Memory,
    Mode,
    NetworkChaos,
    Partition,
    Passthrough,
    Patch,
    PodChaos,
    Reorder,
    Replace,
    Schedule,
    Selector,
    Share,
    StressChaos,
    Target,
    manifest,
)
from chaos.faults.chaos_mesh.values import duration_text, percent_text

PODS = Target(Selector(namespace=NAMESPACE, pods=("web-1", "web-2")))
CANARY = Target(Selector(namespace=NAMESPACE, labels={"rolloutlab/revision": "canary"}), Mode("fixed", 2))
ELSEWHERE = Target(Selector(namespace="kube-system", labels={"k8s-app": "kube-dns"}))
JOB = {"apiVersion": "batch/v1", "kind": "Job", "name": "drill", "uid": "6c1f"}


def identity(**more: Any) -> Identity:
    return Identity(**{"name": "rl-1", "namespace": NAMESPACE, "drill": DRILL, "expires_at": 1_800_000_000.4, **more})


def delay(**more: Any) -> NetworkChaos:
    return NetworkChaos(**{"action": Delay(0.25), "target": PODS, "duration_seconds": 90, **more})


def http(**more: Any) -> HTTPChaos:
    return HTTPChaos(**{"side": "Request", "port": 8080, "target": PODS, "duration_seconds": 60, "abort": True, **more})


# --- what is built ------------------------------------------------------------------------------------------------


@given(objects, identities)
def test_whatever_is_built_fits_the_schema_of_its_kind(chaos: Chaos, who: Identity) -> None:
    made = manifest(chaos, who)
    plural = chaos.kind.plural
    assert not wrong(made["spec"], schema_of(plural)["properties"]["spec"], "spec")


def test_the_schema_check_finds_what_is_wrong() -> None:
    schema = schema_of("networkchaos")["properties"]["spec"]
    spec = manifest(delay(), identity())["spec"]
    assert not wrong(spec, schema)
    for change, complaint in (
        ({"action": "delays"}, "none of"),
        ({"delay": {"latency": "1m30s"}}, "does not match"),
        ({"delay": {}}, "lacks latency"),
        ({"bandwidth": {"rate": "1bps", "limit": 0, "buffer": 2**31}}, "is not in"),
        ({"directions": "to"}, "no field"),
        ({"selector": {"pods": {"shop": "web-1"}}}, "is no array"),
    ):
        assert complaint in " ".join(wrong({**spec, **change}, schema)), change


@given(objects, identities)
def test_every_object_says_whose_it_is_when_it_ends_and_whom_it_hits(chaos: Chaos, who: Identity) -> None:
    made = manifest(chaos, who)
    assert json.loads(json.dumps(made)) == made  # plain data
    labels = made["metadata"]["labels"]
    assert labels == {"rolloutlab/drill": DRILL, "rolloutlab/expires-at": str(round(who.expires_at))}
    assert made["metadata"].get("ownerReferences", []) == list(who.owners)
    spec = next((each for key, each in made["spec"].items() if key.endswith("Chaos")), made["spec"])
    assert re.fullmatch(r"[0-9]+(us|ms|s)", spec["duration"])
    assert spec["duration"] != "0ms"
    assert spec["selector"]["namespaces"] == [NAMESPACE]
    assert spec["selector"]["podPhaseSelectors"] == ["Running"]


def test_a_delay_as_it_is_sent() -> None:
    chaos = delay(action=Delay(0.1, 0.02, 0.25, Reorder(0.5, 5, 0.5)), target=CANARY)
    made = manifest(chaos, identity(owners=(JOB,), annotations={"rolloutlab/fault": "0"}))
    assert made == {
        "apiVersion": "chaos-mesh.org/v1alpha1",
        "kind": "NetworkChaos",
        "metadata": {
            "name": "rl-1",
            "namespace": "shop",
            "labels": {"rolloutlab/drill": DRILL, "rolloutlab/expires-at": "1800000000"},
            "annotations": {"rolloutlab/fault": "0"},
            "ownerReferences": [JOB],
        },
        "spec": {
            "action": "delay",
            "delay": {
                "latency": "100ms",
                "jitter": "20ms",
                "correlation": "25",
                "reorder": {"reorder": "50", "correlation": "50", "gap": 5},
            },
            "direction": "to",
            "selector": {
                "namespaces": ["shop"],
                "podPhaseSelectors": ["Running"],
                "labelSelectors": {"rolloutlab/revision": "canary"},
            },
            "mode": "fixed",
            "value": "2",
            "duration": "90s",
        },
    }


def test_the_schema_check_knows_bounds_that_are_excluded() -> None:
    schema = schema_of("schedules")["properties"]["spec"]
    spec = Schedule(cron="@hourly", item=delay(), starting_deadline_seconds=1).spec()
    assert not wrong(spec, schema)
    assert wrong({**spec, "startingDeadlineSeconds": 0}, schema) == [
        ".startingDeadlineSeconds: 0 is not in 1..9223372036854775807"
    ]


def _says(chaos: Chaos, **fields: Any) -> None:
    spec = chaos.spec()
    assert {name: spec.get(name) for name in fields} == fields


def test_each_action_has_its_field() -> None:
    _says(delay(action=Share("loss", 0.3)), action="loss", loss={"loss": "30", "correlation": "0"})
    _says(delay(action=Share("corrupt", 0.001, 1)), action="corrupt", corrupt={"corrupt": "0.1", "correlation": "100"})
    _says(delay(action=Share("duplicate", 1)), action="duplicate", duplicate={"duplicate": "100", "correlation": "0"})
    _says(delay(action=Partition(), direction="both"), action="partition", direction="both", target=None)
    rate = {"rate": "1000bps", "limit": 5, "buffer": 7}
    _says(delay(action=Bandwidth(1000, 5, 7)), action="bandwidth", bandwidth=rate)
    _says(delay(direction="from", peers=CANARY), direction="from", target=CANARY.spec())
    _says(delay(external=("192.0.2.1",), device="eth0"), externalTargets=["192.0.2.1"], device="eth0")
    _says(http(abort=False, replace=Replace(body=b"no")), abort=None, replace={"body": "bm8="}, target="Request")
    _says(http(side="Response", code=200, replace=Replace(code=503)), code=200, replace={"code": 503})
    patch = Patch(body={"a": 1}, headers=(("x", "1"), ("x", "2")))
    _says(http(patch=patch), patch={"body": {"type": "JSON", "value": '{"a": 1}'}, "headers": [["x", "1"], ["x", "2"]]})
    _says(http(delay_seconds=2, path="/api/*", method="GET"), delay="2s", path="/api/*", method="GET", abort=True)
    kill = PodChaos(action="pod-kill", target=PODS, duration_seconds=5)
    _says(kill, action="pod-kill", gracePeriod=0, containerNames=None)
    crash = PodChaos(action="container-kill", target=PODS, duration_seconds=5, containers=("app",))
    _says(crash, gracePeriod=None, containerNames=["app"])
    cpu = StressChaos(target=PODS, duration_seconds=5, cpu=Cpu(4, 0.8))
    _says(cpu, stressors={"cpu": {"workers": 4, "load": 80}}, containerNames=None)
    memory = {"memory": {"workers": 1, "size": "67108864B", "oomScoreAdj": 0}}
    _says(StressChaos(target=PODS, duration_seconds=5, memory=Memory(64), containers=("app",)), stressors=memory)
    schedule = Schedule(cron="@every 10m", item=cpu)
    _says(schedule, type="StressChaos", stressChaos=cpu.spec(), concurrencyPolicy="Forbid", historyLimit=1)
    _says(Schedule(cron="0 1 * * *", item=http()), type="HTTPChaos", httpChaos=http().spec())


def test_a_fault_can_be_aimed_anew_and_is_else_the_same() -> None:
    for chaos in (delay(), http(), StressChaos(target=PODS, duration_seconds=5, cpu=Cpu(1))):
        there = chaos.aimed(CANARY, 7)
        assert there.spec() == {**without_target(chaos.spec()), **CANARY.spec(), "duration": "7s"}
        assert there.aimed(PODS, chaos.duration_seconds) == chaos
    schedule = Schedule(cron="@hourly", item=delay())
    assert schedule.aimed(CANARY, 7).item == delay().aimed(CANARY, 7)
    other = Passthrough(name="IOChaos", fields={"action": "latency"}, target=PODS, duration_seconds=5)
    assert other.aimed(CANARY, 7).spec() == {"action": "latency", **CANARY.spec(), "duration": "7s"}


def without_target(spec: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key not in ("selector", "mode", "value", "duration")}


def test_what_ends_a_fault_in_a_pod() -> None:
    killed = {"action": "pod-kill"}
    assert delay().bound == "pod"
    assert http().bound == "container"
    assert StressChaos(target=PODS, duration_seconds=5, cpu=Cpu(1)).bound == "container"
    assert PodChaos(action="pod-failure", target=PODS, duration_seconds=5).bound == "pod"
    assert PodChaos(action="pod-kill", target=PODS, duration_seconds=5).bound == "once"
    assert Passthrough(name="PodChaos", fields=killed, target=PODS, duration_seconds=5).bound == "once"
    assert Passthrough(name="TimeChaos", fields={}, target=PODS, duration_seconds=5).bound == "container"


# --- text of values -----------------------------------------------------------------------------------------------

_UNITS = {"us": 1, "ms": 1000, "s": 1_000_000}


@given(st.integers(0, 86_400_000_000))
def test_a_duration_is_exact_to_the_microsecond(micros: int) -> None:
    number, unit = re.fullmatch(r"([0-9]+)(us|ms|s)", duration_text(micros / 1e6)).groups()  # type: ignore[union-attr]
    assert int(number) * _UNITS[unit] == micros


@given(st.floats(0, 1))
def test_a_percentage_is_a_plain_number_near_the_share(share: float) -> None:
    text = percent_text(share)
    assert re.fullmatch(r"[0-9]+(\.[0-9]*[1-9])?", text)
    assert abs(float(text) - 100 * share) <= 5.1e-7


# --- what is refused ----------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no pods": (lambda: Selector(namespace="shop"), "needs labels or the names of pods"),
    "labels and pods": (lambda: Selector(namespace="shop", labels={"a": "b"}, pods=("c",)), "and not both"),
    "namespace": (lambda: Selector(namespace="", pods=("c",)), "selector.namespace must be a name"),
    "pod twice": (lambda: Selector(namespace="shop", pods=("c", "c")), "names a pod twice"),
    "label": (lambda: Selector(namespace="shop", labels={"a": "b c"}), "is no label"),
    "mode": (lambda: Mode("some"), "known: all, fixed"),  # type: ignore[arg-type]
    "value of all": (lambda: Mode("all", 3), "mode all takes no value, got 3"),
    "no value": (lambda: Mode("fixed"), "mode fixed needs a value"),
    "fixed 0": (lambda: Mode("fixed", 0), "value of mode fixed must be 1 or more, got 0"),
    "101 per cent": (lambda: Mode("fixed-percent", 101), "at most 100, got 101"),
    "for ever": (lambda: delay(duration_seconds=0), "duration_seconds must be above 0"),
    "too long": (lambda: delay(duration_seconds=86_401), "at most 86400"),
    "not a number": (lambda: delay(duration_seconds=float("nan")), "duration_seconds must be above 0"),
    "no delay": (lambda: Delay(0), "delay seconds must be above 0"),
    "tiny delay": (lambda: Delay(1e-9), "less than a microsecond"),
    "jitter": (lambda: Delay(1, -1), "jitter_seconds must be 0 or more"),
    "correlation": (lambda: Delay(1, 0, 25), "delay correlation must be 0 or more and at most 1, got 25"),
    "gap": (lambda: Reorder(0.5, 0), "reorder.gap must be 1 or more"),
    "loss 0": (lambda: Share("loss", 0), "loss share must be above 0"),
    "loss 30": (lambda: Share("loss", 30), "at most 1, got 30"),
    "share of what": (lambda: Share("delay", 0.5), "known: corrupt, duplicate, loss"),  # type: ignore[arg-type]
    "rate": (lambda: Bandwidth(0), "bytes_per_second must be 1 or more"),
    "direction": (lambda: delay(direction="out"), "known: both, from, to"),
    "from anybody": (lambda: delay(direction="from"), "needs peers"),
    "external both": (
        lambda: delay(direction="both", peers=PODS, external=("192.0.2.1",)),
        "only be had with direction 'to'",
    ),
    "external empty": (lambda: delay(external=("",)), "external must hold addresses"),
    "http nothing": (lambda: http(abort=False), "does nothing"),
    "http port": (lambda: http(port=0), "port must be 1 or more and at most 65535, got 0"),
    "http method": (lambda: http(method="GETS"), "unknown 'GETS'"),
    "http side": (lambda: http(side="Both"), "known: Request, Response"),
    "code of request": (lambda: http(code=200), "with side 'Request' there is none yet"),
    "replace code of request": (lambda: http(replace=Replace(code=503)), "side must be 'Response'"),
    "path of response": (lambda: http(side="Response", replace=Replace(path="/")), "side must be 'Request'"),
    "query of response": (lambda: http(side="Response", patch=Patch(queries=(("a", "b"),))), "side must be 'Request'"),
    "replace nothing": (lambda: Replace(), "replaces nothing"),
    "empty body": (lambda: Replace(body=b""), "replace.body cannot be empty"),
    "patch nothing": (lambda: Patch(), "adds nothing"),
    "status": (lambda: Replace(code=99), "replace.code must be 100 or more and at most 599"),
    "stress nothing": (lambda: StressChaos(target=PODS, duration_seconds=5), "stresses nothing"),
    "workers": (lambda: Cpu(9000), "at most 8192"),
    "load": (lambda: Cpu(1, 80), "cpu load must be 0 or more and at most 1, got 80"),
    "memory": (lambda: Memory(0), "memory mib must be above 0"),
    "kill what": (lambda: PodChaos(action="container-kill", target=PODS, duration_seconds=5), "containers are named"),
    "kill all": (
        lambda: PodChaos(action="pod-kill", target=PODS, duration_seconds=5, containers=("app",)),
        "for container-kill and for nothing else",
    ),
    "grace": (
        lambda: PodChaos(action="pod-failure", target=PODS, duration_seconds=5, grace_seconds=3),
        "is of pod-kill",
    ),
    "action": (lambda: PodChaos(action="kill", target=PODS, duration_seconds=5), "known: container-kill"),  # type: ignore[arg-type]
    "cloud": (lambda: Passthrough(name="AWSChaos", fields={}, target=PODS, duration_seconds=5), "known: BlockChaos"),
    "own selector": (
        lambda: Passthrough(name="IOChaos", fields={"selector": {}}, target=PODS, duration_seconds=5),
        "selector is set by the drill",
    ),
    "history": (lambda: Schedule(cron="@hourly", item=delay(), history_limit=0), "history_limit must be 1 or more"),
    "late": (
        lambda: Schedule(cron="@hourly", item=delay(), starting_deadline_seconds=0),
        "starting_deadline_seconds must be 1 or more",
    ),
    "nested": (lambda: Schedule(cron="@hourly", item=Schedule(cron="@hourly", item=delay())), "not a thing"),
    "policy": (lambda: Schedule(cron="@hourly", item=delay(), concurrency="Replace"), "known: Allow, Forbid"),  # type: ignore[arg-type]
    "no drill": (lambda: identity(drill=""), "needs the drill's id"),
    "drill name": (lambda: identity(drill="a/b"), "is no label"),
    "object name": (lambda: identity(name="RL_1"), "name must be a name of Kubernetes"),
    "never expires": (lambda: identity(expires_at=0), "time at which it expires"),
    "owner": (lambda: identity(owners=({"kind": "Job"},)), "lacks apiVersion, name, uid"),
    "other namespace": (lambda: manifest(delay(target=ELSEWHERE), identity()), "reaches into kube-system"),
    "other peers": (lambda: manifest(delay(peers=ELSEWHERE), identity()), "reaches into kube-system"),
    "scheduled elsewhere": (
        lambda: manifest(Schedule(cron="@hourly", item=delay(target=ELSEWHERE)), identity()),
        "reaches into kube-system",
    ),
    "hidden elsewhere": (
        lambda: manifest(
            Passthrough(
                name="NetworkChaos",
                fields={
                    "action": "partition",
                    "target": {"selector": {"namespaces": ["shop"], "pods": {"bank": ["a"]}}},
                },
                target=PODS,
                duration_seconds=5,
            ),
            identity(),
        ),
        "reaches into bank",
    ),
    "hidden everywhere": (
        lambda: manifest(
            Passthrough(
                name="NetworkChaos",
                fields={"action": "partition", "target": {"selector": {"labelSelectors": {"a": "b"}}}},
                target=PODS,
                duration_seconds=5,
            ),
            identity(),
        ),
        "must name its namespaces",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_server_would_refuse_or_misread_is_refused_here(case: str) -> None:
    build, text = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        build()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cron", "text"),
    [
        ("* * * *", "expected five fields"),
        ("* * * * * * *", "expected five fields"),
        ("@sometimes", "@every 10m"),
        ("@every", "@every 10m"),
        ("@every 10", "@every 10m"),
        ("60 * * * *", "minute must lie in 0..59, got '60'"),
        ("* 24 * * *", "hour must lie in 0..23"),
        ("* * 0 * *", "day of the month must lie in 1..31"),
        ("* * * 13 *", "month must lie in 1..12"),
        ("* * * * 7", "day of the week must lie in 0..6"),
        ("* * * * mo", "day of the week must lie in 0..6, got 'mo'"),
        ("*/0 * * * *", "minute must lie in 0..59, got '*/0'"),
        ("9-3 * * * *", "minute '9-3' ends before it begins"),
        ("1,,2 * * * *", "'' is no minute"),
        ("- * * * *", "'-' is no minute"),
        ("٣ * * * *", "minute must lie"),
        ("", "expected five fields"),
    ],
)
def test_a_cron_expression_that_is_none_is_refused_with_its_field(cron: str, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        Schedule(cron=cron, item=delay())
