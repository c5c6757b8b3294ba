"""What no judge can beat: the least time and the fewest requests that any method needs to tell a bad canary.

p0 is the stable revision's error ratio, p1 the bad canary's, `share` the canary's part of the traffic, `alpha` the
probability to reject a good canary over the whole rollout, `beta` the probability to let a bad one pass; all 0..1. The
fault is there from the first request on. For one that comes later there is no such bound: compare with the exact delay
of the best CUSUM instead.

*Known*: the judge is told p0. *Comparative*: it learns p0 from the stable revision's requests at the same time.

Sample sizes and exact power, which answer another question (one look at the end), are offered here too.

Source:
    Wald (1945): for any stopping rule, the mean number of requests times the information of one of them is the
    information that the decision holds, and that is at least kl(1 - beta, alpha) (data processing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from strategies.detection_bound import detection_bound, requests_for_detection
from strategies.exact_power import exact_power
from strategies.planning import (
    Sides,
    check_inside,
    check_ratios,
    collect_seconds,
    continuity_corrected,
    first_weight,
    have_and_need,
    leak_seconds,
    needed_requests,
    one_sample,
    power_at,
    smallest_weight,
    two_proportions,
    zero_failures_bound,
    zero_failures_requests,
)

__all__ = [
    "kl", "information_known", "information_comparative", "evidence",
    "time_known_seconds", "time_comparative_seconds", "minimum_exposure", "smallest_weight_limit",
    "detection_bound", "requests_for_detection", "Efficiency", "efficiency", "measured_ratio",
    "Sides", "two_proportions", "power_at", "continuity_corrected", "one_sample", "exact_power", "collect_seconds",
    "smallest_weight", "zero_failures_bound", "zero_failures_requests", "needed_requests", "have_and_need",
    "leak_seconds",
]  # fmt: skip


# --- information -------------------------------------------------------------------------------------------------


def kl(a: float, b: float) -> float:
    """Relative entropy, in nats, of a coin that falls with probability a against one that falls with b.

    It is infinite where b excludes what a allows.

    >>> round(kl(0.02, 0.01), 8), kl(0.5, 0.5), kl(0.1, 0.0)
    (0.00391362, 0.0, inf)
    """
    if not (0 <= a <= 1 and 0 <= b <= 1):
        raise ValueError(f"a and b must lie in [0, 1], got {a} and {b}")
    if (a > 0 and b == 0) or (a < 1 and b == 1):
        return math.inf
    happens = a * _log_ratio(a, b) if a > 0 else 0.0
    fails = (1 - a) * _log_ratio(1 - a, 1 - b) if a < 1 else 0.0
    return max(0.0, happens + fails)


def _log_ratio(a: float, b: float) -> float:
    """ln(a / b); of neighbours by their difference, as the quotient would lose the digits that matter."""
    apart = (a - b) / b
    return math.log1p(apart) if abs(apart) < 0.5 else math.log(a) - math.log(b)


def information_known(p0: float, p1: float) -> float:
    """Information, in nats, of one request of a bad canary when p0 is known."""
    check_ratios(p0, p1)
    return kl(p1, p0)


def information_comparative(p0: float, p1: float, share: float) -> float:
    """Information, in nats, of one request to either revision when p0 is learnt at the same time.

    The judge must not reject for any common ratio; the one that is hardest to tell apart is the mean of both arms.

    Source:
        min over p of share · kl(p1, p) + (1 - share) · kl(p0, p), a weighted Jensen-Shannon divergence.

    >>> round(information_comparative(0.01, 0.02, 0.1) / (0.1 * information_known(0.01, 0.02)), 3)
    0.875
    """
    check_ratios(p0, p1)
    check_inside(share=share)
    mean = share * p1 + (1 - share) * p0
    return share * kl(p1, mean) + (1 - share) * kl(p0, mean)


def evidence(alpha: float, beta: float = 0.0) -> float:
    """Information, in nats, that a decision with these two error probabilities holds: kl(1 - beta, alpha).

    It is ln(1 / alpha) for a judge that never misses, and 0 for one that is no better than a coin.

    >>> round(evidence(0.01), 4), evidence(0.5, 0.5)
    (4.6052, 0.0)
    """
    if not (0 < alpha <= 1 and 0 <= beta <= 1):
        raise ValueError(f"alpha must lie in (0, 1] and beta in [0, 1], got {alpha} and {beta}")
    return kl(1 - beta, alpha) if 1 - beta > alpha else 0.0


# --- the least time and exposure ---------------------------------------------------------------------------------


def time_known_seconds(
    p0: float, p1: float, *, rate_per_second: float, share: float, alpha: float, beta: float = 0.0
) -> float:
    """The least mean time to detect a bad canary for any judge that knows p0.

    Args:
        rate_per_second: requests to the service, all revisions.

    >>> round(time_known_seconds(0.01, 0.02, rate_per_second=100, share=0.1, alpha=0.01), 1)
    117.7
    """
    per_second = information_known(p0, p1) * _canary_rate(rate_per_second, share)
    return evidence(alpha, beta) / per_second


def time_comparative_seconds(
    p0: float, p1: float, *, rate_per_second: float, share: float, alpha: float, beta: float = 0.0
) -> float:
    """The least mean time to detect a bad canary for any judge that learns p0 from the stable revision meanwhile.

    `alpha` is to hold for every common error ratio; a judge whose alpha was measured at p0 only is held to a bound
    that is a little too strict or too lax where its false alarms depend on the ratio.

    >>> round(time_comparative_seconds(0.01, 0.02, rate_per_second=100, share=0.1, alpha=0.01), 1)
    134.5
    """
    _canary_rate(rate_per_second, share)
    return evidence(alpha, beta) / (rate_per_second * information_comparative(p0, p1, share))


def minimum_exposure(p0: float, p1: float, *, alpha: float, beta: float = 0.0, share: float | None = None) -> float:
    """The fewest canary requests, on average, that any judge exposes until it detects: no traffic changes it.

    Args:
        share: the canary's part of the traffic (0..1); None when p0 is known.

    >>> round(minimum_exposure(0.01, 0.02, alpha=0.01, share=0.1)), round(minimum_exposure(0.01, 0.02, alpha=0.01), 1)
    (1345, 1176.7)
    """
    if share is None:
        return evidence(alpha, beta) / information_known(p0, p1)
    return share * evidence(alpha, beta) / information_comparative(p0, p1, share)


def smallest_weight_limit(
    p0: float,
    p1: float,
    *,
    rate_per_second: float,
    window_seconds: float,
    alpha: float = 0.01,
    beta: float = 0.0,
    most: float = 0.5,
) -> float | None:
    """The smallest weight (0..1) at which a comparison could be decided within the window, by any method, on average.

    Returns:
        None when no weight up to `most` is enough.

    >>> round(smallest_weight_limit(0.01, 0.02, rate_per_second=1e6 / 86400, window_seconds=600), 3)
    0.237
    """
    if not (0 < rate_per_second < math.inf and 0 < window_seconds < math.inf):
        raise ValueError(f"rate and window must be above 0, got {rate_per_second} and {window_seconds}")
    wanted = evidence(alpha, beta) / (rate_per_second * window_seconds)
    # the information of a request rises with the weight to one peak and falls again
    return first_weight(lambda weight: information_comparative(p0, p1, weight) - wanted, most)


# --- how far a judge is from it ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Efficiency:
    """A judge against the limit at its own measured error probabilities.

    Attributes:
        value: limit ÷ mean delay; 1 is the best there can be, 0 for a judge that is no better than a coin.
        limit_seconds: the least mean delay at these error probabilities.
        alpha, beta: the measured probabilities; alpha is 3 / runs where no false alarm was seen.
    """

    value: float
    limit_seconds: float
    alpha: float
    beta: float


def measured_ratio(events: int, runs: int) -> float:
    """A measured probability; of none seen, the rule of three: 3 / runs.

    >>> measured_ratio(9, 2000), measured_ratio(0, 2000)
    (0.0045, 0.0015)
    """
    if not 0 <= events <= runs or runs < 1:
        raise ValueError(f"events must lie in 0..runs and runs be 1 or more, got {events} of {runs}")
    return min(events or 3, runs) / runs


def efficiency(
    mean_delay_seconds: float,
    *,
    false_alarms: int,
    good_runs: int,
    misses: int,
    bad_runs: int,
    information_per_second: float,
) -> Efficiency:
    """How near a judge comes to the limit, at the error probabilities that it showed.

    Args:
        mean_delay_seconds: mean time from the fault's start to the judge's end, over all bad runs: a miss counts with
            the whole horizon.
        false_alarms, good_runs: rejected good canaries, of so many.
        misses, bad_runs: bad canaries that were not detected, of so many.
        information_per_second: `rate · information_comparative(...)`, or `rate · share · information_known(...)` for
            a judge that knows p0.

    >>> judge = efficiency(195.0, false_alarms=6, good_runs=2000, misses=0, bad_runs=2000,
    ...                    information_per_second=100 * information_comparative(0.01, 0.02, 0.1))
    >>> round(judge.value, 2), round(judge.limit_seconds, 1)
    (0.87, 169.6)
    """
    if not (mean_delay_seconds > 0 and information_per_second > 0):
        raise ValueError(
            f"delay and information must be above 0, got {mean_delay_seconds} and {information_per_second}"
        )
    measured_ratio(misses, bad_runs)
    alpha, beta = measured_ratio(false_alarms, good_runs), misses / bad_runs
    limit = evidence(alpha, beta) / information_per_second
    return Efficiency(limit / mean_delay_seconds, limit, alpha, beta)


def _canary_rate(rate_per_second: float, share: float) -> float:
    if not (0 < rate_per_second < math.inf and 0 < share <= 1):
        raise ValueError(f"rate must be above 0 and share in (0, 1], got {rate_per_second} and {share}")
    return rate_per_second * share
