"""What a comparison comes to: which releases each strategy stops, which it takes back for nothing, whom it hurts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rolloutlab import text
from rolloutlab.question import Question
from rolloutlab.result import Result
from sim import intervals
from sim.intervals import Interval
from sim.results import OUTCOMES, Cell, paired

_TELLING_PERCENT: Final = 50.0  #: an upper bound above it says nothing
_NEARLY_ALWAYS: Final = 0.99  #: a share above it is no matter of "most often"


@dataclass(frozen=True)
class Right:
    """How often one strategy did what it should in one world.

    Attributes:
        false_rollback: share of the good releases that it took back; NaN when no release was good.
        missed: share of the bad releases that it promoted; NaN when none was bad.
        good, bad: replications of each.
    """

    cell: Cell
    question: Question
    false_rollback: Interval
    missed: Interval
    good: int
    bad: int


def judged(result: Result) -> list[Right]:
    """One line a cell. A release is bad when its faults sit in the new revision; faults in the old make it a fix."""
    questions = {(question.name, question.variant): question for question in result.questions}
    return [_judged(cell, questions[cell.scenario, cell.variant]) for cell in result.cells]


def _judged(cell: Cell, question: Question) -> Right:
    outcome = np.asarray(cell.columns["outcome"])
    faulty = question.harm in ("canary", "both")
    is_bad = np.asarray(cell.columns["release_bad"], dtype=bool) & faulty
    bad = int(is_bad.sum())
    rolled = int((outcome[~is_bad] == OUTCOMES.index("rolled_back")).sum())
    promoted = int((outcome[is_bad] == OUTCOMES.index("promoted")).sum())
    return Right(
        cell,
        question,
        intervals.wilson(rolled, cell.runs - bad),
        intervals.wilson(promoted, bad),
        cell.runs - bad,
        bad,
    )


def share(value: Interval, n: int) -> str:
    """A share as text."""
    return text.share({"share": value.value, "lo": value.lo, "hi": value.hi}, n)


def worlds_bad(result: Result) -> list[Question]:
    """The questions in which the release is bad."""
    return [question for question in result.questions if question.harm in ("canary", "both")]


def mean_harm(result: Result, strategy: str, questions: Sequence[Question]) -> float:
    """Mean bad requests of a strategy over some worlds, each world weighing the same; NaN where a cell is missing."""
    found = []
    for question in questions:
        cells = [one for one in result.cells if _is(one, question) and one.strategy == strategy]
        found.append(cells[0].mean("bad_requests").value if cells else math.nan)
    return float(np.mean(found)) if found else math.nan


def _is(cell: Cell, question: Question) -> bool:
    return (cell.scenario, cell.variant) == (question.name, question.variant)


def best(result: Result) -> tuple[str, str] | None:
    """The strategies that hurt least and most over all worlds (all of equal weight); None when there is no choice."""
    names = list(dict.fromkeys(cell.strategy for cell in result.cells))
    harms = {name: mean_harm(result, name, result.questions) for name in names}
    ranked = sorted((harm, name) for name, harm in harms.items() if math.isfinite(harm))
    return (ranked[0][1], ranked[-1][1]) if len(ranked) > 1 else None


def sentences(result: Result) -> list[str]:
    """The decision first, then what it rests on and what it costs; plain words with numbers."""
    if result.interrupted:
        return [f"No decision: {result.stopped}."]
    chosen = best(result)
    if chosen is None:
        return _alone(result)
    least, most = chosen
    where = f"over the {len(result.questions)} worlds" if len(result.questions) > 1 else "here"
    a, b = (mean_harm(result, name, result.questions) for name in chosen)
    if not _differ(result, least, most):
        return [f"No detectable difference in bad requests between the strategies {where}.", *_rights(result, least)]
    ratio = f", {b / a:,.0f} times as many" if a > 0 and b / a >= 2 else ""
    first = (
        f"Choose {least}: {where} it gives users the fewest bad requests, {text.count(a)} a release on average; "
        f"{most} gives the most, {text.count(b)}{ratio}."
    )
    close = _no_difference(result, least)
    more = [f"{' and '.join(close)} cannot be told from it at this number of replications."] if close else []
    return [first, *more, *_rights(result, least)]


def _alone(result: Result) -> list[str]:
    names = list(dict.fromkeys(cell.strategy for cell in result.cells))
    return _rights(result, names[0], names[0].capitalize()) if len(names) == 1 else []


def _rights(result: Result, strategy: str, who: str = "It") -> list[str]:
    """How the strategy treats bad and good releases, and how long a good one takes."""
    mine = [right for right in judged(result) if right.cell.strategy == strategy]
    bad = [right for right in mine if right.bad]
    good = [right for right in mine if right.good]
    found = []
    if bad:
        found.append(_misses(bad, who))
    for right in good[:1]:
        duration = right.cell.summary()["metrics"]["duration_seconds"]
        takes = f", and has it out in {text.seconds(duration['p50'])} (median)" if duration["n"] else ""
        found.append(f"{who} takes a good release back in {share(right.false_rollback, right.good)} of cases{takes}.")
    return found


def _misses(bad: Sequence[Right], who: str) -> str:
    """How often bad releases are promoted: where it is worst, or how rare it must be where it was never seen."""
    worst = max(bad, key=lambda right: right.missed.value)
    if worst.missed.value == 0:
        fewest = min(right.bad for right in bad)
        limit = 300 / fewest  # per cent, the rule of three
        known = f"below {limit:.2g} %{' in each' if len(bad) > 1 else ''}"
        if limit > _TELLING_PERCENT:
            known = f"{fewest} replication{' is' if fewest == 1 else 's are'} too few to say more"
        if len(bad) == 1:
            return f"{who} never promotes the bad release ({known})."
        return f"{who} promotes a bad release in none of {len(bad)} worlds ({known})."
    if len(bad) == 1:
        return f"{who} promotes the bad release in {share(worst.missed, worst.bad)}."
    if worst.missed.value < _NEARLY_ALWAYS:
        return f"{who} promotes a bad release most often in {_named(worst)}: {share(worst.missed, worst.bad)}."
    names = [_named(right) for right in bad if right.missed.value == worst.missed.value]
    return f"{who} promotes the bad release of {' and '.join(names)} in {share(worst.missed, worst.bad)} of cases."


def _named(right: Right) -> str:
    """A world by its scenario, and its variant where it is one."""
    question = right.question
    return f"{question.name} / {question.variant}" if question.variant else question.name


def _differ(result: Result, one: str, other: str) -> bool:
    """Whether the paired difference of bad requests has a sign in any world."""
    cells = [cell for cell in result.cells if cell.strategy in (one, other)]
    found = [pair for pair in paired(cells, "bad_requests") if pair.strategy != pair.minus]
    return any(not pair.lo <= 0 <= pair.hi for pair in found)


def _no_difference(result: Result, least: str) -> list[str]:
    names = dict.fromkeys(cell.strategy for cell in result.cells)
    return [name for name in names if name != least and not _differ(result, least, name)]
