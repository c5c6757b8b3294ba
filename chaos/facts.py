"""From the events of a drill and its traffic to a timeline, a verdict and a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from chaos import results, verdict
from chaos.drill import Drill
from chaos.evidence import bins, counts, first_bad, last_response, users_met
from chaos.faults import Effect, FaultPlan, Seen, verified
from chaos.lags import lags
from chaos.load.log import Records
from chaos.plan import Plan
from chaos.results import DrillResult, FaultReport, Happening, Lag, Pods
from chaos.tail import recovery
from chaos.timeline import Moment, Timeline
from strategies.effects import Revision

_DECIDED: Final = ("decision_seconds", "detection_seconds")
_BINS: Final = 240  #: of a drawing over time


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What a harness knows of a drill when it stops looking.

    Attributes:
        until: monotonic seconds of that.
        load: the report of the load generator, None when there is none.
    """

    plan: Plan
    drill: Drill
    records: Records
    seen: Seen
    pods: Pods
    until: float
    load: Mapping[str, Any] | None
    happenings: Sequence[Happening] = ()
    knows_looks: bool = True  #: the conditions of the strategy could be read


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything that the sweep cannot change."""

    timeline: Timeline
    facts: verdict.Facts
    verdict: verdict.Verdict
    effects: Mapping[int, Effect] = field(default_factory=dict)


def judged(known: Gathered) -> Judgement:
    """Reach the verdict."""
    plan, drill = known.plan, known.drill
    timeline = timeline_of(known)
    effects = {each.number: _effect(each, known) for each in plan.faults if _was_due(each, known)}
    measured = {}
    if drill.began is not None:
        ended = drill.ended.at if drill.ended is not None else None
        measured = results.measurements(timeline, drill.outcome, ended=ended, pods=known.pods)
        if drill.torn:
            measured = {name: value for name, value in measured.items() if not name.endswith("_seconds")}
        if drill.stopped:  # whoever stopped it decided, not the strategy
            measured = {name: value for name, value in measured.items() if name not in _DECIDED}
    whole = timeline.speed * (known.until - timeline.began) >= plan.scenario.horizon_seconds and not drill.resumed
    if whole:
        measured |= results.until_horizon(
            plan.scenario,
            counts(known.records, plan.scenario.slo.latency_seconds)[0],
            pods=known.pods,
            outcome=drill.outcome,
            bad_release=plan.bad,
            users=_users(known),
        )
    facts = verdict.Facts(
        outcome=drill.outcome,
        measured=measured,
        whole=whole,
        expectations=plan.expectations(),
        effects=[(effect.verified, effect.reason) for effect in effects.values()],
        harm=_harm(plan),
        problems=drill.problems,
        failure=drill.failure,
        stopped=drill.stopped,
        doubts=_doubts(known),
    )
    return Judgement(timeline, facts, verdict.judge(facts), effects)


def judged_before(known: Gathered) -> Judgement:
    """The same for a drill whose verdict stands in its journal: that one counts, what it rested on may be gone."""
    found, told = judged(known), known.drill.verdict
    if told is None or told.verdict == found.verdict.word.value:
        return found
    return replace(found, verdict=verdict.Verdict(verdict.Word(told.verdict), told.reasons, found.verdict.checks))


def timeline_of(known: Gathered) -> Timeline:
    """t0 to t7; t8 comes with the sweep."""
    plan, drill, records, until = known.plan, known.drill, known.records, known.until
    began = drill.began if drill.began is not None else until
    timeline = Timeline(began, plan.speed)
    moments: dict[str, Moment | None] = {}
    if drill.steady is not None and not drill.steady.problem:
        moments["t0"] = Moment(drill.steady.since, drill.steady.at)
    if drill.decided is not None:
        moments["t5"] = Moment(drill.decided.lo, drill.decided.at)
    elif drill.began is not None:
        moments["t5"] = Moment.never(until)
    if drill.asked:
        asked = min(drill.asked.values())
        moments["t1"] = Moment(asked, asked)
        there = [Moment(each.lo, each.at) for each in drill.injected.values()]
        moments["t2"] = min(there, key=lambda moment: moment.hi, default=Moment.never(until))
        targets = [revision for each in plan.faults if each.number in drill.asked for revision in each.revisions]
        if targets:
            found = first_bad(records, list(dict.fromkeys(targets)), asked, plan.scenario.slo.latency_seconds)
            moments["t3"] = found or Moment.never(until)
            moments["t6"] = _last(known, _bad_revision(plan, drill), asked)
        moments["t7"] = recovery(plan, drill, records, until)
        if known.knows_looks:
            look = drill.bad_look
            moments["t4"] = Moment(look.lo, look.at) if look is not None else Moment.never(until)
    return Timeline(timeline.began, timeline.speed, **moments)


def _last(known: Gathered, revision: Revision, since: float) -> Moment | None:
    """t6: censored while the revision may still answer; None when it never answered under the fault."""
    last = last_response(known.records, revision)
    if last is None or last.hi < since:
        return None
    quiet = known.until - last.hi
    return last if quiet > 2 * known.plan.window_seconds else Moment(last.lo, float("inf"))


def _bad_revision(plan: Plan, drill: Drill) -> Revision:
    """The revision whose last response is waited for: the new one, unless faults sit in the old one alone."""
    sides = {revision for each in plan.faults if each.number in drill.asked for revision in each.revisions}
    return "stable" if sides == {"stable"} else "canary"


def _was_due(fault: FaultPlan, known: Gathered) -> bool:
    """A fault that was asked for, or whose time had come; one that waits for a weight that never came was not."""
    if fault.number in known.drill.asked:
        return True
    if known.drill.began is None or fault.from_weight is not None:
        return False
    return (known.until - known.drill.began) * known.plan.speed >= fault.from_seconds


def _effect(fault: FaultPlan, known: Gathered) -> Effect:
    drill = known.drill
    if fault.number in drill.refused:
        return Effect(False, f"{fault.kind}: {drill.refused[fault.number]}")
    injected = drill.injected.get(fault.number)
    return verified(fault, Moment(injected.lo, injected.at) if injected is not None else None, known.seen)


def _harm(plan: Plan) -> str:
    sides = {revision for each in plan.faults for revision in each.revisions}
    return "both" if len(sides) == 2 else next(iter(sides), "")


def _doubts(known: Gathered) -> tuple[str, ...]:
    """Why what was measured is not to be trusted."""
    return (*_doubts_of_traffic(known), *_unanswered(known)) if known.drill.began is not None else ()


def _unanswered(known: Gathered) -> tuple[str, ...]:
    """A strategy that was given no metrics decides by their absence, which says nothing of the release."""
    reasons = [str(each.facts.get("reason", "")) for each in known.happenings if each.kind == "unanswered"]
    if not reasons:
        return ()
    times = f"{len(reasons)} times" if len(reasons) > 1 else "once"
    return (f"metrics: Prometheus did not answer, {times}; the first time: {reasons[0]}",)


def _doubts_of_traffic(known: Gathered) -> tuple[str, ...]:
    """Why figures of traffic are not to be trusted."""
    if known.load is not None:
        return tuple(f"traffic: {problem}" for problem in known.load.get("problems", ()))
    if not known.drill.resumed:
        return ("traffic: the load generator left no report",)
    lag = (known.records["sent_us"] - known.records["intended_us"]) / 1e6  # it was killed before it could report
    limit = known.plan.max_lag_seconds
    if len(lag) and float(np.quantile(lag, 0.99)) > limit:
        return (f"traffic: the generator was late, p99 of its lag is above {limit * 1e3:g} ms",)
    return ()


def _users(known: Gathered) -> int | None:
    if not known.plan.bad or not known.drill.asked:
        return None
    return users_met(known.records, "canary", min(known.drill.asked.values()))


# --- the result --------------------------------------------------------------------------------------------------


def result_of(
    known: Gathered, judgement: Judgement, *, run_id: str, world: str, journal: str, wall_began: float
) -> DrillResult:
    """Everything about a drill that was swept."""
    plan, drill, timeline = known.plan, known.drill, judgement.timeline
    if drill.swept is not None:
        t8 = Moment(min(known.until, drill.swept.at), drill.swept.at)
        timeline = Timeline(timeline.began, timeline.speed, **{**timeline.moments(), "t8": t8})
    slo = plan.scenario.slo.latency_seconds
    length = max(1e-9, (known.until - timeline.began + plan.lead_seconds) * plan.speed)
    row = results.row(
        judgement.facts.measured,
        replication=0,
        bad=plan.bad,
        severity=plan.severity,
        outcome=drill.outcome,
    )
    if drill.outcome:
        row["engineering_usd"] = results.engineering_usd(plan.scenario, drill.outcome, bad_release=plan.bad)
    bit = [effect.verified for effect in judgement.effects.values()]
    return DrillResult(
        run_id=run_id,
        scenario=plan.title,
        strategy=plan.name,
        variant=plan.source.variant,
        seed=plan.settings.seed,
        speed=plan.speed,
        world=world,
        outcome=drill.outcome,
        reason=_reason(drill),
        timeline=timeline,
        row=row,
        verdict=judgement.verdict,
        exit_code=drill.exit_code,
        effect_verified=all(bit) if bit else None,
        faults=tuple(_report(each, known, judgement) for each in plan.faults),
        counts=tuple(counts(known.records, slo)),
        series=tuple(bins(known.records, timeline.began, plan.speed, width=length / _BINS, slo_seconds=slo)),
        happenings=tuple(known.happenings),
        labels=(*plan.labels, *_gap(drill)),
        load=_load(known.load),
        resumed=drill.resumed,
        left=drill.left,
        journal=journal,
        wall_began=wall_began,
        lags=_lags(known),
    )


def _lags(known: Gathered) -> tuple[Lag, ...]:
    """Of a whole drill: one that was gone on with has not heard of all its pods, nor seen all its traffic."""
    drill = known.drill
    if drill.began is None or drill.resumed:
        return ()
    return lags(known.happenings, known.records, began=drill.began, speed=known.plan.speed)


def _gap(drill: Drill) -> tuple[str, ...]:
    if not drill.resumed:
        return ()
    found = "its harness was killed and it was gone on with: meanwhile there were neither replicas nor traffic"
    return (f"{found}, so that no time counts as measured" if drill.torn else found,)


def _reason(drill: Drill) -> str:
    if drill.decided is not None and drill.decided.reason:
        return drill.decided.reason
    return drill.ended.reason if drill.ended is not None else drill.failure or drill.stopped


def _report(fault: FaultPlan, known: Gathered, judgement: Judgement) -> FaultReport:
    drill, effect = known.drill, judgement.effects.get(fault.number)

    def scenario(at: float | None) -> float | None:
        return None if at is None or drill.began is None else (at - drill.began) * known.plan.speed

    injected = drill.injected.get(fault.number)
    return FaultReport(
        number=fault.number,
        kind=fault.kind,
        on=fault.revisions,
        engine=fault.engine,
        asked_seconds=scenario(drill.asked.get(fault.number)),
        injected_seconds=scenario(injected.at if injected is not None else None),
        effect_verified=effect is not None and effect.verified,
        reason=effect.reason if effect is not None else "it was not due while the drill lasted",
        p_value=effect.p_value if effect is not None else None,
        labels=fault.labels,
    )


def _load(report: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What a reader wants to know of the generator itself."""
    if report is None:
        return None
    return {name: report.get(name) for name in ("loop", "cpu_share", "lag_seconds", "held_back", "problems")}
