"""Conditions of an AnalysisTemplate: one comparison with a line, or any expression over the result."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from strategies.metrics.conditions.compiled import compiled
from strategies.metrics.conditions.grammar import Node
from strategies.metrics.conditions.kinds import fault_of, kind_of
from strategies.metrics.conditions.syntax import parse
from strategies.metrics.conditions.tokens import ConditionError

OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_RESULT: Final = r"result(?:\[\s*0\s*\])?"
_CONDITION: Final = re.compile(
    rf"\s*(?:{_RESULT}|asFloat\(\s*{_RESULT}\s*\))\s*(<=|>=|==|!=|<|>)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A measured value against a fixed line.

    NaN compares as in expr-lang and as in Python: false, except for `!=`.

    >>> Condition.parse("result[0] >= 0.95")
    Condition(op='>=', threshold=0.95)
    """

    op: str
    threshold: float

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise ValueError(f"op must be one of {' '.join(OPERATORS)}, got {self.op!r}")
        if not math.isfinite(self.threshold):
            raise ValueError(f"threshold must be a number, got {self.threshold}")

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read one comparison of an AnalysisTemplate; ValueError for anything richer (that is an `Expression`)."""
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise ValueError(
                f"expected one comparison with a number, such as result[0] >= 0.95 (left side: result, result[0], "
                f"asFloat(result) or asFloat(result[0]); operators: {' '.join(OPERATORS)}), got {text!r}"
            )
        return cls(match[1], float(match[2]))

    def holds(self, value: float) -> bool:
        """Whether the value lies on this side of the line."""
        return OPERATORS[self.op](value, self.threshold)


@dataclass(frozen=True, slots=True)
class Expression:
    """Any condition, read from its text.

    >>> Expression("len(result) > 0 && all(result, {# < 0.05})").holds([0.01, 0.02])
    True

    Raises:
        ConditionError: the text is not in the language; it says where.
    """

    text: str
    tree: Node = field(init=False, repr=False, compare=False)
    _ask: Callable[[Any, Any], bool] = field(init=False, repr=False, compare=False)
    _faults: dict[str, ConditionError | None] = field(init=False, repr=False, compare=False)
    _first: Callable[[float], bool] | None = field(init=False, repr=False, compare=False)  #: it asks result[0] only

    def __post_init__(self) -> None:
        tree = parse(self.text)
        object.__setattr__(self, "tree", tree)
        object.__setattr__(self, "_ask", compiled(tree))
        object.__setattr__(self, "_faults", {})
        object.__setattr__(self, "_first", _of_first(tree))

    def __reduce__(self) -> tuple[Any, ...]:
        """It crosses process borders as its text."""
        return type(self), (self.text,)

    def fault_for(self, kind: str) -> ConditionError | None:
        """Why it has no answer for any result of this kind (`float`, `[]float`, see `kinds`); None: it may have one."""
        if kind not in self._faults:
            self._faults[kind] = fault_of(self.tree, kind)
        return self._faults[kind]

    def holds(self, result: Any) -> bool:
        """Of the whole answer of a provider as in JSON: a number, a list, a mapping, a text, nil.

        Raises:
            ConditionError: it has no answer for this result, as `result[0]` of an empty list.
        """
        return self._holds(result, kind_of(result))

    def holds_answer(self, result: list[float] | float) -> bool:
        """Of the whole answer of Prometheus: the numbers of a vector, or a scalar. Raises as `holds`."""
        if result.__class__ is not list:
            return self._holds(result, "float")
        if self._first is not None and result:
            return self._first(result[0])
        return self._holds(result, "[]float")

    def _holds(self, result: Any, kind: str) -> bool:
        fault = self._faults[kind] if kind in self._faults else self.fault_for(kind)
        if fault is not None:
            raise ConditionError(fault.problem, fault.start, fault.end)
        return self._ask(result, result)

    def holds_value(self, value: float | None) -> bool:
        """Of one measured number, which `result` and `result[0]` both mean; None: nothing was there to measure.

        Raises:
            ConditionError: it has no answer for this value.
        """
        return self._ask([] if value is None else [value], value)


def _of_first(tree: Node) -> Callable[[float], bool] | None:
    """The quick way of `result[0] >= 0.95`, which most conditions are; None for any other."""
    if tree.kind != "binary" or tree.value not in OPERATORS:
        return None
    left, right = tree.parts
    if left.kind != "index" or right.kind != "constant" or type(right.value) not in (int, float):
        return None
    of, position = left.parts
    if of.kind != "result" or position.kind != "constant" or position.value != 0 or type(position.value) is not int:
        return None
    holds, line = OPERATORS[tree.value], float(right.value)
    return lambda value: holds(value, line)


def read(text: str) -> Condition | Expression:
    """A condition of a typed query: one comparison with a number where it is one, else an expression.

    >>> read("result > 1"), read("!(result > 1)")
    (Condition(op='>', threshold=1.0), Expression(text='!(result > 1)'))

    Raises:
        ConditionError: the text is not in the language; a number without end is not.
    """
    expression = Expression(text)
    return Condition.parse(text) if _CONDITION.fullmatch(text) else expression
