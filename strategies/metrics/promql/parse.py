"""From the text of a query to its tree, or to an error with its place."""

from __future__ import annotations

from typing import Any, Final

import promql_parser as grammar

from strategies.metrics.promql import aggregate
from strategies.metrics.promql.errors import PromqlError
from strategies.metrics.promql.faults import fault, unknown_function
from strategies.metrics.promql.functions import FUNCTIONS
from strategies.metrics.promql.relabel import LABEL
from strategies.metrics.promql.tokens import Cursor, Token, check, readable, tokens
from strategies.metrics.promql.tree import (
    Aggregate,
    At,
    Binary,
    Call,
    Kind,
    Matching,
    Negate,
    Node,
    Number,
    Place,
    Query,
    Range,
    Select,
    Subquery,
    Text,
    children,
)
from strategies.metrics.regex import Regex
from strategies.metrics.series import NAME, Matcher, MatchOp

KNOWN: Final = (*FUNCTIONS, *aggregate.OPERATORS)
MAX_DEPTH: Final = 100  #: of nodes, one inside the other
STEP_MS: Final = 60_000  #: of a subquery that names none: Prometheus' default evaluation interval
MAX_STEPS: Final = 11_000  #: of all subqueries together, each inside the other; Prometheus' bound on points of a series
_MATCH: Final[tuple[tuple[Any, MatchOp], ...]] = (  # the parser's names have no hash
    (grammar.MatchOp.Equal, "="),
    (grammar.MatchOp.NotEqual, "!="),
    (grammar.MatchOp.Re, "=~"),
    (grammar.MatchOp.NotRe, "!~"),
)


def parse(text: str, *, step_ms: int = STEP_MS) -> Query:
    """Read a query.

    Args:
        text: PromQL, without template arguments.
        step_ms: step of a subquery that names none (a server's evaluation interval).

    Raises:
        PromqlError: it does not parse, uses a function or a construct that is not supported, or is too large.

    >>> parse("sum(rate(hits[5m]))").kind
    'vector'
    """
    found = tokens(text)
    check(found)
    try:
        parsed = grammar.parse(readable(text))
    except ValueError as error:
        raise fault(text, found, str(error), KNOWN) from None
    root = _Reader(text, found, step_ms).node(parsed, 0)
    _check_steps(root, len(text))
    kind = kind_of(root)
    if kind in ("matrix", "string"):
        what = "a range vector" if kind == "matrix" else "a string"
        raise PromqlError(f"expected a query that gives a vector or a number, got {what}", 0, len(text))
    return Query(text, root, kind)


def kind_of(node: Node) -> Kind:
    """What a node gives."""
    if isinstance(node, Number):
        return "scalar"
    if isinstance(node, Text):
        return "string"
    if isinstance(node, Range | Subquery):
        return "matrix"
    if isinstance(node, Call):
        return "scalar" if node.name in ("scalar", "time") else "vector"
    if isinstance(node, Negate):
        return kind_of(node.node)
    if isinstance(node, Binary):
        return "scalar" if kind_of(node.left) == kind_of(node.right) == "scalar" else "vector"
    return "vector"


def _check_steps(root: Node, end: int) -> None:
    """Refuse subqueries that would be evaluated too often."""
    if steps_of(root) > MAX_STEPS:
        raise PromqlError(f"subqueries with more than {MAX_STEPS} steps", 0, end)


def steps_of(node: Node) -> int:
    """How often the innermost part of a node is evaluated, at most."""
    inner = max((steps_of(child) for child in children(node)), default=1)
    return inner * (node.range_ms // node.step_ms + 1) if isinstance(node, Subquery) else inner


class _Reader:
    """From the parser's tree to ours; nodes are read in the order of the text, so that each finds its place."""

    def __init__(self, text: str, found: list[Token], step_ms: int) -> None:
        self.text = text
        self.tokens = found
        self.cursor = Cursor(text, found)
        self.step_ms = step_ms

    def node(self, parsed: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise PromqlError(f"the query is nested deeper than {MAX_DEPTH}", 0, len(self.text))
        if isinstance(parsed, grammar.ParenExpr):
            return self.node(parsed.expr, depth + 1)
        if isinstance(parsed, grammar.NumberLiteral):
            return Number(parsed.val)
        if isinstance(parsed, grammar.StringLiteral):
            return Text(parsed.val)
        if isinstance(parsed, grammar.VectorSelector):
            return self._select(parsed)
        if isinstance(parsed, grammar.MatrixSelector):
            return Range(self._select(parsed.vector_selector), _ms(parsed.range))
        if isinstance(parsed, grammar.SubqueryExpr):
            return self._subquery(parsed, depth)
        if isinstance(parsed, grammar.Call):
            return self._call(parsed, depth)
        if isinstance(parsed, grammar.AggregateExpr):
            return self._aggregate(parsed, depth)
        if isinstance(parsed, grammar.UnaryExpr):
            return Negate(self.node(parsed.expr, depth + 1), self.cursor.whole)
        assert isinstance(parsed, grammar.BinaryExpr)
        return self._binary(parsed, depth)

    def _select(self, parsed: Any) -> Select:
        place = self.cursor.selector()
        if parsed.matchers.or_matchers:
            raise PromqlError("'or' between matchers is not supported", *place)
        matchers = [Matcher(NAME, "=", parsed.name)] if parsed.name else []
        matchers += [
            Matcher(one.name, next(op for name, op in _MATCH if name == one.op), one.value)
            for one in parsed.matchers.matchers
        ]
        for matcher in matchers:
            if matcher.op in ("=~", "!~"):
                self._regex(matcher.value, place)
        return Select(tuple(matchers), _ms(parsed.offset), self._at(parsed.at, place), place)

    def _regex(self, pattern: str, place: Place) -> Regex:
        try:
            return Regex.of(pattern)
        except ValueError as error:
            raise PromqlError(str(error), *place) from None

    def _at(self, parsed: Any, place: Place) -> At:
        if parsed is None:
            return None
        if parsed.type == grammar.AtModifierType.At:
            try:
                return round(parsed.at.timestamp() * 1000)
            except (OverflowError, ValueError, OSError):
                raise PromqlError("a time after @ that is too far away", *place) from None
        return "start" if parsed.type == grammar.AtModifierType.Start else "end"

    def _subquery(self, parsed: Any, depth: int) -> Subquery:
        inner = self.node(parsed.expr, depth + 1)
        step_ms = _ms(parsed.step) or self.step_ms
        at = self._at(parsed.at, self.cursor.whole)
        return Subquery(inner, _ms(parsed.range), step_ms, _ms(parsed.offset), at, self.cursor.whole)

    def _call(self, parsed: Any, depth: int) -> Call:
        name = parsed.func.name
        if name not in FUNCTIONS:
            raise unknown_function(self.text, self.tokens, name, KNOWN)
        place = self.cursor.call(name)
        call = Call(name, tuple(self.node(arg, depth + 1) for arg in parsed.args), place)
        if name in ("label_replace", "label_join"):
            self._check_labels(call)
        return call

    def _check_labels(self, call: Call) -> None:
        """What Prometheus refuses at evaluation, but which no data can mend."""
        texts = [arg.value for arg in call.args if isinstance(arg, Text)]
        if call.name == "label_replace":
            self._regex(texts[3], call.place)
        names = texts[:1] if call.name == "label_replace" else [texts[0], *texts[2:]]
        for name in names:
            if not LABEL.fullmatch(name):
                raise PromqlError(f"{call.name}: {name!r} is no name of a label", *call.place)

    def _aggregate(self, parsed: Any, depth: int) -> Aggregate:
        op = str(parsed.op)
        if op not in aggregate.OPERATORS:
            raise unknown_function(self.text, self.tokens, op, KNOWN)
        place = self.cursor.call(op)
        param = None if parsed.param is None else self.node(parsed.param, depth + 1)
        if isinstance(param, Text) and not LABEL.fullmatch(param.value):
            raise PromqlError(f"{op}: {param.value!r} is no name of a label", *place)
        labels: tuple[str, ...] = ()
        without = False
        if parsed.modifier is not None:
            labels = tuple(parsed.modifier.labels)
            without = parsed.modifier.type == grammar.AggModifierType.Without
        return Aggregate(op, self.node(parsed.expr, depth + 1), param, labels, without, place)

    def _binary(self, parsed: Any, depth: int) -> Binary:
        left = self.node(parsed.lhs, depth + 1)
        op = str(parsed.op).strip().lower()
        place = self.cursor.operator(op)
        matching, as_bool = Matching((), on=False), False
        if parsed.modifier is not None:
            matching, as_bool = self._matching(parsed.modifier, place), parsed.modifier.return_bool
        return Binary(op, left, self.node(parsed.rhs, depth + 1), as_bool, matching, place)

    def _matching(self, parsed: Any, place: Place) -> Matching:
        fill = parsed.fill_values
        if fill is not None and (fill.lhs is not None or fill.rhs is not None):
            raise PromqlError("'fill' is not supported", *place)
        labels: tuple[str, ...] = ()
        on = False
        if parsed.matching is not None:
            labels = tuple(parsed.matching.labels)
            on = parsed.matching.type == grammar.LabelModifierType.Include
        cards = grammar.VectorMatchCardinality
        include = tuple(parsed.group_labels or ())
        if parsed.card == cards.ManyToOne:
            return Matching(labels, on, "left", include)
        if parsed.card == cards.OneToMany:
            return Matching(labels, on, "right", include)
        return Matching(labels, on)


def _ms(duration: Any) -> int:
    """A duration of the parser in milliseconds; none is 0."""
    return 0 if duration is None else round(duration.total_seconds() * 1000)
