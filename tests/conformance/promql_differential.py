"""Random queries over random series, answered by this evaluator and by `promtool test rules`.

    PYTHONPATH=. python tests/conformance/promql_differential.py --seed 1 --cases 500
    PYTHONPATH=. python tests/conformance/promql_differential.py --seed 1 --cases 4000 --keep 300 promql_cases.yaml

Prints how many cases agreed, how many of them say something (an answer that is not empty), and how often each function
was in one of those. Ends with 1 on a difference, after cutting it down, and with 3 where promtool is not installed.
promtool 2.42 has windows that hold both their ends, so ours are evaluated by those rules.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from promql_grammar import Expr, Maker, world
from promql_oracle import MISSING, promtool, theirs
from promql_world import FAILED, Answer, Case, World, difference, ours

A_WORLD = 25  #: cases of one set of series
_WORDS = re.compile(
    r"[a-z_0-9]+(?=\(| by | without )|\b(?:and|or|unless|atan2|bool|offset|on|ignoring|group_left|group_right)\b|[@%^]|\[\d+s:"
)


@dataclass(frozen=True)
class Found:
    """One case with both answers."""

    world: World
    expr: Expr
    case: Case
    mine: Answer | str
    promtool: Answer | str

    @property
    def wrong(self) -> str:
        """What differs; nothing when they agree, or when only the choice among equals differs."""
        return "" if self.tie else difference(self.mine, self.promtool)

    @property
    def tie(self) -> bool:
        """Whether `topk` or `bottomk` has chosen others of the same value."""
        if (
            not re.search(r"topk|bottomk", self.case.expr)
            or isinstance(self.mine, str)
            or isinstance(self.promtool, str)
        ):
            return False
        return self.mine.keys() != self.promtool.keys() and sorted(self.mine.values()) == sorted(self.promtool.values())

    @property
    def says_something(self) -> bool:
        """Whether the answer is neither empty nor an error."""
        return self.promtool != FAILED and bool(self.promtool)


def run(seed: int, cases: int) -> Iterator[Found]:
    """Both answers to so many cases."""
    dice = random.Random(seed)
    while cases > 0:
        series = world(dice)
        maker = Maker(dice, series.interval_ms, len(series.series[0][1].split()))
        asked = dict((case, expr) for expr, case in (maker.case() for _ in range(min(cases, A_WORLD))))
        cases -= A_WORLD
        answers, store = theirs(series, list(asked)), series.store()
        for case, expr in asked.items():
            yield Found(series, expr, case, ours(store, case), answers[case])


def features(expr: str) -> set[str]:
    """The functions, aggregations and special words of a query."""
    return {"subquery" if word.startswith("[") else word for word in _WORDS.findall(expr)}


def smallest(found: Found) -> Found:
    """A part of the query over some of the series that still differs."""
    best = found
    for part in sorted({str(one): one for one in found.expr.smaller()}.values(), key=lambda one: len(str(one))):
        tried = _again(best.world, part, found.case.at_ms)
        if tried.wrong:
            best = tried
            break
    for row in best.world.series:
        fewer = World(best.world.interval_ms, tuple(other for other in best.world.series if other != row))
        if fewer.series and (tried := _again(fewer, best.expr, found.case.at_ms)).wrong:
            best = tried
    return best


def _again(series: World, expr: Expr, at_ms: int) -> Found:
    case = Case(str(expr), at_ms)
    return Found(series, expr, case, ours(series, case), theirs(series, [case])[case])


def report(found: list[Found]) -> int:
    """Print what was found; the number of differences."""
    wrong = [one for one in found if one.wrong]
    said = [one for one in found if one.says_something]
    refused = sum(one.promtool == FAILED for one in found)
    seen = Counter(word for one in said for word in features(one.case.expr))
    empty = len(found) - len(said) - refused
    print(f"{len(found)} cases: {len(said)} with an answer, {empty} empty, {refused} refused by both or one")
    print(f"{sum(one.tie for one in found)} times topk or bottomk chose another of equal series")
    print("in answers:", ", ".join(f"{word} {count}" for word, count in sorted(seen.items())))
    print(f"{len(wrong)} differences")
    for one in wrong[:5]:
        least = smallest(one)
        print(
            f"\n  {least.case.expr}\n  at {least.case.at_ms} ms, scrapes every {least.world.interval_ms} ms\n  {least.wrong}"
        )
        for labels, values in least.world.series:
            print(f"    {labels} {values}")
    return len(wrong)


def main(arguments: list[str]) -> int:
    """The program; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--keep", nargs=2, metavar=("N", "FILE"), help="write N cases with promtool's answers")
    options = parser.parse_args(arguments)
    if promtool() is None:
        print(MISSING, file=sys.stderr)
        return 3
    found = list(run(options.seed, options.cases))
    wrong = report(found)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
