"""What may be asked of `samplesize`, and the one line that says what is wrong with it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from scenarios.errors import ScenarioError
from scenarios.units import share_text
from strategies import limits

_PARTS: Final = re.compile(r"(\d{1,7}(?:\.\d{1,6})?):(\d{1,7}(?:\.\d{1,6})?)")
_NUMBER: Final = re.compile(r"\d{1,15}(?:\.\d{1,15})?")
_MOST_RATIO: Final = 1e6
_MOST_SPLITS: Final = 20
_INSIDE: Final = "a percentage above 0% and below 100%"


@dataclass(frozen=True)
class Split:
    """How requests are divided: `ratio` stable requests for each of the canary."""

    text: str
    ratio: float

    @property
    def weight(self) -> float:
        """The canary's share of the traffic, 0..1."""
        return 1 / (1 + self.ratio)

    def stable(self, canary: int) -> int:
        """Stable requests that go with those of the canary, rounded up."""
        return math.ceil(round(canary * self.ratio, 6))  # a ratio from a percentage is off in its last digit


EVEN: Final = Split("1:1", 1.0)
SPLITS: Final = (EVEN, Split("1:9", 9.0))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked: shares and probabilities 0..1, rates in requests per second, times in seconds.

    Raises:
        ScenarioError: values that no number of requests answers.
    """

    p0: float
    p1: float
    alpha: float = 0.05
    power: float = 0.8
    sides: limits.Sides = 2
    splits: tuple[Split, ...] = SPLITS
    rate_per_second: float | None = None
    window_seconds: float | None = None
    margin: float | None = None  #: half width of an interval; None: the change itself

    def __post_init__(self) -> None:
        shares = {"--from": self.p0, "--to": self.p1, "--alpha": self.alpha, "--power": self.power}
        for field, value in (shares if self.margin is None else shares | {"--margin": self.margin}).items():
            if not 0 < value < 1:
                raise ScenarioError(expected=_INSIDE, got=share_text(value), field=field)
        if self.power <= self.alpha:
            expected = f"more than alpha, {share_text(self.alpha)}: a coin reaches as much"
            raise ScenarioError(expected=expected, got=share_text(self.power), field="--power")
        try:
            limits.information_known(self.p0, self.p1)
        except ValueError:
            expected = f"another percentage than --from {share_text(self.p0)}: no number of requests finds no change"
            raise ScenarioError(expected=expected, got=share_text(self.p1), field="--to") from None
        for field, measure in (("--rate", self.rate_per_second), ("--window", self.window_seconds)):
            if measure is not None and not measure > 0:
                raise ScenarioError(expected="more than 0", got=measure, field=field)
        if self.window_seconds is not None and self.rate_per_second is None:
            raise ScenarioError("goes with --rate: what a window holds depends on the traffic", field="--window")
        if len(self.splits) > _MOST_SPLITS:
            raise ScenarioError(f"at most {_MOST_SPLITS} splits, got {len(self.splits)}", field="--ratio")

    @property
    def half_width(self) -> float:
        """The margin, or the change itself."""
        return round(abs(self.p1 - self.p0), 12) if self.margin is None else self.margin


def split(words: str) -> Split:
    """A split `canary:stable`.

    >>> split("1:9").ratio, split("5:95").weight
    (9.0, 0.05)
    """
    found = _PARTS.fullmatch(words.strip())
    canary, stable = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not (canary and stable and 1 / _MOST_RATIO <= stable / canary <= _MOST_RATIO):
        expected = "canary:stable such as 1:9, neither a million times the other"
        raise ScenarioError(expected=expected, got=words, field="--ratio")
    return Split(words.strip(), stable / canary)


def split_of_weight(weight: float) -> Split:
    """The split of a canary with a share (0..1) of the traffic.

    >>> split_of_weight(0.1).text, split_of_weight(0.03).text, split_of_weight(0.1).stable(4011)
    ('1:9', '1:32.33', 36099)
    """
    if not 1 / _MOST_RATIO <= weight <= 1 - 1 / _MOST_RATIO:
        expected = "a percentage from 0.0001% to 99.9999%"
        raise ScenarioError(expected=expected, got=share_text(weight), field="--weight")
    ratio = (1 - weight) / weight
    return Split(f"1:{ratio:.4g}" if ratio < 1000 else f"1:{ratio:.0f}", ratio)


def read(field: str, value: str, parse: Callable[[Any], float]) -> float:
    """The value of an option with a unit; a bare number means what it means in a scenario file.

    Raises:
        ScenarioError: what the unit's parser says, with the name of the option.
    """
    try:
        return parse(float(value) if _NUMBER.fullmatch(value.strip()) else value)
    except ValueError as error:
        raise ScenarioError(str(error), field=field) from None
