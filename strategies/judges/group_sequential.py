"""A planned number of looks at the two-sample z-test, with lines that keep alpha over all of them.

Looks fall due when the canary has had 1/K, 2/K, … of the planned requests. The last one passes the canary if it does
not fail it: the plan is the evidence. It has the best power of all when the horizon is known and the plan has the right
size.

Source: Pocock (1977), O'Brien and Fleming (1979); constants computed by `strategies.judges.boundaries`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from strategies.judges.base import (
    SILENT,
    FloatArray,
    IntArray,
    Look,
    Reading,
    Session,
    check_alpha,
    silence_after,
    tally,
)
from strategies.judges.boundaries import check_looks, obrien_fleming, pocock
from strategies.judges.peeking_z import z_value, z_values


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSequential:
    """Fails the canary at a planned look whose z-value is above that look's line; passes it at the last."""

    name: ClassVar[str] = "group_sequential"
    requests: int  #: canary requests at the last look (strategies.limits.two_proportions says how many)
    looks: int = 5
    kind: Literal["obrien_fleming", "pocock"] = "obrien_fleming"
    alpha: float = 0.01
    sides: Literal[1, 2] = 1  #: of the level; only a worse canary fails either way

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_looks(self.looks)
        if self.requests < self.looks:
            raise ValueError(f"requests must be at least the {self.looks} looks, got {self.requests}")
        if self.kind not in ("obrien_fleming", "pocock"):
            raise ValueError(f"kind must be obrien_fleming or pocock, got {self.kind!r}")
        if self.sides not in (1, 2):
            raise ValueError(f"sides must be 1 or 2, got {self.sides}")

    @property
    def threshold(self) -> float:
        """The line of the last look; the statistic of earlier ones is scaled to it."""
        line = obrien_fleming if self.kind == "obrien_fleming" else pocock
        return line(self.looks, self.alpha, self.sides)

    def begin(self) -> Session:
        """The judge of one rollout."""
        threshold, stage = self.threshold, 0
        held = Reading(SILENT, "no look yet", None, self.requests)

        def read(look: Look) -> Reading:
            nonlocal stage, held
            reached = min(look.canary_requests * self.looks // self.requests, self.looks)
            if reached > stage:
                stage = reached
                held = self._reading(look, stage, threshold)
            elif held.statistic == SILENT:
                first = -(-self.requests // self.looks)
                return Reading(
                    SILENT,
                    f"have {look.canary_requests:,} canary requests, need {first:,} for the first look",
                    None,
                    first,
                )
            return held

        return Session(threshold, read)

    def _reading(self, look: Look, stage: int, threshold: float) -> Reading:
        z = z_value(look)
        if z == SILENT:
            return Reading(SILENT, f"{tally(look)}: both revisions must have traffic", None, self.requests)
        scale = self._scale(stage)
        text = f"{tally(look)}: z = {z:.2f}, line {threshold / scale:.2f} at look {stage} of {self.looks}"
        return Reading(z * scale, text, None, self.requests, stage == self.looks)

    def _scale(self, stage: int) -> float:
        return math.sqrt(stage / self.looks) if self.kind == "obrien_fleming" else 1.0

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The z-value of the last planned look, on the scale of the last line, at every look; see `Judge.paths`."""
        stage = np.minimum(counts[:, :, 0] * self.looks // self.requests, self.looks)
        new = np.diff(stage, axis=1, prepend=0) > 0
        place = np.maximum.accumulate(np.where(new, np.arange(stage.shape[1]), -1), axis=1)
        scale = np.array([self._scale(max(number, 1)) for number in range(self.looks + 1)])
        held = np.take_along_axis(z_values(counts), np.maximum(place, 0), axis=1)
        statistic = held * scale[stage]
        statistic[place < 0] = SILENT
        return silence_after(statistic, (stage == self.looks) & (statistic > SILENT))
