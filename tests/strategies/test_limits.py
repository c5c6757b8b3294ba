"""Limits and planning numbers against published values, against other implementations, and against what must hold."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from scipy import stats
from scipy.optimize import minimize_scalar

from strategies import limits
from strategies.exact_power import MOST_REQUESTS, binomial

PUBLISHED = Path(__file__).parents[1] / "published"


def published(file: str, section: str) -> list[list[str]]:
    """Rows as they are written: the digits say how exact a number is."""
    found: list[list[str]] = YAML(typ="base").load(PUBLISHED / file)[section]
    return found


def sizes(section: str) -> Any:
    return pytest.mark.parametrize("row", published("sample_sizes.yaml", section), ids=lambda row: " ".join(row))


def bounds(section: str) -> Any:
    return pytest.mark.parametrize("row", published("detection_limits.yaml", section), ids=lambda row: " ".join(row))


def agrees(value: float, printed: str) -> bool:
    """Whether a value rounds to the printed digits."""
    mantissa, _, exponent = printed.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(value - float(printed)) <= unit * 0.5000001


def test_digits_are_compared_as_they_are_printed() -> None:
    assert agrees(1.4999, "1.50")
    assert not agrees(1.494, "1.50")
    assert agrees(4.891720e-5, "4.89172e-5")
    assert not agrees(4.89173e-5, "4.89172e-5")


# --- published values: planning ----------------------------------------------------------------------------------


@sizes("two_arms")
def test_two_arms(row: list[str]) -> None:
    sides, ratio, power, canary, stable, total, corrected = row
    needed = limits.two_proportions(0.01, 0.015, power=float(power), ratio=float(ratio), sides=int(sides))  # type: ignore[arg-type]
    assert math.ceil(needed) == int(canary)
    assert math.ceil(needed) * int(ratio) == int(stable)
    assert total == "null" or int(canary) + int(stable) == int(total)
    assert math.ceil(limits.continuity_corrected(needed, 0.01, 0.015, ratio=float(ratio))) == int(corrected)


@sizes("statsmodels_one_to_one")
def test_two_arms_as_statsmodels(row: list[str]) -> None:
    assert agrees(limits.two_proportions(0.01, 0.015, power=float(row[0])), row[1])


@sizes("other_changes")
def test_other_changes(row: list[str]) -> None:
    p0, p1 = map(float, row[:2])
    found = [limits.two_proportions(p0, p1, ratio=r, power=q) for r, q in itertools.product((1, 9), (0.8, 0.9))]
    assert [math.ceil(one) for one in found] == [int(one) for one in row[2:]]


@sizes("one_sample")
def test_width_of_one_interval(row: list[str]) -> None:
    needed = limits.one_sample(float(row[0]), float(row[1]))
    assert agrees(needed, row[2])
    assert math.ceil(needed) == int(row[3])


@sizes("exact_power")
def test_exact_power(row: list[str]) -> None:
    assert agrees(limits.exact_power(0.01, 0.015, canary=int(row[0]), stable=int(row[1])), row[2])


@sizes("exact_size")
def test_exact_size(row: list[str]) -> None:
    canary, stable, sides = map(int, row[:3])
    found = limits.exact_power(0.01, 0.01, canary=canary, stable=stable, sides=sides, alpha=float(row[3]))  # type: ignore[arg-type]
    assert agrees(found, row[4])


@sizes("fisher_power")
def test_power_of_fishers_test(row: list[str]) -> None:
    found = limits.exact_power(0.01, 0.015, canary=int(row[0]), stable=int(row[1]), test="fisher")
    assert agrees(found, row[2])


@sizes("smallest_weight_percent")
def test_smallest_weight(row: list[str]) -> None:
    per_second, p0, p1 = float(row[0]) / 86400, float(row[1]), float(row[2])
    for place, window in enumerate((600, 1800, 3600, 86400)):
        fixed = limits.smallest_weight(p0, p1, rate_per_second=per_second, window_seconds=window)
        least = limits.smallest_weight_limit(p0, p1, rate_per_second=per_second, window_seconds=window)
        for found, printed in ((fixed, row[3 + place]), (least, row[7 + place])):
            assert (found is None) == (printed == "null")
            assert found is None or agrees(100 * found, printed)


@sizes("leak_seconds")
def test_leaks(row: list[str]) -> None:
    assert agrees(limits.leak_seconds(float(row[0]) / 60, 20, float(row[1])), row[2])


# --- published values: limits ------------------------------------------------------------------------------------


@bounds("known")
def test_known_baseline(row: list[str]) -> None:
    p0, p1 = float(row[0]), float(row[1])
    assert agrees(limits.kl(p1, p0), row[2])
    exposed = [limits.minimum_exposure(p0, p1, alpha=alpha) for alpha in (0.05, 0.01, 0.001)]
    assert all(map(agrees, exposed, row[3:6]))
    assert agrees(exposed[1] * (p1 - p0), row[6])


@bounds("information_kept")
def test_information_kept_when_the_baseline_is_learnt(row: list[str]) -> None:
    share = float(row[0])
    kept = limits.information_comparative(0.01, 0.02, share) / (share * limits.information_known(0.01, 0.02))
    assert agrees(kept, row[1])


@bounds("comparative_seconds")
def test_comparative_seconds(row: list[str]) -> None:
    for share, printed in zip((0.01, 0.05, 0.1, 0.25, 0.5), row[1:], strict=True):
        found = limits.time_comparative_seconds(
            0.01, float(row[0]), rate_per_second=1e7 / 86400, share=share, alpha=0.01
        )
        assert agrees(found, printed)


@bounds("comparative_requests")
def test_comparative_exposure(row: list[str]) -> None:
    for share, printed in zip((0.01, 0.05, 0.1, 0.25, 0.5), row[1:], strict=True):
        assert agrees(limits.minimum_exposure(0.01, float(row[0]), alpha=0.01, share=share), printed)


@bounds("bench_seconds")
def test_limits_of_the_bench(row: list[str]) -> None:
    rate, share, p0, p1 = map(float, row[:4])
    assert agrees(limits.time_comparative_seconds(p0, p1, rate_per_second=rate, share=share, alpha=0.01), row[4])


@bounds("requests_for_detection")
def test_requests_for_detection(row: list[str]) -> None:
    p0, p1, alpha = map(float, row[:3])
    found = [limits.requests_for_detection(p0, p1, power=power, alpha=alpha) for power in (0.5, 0.8, 0.9, 0.95)]
    assert found == [int(one) for one in row[3:]]


# --- against other ways to compute the same ----------------------------------------------------------------------

ratios = st.floats(0.001, 0.999)
pairs = st.tuples(ratios, ratios).filter(lambda pair: abs(pair[0] - pair[1]) > 1e-6)


@given(ratios, ratios)
def test_relative_entropy_is_that_of_scipy(a: float, b: float) -> None:
    assert limits.kl(a, b) == pytest.approx(stats.entropy([a, 1 - a], [b, 1 - b]), rel=1e-7, abs=1e-15)


def test_relative_entropy_at_the_ends() -> None:
    assert [limits.kl(0, 0), limits.kl(1, 1), limits.kl(0.3, 0), limits.kl(0.3, 1)] == [0, 0, math.inf, math.inf]
    assert limits.kl(0, 0.3) == pytest.approx(-math.log(0.7))
    assert limits.kl(1, 0.3) == pytest.approx(-math.log(0.3))
    assert limits.kl(0.5, 1e-310) == pytest.approx(0.5 * math.log(0.25) + 0.5 * 310 * math.log(10))
    # of neighbours: (a - b)² / (2 b (1 - b)) to first order, all digits of it
    assert limits.kl(0.01 + 1e-9, 0.01) == pytest.approx(1e-18 / (2 * 0.01 * 0.99), rel=1e-6)


@given(pairs, st.floats(0.001, 0.999))
def test_the_comparative_information_is_the_least_over_all_common_ratios(
    pair: tuple[float, float], share: float
) -> None:
    """No common error ratio is harder to tell apart than the mean: a search over all of them finds nothing less."""
    p0, p1 = pair
    found = limits.information_comparative(p0, p1, share)
    least = minimize_scalar(
        lambda p: share * limits.kl(p1, p) + (1 - share) * limits.kl(p0, p),
        bounds=(min(p0, p1), max(p0, p1)), method="bounded", options={"xatol": 1e-12},
    )  # fmt: skip
    assert found == pytest.approx(least.fun, rel=1e-6, abs=1e-15)
    assert found <= least.fun * (1 + 1e-9) + 1e-16


@given(
    st.integers(1, 40), st.integers(1, 40), ratios, ratios, st.sampled_from([0.01, 0.05, 0.3]), st.sampled_from([1, 2])
)
def test_exact_power_adds_up_every_outcome(n: int, m: int, p0: float, p1: float, alpha: float, sides: Any) -> None:
    """The plain sum over all counts of both arms; outcomes on the boundary itself may fall on either side."""
    down = p1 < p0
    critical = stats.norm.isf(alpha / sides)
    least = most = 0.0
    for x, y in itertools.product(range(n + 1), range(m + 1)):
        pooled = (x + y) / (n + m)
        spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        z = (x / n - y / m) / spread if spread else 0.0
        z = abs(z) if sides == 2 else -z if down else z
        mass = stats.binom.pmf(x, n, p1) * stats.binom.pmf(y, m, p0)
        least, most = least + mass * (z > critical + 1e-9), most + mass * (z > critical - 1e-9)
    found = limits.exact_power(p0, p1, canary=n, stable=m, alpha=alpha, sides=sides)
    assert least - 1e-9 <= found <= most + 1e-9


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize(
    ("n", "m", "p0", "p1"), [(12, 25, 0.2, 0.6), (25, 12, 0.6, 0.2), (9, 9, 0.5, 0.5), (30, 4, 0.1, 0.3)]
)
def test_power_of_fishers_test_adds_up_every_outcome(n: int, m: int, p0: float, p1: float, sides: Any) -> None:
    way = "two-sided" if sides == 2 else "less" if p1 < p0 else "greater"
    wanted = sum(
        stats.binom.pmf(x, n, p1) * stats.binom.pmf(y, m, p0)
        for x, y in itertools.product(range(n + 1), range(m + 1))
        if stats.fisher_exact([[x, n - x], [y, m - y]], alternative=way).pvalue <= 0.05
    )
    found = limits.exact_power(p0, p1, canary=n, stable=m, sides=sides, test="fisher")
    assert found == pytest.approx(wanted, abs=1e-9)


@given(st.integers(1, 10**6), st.floats(1e-6, 1 - 1e-6))
def test_the_window_of_a_binomial_holds_what_matters(n: int, p: float) -> None:
    first, masses = binomial(n, p)
    last = first + len(masses) - 1
    assert 0 <= first <= last <= n
    assert stats.binom.cdf(first - 1, n, p) + stats.binom.sf(last, n, p) < 1.1e-12
    places = np.unique(np.linspace(0, len(masses) - 1, 50).astype(int))
    np.testing.assert_allclose(masses[places], stats.binom.pmf(first + places, n, p), rtol=1e-6, atol=1e-12)


@given(st.integers(0, 400), st.floats(0.005, 0.4), st.floats(0.005, 0.4), st.floats(0.001, 0.3))
def test_the_whole_curve_is_the_randomised_test(n: int, p0: float, p1: float, alpha: float) -> None:
    """Neyman and Pearson by brute force: outcomes by likelihood ratio, the last one taken in part."""
    if abs(p0 - p1) < 1e-6:  # closer ones are refused
        return
    x = np.arange(n + 1)
    null, other = stats.binom.pmf(x, n, p0), stats.binom.pmf(x, n, p1)
    order = x[::-1] if p1 > p0 else x
    spent = np.minimum(np.cumsum(null[order]), alpha)
    free = np.where(spent < alpha, 1.0, 0.0)  # outcomes that the null excludes cost nothing
    taken = np.divide(np.diff(spent, prepend=0.0), null[order], out=free, where=null[order] > 0)
    wanted = float(np.dot(np.minimum(taken, 1.0), other[order]))
    assert limits.detection_bound(p0, p1, n, alpha=alpha) == pytest.approx(wanted, abs=1e-7)


@pytest.mark.parametrize(
    ("p0", "p1", "mean"), [(0.01, 0.05, 40.0), (0.05, 0.02, 200.0), (0.2, 0.5, 3.0), (0.01, 0.3, 1.5)]
)
def test_the_whole_curve_of_random_arrivals_is_the_randomised_test(p0: float, p1: float, mean: float) -> None:
    """The same by brute force over pairs of errors and successes."""
    errors, successes = (axis.ravel() for axis in np.meshgrid(np.arange(130), np.arange(400), indexing="ij"))
    null, other = (stats.poisson.pmf(errors, mean * p) * stats.poisson.pmf(successes, mean * (1 - p)) for p in (p0, p1))
    llr = errors * math.log(p1 / p0) + successes * math.log((1 - p1) / (1 - p0))
    order = np.argsort(-llr)
    spent = np.minimum(np.cumsum(null[order]), 0.01)
    taken = np.divide(np.diff(spent, prepend=0.0), null[order], out=np.zeros(len(order)), where=null[order] > 0)
    wanted = float(np.dot(np.minimum(taken, 1.0), other[order]))
    found = limits.detection_bound(p0, p1, mean, alpha=0.01, arrivals="poisson")
    assert found == pytest.approx(wanted, abs=1e-5)
    assert found >= wanted - 1e-9  # a bound


# --- what must hold ----------------------------------------------------------------------------------------------


@given(pairs, st.floats(1e-4, 0.2), st.floats(0.3, 0.99), st.floats(0.02, 50), st.sampled_from([1, 2]))
def test_power_at_the_number_of_requests_is_the_power(
    pair: tuple[float, float], alpha: float, power: float, ratio: float, sides: Any
) -> None:
    p0, p1 = pair
    needed = limits.two_proportions(p0, p1, alpha=alpha, power=power, ratio=ratio, sides=sides)
    reached = limits.power_at(needed, p0, p1, alpha=alpha, ratio=ratio, sides=sides)
    assert reached == pytest.approx(power, abs=1e-6) if needed > 0 else reached >= power


@given(st.floats(0.001, 0.5), st.floats(1.2, 5), st.floats(1e-3, 1e4), st.floats(60, 86400))
def test_the_smallest_weight_is_just_enough(p0: float, factor: float, rate: float, window: float) -> None:
    """At the weight found the window holds what is needed; a little below it does not."""
    p1 = min(p0 * factor, 0.95)
    found = limits.smallest_weight(p0, p1, rate_per_second=rate, window_seconds=window)

    def fits(weight: float) -> bool:
        need = limits.two_proportions(p0, p1, power=0.9, ratio=(1 - weight) / weight, sides=1)
        return limits.collect_seconds(need, rate_per_second=rate, share=weight) <= window

    if found is None:
        assert not any(map(fits, np.linspace(0.001, 0.5, 50)))
    else:
        assert fits(found * (1 + 1e-6))
        assert not fits(found * (1 - 1e-6))


@given(st.floats(0.001, 0.5), st.floats(1.2, 5), st.floats(1e-3, 1e4), st.floats(60, 86400))
def test_the_smallest_weight_of_the_limit_is_just_enough(p0: float, factor: float, rate: float, window: float) -> None:
    p1 = min(p0 * factor, 0.95)
    found = limits.smallest_weight_limit(p0, p1, rate_per_second=rate, window_seconds=window)

    def fits(weight: float) -> bool:
        return limits.time_comparative_seconds(p0, p1, rate_per_second=rate, share=weight, alpha=0.01) <= window

    if found is None:
        assert not any(map(fits, np.linspace(0.001, 0.5, 50)))
    else:
        assert fits(found * (1 + 1e-6))
        assert not fits(found * (1 - 1e-6))


def test_the_best_weight_may_be_far_below_the_largest_one() -> None:
    """A canary that hardly varies needs few requests: beyond 2 % its weight only starves the other arm."""
    p0, p1 = 0.5, 0.0001

    def total(weight: float) -> float:
        return limits.two_proportions(p0, p1, alpha=0.49, power=0.9999, sides=1, ratio=(1 - weight) / weight) / weight

    best = min(np.linspace(0.001, 0.5, 5000), key=total)
    assert best < 0.1
    found = limits.smallest_weight(
        p0, p1, rate_per_second=total(best) * 1.01, window_seconds=1, alpha=0.49, power=0.9999
    )
    assert total(0.5) > total(best) * 1.01
    assert found is not None
    assert found < best


@given(st.integers(0, 10**6), st.floats(0.5, 0.9999))
def test_no_failure_in_n_is_the_exact_bound(n: int, confidence: float) -> None:
    """At the bound, n requests without a failure have the probability 1 - confidence; and back."""
    bound = limits.zero_failures_bound(n, confidence)
    if n == 0:
        assert bound == 1
        return
    assert n * math.log1p(-bound) == pytest.approx(math.log1p(-confidence), rel=1e-6)
    assert limits.zero_failures_requests(bound, confidence) == pytest.approx(n, rel=1e-6)
    assert bound <= -math.log1p(-confidence) / n  # the rule of three is on the safe side


@given(pairs, st.floats(0.01, 0.99), st.floats(1e-4, 0.2), st.floats(0, 0.5))
def test_to_know_more_never_takes_longer(pair: tuple[float, float], share: float, alpha: float, beta: float) -> None:
    p0, p1 = pair
    given = {"rate_per_second": 100.0, "share": share, "alpha": alpha, "beta": beta}
    known, compared = limits.time_known_seconds(p0, p1, **given), limits.time_comparative_seconds(p0, p1, **given)
    assert known <= compared * (1 + 1e-9)
    assert limits.minimum_exposure(p0, p1, alpha=alpha, beta=beta, share=share) == pytest.approx(
        compared * 100 * share, rel=1e-9
    )
    # errors or successes: the same coin, seen from behind
    assert limits.time_known_seconds(1 - p0, 1 - p1, **given) == pytest.approx(known, rel=1e-6)


@given(st.floats(0.005, 0.4), st.floats(0.005, 0.4), st.floats(0.001, 0.3), st.sampled_from(["counted", "poisson"]))
def test_the_whole_curve_never_falls(p0: float, p1: float, alpha: float, arrivals: Any) -> None:
    if abs(p0 - p1) < 1e-6:
        return
    curve = limits.detection_bound(p0, p1, np.arange(0, 60, 3), alpha=alpha, arrivals=arrivals)
    assert curve[0] == pytest.approx(alpha)
    assert np.all(np.diff(curve) >= -1e-6)
    assert np.all((curve >= alpha - 1e-9) & (curve <= 1))


def test_big_arms_are_fast_enough_to_enumerate() -> None:
    """The work grows with the root of the arm: what is looked at of 150,000 requests are some hundred counts."""
    assert len(binomial(135_000, 0.01)[1]) < 800
    assert len(binomial(MOST_REQUESTS, 0.5)[1]) < 400_000
    assert limits.exact_power(0.01, 0.0101, canary=MOST_REQUESTS, stable=MOST_REQUESTS) == pytest.approx(1)


# --- efficiency --------------------------------------------------------------------------------------------------


def test_a_judge_without_false_alarms_is_held_to_the_rule_of_three() -> None:
    per_second = 100 * limits.information_comparative(0.01, 0.02, 0.1)
    found = limits.efficiency(
        200, false_alarms=0, good_runs=3000, misses=30, bad_runs=1000, information_per_second=per_second
    )
    assert (found.alpha, found.beta) == (0.001, 0.03)
    wanted = limits.time_comparative_seconds(0.01, 0.02, rate_per_second=100, share=0.1, alpha=0.001, beta=0.03)
    assert found.limit_seconds == pytest.approx(wanted)
    assert found.value == pytest.approx(wanted / 200)


def test_a_coin_has_no_efficiency() -> None:
    """Who rejects everything at once is fast and knows nothing."""
    found = limits.efficiency(
        1e-3, false_alarms=1000, good_runs=1000, misses=0, bad_runs=1000, information_per_second=0.1
    )
    assert found.value == 0
    assert limits.evidence(0.3, 0.7) == pytest.approx(0, abs=1e-12)
    assert limits.evidence(0.4, 0.7) == 0
    assert limits.measured_ratio(0, 2) == 1


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda: limits.two_proportions(0.01, 0.01), "p0 and p1 must differ"),
        (lambda: limits.kl(0.1, math.nan), "a and b must lie in"),
        (lambda: limits.two_proportions(0.01, 0.01 + 1e-13), "must differ by more than one part in 1e+09".replace("+", r"\+")),
        (lambda: limits.two_proportions(0.0, 0.01), "p0 must lie between 0 and 1, got 0.0"),
        (lambda: limits.two_proportions(0.01, math.nan), "p1 must lie between 0 and 1, got nan"),
        (lambda: limits.two_proportions(0.01, 0.02, alpha=0.1, power=0.1), "power must be above alpha"),
        (lambda: limits.two_proportions(0.01, 0.02, ratio=0), "ratio must be above 0 and finite, got 0"),
        (lambda: limits.two_proportions(0.01, 0.02, ratio=math.inf), "ratio must be above 0 and finite"),
        (lambda: limits.two_proportions(0.01, 0.02, sides=3), "sides must be 1 or 2, got 3"),  # type: ignore[arg-type]
        (lambda: limits.power_at(-1, 0.01, 0.02), "requests must be 0 or more"),
        (lambda: limits.continuity_corrected(0, 0.01, 0.02), "requests must be above 0"),
        (lambda: limits.one_sample(0.01, 0), "half_width must lie between"),
        (lambda: limits.one_sample(0.01, 0.1, confidence=1), "confidence must lie between"),
        (lambda: limits.zero_failures_bound(-1), "n must be 0 or more"),
        (lambda: limits.collect_seconds(10, rate_per_second=0, share=0.1), "rate must be above 0"),
        (lambda: limits.collect_seconds(math.nan, rate_per_second=1, share=0.1), "requests must be 0 or more"),
        (lambda: limits.smallest_weight(0.01, 0.02, rate_per_second=1, window_seconds=0), "rate and window must be"),
        (lambda: limits.smallest_weight_limit(0.01, 0.02, rate_per_second=math.inf, window_seconds=1), "rate and window"),
        (lambda: limits.smallest_weight(0.01, 0.02, rate_per_second=1, window_seconds=1, most=1), "most must lie"),
        (lambda: limits.leak_seconds(0, 1, 1), "must be above 0"),
        (lambda: limits.kl(1.1, 0.5), "a and b must lie in"),
        (lambda: limits.evidence(0), "alpha must lie in"),
        (lambda: limits.information_known(0.1, 0.1), "p0 and p1 must differ"),
        (lambda: limits.information_comparative(0.1, 0.2, 1), "share must lie between"),
        (lambda: limits.time_known_seconds(0.1, 0.2, rate_per_second=-1, share=0.1, alpha=0.1), "rate must be above 0"),
        (lambda: limits.exact_power(0.1, 0.2, canary=0, stable=1), "canary must be a whole number from 1 to"),
        (lambda: limits.exact_power(0.1, 0.2, canary=5, stable=2.5), "stable must be a whole number"),  # type: ignore[arg-type]
        (lambda: limits.exact_power(0.1, 0.2, canary=5, stable=5, test="t"), "unknown test 't'; known: fisher, z"),  # type: ignore[arg-type]
        (lambda: limits.exact_power(0.4, 0.5, canary=10**7, stable=10**7, test="fisher"), "outcomes, more than"),
        (lambda: limits.detection_bound(0.1, 0.2, [-1], alpha=0.1), "requests must lie between 0 and"),
        (lambda: limits.detection_bound(0.1, 0.2, math.nan, alpha=0.1), "requests must lie between 0 and"),
        (lambda: limits.detection_bound(0.1, 0.2, 1, alpha=0.1, arrivals="bus"), "known: counted, poisson"),  # type: ignore[arg-type]
        (lambda: limits.requests_for_detection(0.1, 0.2, power=0.05, alpha=0.1), "power must be above alpha"),
        (lambda: limits.measured_ratio(3, 2), "events must lie in"),
        (lambda: limits.needed_requests(0.1, 0.2, share=0), "share must lie between"),
    ],
)  # fmt: skip
def test_nonsense_is_named(call: Any, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        call()
