"""Series and questions of the PromQL conformance: text that promtool reads, and the same in our store."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from strategies.metrics.promql import PROMETHEUS_2_42, PromqlError, Rules, Scalar, evaluate, parse
from strategies.metrics.series import SeriesStore

Answer = dict[tuple[tuple[str, str], ...], float]  #: label set -> value; a number is the one series without labels
FAILED = "error"  #: the answer of a query that is refused

_LABELS = r'\{(?:[\w]+="(?:[^"\\]|\\.)*"(?:, ?)?)*\}'
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_SAMPLE = re.compile(rf"({_LABELS}) (\S+?)(?:, |$)")


@dataclass(frozen=True)
class Case:
    """One query at one time."""

    expr: str
    at_ms: int


@dataclass(frozen=True)
class World:
    """Series on one grid: their label sets as text and their samples in promtool's notation, from time 0 on."""

    interval_ms: int
    series: tuple[tuple[str, str], ...]  #: `name{label="value"}` and `1 2 _ stale NaN`

    def store(self) -> SeriesStore:
        """The series as ours."""
        store = SeriesStore()
        for labels, text in self.series:
            values = text.split()
            marks = np.array([value == "stale" for value in values])
            there = np.array([value != "_" for value in values])
            numbers = [math.nan if value in ("_", "stale") else float(value) for value in values]
            times = np.arange(len(values)) * self.interval_ms
            store.add(read_labels(labels), times_ms=times, values=numbers, kept=there, stale=marks)
        return store


def read_labels(text: str) -> dict[str, str]:
    """`name{label="value"}` as a mapping."""
    name, _, rest = text.partition("{")
    labels = {key: _unquoted(value) for key, value in _LABEL.findall(rest)}
    return {"__name__": name, **labels} if name else labels


def read_samples(text: str) -> Answer:
    """`{a="b"} 1.5E+00, {a="c"} NaN` as an answer."""
    found: Answer = {}
    place = 0
    while place < len(text):
        match = _SAMPLE.match(text, place)
        if match is None:
            raise ValueError(f"cannot read the samples {text[place : place + 80]!r}")
        found[key(read_labels(match[1]))] = float(match[2].replace("Inf", "inf"))
        place = match.end()
    return found


def key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """A label set that can be compared."""
    return tuple(sorted(labels.items()))


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), text)


def ours(world: World | SeriesStore, case: Case, *, rules: Rules = PROMETHEUS_2_42) -> Answer | str:
    """Our answer to a case, by the rules of the promtool that answers it unless others are given."""
    store = world if isinstance(world, SeriesStore) else world.store()
    try:
        value = evaluate(parse(case.expr), store, np.array([case.at_ms]), rules=rules)
    except PromqlError:
        return FAILED
    if isinstance(value, Scalar):
        return {(): float(value.values[0])}
    return {key(labels): float(value.values[row, 0]) for row, labels in enumerate(value.labels) if value.kept[row, 0]}


def nudged(world: World, dice: random.Random) -> World:
    """The same world with every series scaled by a few units in the last place of its numbers.

    A whole series is scaled alike, so that what was equal stays equal and no counter falls.
    """
    rows = []
    for labels, text in world.series:
        times = 1 + dice.randint(-8, 8) * 2.0**-52
        values = text.split()
        rows.append((labels, " ".join(v if v in ("_", "stale") else repr(float(v) * times) for v in values)))
    return World(world.interval_ms, tuple(rows))


def on_the_last_bit(
    world: World, case: Case, theirs: Answer | str, *, rules: Rules = PROMETHEUS_2_42, draws: int = 20
) -> bool:
    """Whether our answer hangs on the last bit of the samples, and theirs is within what that bit decides.

    So does the remainder of a large number by a small one, where sums of samples in another order are another answer.
    """
    mine = ours(world, case, rules=rules)
    if isinstance(mine, str) or isinstance(theirs, str) or mine.keys() != theirs.keys():
        return False
    dice, reach = random.Random(case.expr), dict.fromkeys(mine, 0.0)
    for _ in range(draws):
        moved = ours(nudged(world, dice), case, rules=rules)
        if isinstance(moved, str) or moved.keys() != mine.keys():
            return False
        reach = {each: max(reach[each], abs(moved[each] - mine[each])) for each in mine}
    return all(same(mine[each], theirs[each], 1e-9) or abs(mine[each] - theirs[each]) <= reach[each] for each in mine)


def difference(mine: Answer | str, theirs: Answer | str, tolerance: float = 1e-9) -> str:
    """What differs between two answers, in words; nothing when they agree."""
    if isinstance(mine, str) or isinstance(theirs, str):
        return "" if mine == theirs else f"ours {_short(mine)}, promtool {_short(theirs)}"
    if mine.keys() != theirs.keys():
        return f"label sets: only ours {sorted(mine.keys() - theirs.keys())}, only promtool {sorted(theirs.keys() - mine.keys())}"
    wrong = [
        f"{dict(labels)}: ours {mine[labels]!r}, promtool {theirs[labels]!r}"
        for labels in mine
        if not same(mine[labels], theirs[labels], tolerance)
    ]
    return "; ".join(wrong)


def same(a: float, b: float, tolerance: float) -> bool:
    """Whether two numbers agree; NaN is NaN."""
    return (math.isnan(a) and math.isnan(b)) or a == b or math.isclose(a, b, rel_tol=tolerance, abs_tol=0.0)


def _short(answer: Answer | str) -> str:
    return answer if isinstance(answer, str) else f"{len(answer)} series {list(answer.items())[:3]}"
