"""Pass, fail and inconclusive: a table of drills, and what one draw can and cannot say."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chaos import results
from chaos.evidence import Counts
from chaos.results import Pods
from chaos.verdict import EXIT_CODES, SURPRISE, Facts, Measurement, Says, Word, check, judge, plain
from scenarios.outcome import COLUMNS
from scenarios.schema import Expectation, Scenario


def expects(column: str, low: float, high: float, statistic: str = "share") -> Expectation:
    return Expectation(strategy="canary", statistic=statistic, column=column, between=(low, high), because="arithmetic")


TAKEN_BACK = expects("outcome=rolled_back", 0.95, 1)
PROMOTED = expects("outcome=promoted", 0.95, 1)
NEVER_BACK = expects("outcome=rolled_back", 0, 0.05)
DETECTION = expects("detection_seconds", 200, 250, "p50")
SEEN = [(True, "errors were seen")]


def facts(outcome: str = "rolled_back", **more: Any) -> Facts:
    told = {
        "measured": {"detection_seconds": Measurement(230.0, 229.0, 231.0)},
        "whole": False,
        "expectations": [TAKEN_BACK],
        "effects": SEEN,
        "harm": "canary",
    }
    return Facts(outcome=outcome, **{**told, **more})


@pytest.mark.parametrize(
    ("known", "word", "says"),
    [
        (facts(), Word.PASS, "1 of 1 drills ended rolled_back"),
        (facts(expectations=[TAKEN_BACK, DETECTION]), Word.PASS, "1 of 1"),
        (facts("promoted"), Word.FAIL, "0 of 1 drills ended rolled_back"),
        (facts(expectations=[PROMOTED]), Word.FAIL, "0 of 1 drills ended promoted"),
        (facts(expectations=[NEVER_BACK]), Word.FAIL, "expected a share of 0 to 0.05"),
        (facts(expectations=[TAKEN_BACK, expects("detection_seconds", 10, 20, "p50")]), Word.FAIL, "expected 10 to 20"),
        (facts(effects=[(False, "3 of 70 failed")]), Word.INCONCLUSIVE, "not seen to act: 3 of 70 failed"),
        (facts("promoted", effects=[(False, "nothing")]), Word.INCONCLUSIVE, "not seen to act"),
        (facts("promoted", effects=[], harm=""), Word.INCONCLUSIVE, "no fault acted"),
        (facts("promoted", effects=[], harm="", expectations=[PROMOTED]), Word.PASS, "ended promoted"),
        (facts("rolled_back", effects=[], harm="", expectations=[PROMOTED]), Word.FAIL, "0 of 1 drills ended promoted"),
        (facts(expectations=[]), Word.PASS, "should not be promoted"),
        (facts("promoted", expectations=[]), Word.FAIL, "should not be promoted"),
        (facts("promoted", expectations=[], harm="both"), Word.PASS, "should be promoted"),
        (facts("rolled_back", expectations=[], harm="stable"), Word.FAIL, "should be promoted"),
        (facts("promoted", expectations=[], harm="", effects=[]), Word.PASS, "should be promoted"),
        (facts("", expectations=[]), Word.INCONCLUSIVE, "did not end"),
        (facts("", expectations=[TAKEN_BACK]), Word.INCONCLUSIVE, "none of the expectations"),
        (facts(problems=["no Envoy"]), Word.REFUSED, "no Envoy"),
        (facts(failure="the router died"), Word.INCONCLUSIVE, "the router died"),
        (facts(stopped="guard latency"), Word.INCONCLUSIVE, "the rollout was stopped: guard latency"),
        (facts(doubts=["traffic: the generator was late"]), Word.INCONCLUSIVE, "the generator was late"),
        (facts(expectations=[expects("failed_requests", 0, 1, "mean")]), Word.INCONCLUSIVE, "none of the expect"),
    ],
)
def test_verdicts(known: Facts, word: Word, says: str) -> None:
    verdict = judge(known)
    assert verdict.word is word, verdict
    assert says in " ".join(verdict.reasons)
    assert verdict.exit_code == EXIT_CODES[word]
    assert plain(verdict)["exit_code"] == verdict.exit_code


@given(st.integers(1, 30), st.data(), st.sampled_from([(0.95, 1.0), (0.0, 0.05), (0.3, 0.6), (0.6, 1.0), (0.0, 0.0)]))
def test_a_share_fails_only_when_what_was_seen_is_rare_under_all_that_is_allowed(
    n: int, data: st.DataObject, between: tuple[float, float]
) -> None:
    count = data.draw(st.integers(0, n))
    drills = [facts("rolled_back" if i < count else "promoted") for i in range(n)]
    found = check(expects("outcome=rolled_back", *between), drills)
    low, high = between
    if low <= count / n <= high:
        assert found.says is Says.YES
        return
    tail = stats.binom.cdf(count, n, low) if count / n < low else stats.binom.sf(count - 1, n, high)
    assert found.says is (Says.NO if tail <= SURPRISE * (1 + 1e-9) else Says.NOTHING)


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        (Measurement(230, 229, 231), Says.YES),
        (Measurement(249, 245, 255), Says.YES),
        (Measurement(252, 245, 255), Says.NOTHING),
        (Measurement(260, 251, 265), Says.NO),
        (Measurement(100, 90, 110), Says.NO),
        (Measurement(math.nan, 120, math.inf), Says.NOTHING),
        (Measurement(math.nan, 300, math.inf), Says.NO),
    ],
)
def test_a_value_is_held_against_the_bounds_with_its_own(measured: Measurement, says: Says) -> None:
    found = check(DETECTION, [facts(measured={"detection_seconds": measured})])
    assert found.says is says, found.reason
    assert "NaN" not in str(plain(judge(facts(expectations=[DETECTION], measured={"detection_seconds": measured}))))


def test_several_drills_give_their_own_median() -> None:
    drills = [facts(measured={"detection_seconds": Measurement(v, v, v)}) for v in (100.0, 210.0, 900.0)]
    assert check(DETECTION, drills).value == 210.0
    assert check(expects("detection_seconds", 0, 1e9, "mean"), drills).value == pytest.approx(1210 / 3)


def test_a_truth_that_a_drill_does_not_draw_is_not_checked() -> None:
    assert check(expects("release_bad", 0.2, 0.4), [facts()]).says is Says.NOTHING


def test_what_counts_until_the_horizon_is_checked_when_it_was_reached() -> None:
    many = expects("failed_requests", 100, 200, "mean")
    assert check(many, [facts(measured={"failed_requests": Measurement(150, 150, 150)})]).says is Says.NOTHING
    assert check(many, [facts(measured={"failed_requests": Measurement(150, 150, 150)}, whole=True)]).says is Says.YES


# --- the row -----------------------------------------------------------------------------------------------------

PODS = Pods(least_available=8, peak=12, seconds=36_000.0)


def scenario(**more: Any) -> Scenario:
    return Scenario.model_validate(
        {"apiVersion": "rolloutlab/v1", "strategies": {"canary": {"canary": {"steps": []}}}, **more}
    )


def test_a_row_has_every_column_and_null_where_nothing_was_measured() -> None:
    found = results.row({"peak_pods": Measurement(12, 12, 12)}, replication=3, bad=True, severity=1.5, outcome="")
    assert list(found) == list(COLUMNS)
    assert (found["replication"], found["severity"], found["outcome"], found["peak_pods"]) == (3, 1.5, None, 12)
    assert found["detection_seconds"] is None
    assert results.row({}, replication=0, bad=False, severity=1.5, outcome="promoted")["severity"] is None


def test_columns_until_the_horizon_are_priced_as_the_simulator_does() -> None:
    """The same figures through `sim.rows.columns`, in whose world the drill's columns must mean the same."""
    import numpy as np

    from sim.rows import columns

    asked = scenario(horizon="1h", prices={"slowRequest": 0.002}, faults=[{"kind": "error_ratio", "ratio": "5%"}])
    found = results.until_horizon(
        asked, Counts("", 7200, 90, 10), pods=PODS, outcome="rolled_back", bad_release=True, users=5
    )
    raw = {name: np.array([value]) for name, value in {
        "release_bad": True, "severity": 1.0, "outcome": 1, "decision": 5_000_000, "fault": 0, "ended": 6_000_000,
        "first": 2e6, "last": 5.5e6, "failed": 90, "slow": 10, "least": 8, "peak": 12, "pod_us": 36_000e6,
        "requests": 7200.0, "users": 5.0,
    }.items()}  # fmt: skip
    theirs = columns(asked, raw)
    for name, value in found.items():
        assert value.value == pytest.approx(float(theirs[name][0])), name
    engineering = results.engineering_usd(asked, "rolled_back", bad_release=True)
    assert engineering == pytest.approx(float(theirs["engineering_usd"][0]))


def result(row: dict[str, Any]) -> Any:
    class Only:
        def __init__(self) -> None:
            self.row = {**dict.fromkeys(COLUMNS), **row}

    return Only()


def test_repeated_drills_give_median_worst_and_an_interval_of_the_median() -> None:
    drills = [result({"detection_seconds": float(value), "min_available_replicas": 9.0 - value}) for value in range(9)]
    by = {each.column: each for each in results.repeated(drills)}
    found = by["detection_seconds"]
    assert (found.n, found.median, found.worst) == (9, 4.0, 8.0)
    assert (found.lo, found.hi) == (1.0, 7.0)  # binomial (9, 1/2): 1 - 2 (1 + 9) / 512 = 0.961
    assert found.confidence == pytest.approx(1 - 20 / 512)
    assert by["min_available_replicas"].worst == 1.0
    few = results.repeated([result({"detection_seconds": 3.0})] * 3)[0]
    assert (few.lo, few.hi) == (-math.inf, math.inf), "three drills bound no median with 90 %"
