"""Loading: layers and their order, places, digests, what is assumed."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from textwrap import dedent

import pytest

from scenarios import Loaded, load_scenario
from scenarios.schema import ConstantTraffic, DailyTraffic, ErrorRatioFault

HEAD = "apiVersion: rolloutlab/v1\nstrategies: {a: {rollingUpdate: {maxSurge: 1}}}\n"


def load(folder: Path, text: str, **options: object) -> Loaded:
    path = folder / "f.yaml"
    path.write_text(dedent(text))
    return load_scenario(path, **options)  # type: ignore[arg-type]


def test_units_become_numbers(tmp_path: Path) -> None:
    scenario = load(tmp_path, HEAD + "horizon: 2h\nservice: {resources: {memoryLimit: 1Gi}, errorRatio: 5%}").scenario
    assert scenario.horizon_seconds == 7200
    assert scenario.service.resources.memory_limit_mib == 1024
    assert scenario.service.error_ratio == 0.05


def test_traffic_without_a_kind_is_constant(tmp_path: Path) -> None:
    traffic = load(tmp_path, HEAD + "traffic: {rate: 600/min}").scenario.traffic
    assert traffic == ConstantTraffic.model_validate({"rate": "10/s"})


def test_mappings_merge_lists_replace_null_takes_away(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        HEAD + "service: {replicas: 4, threads: 7}\nslo: {latency: 9s}\n"
        "faults: [{kind: never_ready}, {kind: crash_loop}]\npeople: {approval: 1h}\n"
    )
    text = (
        "extends: base.yaml\nservice: {replicas: 5}\nfaults: [{kind: never_ready}]\nslo: null\npeople: {approval: null}"
    )
    scenario = load(tmp_path, text).scenario
    assert (scenario.service.replicas, scenario.service.threads) == (5, 7)
    assert len(scenario.faults) == 1
    assert scenario.slo.latency_seconds == 0.5, "null brings the default back"
    assert scenario.people.approval_seconds is None, "where the schema knows null, null is said"


def test_null_takes_a_strategy_away(tmp_path: Path) -> None:
    text = HEAD + "variants: {none: {strategies: {a: null, b: {canary: {}}}}}"
    assert load(tmp_path, text, variant="none").scenario.strategies == {"b": {"canary": {}}}


def test_another_kind_replaces_what_was_there(tmp_path: Path) -> None:
    text = (
        HEAD
        + "traffic: {kind: daily, mean: 5/s}\nvariants: {flat: {traffic: {rate: 1/s}}, high: {traffic: {mean: 9/s}}}"
    )
    assert isinstance(load(tmp_path, text, variant="flat").scenario.traffic, ConstantTraffic)
    crowd = {"kind": "flash_crowd", "base": "1/s", "peak": "2/s", "at": "1m"}
    assert load(tmp_path, text, overrides={"traffic": crowd}).scenario.traffic.kind == "flash_crowd"
    high = load(tmp_path, text, variant="high").scenario.traffic
    assert isinstance(high, DailyTraffic)
    assert high.mean_per_second == 9


def test_layers_from_preset_to_override(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(HEAD + "service: checkout\nvariants: {v: {service: {threads: 9}}}\n")
    text = "extends: base.yaml\nservice: {replicas: 20}\nvariants: {v: {service: {replicas: 30}}}"
    loaded = load(tmp_path, text, variant="v", overrides={"service.latency.p99": "2s"})
    service = loaded.scenario.service
    assert (service.name, service.replicas, service.threads) == ("checkout", 30, 9)
    assert (service.latency.p50_seconds, service.latency.p99_seconds) == (0.08, 2.0)
    assert isinstance(loaded.scenario.traffic, DailyTraffic), "a service preset brings its traffic"
    assert loaded.scenario.users is not None
    assert load(tmp_path, text).scenario.service.replicas == 20
    assert load(tmp_path, text, overrides={"service": "web-10"}).scenario.service.name == "web-10"


def test_overrides_are_read_as_yaml_and_may_be_plain_values(tmp_path: Path) -> None:
    text = HEAD + "faults: [{kind: error_ratio, ratio: 5%}, {kind: never_ready}]"
    changed = load(tmp_path, text, overrides={"faults.0.ratio": "7%", "service.replicas": "3", "title": "x"}).scenario
    assert isinstance(changed.faults[0], ErrorRatioFault)
    assert (changed.faults[0].ratio, changed.service.replicas, changed.title) == (0.07, 3, "x")
    assert load(tmp_path, text, overrides={"faults": []}).scenario.faults == ()
    assert load(tmp_path, text, overrides={"faults": "[]", "slo": {"latency": "3s"}}).scenario.slo.latency_seconds == 3
    assert load(tmp_path, text + "\nslo: {latency: 9s}", overrides={"slo": None}).scenario.slo.latency_seconds == 0.5
    quiet = load(tmp_path, text, overrides={"service.probes.readiness": None}).scenario
    assert quiet.service.probes.readiness is None


@pytest.mark.parametrize("steps", ["low-40", "{preset: low-40}"])
def test_steps_by_name(tmp_path: Path, steps: str) -> None:
    text = f"apiVersion: rolloutlab/v1\nstrategies: {{a: {{canary: {{steps: {steps}}}}}}}"
    assert load(tmp_path, text).scenario.strategies["a"]["canary"]["steps"] == [
        {"setWeight": 25},
        {"pause": {"duration": "20m"}},
        {"setWeight": 50},
        {"pause": {"duration": "20m"}},
    ]


def test_steps_by_name_in_a_variant(tmp_path: Path) -> None:
    text = (
        "apiVersion: rolloutlab/v1\nstrategies: {a: {canary: {steps: low-40}}}\n"
        "variants: {v: {strategies: {a: {canary: {steps: high-65}}}}, w: {strategies: {a: {canary: {steps: []}}}}}"
    )
    weights = {}
    for variant in ("v", "w"):
        steps = load(tmp_path, text, variant=variant).scenario.strategies["a"]["canary"]["steps"]
        weights[variant] = [step["setWeight"] for step in steps if "setWeight" in step]
    assert weights == {"v": [1, 5, 25, 50], "w": []}


def test_where_points_to_the_place_where_a_value_stands(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "base.yaml").write_text(HEAD + "slo:\n  latency: 9s\n")
    loaded = load(tmp_path, "extends: parts/base.yaml\nservice: web-10\nhorizon: 2h", overrides={"title": "x"})
    base = tmp_path / "parts" / "base.yaml"
    assert loaded.where(("slo", "latency")) == f"{base}:4:12"
    assert loaded.where(("slo",)) == f"{base}:3:1"
    assert loaded.where(("strategies", "a", "rollingUpdate", "maxSurge")) == f"{base}:2:44"
    assert loaded.where(("strategies", "a", "canary", "steps", 0)) == f"{base}:2:14", "the last part that is there"
    assert loaded.where(("horizon",)) == f"{tmp_path / 'f.yaml'}:3:10"
    assert loaded.where(("service", "replicas")).split(":")[0].endswith("presets.yaml")
    assert loaded.where(("title",)) == "override title"
    assert loaded.folder(("slo", "latency")) == tmp_path / "parts"
    assert loaded.folder(("title",)) == tmp_path
    assert loaded.files == (base, tmp_path / "f.yaml")


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEAD)
    assert loaded.digest == hashlib.sha256((tmp_path / "f.yaml").read_bytes()).hexdigest()
    (tmp_path / "g.yaml").write_text("extends: f.yaml")
    both = (tmp_path / "f.yaml").read_bytes() + (tmp_path / "g.yaml").read_bytes()
    assert load_scenario(tmp_path / "g.yaml").digest == hashlib.sha256(both).hexdigest()


def test_a_trace_is_found_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "t.csv").write_text("timestamp,requests\n0,1\n60,2\n")
    (tmp_path / "parts" / "base.yaml").write_text(HEAD + "traffic: {kind: trace, file: t.csv}\n")
    traffic = load(tmp_path, "extends: parts/base.yaml").scenario.traffic
    assert getattr(traffic, "file") == str(tmp_path / "parts" / "t.csv")  # noqa: B009


def test_what_is_assumed_is_listed_and_what_is_given_is_not(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEAD + "service: {threads: 9, latency: {p50: 1ms, p99: 2ms}}\ntraffic: {rate: 1/s}")
    assert "service.replicas = 10 (schema default)" in loaded.assumed
    assert "slo = {latency: 500ms, objective: 99.9%} (schema default)" in loaded.assumed
    startup = "service.startup = {schedule: 1s, pull: 4s, start: 20s, spread: 0.2} (schema default)"
    assert startup in loaded.assumed
    assert not any(line.startswith(("service.threads", "service.latency", "traffic")) for line in loaded.assumed)
    assert len(loaded.assumed) < 25
    assert load(tmp_path, HEAD + "service: web-10").assumed[0] == "service = web-10 (preset, where the file is silent)"


def test_warnings_for_what_may_not_be_meant(tmp_path: Path) -> None:
    text = HEAD + "horizon: 10m\nfaults: [{kind: never_ready, from: 10m}]\nservice: {threads: 1}\ntraffic: {rate: 1k/s}"
    fault, load_ = load(tmp_path, text).warnings
    assert fault == "f.yaml:4 faults[0]: begins at 10m, which is not before the horizon (10m): it never acts"
    # the law of 40 ms and 250 ms has a mean of 54.6 ms: 1,000/s on ten threads is 5.46 times too much
    assert load_.startswith("service: offered load is 5.46 times what 10 pods with 1 threads can answer")


def test_a_loaded_scenario_goes_to_another_process(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEAD)
    again = pickle.loads(pickle.dumps(loaded))
    assert again == loaded
    assert again.where(("strategies", "a")) == loaded.where(("strategies", "a"))
