"""A user's own Rollout under the real controller of Argo Rollouts: watched, harmed, timed, and not touched otherwise.

What the controller itself writes down of a rollout, in whole seconds, is what the drill's times are held against.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster_drills import Runner
from observed_workloads import SCENARIO, after_lease, observe, service, template, told

pytestmark = pytest.mark.slow
WHAT = "rollout/web"
SLACK_SECONDS = 2.0  #: the controller's times have whole seconds, and news of them takes a moment
STEPS = [{"setWeight": 25}, {"pause": {"duration": "4s"}}, {"setWeight": 50}, {"pause": {"duration": "4s"}}]
CHECK = """
import sys, urllib.error, urllib.request
failed = 0
for _ in range(40):
    try:
        urllib.request.urlopen("http://{address}/", timeout=2).read()
    except urllib.error.HTTPError:
        failed += 1
sys.exit(failed > 4)
"""


def rollout(version: str, *, canary: dict[str, Any] | None = None, **settings: object) -> dict[str, Any]:
    """A canary of four pods; `settings` are the application's."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 4,
            "progressDeadlineSeconds": 10,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"canary": {"maxSurge": 1, "maxUnavailable": 0, "steps": STEPS, **(canary or {})}},
            "template": template(version, **settings),
        },
    }


def job(address: str) -> dict[str, Any]:
    """An AnalysisTemplate of a user: every 2 s a Job asks the canary's Service, and fails when a tenth of it fails."""
    container = {
        "name": "check",
        "image": "rolloutlab.local/app:1",
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", CHECK.format(address=address)],
    }
    pods = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    metric = {"name": "errors", "interval": "2s", "provider": {"job": {"spec": {"backoffLimit": 0, "template": pods}}}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "errors"},
        "spec": {"metrics": [metric]},
    }


def status(cluster: Any) -> dict[str, Any]:
    return dict(cluster.get("rollout", "web").get("status", {}))


def until(cluster: Any, come: Callable[[dict[str, Any]], bool], seconds: float = 60) -> dict[str, Any]:
    """The Rollout's status once it is so."""
    deadline = time.monotonic() + seconds
    while not come(found := status(cluster)):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


@pytest.fixture
def runner(argo: Any, cluster: Any, tmp_path: Path) -> Runner:
    """A Rollout at rest."""
    cluster.apply(rollout("v1"), service())
    until(cluster, lambda found: found.get("phase") == "Healthy", 90)
    (tmp_path / "web.yaml").write_text(SCENARIO)
    return Runner(tmp_path, cluster.namespace, cluster.node.kubeconfig)


def abort(cluster: Any) -> None:
    """As `kubectl argo rollouts abort` does it."""
    patch = json.dumps({"status": {"abort": True}})
    cluster.kubectl("patch", WHAT, "--subresource=status", "--type=merge", f"--patch={patch}")


def untouched(cluster: Any, spec: dict[str, Any]) -> None:
    """Nobody but the user and the controller wrote to the Rollout, and its spec is what the user wants."""
    found = cluster.get("rollout", "web", "--show-managed-fields")
    managers = {each["manager"] for each in found["metadata"]["managedFields"]}
    assert "rollouts-controller" in managers, "who wrote is told"
    assert managers <= {"kubectl-client-side-apply", "kubectl-patch", "rollouts-controller"}, managers
    assert found["spec"]["strategy"] == spec["spec"]["strategy"]
    assert "rolloutlab/" not in json.dumps(found["metadata"])
    sets = cluster.get("replicasets")["items"]
    assert "rolloutlab/" not in json.dumps([each["metadata"] for each in sets])


def decided_at(record: dict[str, Any], wrote: str) -> None:
    """The drill's decision came when the controller wrote that it had decided; `wrote` is a time of the API."""
    real = datetime.datetime.fromisoformat(wrote).timestamp()
    low, high = (record["rollout_wall"] + at for at in record["timeline"]["t5"]["scenario_seconds"])
    assert real - 0.5 <= high, "not before"
    assert low <= real + SLACK_SECONDS, f"{low - real:.2f} s late"


def condition(found: dict[str, Any], kind: str) -> dict[str, Any]:
    return dict(next(each for each in found["conditions"] if each["type"] == kind))


def test_a_rollout_that_is_promoted(runner: Runner, cluster: Any) -> None:
    wanted = rollout("v2")
    with observe(runner, cluster, WHAT) as child:
        after_lease(cluster)
        cluster.apply(wanted)
        code, record = told(child)
    assert (record["outcome"], code) == ("promoted", 0), record["reasons"]
    assert record["left"] == []
    decided_at(record, condition(status(cluster), "Healthy")["lastTransitionTime"])
    untouched(cluster, wanted)


def test_a_rollout_that_is_aborted(runner: Runner, cluster: Any) -> None:
    wanted = rollout("v2")
    with observe(runner, cluster, WHAT) as child:
        after_lease(cluster)
        cluster.apply(wanted)
        until(cluster, lambda found: found.get("currentStepIndex") == 3)
        abort(cluster)
        code, record = told(child)
    assert (record["outcome"], code) == ("rolled_back", 1), record["reasons"]
    assert record["left"] == []
    decided_at(record, status(cluster)["abortedAt"])
    untouched(cluster, wanted)


def test_a_rollout_that_its_own_analysis_takes_back(runner: Runner, cluster: Any, record_property: Any) -> None:
    cluster.apply(service("web-canary"))
    cluster.apply(job(cluster.get("service", "web-canary")["spec"]["clusterIP"]))
    analysis = {"templates": [{"templateName": "errors"}], "startingStep": 1}
    steps = [{"setWeight": 50}, {"pause": {"duration": "60s"}}]
    wanted = rollout("v2", canary={"canaryService": "web-canary", "analysis": analysis, "steps": steps})
    with observe(runner, cluster, WHAT, "--fault", "http_abort:share=50%") as child:
        after_lease(cluster)
        cluster.apply(wanted)
        code, record = told(child)
    assert (record["outcome"], code) == ("rolled_back", 0), record["reasons"]
    assert [each["effect_verified"] for each in record["faults"]] == [True]
    for name in ("detection_seconds", "rollback_seconds"):
        record_property(name, record["row"][name])
        assert record["row"][name] is not None
    decided_at(record, status(cluster)["abortedAt"])
    untouched(cluster, wanted)


def test_a_rollout_whose_template_goes_back(runner: Runner, cluster: Any) -> None:
    with observe(runner, cluster, WHAT, "--fault", "http_abort:share=50%") as child:
        after_lease(cluster)
        cluster.apply(rollout("v2"))
        until(cluster, lambda found: found.get("currentStepIndex") == 3)
        cluster.apply(rollout("v1"))
        code, record = told(child)
    assert (record["outcome"], code) == ("rolled_back", 0), record["reasons"]


def test_new_pods_that_fail_until_the_deadline_passes(runner: Runner, cluster: Any) -> None:
    """From a quarter of the traffic on: those that serve end, and those that come do not get ready."""
    wanted = rollout("v2")
    with observe(runner, cluster, WHAT, "--fault", "pod_failure:weight=25%") as child:
        after_lease(cluster)
        cluster.apply(wanted)
        found = until(cluster, lambda found: found.get("phase") == "Degraded")
        code, record = told(child)
    assert (record["outcome"], code) == ("stalled", 0), record["reasons"]
    assert [each["effect_verified"] for each in record["faults"]] == [True]
    decided_at(record, condition(found, "Progressing")["lastUpdateTime"])
    untouched(cluster, wanted)


def test_new_pods_that_crash_and_the_deadline_passes(runner: Runner, cluster: Any) -> None:
    wanted = rollout("v2", NOT_READY="true", CRASH_AFTER=1)
    with observe(runner, cluster, WHAT) as child:
        after_lease(cluster)
        cluster.apply(wanted)
        code, record = told(child)
    assert (record["outcome"], code) == ("stalled", 1), record["reasons"]
    decided_at(record, condition(status(cluster), "Progressing")["lastUpdateTime"])
    untouched(cluster, wanted)
