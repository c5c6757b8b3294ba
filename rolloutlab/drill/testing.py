"""For tests of what shows drills: a record made up by hand; no process runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chaos.evidence import Bin, Counts
from chaos.timeline import Moment, Timeline
from rolloutlab.drill.record import Check, Fault, Record, Step, Where
from scenarios.outcome import COLUMNS

SPEED = 20.0
BEGAN = 1000.0  #: monotonic seconds at scenario time 0


def at(low: float, high: float | None = None) -> Moment:
    """A moment between two scenario times; seen at once without the second."""
    high = low if high is None else high
    return Moment(BEGAN + low / SPEED, BEGAN + high / SPEED)


def made_up(*, detection: float = 240.0, rollback: float = 1.2, number: int = 0, **changes: Any) -> Record:
    """A canary that takes back a release with 5 % errors.

    Args:
        detection, rollback: scenario seconds from t3 to t5 and from t5 to t6.
        changes: other fields of the record.
    """
    bad, decision = 45.0, 45.0 + detection
    last = decision + rollback
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "replication": number, "release_bad": True, "severity": 1.0, "outcome": "rolled_back",
        "decision_seconds": decision, "detection_seconds": detection, "rollback_seconds": rollback,
        "exposure_seconds": detection + rollback, "duration_seconds": last + 5, "failed_requests": 140.0,
        "slow_requests": 12.0, "bad_requests": 152.0, "min_available_replicas": 10.0, "peak_pods": 11.0,
    }  # fmt: skip
    given = Record(
        where=_where(),
        verdict="pass",
        exit_code=0,
        outcome="rolled_back",
        reasons=("p50 of detection_seconds: 240 (measured between 239.8 and 240); expected 220 to 250",),
        timeline=Timeline(
            BEGAN,
            SPEED,
            t0=at(-60, -20),
            t1=at(0),
            t2=at(0, 2),
            t3=at(bad - 0.3, bad),
            t4=at(100, 102),
            t5=at(decision - 0.2, decision),
            t6=at(last - 0.1, last),
            t7=at(last + 5, last + 10),
            t8=at(last + 40, last + 60),
        ),
        row=row,
        faults=(
            Fault(
                "error_ratio",
                "canary",
                "5 % of responses fail, on canary",
                "application",
                True,
                True,
                "canary: 132 of 2,460 failed after t2, stable 24 of 24,000; p = 1e-60",
            ),
        ),
        checks=(
            Check(
                "p50",
                "detection_seconds",
                (220.0, 250.0),
                "the fourth look is 240 s after the first weight",
                "holds",
                "p50 of detection_seconds: 240; expected 220 to 250",
                detection,
            ),
            Check(
                "mean",
                "failed_requests",
                (455.0, 505.0),
                "10/s x 240 s x 5 %",
                "cannot say",
                "mean of failed_requests: counts until the horizon, the drill ended before it",
            ),
        ),
        steps=_steps(decision, last),
        traffic=tuple(_bin(10.0 * place, 44.0 <= 10 * place < last) for place in range(-6, int(last / 10) + 4)),
        began_wall=1_790_000_000.0,
        rollout_wall=1_790_000_004.0,
        took_seconds=21.5,
        load={"requests": 30_000, "lag_p99_ms": 0.8, "cpu_share": 0.41},
        assumed=("router.lag = 1s (schema default)", "metrics.scrapeInterval = 15s (schema default)"),
        labels=("sped up 20 times: Envoy's lag and a request in flight count 20 times as long",),
        again="rolloutlab drill errors-5pct --strategy canary --world local --speed 20 --seed 0",
    )
    return replace(given, **changes)


def _where() -> Where:
    return Where(
        scenario="errors-5pct",
        variant=None,
        strategy="canary",
        title="Five responses in a hundred fail",
        question="Who notices, how soon?",
        path="errors-5pct",
        digest="0" * 64,
        world="local",
        engine="processes behind Envoy 1.40",
        run_id="20261124T020000-00000000",
        seed=0,
        slo_seconds=0.5,
        allowed_ratio=0.001,
        facts=("10 replicas", "100/s", "bad = failed or slower than 500ms"),
    )


def _steps(decision: float, last: float) -> tuple[Step, ...]:
    looks = [Step(45.0 + 60 * place, "look", f"errors: 0.0{place + 2}", bad=place > 0) for place in range(5)]
    return (
        Step(0.0, "phase", "the rollout began"),
        Step(0.1, "order", "scale canary to 1"),
        Step(2.0, "fault", "5 % of responses fail, on canary"),
        Step(43.0, "order", "send 10 % to the canary"),
        Step(44.0, "weight", "the router sends 10 % to the canary", value=0.1),
        *looks,
        Step(decision, "decision", "rolled back: errors failed 4 of 4 looks"),
        Step(last, "weight", "the router sends 0 % to the canary", value=0.0),
    )


def _bin(start: float, split: bool) -> Bin:
    stable, canary = Counts("stable", 900, 1, 0), Counts("canary", 100, 5, 1)
    everything = Counts("", 1000, 6, 1) if split else Counts("", 1000, 1, 0)
    found = (everything, stable, canary) if split else (everything, replace(stable, requests=1000))
    p50: dict[str, float | None] = {"stable": 0.041}
    p99: dict[str, float | None] = {"stable": 0.25}
    if split:
        p50["canary"], p99["canary"] = 0.043, 0.28
    return Bin(start, 10.0, found, p50, p99)
