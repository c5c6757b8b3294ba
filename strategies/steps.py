"""The steps of a canary, in Argo's words.

Source: argoproj/argo-rollouts `rollout/canary.go` (completedCurrentCanaryStep). Not here: setHeaderRoute,
setMirrorRoute, experiment, plugin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from strategies.analysis import Examiner
from strategies.weights import percent


@dataclass(frozen=True, slots=True)
class SetWeightStep:
    """Bring the canary's pods, then its share (0..1, whole per cent) of the traffic."""

    weight: float

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight must lie in 0..1, got {self.weight}")
        percent(self.weight)


@dataclass(frozen=True, slots=True)
class PauseStep:
    """Wait for a time, or for a person when `seconds` is None."""

    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds >= 0:
            raise ValueError(f"seconds must be 0 or more, or None, got {self.seconds}")


@dataclass(frozen=True, slots=True)
class CanaryScaleStep:
    """Fix the canary's pods whatever its weight, until a later step that matches the traffic weight again."""

    replicas: int | None = None
    weight: float | None = None  #: share (0..1) of the replicas
    match_traffic_weight: bool = False

    def __post_init__(self) -> None:
        if (self.replicas is not None) + (self.weight is not None) + self.match_traffic_weight != 1:
            raise ValueError("expected exactly one of replicas, weight and match_traffic_weight")
        if self.replicas is not None and self.replicas < 0:
            raise ValueError(f"replicas must be 0 or more, got {self.replicas}")
        if self.weight is not None:
            if not self.weight >= 0:
                raise ValueError(f"weight must be 0 or more, got {self.weight}")
            percent(self.weight)


@dataclass(frozen=True, slots=True)
class AnalysisStep:
    """Run an analysis and wait for its end."""

    analysis: Examiner


Step: TypeAlias = SetWeightStep | PauseStep | CanaryScaleStep | AnalysisStep


def describe(step: Step) -> str:
    """A step in Argo's words.

    >>> describe(SetWeightStep(0.25)), describe(PauseStep())
    ('setWeight 25', 'pause')
    """
    match step:
        case SetWeightStep(weight):
            return f"setWeight {percent(weight)}"
        case PauseStep(None):
            return "pause"
        case PauseStep(seconds):
            return f"pause {seconds:g}s"
        case AnalysisStep(analysis):
            return f"analysis {analysis.name}"
        case CanaryScaleStep(replicas=int(replicas)):
            return f"setCanaryScale replicas {replicas}"
        case CanaryScaleStep():
            share = step.weight
            return "setCanaryScale " + ("matchTrafficWeight" if share is None else f"weight {percent(share)}")
