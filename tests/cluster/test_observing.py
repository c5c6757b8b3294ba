"""A user's own Deployment: watched, harmed, timed, and not touched otherwise."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from cluster_drills import Runner

SCENARIO = """
apiVersion: rolloutlab/v1
kind: Scenario
title: A Deployment that somebody else rolls out
horizon: 2m
service: {replicas: 3, latency: {p50: 5ms, p99: 20ms}, errorRatio: 0%}
traffic: {kind: constant, rate: 40/s}
strategies:
  rolling:
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
"""


def web(version: str) -> dict[str, Any]:
    """As a user would write it; nothing in it is ours but the image."""
    own = {"APP_POD": "metadata.name"}
    fields = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in own.items()]
    settings = {"APP_HOST": "0.0.0.0", "APP_PORT": "8080", "APP_VERSION": version, "LATENCY_P50": "0.005"}
    container = {
        "name": "web",
        "image": "rolloutlab.local/app:1",
        "imagePullPolicy": "Never",
        "env": [*({"name": name, "value": value} for name, value in settings.items()), *fields],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 3,
            "minReadySeconds": 5,  # else it may be out before somebody takes it back
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    }


@pytest.fixture
def runner(cluster: Any, tmp_path: Path) -> Runner:
    ports = [{"port": 80, "targetPort": 8080}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": ports},
    }
    cluster.apply(web("v1"), service)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=90s", timeout=100)
    (tmp_path / "web.yaml").write_text(SCENARIO)
    return Runner(tmp_path, cluster.namespace, cluster.node.kubeconfig)


def observe(runner: Runner, cluster: Any, *words: str) -> Any:
    address = cluster.get("service", "web")["spec"]["clusterIP"] + ":80"
    asked = ("--observe-only", "deployment/web", "--address", address, "-q", "-o", "json", *words)
    return runner.start("drill", str(runner.state / "web.yaml"), "--strategy", "rolling", *asked)


def after_lease(cluster: Any) -> None:
    """Until the drill is at work, and a baseline longer."""
    deadline = time.monotonic() + 60
    while "rolloutlab-drill" not in cluster.kubectl("get", "leases") and time.monotonic() < deadline:
        time.sleep(0.3)
    time.sleep(12)


def until_an_old_pod_is_gone(cluster: Any) -> None:
    """Until two new pods serve, and the connections of users to the first old one have ended with it."""
    deadline = time.monotonic() + 60
    while [cluster.get("deployment", "web")["status"].get(name) for name in ("updatedReplicas", "readyReplicas")] != [
        2,
        4,
    ]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(4)


def told(child: Any) -> tuple[int, dict[str, Any]]:
    out, errors = child.communicate(timeout=200)
    assert out, errors
    (record,) = json.loads(out)["drills"]
    return child.returncode, record


def test_a_rollout_that_is_promoted(runner: Runner, cluster: Any) -> None:
    with observe(runner, cluster) as child:
        after_lease(cluster)
        cluster.apply(web("v2"))
        code, record = told(child)
    assert (record["outcome"], code) == ("promoted", 0), record["reasons"]
    assert record["left"] == []
    found = cluster.get("deployment", "web")
    assert not [name for name in found["metadata"].get("labels", {}) if name.startswith("rolloutlab/")]
    assert "rolloutlab" not in json.dumps(found["metadata"].get("managedFields", [])), "it was not touched"


def test_a_rollout_that_is_harmed_and_undone(runner: Runner, cluster: Any, record_property: Any) -> None:
    with observe(runner, cluster, "--fault", "http_abort:share=50%") as child:
        after_lease(cluster)
        cluster.apply(web("v2"))
        until_an_old_pod_is_gone(cluster)
        cluster.kubectl("rollout", "undo", "deployment/web")
        code, record = told(child)
    assert (record["outcome"], code) == ("rolled_back", 0), record["reasons"]
    assert [each["effect_verified"] for each in record["faults"]] == [True]
    for name in ("detection_seconds", "rollback_seconds"):
        record_property(name, record["row"][name])
        assert record["row"][name] is not None, record["timeline"]


def test_a_workload_that_is_deleted_is_said_once(runner: Runner, cluster: Any) -> None:
    with observe(runner, cluster) as child:
        after_lease(cluster)
        time.sleep(6)
        cluster.kubectl("delete", "deployment", "web")
        out, errors = child.communicate(timeout=200)
    assert "Traceback" not in errors
    (record,) = json.loads(out)["drills"]
    assert child.returncode == 5
    assert record["reasons"][0] == "deployment web was deleted during the drill"
