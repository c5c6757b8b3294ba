"""The whole curve of the limit: with what probability a bad canary can have been detected by now, by any method."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import betainc, gammaincc, gammaln

from strategies.exact_power import MOST_REQUESTS
from strategies.planning import check_errors, check_inside, check_ratios

FloatArray = NDArray[np.float64]
Arrivals = Literal["counted", "poisson"]


def detection_bound(
    p0: float, p1: float, requests: ArrayLike, *, alpha: float, arrivals: Arrivals = "counted"
) -> FloatArray:
    """The largest probability with which any judge has detected a bad canary after so many canary requests.

    So `detection_bound(p0, p1, rate · share · t, alpha=alpha)` lies above P(T <= t) of every judge, one that knows p0
    included.

    Args:
        requests: any shape, 0 or more; broken numbers count as the next smaller whole one when counted.
        arrivals: `counted`: exactly that many requests; `poisson`: that many on average, as random traffic brings
            them (a few more may come, and their number too may be used).

    Returns:
        Probabilities, of the same shape.

    Source:
        Neyman and Pearson: the randomised most powerful test of p0 against p1 of the size alpha, exactly.

    >>> detection_bound(0.01, 0.02, [0, 700, 701], alpha=0.01).round(4)
    array([0.01  , 0.4997, 0.5   ])
    """
    check_ratios(p0, p1)
    check_inside(alpha=alpha)
    given = np.asarray(requests, dtype=np.float64)
    if not (np.all(given >= 0) and np.all(given <= MOST_REQUESTS)):
        raise ValueError(f"requests must lie between 0 and {MOST_REQUESTS}")
    if p1 < p0:  # of answers that are good: the same coin, seen from behind
        p0, p1 = 1 - p0, 1 - p1
    if arrivals == "counted":
        return _counted_bound(p0, p1, np.floor(given), alpha)
    if arrivals == "poisson":
        found = [_poisson_bound(p0, p1, mean, alpha) for mean in given.ravel().tolist()]
        return np.array(found, dtype=np.float64).reshape(given.shape)
    raise ValueError(f"unknown arrivals {arrivals!r}; known: counted, poisson")


def requests_for_detection(p0: float, p1: float, *, power: float, alpha: float) -> int:
    """The fewest canary requests after which any judge at all can have detected with this probability.

    >>> requests_for_detection(0.01, 0.02, power=0.9, alpha=0.01)
    1800
    """
    check_errors(alpha, power)

    def enough(requests: int) -> bool:
        return bool(detection_bound(p0, p1, requests, alpha=alpha) >= power)

    low, high = 0, 1  # the bound never falls: a request more can be ignored
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _counted_bound(p0: float, p1: float, n: FloatArray, alpha: float) -> FloatArray:
    """Power of the randomised binomial test: rejects from c errors on, and with c - 1 sometimes."""

    def at_least(c: FloatArray, p: float) -> FloatArray:
        inner = betainc(np.clip(c, 1, None), np.clip(n - c + 1, 1, None), p)
        return np.where(c <= 0, 1.0, np.where(c > n, 0.0, inner))

    low, high = np.zeros_like(n), n + 1  # the smallest c with P0(X >= c) <= alpha
    while np.any(high - low > 1):
        middle = np.floor((low + high) / 2)
        fits = at_least(middle, p0) <= alpha
        low, high = np.where(fits, low, middle), np.where(fits, middle, high)
    size, step = at_least(high, p0), at_least(low, p0) - at_least(high, p0)
    power = at_least(high, p1)
    return np.asarray(np.minimum(power + (alpha - size) / step * (at_least(low, p1) - power), 1.0))


def _poisson_bound(p0: float, p1: float, mean: float, alpha: float) -> float:
    """The same for random arrivals: errors and successes are two Poisson numbers.

    For every k, no test of size alpha beats k · alpha + P1(L >= k) - k · P0(L >= k), L the likelihood ratio; the
    smallest of them is reached.
    """
    if mean == 0:
        return alpha
    up, down = math.log(p1 / p0), math.log((1 - p0) / (1 - p1))
    reach = 30 + 8 * math.sqrt(mean * p1)  # Bernstein: less than 1e-11 of the errors lies beyond
    errors = np.arange(max(0, math.floor(mean * p0 - reach)), math.ceil(mean * p1 + reach) + 1, dtype=np.float64)

    def beyond(log_k: float, p: float) -> float:
        few = np.floor((errors * up - log_k) / down)  # successes that leave the ratio at k or above
        masses = np.exp(errors * math.log(mean * p) - mean * p - gammaln(errors + 1))
        return float(np.dot(masses, np.where(few < 0, 0.0, gammaincc(np.maximum(few, 0) + 1, mean * (1 - p)))))

    def bound(log_k: float) -> float:
        return math.exp(log_k) * (alpha - beyond(log_k, p0)) + beyond(log_k, p1)

    # beyond ln(1 / alpha) the first term alone is above 1
    best = minimize_scalar(bound, bounds=(math.log(alpha) - 30, -math.log(alpha)), method="bounded")
    return float(min(max(best.fun, alpha), 1.0))
