"""The sequential test of counts of Lindon and Malek: of all errors, how many fell on the canary?

While both revisions are equally good, an error lands on the canary with the canary's share of the traffic, whatever the
error ratio is and however it drifts. Two integers are all it remembers. It needs the actual share: where routing is
sticky or the share moves, take `ripr`, which counts requests.

Source: Lindon and Malek, Anytime-Valid Inference for Multinomial Count Data (NeurIPS 2022), Bayes factor of a Dirichlet
prior with concentration k around the share; tests/published/judges.yaml.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy.special import betaln

from strategies.judges.base import (
    SILENT,
    FloatArray,
    IntArray,
    Look,
    Reading,
    Session,
    check_alpha,
    check_enough,
    compared,
    stop_at,
    tally,
)


def p_value(canary_errors: int, stable_errors: int, share: float, k: float = 100) -> float:
    """The p-value of one state of the counts, in either direction; 1 at most.

    The p-value of a rollout is the smallest of those of its looks.

    Args:
        canary_errors, stable_errors: errors since the test began.
        share: the canary's share of the traffic, 0..1.
        k: concentration of the prior: large for small changes, small for large ones.

    Raises:
        ValueError: a negative count, a share outside 0..1, a k that is not above 0.

    >>> round(p_value(20, 90, 0.1), 6)
    0.249692
    """
    if canary_errors < 0 or stable_errors < 0:
        raise ValueError(f"errors must be 0 or more, got {canary_errors} and {stable_errors}")
    _check(share, k)
    return min(1.0, math.exp(-log_bayes_factor(canary_errors, stable_errors, share, k)))


def log_bayes_factor(canary_errors: float, stable_errors: float, share: float, k: float = 100) -> float:
    """Natural logarithm of the Bayes factor against 'errors fall on the canary with its share of the traffic'."""
    prior = betaln(k * share, k * (1 - share))
    return float(
        betaln(k * share + canary_errors, k * (1 - share) + stable_errors)
        - prior
        - canary_errors * math.log(share)
        - stable_errors * math.log1p(-share)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LindonMalek:
    """Fails the canary when the Bayes factor reaches 1/alpha.

    With `sides` 1 a canary with fewer errors than its share is taken as one with just its share: only a worse canary
    fails, and the false-positive rate is about half of alpha. With 2, a canary that is better fails as well.
    """

    name: ClassVar[str] = "lindon_malek"
    share: float  #: the canary's share of the traffic, 0..1
    alpha: float = 0.01
    k: float = 100.0
    sides: Literal[1, 2] = 1
    enough: int | None = None  #: canary requests after which silence is a pass; None: it never passes

    def __post_init__(self) -> None:
        _check(self.share, self.k)
        check_alpha(self.alpha)
        check_enough(self.enough)
        if self.sides not in (1, 2):
            raise ValueError(f"sides must be 1 or 2, got {self.sides}")

    @property
    def threshold(self) -> float:
        """ln(1/alpha), on the scale of the logarithm of the Bayes factor."""
        return -math.log(self.alpha)

    def begin(self) -> Session:
        """The judge of one rollout."""
        smallest = 1.0

        def read(look: Look) -> Reading:
            nonlocal smallest
            if not (look.canary_requests and look.stable_requests):
                return Reading(SILENT, f"{tally(look)}: both revisions must have traffic, need 1 request each", None, 1)
            errors = look.canary_errors + look.stable_errors
            canary = max(float(look.canary_errors), self.share * errors) if self.sides == 1 else look.canary_errors
            statistic = log_bayes_factor(canary, errors - canary, self.share, self.k)
            smallest = min(smallest, math.exp(-statistic))
            return Reading(statistic, f"{tally(look)}: {compared(smallest, self.alpha)}", smallest)

        return Session(self.threshold, read, self.enough)

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The logarithm of the Bayes factor at every look; see `Judge.paths`."""
        share, k = self.share, self.k
        canary, errors = counts[:, :, 1].astype(np.float64), counts[:, :, 1] + counts[:, :, 3]
        if self.sides == 1:
            canary = np.maximum(canary, share * errors)
        stable = errors - canary
        statistic = betaln(k * share + canary, k * (1 - share) + stable) - betaln(k * share, k * (1 - share))
        statistic -= canary * math.log(share)
        statistic -= stable * math.log1p(-share)
        statistic[(counts[:, :, 0] == 0) | (counts[:, :, 2] == 0)] = SILENT
        return stop_at(statistic, counts, self.enough)


def _check(share: float, k: float) -> None:
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    if not 0 < k < math.inf:
        raise ValueError(f"k must be above 0 and finite, got {k}")
