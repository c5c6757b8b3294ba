"""Random queries over everything that the evaluator supports."""

from __future__ import annotations

import random
from dataclasses import dataclass

from promql_world import Case

FAMILIES = {
    "hits": ("pod", "code"),
    "mem": ("pod",),
    "lat_bucket": ("pod", "le"),
    "info": ("pod", "version"),
    "conf": (),
}
OVER_TIME = ("avg", "min", "max", "sum", "count", "last", "present", "stddev", "stdvar")
WINDOWED = (
    "rate",
    "irate",
    "increase",
    "delta",
    "idelta",
    "deriv",
    "resets",
    "changes",
    *(f"{name}_over_time" for name in OVER_TIME),
)
NUMERIC = ("abs", "ceil", "floor", "round", "ln", "log2", "log10", "exp", "sqrt", "sgn")
REDUCERS = ("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")
ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class Expr:
    """A query as a template with parts, so that a failing one can be cut down."""

    template: str
    parts: tuple[Expr, ...] = ()
    kind: str = "vector"

    def __str__(self) -> str:
        return self.template.format(*self.parts)

    def smaller(self) -> list[Expr]:
        """The parts that are queries themselves, and theirs."""
        own = [part for part in self.parts if part.kind in ("vector", "scalar")]
        return own + [below for part in self.parts for below in part.smaller()]


class Maker:
    """Makes queries for one world."""

    def __init__(self, dice: random.Random, interval_ms: int, length: int) -> None:
        self.dice = dice
        self.interval_s = interval_ms // 1000
        self.end_ms = interval_ms * (length - 1)

    def case(self) -> tuple[Expr, Case]:
        """A query and when it is asked: on the grid of scrapes, or off it, now and then after the end."""
        expr = self.scalar(2) if self.dice.random() < 0.06 else self.vector(self.dice.choice((1, 2, 2, 3)))
        at_ms = self.dice.randint(self.end_ms // 3, self.end_ms + 60_000)
        if self.dice.random() < 0.5:
            at_ms = at_ms // (self.interval_s * 1000) * self.interval_s * 1000
        return expr, Case(str(expr), at_ms)

    def seconds(self, low: int, high: int) -> int:
        """A duration of so many scrapes, whole or not."""
        whole = self.interval_s * self.dice.randint(low, high)
        return max(1, whole if self.dice.random() < 0.6 else whole + self.dice.randint(-2, 2))

    # --- selectors -------------------------------------------------------------------------------------------

    def matchers(self, family: str) -> str:
        found = []
        for label in FAMILIES[family]:
            if self.dice.random() > 0.25:
                continue
            found.append(
                self.dice.choice(
                    {
                        "pod": ('pod="web-0"', 'pod!="web-0"', 'pod=~"web-[01]"', 'pod!~".*-2"', 'pod=~"web-.+|x"'),
                        "code": ('code="500"', 'code!="500"', 'code=~"5.."', 'code!~"2.*"', 'code=~"(?i)200|50[0-2]"'),
                        "le": ('le!="0.1"', 'le=~".*"', 'le=~"0.*|.Inf"'),
                        "version": ('version="v1"', 'version=~"v\\\\d"'),
                    }[label]
                )
            )
        if self.dice.random() < 0.03:
            found.append('nosuch=""')
        return "{{" + ", ".join(found) + "}}" if found else ""

    def modifiers(self, fixed: bool = True) -> str:
        """`offset` to both sides, and `@`."""
        text = ""
        if fixed and self.dice.random() < 0.12:
            text += f" @ {self.dice.choice((self.end_ms // 2000, self.end_ms / 1000 / 3, 'start()', 'end()'))}"
        if self.dice.random() < 0.15:
            text += f" offset {self.dice.choice(('', '-'))}{self.seconds(1, 6)}s"
        return text

    def family(self) -> str:
        return self.dice.choices(tuple(FAMILIES), (5, 4, 1, 1, 1))[0]

    def selector(self, family: str | None = None) -> Expr:
        if family is None and self.dice.random() < 0.04:
            return Expr(
                self.dice.choice(
                    ('{{__name__=~"hits|mem"}}', '{{__name__="mem"}}', '{{pod="web-0", __name__!="info"}}', "nosuch")
                )
            )
        family = family or self.family()
        return Expr(family + self.matchers(family) + self.modifiers())

    def window(self, family: str | None = None, depth: int = 1, *, fixed: bool = True) -> Expr:
        """A range vector; `fixed`: now and then by `@`.

        Not for predict_linear: inside a subquery Prometheus 2.42 lets its window slide in spite of `@`, over samples
        that were read for the fixed one.
        """
        if depth > 0 and family is None and self.dice.random() < 0.15:
            step = self.dice.choice((f"{self.seconds(1, 3)}s", f"{self.interval_s}s", ""))
            return Expr(
                f"({{}})[{self.seconds(4, 20)}s:{step}]{self.modifiers(fixed)}", (self.vector(depth - 1),), "matrix"
            )
        family = family or self.dice.choice(("hits", "hits", "mem", "lat_bucket"))
        plain = family + self.matchers(family)
        return Expr(f"{plain}[{self.seconds(1, 14)}s]{self.modifiers(fixed)}", (), "matrix")

    # --- vectors ---------------------------------------------------------------------------------------------

    def vector(self, depth: int) -> Expr:
        if depth <= 0:
            return self.selector() if self.dice.random() < 0.5 else self.windowed(0)
        kinds = (
            (self.selector, 1), (self.windowed, 8), (self.numeric, 4), (self.reduced, 6), (self.ranked, 2), (self.with_scalar, 4),
            (self.alike, 4), (self.matched, 4), (self.grouped, 3), (self.sets, 3), (self.labels, 3), (self.histogram, 3), (self.rest, 4),
        )  # fmt: skip
        make = self.dice.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
        return make() if make == self.selector else make(depth)

    def windowed(self, depth: int, family: str | None = None) -> Expr:
        choice = self.dice.random()
        if choice < 0.08:
            q = self.dice.choice(("0.5", "0.99", "0", "1", "-1", "1.5", "NaN", "0.123"))
            return Expr(f"quantile_over_time({q}, {{}})", (self.window(family, depth),))
        if choice < 0.16:
            return Expr(
                f"predict_linear({{}}, {self.dice.choice(('60', '-30', '3600', '0.5', 'scalar(conf)'))})",
                (self.window(family, depth, fixed=False),),
            )
        name = self.dice.choice(("rate", "increase", *WINDOWED))
        return Expr(f"{name}({{}})", (self.window(family, depth),))

    def numeric(self, depth: int) -> Expr:
        inner = self.vector(depth - 1)
        choice = self.dice.random()
        low, high = self.dice.choice((("-1", "1"), ("0", "20"), ("5", "2"), ("scalar(conf)", "100"), ("NaN", "1")))
        if choice < 0.12:
            return Expr(f"clamp({{}}, {low}, {high})", (inner,))
        if choice < 0.3:
            return Expr(
                f"{self.dice.choice(('clamp_min', 'clamp_max'))}({{}}, {self.dice.choice((low, high))})", (inner,)
            )
        if choice < 0.38:
            return Expr(f"round({{}}, {self.dice.choice(('5', '0.1', '0.25', '-1', '0'))})", (inner,))
        if choice < 0.46:
            return Expr("-({})", (inner,))
        return Expr(f"{self.dice.choice(NUMERIC)}({{}})", (inner,))

    def grouping(self) -> str:
        labels = self.dice.choice(
            ("pod", "code", "le", "pod, code", "pod, le", "", "nosuch", "version", "__name__", "pod, __name__")
        )
        return self.dice.choice(("", f" by ({labels}) ", f" by ({labels}) ", f" without ({labels}) "))

    def reduced(self, depth: int) -> Expr:
        return Expr(f"{self.dice.choice(('sum', 'avg', *REDUCERS))}{self.grouping()}({{}})", (self.vector(depth - 1),))

    def ranked(self, depth: int) -> Expr:
        inner, choice = self.vector(depth - 1), self.dice.random()
        if choice < 0.4:  # few ties: which of equals is first, Prometheus does not say
            name = self.dice.choice(("stddev_over_time", "avg_over_time", "deriv"))
            inner = self.dice.choice((self.selector("mem"), Expr(f"{name}({{}})", (self.window(),))))
            return Expr(
                f"{self.dice.choice(('topk', 'bottomk'))}{self.grouping()}({self.dice.choice(('1', '2', '3', '0', '2.7'))}, {{}})",
                (inner,),
            )
        if choice < 0.75:
            return Expr(
                f"quantile{self.grouping()}({self.dice.choice(('0.5', '0.9', '0', '1', '-0.1', '2', '0.37'))}, {{}})",
                (inner,),
            )
        # values that are exact: the label is the number to its last digit
        inner = self.dice.choice(
            (
                self.selector(),
                Expr("round({})", (inner,)),
                Expr("({} > bool 3)", (inner,)),
                Expr("changes({})", (self.window(),)),
            )
        )
        return Expr(f'count_values{self.grouping()}("value", {{}})', (inner,))

    def scalar(self, depth: int) -> Expr:
        choice = self.dice.random()
        if depth > 0 and choice < 0.3:
            return Expr("scalar({})", (self.vector(depth - 1),), "scalar")
        if depth > 0 and choice < 0.6:
            # no power: the remainder of a huge number hangs on its last bit
            op = self.dice.choice(("+", "-", "*", "/", "%", "atan2", "> bool", "== bool", "<= bool"))
            return Expr(f"({{}} {op} {{}})", (self.scalar(depth - 1), self.scalar(depth - 1)), "scalar")
        if choice < 0.7:
            return Expr("time()", (), "scalar")
        return Expr(
            self.dice.choice(("0", "1", "2", "3", "-1", "0.5", "100", "1e3", "NaN", "Inf", "-Inf", "12")), (), "scalar"
        )

    # --- binary operators ------------------------------------------------------------------------------------

    def operator(self) -> str:
        choice = self.dice.random()
        if choice < 0.6:
            return self.dice.choice(("+", "-", "*", "/", *ARITHMETIC))
        return self.dice.choice(COMPARISONS) + self.dice.choice(("", " bool"))

    def with_scalar(self, depth: int) -> Expr:
        sides = [self.vector(depth - 1), self.scalar(1)]
        self.dice.shuffle(sides)
        return Expr(f"({{}} {self.operator()} {{}})", tuple(sides))

    def alike(self, depth: int) -> Expr:
        """Two vectors of one family: most series find their like."""
        family = self.dice.choice(("hits", "hits", "mem"))
        sides = tuple(self.windowed(0, family) if self.dice.random() < 0.7 else self.selector(family) for _ in range(2))
        on = {"hits": "on(pod, code)", "mem": "on(pod)"}[family]
        matching = self.dice.choice(("", "", "", on, "ignoring(nosuch)", "ignoring(__name__)"))
        return Expr(f"({{}} {self.operator()} {matching} {{}})", sides)

    def matched(self, depth: int) -> Expr:
        """Aggregates of one shape, or any two vectors with a matching that may or may not do."""
        if self.dice.random() < 0.7:
            label = self.dice.choice(("pod", "code", "pod, code"))
            sides = tuple(
                Expr(f"{self.dice.choice(REDUCERS)} by ({label}) ({{}})", (self.windowed(depth - 1),)) for _ in range(2)
            )
            return Expr(f"({{}} {self.operator()} {self.dice.choice(('', f'on({label})'))} {{}})", sides)
        matching = self.dice.choice(("on(pod)", "ignoring(code)", "on()", "ignoring(pod, code, le)", "on(nosuch)"))
        return Expr(f"({{}} {self.operator()} {matching} {{}})", (self.vector(depth - 1), self.vector(depth - 1)))

    def grouped(self, depth: int) -> Expr:
        """group_left and group_right, with labels carried over."""
        include = self.dice.choice(("", "()", "(version)", "(version, nosuch)"))
        many = (
            self.windowed(0, self.dice.choice(("hits", "lat_bucket")))
            if self.dice.random() < 0.7
            else self.selector("hits")
        )
        one = self.dice.choice(
            (
                Expr("info"),
                Expr("sum by (pod) ({})", (self.windowed(0, "hits"),)),
                Expr("count by (pod, version) (info)"),
            )
        )
        matching = self.dice.choice(("on(pod)", "on(pod)", "ignoring(code, version, le)"))
        if self.dice.random() < 0.5:
            return Expr(f"({{}} {self.operator()} {matching} group_left{include} {{}})", (many, one))
        return Expr(f"({{}} {self.operator()} {matching} group_right{include} {{}})", (one, many))

    def sets(self, depth: int) -> Expr:
        matching = self.dice.choice(("", "", "on(pod)", "on()", "ignoring(code)"))
        return Expr(
            f"({{}} {self.dice.choice(('and', 'or', 'unless'))} {matching} {{}})",
            (self.vector(depth - 1), self.vector(depth - 1)),
        )

    # --- the rest --------------------------------------------------------------------------------------------

    def labels(self, depth: int) -> Expr:
        inner = self.vector(depth - 1)
        if self.dice.random() < 0.35:
            call = self.dice.choice(
                ('"new", "-", "pod", "code"', '"pod", "", "code"', '"new", "/", "nosuch", "pod"', '"all", ","')
            )
            return Expr(f"label_join({{}}, {call})", (inner,))
        call = self.dice.choice((
            '"new", "$1", "pod", "web-(.*)"', '"pod", "all", "pod", ".*"', '"new", "${{1}}x$2", "pod", "(w)eb-(.)"', '"code", "", "code", "5.."',
            '"new", "$0", "code", "(2|5)0."', '"n2", "$first-$$", "pod", "(?P<first>[a-z]+)-.*"', '"new", "none", "nosuch", ""', '"new", "x", "pod", "eb"',
        ))  # fmt: skip
        return Expr(f"label_replace({{}}, {call})", (inner,))

    def histogram(self, depth: int) -> Expr:
        q = self.dice.choice(("0.5", "0.9", "0.99", "0", "1", "-1", "1.1", "0.333", "NaN"))
        name = self.dice.choice(("rate", "increase", "sum_over_time", "delta"))
        inner = (
            Expr(f"{name}({{}})", (self.window("lat_bucket"),))
            if self.dice.random() < 0.8
            else self.selector("lat_bucket")
        )
        if self.dice.random() < 0.6:
            inner = Expr(f"sum {self.dice.choice(('by (le)', 'by (pod, le)', 'without (pod)'))} ({{}})", (inner,))
        return Expr(f"histogram_quantile({q}, {{}})", (inner,))

    def rest(self, depth: int) -> Expr:
        choice = self.dice.randrange(6)
        if choice == 0:
            selector = self.dice.choice(
                (
                    self.selector(),
                    Expr('nosuch{{a="b", c=~"d", e!="f"}}'),
                    Expr('hits{{code="999", pod="x"}}'),
                    self.vector(depth - 1),
                )
            )
            return Expr("absent({})", (selector,))
        if choice == 1:
            inside = self.dice.choice(("hits", 'hits{{code="999"}}', 'nosuch{{a="b", a="b"}}', 'nosuch{{a="b"}}'))
            return Expr(f"absent_over_time({inside}[{self.seconds(1, 5)}s])")
        if choice == 2:
            return Expr("vector({})", (self.scalar(2),))
        if choice == 3:
            return Expr("timestamp({})", (self.selector() if self.dice.random() < 0.7 else self.vector(depth - 1),))
        if choice == 4:
            return Expr(f"{self.dice.choice(('sort', 'sort_desc'))}({{}})", (self.vector(depth - 1),))
        return Expr(
            f"(({{}}) {self.dice.choice(ARITHMETIC)} on() group_left() vector(time() - 60))", (self.vector(depth - 1),)
        )
