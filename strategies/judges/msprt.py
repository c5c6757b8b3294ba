"""The mixture sequential probability ratio test of two error ratios: the always-valid p-value of A/B testing platforms.

The difference of the two ratios is taken as normal with the pooled variance. For rare errors that is not so: at the
first looks, and at error ratios of one in a thousand, it alarms more often than alpha. Hence the burn-in.

Source: Johari, Koomen, Pekelis and Walsh, Always Valid Inference (Operations Research 2022); values in
tests/published/judges.yaml.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

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
    compared,
    stop_at,
    tally,
)


def log_likelihood_ratio(difference: float, variance: float, tau: float) -> float:
    """Natural logarithm of the mixture's likelihood ratio.

    Args:
        difference: of the two means.
        variance: of the difference.
        tau: standard deviation of the differences that are looked for.

    >>> round(log_likelihood_ratio(0.1, 2 / 1000, 0.1), 6)
    1.187454
    """
    mixed = variance + tau * tau
    return 0.5 * math.log(variance / mixed) + (difference * tau) ** 2 / (2 * variance * mixed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Msprt:
    """Fails the canary when the likelihood ratio reaches 1/alpha, after a burn-in.

    One-sided: a canary with the lower error ratio is taken as one with the same.
    """

    name: ClassVar[str] = "msprt"
    tau: float  #: the difference of the error ratios it is tuned to see
    alpha: float = 0.01
    burn_in_seconds: float = 30.0  #: it says nothing up to this time
    burn_in_errors: int = 10  #: … and while both revisions together had fewer errors
    enough: int | None = None  #: canary requests after which silence is a pass; None: it never passes

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_enough(self.enough)
        if not 0 < self.tau < 1:
            raise ValueError(f"tau must lie between 0 and 1, got {self.tau}")
        if not 0 <= self.burn_in_seconds < math.inf or self.burn_in_errors < 1:
            raise ValueError(
                "expected burn_in_seconds of 0 or more and burn_in_errors of 1 or more, "
                f"got {self.burn_in_seconds} and {self.burn_in_errors}"
            )

    @property
    def threshold(self) -> float:
        """ln(1/alpha)."""
        return -math.log(self.alpha)

    def begin(self) -> Session:
        """The judge of one rollout."""
        smallest = 1.0

        def read(look: Look) -> Reading:
            nonlocal smallest
            if silent := self._silent(look):
                return silent
            errors, requests = look.canary_errors + look.stable_errors, look.canary_requests + look.stable_requests
            variance = (
                (errors / requests) * (1 - errors / requests) * (1 / look.canary_requests + 1 / look.stable_requests)
            )
            difference = look.canary_errors / look.canary_requests - look.stable_errors / look.stable_requests
            statistic = log_likelihood_ratio(max(difference, 0.0), variance, self.tau)
            smallest = min(smallest, math.exp(-statistic))
            return Reading(statistic, f"{tally(look)}: {compared(smallest, self.alpha)}", smallest)

        return Session(self.threshold, read, self.enough)

    def _silent(self, look: Look) -> Reading | None:
        """Why it says nothing yet; None: it does."""
        errors, requests = look.canary_errors + look.stable_errors, look.canary_requests + look.stable_requests
        if not (look.canary_requests and look.stable_requests):
            why = "both revisions must have traffic, need 1 request each"
        elif look.at_seconds <= self.burn_in_seconds:
            why = f"a burn-in of {self.burn_in_seconds:g} s"
        elif errors < self.burn_in_errors:
            why = f"have {errors} failures, need {self.burn_in_errors}"
        elif errors == requests:
            why = "every request failed, there is nothing to compare"
        else:
            return None
        return Reading(SILENT, f"{tally(look)}: {why}", None, look.canary_requests + 1)

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The logarithm of the likelihood ratio at every look; see `Judge.paths`."""
        asked, failed, stable_asked, stable_failed = (counts[:, :, column] for column in range(4))
        errors, requests = failed + stable_failed, asked + stable_asked
        there = (asked > 0) & (stable_asked > 0) & (errors >= self.burn_in_errors) & (errors < requests)
        there &= at_seconds > self.burn_in_seconds
        asked, stable_asked = np.maximum(asked, 1), np.maximum(stable_asked, 1)
        pooled = np.where(there, errors / np.maximum(requests, 1), 0.5)
        variance = pooled * (1 - pooled) * (1 / asked + 1 / stable_asked)
        difference = np.maximum(failed / asked - stable_failed / stable_asked, 0.0)
        mixed = variance + self.tau * self.tau
        statistic = 0.5 * np.log(variance / mixed) + (difference * self.tau) ** 2 / (2 * variance * mixed)
        statistic[~there] = SILENT
        return stop_at(statistic, counts, self.enough)
