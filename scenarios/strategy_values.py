"""Values that the words of a strategy are read with: pods, PromQL, scripted answers, and Argo's rules of counters."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from scenarios.errors import shown
from scenarios.imports.promql import fault_of
from scenarios.pointer import Fault, TextError
from scenarios.scripts import answers
from scenarios.units import Count, duration_text
from strategies.metrics.conditions import ConditionError, read


def pods_or_percent(value: Any) -> int | str:
    """A number of pods, or a share of the replicas.

    >>> pods_or_percent(2), pods_or_percent("25%")
    (2, '25%')
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}%", value):
        return value
    raise ValueError(f"expected a number of pods, 0 or more, or a percentage such as 25%, got {shown(value)}")


def is_zero(value: int | str) -> bool:
    """Do these pods, or this percentage, come to nothing for every number of replicas?"""
    return value == 0 or (isinstance(value, str) and int(value[:-1]) == 0)


Pods = Annotated[int | str, BeforeValidator(pods_or_percent)]
Percent = Annotated[Count, Field(ge=0, le=100)]
Revision = Literal["canary", "stable", "all"]


def promql(value: Any) -> str:
    """A query that can be answered; ValueError, with the place of the fault."""
    if not isinstance(value, str):
        raise ValueError(f"expected PromQL, got {shown(value)}")
    fault = fault_of(value)
    if fault is not None:
        raise TextError(fault)
    return value


#: answers of a provider; as JSON, NaN and `error` among them
Answers = Annotated[
    tuple[float | str | bool | dict[str, Any] | None, ...],
    PlainValidator(answers, json_schema_input_type=list[Any]),
]


def check_counts(
    count: int | None,
    interval_seconds: float | None,
    failure_limit: int,
    inconclusive_limit: int,
    consecutive_success_limit: int = 0,
) -> None:
    """Argo's rules between the counters of a metric (`utils/analysis/factory.go ValidateMetric`); ValueError."""
    if not count:
        return
    if count > 1 and interval_seconds is None:
        raise ValueError(f"expected an interval with a count above 1, got count {count} and no interval")
    if count < failure_limit:
        raise ValueError(f"expected a count of at least failureLimit ({failure_limit}), got {count}")
    if count < inconclusive_limit:
        raise ValueError(f"expected a count of at least inconclusiveLimit ({inconclusive_limit}), got {count}")
    least = max(failure_limit, 0) + consecutive_success_limit
    if consecutive_success_limit and count < least:
        what = "failureLimit + consecutiveSuccessLimit" if failure_limit > 0 else "consecutiveSuccessLimit"
        raise ValueError(f"expected a count of at least {what} ({least}), got {count}")


def condition(value: str | None) -> str | None:
    """A condition that can be read; an empty one is none. ValueError, with the place of the fault."""
    try:
        read(value or "true")
    except ConditionError as error:
        raise TextError(Fault(error.problem, error.start, error.end)) from None
    return value or None


def pause_text(seconds: float | None) -> dict[str, str]:
    """A pause in the words of a file: `{}` waits for a person."""
    return {} if seconds is None else {"duration": duration_text(seconds)}
