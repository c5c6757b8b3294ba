"""The language of conditions as tables, and the tree that is made of a text.

Precedences are those of expr-lang `parser/operator/operator.go`, of which argo-rollouts @9f8d111d8 uses v1.17.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

MAX_DEPTH: Final = 40
MAX_HEIGHT: Final = 150  #: of a tree
MAX_PREDICATES: Final = 3  #: predicates inside predicates

#: operator -> precedence; all but the powers are left-associative
BINARY: Final[dict[str, int]] = {
    "or": 10, "||": 10,
    "and": 15, "&&": 15,
    "==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20,
    "in": 20, "contains": 20, "startsWith": 20, "endsWith": 20,
    "..": 25,
    "+": 30, "-": 30,
    "*": 60, "/": 60, "%": 60,
    "**": 100, "^": 100,
    "??": 500,
}  # fmt: skip
UNARY: Final = {"not": 50, "!": 50, "-": 90, "+": 90}
RIGHT: Final = ("**", "^")
ORDERED: Final = ("<", ">", "<=", ">=")
NEGATED: Final = ("in", "contains", "startsWith", "endsWith")
SAME: Final = {"&&": "and", "||": "or", "!": "not", "^": "**"}

#: function -> least and most arguments
FUNCTIONS: Final[dict[str, tuple[int, int]]] = {
    "asFloat": (1, 1), "asInt": (1, 1), "isNaN": (1, 1), "isInf": (1, 1), "isNil": (1, 1), "default": (2, 2),
    "len": (1, 1), "abs": (1, 1), "ceil": (1, 1), "floor": (1, 1), "round": (1, 1), "int": (1, 1), "float": (1, 1),
    "string": (1, 1), "lower": (1, 1), "upper": (1, 1), "first": (1, 1), "last": (1, 1), "keys": (1, 1),
    "values": (1, 1), "min": (1, 20), "max": (1, 20), "mean": (1, 20), "median": (1, 20),
}  # fmt: skip
#: functions of a list and a predicate
PREDICATES: Final = ("all", "any", "none", "one", "filter", "map", "count", "find", "sum")
ALONE: Final = ("count", "sum")  #: ... that may stand without the predicate
CONSTANTS: Final[dict[str, Any]] = {"true": True, "false": False, "nil": None}


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a condition: its kind, what it says, its parts, and the characters that it stands for.

    Kinds: constant, result, item, position, list, mapping, unary, binary, choice, index, slice, member, call, each.
    """

    kind: str
    start: int
    end: int
    value: Any = None
    parts: tuple[Node, ...] = ()
