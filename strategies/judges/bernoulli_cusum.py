"""A CUSUM of the canary's errors, for faults that come late: leaks, caches that fill, a bake of many hours.

The likelihood ratio of `sprt`, which starts again whenever it falls below zero, so that a good morning does not count
for a bad afternoon. It alarms for certain, some time, even when nothing is wrong: what can be asked of it is a mean
number of requests between false alarms (`arl_requests`), or a bound on the chance of one within a number of requests
(`horizon_requests`). A height of ln(1/alpha) keeps neither.

Source: Page, Continuous Inspection Schemes (1954); Reynolds and Stoumbos, A CUSUM Chart for Monitoring a Proportion
When Inspecting Continuously (1999) for the lattice; tests/published/judges.yaml.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from strategies.judges.base import (
    SILENT,
    FloatArray,
    IntArray,
    Look,
    Reading,
    Session,
    check_alpha,
    check_enough,
    check_rates,
    stop_at,
)
from strategies.judges.sprt import scores
from strategies.limits import kl

_HIGHEST: Final = 10**6  #: of the lattice, in steps


@dataclass(frozen=True, slots=True, kw_only=True)
class BernoulliCusum:
    """Fails the canary when the sum since its last low reaches a height; give exactly one of the three heights.

    It adds up a look at a time, so it falls back to zero and alarms at looks only: a little later than request by
    request, with a few false alarms less.
    """

    name: ClassVar[str] = "bernoulli_cusum"
    p0: float  #: error ratio of a good canary
    p1: float  #: error ratio of a bad one
    height: float | None = None  #: on the scale of the logarithm of the likelihood ratio
    horizon_requests: float | None = None  #: canary requests within which a false alarm has a chance below alpha
    arl_requests: float | None = None  #: mean number of requests until a false alarm, at least; exact on a lattice
    alpha: float = 0.01  #: used with horizon_requests
    enough: int | None = None  #: canary requests after which silence is a pass; None: it never passes

    def __post_init__(self) -> None:
        check_rates(self.p0, self.p1)
        check_alpha(self.alpha)
        check_enough(self.enough)
        ways = {"height": self.height, "horizon_requests": self.horizon_requests, "arl_requests": self.arl_requests}
        given = {name: value for name, value in ways.items() if value is not None}
        if len(given) != 1:
            raise ValueError(f"expected exactly one of {', '.join(ways)}, got {', '.join(given) or 'none'}")
        for name, value in given.items():
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {value}")

    @property
    def threshold(self) -> float:
        """The height, given, or so that false alarms are as rare as asked."""
        if self.height is not None:
            return self.height
        if self.horizon_requests is not None:
            return max(0.0, math.log(self.horizon_requests * kl(self.p1, self.p0) / self.alpha))
        assert self.arl_requests is not None
        return self._scores()[2] * lattice_height(self.p0, lattice(self.p0, self.p1), self.arl_requests)

    def begin(self) -> Session:
        """The judge of one rollout."""
        error, request, scale = self._scores()
        lowest = 0.0

        def read(look: Look) -> Reading:
            nonlocal lowest
            text = (
                f"{look.canary_errors:,} failures in {look.canary_requests:,} canary requests, {self.p0:.3g} expected"
            )
            if not look.canary_requests:
                return Reading(SILENT, f"{text}: need 1 request", None, 1)
            total = error * look.canary_errors - request * look.canary_requests
            lowest = min(lowest, total)
            statistic = scale * (total - lowest)
            return Reading(statistic, f"{text}: evidence since its last low is {statistic:.2f}, line {threshold:.2f}")

        threshold = self.threshold
        return Session(threshold, read, self.enough)

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The sum since its last low at every look; see `Judge.paths`."""
        error, request, scale = self._scores()
        total = error * counts[:, :, 1] - request * counts[:, :, 0]
        statistic = scale * (total - np.minimum(np.minimum.accumulate(total, axis=1), 0.0))
        statistic[counts[:, :, 0] == 0] = SILENT
        return stop_at(statistic, counts, self.enough)

    def _scores(self) -> tuple[float, float, float]:
        """What an error adds, what every request takes, and the scale of both."""
        error, request = scores(self.p0, self.p1)
        if self.arl_requests is None:
            return error, request, 1.0
        steps = lattice(self.p0, self.p1)
        return float(steps), 1.0, error / steps


# --- exact on the lattice ----------------------------------------------------------------------------------------


def lattice(p0: float, p1: float) -> int:
    """The whole number of requests that take back what one error adds: B = max(0, B) + X - 1/m.

    >>> lattice(0.01, 0.02), lattice(0.01, 0.05)
    (69, 40)
    """
    error, request = scores(p0, p1)
    return max(2, round(error / request))


def mean_run_length(p: float, steps: int, height: int) -> float:
    """Mean number of requests until B reaches height/steps, from zero, when each request fails with probability p.

    Args:
        p: error ratio, 0..1.
        steps: m of the lattice, 2 or more.
        height: alarm at this many 1/m.

    Source:
        Mean first passage times of a walk that falls one step at a time: from level b it is u(b) until b - 1 or the
        alarm, whichever is first, and b - 1 is first with the probability v(b). Ours; equal to the linear equations.

    >>> round(mean_run_length(0.01, 69, 327)), round(mean_run_length(0.02, 69, 327), 1)
    (10047, 670.1)
    """
    if not 0 < p < 1 or steps < 2 or not 1 <= height <= _HIGHEST:
        raise ValueError(
            f"expected 0 < p < 1, steps of 2 or more, a height of 1 to {_HIGHEST:,}; got {p, steps, height}"
        )
    # product[b] = v(b) v(b + 1) … v(height - 1); total[b] = sum over i >= b of u(i) product[i + 1]
    product, total = [1.0] * (height + 1), [0.0] * (height + 1)
    spent = fell = 0.0
    for level in range(height - 1, -1, -1):
        landing = level + steps - 1  # after an error
        spent = fell = 0.0  # until it is back at this level, and the chance that it comes back
        if landing < height:
            spent = (total[level + 1] - total[landing + 1]) / product[landing + 1]
            fell = product[level + 1] / product[landing + 1]
        if level:
            down = (1 - p) / (1 - p * fell)
            time = (1 + p * spent) / (1 - p * fell)
            product[level] = product[level + 1] * down
            total[level] = total[level + 1] + time * product[level + 1]
    return (1 / p + spent) / (1 - fell)


@functools.lru_cache(maxsize=256)
def lattice_height(p0: float, steps: int, arl_requests: float) -> int:
    """The lowest height, in 1/m, whose mean number of requests until a false alarm is at least `arl_requests`."""
    low, high = 0, steps
    while mean_run_length(p0, steps, high) < arl_requests:
        low, high = high, 2 * high
        if high > _HIGHEST:
            raise ValueError(f"arl_requests {arl_requests:g} asks for a height of more than {_HIGHEST:,} steps")
    while high - low > 1:
        middle = (low + high) // 2
        if mean_run_length(p0, steps, middle) < arl_requests:
            low = middle
        else:
            high = middle
    return high
