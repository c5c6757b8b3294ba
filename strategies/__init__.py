"""What to do in a rollout: pure programs that yield effects. No clock, no dice, no wire."""

from strategies import blue_green, canary, rollback, rolling
from strategies.analysis import Analysis, Condition, Metric
from strategies.canary import AnalysisStep, CanaryScaleStep, PauseStep, SetWeightStep
from strategies.effects import Abort, Fate, Inconclusive, Outcome, Program, Query, Release, Strategy

__all__ = [
    # strategies: each module's `strategy(...)` makes one; rollback holds the ways back
    "blue_green", "canary", "rolling", "rollback",
    # steps of a canary
    "AnalysisStep", "CanaryScaleStep", "PauseStep", "SetWeightStep",
    # analyses
    "Analysis", "Condition", "Metric", "Query",
    # what a program of your own needs; its effects are in strategies.effects
    "Abort", "Fate", "Inconclusive", "Outcome", "Program", "Release", "Strategy",
]  # fmt: skip
