"""What the functions of a condition do with values: argo-rollouts' own, and those of expr-lang that conditions use.

Source: argo-rollouts `utils/evaluate/evaluate.go` (asInt, asFloat, isNaN, isInf), expr-lang `builtin/lib.go`.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any, Final

from strategies.metrics.conditions.values import LEAST_INT, Nonsense, is_number, items, plus, type_name

_INT: Final = re.compile(r"[+-]?[0-9]{1,19}")
_FLOAT: Final = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE)


def _number(value: Any, word: str) -> Any:
    if not is_number(value):
        raise Nonsense(f"{word} takes a number, not {type_name(value)}")
    return value


def _length(value: Any) -> int:
    if not isinstance(value, list | str | dict):
        raise Nonsense(f"len takes a list, a text or a mapping, not {type_name(value)}")
    return len(value)


def to_int(value: float) -> int:
    """Towards zero; what 64 bits cannot hold is the least of them, as amd64 converts."""
    if not math.isfinite(value) or not LEAST_INT <= value < 1 << 63:
        return LEAST_INT
    return int(value)


def _as_int(value: Any) -> int:
    if isinstance(value, str):
        if not _INT.fullmatch(value) or not LEAST_INT <= int(value) < 1 << 63:
            raise Nonsense(f"asInt reads a whole number, not {value[:40]!r}")
        return int(value)
    return to_int(_number(value, "asInt"))


def _as_float(value: Any) -> float:
    if isinstance(value, str):
        if not _FLOAT.fullmatch(value):
            raise Nonsense(f"asFloat reads a number, not {value[:40]!r}")
        return float(value)
    return float(_number(value, "asFloat"))


def _round(value: float) -> float:
    """Half away from zero."""
    if not math.isfinite(value):
        return value
    whole = float(math.trunc(value))
    return whole + math.copysign(1.0, value) if abs(value - whole) >= 0.5 else whole


def _whole(compute: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(compute(value)) if math.isfinite(value) else float(value)


def _of_number(word: str, compute: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: compute(_number(value, word))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    return value if isinstance(value, str) else str(value)


def numbers(values: tuple[Any, ...], word: str) -> list[Any]:
    """All numbers of arguments that are numbers or lists of them."""
    found: list[Any] = []
    for value in values:
        found += [_number(each, word) for each in (value if isinstance(value, list) else (value,))]
    return found


def _extreme(word: str, better: Callable[[Any, Any], bool]) -> Callable[..., Any]:
    def result(*values: Any) -> Any:
        best = None
        for value in numbers(values, word):
            if best is None or better(value, best):
                best = value
        return best

    return result


def _average(word: str, compute: Callable[[list[Any]], float]) -> Callable[..., float]:
    def result(*values: Any) -> float:
        found = numbers(values, word)
        return float(compute(found)) if found else 0.0

    return result


def _mean(values: list[Any]) -> float:
    return float(sum(values)) / len(values)


def _median(values: list[float]) -> float:
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _end(place: int) -> Callable[[Any], Any]:
    def result(value: Any) -> Any:
        found = items(value, "first" if place == 0 else "last")
        return found[place] if found else None

    return result


def _of_mapping(word: str, get: Callable[[dict[str, Any]], Any]) -> Callable[[Any], list[Any]]:
    def result(value: Any) -> list[Any]:
        if not isinstance(value, dict):
            raise Nonsense(f"{word} takes a mapping, not {type_name(value)}")
        return list(get(value))

    return result


def _of_text(word: str, compute: Callable[[str], str]) -> Callable[[Any], str]:
    def result(value: Any) -> str:
        if not isinstance(value, str):
            raise Nonsense(f"{word} takes a text, not {type_name(value)}")
        return compute(value)

    return result


#: functions that need to know their arguments only
FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "asFloat": _as_float,
    "asInt": _as_int,
    "isNaN": _of_number("isNaN", lambda value: math.isnan(value)),
    "isInf": _of_number("isInf", lambda value: math.isinf(value)),
    "len": _length,
    "abs": _of_number("abs", abs),
    "ceil": _of_number("ceil", _whole(math.ceil)),
    "floor": _of_number("floor", _whole(math.floor)),
    "round": _of_number("round", _round),
    "int": lambda value: _as_int(value) if isinstance(value, str) else to_int(_number(value, "int")),
    "float": lambda value: _as_float(value) if isinstance(value, str) else float(_number(value, "float")),
    "string": _text,
    "lower": _of_text("lower", str.lower),
    "upper": _of_text("upper", str.upper),
    "first": _end(0),
    "last": _end(-1),
    "keys": _of_mapping("keys", dict.keys),
    "values": _of_mapping("values", dict.values),
    "min": _extreme("min", operator.lt),
    "max": _extreme("max", operator.gt),
    "mean": _average("mean", _mean),
    "median": _average("median", _median),
}


def add_up(values: list[Any]) -> Any:
    """The sum of a list of numbers."""
    total: Any = 0
    for value in values:
        total = plus(total, value)
    return total
