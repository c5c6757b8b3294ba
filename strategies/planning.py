"""How many requests a question needs, before any of them is sent.

Error ratios p0 (stable) and p1 (canary) and powers are shares between 0 and 1; `ratio` is stable requests per canary
request, so a canary with the weight w has the ratio (1 - w) / w. Numbers of requests are floats: who sends them rounds
up. Requests are taken as independent of each other; sticky users or retries need more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Literal

from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr, ndtri

Sides = Literal[1, 2]

_SMALLEST_WEIGHT: Final = 1e-12  #: one request in a million millions: less is no canary
_NEAREST: Final = 1e-9  #: relative difference of two ratios below which rounding is all that is left of it


def two_proportions(
    p0: float, p1: float, *, alpha: float = 0.05, power: float = 0.8, ratio: float = 1.0, sides: Sides = 2
) -> float:
    """Canary requests after which one comparison of two error ratios finds the change with the power asked for.

    The answer holds for one look at the end. Who looks several times needs a sequential judge.

    Args:
        p0, p1: error ratio of the stable revision, and of the canary when it is bad; 0..1, different.
        alpha: probability to find a change where there is none.
        ratio: stable requests per canary request; the stable revision needs `ratio` times the answer.
        sides: 2 finds a change in either direction, 1 only in the direction of p1.

    Raises:
        ValueError: a share outside 0..1, equal ratios, a power of at most alpha, a ratio that is not above 0.

    Source:
        The z-test with pooled variance, as in Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions,
        chapter 4; tests/published/sample_sizes.yaml.

    >>> round(two_proportions(0.01, 0.015), 2), round(two_proportions(0.01, 0.015, ratio=9), 2)
    (7749.59, 4010.1)
    """
    pooled, apart = _deviations(p0, p1, ratio)
    check_errors(alpha, power)
    z_alpha, z_power = -float(ndtri(alpha / check_sides(sides))), float(ndtri(power))
    # an alpha above one half has a negative z: then a single request is enough
    return (max(z_alpha * pooled + z_power * apart, 0.0) / (p1 - p0)) ** 2


def power_at(
    requests: float, p0: float, p1: float, *, alpha: float = 0.05, ratio: float = 1.0, sides: Sides = 2
) -> float:
    """Power of the same comparison with so many canary requests: `two_proportions` the other way round.

    >>> round(power_at(7749.59, 0.01, 0.015), 4), round(power_at(1522, 0.01, 0.015), 2)
    (0.8, 0.24)
    """
    pooled, apart = _deviations(p0, p1, ratio)
    check_inside(alpha=alpha)
    if not requests >= 0:
        raise ValueError(f"requests must be 0 or more, got {requests}")
    z_alpha = -float(ndtri(alpha / check_sides(sides)))
    return float(ndtr((math.sqrt(requests) * abs(p1 - p0) - z_alpha * pooled) / apart))


def continuity_corrected(requests: float, p0: float, p1: float, *, ratio: float = 1.0) -> float:
    """Canary requests for Fisher's exact test where the z-test needs `requests`.

    Source:
        Fleiss, Tytun and Ury, Biometrics 36 (1980) 343.

    >>> round(continuity_corrected(two_proportions(0.01, 0.015), 0.01, 0.015), 1)
    8144.7
    """
    _deviations(p0, p1, ratio)
    if not requests > 0:
        raise ValueError(f"requests must be above 0, got {requests}")
    return requests / 4 * (1 + math.sqrt(1 + 2 * (ratio + 1) / (requests * ratio * abs(p1 - p0)))) ** 2


def one_sample(p: float, half_width: float, confidence: float = 0.95) -> float:
    """Requests that measure one error ratio to within ± half_width; it compares nothing.

    Source:
        Wald's interval, n = z² p (1 - p) / half_width².

    >>> round(one_sample(0.01, 0.005), 1)
    1521.2
    """
    check_inside(p=p, confidence=confidence)
    if not 0 < half_width < 1:
        raise ValueError(f"half_width must lie between 0 and 1, got {half_width}")
    return float(ndtri((1 + confidence) / 2)) ** 2 * p * (1 - p) / half_width**2


def zero_failures_bound(n: int, confidence: float = 0.95) -> float:
    """The largest error ratio that fits n requests without a failure; near 3 / n for 95 %.

    Source:
        Clopper and Pearson's one-sided bound for 0 of n, 1 - (1 - confidence)^(1/n).

    >>> round(zero_failures_bound(1000), 6), zero_failures_bound(0)
    (0.002991, 1.0)
    """
    check_inside(confidence=confidence)
    if n < 0:
        raise ValueError(f"n must be 0 or more, got {n}")
    return -math.expm1(math.log1p(-confidence) / n) if n else 1.0


def zero_failures_requests(p: float, confidence: float = 0.95) -> float:
    """Requests without a single failure that exclude the error ratio p.

    >>> round(zero_failures_requests(0.015), 1)
    198.2
    """
    check_inside(p=p, confidence=confidence)
    return math.log1p(-confidence) / math.log1p(-p)


def collect_seconds(requests: float, *, rate_per_second: float, share: float) -> float:
    """Time until the canary has had so many requests, with a share (0..1) of the whole traffic.

    >>> collect_seconds(4011, rate_per_second=120, share=0.1)
    334.25
    """
    if not requests >= 0:
        raise ValueError(f"requests must be 0 or more, got {requests}")
    if not (rate_per_second > 0 and 0 < share <= 1):
        raise ValueError(f"rate must be above 0 and share in (0, 1], got {rate_per_second} and {share}")
    return requests / (rate_per_second * share)


def smallest_weight(
    p0: float,
    p1: float,
    *,
    rate_per_second: float,
    window_seconds: float,
    alpha: float = 0.05,
    power: float = 0.9,
    sides: Sides = 1,
    most: float = 0.5,
) -> float | None:
    """The smallest weight (0..1) whose canary gets its `two_proportions` requests within the window.

    Returns:
        None when no weight up to `most` is enough: then the window has to be longer, or the change larger.

    >>> round(smallest_weight(0.01, 0.02, rate_per_second=1e6 / 86400, window_seconds=600), 3)
    0.229
    """

    def surplus(weight: float) -> float:
        """Requests of both arms that the window has beyond what the comparison needs."""
        needed = two_proportions(p0, p1, alpha=alpha, power=power, ratio=(1 - weight) / weight, sides=sides)
        return rate_per_second * window_seconds - needed / weight

    _check_window(rate_per_second, window_seconds)
    return first_weight(surplus, most)


def first_weight(surplus: Callable[[float], float], most: float) -> float | None:
    """The smallest weight up to `most` with a surplus of at least 0; None when there is none.

    Args:
        surplus: of a weight; concave. Requests that are left over are: the total need of two arms is the square of a
            sum of norms of 1/√w and 1/√(1 - w). Information is as well.
    """
    if not _SMALLEST_WEIGHT < most < 1:
        raise ValueError(f"most must lie between 0 and 1, got {most}")
    if surplus(_SMALLEST_WEIGHT) >= 0:
        return _SMALLEST_WEIGHT
    best = most
    if surplus(most) < 0:  # the peak may lie below `most`
        best = float(minimize_scalar(lambda w: -surplus(w), bounds=(0.0, most), method="bounded").x)
        if surplus(best) < 0:
            return None
    return math.exp(
        float(brentq(lambda x: surplus(math.exp(x)), math.log(_SMALLEST_WEIGHT), math.log(best), xtol=1e-13))
    )


def leak_seconds(
    slope_per_second: float, noise: float, scrape_seconds: float, *, alpha: float = 0.01, power: float = 0.9
) -> float:
    """Time until a straight rise stands out of white noise, for one least-squares fit of all scrapes, one-sided.

    Args:
        slope_per_second: what leaks, in units of `noise` a second.
        noise: standard deviation of one scrape around the line, in the same unit.

    Source:
        The variance of the slope of n equidistant points, 12 σ² / (n (n² - 1) Δ²), for large n:
        t = (12 (z_α + z_β)² σ² Δ / b²)^(1/3). Autocorrelated noise needs longer.

    >>> round(leak_seconds(1 / 60, 20, 15))
    1500
    """
    check_errors(alpha, power)
    if not (slope_per_second > 0 and noise > 0 and scrape_seconds > 0):
        given = f"{slope_per_second}, {noise} and {scrape_seconds}"
        raise ValueError(f"slope, noise and scrape interval must be above 0, got {given}")
    z = float(ndtri(power) - ndtri(alpha))
    return float((12 * (z * noise / slope_per_second) ** 2 * scrape_seconds) ** (1 / 3))


def needed_requests(
    p0: float, p1: float, *, share: float, alpha: float = 0.05, power: float = 0.8, sides: Sides = 2
) -> int:
    """Canary requests, rounded up, that a comparison at this weight (0..1) needs.

    >>> needed_requests(0.01, 0.015, share=0.1)
    4011
    """
    check_inside(share=share)
    return math.ceil(two_proportions(p0, p1, alpha=alpha, power=power, ratio=(1 - share) / share, sides=sides))


def have_and_need(have: float, need: float) -> str:
    """What a verdict says of its evidence: what there is, rounded down, and what it takes, rounded up.

    >>> have_and_need(347.2, 2528.7)
    'have 347, need 2,529'
    """
    return f"have {math.floor(have):,}, need {math.ceil(need):,}"


# --- what may be asked -------------------------------------------------------------------------------------------


def check_inside(**shares: float) -> None:
    """Raise ValueError, with its name, for the first number that is not strictly between 0 and 1."""
    for name, value in shares.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}")


def check_ratios(p0: float, p1: float) -> None:
    """Raise ValueError unless two error ratios are shares between 0 and 1 that differ."""
    check_inside(p0=p0, p1=p1)
    if p0 == p1:
        raise ValueError(f"p0 and p1 must differ, got {p0} twice: no number of requests tells them apart")
    if abs(p1 - p0) < _NEAREST * max(p0, p1):
        raise ValueError(f"p0 and p1 must differ by more than one part in {1 / _NEAREST:g}, got {p0} and {p1}")


def check_errors(alpha: float, power: float) -> None:
    """Raise ValueError unless a test with these two probabilities is better than a coin."""
    check_inside(alpha=alpha, power=power)
    if power <= alpha:
        raise ValueError(f"power must be above alpha={alpha}, got {power}: a coin does as well")


def check_sides(sides: int) -> int:
    """The number of sides itself; ValueError when it is neither 1 nor 2."""
    if sides not in (1, 2):
        raise ValueError(f"sides must be 1 or 2, got {sides}")
    return sides


def _deviations(p0: float, p1: float, ratio: float) -> tuple[float, float]:
    """Standard deviation of the difference for one canary request: under the pooled null, and as the arms are."""
    check_ratios(p0, p1)
    if not 0 < ratio < math.inf:
        raise ValueError(f"ratio must be above 0 and finite, got {ratio}")
    pooled = (p1 + ratio * p0) / (1 + ratio)
    return math.sqrt(pooled * (1 - pooled) * (1 + 1 / ratio)), math.sqrt(p1 * (1 - p1) + p0 * (1 - p0) / ratio)


def _check_window(rate_per_second: float, window_seconds: float) -> None:
    if not (0 < rate_per_second < math.inf and 0 < window_seconds < math.inf):
        raise ValueError(f"rate and window must be above 0, got {rate_per_second} and {window_seconds}")
