"""What a drill would do, before anything happens: replicas, traffic, faults, times, undo, or why it is refused."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rolloutlab import text
from rolloutlab.drill.door import Planned
from rolloutlab.drill.words import fault_text
from rolloutlab.result import plain
from scenarios.schema import Expectation


def plan_text(one: Planned) -> str:
    """The plan for a person."""
    plan = one.plan
    speed = f"sped up {plan.speed:.3g}x" if plan.speed != 1 else "in real time"
    real = text.seconds(real_seconds(one))
    lines = [
        f"{one.name} · {plan.settings.world}: {plan.engine} · {speed} · seed {plan.settings.seed}",
        "",
        f"takes      about {real} of real time; a rollout of about {text.seconds(plan.expected_seconds)} "
        f"of scenario time, {text.seconds(plan.scenario.horizon_seconds)} at most",
        f"replicas   {_replicas(one)}",
        f"traffic    {plan.peak_per_second / plan.speed:,.4g} requests a second of the scenario at most: "
        f"{plan.peak_per_second:,.4g} a real second",
        f"baseline   {text.seconds(plan.lead_seconds)} of real time before the rollout",
    ]
    for fault in plan.faults:
        labels = f" ({'; '.join(fault.labels)})" if fault.labels else ""
        lines.append(f"fault      {fault_text(fault)}, by the {fault.engine}{labels}")
    if not plan.faults:
        lines.append("fault      none: a control")
    lines += [f"expects    {_expected(each)}" for each in plan.expectations()] or [
        "expects    nothing of this strategy"
    ]
    lines.append(f"guards     {guards_text(one)}")
    lines.append(f"undo       faults are taken back, {_undo(one)}, every file but the journal removed")
    lines += [f"mind       {label}" for label in plan.labels]
    if plan.problems:
        lines += ["", "Refused:", *(f"  {problem}" for problem in plan.problems)]
    return "\n".join(map(text.safe, lines))


def _replicas(one: Planned) -> str:
    count, cluster = one.plan.scenario.service.replicas, one.plan.settings.cluster
    if cluster is None:
        return (
            f"{count} processes of the stable revision, as many of the canary at most; Envoy before them; all on "
            "127.0.0.1, on ports that the kernel gives"
        )
    return f"{count} pods of the stable revision, as many of the canary at most; all in namespace {cluster.namespace}"


def _undo(one: Planned) -> str:
    if one.plan.settings.cluster is None:
        return "every process ended"
    return "every object of the drill deleted, every process ended"


def guards_text(one: Planned) -> str:
    """When a drill is stopped from outside, its rollout taken back, and it is inconclusive."""
    limits, found = one.plan.limits, []
    if limits.error_ratio is not None:
        found.append(
            f"more than {100 * limits.error_ratio:.4g} % of requests failed in {text.seconds(limits.window_seconds)}"
        )
    if limits.p99_seconds is not None:
        found.append(f"p99 above {text.seconds(limits.p99_seconds)}")
    if limits.ready_replicas is not None:
        found.append(f"fewer than {limits.ready_replicas} ready replicas")
    if limits.wall_seconds is not None:
        found.append(f"longer than {text.seconds(limits.wall_seconds)}")
    spared = limits != one.plan.settings.limits
    own = "; the share of failures is free, since its own faults may fail every request" if spared else ""
    return f"stopped when {', '.join(found)}, all in real time{own}" if found else "none"


def plan_document(one: Planned) -> dict[str, Any]:
    """The plan for a program."""
    plan = one.plan
    found: dict[str, Any] = plain(
        {
            "scenario": one.question.name,
            "variant": one.question.variant,
            "strategy": plan.name,
            "world": plan.settings.world,
            "engine": plan.engine,
            "speed": plan.speed,
            "seed": plan.settings.seed,
            "real_seconds": real_seconds(one),
            "expected_seconds": plan.expected_seconds,
            "horizon_seconds": plan.scenario.horizon_seconds,
            "replicas": plan.scenario.service.replicas,
            "peak_requests_per_real_second": plan.peak_per_second,
            "faults": [
                {
                    "kind": fault.kind,
                    "on": list(fault.revisions),
                    "text": fault_text(fault),
                    "engine": fault.engine,
                    "labels": list(fault.labels),
                }
                for fault in plan.faults
            ],
            "expects": [_expected(each) for each in plan.expectations()],
            "guards": {name: value for name, value in asdict(plan.limits).items() if name != "strict"},
            "labels": list(plan.labels),
            "problems": list(plan.problems),
        }
    )
    return found


def real_seconds(one: Planned) -> float:
    """About how long the drill takes: baseline, rollout, windows of recovery."""
    plan = one.plan
    return plan.lead_seconds + plan.expected_seconds / plan.speed + 5 * plan.window_seconds


def _expected(each: Expectation) -> str:
    low, high = each.between
    return f"{each.statistic} of {each.column} is {low:g} to {high:g}"
