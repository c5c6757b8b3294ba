"""Rollouts and their AnalysisTemplates: what they become, and what is refused in one line."""

from __future__ import annotations

import contextlib
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from scenarios.errors import ScenarioError
from scenarios.imports.documents import parse_documents
from scenarios.imports.manifest import Imported, import_manifest

SHIPPED = Path(__file__).parents[3] / "scenarios" / "manifests"
BIND = {"success-rate": "success_ratio:canary"}

ROLLOUT = """\
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: web
  labels: {region: eu}
spec:
  replicas: 5
  template:
    spec:
      containers:
        - name: web
  strategy:
    canary:
      trafficRouting: {nginx: {stableIngress: web}}
      steps:
        - setWeight: 10
        - analysis:
            templates:
              - templateName: success-rate
            args:
              - name: service
                value: web
"""
TEMPLATE = """\
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: success-rate
spec:
  args:
    - name: service
    - name: threshold
      value: "0.95"
  metrics:
    - name: success-rate
      interval: 30s
      count: 10
      failureLimit: 3
      successCondition: result[0] >= {{ args.threshold }}
      provider:
        prometheus:
          query: sum(rate(ok{app="{{args.service}}"}[2m])) / sum(rate(all{app="{{args.service}}"}[2m]))
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str, bind: dict[str, str] | None = BIND, **more: str) -> Imported:
    """Import a text as `rollout.yaml`, further files beside it."""
    Path("rollout.yaml").write_text(text, encoding="utf-8")
    names = [f"{name}.yaml" for name in more]
    for name, content in zip(names, more.values(), strict=True):
        Path(name).write_text(content, encoding="utf-8")
    return import_manifest("rollout.yaml", templates=names, bind=bind)


def refused(text: str, bind: dict[str, str] | None = BIND) -> list[str]:
    """The lines of the error."""
    with pytest.raises(ScenarioError) as caught:
        read(text, bind)
    return str(caught.value).splitlines()


def rollout(strategy: str, spec: str = "") -> str:
    """A Rollout with this strategy."""
    head = ROLLOUT.split("  strategy:\n")[0]
    return head + textwrap.indent(spec, "  ") + "  strategy:\n" + textwrap.indent(textwrap.dedent(strategy), "    ")


def steps(text: str, routed: bool = True) -> str:
    """A canary with these steps."""
    routing = "  trafficRouting: {nginx: {stableIngress: web}}\n" if routed else ""
    return rollout("canary:\n" + routing + "  steps:\n" + textwrap.indent(textwrap.dedent(text), "  "))


# --- what they become --------------------------------------------------------------------------------------------


def test_a_canary_becomes_the_words_of_a_scenario() -> None:
    found = read(ROLLOUT + TEMPLATE)
    assert found.words == {
        "canary": {
            "minReadySeconds": 0,
            "progressDeadlineSeconds": 600,
            "progressDeadlineAbort": False,
            "steps": [
                {"setWeight": 10},
                {
                    "analysis": {
                        "metrics": [
                            {
                                "name": "success-rate",
                                "measure": "success_ratio",
                                "revision": "canary",
                                "window": 120.0,
                                "interval": 30.0,
                                "count": 10,
                                "failureLimit": 3,
                                "successCondition": "result[0] >= 0.95",
                            }
                        ]
                    }
                },
            ],
        }
    }
    assert found.routed
    assert found.kind == "Rollout"
    assert found.patch["service"]["replicas"] == 5
    assert (
        "metric 'success-rate' measures success_ratio of canary over 2m, the range of its query (rollout.yaml:34)"
        in found.assumed
    )


def test_templates_may_stand_in_another_file() -> None:
    assert read(ROLLOUT, analysis=TEMPLATE).words == read(ROLLOUT + TEMPLATE).words


def test_defaults_are_those_of_argo() -> None:
    found = read(rollout("canary: {}", ""), None)
    assert found.words == {
        "canary": {"minReadySeconds": 0, "progressDeadlineSeconds": 600, "progressDeadlineAbort": False, "steps": []}
    }
    assert not found.routed  # without trafficRouting, weights follow the pod counts
    assert read(ROLLOUT.replace("  replicas: 5\n", "").split("      steps:")[0], None).patch["service"]["replicas"] == 1


@pytest.mark.parametrize(
    ("pause", "words"),
    [
        ("{}", {}),
        ("{duration: 30}", {"duration": "30s"}),
        ('{duration: "30"}', {"duration": "30s"}),
        ("{duration: 1h30m}", {"duration": "1h30m"}),
        ("{duration: 1.5m}", {"duration": "1m30s"}),
        ("{duration: 500ms}", {"duration": "500ms"}),
    ],
)
def test_a_pause_is_seconds_or_a_go_duration(pause: str, words: dict[str, str]) -> None:
    assert read(steps(f"- pause: {pause}"), None).words["canary"]["steps"] == [{"pause": words}]


def test_numbers_and_conditions_may_be_arguments() -> None:
    text = (ROLLOUT + TEMPLATE).replace("count: 10", 'count: "{{args.times}}"').replace(
        "    - name: service\n    - name: threshold", "    - name: times\n      value: '7'\n    - name: service\n    - name: threshold"
    )  # fmt: skip
    metric = read(text).words["canary"]["steps"][1]["analysis"]["metrics"][0]
    assert metric["count"] == 7


def test_the_value_of_the_rollout_wins_over_the_default_of_the_template() -> None:
    text = ROLLOUT + "              - {name: threshold, value: '0.5'}\n" + TEMPLATE
    metric = read(text).words["canary"]["steps"][1]["analysis"]["metrics"][0]
    assert metric["successCondition"] == "result[0] >= 0.5"


def test_a_field_of_the_rollout_may_be_an_argument() -> None:
    field = "                valueFrom: {fieldRef: {fieldPath: \"metadata.labels['region']\"}}\n"
    text = ROLLOUT.replace("                value: web\n", field) + TEMPLATE.replace(
        "result[0] >= {{ args.threshold }}", '"{{args.service}}"'
    )
    assert refused(text) == [
        "rollout.yaml:38:26 spec.metrics[0].successCondition: unknown name 'eu'; known: result, true, false, nil",
        '    successCondition: "{{args.service}}"',
        "                       ^^^^^^^^^^^^^^^^",
    ]


def test_several_templates_become_one_run_and_templates_may_name_templates() -> None:
    more = TEMPLATE.replace("name: success-rate", "name: other", 2).replace("  metrics:", "  metrics:", 1)
    nest = "---\nkind: AnalysisTemplate\nmetadata: {name: both}\nspec:\n  templates:\n    - templateName: success-rate\n    - templateName: other\n"
    text = ROLLOUT.replace("templateName: success-rate", "templateName: both") + TEMPLATE + more + nest
    metrics = read(text, {**BIND, "other": "error_ratio:stable:1m"}).words["canary"]["steps"][1]["analysis"]["metrics"]
    assert [(each["name"], each["measure"], each["window"]) for each in metrics] == [
        ("success-rate", "success_ratio", 120.0),
        ("other", "error_ratio", 60.0),
    ]


def test_a_dry_run_decides_nothing() -> None:
    text = ROLLOUT + TEMPLATE + "  dryRun:\n    - metricName: success.*\n"
    found = read(text)
    (metric,) = found.words["canary"]["steps"][1]["analysis"]["metrics"]
    assert metric["dryRun"] is True
    assert metric["measure"] == "success_ratio"
    assert "metric 'success-rate' is a dry run and decides nothing (rollout.yaml:34)" in found.assumed


def test_a_job_can_be_assumed_to_succeed() -> None:
    prometheus = TEMPLATE[TEMPLATE.index("        prometheus:") :]
    text = ROLLOUT + TEMPLATE.replace(prometheus, "        job: {spec: {}}\n")
    found = read(text, {"success-rate": "pass"})
    assert found.words["canary"]["steps"][1] == {"pause": {"duration": "0s"}}
    assert "metric 'success-rate' always succeeds, as bound (rollout.yaml:34)" in found.assumed
    assert refused(text) == [
        "rollout.yaml:40:9 spec.metrics[0].provider.job: a job decides by itself: "
        "expected a script of its answers, or the binding pass (assume that it succeeds), got a measure"
    ]


def test_a_query_in_per_cent_or_milliseconds_is_bound_with_its_factor() -> None:
    text = (ROLLOUT + TEMPLATE).replace('value: "0.95"', 'value: "95"')
    metric = read(text, {"success-rate": "success_ratio*100:canary"}).words["canary"]["steps"][1]["analysis"][
        "metrics"
    ][0]
    assert metric["successCondition"] == "result[0] >= 0.95"
    assert refused(text) == [
        "rollout.yaml:38:25 spec.metrics[0].successCondition: success_ratio is a share from 0 to 1, the condition "
        "compares it with 95; a query in per cent is bound as success_ratio*100:canary"
    ]
    slow = read(text, {"success-rate": "latency_p95:canary"})
    assert any("is in seconds and is compared with 95" in line for line in slow.warnings)


def test_an_argument_that_no_template_declares_is_told() -> None:
    text = ROLLOUT + "              - {name: stray, value: x}\n" + TEMPLATE
    assert read(text).warnings == ("rollout.yaml:23: no template declares the argument 'stray'; it does nothing",)


def test_what_is_known_and_left_out_is_one_warning() -> None:
    text = steps("- setWeight: 10").replace("canary:\n", "canary:\n      antiAffinity: {}\n")
    text = text.replace("      containers:\n", "      nodeSelector: {}\n      containers:\n")
    (line,) = read(text, None).warnings
    assert line == (
        "rollout.yaml: known but not simulated, ignored: spec.template.spec.nodeSelector (line 10), "
        "spec.strategy.canary.antiAffinity (line 15)"
    )


def test_a_blue_green_rollout() -> None:
    found = read(
        rollout(
            """\
            blueGreen:
              activeService: web
              autoPromotionEnabled: false
              autoPromotionSeconds: 60
              previewReplicaCount: 2
              scaleDownDelaySeconds: 600
              abortScaleDownDelaySeconds: 0
              postPromotionAnalysis:
                templates: [{templateName: success-rate}]
                args: [{name: service, value: web}]
            """,
            "minReadySeconds: 5\nprogressDeadlineAbort: true\n",
        )
        + TEMPLATE
    )
    words = found.words["blueGreen"]
    assert words.pop("postPromotionAnalysis")["metrics"][0]["name"] == "success-rate"
    assert words == {
        "minReadySeconds": 5,
        "progressDeadlineSeconds": 600,
        "progressDeadlineAbort": True,
        "autoPromotionEnabled": False,
        "autoPromotionSeconds": 60,
        "previewReplicaCount": 2,
        "scaleDownDelaySeconds": 600,
        "abortScaleDownDelaySeconds": 0,
    }
    assert found.routed


def test_the_pod_template_of_a_workload_ref() -> None:
    deployment = (
        "---\nkind: Deployment\nmetadata: {name: base}\nspec:\n  replicas: 0\n  template:\n    spec:\n"
        "      terminationGracePeriodSeconds: 7\n      containers: [{name: web}]\n"
    )
    head = ROLLOUT.replace(
        ROLLOUT[ROLLOUT.index("  template:") : ROLLOUT.index("  strategy:")],
        "  workloadRef: {kind: Deployment, name: base}\n",
    )
    found = read(head + TEMPLATE + deployment)
    assert found.patch["service"]["shutdown"]["terminationGracePeriod"] == 7
    assert found.patch["service"]["replicas"] == 5
    assert refused(head + TEMPLATE) == [
        "rollout.yaml:8:41 spec.workloadRef.name: unknown Deployment 'base': no file that was read has one"
    ]


def test_items_of_a_list_are_objects() -> None:
    body = textwrap.indent(ROLLOUT.split("        - analysis:")[0], "    ").replace(
        "    apiVersion", "  - apiVersion", 1
    )
    assert read("kind: List\nitems:\n" + body, None).name == "web"


@pytest.mark.parametrize("name", ["checkout-rollout", "checkout-bluegreen", "checkout-deployment"])
def test_the_shipped_manifests_are_of_one_service(name: str) -> None:
    bind = {"success-rate": "success_ratio:canary", "latency-p95": "latency_p95:canary"}
    found = import_manifest(
        SHIPPED / f"{name}.yaml",
        templates=[SHIPPED / "checkout-analysis.yaml"],
        bind={} if "deployment" in name else bind,
    )
    assert found.warnings == ()
    assert found.patch["service"]["replicas"] == 10
    assert found.patch["service"]["resources"] == {"memoryBase": "256Mi", "memoryLimit": "512Mi"}
    assert found.patch["service"]["shutdown"] == {"terminationGracePeriod": 30, "preStop": 5}


# --- what is refused ---------------------------------------------------------------------------------------------

STEP = "rollout.yaml:16"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            steps("- setWeight: 150"),
            f"{STEP}:20 spec.strategy.canary.steps[0].setWeight: expected at most 100, got 150",
        ),
        (
            steps("- {}"),
            f"{STEP}:9 spec.strategy.canary.steps[0]: expected a step of exactly one kind, got none",
        ),
        (
            steps("- setWeight: 10\n  pause: {}"),
            f"{STEP}:9 spec.strategy.canary.steps[0]: expected a step of exactly one kind, got setWeight and pause",
        ),
        (
            steps("- setWeight: ten"),
            f"{STEP}:20 spec.strategy.canary.steps[0].setWeight: expected a whole number, got 'ten'",
        ),
        (
            steps("- experiment: {templates: []}"),
            f"{STEP}:9 spec.strategy.canary.steps[0].experiment: experiment is not simulated yet",
        ),
        (
            steps("- plugin: {name: x}"),
            f"{STEP}:9 spec.strategy.canary.steps[0].plugin: plugin is not simulated yet",
        ),
        (
            steps("- pause: {duration: 3d}"),
            f"{STEP}:27 spec.strategy.canary.steps[0].pause.duration: expected a number of seconds, or a duration "
            "such as 30s or 5m (units: ms, s, m, h), got '3d'",
        ),
        (
            steps("- pause: {duration: -5}"),
            f"{STEP}:27 spec.strategy.canary.steps[0].pause.duration: expected a number of seconds, or a duration "
            "such as 30s or 5m (units: ms, s, m, h), got -5",
        ),
        (
            steps("- pause: {druation: 5}"),
            f"{STEP}:17 spec.strategy.canary.steps[0].pause.druation: unknown field 'druation'; did you mean "
            "'duration'? known: duration",
        ),
        (
            steps("- setCanaryScale: {replicas: 2, weight: 10}"),
            f"{STEP}:9 spec.strategy.canary.steps[0].setCanaryScale: expected exactly one of replicas, weight and "
            "matchTrafficWeight: true, got replicas and weight",
        ),
        (
            steps("- setCanaryScale: {replicas: 2}", routed=False),
            "rollout.yaml:15:9 spec.strategy.canary.steps[0].setCanaryScale: expected trafficRouting in the Rollout, "
            "got none",
        ),
        (
            rollout("canary: {maxSurge: 0, maxUnavailable: 0%}"),
            "rollout.yaml:13:24 spec.strategy.canary.maxSurge: expected maxSurge or maxUnavailable above 0, got 0 for both",
        ),
        (
            rollout("canary: {maxSurge: many}"),
            "rollout.yaml:13:24 spec.strategy.canary.maxSurge: expected a number of pods, 0 or more, or a percentage "
            "such as 25%, got 'many'",
        ),
        (
            rollout("canary: {scaleDownDelaySeconds: 5}"),
            "rollout.yaml:13:37 spec.strategy.canary.scaleDownDelaySeconds: expected trafficRouting beside it, got none",
        ),
        (
            rollout("canary: {minPodsPerReplicaSet: 3}"),
            "rollout.yaml:13:36 spec.strategy.canary.minPodsPerReplicaSet: minPodsPerReplicaSet above 1 is not simulated yet",
        ),
        (
            rollout("canary: {trafficRouting: {nginx: {}, maxTrafficWeight: 1000}}"),
            "rollout.yaml:13:60 spec.strategy.canary.trafficRouting.maxTrafficWeight: a maxTrafficWeight other than "
            "100 is not simulated yet",
        ),
        (
            rollout("canary: {trafficRouting: {ngnix: {}}}"),
            "rollout.yaml:13:31 spec.strategy.canary.trafficRouting.ngnix: unknown field 'ngnix'; did you mean 'nginx'? "
            "known: alb, ambassador, apisix, appMesh, istio, managedRoutes, maxTrafficWeight, nginx, plugins, smi, traefik",
        ),
        (
            rollout("canary: {}\nblueGreen: {activeService: web}"),
            "rollout.yaml:12:3 spec.strategy: expected a strategy of canary or blueGreen, got canary and blueGreen",
        ),
        (rollout("{}"), "rollout.yaml:12:3 spec.strategy: expected a strategy of canary or blueGreen, got none"),
        (
            rollout("blueGreen: {previewService: x}"),
            "rollout.yaml:13:5 spec.strategy.blueGreen: expected spec.strategy.blueGreen.activeService, got none",
        ),
        (
            rollout("canary: {}", "paused: true\n"),
            "rollout.yaml:12:3 spec.paused: paused is not simulated yet",
        ),
        (
            rollout("canary: {}", "minReadySeconds: 600\n"),
            "rollout.yaml:6:1 spec.progressDeadlineSeconds: expected more than minReadySeconds (600)",
        ),
        (
            rollout("canary: {}").replace("replicas: 5", "replicas: 0"),
            "rollout.yaml:7:13 spec.replicas: expected 1 or more, got 0",
        ),
        (
            rollout("canary: {}").replace("        - name: web\n", "        []\n"),
            "rollout.yaml:10:7 spec.template.spec.containers: expected at least one container, got none",
        ),
        (
            ROLLOUT.replace("argoproj.io/v1alpha1", "apps/v1"),
            "rollout.yaml:2:7 apiVersion: expected argoproj.io/v1alpha1, got 'apps/v1'",
        ),
        ("kind: Service\nmetadata: {name: a}\n", "rollout.yaml: expected a Rollout or a Deployment, got Service"),
        ("", "rollout.yaml: expected a Rollout or a Deployment, got no object"),
        ("- a\n", "rollout.yaml:1:1: expected a Kubernetes object with a kind, got a list of 1 item"),
        ("metadata: {}\n", "rollout.yaml:1:1 kind: expected the kind of a Kubernetes object, got nothing"),
        ("kind: Rollout\n\tx: 1\n", "rollout.yaml:2:1: not YAML: found character '\\t' that cannot start any token"),
        ("kind: !!python/object:os.system x\n", "rollout.yaml:1:7: expected plain YAML, got the tag tag:yaml.org,2002:python/object:os.system"),
        (
            rollout("canary: {}") + "\n---\n" + rollout("canary: {}"),
            "rollout.yaml:16:7: expected one Rollout, got 2: web (line 2), web (line 16)",
        ),
    ],
)  # fmt: skip
def test_a_rollout_is_refused_in_one_line(text: str, line: str) -> None:
    assert refused(text, None)[0] == line


def test_an_unknown_step_names_the_known_ones() -> None:
    assert refused(steps("- setWieght: 10"), None) == [
        f"{STEP}:9 spec.strategy.canary.steps[0].setWieght: unknown field 'setWieght'; did you mean 'setWeight'? "
        "known: analysis, experiment, pause, plugin, setCanaryScale, setHeaderRoute, setMirrorRoute, setWeight"
    ]


@pytest.mark.parametrize(
    ("change", "bind", "line"),
    [
        (
            ("prometheus:", "datadog:"),
            {},
            "rollout.yaml:40:9 spec.metrics[0].provider.datadog: metric 'success-rate' measures nothing known: bind it, "
            "e.g. --bind success-rate=success_ratio:canary, or script the answers of its datadog: "
            "--bind success-rate=script:0.99,0.95",
        ),
        (
            ("", ""),
            {"succes-rate": "success_ratio:canary", **BIND},
            "bind.succes-rate: unknown metric 'succes-rate'; did you mean 'success-rate'? "
            "known: success-rate, success-rate/success-rate",
        ),
        (
            ("", ""),
            {"success-rate": "succes_ratio:canary"},
            "bind.success-rate: unknown measure 'succes_ratio'; did you mean 'success_ratio'? known: error_ratio, "
            "success_ratio, request_rate, latency_p50, latency_p95, latency_p99 (any latency_pNN)",
        ),
        (
            ("", ""),
            {"success-rate": "success_ratio"},
            "bind.success-rate: expected MEASURE:REVISION or MEASURE:REVISION:WINDOW, such as error_ratio:canary:5m, "
            "got 'success_ratio'",
        ),
        (
            ("", ""),
            {"success-rate": "success_ratio:canari"},
            "bind.success-rate: unknown revision 'canari'; did you mean 'canary'? known: stable, canary, all",
        ),
        (
            ("", ""),
            {"success-rate": "success_ratio*0:canary"},
            "bind.success-rate: expected a factor above 0 after *, such as success_ratio*100, got 'success_ratio*0'",
        ),
        (
            ('app="{{args.service}}"}[2m])) /', "app}[5m])) /"),
            BIND,
            "rollout.yaml:39:7 spec.metrics[0].provider: metric 'success-rate': the query has ranges [5m] and [2m]: "
            "expected a window in the binding, e.g. --bind success-rate=success_ratio:canary:5m",
        ),
        (
            ("              - templateName: success-rate", "              - templateName: succes-rate"),
            BIND,
            "rollout.yaml:19:31 spec.strategy.canary.steps[1].analysis.templates[0].templateName: unknown "
            "AnalysisTemplate 'succes-rate'; did you mean 'success-rate'? known: success-rate",
        ),
        (
            ("templateName: success-rate", "templateName: success-rate\n                clusterScope: true"),
            BIND,
            "rollout.yaml:19:31 spec.strategy.canary.steps[1].analysis.templates[0].templateName: unknown "
            "ClusterAnalysisTemplate 'success-rate': no file that was read has one",
        ),
        (
            ("              - name: service\n                value: web\n", "              []\n"),
            BIND,
            "rollout.yaml:17:11 spec.strategy.canary.steps[1].analysis: expected a value for the argument 'service' of "
            "rollout.yaml:29, got none",
        ),
        (
            ("{{ args.threshold }}", "{{ args.treshold }}"),
            BIND,
            "rollout.yaml:38:38 spec.metrics[0].successCondition: unknown argument 'treshold'; did you mean "
            "'threshold'? known: service, threshold",
        ),
        (
            ("{{ args.threshold }}", "{{ inputs.threshold }}"),
            BIND,
            "rollout.yaml:38:38 spec.metrics[0].successCondition: expected {{args.NAME}}, got '{{ inputs.threshold }}'",
        ),
        (
            ('      value: "0.95"', "      valueFrom: {secretKeyRef: {name: a, key: b}}"),
            BIND,
            "rollout.yaml:38:38 spec.metrics[0].successCondition: argument 'threshold' is known only in a cluster "
            "(valueFrom): expected a value here",
        ),
        (
            ("result[0] >= {{ args.threshold }}", "result[0] >= {{ args.threshold }} && reslt[0] < 1"),
            BIND,
            "rollout.yaml:38:62 spec.metrics[0].successCondition: unknown name 'reslt'; did you mean 'result'? "
            "known: result, true, false, nil",
        ),
        (
            ("count: 10", "count: 2"),
            BIND,
            "rollout.yaml:36:14 spec.metrics[0].count: expected a count of at least failureLimit (3), got 2",
        ),
        (
            ("interval: 30s", "interval:"),
            BIND,
            "rollout.yaml:36:14 spec.metrics[0].count: expected an interval with a count above 1, got count 10 and no "
            "interval",
        ),
        (
            ("      count: 10\n", ""),
            BIND,
            "rollout.yaml:34:7 spec.metrics[0]: metric 'success-rate' has an interval and no count, and Argo refuses one "
            "that never ends outside of canary.analysis",
        ),
        (
            ("interval: 30s", "interval: 30"),
            BIND,
            "rollout.yaml:35:17 spec.metrics[0].interval: expected a duration such as 30s or 5m (units: ms, s, m, h), "
            "got 30",
        ),
        (
            ("failureLimit: 3", "failureLimit: -2"),
            BIND,
            "rollout.yaml:37:21 spec.metrics[0].failureLimit: expected -1 or more, got -2",
        ),
        (
            ("failureLimit: 3", "failureLimit: 3\n      consecutiveSuccessLimit: 8"),
            BIND,
            "rollout.yaml:36:14 spec.metrics[0].count: expected a count of at least "
            "failureLimit + consecutiveSuccessLimit (11), got 10",
        ),
        (
            ("failureLimit: 3", "failurLimit: 3"),
            BIND,
            "rollout.yaml:37:7 spec.metrics[0].failurLimit: unknown field 'failurLimit'; did you mean 'failureLimit'? "
            "known: consecutiveErrorLimit, consecutiveSuccessLimit, count, failureCondition, failureLimit, "
            "inconclusiveLimit, initialDelay, interval, name, provider, successCondition",
        ),
        (
            ("        prometheus:\n", "        datadog: {}\n        prometheus:\n"),
            BIND,
            "rollout.yaml:39:7 spec.metrics[0].provider: expected exactly one provider, got prometheus and datadog",
        ),
        (
            ("          query:", "          rangeQuery: {step: 1m}\n          query:"),
            BIND,
            "rollout.yaml:41:11 spec.metrics[0].provider.prometheus.rangeQuery: rangeQuery is not simulated yet: expected a "
            "script of lists, or pass, as the binding of success-rate",
        ),
    ],
)
def test_an_analysis_is_refused_in_one_line(change: tuple[str, str], bind: dict[str, str], line: str) -> None:
    text = ROLLOUT + TEMPLATE
    assert change[0] in text
    assert refused(text.replace(*change, 1), bind)[0] == line


def test_what_is_wrong_with_an_argument_has_a_caret() -> None:
    text = (ROLLOUT + TEMPLATE).replace("{{ args.threshold }}", "{{ args.treshold }}")
    shown = ["      successCondition: result[0] >= {{ args.treshold }}".strip(), " " * 31 + "^" * 19]
    assert [line[4:] for line in refused(text)[1:]] == shown


def test_a_number_that_cannot_be_read_breaks_no_rule_between_numbers() -> None:
    (line,) = refused((ROLLOUT + TEMPLATE).replace("interval: 30s", "interval: 30"))
    assert "expected a duration such as 30s" in line


@pytest.mark.parametrize(
    "rule", ["dryRun: [{metricName: latency}]", "measurementRetention: [{metricName: latency, limit: 5}]"]
)
@pytest.mark.parametrize("at", ["template", "rollout"])
def test_a_rule_for_metrics_that_matches_none_is_an_error_of_the_run(rule: str, at: str) -> None:
    rollout = (
        ROLLOUT if at == "template" else ROLLOUT.replace("            args:", f"            {rule}\n            args:")
    )
    (line,) = refused(rollout + TEMPLATE + (f"  {rule}\n" if at == "template" else ""))
    name = rule.partition(":")[0]
    assert f"{name}[0].metricName: no metric matches: Argo would end the run with an error; known: success-rate" in line
    assert read((rollout + TEMPLATE + (f"  {rule}\n" if at == "template" else "")).replace("latency", "rate$"))


def test_a_background_analysis_may_go_on_for_ever() -> None:
    text = (ROLLOUT + TEMPLATE).replace("      count: 10\n", "").replace("        - analysis:", "      analysis:")
    (metric,) = read(text).words["canary"]["analysis"]["metrics"]
    assert "count" not in metric


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_file() -> None:
    text = (ROLLOUT + TEMPLATE).replace("setWeight: 10", "setWeight: 110").replace("count: 10", "count: 1")
    text = text.replace("prometheus:", "graphite:")
    lines = [line for line in refused(text, {}) if not line.startswith("    ")]
    assert [line.split(" ")[0] for line in lines] == ["rollout.yaml:16:22", "rollout.yaml:36:14", "rollout.yaml:40:9"]


def test_what_is_wrong_with_a_query_hides_nothing_that_is_wrong_with_a_condition() -> None:
    text = (
        (ROLLOUT + TEMPLATE)
        .replace("[2m]))\n", "[2m])\n")
        .replace("result[0]", "reslt[0]")
        .replace("count: 10", "count: x")
    )
    found = [line for line in refused(text, {}) if not line.startswith("    ")]
    assert [line.split(" ")[1] for line in found] == [
        f"spec.metrics[0].{name}:" for name in ("count", "successCondition", "provider.prometheus.query")
    ]


def test_templates_that_name_each_other_end() -> None:
    text = ROLLOUT + TEMPLATE + "  templates: [{templateName: success-rate}]\n"
    (line,) = refused(text)
    assert line.endswith("templates that name each other in a circle: success-rate -> success-rate")


def test_two_metrics_of_one_name() -> None:
    text = ROLLOUT + TEMPLATE + TEMPLATE[TEMPLATE.index("    - name: success-rate") :]
    assert refused(text) == [
        "rollout.yaml:42:13 spec.metrics[1].name: a metric 'success-rate' stands in rollout.yaml:34 already"
    ]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ScenarioError, match=r"^none\.yaml: expected a manifest: no such file or directory$"):
        import_manifest("none.yaml")


def test_aliases_cannot_grow_without_end() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for last, name in zip("abcdef", "bcdefg", strict=True):
        text += f"{name}: &{name} [{', '.join([f'*{last}'] * 10)}]\n"
    (line,) = refused("kind: Rollout\n" + text)
    assert "expected at most 50000 values" in line


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, below in items for found in _paths(below, (*path, key)))]


@pytest.mark.parametrize("junk", [None, 7, -1, "x", True, [], {}, [1], {"a": 1}, 1e300])
def test_no_value_in_any_place_makes_it_crash(junk: Any) -> None:
    """Every field of a Rollout and a template is replaced by nonsense in turn: a result, or an error that says where."""
    documents = [document.node.plain() for document in parse_documents(ROLLOUT + TEMPLATE, "x")]
    for number, document in enumerate(documents):
        for path in _paths(document)[1:]:
            changed = json.loads(json.dumps(documents))
            at = changed[number]
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = junk
            text = "\n---\n".join(json.dumps(each) for each in changed)
            with contextlib.suppress(ScenarioError):
                read(text)
