"""Random queries over random series, answered by this evaluator and by `promtool test rules`.

    PYTHONPATH=. python tests/conformance/promql_differential.py --seed 1 --cases 500
    PYTHONPATH=. python tests/conformance/promql_differential.py --seed 1 --cases 4000 --keep 300 promql_cases.yaml
    PYTHONPATH=. python tests/conformance/promql_differential.py --seed 1 --cases 500 --engine ./engine

Prints how many cases agreed, how many of them say something (an answer that is not empty), and how often each function
was in one of those. Ends with 1 on a difference, after cutting it down, and with 3 where promtool is not installed.

promtool 2.42 has windows that hold both their ends, so ours are evaluated by its rules. The rules that users get are
those of Prometheus 3: `--engine` asks its engine instead (`prometheus_engine.go` says how to build the program).

Prometheus adds series up in an order that changes from run to run: where a comparison hangs on the last bit of such a
sum, or `topk` has equals to choose from, it disagrees with itself. A case that differs is therefore put to it again, and
agrees if one of its answers is ours; such cases are counted. So are those whose answer hangs on the last bit of a sum
that both sides add up in an order of their own, as the remainder of a large number by a small one does: our answer has
to move as far when the samples move by a few units in the last place.
"""

# ruff: noqa: T201 - a program prints
from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from promql_cases import dump
from promql_grammar import Expr, Maker
from promql_oracle import MISSING, PROMTOOL, Oracle, engine, promtool
from promql_random_series import world
from promql_world import FAILED, Answer, Case, World, difference, on_the_last_bit, ours

from strategies.metrics.promql import PROMETHEUS_2_42, PROMETHEUS_3, Rules
from strategies.metrics.promql.parse import KNOWN

CASES_OF_A_WORLD = 25
AGAIN = 25  #: times that a case which differs is asked again
WORDS = (
    *KNOWN,
    "and",
    "or",
    "unless",
    "atan2",
    "bool",
    "offset",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "by",
    "without",
)


@dataclass(frozen=True)
class Found:
    """One case with both answers."""

    world: World
    expr: Expr
    case: Case
    mine: Answer | str
    theirs: Answer | str
    oracle: Oracle = PROMTOOL
    asked: int = 1  #: how often promtool was asked until it agreed
    on_a_bit: bool = False  #: the answers differ by what the last bit of the samples decides

    @property
    def wrong(self) -> str:
        """What differs; nothing when they agree, as far as the samples say."""
        return "" if self.on_a_bit else difference(self.mine, self.theirs)

    @property
    def says_something(self) -> bool:
        """Whether the answer is neither empty nor an error."""
        return self.theirs != FAILED and bool(self.theirs)


def run(seed: int, cases: int, oracle: Oracle = PROMTOOL) -> Iterator[Found]:
    """Both answers to so many cases."""
    dice = random.Random(seed)
    while cases > 0:
        series = world(dice)
        maker = Maker(dice, series.interval_ms, len(series.series[0][1].split()))
        asked = {case: expr for expr, case in (maker.case() for _ in range(min(cases, CASES_OF_A_WORLD)))}
        cases -= CASES_OF_A_WORLD
        answers, store = oracle.ask(series, list(asked)), series.store()
        for case, expr in asked.items():
            found = Found(series, expr, case, ours(store, case, rules=oracle.rules), answers[case], oracle)
            yield _again(found) if found.wrong else found


def _again(found: Found) -> Found:
    """The case with the first answer of promtool that agrees; with its last one when none does."""
    if on_the_last_bit(found.world, found.case, found.theirs, rules=found.oracle.rules):
        return replace(found, on_a_bit=True)
    for asked in range(2, AGAIN + 2):
        answer = found.oracle.ask(found.world, [found.case])[found.case]
        found = replace(found, theirs=answer, asked=asked)
        if not found.wrong:
            break
    return found


def features(expr: str) -> set[str]:
    """The functions, operators and special words of a query."""
    bare = re.sub(r'"[^"]*"', "", expr)
    found = {word for word in WORDS if re.search(rf"\b{word}\b(?! *[\",=])", bare)}
    found |= {sign for sign in "@%^+*/" if sign in bare} | {"-" for _ in re.findall(r" - ", bare)[:1]}
    return found | {"subquery" for _ in re.findall(r"\[\w+:", bare)[:1]}


def smallest(found: Found) -> Found:
    """A part of the query over some of the series that still differs."""
    best = found
    for part in sorted({str(one): one for one in found.expr.smaller()}.values(), key=lambda one: len(str(one))):
        tried = _ask(best, best.world, part)
        if tried.wrong:
            best = tried
            break
    for row in best.world.series:
        fewer = World(best.world.interval_ms, tuple(other for other in best.world.series if other != row))
        if fewer.series and (tried := _ask(best, fewer, best.expr)).wrong:
            best = tried
    return best


def _ask(best: Found, series: World, expr: Expr) -> Found:
    case, oracle = Case(str(expr), best.case.at_ms), best.oracle
    mine = ours(series, case, rules=oracle.rules)
    found = Found(series, expr, case, mine, oracle.ask(series, [case])[case], oracle)
    return _again(found) if found.wrong else found


def report(found: Sequence[Found]) -> int:
    """Print what was found; the number of differences."""
    wrong = [one for one in found if one.wrong]
    said = [one for one in found if one.says_something]
    refused = sum(one.theirs == FAILED for one in found)
    seen = Counter(word for one in said for word in features(one.case.expr))
    print(
        f"{len(found)} cases: {len(said)} with an answer, {len(found) - len(said) - refused} empty, {refused} refused"
    )
    print(f"{sum(one.asked > 1 and not one.wrong for one in found)} in which Prometheus disagrees with itself")
    print(f"{sum(one.on_a_bit for one in found)} in which the last bit of the samples decides")
    print("in answers:", ", ".join(f"{word} {count}" for word, count in sorted(seen.items())))
    print(f"{len(wrong)} differences")
    for one in wrong[:5]:
        least = smallest(one)
        print(f"\n  {least.case.expr}\n  at {least.case.at_ms} ms, a scrape every {least.world.interval_ms} ms")
        print(f"  {least.wrong}")
        for labels, values in least.world.series:
            print(f"    {labels} {values}")
    return len(wrong)


def kept(found: Sequence[Found], count: int) -> list[Found]:
    """So many cases to keep: of as few worlds as will do, nine in ten with an answer, every function and rule among them."""
    sure = [one for one in found if one.asked == 1 and not one.on_a_bit and not one.wrong]
    said = [one for one in sure if one.says_something]
    rest = [one for one in sure if not one.says_something]
    chosen = said[: count * 9 // 10] + rest[: count // 10]
    seen = Counter(word for one in chosen for word in features(one.case.expr) if one.says_something)
    for one in said:
        words = features(one.case.expr)
        if any(seen[word] < 3 for word in words) and one not in chosen:
            chosen.append(one)
            seen.update(words)
    for name in rules_of_versions():
        telling = [one for one in sure if one not in chosen and tells(one, name)]
        chosen += telling[: max(0, 3 - sum(tells(one, name) for one in chosen))]
    return chosen


def rules_of_versions() -> list[str]:
    """The rules in which versions of Prometheus differ."""
    return [
        each.name for each in fields(Rules) if getattr(PROMETHEUS_3, each.name) != getattr(PROMETHEUS_2_42, each.name)
    ]


def tells(found: Found, name: str) -> bool:
    """Whether a case would differ by the other version's rule of this name."""
    rules = found.oracle.rules
    other = PROMETHEUS_2_42 if rules == PROMETHEUS_3 else PROMETHEUS_3
    changed = replace(rules, **{name: getattr(other, name)})
    return bool(difference(ours(found.world, found.case, rules=changed), found.theirs))


def main(arguments: list[str]) -> int:
    """The program; its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--keep", nargs=2, metavar=("N", "FILE"), help="write about N cases with Prometheus' answers")
    parser.add_argument("--engine", metavar="PROGRAM", help="ask this program instead of promtool")
    options = parser.parse_args(arguments)
    if options.engine is None and promtool() is None:
        print(MISSING, file=sys.stderr)
        return 3
    oracle = PROMTOOL if options.engine is None else engine(options.engine)
    found = list(run(options.seed, options.cases, oracle))
    wrong = report(found)
    if options.keep and not wrong:
        chosen = kept(found, int(options.keep[0]))
        made_by = f"--seed {options.seed} --cases {options.cases} --keep {options.keep[0]}"
        made_by += f" {options.keep[1]}" + (" --engine ./engine" if options.engine else "")
        cases = [(one.world, one.case, one.theirs) for one in chosen]
        dump(Path(options.keep[1]), cases, answered_by=oracle.name, options=made_by)
        print(f"kept {len(chosen)} cases in {options.keep[1]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
