"""Functions and operators of numbers, element by element.

Arrays come in contiguous, so that numpy takes the same path for one replication and for many.

Source: prometheus promql/functions.go, promql/engine.go scalarBinop and vectorElemBinop; Go's math package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from strategies.metrics.series import FloatArray

Function = Callable[[FloatArray], FloatArray]


def _sign(value: FloatArray) -> FloatArray:
    return np.where(value > 0, 1.0, np.where(value < 0, -1.0, value))


FUNCTIONS: Final[dict[str, Function]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "exp": np.exp,
    "floor": np.floor,
    "ln": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "sgn": _sign,
    "sqrt": np.sqrt,
}


def rounded(value: FloatArray, nearest: FloatArray) -> FloatArray:
    """`round`: ties go up."""
    inverse = 1.0 / nearest
    return np.floor(value * inverse + 0.5) / inverse


def clamped(value: FloatArray, least: FloatArray, most: FloatArray) -> FloatArray:
    """`clamp`, with Go's order of special cases: an infinity that decides comes before NaN."""
    lower = np.where((most == -np.inf) | (value == -np.inf), -np.inf, np.minimum(most, value))
    return np.where((least == np.inf) | (lower == np.inf), np.inf, np.maximum(least, lower))


COMPARISONS: Final[dict[str, Callable[[FloatArray, FloatArray], np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
ARITHMETIC: Final[dict[str, Callable[[FloatArray, FloatArray], FloatArray]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
SETS: Final = ("and", "or", "unless")
