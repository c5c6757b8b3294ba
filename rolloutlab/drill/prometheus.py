"""Drills as Prometheus text, for the textfile collector of a node exporter or a push gateway."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from rolloutlab.drill.record import PASS, VERDICTS, Record
from rolloutlab.drill.summary import groups, median, worst

LABELS: Final = ("scenario", "variant", "strategy", "world")
#: column -> what it says; the median over repeats, and the worst beside it
TIMES: Final = {
    "detection_seconds": "from the first bad response to the decision, in scenario seconds",
    "rollback_seconds": "from the decision to the last response of the bad revision, in scenario seconds",
    "exposure_seconds": "from the first bad response to the last response of the bad revision, in scenario seconds",
}


def text(drills: Sequence[Record]) -> str:
    """The text format, version 0.0.4; a time that does not apply has no sample."""
    registry = CollectorRegistry(auto_describe=False)

    def gauge(name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"rolloutlab_drill_{name}", help_text, (*LABELS, *labels), registry=registry)

    runs = gauge("runs", "drills of this call, by verdict", "verdict")
    code = gauge("exit_code", "0 pass, 1 fail, 3 refused, 4 left something behind, 5 inconclusive, 130 interrupted")
    speed = gauge("speed_ratio", "scenario seconds per real second")
    took = gauge("duration_seconds", "real seconds of the last drill")
    last = gauge("last_run_timestamp_seconds", "when the last drill ended")
    good = gauge("last_success_timestamp_seconds", "when the last drill that passed ended")
    middle = {name: gauge(name, f"median time {what}") for name, what in TIMES.items()}
    most = {
        name: gauge(f"{name.removesuffix('_seconds')}_max_seconds", f"longest time {what}")
        for name, what in TIMES.items()
    }
    for group in groups(drills):
        where = group[0].where
        key = (where.scenario, where.variant or "", where.strategy, where.world)
        for verdict in VERDICTS:
            runs.labels(*key, verdict).set(sum(one.verdict == verdict for one in group))
        code.labels(*key).set(max(one.exit_code for one in group))
        speed.labels(*key).set(group[-1].speed)
        took.labels(*key).set(group[-1].took_seconds)
        last.labels(*key).set(_end(group[-1]))
        passed = [_end(one) for one in group if one.verdict == PASS and one.exit_code == 0]
        if passed:
            good.labels(*key).set(max(passed))
        for name in TIMES:
            for found, value in ((middle[name], median(group, name).value), (most[name], worst(group, name))):
                if math.isfinite(value):
                    found.labels(*key).set(value)
    return generate_latest(registry).decode()


def _end(record: Record) -> float:
    return record.began_wall + record.took_seconds
