"""An AnalysisRun: the programs of its metrics as one.

The run ends when all metrics have ended, or with the first that ends badly and is no dry run: its siblings are
terminated, which counts as Successful. Of metrics that end badly at the same time the worst counts. Metrics that are
due at the same time are measured one after the other; Argo asks for all of them at once.

Source: argo-rollouts `analysis/analysis.go` (reconcileAnalysisRun, assessRunStatus).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

from strategies.analysis.counters import Terminated, measurements
from strategies.analysis.spec import Examiner, Metric, Script
from strategies.effects import Abort, Ask, AwaitApproval, Effect, Inconclusive, Program, Spawn, Wait

MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What an AnalysisRun measures."""

    name: str
    metrics: tuple[Metric, ...]

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError(f"analysis {self.name!r}: expected at least one metric")

    @property
    def queries(self) -> tuple[Ask, ...]:
        """What worlds must answer, each query once; scripts answer themselves."""
        return tuple(dict.fromkeys(metric.query for metric in self.metrics if not isinstance(metric.query, Script)))

    @property
    def endless(self) -> bool:
        """Whether it never ends by itself while all is well; a dry run is waited for too."""
        return any(metric.endless for metric in self.metrics)

    def program(self) -> Program:
        """The program of one AnalysisRun; it returns a line that says what has become of each metric."""
        if len(self.metrics) == 1:
            return measurements(self.metrics[0])
        return _several(self.metrics)


def run(analysis: Examiner) -> Program:
    """A fresh run of an analysis, as a program."""
    return analysis.program()


def beside(analysis: Examiner, program: Callable[[Examiner], Program] = run) -> Spawn:
    """The effect that starts an analysis beside the program that yields it."""
    return Spawn(lambda: program(analysis), f"analysis {analysis.name}")


def ask(doubt: Inconclusive) -> Generator[Effect, Any, None]:
    """Wait for a person after an inconclusive end; doubts that come meanwhile join the question."""
    reason = str(doubt)
    while True:
        try:
            yield AwaitApproval(reason)
            return
        except Inconclusive as another:
            reason = f"{reason}; {another}"


# --- several metrics ---------------------------------------------------------------------------------------------


class _Metric:
    """The program of one metric, what it asks next, and when."""

    __slots__ = ("asks", "due_us", "end", "failure", "program")

    def __init__(self, metric: Metric, now_us: int) -> None:
        self.program = measurements(metric)
        self.asks: Effect | None = None
        self.due_us = now_us
        self.end = ""
        self.failure: Abort | Inconclusive | None = None
        self.go_on(None, now_us)

    def go_on(self, answer: Any, now_us: int) -> None:
        """Answer what it asked; it asks again, or it has ended."""
        try:
            self.asks = self.program.send(answer)
            self.due_us = now_us + (round(self.asks.seconds * MICROSECONDS) if isinstance(self.asks, Wait) else 0)
        except StopIteration as end:
            self.asks, self.end = None, end.value
        except (Abort, Inconclusive) as failure:
            self.asks, self.failure = None, failure

    def terminate(self) -> None:
        """End it for a sibling's sake."""
        if self.asks is None:
            return
        try:
            self.program.throw(Terminated())
        except StopIteration as end:
            self.asks, self.end = None, end.value


def _several(metrics: tuple[Metric, ...]) -> Program:
    """Run the programs of all metrics in one, each on its own schedule."""
    now_us = round((yield Wait(0.0)).at_seconds * MICROSECONDS)
    parts = [_Metric(metric, now_us) for metric in metrics]
    while True:
        live = [part for part in parts if part.asks is not None]
        if not live or any(part.failure is not None for part in parts):
            return _end(parts)
        at_us = min(part.due_us for part in live)
        if at_us > now_us:
            now_us = round((yield Wait((at_us - now_us) / MICROSECONDS)).at_seconds * MICROSECONDS)
        for part in live:
            while part.due_us <= at_us and part.asks is not None:
                if isinstance(part.asks, Wait):
                    part.go_on(None, at_us)
                    continue
                answer = yield part.asks
                now_us = round(answer.at_seconds * MICROSECONDS)
                part.go_on(answer, now_us)


def _end(parts: list[_Metric]) -> str:
    """The line of all metrics; the worst failure is raised with it."""
    failures = [part.failure for part in parts if part.failure is not None]
    if not failures:
        return "; ".join(part.end for part in parts)
    for part in parts:
        part.terminate()
    worst = max(failures, key=lambda failure: isinstance(failure, Abort))
    others = [part.end or str(part.failure) for part in parts if part.failure is not worst]
    raise type(worst)("; ".join((str(worst), *others)))
