"""What the operators of a condition do with values, by the rules of expr-lang and of Go.

Values are those of JSON: None, bool, int (64 bits, it wraps), float, str, list, dict. An operation that has no answer
raises `Nonsense`, whose text says why. Source: expr-lang `vm/runtime/runtime.go`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

LEAST_INT: Final = -(1 << 63)
MAX_RANGE: Final = 10_000
_NAMES: Final = {
    type(None): "nil",
    bool: "a truth value",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a mapping",
}


class Nonsense(Exception):
    """An operation without an answer; the argument says why."""


def type_name(value: Any) -> str:
    """The type of a value in the words of people who write conditions.

    >>> type_name(0.5), type_name(None), type_name([1])
    ('a number', 'nil', 'a list')
    """
    return _NAMES.get(type(value), type(value).__name__)


def is_number(value: Any) -> bool:
    """A number; truth values are none."""
    return value.__class__ is float or value.__class__ is int


def wrap(value: int) -> int:
    """A whole number as 64 bits hold it."""
    return (value - LEAST_INT) % (1 << 64) + LEAST_INT


# --- operators ---------------------------------------------------------------------------------------------------


def equal(left: Any, right: Any) -> bool:
    """`==`: whole and broken numbers compare by value, values of different types are different."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if left.__class__ is not right.__class__:
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return bool(left == right)


def _ordered(symbol: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(left: Any, right: Any) -> bool:
        if (is_number(left) and is_number(right)) or (left.__class__ is str and right.__class__ is str):
            return compare(left, right)
        raise Nonsense(f"{symbol} compares two numbers or two texts, not {type_name(left)} with {type_name(right)}")

    return holds


def _arithmetic(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def result(left: Any, right: Any) -> Any:
        if not (is_number(left) and is_number(right)):
            raise Nonsense(f"{symbol} takes two numbers, not {type_name(left)} and {type_name(right)}")
        value = compute(left, right)
        return wrap(value) if value.__class__ is int else value

    return result


def _add(left: Any, right: Any) -> Any:
    if left.__class__ is str and right.__class__ is str:
        return left + right
    return plus(left, right)


def _divide(left: float, right: float) -> float:
    """Always a broken number; over zero it is an infinity or NaN."""
    left, right = float(left), float(right)
    if right != 0:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _remainder(left: Any, right: Any) -> int:
    """Of whole numbers only, with the sign of the left one."""
    if left.__class__ is not int or right.__class__ is not int:
        raise Nonsense("% takes two whole numbers")
    if right == 0:
        raise Nonsense("% by zero")
    return int(math.fmod(left, right)) if abs(left) < 1 << 53 else (abs(left) % abs(right)) * (1 if left > 0 else -1)


def power(left: float, right: float) -> float:
    """Always a broken number."""
    try:
        value = float(left) ** float(right)
    except OverflowError:
        odd = float(right).is_integer() and math.fmod(float(right), 2) != 0
        return -math.inf if left < 0 and odd else math.inf
    except ZeroDivisionError:
        return math.inf
    return math.nan if isinstance(value, complex) else value


plus = _arithmetic("+", operator.add)


def _within(item: Any, items: Any) -> bool:
    if items is None:
        return False
    if isinstance(items, list):
        return any(equal(item, each) for each in items)
    if isinstance(items, dict):
        return isinstance(item, str) and item in items
    raise Nonsense(f"in looks into a list or a mapping, not into {type_name(items)}")


def _range(left: Any, right: Any) -> list[int]:
    if left.__class__ is not int or right.__class__ is not int:
        raise Nonsense(".. takes two whole numbers")
    if right - left >= MAX_RANGE:
        raise Nonsense(f".. makes at most {MAX_RANGE} numbers")
    return list(range(left, right + 1))


def _of_texts(word: str, holds: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def result(left: Any, right: Any) -> bool:
        if not (isinstance(left, str) and isinstance(right, str)):
            raise Nonsense(f"{word} takes two texts, not {type_name(left)} and {type_name(right)}")
        return holds(left, right)

    return result


BINARY: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": _ordered("<", operator.lt),
    ">": _ordered(">", operator.gt),
    "<=": _ordered("<=", operator.le),
    ">=": _ordered(">=", operator.ge),
    "+": _add,
    "-": _arithmetic("-", operator.sub),
    "*": _arithmetic("*", operator.mul),
    "/": _arithmetic("/", _divide),
    "%": _arithmetic("%", _remainder),
    "**": _arithmetic("**", power),
    "in": _within,
    "..": _range,
    "contains": _of_texts("contains", lambda left, right: right in left),
    "startsWith": _of_texts("startsWith", str.startswith),
    "endsWith": _of_texts("endsWith", str.endswith),
}


def truth(value: Any, word: str) -> bool:
    """A truth value; nothing else is true or false."""
    if value.__class__ is not bool:
        raise Nonsense(f"{word} takes true or false, not {type_name(value)}")
    return bool(value)


# --- parts of values ---------------------------------------------------------------------------------------------


def at(value: Any, position: Any) -> Any:
    """`value[position]`: of a list (from its end when negative) or of a mapping (nil where there is no such key)."""
    if isinstance(value, dict):
        if not isinstance(position, str):
            raise Nonsense(f"the key of a mapping is a text, not {type_name(position)}")
        return value.get(position)
    if not isinstance(value, list):
        raise Nonsense(f"{type_name(value)} has no positions")
    if not is_number(position) or not math.isfinite(position):
        raise Nonsense(f"the position in a list is a number, not {type_name(position)}")
    place, length = int(position), len(value)
    if not -length <= place < length:
        many = f"has {length} value{'s' if length != 1 else ''}" if length else "is empty"
        raise Nonsense(f"the list {many}: there is no [{place}]")
    return value[place]


def named(value: Any, name: str) -> Any:
    """`value.name`: nil where a mapping has no such key."""
    if isinstance(value, dict):
        return value.get(name)
    raise Nonsense(f"{type_name(value)} has no .{name}")


def part(value: Any, first: Any, last: Any) -> Any:
    """`value[first:last]` of a list or a text; places beyond the end are the end."""
    if not isinstance(value, list | str):
        raise Nonsense(f"{type_name(value)} has no positions")
    for place in (first, last):
        if place is not None and place.__class__ is not int:
            raise Nonsense(f"a position is a whole number, not {type_name(place)}")
    return value[first:last]


def items(value: Any, word: str) -> list[Any]:
    """A list, for a function that walks through it."""
    if not isinstance(value, list):
        raise Nonsense(f"{word} takes a list, not {type_name(value)}")
    return value
