"""Conditions of AnalysisTemplates: the expr-lang subset, read by our own parser and never by `eval`."""

from strategies.metrics.conditions.condition import OPERATORS, Condition, Expression, read
from strategies.metrics.conditions.tokens import ConditionError

__all__ = ["OPERATORS", "Condition", "ConditionError", "Expression", "read"]
