"""Which share of the requests each revision gets, and which share of those nobody answers.

With a router the share of the canary is its weight, `lag` after the router accepted it. Connections that outlive a
switch keep their side for an exponential time: the decay is a staircase whose steps hold the mean of the curve there,
so its integral is exact at each step; what is left after the last step (0.1 % of the switch) moves at once.
Without a router, and while a Deployment controller rolls, every pod that takes traffic gets the same share.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from sim.clock import Clock
from sim.model import Model, us
from sim.pods import CANARY, STABLE, Pods

STEPS_PER_LIFE: Final = 4
STEPS: Final = 28
#: mean of exp(-x) over the i-th quarter life
_STAIRS: Final = tuple(
    STEPS_PER_LIFE * (math.exp(-i / STEPS_PER_LIFE) - math.exp(-(i + 1) / STEPS_PER_LIFE)) for i in range(STEPS)
)


class Router:
    """Weights, their lag, and connections that stay; `share` is the canary's effective share of the requests."""

    __slots__ = (
        "_changed", "_clock", "_fallback", "_gap", "_lag_us", "_life_us", "_pods", "_since_us", "_switch", "log",
        "on_weight", "routed", "share", "weight",
    )  # fmt: skip

    def __init__(self, model: Model, pods: Pods, clock: Clock, changed: Callable[[], None]) -> None:
        router = model.scenario.router
        self._pods, self._clock, self._changed = pods, clock, changed
        self._lag_us = us(router.lag_seconds)
        self._life_us = us(router.connection_life_seconds)
        self._fallback = router.no_endpoints == "fallback"
        self.routed = model.release.routed
        self.weight = 1.0 if model.release.first and model.release.routed else 0.0  #: what the router was told
        self.share = self.weight
        self._switch = 0
        self._gap = 0.0  #: share above the weight when connections began to move, 0 when none stay
        self._since_us = 0
        self.log: Callable[..., None] | None = None
        self.on_weight: Callable[[float], None] | None = None

    def route(self) -> None:
        """Begin to route by weight; until the first weight is effective, shares stay as the pods give them."""
        share = self.shares()[CANARY]
        self._switch += 1
        self._gap = 0.0
        self.routed, self.share = True, share

    def set_weight(self, weight: float) -> None:
        """The router accepted a weight; traffic follows after the lag."""
        self._clock.call_at(self._clock.now_us + self._lag_us, self._apply, weight)

    def _apply(self, weight: float) -> None:
        if self.log is not None:
            self.log("weight_effective", "router", weight=weight)
        if not (self._life_us and self.routed):
            self._switch += 1
            self._gap = 0.0
            self.weight = self.share = weight
            self._changed()
        elif not self._gap or weight != self.weight:  # the same weight again moves no connection
            gap = self._staying() - weight
            self.weight = weight
            self._switch += 1
            self._gap, self._since_us = gap, self._clock.now_us
            self._step((self._switch, 0, gap))
        if self.on_weight is not None:
            self.on_weight(weight)

    def _staying(self) -> float:
        """The share now; while connections move that of the curve, not of its present step."""
        if not self._gap:
            return self.share
        return self.weight + self._gap * math.exp(-(self._clock.now_us - self._since_us) / self._life_us)

    def _step(self, due: tuple[int, int, float]) -> None:
        switch, step, gap = due
        if switch != self._switch:
            return
        if step == STEPS:
            self.share = self.weight
            self._gap = 0.0
        else:
            self.share = self.weight + gap * _STAIRS[step]
            later = self._clock.now_us + self._life_us // STEPS_PER_LIFE
            self._clock.call_at(later, self._step, (switch, step + 1, gap))
        self._changed()

    def shares(self) -> tuple[float, float]:
        """(stable, canary) shares of the requests, adding to 1."""
        serving = self._pods.serving
        stable, canary = serving[STABLE], serving[CANARY]
        if not self.routed:
            total = stable + canary
            if total:
                return stable / total, canary / total
            return (0.0, 1.0) if self._pods.spec[STABLE] == 0 else (1.0, 0.0)
        share = self.share
        if share and not canary and (self.weight == 0.0 or (self._fallback and stable)):
            share = 0.0  # connections end with their pods; ingress-nginx drops a backend without endpoints
        elif share != 1.0 and not stable and (self.weight == 1.0 or (self._fallback and canary)):
            share = 1.0
        return 1.0 - share, share
