"""Pass, fail or inconclusive: what one drill, or a few of them, say about what its scenario expects.

A drill is one draw. So an expectation is held against it as far as one draw can speak:

* a share (`outcome=rolled_back` between 95 % and 100 %) fails when what was seen has a probability of at most
  `SURPRISE` under every share that is allowed; where it has more, one drill says nothing against it;
* a mean or quantile is held against the measured value itself, with the bounds of its measurement: it fails when the
  whole interval lies outside;
* columns that count until the horizon are not checked by a drill that ended before it.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scipy import special

from scenarios.schema import Expectation

SURPRISE: Final = 0.05
#: columns whose meaning includes "until the horizon"
UNTIL_HORIZON: Final = (
    "failed_requests", "slow_requests", "bad_requests", "users_exposed", "pod_hours", "infrastructure_usd",
    "extra_infrastructure_usd", "outage_usd", "total_usd", "error_budget_seconds",
)  # fmt: skip
#: columns and outcomes that presuppose a fault
_OF_A_FAULT: Final = ("decision_seconds", "detection_seconds", "rollback_seconds", "exposure_seconds", "users_exposed")
_TAKEN_BACK: Final = ("rolled_back", "stalled")


class Says(enum.StrEnum):
    """What a drill says about an expectation."""

    YES = "holds"
    NO = "fails"
    NOTHING = "cannot say"


class Word(enum.StrEnum):
    """The verdict."""

    PASS = "pass"
    FAIL = "fail"
    REFUSED = "refused"
    INCONCLUSIVE = "inconclusive"


EXIT_CODES: Final = {Word.PASS: 0, Word.FAIL: 1, Word.REFUSED: 3, Word.INCONCLUSIVE: 5}


@dataclass(frozen=True, slots=True)
class Check:
    """An expectation and what the drill says about it."""

    expectation: Expectation
    says: Says
    reason: str
    value: float | None = None
    lo: float | None = None
    hi: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a drill comes to; `reasons` begins with what decided."""

    word: Word
    reasons: tuple[str, ...]
    checks: tuple[Check, ...] = ()

    @property
    def exit_code(self) -> int:
        """Of a command that reports this verdict."""
        return EXIT_CODES[self.word]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A value of one drill with its bounds; `hi` is infinite where the drill stopped looking before (censored)."""

    value: float
    lo: float
    hi: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a verdict rests on.

    Attributes:
        outcome: how the rollout ended; empty when it did not.
        measured: columns that have a value.
        whole: the drill lasted until the horizon, so that columns that count until then mean what they say.
        effects: for each fault, whether it was seen to act, and the reason.
        harm: where faults sit: "canary", "stable", "both", or "" without one.
        problems: why it was refused.
        failure: why it could not go on; `stopped`: who or what stopped the rollout.
        doubts: why its measurements are not to be trusted.
    """

    outcome: str
    measured: Mapping[str, Measurement]
    whole: bool
    expectations: Sequence[Expectation]
    effects: Sequence[tuple[bool, str]] = ()
    harm: str = ""
    problems: Sequence[str] = ()
    failure: str = ""
    stopped: str = ""
    doubts: Sequence[str] = ()


def judge(facts: Facts) -> Verdict:
    """The verdict of one drill."""
    checks = tuple(check(each, [facts]) for each in facts.expectations)
    if facts.problems:
        return Verdict(Word.REFUSED, tuple(facts.problems))
    unseen = [reason for bit, reason in facts.effects if not bit]
    doubts = [
        *([f"the rollout was stopped: {facts.stopped}"] if facts.stopped else []),
        *([facts.failure] if facts.failure else []),
        *facts.doubts,
        *(f"the fault was not seen to act: {reason}" for reason in unseen),
    ]
    if doubts:
        return Verdict(Word.INCONCLUSIVE, tuple(doubts), checks)
    if not facts.effects and (needs := [each for each in facts.expectations if of_a_fault(each)]):
        first = needs[0]
        what = f"{first.statistic} of {first.column}"
        return Verdict(Word.INCONCLUSIVE, (f"no fault acted, and the scenario expects one: {what}",), checks)
    return _by_checks(facts, checks)


def _by_checks(facts: Facts, checks: tuple[Check, ...]) -> Verdict:
    broken = [each.reason for each in checks if each.says is Says.NO]
    if broken:
        return Verdict(Word.FAIL, tuple(broken), checks)
    kept = [each.reason for each in checks if each.says is Says.YES]
    if kept:
        return Verdict(Word.PASS, tuple(kept), checks)
    if checks:
        reasons = ("none of the expectations can be checked by this drill", *(each.reason for each in checks))
        return Verdict(Word.INCONCLUSIVE, reasons, checks)
    return _by_default(facts)


def _by_default(facts: Facts) -> Verdict:
    """A scenario that expects nothing of this strategy: good releases are promoted, bad ones are not."""
    outcome = facts.outcome or "no end"
    if not facts.outcome:
        return Verdict(Word.INCONCLUSIVE, ("the rollout did not end while the drill looked",))
    if facts.harm == "canary":
        right, rule = facts.outcome in _TAKEN_BACK, "a release with a fault should not be promoted"
    else:
        right, rule = facts.outcome == "promoted", "a release without a fault of its own should be promoted"
    reason = f"{outcome}; the scenario expects nothing of this strategy, so: {rule}"
    return Verdict(Word.PASS if right else Word.FAIL, (reason,))


def of_a_fault(expectation: Expectation) -> bool:
    """Whether an expectation presupposes a fault."""
    column, _, outcome = expectation.column.partition("=")
    if column in _OF_A_FAULT:
        return True
    return outcome in _TAKEN_BACK and expectation.between[0] >= 0.5


# --- one expectation ---------------------------------------------------------------------------------------------


def check(expectation: Expectation, drills: Sequence[Facts]) -> Check:
    """Hold an expectation against one drill or more of the same cell."""
    column, _, outcome = expectation.column.partition("=")
    if expectation.statistic == "share" or outcome:
        return _share(expectation, outcome, drills)
    if column in UNTIL_HORIZON and not all(each.whole for each in drills):
        return Check(
            expectation, Says.NOTHING, f"{_what(expectation)}: counts until the horizon, the drill ended before it"
        )
    values = [each.measured[column] for each in drills if column in each.measured]
    if not values:
        return Check(expectation, Says.NOTHING, f"{_what(expectation)}: no drill has a value")
    return _value(expectation, values)


def _share(expectation: Expectation, outcome: str, drills: Sequence[Facts]) -> Check:
    low, high = expectation.between
    if not outcome:
        return Check(expectation, Says.NOTHING, f"{_what(expectation)}: a drill draws no share of {expectation.column}")
    ended = [each for each in drills if each.outcome]
    count, n = sum(each.outcome == outcome for each in ended), len(ended)
    if not n:
        return Check(expectation, Says.NOTHING, f"{_what(expectation)}: no rollout ended")
    # under the allowed share that is nearest to what was seen
    rare = 1.0
    if count / n < low:
        rare = float(special.bdtr(count, n, low))
    elif count / n > high:
        rare = float(special.bdtrc(count - 1, n, high)) if count else 1.0
    seen = f"{count} of {n} drills ended {outcome}"
    wanted = f"expected a share of {low:g} to {high:g}"
    if rare <= SURPRISE * (1 + 1e-9):
        text = f"{seen}; {wanted}, which makes that a chance of {rare:.2g} or less"
        return Check(expectation, Says.NO, text, count / n)
    if rare < 1.0:
        return Check(expectation, Says.NOTHING, f"{seen}; {wanted}: too few drills to say", count / n)
    return Check(expectation, Says.YES, f"{seen}; {wanted}", count / n)


_QUANTILES: Final = {"p50": 0.5, "p90": 0.9}


def _value(expectation: Expectation, values: Sequence[Measurement]) -> Check:
    low, high = expectation.between
    statistic = _QUANTILES.get(expectation.statistic)
    value, least, most = (
        _statistic([getattr(each, name) for each in values], statistic) for name in ("value", "lo", "hi")
    )
    text = f"{_what(expectation)}: {value:.6g}" if math.isfinite(value) else f"{_what(expectation)}: above {least:.6g}"
    text += f" (measured between {least:.6g} and {most:.6g})" if math.isfinite(most) and least < most else ""
    text += f"; expected {low:g} to {high:g}"
    if most < low or least > high:
        says = Says.NO
    elif math.isfinite(value) and low <= value <= high:
        says = Says.YES
    else:
        says, text = Says.NOTHING, f"{text}: the measurement is not sharp enough to say"
    return Check(expectation, says, text, value, least, most)


def _statistic(values: list[float], quantile: float | None) -> float:
    if quantile is None:
        return math.fsum(values) / len(values)
    ordered = sorted(values, key=lambda value: (math.isnan(value), value))
    place = quantile * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below if below == above else below + (above - below) * (place - math.floor(place))


def _what(expectation: Expectation) -> str:
    return f"{expectation.statistic} of {expectation.column}"


def plain(verdict: Verdict) -> dict[str, Any]:
    """As JSON holds it."""
    return {
        "verdict": verdict.word.value,
        "exit_code": verdict.exit_code,
        "reasons": list(verdict.reasons),
        "checks": [
            {
                "statistic": each.expectation.statistic,
                "column": each.expectation.column,
                "between": list(each.expectation.between),
                "says": each.says.value,
                "reason": each.reason,
                "value": _finite(each.value),
                "lo": _finite(each.lo),
                "hi": _finite(each.hi),
            }
            for each in verdict.checks
        ],
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
