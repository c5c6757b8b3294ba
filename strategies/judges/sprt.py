"""Wald's sequential probability ratio test of the canary's error ratio, p1 against a known p0.

It is the fastest test there is when both ratios are true, and it does not look at the stable revision: p0 is what the
service promises or has always had. A fault that hits both revisions fails the canary.

Source: Wald, Sequential Tests of Statistical Hypotheses (1945); tests/published/judges.yaml.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

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
    compared,
    silence_after,
    stop_at,
)

_MOST_REQUESTS: Final = 10**6  #: of the exact arithmetic
_LEFT: Final = 1e-12  #: probability of the paths that it leaves undecided


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprt:
    """Fails the canary at ln((1 - beta) / alpha), passes it at ln(beta / (1 - alpha)).

    With beta 0 the test is open: it fails a bad canary for certain, some time, and never passes a good one. Then alpha
    is kept at all looks; with beta above 0 it is kept as nearly as Wald's boundaries are exact (`exact` says).
    """

    name: ClassVar[str] = "sprt"
    p0: float  #: error ratio of a good canary
    p1: float  #: error ratio of a bad one
    alpha: float = 0.01
    beta: float = 0.0  #: probability to pass a bad canary; 0: never pass
    enough: int | None = None  #: canary requests after which silence is a pass; None: only the lower boundary passes

    def __post_init__(self) -> None:
        check_rates(self.p0, self.p1)
        check_alpha(self.alpha)
        check_enough(self.enough)
        if not 0 <= self.beta < 1 - self.alpha:
            raise ValueError(f"beta must lie in [0, 1 - alpha), got {self.beta}")

    @property
    def threshold(self) -> float:
        """ln((1 - beta) / alpha)."""
        return math.log1p(-self.beta) - math.log(self.alpha)

    @property
    def lower(self) -> float:
        """ln(beta / (1 - alpha)): it passes the canary at or below this; minus infinity when it never does."""
        return math.log(self.beta / (1 - self.alpha)) if self.beta > 0 else -math.inf

    def begin(self) -> Session:
        """The judge of one rollout."""
        error, request = scores(self.p0, self.p1)
        lower, highest = self.lower, 0.0

        def read(look: Look) -> Reading:
            nonlocal highest
            text = (
                f"{look.canary_errors:,} failures in {look.canary_requests:,} canary requests, {self.p0:.3g} expected"
            )
            if not look.canary_requests:
                return Reading(SILENT, f"{text}: need 1 request", None, 1)
            statistic = error * look.canary_errors - request * look.canary_requests
            highest = max(highest, statistic)
            p_value = math.exp(-highest)
            needed, evidence = None, compared(p_value, self.alpha)
            if self.beta > 0:
                evidence = f"evidence {statistic:.2f}, fails at {self.threshold:.2f}, passes at {lower:.2f}"
                # without another failure
                needed = look.canary_requests + max(0, math.ceil((statistic - lower) / request))
            accepts = statistic <= lower
            return Reading(statistic, f"{text}: {evidence}", p_value, needed, accepts)

        return Session(self.threshold, read, self.enough)

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The logarithm of the likelihood ratio at every look; see `Judge.paths`."""
        error, request = scores(self.p0, self.p1)
        requests = counts[:, :, 0]
        statistic = error * counts[:, :, 1] - request * requests
        statistic[requests == 0] = SILENT
        if self.beta > 0:
            silence_after(statistic, (statistic <= self.lower) & (requests > 0))
        return stop_at(statistic, counts, self.enough)


def scores(p0: float, p1: float) -> tuple[float, float]:
    """What an error adds to the logarithm of the likelihood ratio, and what every request takes from it."""
    request = math.log1p(-p0) - math.log1p(-p1)
    return math.log(p1 / p0) + request, request


class Exact(NamedTuple):
    """What a closed test does when every request fails with the same probability."""

    fails: float  #: probability that it fails the canary
    requests: float  #: mean number of requests until it decides


def exact(judge: Sprt, p: float) -> Exact:
    """The test's exact properties when it looks after every request, by adding up all paths.

    Args:
        judge: a closed test (beta above 0).
        p: the canary's error ratio.

    Raises:
        ValueError: an open test, or one that is undecided after a million requests.

    >>> wald = Sprt(p0=0.1, p1=0.3, alpha=0.02, beta=0.03)
    >>> [round(x, 4) for x in exact(wald, 0.1)]
    [0.0137, 29.9018]
    """
    if judge.beta == 0:
        raise ValueError("an open test has no exact end: give it a beta above 0")
    error, request = scores(judge.p0, judge.p1)
    alive, first = np.ones(1), 0  # probability of first, first + 1, … errors so far, while undecided
    failed = requests = 0.0
    for number in range(1, _MOST_REQUESTS + 1):
        requests += float(alive.sum())
        step = np.zeros(alive.size + 1)
        step[:-1] = alive * (1 - p)
        step[1:] += alive * p
        statistic = error * (first + np.arange(step.size)) - request * number
        up, down = statistic >= judge.threshold, statistic <= judge.lower
        failed += float(step[up].sum())
        passed = int(down.sum())
        alive, first = step[passed : step.size - int(up.sum())], first + passed
        if alive.sum() < _LEFT:
            return Exact(failed, requests)
    raise ValueError(f"{judge} is undecided after {_MOST_REQUESTS:,} requests at an error ratio of {p}")
