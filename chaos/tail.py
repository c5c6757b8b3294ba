"""The traffic of a drill while it runs: all its logs as one, and whether there is anything more to see."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np

from chaos.drill import Drill
from chaos.evidence import answered, back_to_normal, bad, last_response, together, within
from chaos.load.log import DTYPE, Records, TrafficLog
from chaos.plan import Plan
from chaos.timeline import Moment
from scenarios.schema import Scenario

_QUIET_WINDOWS: Final = 2  #: without a response of a revision, after which its last one is known
_WITHOUT_RECOVERY_WINDOWS: Final = 5


class Tail:
    """The traffic logs of a run directory, one for each harness that worked on the drill."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._logs: dict[Path, TrafficLog] = {}
        self._parts: list[Records] = []

    @property
    def next_path(self) -> Path:
        """Where the next generator writes."""
        return self._folder / f"traffic-{len(list(self._folder.glob('traffic-*.bin'))) + 1}.bin"

    @property
    def latest(self) -> TrafficLog | None:
        """The log that is being written."""
        return list(self._logs.values())[-1] if self._logs else None

    def read(self) -> Records:
        """Records that are new, of requests that the service could answer."""
        fresh = []
        for path in sorted(self._folder.glob("traffic-*.bin")):
            log = self._logs.setdefault(path, TrafficLog(path))
            fresh.append(answered(log.read_new()))
        found = together(fresh) if fresh else np.zeros(0, DTYPE)
        if len(found):
            self._parts.append(found)
        return found

    def all(self) -> Records:
        """Everything that was read so far, in the order in which requests ended."""
        self._parts = [together(self._parts)]
        return self._parts[0]


def healthy_ratio(scenario: Scenario) -> float:
    """Share of bad responses of the service without a fault: its own failures, and the tail of its latency law."""
    law, limit = scenario.service.latency, scenario.slo.latency_seconds
    sigma = math.log(law.p99_seconds / law.p50_seconds) / 2.3263478740408408
    if sigma == 0:
        slow = float(law.p50_seconds > limit)
    else:
        slow = 0.5 * math.erfc(math.log(limit / law.p50_seconds) / (sigma * math.sqrt(2)))
    failing = scenario.service.error_ratio
    return failing + (1 - failing) * slow


def allowed_ratio(scenario: Scenario, measured: float = 0.0) -> float:
    """Share of bad responses that still counts as within the objective: never less than what is there anyhow."""
    return min(1.0, max(1.0 - scenario.slo.objective, 2.0 * healthy_ratio(scenario), 2.0 * measured))


def baseline_problem(plan: Plan, records: Records) -> tuple[float, str]:
    """The share of bad responses before the rollout, and why that is no steady state (empty: it is one)."""
    count = len(records)
    if not count:
        return 0.0, "steady state: no request was answered"
    wrong = int(bad(records, plan.scenario.slo.latency_seconds).sum())
    allowed = min(1.0, allowed_ratio(plan.scenario) + 0.01)  # a machine that is shared has its moments
    if within(wrong, count, allowed):
        return wrong / count, ""
    return wrong / count, f"steady state: {wrong} of {count} responses were bad, {allowed:.1%} may be"


def recovery(plan: Plan, drill: Drill, records: Records, until: float) -> Moment | None:
    """t7; None without a fault, or without a decision or a bad response to recover from."""
    since = drill.decided.at if drill.decided is not None else None
    if since is None or not drill.asked or drill.steady is None:
        return None
    return back_to_normal(
        records,
        since,
        until,
        window=plan.window_seconds,
        allowed_ratio=allowed_ratio(plan.scenario, drill.steady.bad_ratio),
        slo_seconds=plan.scenario.slo.latency_seconds,
    )


def settled(plan: Plan, drill: Drill, records: Records, now: float) -> bool:
    """Whether there is nothing more to see: the rollout has ended, no fault is to come, and users are as before."""
    if drill.ended is None or drill.began is None or plan.settings.until_horizon:
        return False
    for fault in plan.faults:
        if fault.number not in drill.asked and fault.from_weight is None:
            return False  # its time will come
    waited = now - drill.ended.at
    stays = any("stable" in fault.revisions and fault.for_seconds is None for fault in plan.faults)
    if drill.outcome == "promoted" or stays or not drill.asked:  # users will not be better off than they are
        return waited > _WITHOUT_RECOVERY_WINDOWS * plan.window_seconds
    if waited > plan.tail_seconds:
        return True
    last = last_response(records, "canary")
    if last is not None and now - last.hi < _QUIET_WINDOWS * plan.window_seconds and drill.outcome == "rolled_back":
        return False
    back = recovery(plan, drill, records, now - plan.window_seconds)
    return back is None or not back.censored
