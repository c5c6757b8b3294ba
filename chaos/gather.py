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
from chaos.plan import Plan
from chaos.results import Pods
from chaos.site import Site
from scenarios.schema import Service


def gathered(
    plan: Plan,
    drill: Drill,
    clock: LiveClock,
    hearing: Hearing,
    site: Site | None,
    *,
    records: Records,
    until: float,
    load: Mapping[str, Any] | None,
) -> Gathered:
    """Everything until a monotonic time; without a site, what the files of a killed harness hold."""
    kept = records[records["done_us"] <= until * MICROSECONDS]
    scraper = site.scraper() if site is not None else None
    scraped = hearing.lives.scraped(scraper, clock) if scraper is not None else {}
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
        pods=site.pods(until) if site is not None else Pods(least_available=0, peak=0, seconds=0.0),
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
