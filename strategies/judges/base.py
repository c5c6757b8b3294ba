"""What every judge is: it sees cumulative counts, look by look, and says how much speaks against the canary.

A judge exists twice, and a contract (`strategies.judges.testing`) holds the two equal: `begin` starts one rollout's
`Session`, `paths` computes the statistic of many rollouts at once. The statistic is evidence against the canary, larger
is worse; a judge fails the canary at the first look whose statistic reaches `threshold`. It is minus infinity where a
judge has nothing to say: no traffic, no full window, a burn-in. That is never a pass.

Axes: R replications, T looks, and the four counts of a `Look` in their order.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

SILENT: Final = -math.inf  #: the statistic of a judge that has nothing to say
_SLACK_SECONDS: Final = 1e-9  #: looks are whole microseconds apart; sums of floats are not exact


class State(enum.StrEnum):
    """What a judge says; INCONCLUSIVE is too little data to say anything, CONTINUE is data without a decision."""

    CONTINUE = "continue"
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Look:
    """Counts since the judge began; they never fall."""

    at_seconds: float  #: since the judge began
    canary_requests: int
    canary_errors: int
    stable_requests: int
    stable_errors: int


NOTHING: Final = Look(0.0, 0, 0, 0, 0)  #: what every session has seen before its first look


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says after a look, and on which evidence."""

    state: State
    statistic: float
    threshold: float
    p_value: float | None  #: valid at every look at once where the judge is; None: the judge has none
    requests: int  #: canary requests it rests on
    needed: int | None  #: canary requests after which silence is a pass (or the first word possible); None: no number
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What the arithmetic of one judge makes of a look; `Session` turns it into a `Verdict`."""

    statistic: float
    reason: str
    p_value: float | None = None
    needed: int | None = None
    accepts: bool = False  #: the judge's own rule says that the canary is good


class Judge(Protocol):
    """A judge: its settings, and the two ways to run it."""

    @property
    def name(self) -> str:
        """The name in the registry."""

    @property
    def threshold(self) -> float:
        """It fails the canary at the first look whose statistic is at least this."""

    def begin(self) -> Session:
        """The judge of one rollout, which has seen nothing yet."""

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The statistic at every look of many rollouts.

        Args:
            at_seconds: shape [T], times of the looks since the judge began, ascending.
            counts: shape [R, T, 4], cumulative counts in the order of `Look`.

        Returns:
            shape [R, T]; minus infinity where it says nothing, and after it passed the canary.
        """


@dataclass(slots=True)
class Session:
    """One rollout before one judge: takes looks, gives verdicts. PASS and FAIL are final.

    Raises (in `update`): ValueError when counts or the time fall, or when a revision failed more than it was asked.
    """

    threshold: float
    read: Callable[[Look], Reading]
    enough: int | None = None  #: canary requests after which silence is a pass
    last: Look = NOTHING
    final: Verdict | None = field(default=None)

    def update(self, look: Look) -> Verdict:
        """The verdict after one more look."""
        check(look, self.last)
        self.last = look
        if self.final is not None:
            return self.final
        reading = self.read(look)
        state = self._state(reading, look)
        needed = reading.needed if reading.needed is not None else self.enough
        reason = reading.reason
        if state is State.PASS and not reading.accepts:
            reason = f"no alarm in {look.canary_requests:,} canary requests, {self.enough:,} were asked for; {reason}"
        verdict = Verdict(
            state, reading.statistic, self.threshold, reading.p_value, look.canary_requests, needed, reason
        )
        if state is State.PASS or state is State.FAIL:
            self.final = verdict
        return verdict

    def _state(self, reading: Reading, look: Look) -> State:
        if reading.statistic == SILENT:
            return State.INCONCLUSIVE
        if reading.statistic >= self.threshold:
            return State.FAIL
        if reading.accepts or (self.enough is not None and look.canary_requests >= self.enough):
            return State.PASS
        return State.CONTINUE


@dataclass(frozen=True, slots=True)
class Matched:
    """A judge with another threshold, such as the one that gives it the false-positive rate of another judge."""

    judge: Judge
    threshold: float

    @property
    def name(self) -> str:
        """The name of the judge."""
        return self.judge.name

    def begin(self) -> Session:
        """The judge of one rollout."""
        session = self.judge.begin()
        session.threshold = self.threshold
        return session

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        """The judge's statistic, which does not depend on the threshold."""
        return self.judge.paths(at_seconds, counts)


def matched(judge: Judge, threshold: float) -> Judge:
    """The same judge, failing the canary at another threshold; its p-values and reasons still name its own alpha."""
    if math.isnan(threshold):
        raise ValueError("threshold must be a number, got nan")
    return Matched(judge, threshold)


def check(look: Look, before: Look) -> None:
    """ValueError unless `look` may follow `before`."""
    if (
        look.at_seconds >= before.at_seconds
        and before.canary_requests <= look.canary_requests >= look.canary_errors >= before.canary_errors
        and before.stable_requests <= look.stable_requests >= look.stable_errors >= before.stable_errors
    ):
        return
    for name in ("at_seconds", "canary_requests", "canary_errors", "stable_requests", "stable_errors"):
        now, was = getattr(look, name), getattr(before, name)
        if not now >= was:
            raise ValueError(f"{name} must not fall (counts are since the judge began), got {now} after {was}")
    for arm in ("canary", "stable"):
        errors, requests = getattr(look, f"{arm}_errors"), getattr(look, f"{arm}_requests")
        if errors > requests:
            raise ValueError(f"{arm}_errors must be at most {arm}_requests, got {errors} of {requests}")


def check_paths(at_seconds: FloatArray, counts: IntArray) -> None:
    """ValueError unless these are paths as `Judge.paths` takes them."""
    if counts.ndim != 3 or counts.shape[2] != 4 or at_seconds.shape != counts.shape[1:2]:
        raise ValueError(
            f"expected times of shape [T] and counts of shape [R, T, 4], got {at_seconds.shape} and {counts.shape}"
        )
    if at_seconds.size and (at_seconds[0] < 0 or np.any(np.diff(at_seconds) < 0)):
        raise ValueError("at_seconds must ascend from 0 or more")
    if counts.size and (counts[:, 0].min() < 0 or np.any(counts[:, 1:] < counts[:, :-1])):
        raise ValueError("counts are cumulative and must not fall along the looks")
    if np.any(counts[:, :, 1::2] > counts[:, :, ::2]):
        raise ValueError("errors must be at most requests")


def silence_after(statistic: FloatArray, passed: BoolArray) -> FloatArray:
    """The statistic, shape [R, T], with silence after the first look that passed the canary (in place)."""
    gone = np.logical_or.accumulate(passed[:, :-1], axis=1)
    statistic[:, 1:][gone] = SILENT
    return statistic


def stop_at(statistic: FloatArray, counts: IntArray, enough: int | None) -> FloatArray:
    """The statistic, shape [R, T], with silence after the look that saw enough canary requests (in place)."""
    if enough is None:
        return statistic
    return silence_after(statistic, (counts[:, :, 0] >= enough) & (statistic > SILENT))


def due(at_seconds: float, before_seconds: float, every_seconds: float | None) -> bool:
    """Whether an evaluation falls due between two looks; evaluations lie on multiples of the interval."""
    if every_seconds is None:
        return True
    now, before = ((at + _SLACK_SECONDS) // every_seconds for at in (at_seconds, before_seconds))
    return now > before


def due_looks(at_seconds: FloatArray, every_seconds: float | None) -> IntArray:
    """The looks at which an evaluation falls due, as indices into the looks; shape [E]."""
    if every_seconds is None:
        return np.arange(at_seconds.size)
    steps = np.floor_divide(at_seconds + _SLACK_SECONDS, every_seconds)
    return np.flatnonzero(np.diff(steps, prepend=0.0) > 0)


def hold(values: FloatArray, looks: IntArray, length: int) -> FloatArray:
    """Values at some looks, shape [R, E], held until the next of them: shape [R, length], silent before the first."""
    held = np.full((values.shape[0], length), SILENT)
    if looks.size:
        last = np.searchsorted(looks, np.arange(looks[0], length), side="right") - 1
        held[:, looks[0] :] = values[:, last]
    return held


def check_alpha(alpha: float) -> None:
    """ValueError unless alpha lies between 0 and 1."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")


def check_rates(p0: float, p1: float) -> None:
    """ValueError unless 0 < p0 < p1 < 1."""
    if not 0 < p0 < p1 < 1:
        raise ValueError(f"expected 0 < p0 < p1 < 1, got p0 {p0} and p1 {p1}")


def check_enough(enough: int | None) -> None:
    """ValueError unless `enough` is None or a number of requests."""
    if enough is not None and enough < 1:
        raise ValueError(f"enough must be 1 canary request or more, got {enough}")


def tally(look: Look) -> str:
    """The counts in words.

    >>> tally(Look(60.0, 312, 16, 2800, 88))
    '16 failures in 312 canary requests against 88 in 2,800'
    """
    failures = "failure" if look.canary_errors == 1 else "failures"
    return (
        f"{look.canary_errors:,} {failures} in {look.canary_requests:,} canary requests "
        f"against {look.stable_errors:,} in {look.stable_requests:,}"
    )


def compared(p_value: float, alpha: float) -> str:
    """A p-value beside its line.

    >>> compared(0.0042, 0.01)
    'p = 0.0042 <= 0.01'
    """
    return f"p = {p_value:.2g} {'<=' if p_value <= alpha else '>'} {alpha:g}"
