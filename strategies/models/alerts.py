"""Prometheus' alerting rules: pending, firing, `for` and `keep_firing_for`, one evaluation at a time.

An alert is pending from the first evaluation at which its expression has a result, and fires at the first evaluation
at which it has been so for `for` or longer. One evaluation without a result ends a pending alert; a firing one goes on
firing until `keep_firing_for` after the first evaluation without a result.

Source: prometheus rules/alerting.go @0ad3cc38a (AlertingRule.Eval).
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class AlertState(enum.StrEnum):
    """What Prometheus says of an alert."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """The times of an alerting rule."""

    for_seconds: float = 0.0
    keep_firing_for_seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("for_seconds", "keep_firing_for_seconds"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


@dataclass(slots=True)
class Alert:
    """One alert of a rule: give it evaluations in ascending time.

    >>> alert = Alert(AlertRule(for_seconds=60))
    >>> [str(alert.evaluate(at, True)) for at in (0, 30, 60)], str(alert.evaluate(90, False))
    (['pending', 'pending', 'firing'], 'inactive')
    """

    rule: AlertRule
    state: AlertState = AlertState.INACTIVE
    active_since_seconds: float | None = None  #: the first evaluation with a result (ActiveAt)
    kept_since_seconds: float | None = None  #: the first without one since, while firing (KeepFiringSince)

    def evaluate(self, at_seconds: float, result: bool) -> AlertState:
        """One evaluation: whether the expression has a result. Returns the state after it."""
        if result:
            self.kept_since_seconds = None
            if self.state is AlertState.INACTIVE:
                self.state, self.active_since_seconds = AlertState.PENDING, at_seconds
        elif self.state is AlertState.PENDING or (self.state is AlertState.FIRING and not self._kept(at_seconds)):
            self.state, self.active_since_seconds, self.kept_since_seconds = AlertState.INACTIVE, None, None
        since = self.active_since_seconds
        if self.state is AlertState.PENDING and since is not None and at_seconds - since >= self.rule.for_seconds:
            self.state = AlertState.FIRING
        return self.state

    def _kept(self, at_seconds: float) -> bool:
        """Whether a firing alert without a result goes on firing."""
        if self.kept_since_seconds is None:
            self.kept_since_seconds = at_seconds
        return at_seconds - self.kept_since_seconds < self.rule.keep_firing_for_seconds
