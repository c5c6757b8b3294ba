"""The schedule and the counters of one metric.

Each measurement is assessed in this order: too many failed, inconclusive or consecutive errors end the metric Failed,
Inconclusive, Error; enough successes in a row end it Successful; so does the count, unless a number of successes in a
row is wanted and was not reached: then it is Inconclusive, or Failed where failureLimit is -1. An error does not count,
is asked again after 10 s, and breaks a row of successes.

Source: argo-rollouts `analysis/analysis.go` (runMeasurements, assessMetricStatus).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from strategies.analysis.spec import Metric, Script
from strategies.analysis.verdict import BLIND, NO_DATA, as_looks, blind_reason, judge, seen
from strategies.effects import Abort, Effect, Inconclusive, Measure, Measured, Note, Program, Wait
from strategies.metrics.conditions import ConditionError

ERROR_RETRY_SECONDS: Final = 10.0  #: DefaultErrorRetryInterval


class Terminated(Exception):
    """Thrown into the program of a metric whose sibling has ended the run; it returns its line."""


@dataclass(slots=True)
class Tally:
    """What a metric has counted, apart from what its loop keeps in locals."""

    inconclusive: int = 0
    errors: int = 0  #: in all
    blind: str = ""  #: why Argo lets pass what has seen nothing

    def line(self, name: str, count: int, failed: int, how: str = "") -> str:
        """One line for people."""
        text = f"{name}: {how}{count} measurements, {failed} failed"
        if self.inconclusive:
            text += f", {self.inconclusive} inconclusive"
        if self.errors:
            text += f", {self.errors} errors"
        return f"{text} ({self.blind})" if self.blind else text


def measurements(metric: Metric) -> Program:
    """The program of one metric; it returns its line, or raises `Abort` or `Inconclusive`."""
    source = metric.query
    if isinstance(source, Script):
        take = Wait(source.seconds)
        program = _scripted(_measurements(metric, take), take, source)
    else:
        program = _measurements(metric, Measure(source))
    return _dry(program) if metric.dry_run else program


def _measurements(metric: Metric, measure: Effect) -> Program:
    """This is the inner loop of a Monte Carlo: effects are made once, counters are locals."""
    pause, retry = Wait(metric.interval_seconds or 0.0), Wait(ERROR_RETRY_SECONDS)
    verdict_of = judge(metric)
    failure_limit = math.inf if metric.failure_limit == -1 else metric.failure_limit
    tally = Tally()
    count = failed = errors = row_start = 0  # successes in a row: count - row_start
    ends_at = _ends_at(metric, row_start)
    try:
        if metric.initial_delay_seconds > 0:
            yield Wait(metric.initial_delay_seconds)
        while True:
            look: Measured = yield measure
            try:
                if look.error:
                    raise ConditionError(look.error)
                verdict = verdict_of(look)
            except ConditionError as error:
                errors += 1
                tally.errors += 1
                if errors > metric.consecutive_error_limit:
                    raise Abort(_errors(metric, errors, look, error)) from None
                row_start = count
                ends_at = _ends_at(metric, row_start)
                yield retry
                continue
            errors = 0
            count += 1
            if verdict is not True:
                if verdict is False:
                    failed += 1
                    if failed > failure_limit:
                        text = "failed measurements"
                        raise Abort(_reason(metric, failed, text, "failureLimit", metric.failure_limit, look))
                elif verdict is None:
                    tally.inconclusive += 1
                    if tally.inconclusive > metric.inconclusive_limit:
                        raise Inconclusive(_doubt(metric, tally.inconclusive, look))
                elif not tally.blind:
                    tally.blind = blind_reason(metric, look)
                    yield Note(f"{metric.name}: {tally.blind}")
                if verdict is not BLIND:
                    row_start = count
                    ends_at = _ends_at(metric, row_start)
            if count == ends_at:
                _check_row(metric, count, count - row_start)
                break
            yield pause
    except Terminated:
        return tally.line(metric.name, count, failed, "ended early, Successful, after ")
    return tally.line(metric.name, count, failed)


def _ends_at(metric: Metric, row_start: int) -> int:
    """The count at which a metric ends when all is well from here on; 0: never."""
    enough, wanted = metric.consecutive_success_limit, metric.effective_count
    ends = [count for count in (wanted, row_start + enough if enough else None) if count is not None]
    return min(ends, default=0)


def _scripted(program: Program, take: Effect, script: Script) -> Program:
    """The same program, its measurements answered by a script; `take` is what it yields for one."""
    answers = as_looks(script)
    answer: Any = None
    try:
        while True:
            effect = program.send(answer)
            answer = yield effect
            if effect is take:
                answer = next(answers)
    except StopIteration as end:
        return end.value
    except Terminated as early:
        return _line_after(program, early)


def _line_after(program: Program, early: Terminated) -> Any:
    try:
        program.throw(early)
    except StopIteration as end:
        return end.value


def _dry(program: Program) -> Program:
    """A dry run ends as the metric would, and nobody minds."""
    try:
        end = yield from program
    except (Abort, Inconclusive) as failure:
        end = str(failure)
    return f"{end} (dry run: decides nothing)"


def _check_row(metric: Metric, count: int, row: int) -> None:
    """At the end: are there as many successes in a row as are wanted?"""
    enough = metric.consecutive_success_limit
    if row >= enough:
        return
    what = f"successes in a row after {count} measurements"
    text = f"{metric.name}: {what}: have {row}, need {enough} (consecutiveSuccessLimit)"
    raise Abort(text) if metric.failure_limit == -1 else Inconclusive(text)


def _doubt(metric: Metric, count: int, look: Measured) -> str:
    limit = metric.inconclusive_limit
    return _reason(metric, count, "inconclusive measurements", "inconclusiveLimit", limit, look)


def _errors(metric: Metric, count: int, look: Measured, error: ConditionError) -> str:
    limit = metric.consecutive_error_limit
    text = _reason(metric, count, "consecutive errors", "consecutiveErrorLimit", limit, look)
    return text if error.problem == NO_DATA else f"{text}: {error.problem}"


def _reason(metric: Metric, count: int, what: str, limit: str, allowed: int, look: Measured) -> str:
    what = what.removesuffix("s") if count == 1 else what
    return f"{metric.name}: {count} {what} > {limit} {allowed}; last {seen(look)}"
