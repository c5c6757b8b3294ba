"""Registry, verdicts in words, passes and what is needed for them, and what a judge refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.judges import REGISTRY, Look, State, make
from strategies.judges.base import Session, check_paths, matched
from strategies.judges.bench import alarm_seconds, alarms, blocks, draw_counts, first_alarm, look_seconds
from strategies.judges.boundaries import repeated_significance
from strategies.judges.peeking_z import z_value
from strategies.judges.testing import paths_to_try, verdicts
from strategies.models.alerts import Alert, AlertRule, AlertState

ISSUE = Look(60.0, 312, 16, 2800, 22)


def seen(name: str, *looks: Look, **settings: Any) -> list[Any]:
    session = make(name, **settings).begin()
    return [session.update(look) for look in looks]


# --- registry ----------------------------------------------------------------------------------------------------


def test_an_unknown_judge_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match="unknown judge 'lindon-malek'; did you mean 'lindon_malek'\\? known: bernoulli_cusum, "
    ):
        make("lindon-malek")


def test_an_unknown_setting_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match="unknown setting of judge ripr 'alfa'; did you mean 'alpha'\\? known: alpha, "
    ):
        make("ripr", alfa=0.1)


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(ValueError, match="judge sprt needs p1; settings: p0, p1, alpha"):
        make("sprt", p0=0.1)


def test_names_are_those_of_the_registry() -> None:
    assert all(kind.name == name for name, kind in REGISTRY.items())


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("lindon_malek", {"share": 0.0}, "share must lie between 0 and 1, got 0.0"),
        ("lindon_malek", {"share": 0.1, "k": 0}, "k must be above 0"),
        ("lindon_malek", {"share": 0.1, "sides": 3}, "sides must be 1 or 2"),
        ("lindon_malek", {"share": 0.1, "alpha": 1.0}, "alpha must lie between 0 and 1"),
        ("lindon_malek", {"share": math.nan}, "share must lie between 0 and 1"),
        ("ripr", {"prior_errors": 30}, "0 < prior_errors < prior_requests"),
        ("ripr", {"enough": 0}, "enough must be 1 canary request or more"),
        ("ripr_oracle", {"p0": 0.05, "p1": 0.05}, "0 < p0 < p1 < 1"),
        ("sprt", {"p0": 0.01, "p1": 0.05, "beta": 0.995}, r"beta must lie in \[0, 1 - alpha\)"),
        ("msprt", {"tau": 0}, "tau must lie between 0 and 1"),
        ("msprt", {"tau": 0.1, "burn_in_errors": 0}, "burn_in_errors of 1 or more"),
        (
            "bernoulli_cusum",
            {"p0": 0.01, "p1": 0.05},
            "exactly one of height, horizon_requests, arl_requests, got none",
        ),
        ("bernoulli_cusum", {"p0": 0.01, "p1": 0.05, "height": 4, "arl_requests": 9}, "got height, arl_requests"),
        ("bernoulli_cusum", {"p0": 0.01, "p1": 0.05, "height": math.inf}, "height must be above 0 and finite"),
        ("peeking_z", {"every_seconds": 0}, "every_seconds must be above 0"),
        ("group_sequential", {"requests": 3}, "requests must be at least the 5 looks"),
        ("group_sequential", {"requests": 1000, "looks": 65}, "looks must lie in 1..64"),
        ("group_sequential", {"requests": 1000, "kind": "haybittle"}, "kind must be obrien_fleming or pocock"),
        ("threshold", {"line": 1.0}, r"line must lie in \[0, 1\)"),
        ("threshold", {"line": 0.1, "window_seconds": 0}, "window_seconds must be above 0"),
        ("threshold", {"line": 0.1, "for_seconds": -1}, "for_seconds must be 0 or more"),
        ("threshold", {"line": 0.1, "arm": "stable"}, "arm must be one of canary, all"),
        ("failure_limit", {"line": 0.1, "failure_limit": 3, "count": 3}, "count must be above failure_limit 3"),
        ("burn_rate", {"objective": 1.0}, "objective must lie between 0 and 1"),
        ("burn_rate", {"objective": 0.9}, "can never fire"),
        (
            "burn_rate",
            {"objective": 0.99, "alerts": ((2.0, 60.0, 300.0, True),)},
            "short window no longer than the long",
        ),
        ("burn_rate", {"objective": 0.99, "alerts": ()}, "at least one alert"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make(name, **settings)


# --- verdicts in words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("lindon_malek", {"share": 0.1, "k": 10}, "16 failures in 312 canary requests against 22 in 2,800: p = 5.1e-05 <= 0.01"),
        ("sprt", {"p0": 0.01, "p1": 0.05}, "16 failures in 312 canary requests, 0.01 expected: p = 1.3e-06 <= 0.01"),
        ("msprt", {"tau": 0.04}, "16 failures in 312 canary requests against 22 in 2,800: p = 3.2e-09 <= 0.01"),
        ("threshold", {"line": 0.03, "window_seconds": 60}, "16 of 312 requests failed in 60 s, 5.128% > 3%"),
        ("failure_limit", {"line": 0.03, "window_seconds": 60}, "1 of 1 measurements failed, 0 allowed; last 16 of 312 requests failed in 60 s, 5.128% > 3%"),
        ("burn_rate", {"objective": 0.999, "arm": "canary"}, "the budget burns 51.3 times too fast over 3d and 51.3 times over 6h, line 1 (ticket)"),
        ("peeking_z", {}, "16 failures in 312 canary requests against 22 in 2,800: z = 6.62; look 1: peeking so often is wrong in 1.0% of good releases, not 0.01"),
        ("group_sequential", {"requests": 300}, "16 failures in 312 canary requests against 22 in 2,800: z = 6.62, line 2.38 at look 5 of 5"),
    ],
)  # fmt: skip
def test_a_failure_says_why(name: str, settings: dict[str, Any], reason: str) -> None:
    verdict = seen(name, ISSUE, **settings)[-1]
    assert (verdict.state, verdict.reason) == (State.FAIL, reason)
    assert verdict.requests == 312


def test_too_little_is_inconclusive_and_says_how_much_is_needed() -> None:
    verdict = seen("threshold", Look(300, 12, 9, 108, 0), line=0.03, min_requests=50)[-1]
    assert (verdict.state, verdict.reason) == (State.INCONCLUSIVE, "have 12 requests in 300 s, need 50")
    assert (verdict.requests, verdict.needed) == (12, 50)


def test_a_mixture_test_waits_for_errors_and_says_so() -> None:
    verdict = seen("msprt", Look(60, 100, 3, 900, 4), tau=0.01)[-1]
    assert verdict.state is State.INCONCLUSIVE
    assert verdict.reason.endswith("have 7 failures, need 10")


def test_peeking_names_its_true_level_at_each_look() -> None:
    looks = [Look(60.0 * n, 100 * n, n, 900 * n, 9 * n) for n in range(1, 101)]
    verdicts = seen("peeking_z", *looks, burn_in_errors=0)
    level = repeated_significance(0.01, 5, 1)[-1]
    assert f"look 5: peeking so often is wrong in {level:.1%} of good releases, not 0.01" in verdicts[4].reason
    assert "look 100: peeking so often is wrong in more than 8.4% of good" in verdicts[-1].reason


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("lindon_malek", {"share": 0.1}),
        ("lindon_malek", {"share": 0.1, "k": 10, "sides": 2}),
        ("ripr", {}),
        ("ripr_oracle", {"p0": 0.01, "p1": 0.05}),
        ("msprt", {"tau": 0.04}),
        ("sprt", {"p0": 0.01, "p1": 0.05}),
        ("peeking_z", {"burn_in_errors": 0}),
        ("peeking_z", {"sides": 2}),
    ],
    ids=str,
)
@pytest.mark.parametrize("alpha", [0.2, 0.01, 1e-4])
def test_it_fails_exactly_when_the_p_value_reaches_alpha(name: str, settings: dict[str, Any], alpha: float) -> None:
    found = set()
    for _, at_seconds, counts in paths_to_try():
        for verdict in verdicts(make(name, alpha=alpha, **settings), at_seconds, counts[0]):
            if verdict.p_value is not None:
                assert (verdict.p_value <= alpha) == (verdict.state is State.FAIL), verdict
                found.add(verdict.state)
    assert State.FAIL in found


# --- passes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lindon_malek", "ripr", "msprt", "sprt", "bernoulli_cusum", "peeking_z", "threshold"])
def test_silence_passes_only_when_enough_was_seen(name: str) -> None:
    needs: dict[str, dict[str, Any]] = {
        "lindon_malek": {"share": 0.1},
        "msprt": {"tau": 0.01},
        "sprt": {"p0": 0.01, "p1": 0.05},
        "bernoulli_cusum": {"p0": 0.01, "p1": 0.05, "height": 4.6},
        "threshold": {"line": 0.03},
    }
    settings = needs.get(name, {})
    looks = [Look(300.0 * n, 500 * n, 5 * n, 4500 * n, 45 * n) for n in range(1, 5)]
    assert {verdict.state for verdict in seen(name, *looks, **settings)} == {State.CONTINUE}
    verdicts = seen(name, *looks, enough=1200, **settings)
    assert [verdict.state for verdict in verdicts] == [State.CONTINUE] * 2 + [State.PASS] * 2
    assert verdicts[-1].reason.startswith("no alarm in 1,500 canary requests, 1,200 were asked for; ")
    assert verdicts[0].needed == 1200


def test_a_closed_test_passes_at_its_lower_boundary_and_says_how_far_it_is() -> None:
    first, later = seen("sprt", Look(1, 20, 0, 0, 0), Look(2, 60, 0, 0, 0), p0=0.01, p1=0.05, alpha=0.05, beta=0.1)
    assert (
        first.reason
        == "0 failures in 20 canary requests, 0.01 expected: evidence -0.82, fails at 2.89, passes at -2.25"
    )
    assert (first.state, first.needed) == (State.CONTINUE, 55)  # ln(0.95/0.1) / ln(0.99/0.95) = 54.6
    assert later.state is State.PASS


def test_a_failure_limit_passes_after_its_measurements() -> None:
    looks = [Look(60.0 * n, 100 * n, 0, 0, 0) for n in range(1, 7)]
    verdicts = seen("failure_limit", *looks, line=0.03, window_seconds=60, count=4)
    assert [verdict.state for verdict in verdicts] == [State.CONTINUE] * 3 + [State.PASS] * 3


def test_the_plan_of_a_group_sequential_test_is_its_need() -> None:
    verdicts = seen(
        "group_sequential",
        Look(1, 150, 2, 1350, 14),
        Look(2, 420, 4, 3780, 38),
        Look(3, 1000, 9, 9000, 92),
        requests=1000,
    )
    assert [verdict.state for verdict in verdicts] == [State.INCONCLUSIVE, State.CONTINUE, State.PASS]
    assert verdicts[0].reason == "have 150 canary requests, need 200 for the first look"
    assert [verdict.needed for verdict in verdicts] == [200, 1000, 1000]


@pytest.mark.parametrize(
    ("kind", "lines"),
    [("obrien_fleming", [4.56, 3.23, 2.63, 2.28, 2.04]), ("pocock", [2.41] * 5)],
)
def test_each_planned_look_has_its_line(kind: str, lines: list[float]) -> None:
    """Jennison and Turnbull's lines for five looks, two-sided 5 %; a z-value just above or below decides."""
    for stage, line in enumerate(lines, start=1):
        asked = 200 * stage
        states = {}
        for errors in range(asked + 1):
            look = Look(1.0, asked, errors, asked, asked // 4)
            verdict = seen("group_sequential", look, requests=1000, kind=kind, alpha=0.05, sides=2)[-1]
            states[z_value(look)] = verdict.state is State.FAIL
        z_values = [z for z, failed in states.items() if failed]
        assert min(z_values) >= line - 0.005
        assert all(failed for z, failed in states.items() if z >= line + 0.005)


def test_a_canary_that_is_better_is_no_evidence_against_it_unless_both_sides_are_asked_for() -> None:
    looks = [Look(float(n), 100 * n, 0, 900 * n, 90 * n) for n in range(1, 30)]
    assert max(verdict.statistic for verdict in seen("ripr", *looks)) <= 0.0
    assert max(verdict.statistic for verdict in seen("lindon_malek", *looks, share=0.1)) <= 0.0
    assert seen("lindon_malek", *looks, share=0.1, sides=2)[-1].state is State.FAIL


def test_another_threshold_for_the_same_judge() -> None:
    judge = make("lindon_malek", share=0.1, k=10)
    stricter = matched(judge, 20.0)
    assert stricter.threshold == 20.0
    assert stricter.begin().update(ISSUE).state is State.CONTINUE
    assert judge.begin().update(ISSUE).state is State.FAIL
    counts = np.array([[[312, 16, 2800, 22]]])
    np.testing.assert_array_equal(stricter.paths(np.array([60.0]), counts), judge.paths(np.array([60.0]), counts))


# --- alert rules -------------------------------------------------------------------------------------------------


def states(rule: AlertRule, *results: bool, every: float = 15.0) -> list[AlertState]:
    alert = Alert(rule)
    return [alert.evaluate(every * number, result) for number, result in enumerate(results)]


INACTIVE, PENDING, FIRING = AlertState


def test_without_for_it_fires_at_once() -> None:
    assert states(AlertRule(), False, True, True, False) == [INACTIVE, FIRING, FIRING, INACTIVE]


def test_one_good_evaluation_starts_for_again() -> None:
    rule = AlertRule(for_seconds=30)
    assert states(rule, True, True, False, True, True, True, False) == [
        PENDING, PENDING, INACTIVE, PENDING, PENDING, FIRING, INACTIVE,
    ]  # fmt: skip


def test_for_between_two_evaluations_waits_for_the_later() -> None:
    assert states(AlertRule(for_seconds=20), True, True, True) == [PENDING, PENDING, FIRING]


def test_keep_firing_counts_from_the_first_evaluation_without_a_result() -> None:
    rule = AlertRule(keep_firing_for_seconds=30)
    assert states(rule, True, False, False, False, False) == [FIRING, FIRING, FIRING, INACTIVE, INACTIVE]
    assert states(rule, True, False, True, False, False, False) == [FIRING, FIRING, FIRING, FIRING, FIRING, INACTIVE]


def test_keep_firing_does_not_keep_a_pending_alert() -> None:
    assert states(AlertRule(for_seconds=30, keep_firing_for_seconds=60), True, True, False, True) == [
        PENDING, PENDING, INACTIVE, PENDING,
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["for_seconds", "keep_firing_for_seconds"])
def test_times_of_a_rule_are_not_negative(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} must be 0 or more"):
        AlertRule(**{field: -1.0})


@given(
    failed=st.lists(st.integers(0, 10), min_size=1, max_size=40),
    for_seconds=st.sampled_from([0.0, 10.0, 15.0, 40.0, 100.0]),
    steps=st.sampled_from([1.0, 15.0, 20.0]),
)
@settings(deadline=None)
def test_the_threshold_judge_fails_when_the_alert_rule_fires(
    failed: list[int], for_seconds: float, steps: float
) -> None:
    judge = make("threshold", line=0.3, window_seconds=steps, every_seconds=None, for_seconds=for_seconds)
    session, alert = judge.begin(), Alert(AlertRule(for_seconds=for_seconds))
    total = 0
    for number, errors in enumerate(failed, start=1):
        total += errors
        verdict = session.update(Look(steps * number, 10 * number, total, 0, 0))
        firing = alert.evaluate(steps * number, errors / 10 > 0.3) is AlertState.FIRING
        assert (verdict.state is State.FAIL) == firing
        if firing:
            return


# --- drawing -----------------------------------------------------------------------------------------------------


def test_counts_have_the_means_that_were_asked_for() -> None:
    """200 runs; every mean within 5 standard errors of a Poisson number (alpha 6e-7 each, 8 of them)."""
    counts = draw_counts(np.random.default_rng(21), 200, 600, 50.0, 0.2, 0.02, 0.1, fault_at=400.5)
    assert counts.shape == (200, 600, 4)
    check_paths(look_seconds(600), counts)
    before, after = counts[:, 399], counts[:, 599] - counts[:, 400]
    for seen_counts, truth in (
        (before, [4000, 80, 16000, 320]),
        (after, [1990, 199, 7960, 159.2]),
    ):
        mean, truths = seen_counts.mean(axis=0), np.array(truth)
        assert np.all(np.abs(mean - truths) <= 5 * np.sqrt(truths / 200)), (mean, truths)
    split = (counts[:, 400] - counts[:, 399]).mean(axis=0)  # half a bin of each
    assert abs(split[1] - 10 * 0.06) <= 5 * math.sqrt(0.6 / 200)


def test_the_first_alarm_is_the_first() -> None:
    paths = np.array([[0.0, 2.0, 1.0, 3.0], [-np.inf, 0.0, 0.0, 0.0], [5.0, 5.0, 5.0, 5.0]])
    assert first_alarm(paths, 2.0).tolist() == [1, -1, 0]
    assert first_alarm(paths, 2.5).tolist() == [3, -1, 0]


def test_blocks_do_not_change_what_is_seen_and_fit_their_bound() -> None:
    assert sum(blocks(10_000, 86_400)) == 10_000
    assert max(blocks(10_000, 86_400)) * 86_400 * 32 <= 64 * 2**20
    assert list(blocks(3, 10**9)) == [1, 1, 1]
    judges = {"quick": make("sprt", p0=0.01, p1=0.05), "rule": make("threshold", line=0.03, window_seconds=60)}
    found = alarms(judges, np.random.default_rng(3), 40, 600, 50.0, 0.2, 0.01, 0.05)
    counts = draw_counts(np.random.default_rng(3), 40, 600, 50.0, 0.2, 0.01, 0.05)
    for name, judge in judges.items():
        np.testing.assert_array_equal(found[name], alarm_seconds(judge, look_seconds(600), counts))
        assert np.mean(~np.isnan(found[name])) > 0.9


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"runs": 0}, "runs must be 1 or more"),
        ({"seconds": 0.2}, "at least one bin"),
        ({"bin_seconds": 0.0}, "at least one bin"),
        ({"rate_per_second": -1.0}, "rate_per_second must be 0 or more"),
        ({"rate_per_second": math.inf}, "rate_per_second must be 0 or more and finite"),
        ({"share": 1.2}, "share must lie in 0..1"),
        ({"p1": math.nan}, "p1 must lie in 0..1"),
    ],
)
def test_draws_that_make_no_sense_are_refused(change: dict[str, Any], problem: str) -> None:
    settings: dict[str, Any] = {"runs": 1, "seconds": 60.0, "rate_per_second": 1.0, "share": 0.1, "p0": 0.1, "p1": 0.1}
    with pytest.raises(ValueError, match=problem):
        draw_counts(np.random.default_rng(1), **(settings | change))


def test_paths_of_the_wrong_shape_or_falling_are_refused() -> None:
    at_seconds, counts = look_seconds(3), np.cumsum(np.ones((2, 3, 4), dtype=np.int64), axis=1)
    check_paths(at_seconds, counts)
    for wrong in (counts[0], counts[:, :2], counts[:, ::-1], counts * [1, 2, 1, 1]):
        with pytest.raises(ValueError, match="expected times|must not fall|errors must be"):
            check_paths(at_seconds, wrong)
    with pytest.raises(ValueError, match="at_seconds must ascend"):
        check_paths(at_seconds[::-1], counts)


def test_a_session_can_be_made_by_hand() -> None:
    from strategies.judges.base import Reading

    session = Session(1.0, lambda look: Reading(float(look.canary_errors), "counts errors"))
    assert session.update(Look(1, 5, 1, 0, 0)).state is State.FAIL
    with pytest.raises(ValueError, match="canary_requests must not fall .* got 4 after 5"):
        session.update(Look(2, 4, 1, 0, 0))
