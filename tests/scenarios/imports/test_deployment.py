"""Deployments and pod templates: the words of a rolling update, and the facts of the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.errors import ScenarioError
from scenarios.imports.manifest import Imported, import_manifest

HEAD = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
"""
POD = """\
  template:
    spec:
      containers:
        - name: web
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str) -> Imported:
    Path("web.yaml").write_text(text, encoding="utf-8")
    return import_manifest("web.yaml")


def pod(container: str = "", spec: str = "") -> Imported:
    """A Deployment whose container and pod spec say this (block style, not indented)."""
    more = "".join(f"      {line}\n" for line in spec.splitlines())
    inside = "".join(f"          {line}\n" for line in container.splitlines())
    return read(HEAD + "  template:\n    spec:\n" + more + "      containers:\n        - name: web\n" + inside)


def test_defaults_are_those_of_kubernetes() -> None:
    found = read(HEAD + POD)
    assert found.words == {
        "rollingUpdate": {
            "minReadySeconds": 0,
            "progressDeadlineSeconds": 600,
            "maxSurge": "25%",
            "maxUnavailable": "25%",
        }
    }
    assert found.patch == {
        "service": {
            "name": "web",
            "replicas": 1,
            "probes": {"readiness": None, "liveness": None, "startup": None},
            "shutdown": {"terminationGracePeriod": 30, "preStop": 0},
        }
    }
    assert found.kind == "Deployment"
    assert "service.replicas = 1 (manifest web.yaml)" in found.assumed
    assert "service.probes.readiness = null (manifest web.yaml)" in found.assumed


def test_everything_that_is_given() -> None:
    found = read(
        HEAD
        + "  replicas: 7\n  minReadySeconds: 3\n  progressDeadlineSeconds: 60\n"
        + "  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 2, maxUnavailable: 10%}}\n"
        + POD
    )
    assert found.words["rollingUpdate"] == {
        "minReadySeconds": 3,
        "progressDeadlineSeconds": 60,
        "maxSurge": 2,
        "maxUnavailable": "10%",
    }
    assert found.patch["service"]["replicas"] == 7


def test_probes_take_the_defaults_of_kubernetes_and_zero_means_default() -> None:
    probes = pod("readinessProbe: {httpGet: {port: 80}, periodSeconds: 5}\nlivenessProbe: {periodSeconds: 0}").patch[
        "service"
    ]["probes"]
    assert probes["readiness"] == {
        "initialDelaySeconds": 0,
        "periodSeconds": 5,
        "timeoutSeconds": 1,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert probes["liveness"]["periodSeconds"] == 10
    assert probes["startup"] is None


@pytest.mark.parametrize(
    ("hook", "seconds"),
    [
        ("sleep: {seconds: 12}", 12),
        ('exec: {command: [sleep, "10"]}', 10),
        ("exec: {command: [sleep, 10]}", 10),
        ('exec: {command: [/bin/sleep, "10"]}', 10),
        ("exec: {command: [/bin/sh, -c, sleep 15]}", 15),
        ("exec: {command: [sh, -c, sleep 2.5s]}", 2.5),
        ("exec: {command: [sh, -c, 'nginx -s quit; sleep 5']}", 5),
        ("exec: {command: [sh, -c, 'sleep 5; sleep 6']}", None),
        ("exec: {command: [sh, -c, 'sleep $WAIT']}", None),
        ("exec: {command: [sh, -c, 'sleep 1h']}", None),
        ("httpGet: {port: 80}", None),
    ],
)
def test_the_sleep_of_a_pre_stop_hook(hook: str, seconds: float | None) -> None:
    found = pod(f"lifecycle: {{preStop: {{{hook}}}}}")
    assert found.patch["service"]["shutdown"].get("preStop") == seconds
    assert bool(found.warnings) == (seconds is None)


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        ("{requests: {memory: 256Mi}, limits: {memory: 1Gi, cpu: 500m}}", ("256Mi", "1Gi")),
        ("{limits: {memory: 1Gi}}", ("512Mi", "1Gi")),
        ("{requests: {memory: 1Gi}, limits: {memory: 1Gi}}", ("512Mi", "1Gi")),
        ("{limits: {memory: 134217728}}", ("64Mi", "128Mi")),
    ],
)
def test_memory(resources: str, wanted: tuple[str, str]) -> None:
    base, limit = wanted
    assert pod(f"resources: {resources}").patch["service"]["resources"] == {"memoryBase": base, "memoryLimit": limit}


def test_without_a_memory_limit_the_scenario_keeps_its_own() -> None:
    found = pod("resources: {requests: {memory: 1Gi}}")
    assert "resources" not in found.patch["service"]
    assert "no memory limit: service.resources stays the scenario's (web.yaml:9)" in found.assumed


def test_of_several_containers_the_first_serves_unless_an_annotation_says_so() -> None:
    containers = "      containers:\n        - {name: proxy}\n        - {name: app, lifecycle: {preStop: {sleep: {seconds: 9}}}}\n"
    note = "    metadata: {annotations: {kubectl.kubernetes.io/default-container: app}}\n"
    first = read(HEAD + "  template:\n    spec:\n" + containers)
    chosen = read(HEAD + "  template:\n" + note + "    spec:\n" + containers)
    assert first.patch["service"]["shutdown"]["preStop"] == 0
    assert chosen.patch["service"]["shutdown"]["preStop"] == 9
    assert "container 'proxy' serves: the first of 2 (web.yaml:9)" in first.assumed
    assert "container 'app' serves: by its annotation of 2 (web.yaml:11)" in chosen.assumed


def test_yaml_is_read_as_kubernetes_reads_it() -> None:
    found = read(HEAD + "  paused: no\n  replicas: 010\n" + POD)  # YAML 1.1: false, and eight
    assert found.patch["service"]["replicas"] == 8


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            HEAD + "  strategy: {type: Recreate}\n" + POD,
            "web.yaml:6:20 spec.strategy.type: Recreate is not simulated yet, expected RollingUpdate",
        ),
        (
            HEAD + "  strategy: {type: Rolling}\n" + POD,
            "web.yaml:6:20 spec.strategy.type: expected RollingUpdate, got 'Rolling'",
        ),
        (
            HEAD + "  strategy: {rollingUpdate: {maxSurge: 25}, type: RollingUpdate, x: 1}\n" + POD,
            "web.yaml:6:66 spec.strategy.x: unknown field 'x'; known: rollingUpdate, type",
        ),
        (
            HEAD + "  strategy: {rollingUpdate: {maxsurge: 25%}}\n" + POD,
            "web.yaml:6:30 spec.strategy.rollingUpdate.maxsurge: unknown field 'maxsurge'; did you mean 'maxSurge'? "
            "known: maxSurge, maxUnavailable",
        ),
        (
            HEAD + "  replica: 3\n" + POD,
            "web.yaml:6:3 spec.replica: unknown field 'replica'; did you mean 'replicas'? known: minReadySeconds, "
            "paused, progressDeadlineSeconds, replicas, revisionHistoryLimit, selector, strategy, template",
        ),
        (HEAD + "  replicas: -1\n" + POD, "web.yaml:6:13 spec.replicas: expected 1 or more, got -1"),
        (HEAD + "  replicas: many\n" + POD, "web.yaml:6:13 spec.replicas: expected a whole number, got 'many'"),
        (HEAD + "  paused: true\n" + POD, "web.yaml:6:3 spec.paused: paused is not simulated yet"),
        (HEAD + "  replicas: 2\n", "web.yaml:5:1 spec: expected a pod template (template), got none"),
        (HEAD, "web.yaml:1:1: expected a spec, got none"),
        (
            HEAD + POD + "          resources: {limits: {memory: lots}}\n",
            "web.yaml:10:40 spec.template.spec.containers[0].resources.limits.memory: expected a quantity of memory "
            "such as 512Mi or 1Gi, got 'lots'",
        ),
        (
            HEAD + POD + "          livenessProbe: {successThreshold: 2}\n",
            "web.yaml:10:45 spec.template.spec.containers[0].livenessProbe.successThreshold: expected 1 in a "
            "livenessProbe, got 2",
        ),
        (
            HEAD + POD + "          readynessProbe: {}\n",
            "web.yaml:10:11 spec.template.spec.containers[0].readynessProbe: unknown field 'readynessProbe'; did you "
            "mean 'readinessProbe'? known: args, command, env, envFrom, image, imagePullPolicy, lifecycle, "
            "livenessProbe, name, ports, readinessProbe, resizePolicy, resources, restartPolicy, restartPolicyRules, "
            "securityContext, startupProbe, stdin, stdinOnce, terminationMessagePath, terminationMessagePolicy, tty, "
            "volumeDevices, volumeMounts, workingDir",
        ),
    ],
)
def test_a_deployment_is_refused_in_one_line(text: str, line: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read(text)
    assert str(caught.value).splitlines()[0] == line
