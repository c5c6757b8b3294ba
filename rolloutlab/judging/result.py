"""What `rolloutlab judge` hands back: the cards of every bench, as text, JSON and page."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rolloutlab.judging.alarms import Delays
from rolloutlab.judging.bench import Bench
from rolloutlab.judging.card import Card
from rolloutlab.judging.words import impossible, verdicts
from rolloutlab.result import plain
from sim.intervals import Interval

SCHEMA: Final = 1
FIDELITY: Final = "counts"  #: Poisson requests with independent errors, look by look


@dataclass(repr=False)
class Calibration:
    """The cards of some benches, and how to get them again.

    Attributes:
        benches: all that were asked for; after Ctrl-C those at the end have no cards.
        cards: in the order of the benches, then of the judges.
        runs: replications of each judge.
        inputs: what was asked, for programs.
        again: the command that gives the same; empty when it was asked for in Python.
    """

    benches: list[Bench]
    cards: list[Card]
    runs: int
    seed: int
    inputs: dict[str, Any] = field(default_factory=dict)
    again: str = ""

    def of(self, bench: Bench) -> list[Card]:
        """The cards of one bench."""
        return [card for card in self.cards if card.bench is bench]

    @property
    def complete(self) -> list[Bench]:
        """The benches that have their cards."""
        return [bench for bench in self.benches if self.of(bench)]

    @property
    def interrupted(self) -> bool:
        """Whether a bench has no cards."""
        return len(self.complete) < len(self.benches)

    @property
    def stopped(self) -> str:
        """How much an interrupted run holds."""
        return f"interrupted: holds {len(self.complete)} of {len(self.benches)} benches"

    @property
    def assumed(self) -> list[str]:
        """Every choice that the numbers rest on."""
        several = len(self.benches) > 1
        lines = [f"{bench.name}: {line}" if several else line for bench in self.benches for line in bench.assumed]
        return list(dict.fromkeys(lines))

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the numbers."""
        found = [self.stopped] if self.interrupted else []
        found += [impossible(card) for card in self.cards if card.beats_physics]
        return [*found, *dict.fromkeys(line for bench in self.benches for line in bench.warnings)]

    @property
    def exit_code(self) -> int:
        """0; 1 when a judge is faster than any can be, so that the simulation is wrong; 130 interrupted."""
        return 130 if self.interrupted else int(any(card.beats_physics for card in self.cards))

    def document(self) -> dict[str, Any]:
        """All of it as plain values; what does not exist is None."""
        shown: dict[str, Any] = {
            "schema": SCHEMA,
            "command": "judge",
            "inputs": self.inputs,
            "seed": self.seed,
            "fidelity": FIDELITY,
            "benches": [_bench(bench, verdicts(bench, self.of(bench))) for bench in self.complete],
            "results": [card_document(card) for card in self.cards],
            "assumed": self.assumed,
            "warnings": self.warnings,
        }
        found: dict[str, Any] = plain(shown)
        return found

    def json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False, allow_nan=False)

    def report(self, path: str | Path) -> Path:
        """Write everything as one page that needs nothing else."""
        from rolloutlab.report.judges_page import page

        target = Path(path)
        html = page(self)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(html, encoding="utf-8")
        return target

    def __repr__(self) -> str:
        from rolloutlab.judging.show import text_of

        return text_of(self)


def _bench(bench: Bench, said: list[str]) -> dict[str, Any]:
    names = (
        *("name", "title", "path", "rate_per_second", "share", "p0", "p1", "fault_seconds", "alpha"),
        *("look_seconds", "day_look_seconds", "horizon_seconds", "step_seconds"),
    )
    pipes = bench.plumbing
    return {
        **{name: getattr(bench, name) for name in names},
        "sha256": bench.digest,
        "plumbing": {name: getattr(pipes, name) for name in pipes.__slots__},
        "limit_seconds": bench.limit_seconds(),
        "limit_known_seconds": bench.limit_seconds(knows_baseline=True),
        "limit_requests": bench.limit_seconds() * bench.canary_per_second,
        "verdicts": said,
    }


def card_document(card: Card) -> dict[str, Any]:
    """One card as plain values."""
    entrant = card.entrant
    return {
        "scenario": card.bench.name,
        "judge": entrant.name,
        "kind": entrant.kind,
        "label": entrant.label,
        "yours": entrant.yours,
        "knows_baseline": entrant.knows_baseline,
        "knows_fault": entrant.knows_fault,
        "threshold": entrant.judge.threshold,
        "runs": card.fault.runs,
        "valid": card.valid,
        "false_positives": [
            {
                "seconds": one.seconds,
                "look_seconds": one.look_seconds,
                **_share(one.share),
                "n": one.runs,
            }
            for one in card.false_alarms
        ],
        "fault": _delays(card.fault),
        "times_limit": _interval(card.ratio),
        "efficiency": None
        if card.efficiency is None
        else {name: getattr(card.efficiency, name) for name in card.efficiency.__slots__},
        "segments": [{name: getattr(one, name) for name in one.__slots__} for one in card.segments],
        "end_seconds": card.end_seconds,
        "matched": None
        if card.matched is None
        else {
            "threshold": {name: getattr(card.matched.threshold, name) for name in ("value", "lo", "hi")},
            "mean_seconds": _interval(card.matched.mean),
            "times_limit": _interval(Interval(*(value / card.bench.limit_seconds() for value in card.matched.mean))),
            **_delays(card.matched.delays),
        },
        "curve": [
            {
                "p1": point.p1,
                "limit_seconds": point.limit_seconds,
                **_delays(point.plain),
                "matched": None if point.matched is None else _delays(point.matched),
            }
            for point in card.curve
        ],
    }


def _interval(value: Interval) -> dict[str, float]:
    return {"mean": value.value, "lo": value.lo, "hi": value.hi}


def _share(value: Interval) -> dict[str, float]:
    return {"share": value.value, "lo": value.lo, "hi": value.hi}


def _delays(found: Delays) -> dict[str, Any]:
    """Times in seconds; a quantile that lies beyond the horizon is None."""
    return {
        "detected": {**_share(found.detected), "n": found.runs},
        "delay_seconds": {**_interval(found.mean), "p50": found.p50, "p90": found.p90, "p99": found.p99},
        "exposed_requests": {**_interval(found.exposed_mean), "p50": found.exposed_p50, "p90": found.exposed_p90},
    }
