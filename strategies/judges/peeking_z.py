"""The two-sample z-test looked at again and again, as dashboards invite to: a warning, not a judge for use.

Each look alone would be right at the level alpha. Together they are not, and every verdict says what they are instead.

Source: the pooled z-test; Armitage, McPherson and Rowe (1969) for the true level, `strategies.judges.boundaries`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy.special import ndtr, ndtri

from strategies.judges.base import (
    SILENT,
    FloatArray,
    IntArray,
    Look,
    Reading,
    Session,
    check_alpha,
    check_enough,
    due,
    due_looks,
    hold,
    stop_at,
    tally,
)
from strategies.judges.boundaries import MOST_LOOKS, repeated_significance


@dataclass(frozen=True, slots=True, kw_only=True)
class PeekingZ:
    """Fails the canary at the first look that is significant by itself."""

    name: ClassVar[str] = "peeking_z"
    alpha: float = 0.01  #: of one look
    every_seconds: float | None = 60.0  #: distance of the looks; None: at every look
    sides: Literal[1, 2] = 1  #: of the level; only a worse canary fails either way
    burn_in_errors: int = 10  #: it says nothing while both revisions together had fewer: the z-value is not normal
    enough: int | None = None  #: canary requests after which silence is a pass; None: it never passes

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_enough(self.enough)
        if self.sides not in (1, 2):
            raise ValueError(f"sides must be 1 or 2, got {self.sides}")
        if self.burn_in_errors < 0:
            raise ValueError(f"burn_in_errors must be 0 or more, got {self.burn_in_errors}")
        if self.every_seconds is not None and not 0 < self.every_seconds < math.inf:
            raise ValueError(f"every_seconds must be above 0 and finite, or None, got {self.every_seconds}")

    @property
    def threshold(self) -> float:
        """The z-value of a single look."""
        return float(-ndtri(self.alpha / self.sides))

    def begin(self) -> Session:
        """The judge of one rollout."""
        before_seconds, looks = 0.0, 0
        held = Reading(SILENT, "no look yet", None, 1)

        def read(look: Look) -> Reading:
            nonlocal before_seconds, looks, held
            is_due = due(look.at_seconds, before_seconds, self.every_seconds)
            before_seconds = look.at_seconds
            if is_due:
                errors = look.canary_errors + look.stable_errors
                statistic = z_value(look) if errors >= self.burn_in_errors else SILENT
                looks += statistic > SILENT
                held = self._reading(look, statistic, looks)
            return held

        return Session(self.threshold, read, self.enough)

    def _reading(self, look: Look, statistic: float, looks: int) -> Reading:
        if statistic == SILENT:
            need = f"need traffic of both revisions and {self.burn_in_errors} failures"
            return Reading(SILENT, f"{tally(look)}: {need}", None, look.canary_requests + 1)
        p_value = min(1.0, self.sides * float(ndtr(-statistic)))
        level = repeated_significance(self.alpha, MOST_LOOKS, self.sides)[min(looks, MOST_LOOKS) - 1]
        more = "more than " if looks > MOST_LOOKS else ""
        warning = f"look {looks}: peeking so often is wrong in {more}{level:.1%} of good releases, not {self.alpha:.3g}"
        return Reading(statistic, f"{tally(look)}: z = {statistic:.2f}; {warning}", p_value)

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The z-value of the last look at every look; see `Judge.paths`."""
        looks = due_looks(at_seconds, self.every_seconds)
        some = counts[:, looks]
        statistic = np.where(some[:, :, 1] + some[:, :, 3] >= self.burn_in_errors, z_values(some), SILENT)
        return stop_at(hold(statistic, looks, at_seconds.size), counts, self.enough)


def z_value(look: Look) -> float:
    """The pooled z-value of one look; 0 while nothing or everything failed, silent without both revisions' traffic."""
    if not (look.canary_requests and look.stable_requests):
        return SILENT
    errors, requests = look.canary_errors + look.stable_errors, look.canary_requests + look.stable_requests
    if errors in (0, requests):
        return 0.0
    variance = (errors / requests) * (1 - errors / requests) * (1 / look.canary_requests + 1 / look.stable_requests)
    return (look.canary_errors / look.canary_requests - look.stable_errors / look.stable_requests) / math.sqrt(variance)


def z_values(counts: IntArray) -> FloatArray:
    """The same of many: counts of shape [R, T, 4], z-values of shape [R, T]."""
    asked, failed, stable_asked, stable_failed = (counts[:, :, column] for column in range(4))
    there = (asked > 0) & (stable_asked > 0)
    asked, stable_asked = np.maximum(asked, 1), np.maximum(stable_asked, 1)
    errors, requests = failed + stable_failed, asked + stable_asked
    mixed = (errors > 0) & (errors < requests)
    pooled = np.where(mixed, errors / requests, 0.5)
    variance = pooled * (1 - pooled) * (1 / asked + 1 / stable_asked)
    z = np.where(mixed, (failed / asked - stable_failed / stable_asked) / np.sqrt(variance), 0.0)
    return np.where(there, z, SILENT)
