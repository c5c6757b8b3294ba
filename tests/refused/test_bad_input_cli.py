"""Bad input through the command line: exit 2, lines that say where, nothing on stdout, nothing written, no traceback.

The exact words of single fields stand in tests/scenarios/test_bad_input.py; here each way of going wrong is taken from
the shell to its end.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rolloutlab.cli import main

HEAD = "apiVersion: rolloutlab/v1\n"
ROLLING = "strategies: {a: {rollingUpdate: {}}}\n"
METRIC = "{name: e, measure: error_ratio, window: 1m, interval: 1m, successCondition: 'result[0] < 0.01'}"
CANARY = f"strategies: {{a: {{canary: {{steps: [{{setWeight: 10}}], analysis: {{metrics: [{METRIC}]}}}}}}}}\n"
SIMULATE = ("simulate", "f.yaml", "--runs", "2", "--jobs", "1")
MANIFESTS = Path(__file__).parents[2] / "scenarios" / "manifests"


def steps(text: str) -> str:
    return f"strategies: {{a: {{canary: {{steps: [{text}]}}}}}}"


def trace(rows: str, head: str = "timestamp,requests") -> dict[str, str]:
    return {"f.yaml": f"{HEAD}{ROLLING}traffic: {{kind: trace, file: t.csv}}", "t.csv": f"{head}\n{rows}"}


def run(folder: Path, files: dict[str, str | bytes], words: tuple[str, ...]) -> Result:
    """One call of the command in a folder of its own."""
    for name, text in files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    here = os.getcwd()
    os.chdir(folder)
    try:
        return CliRunner().invoke(main, list(words), prog_name="rolloutlab")
    finally:
        os.chdir(here)


def check_refused(folder: Path, files: dict[str, str | bytes], words: tuple[str, ...], *said: str) -> None:
    before = {path.name for path in folder.iterdir()} | set(files)
    result = run(folder, files, words)
    assert isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines
    assert all(line.startswith("error: ") and line.isprintable() and len(line) < 700 for line in lines), lines
    for text in said:
        assert text in result.stderr
    assert {path.name for path in folder.iterdir()} == before


FILES: dict[str, tuple[str | bytes, str]] = {
    "unknown field": (HEAD + ROLLING + "servce: {}", "f.yaml:3:1 servce: unknown field 'servce'; did you mean 'service'?"),
    "wrong unit": (HEAD + ROLLING + "horizon: 20 sec", "f.yaml:3:10 horizon: expected a duration such as 30s"),
    "weight over 100": (HEAD + steps("{setWeight: 101}"), "steps[0].setWeight: expected at most 100, got 101"),
    "two kinds in a step": (HEAD + steps("{setWeight: 5, pause: {}}"), "got setWeight and pause"),
    "negative rate": (HEAD + ROLLING + "traffic: {rate: -5/s}", "traffic.rate: expected a rate such as 120/s"),
    "rate of nobody": (HEAD + ROLLING + "traffic: {rate: 2000M/s}", "traffic.rate: expected a rate of at most 1000M/s"),
    "no strategies": (HEAD + "strategies: {}", "f.yaml:2:1 strategies: expected at least 1 item"),
    "strategy without a name": (HEAD + "strategies: {'': {rollingUpdate: {}}}", "expected a name of 1 to 100 characters"),
    "unknown preset": (HEAD + ROLLING + "service: chekout", "did you mean 'checkout'?"),
    "cyclic extends": ("extends: f.yaml\n" + HEAD, "f.yaml:1:10 extends: cyclic extends: f.yaml -> f.yaml"),
    "missing extends": ("extends: no.yaml\n" + HEAD, "f.yaml:1:10 extends: expected a scenario file: no such file"),
    "empty file": ("", "f.yaml: expected a mapping, got an empty file"),
    "binary file": (bytes(range(256)), "f.yaml:2:1: expected UTF-8 text"),
    "duplicate key": (HEAD + ROLLING + ROLLING, "f.yaml:3:1 strategies: duplicate key 'strategies', first given in line 2"),
    "two documents": (HEAD + ROLLING + "---\n" + HEAD, "expected one YAML document, got several"),
    "deep nesting": (HEAD + "a: " + "[" * 100_000, "expected at most 40 levels of nesting, got more"),
    "bomb of aliases": (
        HEAD + "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)),
        "expected at most 50000 values (aliases expanded), got more",
    ),
    "huge file": (HEAD + ROLLING + "#" * (2 << 20), "f.yaml: expected a scenario file of at most 1024 KiB, got more"),
    "tag": (HEAD + ROLLING + "title: !!python/name:os.system x", "expected plain YAML, got the tag"),
    "key with a line break": (HEAD + ROLLING + '"a\\nb": 1', "f.yaml:3:1 a\\nb: unknown field"),
    "long key": (HEAD + ROLLING + "k" * 900 + ": 1", "unknown field"),
    "no horizon": (HEAD + ROLLING + "horizon: 0s", "horizon: expected more than 0, got '0s'"),
    "horizon of a lifetime": (HEAD + ROLLING + "horizon: 500d", "horizon: expected a horizon of at most 366d, got 500d"),
    "duration beyond control time": (HEAD + ROLLING + "horizon: 1000000000000h", "of at most 2147483647s (68 years)"),
    "duration below control time": (HEAD + ROLLING + "slo: {latency: 0.0000001s}", "or of at least 0.001ms"),
    "scrapes without end": (HEAD + CANARY + "metrics: {scrapeInterval: 0.001ms}", "f.yaml:3:27 metrics.scrapeInterval"),
    "window of too many scrapes": (
        HEAD + CANARY.replace("window: 1m", "window: 1h") + "metrics: {scrapeInterval: 100ms}",
        "f.yaml:3:27 metrics.scrapeInterval: expected a window of at most 10000 scrapes",
    ),
    "median beyond a double": (HEAD + ROLLING + "release: {severity: 1.0e+300}", "expected a number of at most 1e+15"),
    "too many pods": (HEAD + "strategies: {a: {blueGreen: {previewReplicaCount: 9999999}}}", "expected at most 1000"),
    "first and returning": (HEAD + ROLLING + "release: {first: true, returning: true}", "expected first or returning"),
    "long condition": (HEAD + CANARY.replace("result[0]", "(" * 5000), "expected a condition of at most 1000 characters"),
    "deep condition": (HEAD + CANARY.replace("result[0]", "(" * 500), "expected at most 40 levels of nesting"),
    "condition of another language": (
        HEAD + CANARY.replace("result[0]", "min_over_time(result[0])"), "f.yaml:2:151 strategies.a.canary.analysis.metrics[0]."
        "successCondition: unknown function 'min_over_time'",
    ),
    "condition with a regular expression": (
        HEAD + CANARY.replace("result[0] < 0.01", 'result matches "(a+)+$"'), "'matches' of expr-lang is not supported",
    ),
    "query that does not parse": (
        HEAD + CANARY.replace("measure: error_ratio, window: 1m", "query: sum(rate(up)"), "unclosed left parenthesis",
    ),
    "query of an unknown function": (
        HEAD + CANARY.replace("measure: error_ratio, window: 1m", "query: holt_winters(up)"), "function 'holt_winters' is not",
    ),
    "measure and query": (
        HEAD + CANARY.replace("window: 1m", "query: up"), "expected exactly one of measure, query, script, got measure and query",
    ),
    "script without answers": (HEAD + CANARY.replace("measure: error_ratio, window: 1m", "script: []"), "expected 1 to 1000 answers"),
    "many variants": (
        HEAD + ROLLING + f"variants: {{{', '.join(f'v{i}: {{}}' for i in range(2000))}}}",
        "variants: expected at most 50 items",
    ),
    "python unasked": (HEAD + "strategies: {a: {python: 'os:system'}}", "give --allow-python if you trust this file"),
    "trace that is a folder": (HEAD + ROLLING + "traffic: {kind: trace, file: .}", "which is not a regular file"),
    "missing manifest": (HEAD + "strategies: {a: {from: r.yaml}}", "strategies.a.from: expected a manifest: no such file"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_wrong(tmp_path: Path, name: str) -> None:
    text, said = FILES[name]
    check_refused(tmp_path, {"f.yaml": text}, SIMULATE, said)


TRACES: dict[str, tuple[dict[str, str], str]] = {
    "empty": (trace("", head=""), "got an empty trace"),
    "one row": (trace("0,1\n"), "a trace of one row"),
    "NaN": (trace("0,1\n60,NaN\n"), "t.csv:3 requests: expected a number, 0 or more, got 'NaN'"),
    "negative": (trace("0,1\n60,-4\n"), "t.csv:3 requests: expected a number, 0 or more, got '-4'"),
    "unordered": (trace("0,1\n120,4\n60,3\n"), "t.csv:4 timestamp: expected a time after that of the row before"),
    "not of this world": (trace("0,1e308\n60,1\n"), "t.csv:2 requests: expected at most 1e+12"),
    "rate of nobody": (trace("0,1e12\n1,1\n2,1\n"), "expected at most 1e+09 requests a second"),
    "milliseconds": (trace("1700000000000,1\n1700000060000,1\n"), "t.csv:2 timestamp: expected ISO 8601"),
    "zones and none": (
        trace("2025-01-01T00:00:00Z,1\n2025-01-01T01:00:00,2\n"),
        "t.csv:3 timestamp: expected a date with a zone, as the first row, got 'a date without a zone'",
    ),
    "semicolons": (trace("0;1\n", head="timestamp;requests"), "expected columns separated by commas, got ';'"),
    "rounds without end": (trace("0,1\n0.00001,1\n"), "traffic.file: expected a trace that fills the horizon"),
}


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_that_is_wrong(tmp_path: Path, name: str) -> None:
    files, said = TRACES[name]
    check_refused(tmp_path, dict(files), SIMULATE, said)


WORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "unknown command": (("simulat", "f.yaml"), "did you mean 'simulate'?"),
    "unknown option": (("simulate", "f.yaml", "--run", "5"), "--runs"),
    "unknown scenario": (("simulate", "goood"), "unknown scenario 'goood'; did you mean 'good'?"),
    "name too long": (("simulate", "a" * 5000), "unknown scenario"),
    "unknown strategy": (("simulate", "f.yaml", "--strategy", "b"), "unknown strategy 'b'; known: a"),
    "unknown variant": (("simulate", "f.yaml", "--variant", "bigg"), "did you mean 'big'?"),
    "no runs": (("simulate", "f.yaml", "--runs", "0"), "--runs"),
    "negative jobs": (("simulate", "f.yaml", "--jobs", "-1"), "--jobs"),
    "trace of which one": (("simulate", "f.yaml", "--trace", "x"), "--only N and --trace go together"),
    "wrong override": (("simulate", "f.yaml", "--set", "service.replcas=3"), "did you mean 'replicas'?"),
    "deep override": (("simulate", "f.yaml", "--set", ".".join("a" * 2000) + "=1"), "at most 40 names"),
    "bind without a measure": (("simulate", "f.yaml", "--bind", "x"), "--bind: expected name=measure"),
    "page into a folder": ((*SIMULATE, "--html", "."), "--html"),
    "trace into no folder": (("simulate", "f.yaml", "--only", "1", "--trace", "no/x"), "no/x.jsonl"),
    "rate without a unit": (("predict", "-f", "f.yaml", "--rate", "100"), "--rate: expected a rate such as 120/s"),
    "scenario for a manifest": (("predict", "-f", "f.yaml"), "f.yaml"),
}


@pytest.mark.parametrize("name", WORDS)
def test_words_that_are_wrong(tmp_path: Path, name: str) -> None:
    words, said = WORDS[name]
    check_refused(tmp_path, {"f.yaml": HEAD + ROLLING + "variants: {big: {}}"}, words, said)


ROLLOUTS: dict[str, tuple[tuple[str, str], str]] = {
    "two kinds in a step": (("- setWeight: 25", "- {setWeight: 25, pause: {}}"), "got setWeight and pause"),
    "weight over 100": (("setWeight: 25", "setWeight: 125"), "steps[2].setWeight: expected at most 100, got 125"),
    "unknown field": (("  replicas: 10", "  replcas: 10"), "spec.replcas: unknown field 'replcas'; did you mean 'replicas'?"),
    "missing template": (
        ("templateName: latency-p95", "templateName: latency-p9"),
        "unknown AnalysisTemplate 'latency-p9'; did you mean 'latency-p95'?",
    ),
    "chart": (("  replicas: 10", "  replicas: {{ .Values.n }}"), "r.yaml:"),
}  # fmt: skip


TEMPLATES: dict[str, tuple[tuple[str, str], str]] = {
    "unbound provider": (
        ("prometheus:", "graphite:"),
        "script:0.99,0.95\nerror:     graphite:\nerror:     ^^^^^^^^\n",
    ),
    "unknown provider": (("prometheus:", "promtheus:"), "unknown field 'promtheus'; did you mean 'prometheus'? known: cloudWatch"),
    "unknown provider field": (
        ("          address:", "          adress:"),
        "unknown field 'adress'; did you mean 'address'? known: address, authentication, headers, insecure, query, "
        "rangeQuery, timeout\nerror:     adress: http",
    ),
    "query that does not parse": (
        ("sum(rate(", "sum(rte("),
        "a.yaml:21:17 spec.metrics[0].provider.prometheus.query: function 'rte' is not supported; did you mean 'rate'?",
    ),
    "condition outside the language": (
        ("result[0] >= 0.98", "result[0] >= 98%"),
        "a.yaml:16:41 spec.metrics[0].successCondition: expected a value, got the end\n"
        "error:     successCondition: result[0] >= 98%\n"
        "error:                                       ^\n",
    ),
    "dry run of nothing": (
        ("  metrics:\n", "  dryRun: [{metricName: x}]\n  metrics:\n"), "no metric matches: Argo would end the run with an error",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_that_is_wrong(tmp_path: Path, name: str) -> None:
    change, said = TEMPLATES[name]
    template = (MANIFESTS / "checkout-analysis.yaml").read_text()
    assert change[0] in template
    files: dict[str, str | bytes] = {
        "r.yaml": (MANIFESTS / "checkout-rollout.yaml").read_text(),
        "a.yaml": template.replace(*change, 1),
    }
    check_refused(tmp_path, files, ("predict", "-f", "r.yaml", "-f", "a.yaml", "--runs", "2"), said)


@pytest.mark.parametrize("name", ROLLOUTS)
def test_a_manifest_that_is_wrong(tmp_path: Path, name: str) -> None:
    change, said = ROLLOUTS[name]
    rollout = (MANIFESTS / "checkout-rollout.yaml").read_text()
    assert change[0] in rollout
    files: dict[str, str | bytes] = {
        "r.yaml": rollout.replace(*change),
        "a.yaml": (MANIFESTS / "checkout-analysis.yaml").read_text(),
    }
    check_refused(tmp_path, files, ("predict", "-f", "r.yaml", "-f", "a.yaml", "--runs", "2"), said)


PROGRAMS: dict[str, tuple[str, str]] = {
    "no effect": ("yield 5", "of_no_effect.py:3: yielded 5, which is not an effect"),
    "raises": ("raise ValueError('boom')\n    yield", "of_raises.py:3: ValueError('boom')"),
    "no fate": ("yield Wait(1)", "ended with None; a strategy returns a Fate"),
    "weight": ("yield SetWeight(2)", "SetWeight(weight=2): expected a weight from 0 to 1"),
    "revision": ("yield Scale('new', 1)", "expected a revision of stable, canary"),
    "pods": ("yield Scale(release.canary, 10**9)", "expected a whole number of replicas, at most 10000"),
    "line of a weight": ("yield SetWeight(2)", "of_line_of_a_weight.py:3: SetWeight(weight=2): expected"),
    "circles": ("while True:\n        yield Wait(0)", "of_circles.py:4: more than 20000 effects while no time passes"),
    "spawns": ("while True:\n        yield Spawn(lambda: (yield Wait(1)), 'x')", "effects while no time passes"),
    "wait of a text": ("yield Wait('5')", "Wait(seconds='5'): expected a finite number of seconds"),
    "wait without end": ("yield Wait(float('inf'))", "Wait(seconds=inf): expected a finite number of seconds"),
    "leaves": ("yield Wait(1)\n    raise SystemExit(0)", "of_leaves.py:4: SystemExit(0)"),
    "spawn of nothing": ("yield Spawn(None, 'x')", "spawned None, which is not a program"),
    "undeclared": ("yield Measure(Query(quantity='error_ratio'))", "declare in reads"),
    "import": ("yield\nimport no_such_module", "no module 'no_such_module'"),
    "syntax": ("yield (", "module 'of_syntax' cannot be imported: SyntaxError"),
    "exit": ("yield\nraise SystemExit(0)", "module 'of_exit' cannot be imported: SystemExit"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_strategy_of_ones_own_that_is_wrong(tmp_path: Path, name: str) -> None:
    body, said = PROGRAMS[name]
    module = "of_" + name.replace(" ", "_")
    code = f"from strategies.effects import *\ndef go(release):\n    {body}\n"
    files: dict[str, str | bytes] = {
        "f.yaml": f"{HEAD}strategies: {{mine: {{python: '{module}:go'}}}}",
        f"{module}.py": code,
    }
    (tmp_path / "__pycache__").mkdir()  # what Python itself writes
    check_refused(tmp_path, files, (*SIMULATE, "--allow-python", "-o", "json"), said)


@pytest.mark.parametrize("name", ["directory", "fifo", "dangling link"])
def test_what_is_no_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "f.yaml"
    if name == "directory":
        path.mkdir()
    elif name == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("nothing")
    check_refused(tmp_path, {}, SIMULATE, "f.yaml: expected a scenario file")


@pytest.mark.parametrize(
    ("files", "words", "line"),
    [
        ({"r.yaml": ""}, ("predict", "-f", "r.yaml"), "error: r.yaml: expected a Rollout or a Deployment, got no object\n"),
        ({}, ("judge", "judge-5pct", "--set", "traffic.rate=0/s"), "traffic: expected traffic of more than 0 requests/s"),
    ],
)  # fmt: skip
def test_what_was_named_on_the_command_line_is_named_as_it_was(
    files: dict[str, str | bytes], words: tuple[str, ...], line: str, tmp_path: Path
) -> None:
    check_refused(tmp_path, files, words, line)
