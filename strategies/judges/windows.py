"""Error ratios over the window that ends at a look, as threshold rules read them: one rollout and many."""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, TypeAlias

import numpy as np

from strategies.judges.base import NOTHING, SILENT, FloatArray, IntArray, Look

Arm: TypeAlias = Literal["canary", "all"]
ARMS: Final = ("canary", "all")

_SLACK_SECONDS: Final = 1e-9


def check_arm(arm: str) -> None:
    """ValueError unless this names whose requests are counted."""
    if arm not in ARMS:
        raise ValueError(f"arm must be one of {', '.join(ARMS)}, got {arm!r}")


def of_arm(look: Look, arm: Arm) -> tuple[int, int]:
    """Requests and errors of the canary, or of both revisions together."""
    if arm == "canary":
        return look.canary_requests, look.canary_errors
    return look.canary_requests + look.stable_requests, look.canary_errors + look.stable_errors


class Window:
    """Requests and errors of the last `seconds`, of one rollout, from cumulative counts.

    The window begins at the last look that is at least that old; before the first look everything is zero. A window
    longer than the judge has watched is either not there yet (`full`), or begins with the judge.
    """

    def __init__(self, seconds: float, arm: Arm, *, full: bool) -> None:
        self.seconds, self.arm, self.full = seconds, arm, full
        self._start = NOTHING
        self._looks: deque[Look] = deque()

    def put(self, look: Look) -> tuple[int, int] | None:
        """Requests and errors of the window that ends with this look; None: there is no full window yet."""
        self._looks.append(look)
        oldest = look.at_seconds - self.seconds + _SLACK_SECONDS
        while self._looks[0].at_seconds <= oldest:
            self._start = self._looks.popleft()
        if self.full and oldest < 0:
            return None
        requests, errors = of_arm(look, self.arm)
        old_requests, old_errors = of_arm(self._start, self.arm)
        return requests - old_requests, errors - old_errors


def starts(at_seconds: FloatArray, looks: IntArray, seconds: float) -> IntArray:
    """For each of some looks, the look with which its window begins: an index, or -1 for the beginning of the judge."""
    oldest = at_seconds[looks] - seconds + _SLACK_SECONDS
    return np.searchsorted(at_seconds, oldest, side="right") - 1


def window_counts(
    at_seconds: FloatArray, counts: IntArray, looks: IntArray, seconds: float, arm: Arm
) -> tuple[IntArray, IntArray]:
    """Requests and errors, shape [R, E], of the windows that end at some looks, shape [E]."""
    requests, errors = counts[:, :, 0], counts[:, :, 1]
    if arm == "all":
        requests, errors = requests + counts[:, :, 2], errors + counts[:, :, 3]
    first = starts(at_seconds, looks, seconds)
    old, there = np.maximum(first, 0), first >= 0
    return (
        requests[:, looks] - np.where(there, requests[:, old], 0),
        errors[:, looks] - np.where(there, errors[:, old], 0),
    )


def full_windows(at_seconds: FloatArray, looks: IntArray, seconds: float) -> IntArray:
    """Those of some looks whose window does not begin before the judge."""
    return looks[at_seconds[looks] - seconds + _SLACK_SECONDS >= 0]


def ratios(requests: IntArray, errors: IntArray, least: int) -> FloatArray:
    """errors / requests, silent where a window has fewer than `least` requests (or none)."""
    enough = requests >= max(least, 1)
    return np.where(enough, errors / np.maximum(requests, 1), SILENT)


def trailing_min(values: FloatArray, first: IntArray) -> FloatArray:
    """The smallest value of each row from `first[t]` to t, shape [R, T]; silent where `first` is negative.

    A table of minima over powers of two answers windows of any length in two look-ups each.
    """
    length = values.shape[1]
    if length == 0:
        return values.copy()
    index = np.arange(length)
    width = index - np.maximum(first, 0) + 1
    level = np.floor(np.log2(width)).astype(np.int64)
    result = np.empty_like(values)
    table = values
    for power in range(int(level.max()) + 1):
        at = np.flatnonzero(level == power)
        begin = np.maximum(first[at], 0)
        result[:, at] = np.minimum(table[:, begin], table[:, at - (1 << power) + 1])
        if table.shape[1] > 1 << power:
            table = np.minimum(table[:, : -(1 << power)], table[:, 1 << power :])
    result[:, first < 0] = SILENT
    return result
