"""What a harness knows when it stops looking: traffic, lives of processes, scraped series, pods."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from chaos.clock import MICROSECONDS, LiveClock
from chaos.drill import Drill
from chaos.facts import Gathered
from chaos.faults import Seen
from chaos.hearing import Hearing
from chaos.load.log import Records
from chaos.local.world import LocalWorld
from chaos.plan import Plan
from chaos.results import Pods
from scenarios.schema import Service


def gathered(
    plan: Plan,
    drill: Drill,
    clock: LiveClock,
    hearing: Hearing,
    world: LocalWorld | None,
    *,
    records: Records,
    until: float,
    load: Mapping[str, Any] | None,
) -> Gathered:
    """Everything until a monotonic time; without a world, what the files of a killed harness hold."""
    kept = records[records["done_us"] <= until * MICROSECONDS]
    scraped = hearing.lives.scraped(world.scraper.store, clock) if world is not None else {}
    seen = Seen(
        records=kept,
        began=clock.began,
        until=until,
        speed=plan.speed,
        lives=hearing.lives.all(),
        usual_start_seconds=clock.real_seconds(_usual_start_seconds(plan.scenario.service)) + 1.0,
        **scraped,
    )
    return Gathered(
        plan=plan,
        drill=drill,
        records=kept,
        seen=seen,
        pods=_pods(plan, clock, world, until),
        until=until,
        load=load,
        happenings=hearing.happenings,
        knows_looks=hearing.looks.known,
    )


def _usual_start_seconds(service: Service) -> float:
    """Scenario time from the start of a healthy container until it is ready, but for one in forty."""
    probe = service.probes.readiness
    start = service.startup.start_seconds * math.exp(2 * service.startup.spread)
    return start + (probe.period_seconds * probe.success_threshold if probe is not None else 0.0)


def _pods(plan: Plan, clock: LiveClock, world: LocalWorld | None, until: float) -> Pods:
    if world is None:
        return Pods(least_available=0, peak=0, seconds=0.0)
    pods, looked = world.pods, (until - clock.began) * plan.speed
    end_us = min(looked, plan.scenario.horizon_seconds) * MICROSECONDS
    lives = [*pods.lives, *((pod.created_us, end_us) for pod in pods.all())]
    total_us = sum(max(0.0, min(gone, end_us) - max(0, made)) for made, gone in lives)
    return Pods(least_available=pods.least_available, peak=pods.peak, seconds=total_us / MICROSECONDS)
