"""Repeated looks at a normal test statistic: what they do to its error, and the lines that undo it.

Looks are spaced evenly in information (requests). Everything is computed: the probability to cross a sequence of lines
is carried from look to look by Gauss-Legendre integration.

Source: Armitage, McPherson and Rowe, Repeated Significance Tests on Accumulating Data (1969) for the recursion; Pocock
(1977); O'Brien and Fleming (1979). Their constants are in tests/published/judges.yaml.
"""

from __future__ import annotations

import functools
import math
from typing import Final, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from strategies.judges.base import FloatArray

Sides = Literal[1, 2]

_PER_DEVIATION: Final = 2.0  #: nodes of the integration for each standard deviation of a step: 13 digits
_FAR: Final = 7.0  #: standard deviations beyond which nothing is
MOST_LOOKS: Final = 64  #: more take seconds to compute


def check_looks(looks: int) -> None:
    """ValueError unless this is a number of looks that can be computed."""
    if not 1 <= looks <= MOST_LOOKS:
        raise ValueError(f"looks must lie in 1..{MOST_LOOKS}, got {looks}")


def crossing(lines: FloatArray, sides: Sides = 2) -> FloatArray:
    """Probability to have crossed by each look while nothing is different.

    Args:
        lines: shape [K], the line for the z-value at each look.
        sides: 2 crosses when |z| reaches the line, 1 when z does.

    Returns:
        shape [K], ascending.

    >>> crossing(np.full(2, 1.959964)).round(4)
    array([0.05  , 0.0831])
    """
    check_looks(len(lines))
    crossed = np.empty(len(lines))
    nodes, weights = np.zeros(1), np.ones(1)  # of the sum of steps with variance 1, which has not crossed
    for look, line in enumerate(lines, start=1):
        far = _FAR * math.sqrt(look)
        end = line * math.sqrt(look)
        out = ndtr(nodes - end) + (ndtr(-nodes - end) if sides == 2 else 0.0)
        crossed[look - 1] = (crossed[look - 2] if look > 1 else 0.0) + float(weights @ out)
        end = min(end, far)
        begin = -end if sides == 2 else -far
        points, gauss = _legendre(32 * math.ceil(_PER_DEVIATION * (end - begin) / 32))  # few sizes: each is dear
        places = begin + (end - begin) * (points + 1) / 2
        density = np.exp(-0.5 * (places[:, None] - nodes) ** 2) @ weights / math.sqrt(2 * math.pi)
        nodes, weights = places, density * gauss * (end - begin) / 2
    return crossed


@functools.lru_cache(maxsize=64)
def _legendre(number: int) -> tuple[FloatArray, FloatArray]:
    points, weights = np.polynomial.legendre.leggauss(number)
    return points, weights


@functools.lru_cache(maxsize=64)
def repeated_significance(alpha: float, looks: int, sides: Sides = 2) -> tuple[float, ...]:
    """True false-positive rate after 1, 2, … `looks` looks, each of which would be right alone at the level alpha.

    >>> [round(level, 4) for level in repeated_significance(0.05, 5)][-1]
    0.1417
    """
    return tuple(crossing(np.full(looks, -ndtri(alpha / sides)), sides).tolist())


def pocock(looks: int, alpha: float, sides: Sides = 2) -> float:
    """The constant line whose crossing within so many looks has the probability alpha.

    >>> round(pocock(5, 0.05), 4)
    2.4132
    """
    return _constant(looks, alpha, sides, 0.0)


def obrien_fleming(looks: int, alpha: float, sides: Sides = 2) -> float:
    """The line of the last look when the line of look k is it times sqrt(looks / k).

    >>> round(obrien_fleming(5, 0.05), 4)
    2.0401
    """
    return _constant(looks, alpha, sides, 0.5)


@functools.lru_cache(maxsize=256)
def _constant(looks: int, alpha: float, sides: Sides, power: float) -> float:
    check_looks(looks)
    shape = (looks / np.arange(1, looks + 1)) ** power

    def excess(line: float) -> float:
        return float(crossing(line * shape, sides)[-1]) - alpha

    once = float(-ndtri(alpha / sides))
    return float(brentq(excess, once - 0.01, once + 3.0, xtol=1e-8))
