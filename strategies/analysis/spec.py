"""What an AnalysisRun measures: its metrics, where their values come from, and Argo's rules between their settings.

Source: argo-rollouts `utils/analysis/factory.go` (ValidateMetric), `pkg/apis/rollouts/v1alpha1/analysis_types.go`
(EffectiveCount).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias

from strategies.effects import Ask, Program, PromQuery, Query
from strategies.metrics.conditions import Condition, Expression

AT_END: Final = ("hold", "repeat", "error")


class Phase(enum.StrEnum):
    """How a measurement, a metric or a run has ended; the later, the worse."""

    SUCCESSFUL = "Successful"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A provider that answers what is written here, in order; each AnalysisRun hears it from the beginning.

    An answer is a number, NaN, None (no data), a text, a list or a mapping as in JSON, or a `Phase`: that of a provider
    which decides by itself (a job, Kayenta) or could not measure (`Phase.ERROR`).
    """

    answers: tuple[Any, ...]
    seconds: float = 0.0  #: how long each measurement takes
    at_end: Literal["hold", "repeat", "error"] = "hold"  #: the last answer again, all of them again, or errors

    def __post_init__(self) -> None:
        if not self.answers:
            raise ValueError("a script must have at least one answer")
        if not 0 <= self.seconds < math.inf:
            raise ValueError(f"seconds must be 0 or more, got {self.seconds}")
        if self.at_end not in AT_END:
            raise ValueError(f"at_end must be one of {', '.join(AT_END)}, got {self.at_end!r}")

    def play(self) -> Iterator[Any]:
        """All its answers, without end."""
        yield from self.answers
        while True:
            match self.at_end:
                case "hold":
                    yield self.answers[-1]
                case "repeat":
                    yield from self.answers
                case "error":
                    yield Phase.ERROR


Source: TypeAlias = Query | PromQuery | Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of an AnalysisTemplate, with Argo's defaults; its own schedule and its own counters."""

    name: str
    query: Source
    interval_seconds: float | None = None  #: from the end of one measurement to the next; None: there is no next one
    initial_delay_seconds: float = 0.0
    count: int | None = None  #: measurements that end it; None: 1 without an interval, for ever with one
    failure_limit: int = 0  #: failed measurements that are tolerated; -1: any number
    inconclusive_limit: int = 0
    consecutive_error_limit: int = 4
    consecutive_success_limit: int = 0  #: successes in a row that end it and that success needs; 0: off
    success: Condition | Expression | None = None
    failure: Condition | Expression | None = None
    factor: float = 1.0  #: conditions of a typed query look at the measured value times this
    dry_run: bool = False  #: measured and told, and decides nothing

    def __post_init__(self) -> None:
        if self.interval_seconds is not None and not self.interval_seconds > 0:
            raise ValueError(f"metric {self.name!r}: interval_seconds must be above 0, got {self.interval_seconds}")
        if not self.initial_delay_seconds >= 0:
            raise ValueError(
                f"metric {self.name!r}: initial_delay_seconds must be 0 or more, got {self.initial_delay_seconds}"
            )
        if self.failure_limit < -1:
            raise ValueError(f"metric {self.name!r}: failure_limit must be -1 (off) or more, got {self.failure_limit}")
        for field in ("inconclusive_limit", "consecutive_error_limit", "consecutive_success_limit"):
            if getattr(self, field) < 0:
                raise ValueError(f"metric {self.name!r}: {field} must be 0 or more, got {getattr(self, field)}")
        if not 0 < self.factor < math.inf:
            raise ValueError(f"metric {self.name!r}: factor must be above 0, got {self.factor}")
        if self.count is not None:
            self._check_count(self.count)

    def _check_count(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"metric {self.name!r}: count must be 1 or more, got {count}")
        if count > 1 and self.interval_seconds is None:
            raise ValueError(f"metric {self.name!r}: count {count} needs an interval")
        for field in ("failure_limit", "inconclusive_limit"):
            if getattr(self, field) > count:
                raise ValueError(
                    f"metric {self.name!r}: count must be at least {field} {getattr(self, field)}, got {count}"
                )
        least = max(self.failure_limit, 0) + self.consecutive_success_limit
        if self.consecutive_success_limit and count < least:
            raise ValueError(
                f"metric {self.name!r}: count must be at least failure_limit + consecutive_success_limit ({least}), "
                f"got {count}"
            )

    @property
    def effective_count(self) -> int | None:
        """Measurements after which it is Successful; None: it runs until it is cancelled."""
        if self.count is None and self.interval_seconds is None:
            return 1
        return self.count

    @property
    def endless(self) -> bool:
        """Whether it never ends by itself while all is well."""
        return self.effective_count is None and not self.consecutive_success_limit


class Examiner(Protocol):
    """What may stand in the place of an `Analysis`: it raises `Abort` or `Inconclusive`, or returns what it found."""

    @property
    def name(self) -> str:
        """The name that traces show."""

    @property
    def queries(self) -> tuple[Ask, ...]:
        """What worlds must answer, each query once."""

    @property
    def endless(self) -> bool:
        """Whether it never ends by itself while all is well."""

    def program(self) -> Program:
        """A fresh run of it."""
