"""From a scenario file to a bench: what is read, what is chosen, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rolloutlab.judging.bench import Bench
from rolloutlab.judging.field import chosen, field
from rolloutlab.judging.reading import Asked, read_bench
from scenarios.errors import ScenarioError
from strategies.judges import make
from strategies.judges.bench import draw_counts

FILE = """
apiVersion: rolloutlab/v1
kind: Scenario
service: {name: one, errorRatio: 1%}
traffic: {kind: constant, rate: 50/s}
router: {lag: 2s}
metrics: {scrapeInterval: 30s, query: 0.5s}
faults:
  - {kind: error_ratio, ratio: 4%}
strategies:
  plain: {rollingUpdate: {maxSurge: 1}}
  canary:
    canary:
      steps: [{setWeight: 20}, {pause: {duration: 10m}}, {setWeight: 50}, {pause: {duration: 5m}}]
      analysis:
        metrics:
          - {name: errors, measure: error_ratio, window: 2m, interval: 30s, initialDelay: 2m, failureLimit: 2,
             failureCondition: "result[0] >= 0.03"}
          - {name: good, measure: success_ratio, window: 5m, interval: 1m, count: 9, successCondition: "result > 0.98"}
          - {name: slow, measure: latency_p95, window: 5m, interval: 1m, successCondition: "result < 0.5"}
    rollback: {progressive: {weights: [10, 5, 0], pause: 20s}}
"""


def written(tmp_path: Path, text: str = FILE) -> Path:
    path = tmp_path / "one.yaml"
    path.write_text(text)
    return path


def bench(tmp_path: Path, text: str = FILE, **asked: object) -> Bench:
    return read_bench(written(tmp_path, text), Asked(**asked))  # type: ignore[arg-type]


def test_a_bench_is_what_the_file_says(tmp_path: Path) -> None:
    found = bench(tmp_path)
    assert (found.rate_per_second, found.share, found.p0) == (50.0, 0.2, 0.01)
    assert found.p1 == pytest.approx(1 - 0.99 * 0.96)
    assert found.canary_per_second == 10.0
    assert found.pooled == pytest.approx(0.8 * found.p0 + 0.2 * found.p1)
    assert found.step_seconds == 600.0
    assert found.horizon_seconds == 3600.0
    pipes = found.plumbing
    assert (pipes.scrape_seconds, pipes.query_seconds, pipes.router_seconds) == (30.0, 0.5, 2.0)
    assert pipes.evaluation_seconds == 30.0, "the interval of the strategy's own analysis"
    assert pipes.rollback_seconds == 40.0, "two pauses until weight 0"


def test_rules_of_the_canarys_errors_become_judges_and_others_are_named(tmp_path: Path) -> None:
    found = bench(tmp_path)
    lines = [(rule.name, rule.line, rule.failure_limit, rule.count, rule.full_window) for rule in found.rules]
    assert lines == [
        ("canary/errors", 0.03, 2, None, True),
        ("canary/good", pytest.approx(0.02), 0, 9, False),
    ]
    assert [one.name for one in field(found) if one.yours] == ["yours", "yours-2"]
    assert any("no rule is made of slow" in line for line in found.assumed)


def test_every_choice_is_told(tmp_path: Path) -> None:
    told = "\n".join(bench(tmp_path).assumed)
    for part in ("first setWeight of strategy canary", "every 1s (--look)", "every 30s (interval", "slo = "):
        assert part in told


def test_options_win_over_the_file(tmp_path: Path) -> None:
    found = bench(tmp_path, weight="5%", to="2%", alpha="0.1%", look="15s")
    assert (found.share, found.p1, found.alpha, found.look_seconds) == (0.05, 0.02, 0.001, 15.0)
    assert found.day_look_seconds == 15.0
    changed = bench(tmp_path, overrides={"traffic.rate": "7/s"})
    assert changed.rate_per_second == 7.0


def test_a_fault_that_waits_for_a_weight_is_judged_at_that_weight(tmp_path: Path) -> None:
    text = FILE.replace("ratio: 4%}", "ratio: 4%, fromWeight: 50%}")
    assert bench(tmp_path, text).share == 0.5


def test_faults_add_up_and_severity_counts(tmp_path: Path) -> None:
    text = FILE.replace("faults:\n", "release: {severity: 0.5}\nfaults:\n  - {kind: error_ratio, ratio: 2%}\n")
    assert bench(tmp_path, text).p1 == pytest.approx(1 - 0.99 * 0.99 * 0.98)


def test_traffic_that_varies_is_taken_at_its_mean_and_says_so(tmp_path: Path) -> None:
    text = FILE.replace("{kind: constant, rate: 50/s}", "{kind: daily, mean: 40/s, amplitude: 50%}")
    found = bench(tmp_path, text)
    assert found.rate_per_second == 40.0
    assert any("mean of the daily curve" in line for line in found.assumed)


def test_the_four_shipped_benches_have_the_published_limits() -> None:
    limits = {
        "judge-2pct": 134.5,
        "judge-5pct": 13.5,
        "judge-5pct-low-traffic": 116.7,
        "judge-2pct-small-weight": 251.3,
    }
    for name, seconds in limits.items():
        assert read_bench(name, Asked()).limit_seconds() == pytest.approx(seconds, abs=0.051), name


@pytest.mark.parametrize(
    ("change", "asked", "error"),
    [
        ("", {"alpha": "100%"}, "--alpha: expected a percentage above 0% and below 100%, such as 5%, got '100%'"),
        ("", {"alpha": "x"}, "--alpha: expected a percentage"),
        ("", {"weight": "0"}, "--weight: expected a percentage"),
        ("", {"to": "0.5%"}, "--to: expected more than the service's own 1%, got '0.5%'"),
        ("", {"look": "7s"}, "--look: expected a duration from 1s to 5m that divides an hour, such as 15s, got '7s'"),
        ("", {"look": "1h"}, "--look: expected a duration"),
        ("", {"strategy": "canry"}, "one.yaml --strategy: unknown strategy 'canry'; did you mean 'canary'?"),
        ("rate: 50/s", {}, "traffic: expected traffic of more than 0 requests/s, got 0/s"),
        ("errorRatio: 1%", {}, "service.errorRatio: expected an errorRatio above 0% and below 100%, got 0"),
        ("kind: error_ratio", {}, "faults: expected error_ratio faults on the canary that begin together, or --to 5%"),
        ("ratio: 4%", {}, "faults: expected a fault that adds some errors and leaves some answers"),
        ("late", {}, "faults: expected a fault that begins before the judges stop looking (1h)"),
        ("setWeight: 20", {"strategy": "plain"}, "strategies: expected a canary strategy with a setWeight"),
    ],
)
def test_what_cannot_be_judged_is_refused(tmp_path: Path, change: str, asked: dict[str, str], error: str) -> None:
    other = {
        "errorRatio: 1%": "errorRatio: 0%",
        "kind: error_ratio": "kind: error_ratio, on: stable",
        "ratio: 4%": "ratio: 100%",
        "late": "late",
        "rate: 50/s": "rate: 0/s",
        "setWeight: 20": "setWeight: 20",
        "": "",
    }[change]
    text = FILE.replace("ratio: 4%}", "ratio: 4%, from: 2h}") if change == "late" else FILE.replace(change, other)
    with pytest.raises(ScenarioError) as caught:
        bench(tmp_path, text, **asked)
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_strategy_in_python_is_not_run(tmp_path: Path) -> None:
    text = FILE[: FILE.index("strategies:")] + "strategies:\n  mine: {python: os:abort}\n"
    with pytest.raises(ScenarioError, match="--allow-python"):
        bench(tmp_path, text, weight="10%")


def test_judges_are_found_by_name_and_by_kind(tmp_path: Path) -> None:
    found = bench(tmp_path)
    assert [one.name for one in chosen(found, ["lindon_malek"])] == ["lindon-malek-10", "lindon-malek-100"]
    assert [one.name for one in chosen(found, ["ripr", "yours"])] == ["yours", "ripr"]
    with pytest.raises(ScenarioError, match="unknown judge 'riper'; did you mean 'ripr'.* known: .*yours"):
        chosen(found, ["riper"])


def test_names_on_a_bench_are_unique() -> None:
    found = chosen(read_bench("judge-5pct", Asked()), ())
    assert len({one.name for one in found}) == len(found) > 15


def test_a_rate_rests_on_an_interval_less_than_its_window(tmp_path: Path) -> None:
    found = bench(tmp_path)
    assert [(rule.window_seconds, rule.covered_seconds) for rule in found.rules] == [(120.0, 90.0), (300.0, 270.0)]
    blind = bench(tmp_path, FILE.replace("scrapeInterval: 30s", "scrapeInterval: 2m"))
    assert [rule.name for rule in blind.rules] == ["canary/good"], "a window of two minutes has one scrape only"
    assert any("no rule is made of errors, slow" in line for line in blind.assumed)


FAILED, SUCCEEDED = ',response_code=~"5.."', ',response_code!~"5.."'


def rate(which: str, window: str) -> str:
    """The canary's responses of Istio, all of them or some."""
    return f'sum(rate(istio_requests_total{{destination_service_name="one-canary"{which}}}[{window}]))'


@pytest.mark.parametrize(
    ("query", "condition", "rule"),
    [
        (f"{rate(FAILED, '4m')} / {rate('', '4m')}", "result[0] <= 0.04", (0.04, 240.0)),
        (f"{rate(SUCCEEDED, '2m')} / {rate('', '2m')}", "result[0] >= 0.95", (0.05, 120.0)),
        (f"1 - {rate(FAILED, '2m')} / {rate('', '2m')}", "result[0] >= 0.9", (0.1, 120.0)),
        (f"{rate(FAILED, '4m')} / {rate('', '2m')}", "result[0] <= 0.04", None),
        (f"{rate('', '4m')} / {rate('', '4m')}", "result[0] <= 0.04", None),
        (f"{rate(FAILED, '4m')} / {rate('', '4m')}", "result[0] >= 0.04", None),
        (f"{rate(FAILED, '4m')} / {rate(SUCCEEDED, '4m')}", "result[0] <= 0.04", None),
        (f"{rate(FAILED, '4m').replace('canary', 'stable')} / {rate('', '4m')}", "result[0] <= 0.04", None),
        (
            f"{rate(FAILED, '4m').replace('sum(', 'sum by (pod) (')} / {rate('', '4m')}",
            "result[0] <= 0.04",
            None,
        ),
        ("sum(up)", "result[0] >= 0.95", None),
    ],
)
def test_promql_that_is_a_ratio_of_errors_becomes_a_rule(
    tmp_path: Path, query: str, condition: str, rule: tuple[float, float] | None
) -> None:
    text = FILE[: FILE.index("          - {name: errors")] + (
        f"          - name: mine\n            query: '{query}'\n            interval: 1m\n"
        f"            successCondition: '{condition}'\n"
    )
    text = text.replace("query: 0.5s}", "query: 0.5s, services: {canary: one-canary, stable: one-stable}}")
    found = bench(tmp_path, text)
    assert [(one.line, one.window_seconds) for one in found.rules] == (
        [(pytest.approx(rule[0]), rule[1])] if rule else []
    )
    assert any("no rule is made of mine" in line for line in found.assumed) is (rule is None)


def test_the_rule_of_a_manifest_in_promql_is_on_the_bench(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "scenarios" / "manifests"
    text = FILE[: FILE.index("strategies:")] + (
        f"strategies:\n  shop: {{from: {folder / 'checkout-rollout.yaml'}, "
        f"templates: [{folder / 'checkout-analysis.yaml'}]}}\n"
    )
    found = bench(tmp_path, text)
    (rule,) = found.rules
    assert (rule.name, rule.line, rule.window_seconds) == ("shop/success-rate", pytest.approx(0.02), 300.0)
    assert (rule.failure_limit, rule.interval_seconds, rule.full_window) == (2, 60.0, False)
    assert found.share == 0.05
    assert "shop/success-rate: measures from 1m on (the scenario says 2m)" in found.assumed
    assert "metrics: pod_template_hash=canary in a query is taken as the canary revision" in found.assumed


def test_a_judge_of_the_scenario_is_there_as_it_looks(tmp_path: Path) -> None:
    text = FILE[: FILE.index("        metrics:")] + (
        "        judge: {name: lindon_malek, share: 20%, alpha: 1%, k: 10, interval: 30s}\n"
    )
    found = bench(tmp_path, text)
    assert found.rules == ()
    (mine,) = chosen(found, ["yours"])
    assert mine.label == "yours: lindon_malek each 30s"
    assert (mine.proven, mine.knows_baseline, found.plumbing.evaluation_seconds) == (True, False, 30.0)
    at = np.arange(1.0, 121.0)
    counts = draw_counts(np.random.default_rng(1), 5, 120, 100, 0.2, 0.01, 0.2)
    own = make("lindon_malek", share=0.2, alpha=0.01, k=10)
    seen = mine.judge.paths(at, counts)
    assert np.all(seen[:, :29] == -np.inf)
    assert np.array_equal(seen[:, [29, 59, 89, 119]], own.paths(at, counts)[:, [29, 59, 89, 119]])
    assert np.array_equal(seen[:, 30:59], np.repeat(seen[:, 29:30], 29, axis=1))


def test_what_decides_nothing_is_no_rule(tmp_path: Path) -> None:
    for word in ("dryRun: true", "failureLimit: -1", "consecutiveSuccessLimit: 3"):
        text = FILE.replace("failureLimit: 2", word)
        assert [rule.name for rule in bench(tmp_path, text).rules] == ["canary/good"], word


def test_a_factor_is_taken_out_of_the_line(tmp_path: Path) -> None:
    text = FILE.replace("failureLimit: 2,", "factor: 100, failureLimit: 2,").replace(">= 0.03", ">= 3")
    assert bench(tmp_path, text).rules[0].line == pytest.approx(0.03)
