"""Every provider of an Argo metric: its fields, what it may be bound to, and what is refused with a caret."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scenarios.errors import ScenarioError
from scenarios.imports.manifest import Imported, import_manifest
from scenarios.imports.providers import FIELDS, PROVIDERS
from scenarios.programs import strategy_of
from scenarios.strategy_check import strategy_words
from scenarios.yaml_nodes import from_plain
from strategies.analysis import Expression, Metric, Phase, Script
from strategies.canary import AnalysisStep, Options
from strategies.effects import PromQuery, Query

ROLLOUT = """\
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  template: {spec: {containers: [{name: web}]}}
  strategy:
    canary:
      trafficRouting: {nginx: {stableIngress: web}}
      steps:
        - analysis:
            templates: [{templateName: check}]
            args:
              - {name: hash, valueFrom: {podTemplateHashValue: Latest}}
              - {name: old, valueFrom: {podTemplateHashValue: Stable}}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: check}
spec:
  args: [{name: hash}, {name: old}, {name: token, valueFrom: {secretKeyRef: {name: a, key: b}}}, {name: app, value: shop}]
  metrics:
    - name: check
"""  # the metric's first line is line 22
KAYENTA = """\
address: x
application: x
canaryConfigName: x
configurationAccountName: x
metricsAccountName: x
storageAccountName: x
threshold: {pass: 95, marginal: 75}
scopes: [{name: a, controlScope: {scope: x, step: 60, region: x, start: x, end: x}}]
"""
#: a provider with as many of its fields as a template has in practice
GIVEN = {
    "prometheus": "address: http://p\ntimeout: 5\nheaders: [{key: a, value: b}]\nquery: up",
    "cloudWatch": "interval: 5m\nmetricDataQueries: [{id: a, metricStat: {metric: {namespace: x, metricName: y, dimensions: [{name: a, value: b}]}, period: 300, stat: p95, unit: Count}, returnData: false}]",
    "datadog": "apiVersion: v2\naggregator: max\ninterval: 5m\nformula: a / b\nqueries: {a: x, b: y}\nsecretRef: {name: dd, namespaced: true}",
    "graphite": "address: http://g\nquery: target=x",
    "influxdb": "profile: x\nquery: from(bucket)",
    "job": "metadata: {labels: {a: b}}\nspec: {template: {}}",
    "kayenta": KAYENTA,
    "newRelic": "profile: x\nquery: FROM Transaction SELECT count(*)\ntimeout: 5",
    "plugin": "argoproj-labs/sample: {anything: [goes, here]}",
    "skywalking": "address: x\ninterval: 3m\nquery: q",
    "wavefront": "address: x\nquery: ts(a)",
    "web": "url: http://x\nmethod: POST\njsonBody: {a: 1}\njsonPath: '{$.data}'\ntimeoutSeconds: 20\nheaders: [{key: a, value: b}]\nauthentication: {oauth2: {tokenUrl: x, clientId: y, clientSecret: z, scopes: [a]}}",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(kind: str, fields: str, bind: dict[str, Any] | None = None, more: str = "") -> Imported:
    """A Rollout whose one metric has this provider."""
    metric = textwrap.indent(f"{more}provider:\n  {kind}:\n{textwrap.indent(fields, '    ')}\n", "      ")
    Path("r.yaml").write_text(ROLLOUT + metric, encoding="utf-8")
    return import_manifest("r.yaml", bind=bind)


def metric_of(found: Imported) -> Metric:
    """The metric of its analysis."""
    strategy = strategy_of("x", strategy_words(from_plain(found.words, found.place), ()))
    options = strategy.program.keywords["options"]  # type: ignore[attr-defined]
    assert isinstance(options, Options)
    (step,) = options.steps
    assert isinstance(step, AnalysisStep)
    (metric,) = step.analysis.metrics
    return metric


def refused(kind: str, fields: str, bind: dict[str, Any] | None = None, more: str = "") -> list[str]:
    """The lines of the error."""
    with pytest.raises(ScenarioError) as caught:
        read(kind, fields, bind, more)
    return str(caught.value).splitlines()


def test_every_provider_is_tried() -> None:
    assert set(GIVEN) == set(PROVIDERS)


@pytest.mark.parametrize("kind", [name for name in GIVEN if name not in ("job", "kayenta")])
def test_a_provider_may_be_bound_to_a_measure(kind: str) -> None:
    metric = metric_of(read(kind, GIVEN[kind], {"check": "success_ratio:canary:2m"}))
    assert metric.query == Query(quantity="success_ratio", window_seconds=120.0)


@pytest.mark.parametrize("kind", GIVEN)
def test_a_provider_may_be_bound_to_a_script_or_to_pass(kind: str) -> None:
    found = read(kind, GIVEN[kind], {"check": "script:Successful,error:repeat:90s"})
    assert metric_of(found).query == Script(answers=(Phase.SUCCESSFUL, Phase.ERROR), seconds=90.0, at_end="repeat")
    assert "metric 'check' hears a script of 2 answers, as bound (r.yaml:22)" in found.assumed
    assert read(kind, GIVEN[kind], {"check": "pass"}).words["canary"]["steps"] == [{"pause": {"duration": "0s"}}]


@pytest.mark.parametrize("kind", [name for name in GIVEN if name != "prometheus"])
def test_a_provider_that_is_bound_to_nothing_is_refused(kind: str) -> None:
    line, text, carets = refused(kind, GIVEN[kind])
    assert line.startswith(
        f"r.yaml:24:9 spec.metrics[0].provider.{kind}: metric 'check' measures nothing known: bind it, e.g. --bind check="
    )
    assert (text, carets) == (f"    {kind}:", f"    {'^' * len(kind)}")
    assert ("script:Successful" in line) is (kind == "job")
    assert ("script:95" in line) is (kind == "kayenta")


@pytest.mark.parametrize("kind", [name for name in GIVEN if name != "plugin"])
def test_an_unknown_field_names_the_known_ones(kind: str) -> None:
    for bind in (None, {"check": "pass"}, {"check": "script:1"}):
        lines = refused(kind, GIVEN[kind] + "\nqurey: x", bind)
        line, *excerpt = lines[next(number for number, each in enumerate(lines) if "qurey" in each) :][:3]
        assert excerpt == ["    qurey: x", "    ^^^^^"]
        known = ", ".join(sorted(FIELDS[kind]))
        assert f".provider.{kind}.qurey: unknown field 'qurey';" in line
        assert line.endswith(f"known: {known}")


@pytest.mark.parametrize(
    ("kind", "fields", "line"),
    [
        ("datadog", "query: a\nqueries: {a: x}", "datadog: expected query or queries, got query and queries"),
        ("datadog", "interval: 5m", "datadog: expected query or queries, got none"),
        ("datadog", "queries: {a: x, b: y}", "queries: expected a formula with 2 queries, got none"),
        ("datadog", "query: a\nformula: a", "formula: expected queries beside a formula, got none"),
        ("datadog", "query: a\naggregator: avrage", "aggregator: unknown word 'avrage';"),
        ("datadog", "query: a\napiVersion: v3", "apiVersion: unknown word 'v3';"),
        ("datadog", "query: a\nsecretRef: {nmae: x}", "secretRef.nmae: unknown field 'nmae'; did you mean 'name'?"),
        ("web", "jsonPath: x", "web: expected url, got none"),
        ("web", "url: x\nbody: a\njsonBody: {}", "jsonBody: expected body or jsonBody, got both"),
        ("web", "url: x\nmethod: GTE", "method: unknown word 'GTE'; did you mean 'GET'? known: GET, POST, PUT"),
        ("web", "url: x\nheaders: [{kye: a}]", "headers[0].kye: unknown field 'kye'; did you mean 'key'?"),
        ("web", "url: x\nauthentication: {oauth: {}}", "authentication.oauth: unknown field 'oauth'; did you mean 'oauth2'?"),
        ("job", "metadata: {}", "job: expected spec, got none"),
        ("newRelic", "profile: x", "newRelic: expected query, got none"),
        ("cloudWatch", "interval: 5m", "cloudWatch: expected metricDataQueries, got none"),
        ("cloudWatch", "metricDataQueries: [{metricStat: {metric: {dimensions: [{nam: a}]}}}]", "dimensions[0].nam: unknown field"),
        ("kayenta", "address: x", "kayenta: expected application, got none"),
        ("kayenta", KAYENTA.replace("marginal: 75", "margin: 75"), "threshold.margin: unknown field 'margin'"),
        ("prometheus", "query: up\nrangeQuery: {stop: 5}", "rangeQuery.stop: unknown field 'stop'"),
    ],
)  # fmt: skip
def test_fields_of_a_provider_are_checked(kind: str, fields: str, line: str) -> None:
    assert any(line in each for each in refused(kind, fields, {"check": "script:95"}))


# --- scripts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "bind", "answers"),
    [
        ("job", {"script": ["Failed", "error"]}, (Phase.FAILED, Phase.ERROR)),
        ("kayenta", {"script": [95, 94.9, 75, 74, 0, "error"]}, (Phase.SUCCESSFUL, Phase.INCONCLUSIVE, Phase.INCONCLUSIVE, Phase.FAILED, Phase.FAILED, Phase.ERROR)),
        ("kayenta", {"script": ["Inconclusive"]}, (Phase.INCONCLUSIVE,)),
        ("web", {"script": [{"a": 1, "b": [True, None]}, "text", None, [1]]}, ({"a": 1.0, "b": [True, None]}, "text", None, [1.0])),
        ("datadog", {"script": [0.99, "Inf"]}, (0.99, float("inf"))),
    ],
)  # fmt: skip
def test_the_answers_of_a_script(kind: str, bind: dict[str, Any], answers: tuple[Any, ...]) -> None:
    more = "" if kind in ("job", "kayenta") else "successCondition: isNil(result) || result.a > 0\n"
    assert metric_of(read(kind, GIVEN[kind], {"check": bind}, more)).query == Script(answers=answers)


def test_conditions_of_what_decides_by_itself_are_not_asked() -> None:
    found = read("job", GIVEN["job"], {"check": "script:Failed"}, "successCondition: result > 1\n")
    assert found.warnings == ("r.yaml:23: a job decides by itself: successCondition is not asked",)
    assert metric_of(found).success is None


@pytest.mark.parametrize(
    ("kind", "bind", "line"),
    [
        ("job", "script:0.5", "job: expected a script of Successful, Failed or error, got another answer"),
        ("job", "script:Succesful", "job: unknown answer 'Succesful' of a metric without conditions; did you mean 'Successful'?"),
        ("kayenta", "script:950", "kayenta: expected a script of scores from 0 to 100, got another answer"),
        ("job", "success_ratio:canary:5m", "job: a job decides by itself: expected a script of its answers, or the binding pass"),
        ("web", "script:", "bind.check: expected script:ANSWER,ANSWER"),
        ("web", "script:1:forever", "bind.check: expected script:ANSWER,ANSWER"),
        ("web", "script:1:hold:repeat", "bind.check: expected script:ANSWER,ANSWER"),
        ("web", "script:1:30s:20s", "bind.check: expected script:ANSWER,ANSWER"),
        ("web", "script:[1,2]", "bind.check: expected plain answers, got '[1': lists, mappings and quotes are for files"),
        ("web", "script:'it worked'", "bind.check: expected plain answers, got \"'it worked'\": lists, mappings and quotes"),
        ("web", {"script": []}, "bind.check: expected 1 to 1000 answers, got 0"),
        ("web", {"script": [1], "then": "hold"}, "bind.check: unknown field 'then'"),
        ("web", {"script": [1], "after": "hodl"}, "bind.check: unknown word 'hodl'; did you mean 'hold'?"),
        ("web", {"script": [1], "takes": "long"}, "bind.check: expected a duration such as"),
        ("web", {"after": "hold"}, "bind.check: expected a list of answers such as"),
    ],
)  # fmt: skip
def test_a_script_that_cannot_be_is_refused(kind: str, bind: Any, line: str) -> None:
    assert any(line in each for each in refused(kind, GIVEN[kind], {"check": bind}))


# --- PromQL as it stands -----------------------------------------------------------------------------------------


def test_a_query_is_asked_as_it_stands_with_its_arguments() -> None:
    query = (
        'sum(rate(http_requests_total{pod_template_hash="{{args.hash}}",service="{{ args.app }}"}[5m])) / {{args.old}}'
    )
    found = read(
        "prometheus",
        f"query: |\n  {query.replace(' / {{args.old}}', '')}",
        None,
        "successCondition: len(result) > 0 && result[0] > 1\n",
    )
    metric = metric_of(found)
    assert metric.query == PromQuery('sum(rate(http_requests_total{pod_template_hash="canary",service="shop"}[5m]))\n')
    assert metric.success == Expression("len(result) > 0 && result[0] > 1")
    assert "metric 'check' asks its query as it stands (r.yaml:26)" in found.assumed


def test_the_hashes_of_both_revisions_are_their_names() -> None:
    metric = metric_of(read("prometheus", "query: up{a='{{args.hash}}',b='{{args.old}}'}"))
    assert metric.query == PromQuery("up{a='canary',b='stable'}")


def test_a_secret_in_a_query_needs_a_binding() -> None:
    assert refused("prometheus", "query: up{a='{{args.token}}'}") == [
        "r.yaml:25:24 spec.metrics[0].provider.prometheus.query: argument 'token' is known only in a cluster (valueFrom): "
        "bind the metric, e.g. --bind check=success_ratio:canary",
        "    query: up{a='{{args.token}}'}",
        "                 ^^^^^^^^^^^^^^",
    ]


@pytest.mark.parametrize(
    ("fields", "more", "lines"),
    [
        (
            "query: |\n  sum(\n    rat(x[5m])\n  )",
            "",
            [
                "r.yaml:27:15 spec.metrics[0].provider.prometheus.query: function 'rat' is not supported;",
                "    rat(x[5m])",
                "    ^^^",
            ],
        ),
        (
            "query: sum(rate(x{a='{{args.app}}'}[5m])) + bsolute(y)",
            "",
            [
                "r.yaml:25:55 spec.metrics[0].provider.prometheus.query: function 'bsolute' is not supported;",
                "    query: sum(rate(x{a='{{args.app}}'}[5m])) + bsolute(y)",
                "                                                ^^^^^^^",
            ],
        ),
        (
            "query: up",
            "failureCondition: >-\n  result[0] > 0.2 &&\n  result[0] =< {{args.app}}\n",
            [
                "r.yaml:25:19 spec.metrics[0].failureCondition: unexpected character '='; did you mean '=='?",
                "    result[0] =< {{args.app}}",
                "              ^",
            ],
        ),
        (
            "query: up",
            "successCondition: result[0] > {{args.app}}\n",
            [
                "r.yaml:23:37 spec.metrics[0].successCondition: unknown name 'shop'; known: result, true, false, nil",
                "    successCondition: result[0] > {{args.app}}",
                "                                  ^^^^^^^^^^^^",
            ],
        ),
    ],
)
def test_a_fault_stands_under_its_caret(fields: str, more: str, lines: list[str]) -> None:
    first, *rest = refused("prometheus", fields, None, more)
    assert first.startswith(lines[0])
    assert rest == lines[1:]


def test_a_range_query_can_be_scripted() -> None:
    fields = "query: up\nrangeQuery: {start: 'now() - duration(\"5m\")', end: now(), step: 1m}"
    bind = {"check": {"script": [[0.99, 0.98]]}}
    metric = metric_of(read("prometheus", fields, bind, "successCondition: 'all(result, # > 0.9)'\n"))
    assert metric.query == Script(answers=([0.99, 0.98],))
    (line,) = refused("prometheus", fields)
    assert line.endswith(
        "rangeQuery is not simulated yet: expected a script of lists, or pass, as the binding of check"
    )


def test_a_richer_condition_of_a_bound_query_is_asked_of_the_value_times_its_factor() -> None:
    more = "successCondition: isNaN(result[0]) || result[0] >= 95\nfailureCondition: result[0] < 80\n"
    metric = metric_of(read("prometheus", "query: up", {"check": "success_ratio*100:canary:5m"}, more))
    assert metric.factor == 100.0
    assert metric.success == Expression("isNaN(result[0]) || result[0] >= 95")
    assert metric.failure is not None
    assert str(metric.failure) == "Condition(op='<', threshold=80.0)"


def test_a_condition_of_another_shape_needs_a_script() -> None:
    """CloudWatch answers with a list of mappings; a measure is one number."""
    more = "successCondition: result[0].Values[0] <= 0.01\n"
    assert refused("cloudWatch", GIVEN["cloudWatch"], {"check": "error_ratio:canary:5m"}, more) == [
        "r.yaml:23:25 spec.metrics[0].successCondition: .Values is of a mapping, not a number; a measure answers with one "
        "number: script the answers of its provider instead",
        "    successCondition: result[0].Values[0] <= 0.01",
        "                      ^^^^^^^^^",
    ]
    bind = {"check": {"script": [[{"Values": [0.005]}], [{"Values": [0.5]}]]}}
    metric = metric_of(read("cloudWatch", GIVEN["cloudWatch"], bind, more))
    assert metric.query == Script(answers=([{"Values": [0.005]}], [{"Values": [0.5]}]))


# --- the schema of Argo itself, where it is present --------------------------------------------------------------


def test_the_fields_are_those_of_the_schema() -> None:
    folder = os.environ.get("ROLLOUTLAB_CRDS")
    if not folder:
        pytest.skip("schemas of other projects: set ROLLOUTLAB_CRDS to a folder that holds them")
    path = Path(folder) / "argo-rollouts" / "analysis-template.yaml"
    schema = YAML(typ="safe").load(path.read_text(encoding="utf-8"))["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = schema["properties"]["spec"]["properties"]["metrics"]["items"]["properties"]["provider"]["properties"]
    assert set(spec) == set(PROVIDERS)
    for kind, fields in FIELDS.items():
        _same(fields, spec[kind]["properties"], kind)


def _same(ours: dict[str, Any], theirs: dict[str, Any], path: str) -> None:
    assert set(ours) == set(theirs), path
    for name, inside in ours.items():
        below = theirs[name].get("items", theirs[name])
        if inside is not None:
            _same(inside[0] if isinstance(inside, list) else inside, below["properties"], f"{path}.{name}")
