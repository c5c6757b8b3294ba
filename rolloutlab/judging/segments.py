"""Where the time from a fault to the end of its traffic goes: to evidence, to the judge's own settings, to pipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from rolloutlab.judging.bench import Bench
from rolloutlab.judging.entrant import Entrant

Kind = Literal["statistics", "settings", "plumbing"]
#: what each segment is, in the order in which a number meets them
MEANINGS: Final = {
    "window": "until the judge's first window is full",
    "hold": "a crossing must last (`for`), or come again (failureLimit)",
    "evidence": "until enough responses have failed",
    "scrape": "the newest scraped number is half an interval old on average",
    "lag": "until a scraped number can be asked for",
    "evaluation": "half the time between two evaluations, beyond the looks of the bench",
    "query": "the question takes this long",
    "router": "from the decision to traffic that follows it",
    "rollback": "steps of a progressive rollback",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the mean time from the fault to the end of its traffic."""

    name: str
    kind: Kind
    seconds: float


def segments(bench: Bench, entrant: Entrant, mean_seconds: float) -> tuple[Segment, ...]:
    """The parts of one judge's mean delay, and of the way before and after it; those of 0 s are left out.

    Args:
        mean_seconds: from the fault to the alarm, on counts that are known at once.
    """
    window = min(max(entrant.window_seconds - bench.fault_seconds, 0.0), mean_seconds)
    hold = min(entrant.hold_seconds, mean_seconds - window)
    pipes = bench.plumbing
    looked = entrant.evaluates_seconds or bench.look_seconds
    rows: tuple[tuple[str, Kind, float], ...] = (
        ("window", "settings", window),
        ("hold", "settings", hold),
        ("evidence", "statistics", mean_seconds - window - hold),
        ("scrape", "plumbing", pipes.scrape_seconds / 2),
        ("lag", "plumbing", pipes.lag_seconds),
        ("evaluation", "plumbing", max(pipes.evaluation_seconds - looked, 0.0) / 2),
        ("query", "plumbing", pipes.query_seconds),
        ("router", "plumbing", pipes.router_seconds),
        ("rollback", "plumbing", pipes.rollback_seconds),
    )
    return tuple(Segment(*row) for row in rows if row[2] > 0)
