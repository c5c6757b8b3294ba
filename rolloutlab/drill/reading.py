"""From what the harness hands back to a record: with the question, the file, and the words that a reader needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from chaos.plan import Plan
from chaos.results import DrillResult, FaultReport
from chaos.tail import allowed_ratio
from rolloutlab.drill.record import Check, Fault, Record, Step, Value, Where
from rolloutlab.drill.words import fault_text, step_of
from rolloutlab.question import Question
from rolloutlab.text import one_line

_BEFORE_SECONDS = 600.0  #: real time before the baseline, at least, at which nothing but the start of the world happens


def record_of(
    result: DrillResult, plan: Plan, question: Question, *, wall_of_zero: float, took_seconds: float, again: str
) -> Record:
    """The record of a drill.

    Args:
        question: the file that the plan was made of.
        wall_of_zero: unix seconds at 0 of the monotonic clock.
        took_seconds: real time of the whole drill.
        again: the command that gives such a drill again.
    """
    verdict = result.verdict
    return Record(
        where=_where(result, plan, question),
        verdict=verdict.word.value,
        exit_code=result.exit_code,
        outcome=result.outcome,
        reasons=tuple(one[:4000] for one in verdict.reasons[:200]),
        timeline=result.timeline,
        row={name: _value(value) for name, value in result.row.items()},
        faults=tuple(_fault(report, plan) for report in result.faults),
        checks=tuple(
            Check(
                statistic=one.expectation.statistic,
                column=one.expectation.column,
                between=one.expectation.between,
                because=one_line(one.expectation.because),
                holds=one.says.value,
                reason=one.reason,
                value=one.value if one.value is not None and math.isfinite(one.value) else None,
            )
            for one in verdict.checks
        ),
        steps=_steps(result),
        traffic=result.series,
        began_wall=result.wall_began,
        rollout_wall=wall_of_zero + result.timeline.began,
        took_seconds=took_seconds,
        load=_load(result.load),
        left=result.left,
        labels=result.labels,
        warnings=_warnings(result, question),
        assumed=question.assumed,
        again=again,
        lags=result.lags,
    )


def _where(result: DrillResult, plan: Plan, question: Question) -> Where:
    return Where(
        scenario=result.scenario,
        variant=result.variant,
        strategy=result.strategy,
        title=question.title,
        question=question.text,
        path=question.path,
        digest=plan.digest,
        world=result.world,
        engine=plan.engine,
        run_id=result.run_id,
        seed=result.seed,
        slo_seconds=plan.scenario.slo.latency_seconds,
        allowed_ratio=allowed_ratio(plan.scenario),
        facts=question.facts,
    )


def _fault(report: FaultReport, plan: Plan) -> Fault:
    planned = plan.faults[report.number]
    return Fault(
        kind=report.kind,
        on=" and ".join(report.on) or "metrics",
        text=fault_text(planned),
        engine=report.engine,
        injected=report.injected_seconds is not None,
        effect_verified=None if report.asked_seconds is None else report.effect_verified,
        evidence=report.reason[:4000],
    )


def _steps(result: DrillResult) -> tuple[Step, ...]:
    """Everything since the baseline; what came before has no time of its own, for scenario time had not begun."""
    baseline = result.timeline.t0
    since = -_BEFORE_SECONDS if baseline is None else result.timeline.scenario_seconds(baseline).lo
    found = [step_of(one) for one in result.happenings if one.at_seconds >= since]
    return tuple(step for step in found if step is not None)


def _load(report: Mapping[str, Any] | None) -> dict[str, Value]:
    """The report of the load generator, flat: `lag_seconds` of p99 becomes `lag_p99_seconds`."""
    found: dict[str, Value] = {}
    for name, value in (report or {}).items():
        if isinstance(value, Mapping):
            head, _, unit = name.rpartition("_")
            found |= {f"{head}_{key}_{unit}": below for key, below in value.items()}
        elif isinstance(value, list | tuple):
            found[name] = "; ".join(map(str, value)) or None
        else:
            found[name] = value
    return found


def _warnings(result: DrillResult, question: Question) -> tuple[str, ...]:
    resumed = (f"resumed {result.resumed} times: gaps in traffic are the harness's",) if result.resumed else ()
    return (*resumed, *question.warnings)


def _value(value: Any) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value
