"""An Argo AnalysisRun as a program: it measures, counts, and ends or raises.

`run(analysis)` returns when every metric is Successful, raises `Abort` when the run is Failed or Error, and
`Inconclusive` when it is that. A program that is cancelled has ended as Argo's terminated run does: Successful.

Source: argoproj/argo-rollouts `analysis/analysis.go` (generateMetricTasks, assessMetricStatus),
`utils/evaluate/evaluate.go`. Not here: consecutiveSuccessLimit, dryRun. Metrics that are due at the same time are
measured one after the other; Argo asks for all of them at once.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

from strategies.effects import (
    Abort,
    AwaitApproval,
    Effect,
    Inconclusive,
    Measure,
    Measured,
    Program,
    Query,
    Spawn,
    Wait,
)

ERROR_RETRY_SECONDS: Final = 10.0  #: DefaultErrorRetryInterval
MICROSECONDS: Final = 1_000_000

OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_RESULT: Final = r"result(?:\[\s*0\s*\])?"
_CONDITION: Final = re.compile(
    rf"\s*(?:{_RESULT}|asFloat\(\s*{_RESULT}\s*\))\s*(<=|>=|==|!=|<|>)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A measured value against a fixed line.

    NaN compares as in expr-lang and as in Python: false, except for `!=`.

    >>> Condition.parse("result[0] >= 0.95")
    Condition(op='>=', threshold=0.95)
    """

    op: str
    threshold: float

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise ValueError(f"op must be one of {' '.join(OPERATORS)}, got {self.op!r}")
        if not math.isfinite(self.threshold):
            raise ValueError(f"threshold must be a number, got {self.threshold}")

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read one comparison of an AnalysisTemplate; ValueError for anything richer."""
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise ValueError(
                f"expected one comparison with a number, such as result[0] >= 0.95 (left side: result, result[0], "
                f"asFloat(result) or asFloat(result[0]); operators: {' '.join(OPERATORS)}), got {text!r}"
            )
        return cls(match[1], float(match[2]))

    def holds(self, value: float) -> bool:
        """Whether the value lies on this side of the line."""
        return OPERATORS[self.op](value, self.threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of an AnalysisTemplate, with Argo's defaults; its own schedule and its own counters."""

    name: str
    query: Query
    interval_seconds: float | None = None  #: from the end of one measurement to the next; None: there is no next one
    initial_delay_seconds: float = 0.0
    count: int | None = None  #: measurements that end it; None: 1 without an interval, for ever with one
    failure_limit: int = 0  #: failed measurements that are tolerated; -1: any number
    inconclusive_limit: int = 0
    consecutive_error_limit: int = 4
    success: Condition | None = None
    failure: Condition | None = None

    def __post_init__(self) -> None:
        if self.interval_seconds is not None and not self.interval_seconds > 0:
            raise ValueError(f"metric {self.name!r}: interval_seconds must be above 0, got {self.interval_seconds}")
        if not self.initial_delay_seconds >= 0:
            raise ValueError(
                f"metric {self.name!r}: initial_delay_seconds must be 0 or more, got {self.initial_delay_seconds}"
            )
        if self.failure_limit < -1:
            raise ValueError(f"metric {self.name!r}: failure_limit must be -1 (off) or more, got {self.failure_limit}")
        for field in ("inconclusive_limit", "consecutive_error_limit"):
            if getattr(self, field) < 0:
                raise ValueError(f"metric {self.name!r}: {field} must be 0 or more, got {getattr(self, field)}")
        if self.count is not None:
            self._check_count(self.count)

    def _check_count(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"metric {self.name!r}: count must be 1 or more, got {count}")
        if count > 1 and self.interval_seconds is None:
            raise ValueError(f"metric {self.name!r}: count {count} needs an interval")
        for field in ("failure_limit", "inconclusive_limit"):
            if getattr(self, field) > count:
                raise ValueError(
                    f"metric {self.name!r}: count must be at least {field} {getattr(self, field)}, got {count}"
                )

    @property
    def effective_count(self) -> int | None:
        """Measurements after which it is Successful; None: it runs until it is cancelled."""
        if self.count is None and self.interval_seconds is None:
            return 1
        return self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What an AnalysisRun measures."""

    name: str
    metrics: tuple[Metric, ...]

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError(f"analysis {self.name!r}: expected at least one metric")

    @property
    def queries(self) -> tuple[Query, ...]:
        """What it may ask, each query once."""
        return tuple(dict.fromkeys(metric.query for metric in self.metrics))

    @property
    def endless(self) -> bool:
        """Whether it never ends by itself while all is well."""
        return any(metric.effective_count is None for metric in self.metrics)


def run(analysis: Analysis) -> Program:
    """The program of one AnalysisRun; it returns a line that says what it has seen."""
    if len(analysis.metrics) == 1:
        return _measurements(analysis.metrics[0])
    return _several(analysis.metrics)


def beside(analysis: Analysis, program: Callable[[Analysis], Program] = run) -> Spawn:
    """The effect that starts an analysis beside the program that yields it."""
    return Spawn(lambda: program(analysis), f"analysis {analysis.name}")


def ask(doubt: Inconclusive) -> Generator[Effect, Any, None]:
    """Wait for a person after an inconclusive end; doubts that come meanwhile join the question."""
    reason = str(doubt)
    while True:
        try:
            yield AwaitApproval(reason)
            return
        except Inconclusive as another:
            reason = f"{reason}; {another}"


# --- one metric --------------------------------------------------------------------------------------------------


def _measurements(metric: Metric) -> Program:
    """The schedule and the counters of one metric.

    This is the inner loop of a Monte Carlo: effects are made once, counters are locals.
    """
    measure, pause, retry = Measure(metric.query), Wait(metric.interval_seconds or 0.0), Wait(ERROR_RETRY_SECONDS)
    judge = _judge(metric)
    failure_limit = math.inf if metric.failure_limit == -1 else metric.failure_limit
    inconclusive_limit, error_limit = metric.inconclusive_limit, metric.consecutive_error_limit
    missing_is_error = metric.success is not None or metric.failure is not None
    wanted = metric.effective_count
    count = failed = inconclusive = errors = 0
    if metric.initial_delay_seconds > 0:
        yield Wait(metric.initial_delay_seconds)
    while True:
        look: Measured = yield measure
        value = look.value
        if value is None and missing_is_error:  # result[0] of an empty vector: an error, which does not count
            errors += 1
            if errors > error_limit:
                raise Abort(_reason(metric, errors, "consecutive errors", "consecutiveErrorLimit", error_limit, look))
            yield retry
            continue
        errors = 0
        count += 1
        verdict = judge(value)
        if verdict is False:
            failed += 1
            if failed > failure_limit:
                raise Abort(_reason(metric, failed, "failed measurements", "failureLimit", metric.failure_limit, look))
        elif verdict is None:
            inconclusive += 1
            if inconclusive > inconclusive_limit:
                text = "inconclusive measurements"
                raise Inconclusive(_reason(metric, inconclusive, text, "inconclusiveLimit", inconclusive_limit, look))
        if count == wanted:
            return f"{metric.name}: {count} measurements, {failed} failed"
        yield pause


def _judge(metric: Metric) -> Callable[[Any], bool | None]:
    """Says of a value: True Successful, False Failed, None Inconclusive."""
    success, failure = metric.success, metric.failure
    if success is None and failure is None:
        return lambda value: True
    if failure is None:
        assert success is not None
        holds, line = OPERATORS[success.op], success.threshold
        return lambda value: holds(value, line)
    if success is None:
        fails, limit = OPERATORS[failure.op], failure.threshold
        return lambda value: not fails(value, limit)

    def both(value: float) -> bool | None:
        good = success.holds(value)
        return None if good is failure.holds(value) else good

    return both


def _reason(metric: Metric, count: int, what: str, limit: str, allowed: int, look: Measured) -> str:
    what = what.removesuffix("s") if count == 1 else what
    return f"{metric.name}: {count} {what} > {limit} {allowed}; last {_seen(look)}"


def _seen(look: Measured) -> str:
    if look.value is None:
        return "no data"
    value = "NaN" if math.isnan(look.value) else f"{look.value:.4g}"
    return value if look.requests is None else f"{value} of {look.requests} requests"


# --- several metrics ---------------------------------------------------------------------------------------------


def _several(metrics: tuple[Metric, ...]) -> Program:
    """Run the programs of all metrics in one, each on its own schedule.

    The run ends when all are Successful, or with the first that is not; of those that end at the same time, the worst.
    """
    now_us = round((yield Wait(0.0)).at_seconds * MICROSECONDS)
    programs = [_measurements(metric) for metric in metrics]
    first = [next(program) for program in programs]
    due_us = [now_us + _delay_us(effect) for effect in first]
    asks: list[Effect | None] = [*first]
    ends: list[str] = []
    while any(effect is not None for effect in asks):
        at_us = min(due for due, effect in zip(due_us, asks, strict=True) if effect is not None)
        if at_us > now_us:
            now_us = round((yield Wait((at_us - now_us) / MICROSECONDS)).at_seconds * MICROSECONDS)
        failures: list[Abort | Inconclusive] = []
        for place, program in enumerate(programs):
            while due_us[place] <= at_us and (effect := asks[place]) is not None:
                answer = None
                if isinstance(effect, Measure):
                    answer = yield effect
                    now_us = round(answer.at_seconds * MICROSECONDS)
                try:
                    asks[place] = following = program.send(answer)
                    due_us[place] = (now_us if answer is not None else at_us) + _delay_us(following)
                except StopIteration as end:
                    asks[place] = None
                    ends.append(end.value)
                except (Abort, Inconclusive) as failure:
                    asks[place] = None
                    failures.append(failure)
        if failures:
            raise max(failures, key=lambda failure: isinstance(failure, Abort))
    return "; ".join(ends)


def _delay_us(effect: Effect) -> int:
    return round(effect.seconds * MICROSECONDS) if isinstance(effect, Wait) else 0
