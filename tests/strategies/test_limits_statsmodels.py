"""Sample sizes against statsmodels, where it is installed; this module alone imports it, which takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from strategies import limits

proportion = pytest.importorskip("statsmodels.stats.proportion", reason="statsmodels is in the test extra")
power = pytest.importorskip("statsmodels.stats.power", reason="statsmodels is in the test extra")

CASES = [(0.01, 0.015), (0.01, 0.05), (0.001, 0.002), (0.05, 0.06), (0.3, 0.2)]
PUBLISHED = YAML(typ="base").load(Path(__file__).parents[1] / "published" / "sample_sizes.yaml")


@pytest.mark.parametrize(("p0", "p1"), CASES)
@pytest.mark.parametrize("wanted", [0.8, 0.95])
@pytest.mark.parametrize("sides", [1, 2])
def test_equal_arms(p0: float, p1: float, wanted: float, sides: int) -> None:
    """It pools the variance of the null for equal arms only; for others its formula is not ours."""
    way = "two-sided" if sides == 2 else "larger" if p1 > p0 else "smaller"
    theirs = proportion.samplesize_proportions_2indep_onetail(p1 - p0, p0, wanted, alpha=0.05, alternative=way)
    assert limits.two_proportions(p0, p1, power=wanted, sides=sides) == pytest.approx(theirs, rel=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize("requests", [500, 1522, 7750])
def test_power_of_equal_arms(requests: int) -> None:
    theirs = proportion.power_proportions_2indep(0.005, 0.01, requests, alternative="larger", return_results=False)
    assert limits.power_at(requests, 0.01, 0.015, sides=1) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("row", PUBLISHED["arcsine"], ids=" ".join)
def test_another_approximation_is_near(row: list[str]) -> None:
    """The variance-stabilising (arcsine) formula has the published values; ours differs by what approximations do."""
    ratio, wanted, canary = map(float, row)
    effect = proportion.proportion_effectsize(0.015, 0.01)
    theirs = power.NormalIndPower().solve_power(effect, alpha=0.05, power=wanted, ratio=ratio)
    assert theirs == pytest.approx(canary, abs=0.05)
    assert limits.two_proportions(0.01, 0.015, power=wanted, ratio=ratio) == pytest.approx(theirs, rel=0.07)


@pytest.mark.parametrize(("p", "half_width"), [(0.01, 0.005), (0.2, 0.01)])
def test_width_of_one_interval(p: float, half_width: float) -> None:
    theirs = proportion.samplesize_confint_proportion(p, half_width, alpha=0.05)
    assert limits.one_sample(p, half_width) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("n", [1, 10, 1522])
def test_no_failure_in_n(n: int) -> None:
    """Clopper and Pearson's interval of 0 in n; its upper end holds one side, so the confidence is one-sided."""
    _, upper = proportion.proportion_confint(0, n, alpha=0.1, method="beta")
    assert limits.zero_failures_bound(n) == pytest.approx(upper, rel=1e-9)
