"""Power and size of a comparison of two error ratios, by adding up every outcome that rejects: no approximation.

Outcomes far from what is expected are left out; together they weigh less than `LEFT_OUT`, which is the error of every
number here.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from strategies.planning import Sides, check_inside, check_sides

FloatArray = NDArray[np.float64]

LEFT_OUT: Final = 1e-11  #: probability of all outcomes that are not looked at
_TAIL: Final = 1e-12  #: of it, in each of the tails that are cut
MOST_REQUESTS: Final = 10**9  #: of one arm: half a second
_MOST_OUTCOMES: Final = 3e7  #: of Fisher's test, which looks at each pair of counts


def exact_power(
    p0: float,
    p1: float,
    *,
    canary: int,
    stable: int,
    alpha: float = 0.05,
    sides: Sides = 2,
    test: Literal["z", "fisher"] = "z",
) -> float:
    """Probability that a comparison rejects, when the stable revision fails with p0 and the canary with p1.

    With p1 = p0 it is the size of the test: its true probability of a false alarm.

    Args:
        p0, p1: 0..1.
        canary, stable: requests of each arm, 1 or more.
        alpha: the level that the test is meant to have.
        sides: 1 rejects only in the direction of p1 (upwards when they are equal).
        test: `z` is the z-test with pooled variance; `fisher` Fisher's exact test, two-sided by the sum of all
            outcomes that are no more probable.

    Raises:
        ValueError: a share outside 0..1, an arm without requests or beyond MOST_REQUESTS, a Fisher's test with too
            many outcomes to look at.

    >>> round(exact_power(0.01, 0.015, canary=7750, stable=7750), 4)
    0.8035
    """
    check_inside(p0=p0, p1=p1, alpha=alpha)
    for name, requests in (("canary", canary), ("stable", stable)):
        if not (requests == int(requests) and 1 <= requests <= MOST_REQUESTS):
            raise ValueError(f"{name} must be a whole number from 1 to {MOST_REQUESTS}, got {requests}")
    level, down = alpha / check_sides(sides), p1 < p0
    if test == "z":
        return _z_power((canary, stable), (p1, p0), level, up=sides == 2 or not down, down=sides == 2 or down)
    if test == "fisher":
        return _fisher_power((canary, stable), (p1, p0), alpha, sides, down=down)
    raise ValueError(f"unknown test {test!r}; known: fisher, z")


def binomial(n: int, p: float) -> tuple[int, FloatArray]:
    """The probabilities of a binomial number around its mean, from the first count on that matters.

    Returns:
        The first count, and the probabilities from it on; what is cut off at both ends weighs less than 1e-12.

    Source:
        Bernstein's inequality for where to cut.
    """
    first, last = _around(n * p, n * p * (1 - p), 0, n)
    counts = np.arange(first, last, dtype=np.float64)
    return first, _from_steps(np.log((n - counts) / (counts + 1)) + math.log(p / (1 - p)))


def _around(mean: float, variance: float, least: int, most: int) -> tuple[int, int]:
    """The whole numbers that a sum of independent 0/1 with this mean and variance misses with at most _TAIL."""
    log = math.log(2 / _TAIL)
    reach = log / 3 + math.sqrt(log**2 / 9 + 2 * variance * log)
    return max(least, math.floor(mean - reach)), min(most, math.ceil(mean + reach))


def _from_steps(log_ratios: FloatArray) -> FloatArray:
    """Probabilities that add to 1, from the logarithms of the ratios of neighbours; no large factorials."""
    logs = np.concatenate([[0.0], np.cumsum(log_ratios)])
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


def _z_power(sizes: tuple[int, int], ratios: tuple[float, float], level: float, *, up: bool, down: bool) -> float:
    """Power of the z-test: of each stable count, the canary counts from which on it rejects.

    At a given stable count z grows with the canary count, so each tail begins at one count, found by halving.
    """
    (n, m), (p1, p0) = sizes, ratios
    first_x, of_x = binomial(n, p1)
    first_y, of_y = binomial(m, p0)
    y = np.arange(first_y, first_y + len(of_y), dtype=np.float64)
    line = float(ndtri(level)) ** 2 * (1 / n + 1 / m)
    at_least = np.append(np.cumsum(of_x[::-1])[::-1], 0.0)  # P(X >= first_x + k)
    power = 0.0
    for wanted, sign in ((up, 1.0), (down, -1.0)):
        if not wanted:
            continue
        low, high = np.zeros(len(y), dtype=np.int64), np.full(len(y), len(of_x), dtype=np.int64)
        while np.any(low < high):  # the first count past the boundary; len(of_x): none
            middle = (low + high) // 2
            x = first_x + middle.astype(np.float64)
            pooled = (x + y) / (n + m)
            apart = sign * (x / n - y / m)
            beyond = (apart > 0) & (apart**2 >= line * pooled * (1 - pooled))
            past = beyond if sign > 0 else ~beyond
            high = np.where(past & (low < high), middle, high)
            low = np.where(~past & (low < high), middle + 1, low)
        mass = at_least[low] if sign > 0 else 1.0 - at_least[low]
        power += float(np.dot(of_y, mass))
    return min(power, 1.0)


def _fisher_power(
    sizes: tuple[int, int], ratios: tuple[float, float], alpha: float, sides: Sides, *, down: bool
) -> float:
    """Power of Fisher's test: of each total of errors, the canary's parts of it whose p-value is small enough."""
    (n, m), (p1, p0) = sizes, ratios
    first_x, of_x = binomial(n, p1)
    first_y, of_y = binomial(m, p0)
    if len(of_x) * len(of_y) > _MOST_OUTCOMES:
        raise ValueError(
            f"Fisher's test of {n:,} and {m:,} requests has {len(of_x) * len(of_y):,} outcomes, more than "
            f"{_MOST_OUTCOMES:,.0f}: the z-test is as good there"
        )
    power = 0.0
    for total in range(first_x + first_y, first_x + len(of_x) + first_y + len(of_y) - 1):
        first, last = max(first_x, total - first_y - len(of_y) + 1), min(first_x + len(of_x) - 1, total - first_y)
        both = (
            of_x[first - first_x : last + 1 - first_x]
            * of_y[total - last - first_y : total + 1 - first - first_y][::-1]
        )
        p_values = _fisher_p(n, m, total, first, last, sides, down=down)
        power += float(both[p_values <= alpha].sum())
    return min(power, 1.0)


def _fisher_p(n: int, m: int, total: int, first: int, last: int, sides: Sides, *, down: bool) -> FloatArray:
    """p-values of the canary counts first..last of `total` errors; shape [last + 1 - first].

    Source:
        Hoeffding (1963): a hypergeometric number is spread no wider than the binomial one, which says where to cut.
    """
    part = n / (n + m)
    least, most = max(0, total - m), min(n, total)
    low, high = _around(total * part, total * part * (1 - part), least, most)
    k = np.arange(low, high, dtype=np.float64)
    masses = _from_steps(np.log((n - k) * (total - k)) - np.log((k + 1) * (m - total + k + 1)))
    if sides == 1:
        tails = np.cumsum(masses) if down else np.cumsum(masses[::-1])[::-1]
    else:
        order = np.sort(masses)
        # outcomes that are equally probable differ in their last digits
        tails = np.cumsum(order)[np.searchsorted(order, masses * (1 + 1e-7), side="right") - 1]
    places = np.arange(first, last + 1)
    inside = tails[np.clip(places - low, 0, len(tails) - 1)]
    if sides == 1:
        return np.where(places < low, 0.0 if down else 1.0, np.where(places > high, 1.0 if down else 0.0, inside))
    return np.where((places < low) | (places > high), 0.0, inside)
