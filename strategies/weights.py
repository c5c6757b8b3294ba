"""How a canary comes to its share of the traffic: by the number of pods, without a router.

One reconcile of Argo's canary without traffic routing is arithmetic (`models/argo.py`); here it is a program that asks
for the pods, scales, and asks again until they are as wanted.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from strategies.effects import Counts, DeadlinePassed, Effect, Observe, Release, Scale
from strategies.models import argo
from strategies.models.kubernetes import resolve_fenceposts


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds the pods of a rollout and its patience."""

    max_surge: int | str = "25%"
    max_unavailable: int | str = "25%"
    min_ready_seconds: float = 0.0
    progress_deadline_seconds: float | None = 600.0  #: None: wait for ever


def percent(share: float) -> int:
    """A share (0..1) in Argo's whole per cent; ValueError when it is not a whole number of them.

    >>> percent(0.05)
    5
    """
    whole = round(share * 100)
    if abs(share * 100 - whole) > 1e-9:
        raise ValueError(f"expected a share of whole per cent, such as 0.05, got {share}")
    return whole


def by_pods(release: Release, weight: int, limits: Limits) -> Generator[Effect, Any, bool]:
    """Scale both revisions until their pods stand for `weight` per cent; False when nothing progressed for too long."""
    surge, unavailable = resolve_fenceposts(limits.max_surge, limits.max_unavailable, release.replicas)
    goal = (release.replicas, 0) if release.first else argo.basic_weights(release.replicas, weight, surge)
    answer: Counts | DeadlinePassed = yield Observe(None, limits.progress_deadline_seconds, limits.min_ready_seconds)
    while not isinstance(answer, DeadlinePassed):
        canary, stable = answer.canary, answer.stable
        wanted = argo.basic_counts(
            release.replicas,
            weight,
            surge,
            unavailable,
            canary=canary,
            stable=None if release.first else stable,
        )
        # What one reconcile wants may fall short of the goal while pods start; Argo goes on in the steps that follow.
        if wanted == goal and argo.basic_settled(wanted, canary, (stable[0], stable[0])):
            return True
        if wanted[1] != stable[0]:
            yield Scale(release.stable, wanted[1])
        if wanted[0] != canary[0]:
            yield Scale(release.canary, wanted[0])
        answer = yield Observe((canary, stable), limits.progress_deadline_seconds, limits.min_ready_seconds)
    return False
