"""The record of one drill: all that a table, a page, a journal or a program says of it, as plain values.

Everything that shows a drill is a function of its record, and the record stands whole in the journal: a drill can be
shown again on another machine years later. Times are scenario seconds since the rollout began where nothing else is
said; latencies are real seconds, for a response takes as long in a drill that is sped up.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import ConfigDict, Field, PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from chaos.evidence import Bin
from chaos.lags import KINDS as LAGS
from chaos.results import Lag
from chaos.timeline import NAMES, Moment, Timeline
from rolloutlab.result import plain
from scenarios.errors import Place, ScenarioError, dotted, one_line
from scenarios.outcome import COLUMNS

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SCHEMA: Final = 1
PASS, FAIL, INCONCLUSIVE, REFUSED = "pass", "fail", "inconclusive", "refused"
VERDICTS: Final = (PASS, FAIL, INCONCLUSIVE, REFUSED)
Word = Annotated[str, Field(max_length=200)]
Line = Annotated[str, Field(max_length=4000)]
Value = bool | int | float | str | None
_STRICT: Final = ConfigDict(extra="forbid")

#: What each moment of a timeline says, for a reader.
MOMENTS: Final[dict[str, str]] = {
    "t0": "the baseline was in order",
    "t1": "the fault was asked for",
    "t2": "the injector said that it was in place",
    "t3": "first bad response that a user of the bad revision saw",
    "t4": "first bad look of the strategy",
    "t5": "the decision",
    "t6": "last response of the bad revision",
    "t7": "the objective held again",
    "t8": "recovered and swept",
}
assert tuple(MOMENTS) == NAMES


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, and whether users felt it.

    Attributes:
        text: in words, `5 % of responses fail, on canary`.
        engine: what put it there, and `emulated` where it only looks like the real thing.
        injected: its injector said that it is in place.
        effect_verified: the traffic shows it; None where that does not apply.
        evidence: the numbers behind that.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    kind: Word
    on: Word
    text: Line
    engine: Word
    injected: bool
    effect_verified: bool | None
    evidence: Line = ""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened: an order of the strategy, a look, a weight that took effect, a fault, a decision.

    Attributes:
        kind: one of KINDS.
        value: of a weight, the share of traffic on the canary from then on (0..1).
        bad: of a look, whether it spoke against the release.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    at_seconds: float
    kind: Word
    text: Line
    value: float | None = None
    bad: bool | None = None


KINDS: Final = ("phase", "order", "weight", "pods", "look", "fault", "decision", "guard", "note")


@dataclass(frozen=True, slots=True)
class Check:
    """An expectation of the file, and what this drill says about it.

    Attributes:
        holds: `holds`, `fails` or `cannot say` (chaos.verdict.Says).
        reason: one sentence with the numbers.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    statistic: Word
    column: Word
    between: tuple[float, float]
    because: Line
    holds: Word
    reason: Line
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Where:
    """What was drilled, where, and how.

    Attributes:
        scenario, path, digest: name of the file, the file, and the SHA-256 of its content.
        routed: a router splits the traffic by weight.
        slo_seconds: a response that takes longer is bad.
        allowed_ratio: share of responses that may be bad by the objective (0..1).
        engine: processes and router in words, with what is emulated.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    scenario: Word
    variant: Word | None
    strategy: Word
    title: Line
    question: Line
    path: Line
    digest: Word
    world: Word
    engine: Line
    run_id: Word
    seed: int
    slo_seconds: float
    allowed_ratio: float
    facts: Annotated[tuple[Line, ...], Field(max_length=50)] = ()


def _timeline(told: Any) -> Timeline:
    if isinstance(told, Timeline):
        return told
    if not isinstance(told, Mapping):
        raise ValueError("expected the moments of a timeline")
    return Timeline.from_plain(told)


@dataclass(frozen=True, slots=True)
class Record:
    """One drill.

    Attributes:
        began_wall: unix seconds when the drill began (its preflight, not its rollout).
        rollout_wall: unix seconds at scenario time 0; of a drill without a rollout, those when it began.
        took_seconds: real seconds from there to the end of the sweep.
        outcome: of the rollout; empty when there was none.
        reasons: of the verdict, the weightiest first.
        row: the columns of the results (`scenarios.outcome.COLUMNS`), None where one does not apply.
        traffic: what users met, by stretches of time.
        load: what the load generator says of itself.
        left: what could not be swept.
        labels: what is not as in a cluster in real time; shown wherever a figure of the drill is.
        assumed: defaults that the scenario rests on.
        again: the command that gives such a drill again.
        lags: of pods, endpoints and router (`chaos.lags`); none in records of before they were measured.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    where: Where
    verdict: Word
    exit_code: int
    outcome: Word
    reasons: Annotated[tuple[Line, ...], Field(max_length=200)]
    timeline: Annotated[Timeline, PlainValidator(_timeline), PlainSerializer(Timeline.plain)]
    row: dict[Word, Value]
    faults: Annotated[tuple[Fault, ...], Field(max_length=100)]
    checks: Annotated[tuple[Check, ...], Field(max_length=1000)]
    steps: Annotated[tuple[Step, ...], Field(max_length=100_000)]
    traffic: Annotated[tuple[Bin, ...], Field(max_length=100_000)]
    began_wall: float
    rollout_wall: float
    took_seconds: float
    load: dict[Word, Value] = field(default_factory=dict)
    left: tuple[Line, ...] = ()
    labels: tuple[Line, ...] = ()
    warnings: tuple[Line, ...] = ()
    assumed: tuple[Line, ...] = ()
    again: Line = ""
    lags: Annotated[tuple[Lag, ...], Field(max_length=100_000)] = ()

    @property
    def name(self) -> str:
        """Scenario, variant and strategy in one name."""
        scenario = self.where.scenario + (f" / {self.where.variant}" if self.where.variant else "")
        return f"{scenario}, {self.where.strategy}"

    @property
    def speed(self) -> float:
        """Scenario seconds per real second."""
        return self.timeline.speed

    @property
    def sped_up(self) -> str:
        """The speed in words; empty for real time."""
        if self.speed == 1:
            return ""
        return f"sped up {self.speed:.3g}x" if self.speed > 1 else f"slowed down {1 / self.speed:.3g}x"

    def number(self, column: str) -> float:
        """A column as a number, NaN where it does not apply."""
        value = self.row.get(column)
        return math.nan if value is None or isinstance(value, str) else float(value)

    def moments(self) -> dict[str, Moment]:
        """The moments in scenario seconds since the rollout began."""
        return {name: self.timeline.scenario_seconds(one) for name, one in self.timeline.moments().items()}

    def of_kind(self, *kinds: str) -> list[Step]:
        """Steps of these kinds, in order."""
        return [step for step in self.steps if step.kind in kinds]

    def plain(self) -> dict[str, Any]:
        """As JSON holds it; numbers that do not exist are None."""
        found: dict[str, Any] = plain(_adapter().dump_python(self, mode="python"))
        return {"schema": SCHEMA, **found}


@functools.cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def from_plain(told: Any, place: Place) -> Record:
    """The record that `plain` told of.

    Args:
        told: from a file of anybody's.
        place: of that file, for errors.

    Raises:
        ScenarioError: it is no record, or one of another version.
    """
    if not isinstance(told, dict):
        raise ScenarioError(expected="the record of a drill", got=told, place=place)
    if told.get("schema") != SCHEMA:
        raise ScenarioError(expected=f"schema {SCHEMA}", got=told.get("schema"), place=place, field="schema")
    words = {name: value for name, value in told.items() if name != "schema"}
    try:
        record = _adapter().validate_python(words)
    except ValidationError as error:
        raise _first(error.errors(include_url=False)[0], place) from None
    if record.verdict not in VERDICTS:
        raise ScenarioError(
            f"unknown verdict {one_line(record.verdict)!r}", known=VERDICTS, place=place, field="verdict"
        )
    strange = next((name for name in record.row if name not in COLUMNS), None)
    if strange is not None:
        raise ScenarioError(f"unknown column {one_line(strange)!r}", known=COLUMNS, place=place, field="row")
    for number, lag in enumerate(record.lags):
        _check_lag(lag, place, f"lags[{number}]")
    return record


def _check_lag(lag: Lag, place: Place, field: str) -> None:
    if lag.kind not in LAGS:
        raise ScenarioError(f"unknown kind {one_line(lag.kind)!r}", known=LAGS, place=place, field=f"{field}.kind")
    if not (math.isfinite(lag.seconds) and 0 <= lag.wait_seconds < math.inf):
        raise ScenarioError(
            expected="finite seconds, and a wait of 0 or more", got=lag.seconds, place=place, field=field
        )


def _first(error: ErrorDetails, place: Place) -> ScenarioError:
    path = tuple(part for part in error["loc"] if isinstance(part, int) or not part.startswith("function-"))
    return ScenarioError(f"{error['msg']}, got {one_line(repr(error['input']), 80)}", field=dotted(path), place=place)
