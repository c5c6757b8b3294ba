"""The sequential e-test of two error ratios: request by request, no error ratio known, no share of traffic assumed.

Each look is a block of requests. Before it, two error ratios are predicted from the blocks before; the block's
likelihood under them is divided by that under the one common ratio which is hardest to tell from them (the reverse
information projection, the mean of the two weighted by the requests of the block). While both revisions are equally
good, the product has a mean of at most 1, whatever the common ratio is and however it drifts from block to block.

Source: Turner, Ly and Grünwald, Generic E-variables for exact sequential k-sample tests that allow for optional
stopping (2024); values in tests/published/judges.yaml.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from strategies.judges.base import (
    NOTHING,
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
    stop_at,
    tally,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ripr:
    """Fails the canary when the e-value reaches 1/alpha; the ratios to bet on are learnt from earlier looks.

    One-sided: while the canary has not failed more often than the stable revision, nothing is bet. Many requests a look
    are a slower learner, very few waste evidence (a block with one revision only says nothing); a look each second to
    each scrape is fine.
    """

    name: ClassVar[str] = "ripr"
    alpha: float = 0.01
    prior_errors: float = 0.2  #: what each revision is thought to have had before the first look: so many errors
    prior_requests: float = 20.0  #: … in so many requests
    share: float | None = None  #: the canary's exact share, if known: keeps what small blocks waste
    enough: int | None = None  #: canary requests after which silence is a pass; None: it never passes

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_enough(self.enough)
        _check_share(self.share)
        if not 0 < self.prior_errors < self.prior_requests < math.inf:
            raise ValueError(
                f"expected 0 < prior_errors < prior_requests, got {self.prior_errors} and {self.prior_requests}"
            )

    @property
    def threshold(self) -> float:
        """ln(1/alpha), on the scale of the logarithm of the e-value."""
        return -math.log(self.alpha)

    def begin(self) -> Session:
        """The judge of one rollout."""

        def predicted(before: Look) -> tuple[float, float]:
            stable = (before.stable_errors + self.prior_errors) / (before.stable_requests + self.prior_requests)
            canary = (before.canary_errors + self.prior_errors) / (before.canary_requests + self.prior_requests)
            return max(canary, stable), stable

        return _Bets(predicted, self.share, self.alpha).session(self.enough)

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The logarithm of the e-value at every look; see `Judge.paths`."""
        before = np.zeros_like(counts)
        before[:, 1:] = counts[:, :-1]
        stable = (before[:, :, 3] + self.prior_errors) / (before[:, :, 2] + self.prior_requests)
        canary = (before[:, :, 1] + self.prior_errors) / (before[:, :, 0] + self.prior_requests)
        return stop_at(_grown(counts, np.maximum(canary, stable), stable, self.share), counts, self.enough)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiprOracle:
    """The same test with the true error ratios put in: how fast it could be, not a judge for use."""

    name: ClassVar[str] = "ripr_oracle"
    p0: float  #: error ratio of the stable revision
    p1: float  #: error ratio of the canary when it is bad
    share: float | None = None  #: the canary's exact share of the traffic, if known
    alpha: float = 0.01
    enough: int | None = None  #: canary requests after which silence is a pass; None: it never passes

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_enough(self.enough)
        check_rates(self.p0, self.p1)
        _check_share(self.share)

    @property
    def threshold(self) -> float:
        """ln(1/alpha), on the scale of the logarithm of the e-value."""
        return -math.log(self.alpha)

    def begin(self) -> Session:
        """The judge of one rollout."""
        return _Bets(lambda before: (self.p1, self.p0), self.share, self.alpha).session(self.enough)

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The logarithm of the e-value at every look; see `Judge.paths`."""
        canary, stable = np.full(counts.shape[:2], self.p1), np.full(counts.shape[:2], self.p0)
        return stop_at(_grown(counts, canary, stable, self.share), counts, self.enough)


def _check_share(share: float | None) -> None:
    if share is not None and not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")


# --- the e-value, one rollout and many ---------------------------------------------------------------------------


def log_e_value(look: Look, canary: float, stable: float, share: float | None = None) -> float:
    """Natural logarithm of the e-value of one block for two predicted error ratios.

    Args:
        look: the counts of the block alone.
        canary, stable: predicted error ratios, 0..1, canary at least stable.
        share: the canary's share of the traffic; None: its share of the block's requests.

    Source: the module's.
    """
    requests = look.canary_requests + look.stable_requests
    if requests == 0 or canary == stable:
        return 0.0
    weight = look.canary_requests / requests if share is None else share
    common = weight * canary + (1 - weight) * stable
    return (
        look.canary_errors * math.log(canary / common)
        + (look.canary_requests - look.canary_errors) * math.log((1 - canary) / (1 - common))
        + look.stable_errors * math.log(stable / common)
        + (look.stable_requests - look.stable_errors) * math.log((1 - stable) / (1 - common))
    )


_Predict: TypeAlias = Callable[[Look], tuple[float, float]]  #: (canary, stable), from what was seen before


class _Bets:
    """The product of one rollout."""

    def __init__(self, predicted: _Predict, share: float | None, alpha: float) -> None:
        self.predicted, self.share, self.alpha = predicted, share, alpha
        self.before, self.grown, self.highest = NOTHING, 0.0, 0.0

    def session(self, enough: int | None) -> Session:
        return Session(-math.log(self.alpha), self.read, enough)

    def read(self, look: Look) -> Reading:
        before, self.before = self.before, look
        block = Look(
            look.at_seconds,
            look.canary_requests - before.canary_requests,
            look.canary_errors - before.canary_errors,
            look.stable_requests - before.stable_requests,
            look.stable_errors - before.stable_errors,
        )
        self.grown += log_e_value(block, *self.predicted(before), self.share)
        if not (look.canary_requests and look.stable_requests):
            return Reading(SILENT, f"{tally(look)}: both revisions must have traffic, need 1 request each", None, 1)
        self.highest = max(self.highest, self.grown)
        p_value = math.exp(-self.highest)
        return Reading(self.grown, f"{tally(look)}: {compared(p_value, self.alpha)}", p_value)


def _grown(counts: IntArray, canary: FloatArray, stable: FloatArray, share: float | None) -> FloatArray:
    """The product so far, shape [R, T], for predicted error ratios of the same shape."""
    block = np.diff(counts, axis=1, prepend=0)
    asked, failed, stable_asked, stable_failed = (block[:, :, column] for column in range(4))
    requests = asked + stable_asked
    weight = asked / np.maximum(requests, 1) if share is None else share
    common = stable + weight * (canary - stable)
    grown = failed * np.log(canary / common)
    grown += (asked - failed) * np.log((1 - canary) / (1 - common))
    grown += stable_failed * np.log(stable / common)
    grown += (stable_asked - stable_failed) * np.log((1 - stable) / (1 - common))
    statistic = np.cumsum(grown, axis=1)
    statistic[(counts[:, :, 0] == 0) | (counts[:, :, 2] == 0)] = SILENT
    return statistic
