"""A judge as an analysis program: it asks for the counts so far, looks, waits, and ends or raises.

It returns when the judge passes the canary, raises `Abort` when it fails it, and `Inconclusive` when `count` looks
bring no decision. Counts are since the first question: what was there before the analysis began is not evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

from strategies.effects import Abort, CountsQuery, Inconclusive, Measure, Measured, Program, Spawn, Wait
from strategies.judges.base import Judge, Look, State, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """A judge, and when it looks."""

    judge: Judge
    every_seconds: float  #: from the answer of one look to the question of the next
    count: int | None = None  #: looks after which it ends without a decision; None: it goes on until it is cancelled
    initial_delay_seconds: float = 0.0  #: before the counts begin

    def __post_init__(self) -> None:
        if not self.every_seconds > 0:
            raise ValueError(f"every_seconds must be above 0, got {self.every_seconds}")
        if self.count is not None and self.count < 1:
            raise ValueError(f"count must be 1 or more, got {self.count}")
        if not self.initial_delay_seconds >= 0:
            raise ValueError(f"initial_delay_seconds must be 0 or more, got {self.initial_delay_seconds}")

    @property
    def queries(self) -> tuple[CountsQuery, ...]:
        """What it may ask; a strategy that uses it declares these in `reads`."""
        return (CountsQuery(),)

    @property
    def endless(self) -> bool:
        """Whether it never ends by itself while all is well."""
        return self.count is None and getattr(self.judge, "count", None) is None

    @property
    def name(self) -> str:
        """The name that traces show."""
        return self.judge.name

    def program(self) -> Program:
        """A fresh run of it: `run`."""
        return run(self)


def run(judging: Judging) -> Program:
    """The program of one judge; it returns the reason of its pass."""
    session = judging.judge.begin()
    measure, pause = Measure(CountsQuery()), Wait(judging.every_seconds)
    if judging.initial_delay_seconds > 0:
        yield Wait(judging.initial_delay_seconds)
    first: Measured = yield measure
    looks = 0
    while True:
        yield pause
        answer: Measured = yield measure
        verdict = session.update(_since(first, answer))
        looks += 1
        if verdict.state is State.FAIL:
            raise Abort(f"{judging.judge.name}: {verdict.reason}")
        if verdict.state is State.PASS:
            return f"{judging.judge.name}: {verdict.reason}"
        if looks == judging.count:
            raise Inconclusive(f"{judging.judge.name}: no decision after {looks} looks; {shortage(verdict)}")


def beside(judging: Judging) -> Spawn:
    """The effect that starts a judge beside the program that yields it."""
    return Spawn(lambda: run(judging), f"judge {judging.judge.name}")


def shortage(verdict: Verdict) -> str:
    """What an undecided verdict lacks, in words.

    >>> shortage(Verdict(State.CONTINUE, 0.3, 4.6, 0.7, 347, 2529, "p = 0.7 > 0.01"))
    'have 347 canary requests, need 2,529; p = 0.7 > 0.01'
    """
    if verdict.needed is not None and verdict.needed > verdict.requests:
        return f"have {verdict.requests:,} canary requests, need {verdict.needed:,}; {verdict.reason}"
    return f"have {verdict.requests:,} canary requests; {verdict.reason}"


def _since(first: Measured, now: Measured) -> Look:
    """The counts since the first look."""
    counts = [after - before for after, before in zip(now.result, first.result, strict=True)]
    return Look(now.at_seconds - first.at_seconds, *counts)
