"""A user's own Deployment: watched, harmed, timed, and not touched otherwise."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from cluster_drills import Runner
from observed_workloads import SCENARIO, after_lease, observe, service, template, told

WHAT = "deployment/web"


def web(version: str, *, min_ready_seconds: int = 0) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 3,
            "minReadySeconds": min_ready_seconds,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template(version),
        },
    }


@pytest.fixture
def runner(cluster: Any, tmp_path: Path) -> Runner:
    cluster.apply(web("v1"), service())
    cluster.kubectl("rollout", "status", WHAT, "--timeout=90s", timeout=100)
    (tmp_path / "web.yaml").write_text(SCENARIO)
    return Runner(tmp_path, cluster.namespace, cluster.node.kubeconfig)


def test_a_rollout_that_is_promoted(runner: Runner, cluster: Any) -> None:
    with observe(runner, cluster, WHAT) as child:
        after_lease(cluster)
        cluster.apply(web("v2"))
        code, record = told(child)
    assert (record["outcome"], code) == ("promoted", 0), record["reasons"]
    assert record["left"] == []
    found = cluster.get("deployment", "web", "--show-managed-fields")
    assert not [name for name in found["metadata"].get("labels", {}) if name.startswith("rolloutlab/")]
    assert found["metadata"]["managedFields"], "who wrote is told"
    assert "rolloutlab" not in json.dumps(found["metadata"]["managedFields"]), "it was not touched"


def test_a_rollout_that_is_harmed_and_undone(runner: Runner, cluster: Any, record_property: Any) -> None:
    with observe(runner, cluster, WHAT, "--fault", "http_abort:share=50%") as child:
        after_lease(cluster)
        cluster.apply(web("v2", min_ready_seconds=20))  # however slow the machine is, it is undone before its end
        cluster.kubectl("wait", "pod", "--selector=version=v2", "--for=create", "--timeout=30s")
        cluster.kubectl("wait", "pod", "--selector=version=v2", "--for=condition=Ready", "--timeout=60s", timeout=70)
        time.sleep(3)
        cluster.kubectl("rollout", "undo", WHAT)
        code, record = told(child)
    assert (record["outcome"], code) == ("rolled_back", 0), record["reasons"]
    assert [each["effect_verified"] for each in record["faults"]] == [True]
    for name in ("detection_seconds", "rollback_seconds"):
        record_property(name, record["row"][name])
        assert record["row"][name] is not None, record["timeline"]


def test_a_workload_that_is_deleted_is_said_once(runner: Runner, cluster: Any) -> None:
    with observe(runner, cluster, WHAT) as child:
        after_lease(cluster)
        time.sleep(6)
        cluster.kubectl("delete", "deployment", "web")
        out, errors = child.communicate(timeout=200)
    assert "Traceback" not in errors
    (record,) = json.loads(out)["drills"]
    assert child.returncode == 5
    assert record["reasons"][0] == "deployment web was deleted during the drill"
