"""What a measurement is: Successful, Failed, Inconclusive or Error, by both conditions of its metric.

| conditions | | NaN | no data |
|---|---|---|---|
| success only | holds: Successful, else Failed | Failed | Error |
| failure only | holds: Failed, else Successful | Successful: it fails open | Error |
| both | one of them says; both or neither: Inconclusive | Inconclusive | Error |
| none | Successful | Successful | Successful |

Source: argo-rollouts `utils/evaluate/evaluate.go` EvaluateResult.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from strategies.analysis.spec import Metric, Phase, Script
from strategies.effects import Measured, Query
from strategies.metrics.conditions import OPERATORS, Condition, ConditionError, Expression

#: a verdict: Successful although there was nothing to look at
BLIND: Final = "blind"
#: True Successful, False Failed, None Inconclusive, or `BLIND`; ConditionError: Error
Judge: TypeAlias = Callable[[Measured], bool | str | None]
Holds: TypeAlias = Callable[[Measured], bool]

NO_DATA: Final = "no data"
PASSES: Final = "Argo passes this"  #: what notes about such verdicts hold
ABORTS: Final = "Argo aborts this"  #: and what is said of a rollout that ended because nothing was seen
_OTHER_SIDE: Final = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def judge(metric: Metric) -> Judge:
    """What a metric makes of a measurement."""
    of_value = _of_conditions(metric)
    return _scripted(of_value) if isinstance(metric.query, Script) else of_value


def _of_conditions(metric: Metric) -> Judge:
    success, failure = _holds(metric, metric.success), _holds(metric, metric.failure)
    if success is None and failure is None:
        return lambda look: BLIND if _nothing(look) else True
    if failure is None:
        return _success_only(metric, success)
    if success is None:
        return _failure_only(metric, failure)
    return _both(metric, success, failure)


def blind_reason(metric: Metric, look: Measured) -> str:
    """Why Argo lets a measurement pass that has seen nothing."""
    what = "no data" if look.value is None else "NaN"
    if metric.success is None and metric.failure is None:
        return f"{PASSES}: no condition, {what}"
    if metric.success is None:
        return f"{PASSES}: failure-only condition on {what}"
    return f"{PASSES}: successCondition holds for {what}"


def saw_nothing(reason: str) -> bool:
    """Whether the measurement that ended an analysis, by the reason it gave, had nothing to look at.

    >>> saw_nothing("errors: 5 consecutive errors > consecutiveErrorLimit 4; last no data")
    True
    >>> saw_nothing("errors: 1 failed measurement > failureLimit 0; last 0.07 of 100 requests")
    False
    """
    _, last, look = reason.rpartition("; last ")
    return bool(last) and look.startswith((NO_DATA, "NaN"))


def _holds(metric: Metric, condition: Condition | Expression | None) -> Holds | None:
    """The condition as a question to a measurement."""
    if condition is None:
        return None
    factor = metric.factor
    if isinstance(condition, Condition):
        holds, line = OPERATORS[condition.op], condition.threshold

        def compare(look: Measured) -> bool:
            value = look.value
            if value is None:
                raise ConditionError(NO_DATA)
            return holds(value, line) if factor == 1.0 else holds(value * factor, line)

        return compare
    of_value, of_result, of_answer = condition.holds_value, condition.holds, condition.holds_answer
    if isinstance(metric.query, Query):
        return lambda look: of_value(None if look.value is None else look.value * factor)
    if isinstance(metric.query, Script):
        return lambda look: of_value(look.value) if look.result is None else of_result(look.result)
    return lambda look: of_answer(look.result)


def _success_only(metric: Metric, success: Holds | None) -> Judge:
    condition = metric.success
    if isinstance(condition, Condition) and condition.op != "!=" and metric.factor == 1.0:
        holds, line = OPERATORS[condition.op], condition.threshold

        def quick(look: Measured) -> bool:  # the inner loop of most Monte Carlos
            value = look.value
            if value is None:
                raise ConditionError(NO_DATA)
            return holds(value, line)

        return quick
    assert success is not None
    return lambda look: (BLIND if _nothing(look) else True) if success(look) else False


def _failure_only(metric: Metric, failure: Holds) -> Judge:
    condition = metric.failure
    if isinstance(condition, Condition) and condition.op in _OTHER_SIDE and metric.factor == 1.0:
        holds, line = OPERATORS[condition.op], condition.threshold
        passes = OPERATORS[_OTHER_SIDE[condition.op]]

        def quick(look: Measured) -> bool | str:
            value = look.value
            if value is None:
                raise ConditionError(NO_DATA)
            if passes(value, line):
                return True
            return False if holds(value, line) else BLIND  # NaN is on neither side

        return quick
    return lambda look: False if failure(look) else BLIND if _nothing(look) else True


def _both(metric: Metric, success: Holds, failure: Holds) -> Judge:
    good_if, bad_if = metric.success, metric.failure
    if isinstance(good_if, Condition) and isinstance(bad_if, Condition) and good_if.op != "!=" and metric.factor == 1.0:
        good_holds, good_line = OPERATORS[good_if.op], good_if.threshold
        bad_holds, bad_line = OPERATORS[bad_if.op], bad_if.threshold

        def quick(look: Measured) -> bool | None:
            value = look.value
            if value is None:
                raise ConditionError(NO_DATA)
            good = good_holds(value, good_line)
            return None if bad_holds(value, bad_line) is good else good

        return quick

    def both(look: Measured) -> bool | str | None:
        good = success(look)
        if failure(look) is good:
            return None
        return (BLIND if _nothing(look) else True) if good else False

    return both


def _nothing(look: Measured) -> bool:
    """Was there nothing to look at: no series, or 0 / 0?"""
    if look.value is None:
        return look.result is None or look.result == []
    return math.isnan(look.value)


# --- scripted providers ------------------------------------------------------------------------------------------

_OF_PHASE: Final[dict[Phase, bool | None]] = {Phase.SUCCESSFUL: True, Phase.FAILED: False, Phase.INCONCLUSIVE: None}


def _scripted(of_value: Judge) -> Judge:
    """A provider that may decide by itself."""

    def verdict(look: Measured) -> bool | str | None:
        phase = look.result
        if not isinstance(phase, Phase):
            return of_value(look)
        if phase is Phase.ERROR:
            raise ConditionError("the provider could not measure")
        return _OF_PHASE[phase]

    return verdict


def as_looks(script: Script) -> Iterator[Measured]:
    """The answers of a script as measurements; a list of numbers answers as Prometheus does."""
    return map(_as_look, script.play())


def _as_look(answer: Any) -> Measured:
    if _is_number(answer):
        return Measured(0.0, float(answer))
    if isinstance(answer, list) and answer and _is_number(answer[0]):
        return Measured(0.0, float(answer[0]), result=answer)
    return Measured(0.0, None, result=answer)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# --- texts -------------------------------------------------------------------------------------------------------


def seen(look: Measured) -> str:
    """A measurement as a reason tells it."""
    if isinstance(look.result, str | dict | bool):
        text = str(look.result)
        return text if len(text) <= 60 else f"{text[:60]}…"
    if isinstance(look.result, list) and len(look.result) > 1:
        return f"{_number(look.result[0])} and {len(look.result) - 1} more"
    if look.value is None:
        return "no data"
    if look.requests == 0:
        return f"{_number(look.value)}: no traffic, have 0 requests, need 1"
    value = _number(look.value)
    return value if look.requests is None else f"{value} of {look.requests} requests"


def _number(value: Any) -> str:
    if not _is_number(value):
        return str(value)[:60]
    return "NaN" if math.isnan(value) else f"{value:.4g}"
