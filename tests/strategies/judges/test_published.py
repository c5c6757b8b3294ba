"""Judges against published values, against other implementations, and against sums over every outcome."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML
from scipy import stats

from strategies.judges import burn_rate, lindon_malek, make, threshold
from strategies.judges.base import Judge, Look
from strategies.judges.bench import alarm_seconds, draw_counts, look_seconds
from strategies.judges.bernoulli_cusum import BernoulliCusum, lattice, lattice_height, mean_run_length
from strategies.judges.boundaries import crossing, obrien_fleming, pocock, repeated_significance
from strategies.judges.burn_rate import DAY, Burn
from strategies.judges.msprt import log_likelihood_ratio
from strategies.judges.ripr import log_e_value
from strategies.judges.sprt import Sprt, exact

TABLES: dict[str, Any] = YAML(typ="safe").load(
    Path(__file__).parents[2].joinpath("published", "judges.yaml").read_text(encoding="utf-8")
)


def rows(*path: str) -> Any:
    """Parametrise by the rows of a table."""
    table: Any = TABLES
    for name in path:
        table = table[name]
    return pytest.mark.parametrize("row", table, ids=str)


# --- Lindon and Malek --------------------------------------------------------------------------------------------


@rows("lindon_malek", "rows")
def test_lindon_malek(row: dict[str, Any]) -> None:
    p = lindon_malek.p_value(row["canary_errors"], row["stable_errors"], row["share"], k=row["k"])
    assert p == pytest.approx(row["p_value"], abs=row["tolerance"])


@rows("lindon_malek", "rows")
def test_lindon_malek_equals_seqabpy(row: dict[str, Any]) -> None:
    gavi = pytest.importorskip("seqabpy.gavi", reason="seqabpy is not installed: make setup brings it")
    share, k = row["share"], row["k"]
    counts, shares = [row["canary_errors"], row["stable_errors"]], np.array([share, 1 - share])
    ours = lindon_malek.p_value(*counts, share, k=k)
    assert ours == pytest.approx(gavi.sequential_p_value(counts, shares, k * shares), rel=1e-9)


@rows("lindon_malek", "rows")
@pytest.mark.filterwarnings("ignore")  # of its own dependencies
def test_lindon_malek_equals_savvi(row: dict[str, Any]) -> None:
    multinomial = pytest.importorskip("savvi.multinomial", reason="savvi is not installed: pip install savvi")
    share = row["share"]
    theirs = multinomial.Multinomial(0.01, np.array([share, 1 - share]), k=row["k"])
    counts = np.array([row["canary_errors"], row["stable_errors"]])
    smallest = 1.0
    for part in (counts // 2, counts - counts // 2):  # it goes by looks, as ours does
        theirs.update(part)
        smallest = min(smallest, float(theirs.calculate_p_value()))
    session = make("lindon_malek", share=share, k=row["k"], sides=2).begin()
    for at, (canary, stable) in enumerate((counts // 2, counts), start=1):
        verdict = session.update(Look(float(at), 10_000, int(canary), 90_000, int(stable)))
    assert verdict.p_value == pytest.approx(smallest, rel=1e-6)


# --- RIPr --------------------------------------------------------------------------------------------------------


def mean_e_value(p: float, canary: float, stable: float, asked: int, stable_asked: int) -> float:
    """The exact mean of the e-value of one block while every request fails with p."""
    first = stats.binom.pmf(np.arange(asked + 1), asked, p)
    second = stats.binom.pmf(np.arange(stable_asked + 1), stable_asked, p)
    values = [
        [math.exp(log_e_value(Look(1.0, asked, a, stable_asked, b), canary, stable)) for b in range(stable_asked + 1)]
        for a in range(asked + 1)
    ]
    return float(first @ np.array(values) @ second)


@rows("ripr", "rows")
def test_the_e_value_has_a_mean_of_at_most_one(row: dict[str, Any]) -> None:
    of = TABLES["ripr"]["predicted"]
    mean = mean_e_value(row["p"], of["canary"], of["stable"], of["canary_requests"], of["stable_requests"])
    assert mean <= 1
    assert mean == pytest.approx(row["mean"], abs=0.51 * 10 ** -row["digits"])


@pytest.mark.parametrize("p", [0.0001, 0.01, 0.03, 0.3, 0.9])
@pytest.mark.parametrize("block", [(1, 1), (3, 40), (40, 3), (0, 20), (20, 0)])
def test_the_mean_is_at_most_one_for_any_block(p: float, block: tuple[int, int]) -> None:
    assert mean_e_value(p, 0.05, 0.01, *block) <= 1 + 1e-12


# --- mSPRT, SPRT, CUSUM, normal boundaries -----------------------------------------------------------------------


@rows("msprt", "rows")
def test_msprt(row: dict[str, Any]) -> None:
    log_ratio = log_likelihood_ratio(row["difference"], 2 * row["variance"] / row["per_arm"], math.sqrt(row["tau2"]))
    assert log_ratio == pytest.approx(row["log_ratio"], abs=5e-7)
    if row["p_value"] is not None:
        assert math.exp(-log_ratio) == pytest.approx(row["p_value"], abs=5e-7)


@rows("sprt", "rows")
def test_sprt(row: dict[str, Any]) -> None:
    judge = Sprt(p0=row["p0"], p1=row["p1"], alpha=row["alpha"], beta=row["beta"])
    good, bad = exact(judge, row["p0"]), exact(judge, row["p1"])
    assert good.fails == pytest.approx(row["true_alpha"], abs=5e-6)
    assert 1 - bad.fails == pytest.approx(row["true_beta"], abs=5e-6)
    assert good.requests == pytest.approx(row["requests0"], abs=0.05)
    assert bad.requests == pytest.approx(row["requests1"], abs=0.05)


def test_the_sessions_of_a_closed_sprt_do_what_the_exact_arithmetic_says() -> None:
    """1,000 rollouts, a look at each request; bound 5 standard errors (alpha below 1e-5 for both together)."""
    judge, runs = Sprt(p0=0.1, p1=0.3, alpha=0.02, beta=0.03), 1000
    rng = np.random.default_rng(11)
    failed = np.cumsum(rng.random((runs, 1000)) < 0.3, axis=1)
    fails, requests = 0, []
    for path in failed.tolist():
        session = judge.begin()
        for number, errors in enumerate(path, start=1):
            verdict = session.update(Look(float(number), number, errors, 0, 0))
            if verdict.state in ("pass", "fail"):
                break
        fails += verdict.state == "fail"
        requests.append(verdict.requests)
    truth = exact(judge, 0.3)
    assert abs(fails / runs - truth.fails) <= 5 * math.sqrt(truth.fails * (1 - truth.fails) / runs)
    assert abs(np.mean(requests) - truth.requests) <= 5 * np.std(requests, ddof=1) / math.sqrt(runs)


@rows("bernoulli_cusum", "rows")
def test_bernoulli_cusum(row: dict[str, Any]) -> None:
    p0, p1, steps, height = row["p0"], row["p1"], row["steps"], row["height"]
    assert lattice(p0, p1) == steps
    assert round(mean_run_length(p0, steps, height)) == row["arl0"]
    assert round(mean_run_length(p1, steps, height), 1) == row["arl1"]
    assert lattice_height(p0, steps, 10_000) == height


@pytest.mark.parametrize(
    ("p", "steps", "height"), [(0.3, 2, 7), (0.01, 69, 40), (0.05, 40, 121), (0.5, 3, 1), (0.2, 9, 9)]
)
def test_mean_run_lengths_solve_the_linear_equations(p: float, steps: int, height: int) -> None:
    equations = np.eye(height)
    for level in range(height):
        equations[level, max(level - 1, 0)] -= 1 - p
        if level + steps - 1 < height:
            equations[level, level + steps - 1] -= p
    assert mean_run_length(p, steps, height) == pytest.approx(np.linalg.solve(equations, np.ones(height))[0], rel=1e-9)


def test_a_cusum_that_looks_at_every_request_has_the_mean_run_length_it_was_given() -> None:
    """1,500 runs of a small chart; bound 5 standard errors (6e-7)."""
    judge, runs, looks = BernoulliCusum(p0=0.1, p1=0.3, arl_requests=200), 1500, 4000
    rng = np.random.default_rng(12)
    counts = np.zeros((runs, looks, 4), dtype=np.int64)
    counts[:, :, 0] = np.arange(1, looks + 1)
    counts[:, :, 1] = np.cumsum(rng.random((runs, looks)) < 0.1, axis=1)
    lengths = alarm_seconds(judge, look_seconds(looks), counts)
    assert not np.isnan(lengths).any()
    steps = lattice(0.1, 0.3)
    truth = mean_run_length(0.1, steps, lattice_height(0.1, steps, 200))
    assert truth >= 200
    assert abs(lengths.mean() - truth) <= 5 * lengths.std(ddof=1) / math.sqrt(runs)


def test_repeated_significance() -> None:
    table = TABLES["repeated_significance"]
    found = repeated_significance(table["alpha"], max(table["levels"]))
    for looks, level in table["levels"].items():
        assert found[looks - 1] == pytest.approx(level, abs=5.1e-5), looks


@pytest.mark.parametrize(("kind", "constant"), [("pocock", pocock), ("obrien_fleming", obrien_fleming)])
def test_group_sequential_constants(kind: str, constant: Any) -> None:
    table = TABLES["group_sequential"]
    for looks, value in table[kind].items():
        assert constant(looks, table["alpha"]) == pytest.approx(value, abs=6e-5), looks


@pytest.mark.parametrize("sides", [1, 2])
def test_crossing_probabilities_by_simulation(sides: Any) -> None:
    """200,000 random walks of seven looks; bound 5 standard errors (6e-7 a look)."""
    lines, runs = np.array([2.8, 2.5, 2.6, 2.2, 2.4, 2.1, 2.3]), 200_000
    walks = np.cumsum(np.random.default_rng(13).standard_normal((runs, 7)), axis=1) / np.sqrt(np.arange(1, 8))
    out = (np.abs(walks) if sides == 2 else walks) >= lines
    share = np.logical_or.accumulate(out, axis=1).mean(axis=0)
    truth = crossing(lines, sides)
    assert np.all(np.abs(share - truth) <= 5 * np.sqrt(truth * (1 - truth) / runs))


# --- threshold rules ---------------------------------------------------------------------------------------------


def test_delays_of_a_line() -> None:
    table = TABLES["threshold"]["delays"]
    for p1, seconds in table["rows"].items():
        found = threshold.delay_seconds(table["window_seconds"], table["line"], table["p0"], p1)
        assert found == pytest.approx(seconds, abs=0.05), p1


@pytest.mark.parametrize("p1", [0.02, 0.03, 0.05, 0.1, 1.0])
def test_the_rule_fires_at_the_evaluation_after_the_delay(p1: float) -> None:
    """Steady counts, so many that they are their means; the step comes ten minutes in."""
    at_seconds = look_seconds(1200)
    bad = np.clip(at_seconds - 600, 0, 600)
    counts = np.zeros((1, 1200, 4), dtype=np.int64)
    counts[0, :, 0] = 1_000_000 * at_seconds
    counts[0, :, 1] = np.round(10_000 * (at_seconds - bad) + 1_000_000 * p1 * bad)
    delay = threshold.delay_seconds(300, 0.015, 0.01, p1)
    for every in (1.0, 15.0, 60.0):
        alarm = alarm_seconds(make("threshold", line=0.015, every_seconds=every), at_seconds, counts)[0] - 600
        assert delay - 1e-3 <= alarm <= delay + every + 1e-3
        later = alarm_seconds(make("threshold", line=0.015, every_seconds=every, for_seconds=120), at_seconds, counts)
        assert later[0] - 600 == alarm + 120


@rows("threshold", "false_positives", "rows")
def test_false_positives_of_one_window(row: dict[str, Any]) -> None:
    chance = threshold.false_positive(300 * row["canary_per_second"], 0.01, row["line"])
    assert chance == pytest.approx(row["chance"], abs=0.51 * 10 ** -row["digits"])


@rows("failure_limit", "rows")
def test_chance_of_more_failures_than_the_limit(row: dict[str, Any]) -> None:
    chance = threshold.fails(row["count"], row["ratio"], row["limit"])
    assert chance == pytest.approx(row["chance"], abs=0.51 * 10 ** -row["digits"])


@pytest.mark.parametrize(("count", "limit"), [(10, 0), (10, 1), (30, 3)])
def test_the_failure_limit_judge_fails_as_often(count: int, limit: int) -> None:
    """Windows that do not overlap; 10,000 runs; bound 5 standard errors (6e-7)."""
    runs, line = 10_000, 0.0205
    judge = make("failure_limit", line=line, window_seconds=60, every_seconds=60, failure_limit=limit, count=count)
    block = np.zeros((runs, count + 5, 4), dtype=np.int64)
    block[:, :, 0] = 300
    block[:, :, 1] = np.random.default_rng(14).binomial(300, 0.01, block.shape[:2])
    alarms = alarm_seconds(judge, look_seconds(60 * (count + 5), 60), np.cumsum(block, axis=1))
    truth = threshold.fails(count, threshold.false_positive(300, 0.01, line), limit)
    assert abs(np.mean(~np.isnan(alarms)) - truth) <= 5 * math.sqrt(truth * (1 - truth) / runs)


@pytest.mark.slow
@rows("threshold", "false_alerts", "rows")
def test_false_alerts_a_day(row: dict[str, Any]) -> None:
    """Ours: 10 times 60 days. The published count is one draw of 60 days: 5 standard deviations of such a draw, and
    for rare alerts the Poisson tail at 1e-6; rounded to the printed digits."""
    table, times = TABLES["threshold"]["false_alerts"], 10
    days, rng = table["days"], np.random.default_rng(15)
    at_seconds = look_seconds(days * 86_400, 15)
    judges = [make("threshold", line=row["line"], for_seconds=seconds) for seconds in table["for_seconds"]]
    alerts = np.zeros((times, len(judges)))
    for number in range(times):
        counts = draw_counts(rng, 1, days * 86_400, row["per_second"], 1.0, 0.01, 0.01, bin_seconds=15)
        for column, judge in enumerate(judges):
            firing = judge.paths(at_seconds, counts)[0] >= judge.threshold
            alerts[number, column] = firing[0] + np.count_nonzero(firing[1:] & ~firing[:-1])
    for column, a_day in enumerate(row["a_day"]):
        seen, mean = round(a_day * days), alerts[:, column].mean()
        if mean > 30:
            spread = alerts[:, column].std(ddof=1) * math.sqrt(1 + 1 / times)
            assert abs(seen - mean) <= 5 * spread + 0.05 * days, (a_day, mean / days)
        else:
            high, low = mean + 5 * math.sqrt((mean + 1) / times), mean - 5 * math.sqrt((mean + 1) / times)
            assert stats.poisson.sf(seen - 1, max(high, 0)) > 1e-6, (a_day, mean / days)
            assert stats.poisson.cdf(seen, max(low, 0)) > 1e-6, (a_day, mean / days)


# --- burn rates --------------------------------------------------------------------------------------------------


def outage(before_seconds: float, seconds: float, error_ratio: float, step: float) -> tuple[Any, Any]:
    """A healthy service that begins to fail, with so many requests that counts are their means."""
    at_seconds = look_seconds(before_seconds + seconds, step)
    bad = np.maximum(at_seconds - before_seconds, 0)
    counts = np.zeros((1, at_seconds.size, 4), dtype=np.int64)
    counts[0, :, 2] = np.round(100_000 * at_seconds)
    counts[0, :, 3] = np.round(100_000 * error_ratio * bad)
    return at_seconds, counts


@rows("burn_rate", "alerts")
def test_alert_times(row: dict[str, Any]) -> None:
    window, rate, ratio = row["window_seconds"], row["rate"], row["error_ratio"]
    assert burn_rate.alert_seconds(0.999, ratio, window, rate) == pytest.approx(row["seconds"], abs=1e-6)
    for step in (15.0, 60.0):
        at_seconds, counts = outage(window, 900, ratio, step)
        judge = make("burn_rate", objective=0.999, alerts=(Burn(rate, window, window, True),), every_seconds=step)
        alarm = alarm_seconds(judge, at_seconds, counts)[0] - window
        assert row["seconds"] <= alarm <= row["seconds"] + step


def test_the_short_window_delays_nothing_and_ends_the_alert() -> None:
    """15 % errors for ten minutes after a healthy hour: the pair fires when the long window does, and stops early."""
    at_seconds, counts = outage(3600, 4200, 0.15, 15)
    counts[0, :, 3] = np.minimum(counts[0, :, 3], round(100_000 * 0.15 * 600))
    pair = make("burn_rate", objective=0.999, alerts=(Burn(14.4, 3600, 300, True),))
    alone = make("burn_rate", objective=0.999, alerts=(Burn(14.4, 3600, 3600, True),))
    firing = [judge.paths(at_seconds, counts)[0] >= judge.threshold for judge in (pair, alone)]
    first = [at_seconds[of][0] - 3600 for of in firing]
    last = [at_seconds[of][-1] - 4200 for of in firing]
    assert first[0] == first[1] == 360.0  # 345.6 s, at the next evaluation
    assert 0 < last[0] <= 300 < 3000 < last[1]


def test_resets_and_budgets() -> None:
    table = TABLES["burn_rate"]
    for row in table["resets"]:
        window = row["window_seconds"]
        reset = window - burn_rate.alert_seconds(0.999, 1.0, window, row["rate"])
        assert round(reset / 60) == row["minutes"]
    for rate, days in table["exhausted_days"].items():
        assert burn_rate.exhausted_seconds(rate) == pytest.approx(days * DAY)
    for rate, minutes in table["exhausted_minutes"].items():
        assert round(burn_rate.exhausted_seconds(rate) / 60) == minutes
    for row in table["spent"]:
        assert burn_rate.budget_spent(row["window_seconds"], row["rate"]) == pytest.approx(row["share"])
    unseen = table["unseen"]
    assert burn_rate.alert_seconds(0.999, unseen["rate"] * 0.001, 3600, 36) == math.inf
    assert math.floor(2 * burn_rate.exhausted_seconds(unseen["rate"]) / 3600) / 2 == unseen["hours"]
    low = table["low_traffic"]
    assert (1 / low["requests_per_hour"]) / 0.001 == pytest.approx(low["rate"])
    assert burn_rate.budget_spent(3600, low["rate"]) == pytest.approx(low["share"], abs=5e-4)


def test_a_long_for_makes_all_outages_equally_slow() -> None:
    found = []
    for ratio in (1.0, 0.002):
        at_seconds, counts = outage(3600, 7200, ratio, 60)
        rule: Judge = make("threshold", line=0.001, window_seconds=600, for_seconds=3600, every_seconds=60, arm="all")
        found.append(float(alarm_seconds(rule, at_seconds, counts)[0]) - 3600)
    assert found == [3660.0, 3960.0]  # the window reaches the line within 0.6 s and 300 s, then an hour
