"""What a judge promises for good releases holds at every look, also where error ratios drift; what it does not, does not.

1,000 rollouts of half an hour each, looks every second. A promise of alpha is broken when more rollouts fail than a
binomial number with that mean does with probability 1e-6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from strategies.judges import make
from strategies.judges.bench import alarm_seconds, draw_counts, look_seconds

RUNS, LOOKS, ALPHA = 1000, 1800, 0.05
AT = look_seconds(LOOKS)


def drifting(share: float) -> Any:
    """Counts of two equally good revisions whose common error ratio goes up and down between 0.2 % and 5 %."""
    rng = np.random.default_rng([31, round(1000 * share)])
    ratio = 0.026 - 0.024 * np.cos(np.arange(LOOKS) / 150)
    block = np.empty((4, RUNS, LOOKS), dtype=np.int64)
    for arm, part in ((0, share), (2, 1 - share)):
        block[arm] = rng.poisson(100 * part, (RUNS, LOOKS))
        block[arm + 1] = rng.binomial(block[arm], ratio)
    return np.moveaxis(np.cumsum(block, axis=2), 0, 2)


def failed(counts: Any, name: str, **settings: Any) -> int:
    """How many rollouts a judge fails."""
    return int(np.count_nonzero(~np.isnan(alarm_seconds(make(name, alpha=ALPHA, **settings), AT, counts))))


MOST = int(stats.binom.isf(1e-6, RUNS, ALPHA))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ripr", {}),
        ("ripr", {"share": 0.1}),
        ("ripr_oracle", {"p0": 0.01, "p1": 0.03}),
        ("ripr_oracle", {"p0": 0.01, "p1": 0.03, "share": 0.1}),
        ("lindon_malek", {"share": 0.1, "k": 10, "sides": 2}),
        ("lindon_malek", {"share": 0.1}),
    ],
    ids=str,
)
def test_comparative_judges_keep_alpha_while_the_common_ratio_drifts(name: str, settings: dict[str, Any]) -> None:
    assert failed(drifting(0.1), name, **settings) <= MOST


def test_a_judge_that_is_told_the_baseline_does_not() -> None:
    assert failed(drifting(0.1), "sprt", p0=0.01, p1=0.03) > RUNS / 2


def test_counting_errors_alone_needs_the_true_share_and_counting_requests_does_not() -> None:
    counts = drifting(0.15)
    assert failed(counts, "lindon_malek", share=0.1, k=10) > RUNS / 2
    assert failed(counts, "ripr") <= MOST


def test_a_known_baseline_keeps_alpha_when_it_is_true_and_a_cusum_of_the_same_height_does_not() -> None:
    counts = draw_counts(np.random.default_rng(32), RUNS, LOOKS, 100.0, 0.1, 0.01, 0.01)
    sprt = make("sprt", p0=0.01, p1=0.02, alpha=ALPHA)
    assert failed(counts, "sprt", p0=0.01, p1=0.02) <= MOST
    assert failed(counts, "bernoulli_cusum", p0=0.01, p1=0.02, height=sprt.threshold) > RUNS / 2
    assert failed(counts, "bernoulli_cusum", p0=0.01, p1=0.02, horizon_requests=10 * LOOKS) <= MOST


@pytest.mark.parametrize("kind", ["obrien_fleming", "pocock"])
def test_planned_looks_keep_alpha_and_as_many_unplanned_ones_do_not(kind: str) -> None:
    """The z-value is normal only nearly (15 canary errors at the first look): a tenth of alpha is allowed for that."""
    counts = draw_counts(np.random.default_rng(33), RUNS, LOOKS, 100.0, 0.5, 0.03, 0.03)
    planned = failed(counts, "group_sequential", requests=85_000, looks=10, kind=kind)
    assert stats.binom.ppf(1e-6, RUNS, ALPHA) <= planned <= stats.binom.isf(1e-6, RUNS, 1.1 * ALPHA)
    assert failed(counts, "peeking_z", every_seconds=180) > MOST


def test_a_horizon_bound_is_for_faults_that_come_late() -> None:
    """The CUSUM sees a late fault as soon as an early one; the test from the beginning waits for its good past to fade."""
    late = draw_counts(np.random.default_rng(34), 300, LOOKS, 100.0, 0.1, 0.01, 0.04, fault_at=900)
    early = draw_counts(np.random.default_rng(35), 300, LOOKS, 100.0, 0.1, 0.01, 0.04)
    late_delays, early_delays = {}, {}
    for name, settings in (("bernoulli_cusum", {"horizon_requests": 10 * LOOKS}), ("sprt", {"alpha": ALPHA})):
        judge = make(name, p0=0.01, p1=0.04, **settings)
        early_delays[name] = alarm_seconds(judge, AT, early)
        alarm = alarm_seconds(judge, AT, late)
        late_delays[name] = alarm[alarm > 900] - 900
    cusum_late, cusum_early = late_delays["bernoulli_cusum"], early_delays["bernoulli_cusum"]
    error = np.hypot(cusum_late.std() / np.sqrt(cusum_late.size), cusum_early.std() / np.sqrt(cusum_early.size))
    assert cusum_late.mean() <= cusum_early.mean() + 5 * error
    assert late_delays["sprt"].mean() >= 5 * early_delays["sprt"].mean()
