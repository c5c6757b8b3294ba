"""The manifests of a drill are such as a real API server takes, for every scenario; and the application understands them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.app import settings as app
from chaos.app_settings import told
from chaos.cluster import objects
from chaos.cluster.objects import Drilled, meddled
from chaos.cluster.site import object_name
from chaos.cluster.testing.refusing import problems
from chaos.faults.knobs import Circumstances, base
from chaos.local.runs import Run
from scenarios.schema import Scenario

RUN = "20250131T235959-0123abcd"
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1-2-3", "blockOwnerDeletion": False}
SURGES: list[dict[str, Any]] = [{"maxSurge": "25%", "maxUnavailable": 0}, {"maxSurge": 0, "maxUnavailable": "10%"}]


def drilled(service: str = "service", speed: float = 1.0, **more: Any) -> Drilled:
    given = {
        "id": RUN.lower(),
        "name": object_name(service, Run(Path(RUN))),
        "namespace": "drills",
        "image": "an/image:1",
    }
    return Drilled(**{**given, "speed": speed, "expires": 2_000_000_000, "owner": OWNER, **more})


def scenario(**service: Any) -> Scenario:
    return Scenario.model_validate(
        {"apiVersion": "rolloutlab/v1", "service": service, "strategies": {"rolling": {"rollingUpdate": {}}}}
    )


def everything(of: Drilled, about: Scenario) -> Iterator[dict[str, Any]]:
    """All objects that a drill may make."""
    yield objects.anchor(of, {"service": about.service.name})
    given_settings = {**told(about, speed=of.speed, seed=1), "APP_REVISION": "stable"}
    for part in ("main", "canary"):
        for pace in (None, *(objects.pace(each, 12.5) for each in SURGES)):
            body = objects.deployment(
                of, part, about, replicas=3, revision="canary", settings=given_settings, pace=pace
            )
            yield {"kind": "Deployment", **body}
    for revision in ("stable", "canary", None):
        yield {"kind": "Service", **objects.service(of, revision)}
    for weights in ({"all": 1}, objects.weights(0.3)):
        yield {"kind": "HTTPRoute", **objects.route(of, ("traefik", "gateway"), weights)}


def assert_taken(of: Drilled, about: Scenario) -> None:
    for found in everything(of, about):
        assert problems(found["kind"], found) == [], found["metadata"]["name"]
        assert len(found["metadata"]["name"]) + len("-0123456789-abcde") <= 63, "pods have their own suffix"
        assert found["metadata"]["labels"][objects.DRILL] == of.id
        if found["kind"] != "ConfigMap":
            assert found["metadata"]["ownerReferences"] == [OWNER]


# --- names -----------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.text(max_size=80))
def test_every_name_of_a_service_gives_names_that_kubernetes_takes(name: str) -> None:
    of = drilled(name)
    assert of.name.endswith("-0123abcd"), "what tells runs apart"
    assert_taken(of, scenario())


@pytest.mark.parametrize(
    ("service", "begins"),
    [
        ("checkout", "checkout-0123abcd"),
        ("Check_Out.v2", "check-out-v2-0123abcd"),
        ("2nd", "service-2nd-0123abcd"),
        ("", "service-0123abcd"),
        ("--", "service-0123abcd"),
        ("ß" * 40, "service-0123abcd"),
        ("a" * 29 + "--b", "a" * 29 + "-0123abcd"),
        ("9" * 60, "service-" + "9" * 22 + "-0123abcd"),
    ],
)  # fmt: skip
def test_names(service: str, begins: str) -> None:
    assert object_name(service, Run(Path(RUN))) == begins


def test_two_runs_of_a_service_share_no_name() -> None:
    names = [
        {each["metadata"]["name"] for each in everything(drilled(name=name), scenario())} for name in ("a-1", "a-2")
    ]
    assert not names[0] & names[1]


# --- pods ------------------------------------------------------------------------------------------------------------

PROBE = {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 2, "initialDelaySeconds": 3}


@settings(max_examples=30)
@given(
    speed=st.sampled_from([0.1, 1.0, 7.0, 900.0]),
    pre_stop=st.sampled_from([0.0, 0.2, 5.0, 29.5, 45.0, 600.0]),
    grace=st.sampled_from([0.0, 0.5, 1.0, 29.9, 30.0]),
    limit=st.sampled_from([65.5, 512.0, 4096.0]),
)
def test_pods_of_any_scenario_are_taken(speed: float, pre_stop: float, grace: float, limit: float) -> None:
    about = scenario(
        probes={"readiness": {**PROBE, "successThreshold": 3}, "liveness": PROBE, "startup": PROBE},
        shutdown={"preStop": f"{pre_stop}s", "terminationGracePeriod": f"{grace}s"},
        resources={"memoryBase": "64Mi", "memoryLimit": f"{limit}Mi"},
    )
    assert_taken(drilled(speed=speed), about)


def test_a_pod_gets_what_the_scenario_says() -> None:
    about = scenario(
        probes={"readiness": {**PROBE, "periodSeconds": 20}, "liveness": None},
        shutdown={"preStop": "7s", "terminationGracePeriod": "21s"},
        resources={"memoryBase": "64Mi", "memoryLimit": "100Mi"},
    )
    template = objects.template(drilled(speed=10.0), "main", about, revision="canary", settings={})
    (container,) = template["spec"]["containers"]
    assert container["readinessProbe"]["periodSeconds"] == 2, "in real seconds"
    assert container["readinessProbe"]["initialDelaySeconds"] == 0
    assert container["readinessProbe"]["failureThreshold"] == 2
    assert "livenessProbe" not in container
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == 7
    assert template["spec"]["terminationGracePeriodSeconds"] == 21
    assert container["resources"]["limits"]["memory"] == "164Mi"
    assert template["metadata"]["labels"][objects.REVISION] == "canary"
    assert template["spec"]["automountServiceAccountToken"] is False, "the application has no say in the cluster"


def test_a_probe_that_would_be_every_tenth_of_a_second_is_every_second() -> None:
    about = scenario(probes={"readiness": PROBE})
    template = objects.template(drilled(speed=100.0), "main", about, revision="stable", settings={})
    assert template["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] == 1


# --- settings --------------------------------------------------------------------------------------------------------


def environment(template: dict[str, Any]) -> dict[str, str]:
    """As the kubelet gives it to the process."""
    own = {"metadata.name": "pod-1", "status.podIP": "10.1.2.3"}
    (container,) = template["spec"]["containers"]
    return {
        each["name"]: each["value"] if "value" in each else own[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container["env"]
    }


@settings(max_examples=30)
@given(
    error=st.floats(0, 1),
    p50=st.floats(1e-5, 5),
    factor=st.floats(1, 20),
    speed=st.sampled_from([1.0, 3.7, 640.0]),
    buckets=st.lists(st.floats(1e-4, 60), min_size=1, max_size=20, unique=True),
    births=st.sampled_from(["start", "first_event"]),
)
def test_the_application_reads_what_was_meant(
    error: float, p50: float, factor: float, speed: float, buckets: list[float], births: str
) -> None:
    about = scenario(errorRatio=error, latency={"p50": f"{p50:.9f}s", "p99": f"{p50 * factor:.9f}s"})
    metrics = about.metrics.model_copy(update={"buckets_seconds": tuple(sorted(buckets))})
    metrics = metrics.model_copy(update={"births": about.metrics.births.model_copy(update={"codes": births})})
    about = about.model_copy(update={"metrics": metrics})
    around = Circumstances(service=about.service, speed=speed, resident_mib=45.0)
    meant = {
        **told(about, speed=speed, seed=2**40),
        **base(around),
        "APP_REVISION": "canary",
        "APP_NAMESPACE": "drills",
    }
    template = objects.template(drilled(speed=speed), "canary", about, revision="canary", settings=meant)
    identity, knobs = app.from_environment(environment(template))
    meant_identity, meant_knobs = app.read({**meant, "APP_HOST": "0.0.0.0", "APP_PORT": 8080, "APP_ADMIN_PORT": 8081,
                                            "APP_POD": "pod-1", "APP_ADMIN_HOST": "10.1.2.3"})  # fmt: skip
    assert (identity, knobs) == (meant_identity, meant_knobs)
    found = objects.settings_of({"spec": {"template": template}})
    for name, value in meant.items():
        assert found[name] == (tuple(value) if isinstance(value, list) else value), name


def test_a_template_that_is_not_ours_tells_nothing() -> None:
    container = {"name": "app", "env": [{"name": "ERROR_RATE", "value": "lots"}, {"name": "X", "valueFrom": {}}]}
    assert objects.settings_of({"spec": {"template": {"spec": {"containers": [container]}}}}) == {}
    assert objects.settings_of({"spec": {"template": {"spec": {"containers": [{"name": "app"}]}}}}) == {}


# --- traffic ---------------------------------------------------------------------------------------------------------


@given(st.floats(0, 1))
def test_weights_add_up_and_only_all_is_all(share: float) -> None:
    found = objects.weights(share)
    assert sum(found.values()) == objects.WHOLE
    assert min(found.values()) >= 0
    assert (found["canary"] == 0) is (share == 0)
    assert (found["stable"] == 0) is (share == 1)
    assert abs(found["canary"] / objects.WHOLE - share) <= 1 / objects.WHOLE


def test_services_select_their_pods_and_no_others() -> None:
    of, about = drilled(), scenario()
    other = drilled(id="20250131t235959-ffffffff")

    def selects(service: dict[str, Any], labels: dict[str, str]) -> bool:
        return service["spec"]["selector"].items() <= labels.items()

    def labels(of: Drilled, revision: Any) -> dict[str, str]:
        found = objects.template(of, "main", about, revision=revision, settings={})
        labels: dict[str, str] = found["metadata"]["labels"]
        return labels

    for revision in ("stable", "canary"):
        for wanted in ("stable", "canary", None):
            service = objects.service(of, wanted)  # type: ignore[arg-type]
            assert selects(service, labels(of, revision)) is (wanted in (None, revision))
            assert not selects(service, labels(other, revision))


def test_the_host_of_a_drill_is_its_own() -> None:
    assert objects.host(drilled(name="web-1")) != objects.host(drilled(name="web-2"))
    assert objects.host(drilled(name="web-1")) == "web-1.drills.rolloutlab.test"


def test_a_deployment_waits_whole_seconds_and_longer_for_progress() -> None:
    found = objects.pace({"maxSurge": 1, "maxUnavailable": 0}, 1000.2)
    assert found["minReadySeconds"] == math.ceil(1000.2)
    assert found["progressDeadlineSeconds"] > found["minReadySeconds"]


# --- somebody else ---------------------------------------------------------------------------------------------------


def _managed(*managers: tuple[str, str]) -> dict[str, Any]:
    fields = [{"manager": name, "fieldsV1": {part: {"f:x": {}}}} for name, part in managers]
    return {"metadata": {"name": "web-main", "managedFields": fields}}


def test_who_has_a_part_of_the_spec_came_between() -> None:
    ours, controller = ("rolloutlab", "f:spec"), ("kube-controller-manager", "f:status")
    assert meddled(_managed(ours, controller), deleted=False, manager="rolloutlab") == ""
    assert meddled({"metadata": {"name": "web-main"}}, deleted=False, manager="rolloutlab") == "", "nothing is noted"
    said = meddled(_managed(ours, controller, ("kubectl", "f:spec")), deleted=False, manager="rolloutlab")
    assert said == "kubectl changed Deployment web-main of this drill"


def test_a_deployment_that_goes_or_is_about_to_was_deleted() -> None:
    gone = meddled(_managed(), deleted=True, manager="rolloutlab")
    going: dict[str, Any] = {"metadata": {"name": "web-main", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert (
        gone
        == meddled(going, deleted=False, manager="rolloutlab")
        == "somebody deleted Deployment web-main of this drill"
    )
