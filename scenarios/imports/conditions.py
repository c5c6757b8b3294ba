"""The conditions of a template's metric, checked, in the words of a scenario."""

from __future__ import annotations

from typing import Any, Final

from scenarios.imports.arguments import Filled
from scenarios.imports.library import TemplateMetric
from scenarios.measures import Binding
from scenarios.pointer import Fault
from strategies.analysis import Condition, ConditionError, Expression
from strategies.metrics.conditions import read

_WORDS: Final = ("successCondition", "failureCondition")
_RATIOS: Final = ("error_ratio", "success_ratio")


def conditions(metric: TemplateMetric, name: str) -> dict[str, Any]:
    """Both conditions as they stand, arguments put in."""
    return {word: filled.text for word, filled, _ in _read(metric, name)}


def scaled_conditions(metric: TemplateMetric, name: str, binding: Binding) -> dict[str, Any]:
    """Both conditions of a metric that is bound to a measure.

    A single comparison is said in the unit of the measure; anything richer is asked of the value times the factor.
    """
    found = _read(metric, name)
    for word, filled, condition in found:
        fault = condition.fault_for("value") if isinstance(condition, Expression) else None
        if fault is not None:
            problem = f"{fault.problem}; a measure answers with one number: script the answers of its provider instead"
            filled.pointed(metric.section, word, Fault(problem, fault.start, fault.end))
    simple = all(isinstance(condition, Condition) for _, _, condition in found)
    words: dict[str, Any] = {}
    for word, filled, condition in found:
        if not isinstance(condition, Condition):
            words[word] = filled.text
            continue
        threshold = condition.threshold / binding.factor
        _doubt(metric, name, word, binding, threshold)
        words[word] = f"result[0] {condition.op} {threshold if simple else condition.threshold!r}"
    if not simple and binding.factor != 1:
        words["factor"] = binding.factor
    return words


def _read(metric: TemplateMetric, name: str) -> list[tuple[str, Filled, Condition | Expression]]:
    """Both conditions, those that are wrong noted and left out."""
    section = metric.section
    found = []
    for word in _WORDS:
        filled = metric.arguments.condition(section, word)
        if filled is None:
            continue
        try:
            found.append((word, filled, read(filled.text)))
        except ConditionError as error:
            filled.pointed(section, word, Fault(error.problem, error.start, error.end))
    if not any(section.has(word) for word in _WORDS):
        section.notes.warnings.append(f"{section.where()}: metric {name!r} has no condition: it always succeeds")
    return found


def _doubt(metric: TemplateMetric, name: str, word: str, binding: Binding, threshold: float) -> None:
    """A line that the measure cannot cross, or that is in another unit."""
    section = metric.section
    if binding.measure in _RATIOS and not 0 <= threshold <= 1:
        problem = f"{binding.measure} is a share from 0 to 1, the condition compares it with {threshold:g}"
        section.fail(word, f"{problem}; a query in per cent is bound as {binding.measure}*100:{binding.revision}")
    elif binding.measure.startswith("latency") and threshold >= 60:
        problem = f"{section.where(word)}: metric {name!r} is in seconds and is compared with {threshold:g}"
        section.notes.warnings.append(
            f"{problem}; a query in milliseconds is bound as {binding.measure}*1000:{binding.revision}"
        )
