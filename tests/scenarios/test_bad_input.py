"""Bad input: a table of what is wrong with a file and the exact lines that say so."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import pytest

from scenarios import ScenarioErrors, load_scenario

HEAD = "apiVersion: rolloutlab/v1\nstrategies: {a: {rollingUpdate: {}}}\n"
FAULTS = "added_latency, crash_loop, error_ratio, memory_leak, never_ready, pool_leak, slow_start"
SECTIONS = (
    "apiVersion, expect, extends, faults, horizon, kind, metrics, people, prices, question, release, router, service, "
    "slo, strategies, title, traffic, users, variants"
)
PERCENT = "expected a percentage from 0% to 100% such as 5% (or a share between 0 and 1)"


def errors_of(folder: Path, text: str, **options: object) -> list[str]:
    """The lines that loading a file gives, with its name as `f.yaml`."""
    (folder / "f.yaml").write_text(text)
    here = os.getcwd()
    os.chdir(folder)
    try:
        with pytest.raises(ScenarioErrors) as caught:
            load_scenario("f.yaml", **options)  # type: ignore[arg-type]
    finally:
        os.chdir(here)
    return str(caught.value).splitlines()


# What is appended to HEAD (which has two lines), and the line of the error after `f.yaml:`.
ONE_LINE = [
    ("servce: {}", f"3:1 servce: unknown field 'servce'; did you mean 'service'? known: {SECTIONS}"),
    ("xyz: {}", f"3:1 xyz: unknown field 'xyz'; known: {SECTIONS}"),
    (
        "faults:\n- {kind: memory_leak, mibPerRequest: 0.1}\n- {kind: pool_leak, perRequest: 1%}",
        "5:3 faults[1]: a second leak that counts requests is not simulated yet, expected at most one in a file",
    ),
    (
        "slo: {latncy: 1s}",
        "3:7 slo.latncy: unknown field 'latncy'; did you mean 'latency'? known: latency, objective",
    ),
    (
        "service: {error_ratio: 5%}",
        "3:11 service.error_ratio: unknown field 'error_ratio'; did you mean 'errorRatio'? known: endpointLag, "
        "errorRatio, latency, name, probes, replicas, resources, shutdown, startup, threads",
    ),
    ("horizon: 20 sec", "3:10 horizon: expected a duration such as 30s, 5m or 1h30m, got '20 sec'"),
    ("horizon: -1", "3:10 horizon: expected a duration such as 30s, 5m or 1h30m, 0 or more, got -1.0"),
    ("horizon: 0s", "3:10 horizon: expected more than 0, got '0s'"),
    ("horizon: .nan", "3:10 horizon: expected a duration such as 30s, 5m or 1h30m, got nan"),
    ("service: {replicas: 0}", "3:21 service.replicas: expected 1 or more, got 0"),
    ("service: {replicas: 1001}", "3:21 service.replicas: expected at most 1000, got 1001"),
    ("service: {replicas: ten}", "3:21 service.replicas: expected a whole number, got 'ten'"),
    ("service: {replicas: 2.5}", "3:21 service.replicas: expected a whole number, got 2.5"),
    ("service: {replicas: yes}", "3:21 service.replicas: expected a whole number, got 'yes'"),
    ("service: {replicas: true}", "3:21 service.replicas: expected a whole number, got true"),
    ("service: {replicas: }", "3:11 service.replicas: expected a whole number, got null"),
    ("service:", "3:1 service: expected a mapping, got null"),
    ("service: 7", "3:10 service: expected a mapping, got 7"),
    ("service: {latency: {p50: 1s}}", "3:11 service.latency.p99: expected a value, got nothing"),
    (
        "service: {latency: {p50: 1s, p99: 10ms}}",
        "3:11 service.latency: expected a p99 of at least the p50 (1s), got 10ms",
    ),
    (
        "service: {resources: {memoryBase: 1Gi}}",
        "3:11 service.resources: expected a memoryBase below the memoryLimit (512Mi), got 1Gi",
    ),
    (
        "service: {resources: {memoryBase: 10MB}}",
        "3:35 service.resources.memoryBase: expected a quantity of memory such as 512Mi or 1Gi, got '10MB'",
    ),
    ("service: {endpointLag: [2s, 1s]}", "3:11 service.endpointLag: expected [shortest, longest], got [2s, 1s]"),
    ("service: {endpointLag: [2s]}", "3:11 service.endpointLag[1]: expected a value, got nothing"),
    (
        "service: chekout",
        "3:10 service.preset: unknown preset 'chekout'; did you mean 'checkout'? "
        "known: checkout, internal-admin, web-10",
    ),
    (
        "service: {preset: 5}",
        "3:19 service.preset: expected the name of a preset, got 5; known: checkout, internal-admin, web-10",
    ),
    ("router: {kind: mesh}", "3:16 router.kind: unknown word 'mesh'; known: pods, weighted"),
    ("traffic: {rate: -5/s}", "3:17 traffic.rate: expected a rate such as 120/s, 100/min or 10M/d, got '-5/s'"),
    ("traffic: {rate: 120}", "3:17 traffic.rate: expected a rate such as 120/s, 100/min or 10M/d, got 120"),
    (
        "traffic: {kind: dialy}",
        "3:17 traffic.kind: unknown kind 'dialy'; did you mean 'daily'? known: constant, daily, flash_crowd, trace",
    ),
    ("traffic: {kind: daily}", "3:1 traffic.mean: expected a value, got nothing"),
    (
        "traffic: 100/s",
        "3:10 traffic: expected a mapping with a kind, got '100/s'; known: constant, daily, flash_crowd, trace",
    ),
    (
        "traffic: {kind: trace, file: no.csv}",
        "3:30 traffic.file: expected a CSV file, got 'no.csv', which does not exist",
    ),
    ("metrics: {buckets: [1s, 1s]}", "3:11 metrics.buckets: expected rising bounds above 0, got 1s after 1s"),
    ("metrics: {buckets: []}", "3:11 metrics.buckets: expected at least 1 item, got a list of 0 items"),
    ("release: {bad: 2}", f"3:16 release.bad: {PERCENT}, got 2"),
    ("release: {severity: -1}", "3:21 release.severity: expected 0 or more, got -1"),
    ("release: {severity: {median: 0}}", "3:30 release.severity.median: expected more than 0, got 0"),
    (
        "release: {severity: {kind: normal}}",
        "3:28 release.severity.kind: unknown word 'normal'; did you mean 'lognormal'? known: lognormal, uniform",
    ),
    ("release: {first: 7}", "3:18 release.first: expected true or false, got 7"),
    ("faults: {kind: error_ratio}", "3:1 faults: expected a list, got a mapping of 1 field"),
    ("faults: [{ratio: 5%}]", f"3:10 faults[0].kind: expected a value, got nothing; known: {FAULTS}"),
    (
        "faults: [{kind: errors, ratio: 5%}]",
        f"3:17 faults[0].kind: unknown kind 'errors'; did you mean 'error_ratio'? known: {FAULTS}",
    ),
    ("faults: [5]", f"3:10 faults[0]: expected a mapping with a kind, got 5; known: {FAULTS}"),
    ("faults: [{kind: error_ratio, ratio: 120%}]", f"3:37 faults[0].ratio: {PERCENT}, got '120%'"),
    (
        "faults: [{kind: error_ratio, ratio: 5%, fromWeight: 150%}]",
        f"3:53 faults[0].fromWeight: {PERCENT}, got '150%'",
    ),
    (
        "faults: [{kind: error_ratio, ratio: 5%, on: new}]",
        "3:45 faults[0].on: unknown word 'new'; known: both, canary, stable",
    ),
    ("faults: [{kind: memory_leak}]", "3:10 faults[0]: expected exactly one of mibPerMinute and mibPerRequest"),
    (
        "faults: [{kind: crash_loop, afer: 5s}]",
        "3:29 faults[0].afer: unknown field 'afer'; did you mean 'after'? known: after, from, fromWeight, kind, on",
    ),
    ("title: 5", "3:8 title: expected a text, got 5"),
    ("kind: Secret", "3:7 kind: expected Scenario, got 'Secret'"),
    ("horizon: 1h\nhorizon: 2h", "4:1 horizon: duplicate key 'horizon', first given in line 3"),
    (
        "variants: {big: {servic: {replicas: 3}}}",
        f"3:18 servic: unknown field 'servic'; did you mean 'service'? known: {SECTIONS}",
    ),
    ("variants: {big: {service: {replicas: 0}}}", "3:38 service.replicas: expected 1 or more, got 0"),
    ("variants: {big: 5}", "3:17 variants.big: expected a mapping, got 5"),
    ("variants: {big: {extends: x.yaml}}", "3:18 extends: extends is for a whole file"),
    (
        "extends: f.json",
        "3:10 extends: expected the relative name of a .yaml file, got 'f.json'",
    ),
    ("extends: f.yaml", "3:10 extends: cyclic extends: f.yaml -> f.yaml"),
    ("extends: none.yaml", "3:10 extends: expected a scenario file: no such file or directory (none.yaml)"),
    ("a: [1", "3:6: not YAML: expected ',' or ']', but got '<stream end>'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "error"), ONE_LINE, ids=[text for text, _ in ONE_LINE])
def test_one_line(tmp_path: Path, text: str, error: str) -> None:
    assert errors_of(tmp_path, HEAD + text) == [f"f.yaml:{error}"]


EXPECTATION = "{strategy: a, statistic: mean, column: failed_requests, between: [0, 1], because: x}"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("strategy: a", "strategy: b"), "3:21 expect[0].strategy: unknown strategy 'b'; known: a"),
        (
            ("statistic: mean", "variant: big, statistic: mean"),
            "3:33 expect[0].variant: unknown variant 'big'; did you mean 'bigger'? known: bigger",
        ),
        (
            ("mean", "p99"),
            "3:35 expect[0].statistic: unknown word 'p99'; did you mean 'p90'? known: mean, p50, p90, share",
        ),
        (("[0, 1]", "[1, 0]"), "3:10 expect[0]: expected between: [low, high] with low at most high, got [1, 0]"),
        (("[0, 1]", "[0]"), "3:66 expect[0].between[1]: expected a value, got nothing"),
        (("because: x", "because: ''"), "3:92 expect[0].because: expected some text, got ''"),
    ],
)
def test_expectations_that_speak_of_nothing(tmp_path: Path, change: tuple[str, str], error: str) -> None:
    text = f"{HEAD}expect: [{EXPECTATION.replace(*change)}]\nvariants: {{bigger: {{}}}}"
    assert errors_of(tmp_path, text) == [f"f.yaml:{error}"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (
            ("failed_requests", "failed_request"),
            "unknown column 'failed_request'; did you mean 'failed_requests'? known: ",
        ),
        (("failed_requests", "outcome"), "outcome has no mean; known: bad_requests, decision_seconds, "),
        (
            ("mean, column: failed_requests", "share, column: outcome=promotd"),
            "unknown column 'outcome=promotd'; did you ",
        ),
        (
            ("mean, column: failed_requests", "share, column: failed_requests"),
            "failed_requests has no share; known: outcome=paused, ",
        ),
        (
            ("mean, column: failed_requests, between: [0, 1]", "share, column: outcome=promoted, between: [0, 2]"),
            "expected two shares from 0 to 1, got [0, 2]",
        ),
    ],
)
def test_expectations_with_a_wrong_column(tmp_path: Path, change: tuple[str, str], error: str) -> None:
    (line,) = errors_of(tmp_path, f"{HEAD}expect: [{EXPECTATION.replace(*change)}]")
    assert error in line


def test_what_a_file_cannot_do_without(tmp_path: Path) -> None:
    assert errors_of(tmp_path, "title: x") == [
        "f.yaml:1:1 apiVersion: expected a value, got nothing",
        "f.yaml:1:1 strategies: expected a value, got nothing",
    ]
    assert errors_of(tmp_path, "apiVersion: rolloutlab/v2\nstrategies: {}") == [
        "f.yaml:1:13 apiVersion: expected rolloutlab/v1, got 'rolloutlab/v2'",
        "f.yaml:2:1 strategies: expected at least 1 item, got a mapping of 0 fields",
    ]
    assert errors_of(tmp_path, "- 1") == ["f.yaml:1:1: expected a mapping, got a list of 1 item"]
    assert errors_of(tmp_path, "") == ["f.yaml: expected a mapping, got an empty file"]


def test_all_errors_of_a_file_in_its_order(tmp_path: Path) -> None:
    text = dedent("""\
        apiVersion: rolloutlab/v1
        horizon: soon
        service: {replicas: 0, threads: 0}
        faults: [{kind: error_ratio}]
        strategies: {a: {canary: {steps: clasic-30}}}
    """)
    assert errors_of(tmp_path, text) == [
        "f.yaml:2:10 horizon: expected a duration such as 30s, 5m or 1h30m, got 'soon'",
        "f.yaml:3:21 service.replicas: expected 1 or more, got 0",
        "f.yaml:3:33 service.threads: expected 1 or more, got 0",
        "f.yaml:4:10 faults[0].ratio: expected a value, got nothing",
        "f.yaml:5:34 strategies.a.canary.steps.preset: unknown preset 'clasic-30'; did you mean 'classic-30'? "
        "known: argo-35, classic-30, high-65, ladder-75, low-40, medium-50, netflix-90, script-55",
    ]


def test_python_is_refused_unless_allowed(tmp_path: Path) -> None:
    text = "apiVersion: rolloutlab/v1\nstrategies: {mine: {python: 'os:system'}}"
    assert errors_of(tmp_path, text) == [
        "f.yaml:2:21 strategies.mine.python: a strategy that runs Python code is refused; give --allow-python if you "
        "trust this file"
    ]
    assert load_scenario(tmp_path / "f.yaml", allow_python=True).scenario.strategies["mine"] == {"python": "os:system"}


def test_a_cycle_names_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("extends: h.yaml")
    (tmp_path / "h.yaml").write_text("\nextends: ./f.yaml")
    error = "h.yaml:2:10 extends: cyclic extends: f.yaml -> g.yaml -> h.yaml -> f.yaml"
    assert errors_of(tmp_path, "extends: g.yaml") == [error]


def test_a_chain_of_files_is_bounded(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml")
    assert errors_of(tmp_path, "extends: 0.yaml") == [
        "6.yaml:1:10 extends: expected at most 8 files that extend each other, got more"
    ]


def test_an_error_points_into_the_file_where_the_value_stands(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(f"{HEAD}service:\n  replicas: 0\n")
    assert errors_of(tmp_path, "extends: base.yaml\nhorizon: x") == [
        "f.yaml:2:10 horizon: expected a duration such as 30s, 5m or 1h30m, got 'x'",
        "base.yaml:4:13 service.replicas: expected 1 or more, got 0",
    ]


def test_variants_and_overrides_that_do_not_exist(tmp_path: Path) -> None:
    text = HEAD + "faults: [{kind: never_ready}]\nvariants: {large: {}}"
    assert errors_of(tmp_path, text, variant="larg") == [
        "f.yaml variant: unknown name 'larg'; did you mean 'large'? known: large"
    ]
    assert errors_of(tmp_path, text, overrides={"service.thread": 5}) == [
        "override service.thread: unknown field 'thread'; did you mean 'threads'? known: endpointLag, "
        "errorRatio, latency, name, probes, replicas, resources, shutdown, startup, threads"
    ]
    assert errors_of(tmp_path, text, overrides={"faults.1.on": "both"}) == [
        "override faults.1.on faults: unknown position '1'; known: 0"
    ]
    assert errors_of(tmp_path, text, overrides={"service.replicas": "[1"}) == [
        "override service.replicas: not YAML: expected ',' or ']', but got '<stream end>'"
    ]
    assert errors_of(tmp_path, text, overrides={"service..x": "1"}) == [
        "override service..x: expected names joined by points, such as service.replicas"
    ]


def test_only_regular_files_of_bounded_size(tmp_path: Path) -> None:
    for path, error in [
        (tmp_path, "expected a scenario file, got a directory"),
        (tmp_path / "none.yaml", "expected a scenario file: no such file or directory"),
        (Path("/dev/zero"), "expected a scenario file, got something that is not a regular file"),
    ]:
        with pytest.raises(ScenarioErrors) as caught:
            load_scenario(path)
        assert str(caught.value) == f"{path}: {error}"
    assert errors_of(tmp_path, "#" * (1 << 20) + "\n") == [
        "f.yaml: expected a scenario file of at most 1024 KiB, got more"
    ]
