"""Entries under `strategies:` become strategies that run, or one line that says what is wrong and where."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from scenarios import Scenario, ScenarioError, load_scenario
from scenarios.build import Built, build_strategies
from scenarios.strategy_spec import StrategyWords
from strategies.effects import Query, Release, Scale

MANIFESTS = Path(__file__).parents[2] / "scenarios" / "manifests"
BIND = {"success-rate": "success_ratio:canary", "latency-p95": "latency_p95:canary"}
HEAD = "apiVersion: rolloutlab/v1\nstrategies:\n  one:\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def build(entry: str, top: str = "", **options: Any) -> Built:
    """Build a scenario file with one entry `one` (not indented)."""
    text = textwrap.indent(textwrap.dedent(entry).rstrip("\n") + "\n", "    ")
    Path("s.yaml").write_text(HEAD + text + top, encoding="utf-8")
    loaded = load_scenario("s.yaml", allow_python=bool(options.get("allow_python")))
    return build_strategies(loaded, **options)


def refused(entry: str, top: str = "", **options: Any) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        build(entry, top, **options)
    return str(caught.value).splitlines()


METRIC = "{name: errors, measure: error_ratio, interval: 1m, failureLimit: 3, successCondition: 'result[0] < 0.01'}"


# --- what they become --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        "rollingUpdate: {}",
        "rollingUpdate: {maxSurge: 2, maxUnavailable: 0, minReadySeconds: 5}\nanalysis: {metrics: [" + METRIC + "]}",
        "blueGreen: {autoPromotionEnabled: false, previewReplicaCount: 1}",
        "canary: {steps: [{setWeight: 10}, {pause: {duration: 10m}}, {pause: {}}]}",
        "canary: {steps: [{setWeight: 10}, {analysis: {metrics: [" + METRIC + "]}}]}\nrollback: undo",
        "canary: {analysis: {metrics: [" + METRIC + "], startingStep: 1}, steps: [{setWeight: 5}, {pause: {}}]}\n"
        "rollback: {progressive: {weights: [50, 25, 0], pause: 10s}}",
        "canary: {steps: [{setCanaryScale: {replicas: 3}}, {setCanaryScale: {matchTrafficWeight: true}}]}",
    ],
)
def test_every_form_gives_a_strategy_that_starts(entry: str) -> None:
    built = build(entry)
    strategy = built.strategies["one"]
    program = strategy.program(Release(replicas=10))
    assert next(program) is not None
    assert built.patch == {}
    assert built.assumed == ()


def test_the_queries_of_all_analyses_are_declared() -> None:
    built = build(
        """\
        canary:
          steps:
            - setWeight: 10
            - analysis: {metrics: [{name: slow, measure: latency_p99, revision: stable, window: 90s}]}
          analysis:
            metrics:
              - {name: errors, measure: error_ratio, interval: 30s, successCondition: 'result[0] < 0.01'}
        """
    )
    assert set(built.strategies["one"].reads) == {
        Query(quantity="latency_quantile", quantile=0.99, revision="stable", window_seconds=90.0),
        Query(quantity="error_ratio", revision="canary", window_seconds=300.0),
    }


def test_a_named_schedule_gives_its_steps() -> None:
    built = build("canary: {steps: classic-30}")
    assert built.strategies["one"].settings


def test_without_a_router_weights_follow_the_pods() -> None:
    assert build("canary: {steps: [{setWeight: 10}]}").routed == {"one": True}
    assert build("canary: {steps: [{setWeight: 10}]}", "router: {kind: pods}\n").routed == {"one": False}
    assert build("blueGreen: {}", "router: {kind: pods}\n").routed == {"one": True}  # one switch, not a split


def test_a_scenario_made_in_python() -> None:
    scenario = Scenario(api_version="rolloutlab/v1", strategies={"a": {"rollingUpdate": {}}, "b": {"blueGreen": {}}})
    assert list(build_strategies(scenario).strategies) == ["a", "b"]
    wrong = scenario.model_copy(update={"strategies": {"a": {"rollingUpdate": {"maxSurge": -1}}}})
    with pytest.raises(ScenarioError, match=r"^strategies\.a\.rollingUpdate\.maxSurge: expected a number of pods"):
        build_strategies(wrong)


def test_an_analysis_step_that_goes_on_for_ever_is_told() -> None:
    built = build("canary: {steps: [{analysis: {metrics: [" + METRIC + "]}}]}")
    assert built.warnings == (
        "one: steps[0].analysis: metric 'errors' has an interval and no count: it goes on until it fails",
    )


def test_editors_get_a_schema_of_the_words() -> None:
    schema = StrategyWords.model_json_schema(by_alias=True)
    assert {"rollingUpdate", "blueGreen", "canary", "from", "python"} <= set(schema["properties"])


# --- manifests ---------------------------------------------------------------------------------------------------


def test_three_manifests_of_one_service() -> None:
    names = {"rolling": "deployment", "blue-green": "bluegreen", "canary": "rollout"}
    lines = ["apiVersion: rolloutlab/v1", "strategies:"]
    for name, file in names.items():
        bind = "" if name == "rolling" else ", bind: {success-rate: 'success_ratio:canary'}"
        lines.append(f"  {name}: {{from: checkout-{file}.yaml, templates: [checkout-analysis.yaml]{bind}}}")
    Path("s.yaml").write_text("\n".join(lines), encoding="utf-8")
    for path in MANIFESTS.glob("checkout-*.yaml"):
        Path(path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    built = build_strategies(load_scenario("s.yaml"), bind={"latency-p95": "latency_p95:canary"})
    assert built.patch["service"]["replicas"] == 10
    assert built.routed == {"rolling": True, "blue-green": True, "canary": True}
    assert len(built.strategies["canary"].reads) == 2
    assert set(built.imported) == set(names)
    assert any("success_ratio of canary over 5m" in line for line in built.assumed)
    patched = load_scenario("s.yaml", overrides=built.patch).scenario
    assert patched.service.replicas == 10
    assert patched.service.probes.startup is not None
    assert patched.service.resources.memory_limit_mib == 512
    assert patched.service.shutdown.pre_stop_seconds == 5


def copy(name: str, change: tuple[str, str] = ("", "")) -> None:
    text = (MANIFESTS / name).read_text(encoding="utf-8")
    assert change[0] in text
    Path(name).write_text(text.replace(*change), encoding="utf-8")


def test_relative_names_start_at_the_scenario_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy("checkout-deployment.yaml")
    Path("s.yaml").write_text(HEAD + "    from: checkout-deployment.yaml\n", encoding="utf-8")
    Path("elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert build_strategies(load_scenario("../s.yaml")).imported["one"].name == "checkout"


def test_a_manifest_named_in_an_extended_file_lies_beside_that_file() -> None:
    Path("base").mkdir()
    text = (MANIFESTS / "checkout-deployment.yaml").read_text(encoding="utf-8")
    Path("base/checkout.yaml").write_text(text, encoding="utf-8")
    Path("base/s.yaml").write_text(HEAD + "    from: checkout.yaml\n", encoding="utf-8")
    Path("s.yaml").write_text("extends: base/s.yaml\ntitle: mine\n", encoding="utf-8")
    assert build_strategies(load_scenario("s.yaml")).imported["one"].place.file == "base/checkout.yaml"


def test_a_rollout_without_traffic_routing_is_not_routed() -> None:
    copy("checkout-rollout.yaml", ("      trafficRouting:\n        nginx:\n          stableIngress: checkout\n", ""))
    copy("checkout-analysis.yaml")
    built = build("from: checkout-rollout.yaml\ntemplates: [checkout-analysis.yaml]", bind=BIND)
    assert built.routed == {"one": False}


def test_two_manifests_that_disagree_are_not_one_service() -> None:
    copy("checkout-deployment.yaml")
    text = Path("checkout-deployment.yaml").read_text(encoding="utf-8")
    Path("other.yaml").write_text(text.replace("replicas: 10", "replicas: 4"), encoding="utf-8")
    lines = refused("from: checkout-deployment.yaml", "  two:\n    from: other.yaml\n")
    assert lines == [
        "other.yaml:3:7 strategies.two.from: service.replicas is 4 here and 10 in checkout-deployment.yaml: "
        "a scenario has one service"
    ]


def test_bindings_of_the_command_line_must_name_something() -> None:
    copy("checkout-rollout.yaml")
    copy("checkout-analysis.yaml")
    entry = "from: checkout-rollout.yaml\ntemplates: [checkout-analysis.yaml]"
    assert refused(entry, bind={**BIND, "sucess-rate": "error_ratio:canary"}) == [
        "bind.sucess-rate: unknown metric 'sucess-rate'; did you mean 'success-rate'? known: latency-p95, "
        "latency-p95/latency-p95, success-rate, success-rate/success-rate"
    ]
    assert refused("rollingUpdate: {}", bind={"a": "error_ratio:canary"}) == [
        "bind.a: no metric takes the binding 'a': the manifest has no analysis"
    ]
    template = Path("checkout-analysis.yaml")
    template.write_text(template.read_text(encoding="utf-8").replace("        prometheus:", "        graphite:"))
    assert refused(entry, bind={"success-rate": "success_ratio:canary:5m"}) == [
        "checkout-analysis.yaml:42:9 spec.metrics[0].provider.graphite: metric 'latency-p95' measures nothing known: "
        "bind it, e.g. --bind latency-p95=latency_p95:canary, or script the answers of its graphite: "
        "--bind latency-p95=script:0.99,0.95",
        "    graphite:",
        "    ^^^^^^^^",
    ]


# --- python ------------------------------------------------------------------------------------------------------

CODE = """\
from strategies.effects import Fate, Outcome, Promote, Query, Scale

def mine(release, *, extra=1):
    yield Scale(release.canary, release.replicas + extra)
    yield Promote()
    return Fate(Outcome.PROMOTED)

def plain(release):
    return None

def reader(release):
    yield Promote()
    return Fate(Outcome.PROMOTED)
reader.reads = (Query(quantity="error_ratio", window_seconds=60.0),)

def wrong(release):
    yield Promote()
wrong.reads = ("error_ratio",)
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module beside the scenario, of a name that no other test has."""
    name = f"mine_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(CODE, encoding="utf-8")
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def test_a_strategy_of_ones_own(code: str) -> None:
    built = build(f"python: {code}:mine\nsettings: {{extra: 3}}\nreads: ['success_ratio:all:1m']", allow_python=True)
    strategy = built.strategies["one"]
    assert next(strategy.program(Release(replicas=2))) == Scale("canary", 5)
    assert strategy.reads == (Query(quantity="success_ratio", revision="all", window_seconds=60.0),)
    assert build(f"python: {code}:reader", allow_python=True).strategies["one"].reads == (
        Query(quantity="error_ratio", window_seconds=60.0),
    )


def test_code_is_not_run_unasked(code: str) -> None:
    line = (
        "s.yaml:4:5 strategies.one.python: a strategy that runs Python code is refused; give --allow-python if you "
        "trust this file"
    )
    assert refused(f"python: {code}:mine") == [line]
    loaded = load_scenario("s.yaml", allow_python=True)
    with pytest.raises(ScenarioError, match="is refused"):
        build_strategies(loaded)
    assert code not in sys.modules


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("python: mine", "expected package.module:function, got 'mine'"),
        ("python: CODE:mien", "module 'CODE' has no function 'mien'; did you mean 'mine'?"),
        ("python: CODE:plain", "expected a generator function (one that yields effects), got 'plain' that is none"),
        ("python: CODE:wrong", "expected the attribute reads to hold strategies.effects.Query, got 'error_ratio'"),
        (
            "python: CODE:mine\nsettings: {etxra: 3}",
            "the function does not take these settings: got an unexpected keyword argument 'etxra'",
        ),
        (
            "python: CODE:mine\nreads: [error_ratio]",
            "expected MEASURE:REVISION or MEASURE:REVISION:WINDOW, such as error_ratio:canary:5m, got 'error_ratio'",
        ),
        (
            "python: CODE:mine\nreads: ['error_ratio:canary']",
            "expected a query such as error_ratio:canary:5m, got 'error_ratio:canary'",
        ),
    ],
)
def test_a_strategy_of_ones_own_is_refused_in_one_line(code: str, entry: str, problem: str) -> None:
    (line,) = refused(entry.replace("CODE", code), allow_python=True)
    assert line == f"s.yaml:4:13 strategies.one.python: {problem.replace('CODE', code)}"


def test_a_module_that_is_not_there() -> None:
    (line,) = refused("python: no_such_module_here:f", allow_python=True)
    assert line.startswith("s.yaml:4:13 strategies.one.python: no module 'no_such_module_here' (looked for ")


# --- what is refused ---------------------------------------------------------------------------------------------

P = "s.yaml:4"


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (
            "canary: {steps: [{setWeight: 150}]}",
            f"{P}:34 strategies.one.canary.steps[0].setWeight: expected at most 100, got 150",
        ),
        (
            "canary: {steps: [{setWeight: -1}]}",
            f"{P}:34 strategies.one.canary.steps[0].setWeight: expected 0 or more, got -1",
        ),
        (
            "canary: {steps: [{setWeight: 2.5}]}",
            f"{P}:34 strategies.one.canary.steps[0].setWeight: expected a whole number, got 2.5",
        ),
        (
            "canary: {steps: [{setWeight: 10, pause: {}}]}",
            f"{P}:22 strategies.one.canary.steps[0]: expected exactly one of setWeight, pause, setCanaryScale, "
            "analysis, got setWeight and pause",
        ),
        (
            "canary: {steps: [{setWieght: 10}]}",
            f"{P}:23 strategies.one.canary.steps[0].setWieght: unknown field 'setWieght'; did you mean 'setWeight'? "
            "known: analysis, pause, setCanaryScale, setWeight",
        ),
        (
            "canary: {steps: [{experiment: {}}]}",
            f"{P}:23 strategies.one.canary.steps[0].experiment: experiment is not simulated yet",
        ),
        (
            "canary: {steps: [{pause: {duration: soon}}]}",
            f"{P}:41 strategies.one.canary.steps[0].pause.duration: expected a duration such as 30s, 5m or 1h30m, "
            "got 'soon'",
        ),
        (
            "canary: {steps: [{setCanaryScale: {}}]}",
            f"{P}:23 strategies.one.canary.steps[0].setCanaryScale: expected exactly one of replicas, weight and "
            "matchTrafficWeight: true",
        ),
        (
            "canary: {maxSurge: 0, maxUnavailable: 0%}",
            f"{P}:5 strategies.one.canary: expected maxSurge or maxUnavailable above 0, got 0 for both",
        ),
        (
            "canary: {analysis: {metrics: [" + METRIC + "], startingStep: 3}, steps: [{setWeight: 5}]}",
            f"{P}:157 strategies.one.canary.analysis.startingStep: expected at most 1 (the number of steps), got 3",
        ),
        (
            "rollingUpdate: {maxSurge: 25}\ncanary: {}",
            f"{P[:-2]}:3:3 strategies.one: expected exactly one of rollingUpdate, blueGreen, canary, from, python, "
            "got rollingUpdate and canary",
        ),
        (
            "rollback: undo",
            f"{P[:-2]}:3:3 strategies.one: expected exactly one of rollingUpdate, blueGreen, canary, from, python, "
            "got none of them",
        ),
        (
            "rollingUpdate: {}\nrollback: undo",
            f"{P[:-2]}:3:3 strategies.one: expected rollback beside canary only, got it beside rollingUpdate",
        ),
        (
            "canry: {}",
            f"{P}:5 strategies.one.canry: unknown field 'canry'; did you mean 'canary'? known: analysis, bind, "
            "blueGreen, canary, from, python, reads, rollback, rollingUpdate, settings, templates",
        ),
        (
            "canary: {}\nrollback: undoo",
            "s.yaml:5:15 strategies.one.rollback: unknown word 'undoo'; did you mean 'undo'? known: instant, undo",
        ),
        (
            "canary: {}\nrollback: {progressive: {weights: [25, 50, 0]}}",
            "s.yaml:5:30 strategies.one.rollback.progressive.weights: expected falling weights that end with 0, got "
            "[25, 50, 0]",
        ),
        (
            "canary: {}\nrollback: {progresive: {}}",
            "s.yaml:5:16 strategies.one.rollback.progresive: unknown field 'progresive'; did you mean 'progressive'? "
            "known: progressive",
        ),
        (
            "rollingUpdate: {maxSurge: 10 percent}",
            f"{P}:31 strategies.one.rollingUpdate.maxSurge: expected a number of pods, 0 or more, or a percentage "
            "such as 25%, got '10 percent'",
        ),
        (
            "rollingUpdate: {minReadySeconds: 600}",
            f"{P}:5 strategies.one.rollingUpdate: expected progressDeadlineSeconds above minReadySeconds (600), got 600",
        ),
        (
            "blueGreen: {prePromotionAnalysis: {metrics: [" + METRIC + "]}}",
            f"{P}:50 strategies.one.blueGreen.prePromotionAnalysis.metrics[0]: metric 'errors' has an interval and no "
            "count, so it would never end: expected a count",
        ),
        (
            "blueGreen: {prePromotionAnalysis: {metrics: []}}",
            f"{P}:17 strategies.one.blueGreen.prePromotionAnalysis: expected metrics or a judge, got neither",
        ),
        (
            "rollingUpdate: {}\nanalysis: {metrics: [{name: a, measure: eror_ratio}]}",
            "s.yaml:5:45 strategies.one.analysis.metrics[0].measure: unknown measure 'eror_ratio'; did you mean "
            "'error_ratio'? known: error_ratio, success_ratio, request_rate, latency_p50, latency_p95, latency_p99 "
            "(any latency_pNN)",
        ),
        (
            "rollingUpdate: {}\nanalysis: {metrics: [{name: a, measure: error_ratio, query: up}]}",
            "s.yaml:5:26 strategies.one.analysis.metrics[0]: expected exactly one of measure, query, script, got "
            "measure and query",
        ),
        (
            "rollingUpdate: {}\nanalysis: {metrics: [{name: a, measure: error_ratio, count: 3}]}",
            "s.yaml:5:26 strategies.one.analysis.metrics[0]: expected an interval with a count above 1, got count 3 "
            "and no interval",
        ),
        (
            "rollingUpdate: {}\nanalysis: {metrics: [{name: a, measure: error_ratio}, {name: a, measure: error_ratio}]}",
            "s.yaml:5:16 strategies.one.analysis.metrics: expected metrics of different names, got 'a' 2 times",
        ),
        (
            "rollingUpdate: {}\nanalysis: {metrics: [{name: a, measure: error_ratio, window: 0s}]}",
            "s.yaml:5:66 strategies.one.analysis.metrics[0].window: expected more than 0, got '0s'",
        ),
        ("from: none.yaml", f"{P}:11 strategies.one.from: expected a manifest: no such file or directory (none.yaml)"),
        (
            "from: s.yaml",
            f"{P}:11 strategies.one.from: expected a Rollout or a Deployment, got Scenario (s.yaml)",
        ),
    ],
)  # fmt: skip
def test_an_entry_is_refused_in_one_line(entry: str, line: str) -> None:
    top = "kind: Scenario\n" if entry == "from: s.yaml" else ""
    (found,) = refused(entry + "\n", top)
    assert found == line


def test_what_needs_a_router_is_refused_without_one() -> None:
    assert refused("canary: {steps: [{setCanaryScale: {replicas: 2}}]}\n", "router: {kind: pods}\n") == [
        f"{P}:23 strategies.one.canary.steps[0].setCanaryScale: expected a router (router.kind: weighted), got "
        "router.kind: pods"
    ]


def test_errors_of_all_entries_are_said_together() -> None:
    lines = refused("canary: {steps: [{setWeight: 101}]}\n", "  two:\n    rollingUpdate: {maxSurge: x}\n")
    assert [line.split(" ")[0] for line in lines] == ["s.yaml:4:34", "s.yaml:6:31"]
