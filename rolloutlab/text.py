"""Numbers as a person reads them: as many digits as the run supports, with the unit, and never a bare mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

NONE = "–"  #: not applicable


def share(value: Mapping[str, Any], n: int) -> str:
    """A share in per cent with its interval; nothing seen is below 3/n (the rule of three), not 0.

    >>> share({"share": 0.9912, "lo": 0.9893, "hi": 0.9929}, 10_000)
    '99.1 % [98.9–99.3]'
    >>> share({"share": 0.0, "lo": 0.0, "hi": 0.0004}, 10_000), share({"share": 1.0, "lo": 0.9996, "hi": 1.0}, 10_000)
    ('0 % [< 0.03]', '100 % [> 99.97]')
    """
    if not n or not math.isfinite(value["share"]):
        return NONE
    if value["share"] in (0.0, 1.0):
        bound = min(300 / n, 100.0)
        digits = decimals(bound)
        return f"0 % [< {bound:.{digits}f}]" if value["share"] == 0 else f"100 % [> {100 - bound:.{digits}f}]"
    middle, lo, hi = (100 * value[key] for key in ("share", "lo", "hi"))
    digits = decimals((hi - lo) / 2)
    return f"{middle:.{digits}f} % [{lo:.{digits}f}–{hi:.{digits}f}]"


def decimals(reach: float, most: int = 4) -> int:
    """Decimals of a number that is known to within `reach`.

    >>> decimals(0.18), decimals(3.0), decimals(0.03)
    (1, 0, 2)
    """
    return 0 if reach >= 1 or reach <= 0 else min(most, math.ceil(-math.log10(reach)))


class TimeUnit(NamedTuple):
    """A unit in which the times of one column read well."""

    name: str
    seconds: float
    digits: int

    def text(self, *values: float) -> str:
        """Times without their unit: `92 / 240`."""
        if not all(map(math.isfinite, values)):
            return NONE
        return " / ".join(f"{value / self.seconds:,.{self.digits}f}" for value in values)


def time_unit(longest: float) -> TimeUnit:
    """The unit for times up to the longest, given in seconds (NaN where there is none).

    >>> time_unit(240.0).name, time_unit(2300.0).name, time_unit(90_000.0).text(7200.0, 90_000.0)
    ('s', 'min', '2.0 / 25.0')
    """
    if longest >= 4 * 3600:
        return TimeUnit("h", 3600, 1)
    if longest >= 900:
        return TimeUnit("min", 60, 1)
    return TimeUnit("s", 1, 1 if longest < 10 else 0)


def seconds(*values: float) -> str:
    """Times with a unit that fits the longest.

    >>> seconds(92.4, 240.2), seconds(250.0, 960.0), seconds(math.nan)
    ('92 / 240 s', '4.2 / 16.0 min', '–')
    """
    if not all(map(math.isfinite, values)):
        return NONE
    unit = time_unit(max(map(abs, values)))
    return f"{unit.text(*values)} {unit.name}"


def count(value: float) -> str:
    """A number of things with at most four digits, thousands apart.

    >>> count(14512.3), count(22.4), count(3.25), count(0.0417), count(0.0), count(1234567.0), count(-66.6)
    ('14,510', '22', '3.2', '0.042', '0', '1,235,000', '−67')
    """
    if not math.isfinite(value):
        return NONE
    if value < 0:
        return f"−{count(-value)}"
    if value == int(value) and value < 10_000:
        return f"{int(value):,}"
    if value < 10:
        return f"{value:.1f}" if value >= 0.1 else f"{value:.2g}"
    return f"{significant(value, 4) if value >= 1000 else round(value):,.0f}"


def usd(value: float) -> str:
    """Money to two digits: more would pretend.

    >>> usd(0.527), usd(1437.0), usd(-12.3), usd(0.0)
    ('$0.53', '$1,400', '−$12', '$0')
    """
    if not math.isfinite(value):
        return NONE
    if value < 0:
        return f"−{usd(-value)}"
    rounded = significant(value, 2)
    places = 0 if rounded >= 10 or rounded == 0 else 1 if rounded >= 1 else 1 - math.floor(math.log10(rounded))
    return f"${rounded:,.{places}f}"


def significant(value: float, digits: int) -> float:
    """The value rounded to so many digits.

    >>> significant(14512.3, 2), significant(0.0, 2)
    (15000.0, 0.0)
    """
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def with_interval(mean: float, lo: float, hi: float) -> str:
    """A difference with its interval; one that may be none at all says so.

    >>> with_interval(-1234.5, -1240.2, -1228.8), with_interval(0.4, -0.1, 0.9)
    ('−1,234 [−1,240 to −1,229]', 'no detectable change')
    >>> with_interval(-20.0, -39.7, -0.3), with_interval(math.nan, math.nan, math.nan)
    ('−20.0 [−39.7 to −0.3]', '–')
    """
    if not math.isfinite(mean):
        return NONE
    if lo == hi == 0:
        return "equal"
    if not (math.isfinite(lo) and math.isfinite(hi)) or lo <= 0 <= hi:
        return "no detectable change"
    reach = (hi - lo) / 2 if hi > lo else abs(mean) / 100
    digits = max(decimals(reach, 3), decimals(min(abs(lo), abs(hi)), 3))
    mark = {-1: "−", 0: "", 1: "+"}
    middle, low, high = (f"{mark[(value > 0) - (value < 0)]}{abs(value):,.{digits}f}" for value in (mean, lo, hi))
    return f"{middle} [{low} to {high}]"


def outcome(name: str) -> str:
    """The word of an outcome as people say it.

    >>> outcome("rolled_back")
    'rolled back'
    """
    return name.replace("_", " ")


def one_line(words: str) -> str:
    """A text without line breaks."""
    return " ".join(words.split())


def safe(words: str) -> str:
    r"""A text whose letters can do nothing to a terminal: names and titles come from files of others.

    >>> safe("\x1b[31mred\nline")
    '�[31mred�line'
    """
    return "".join(letter if letter.isprintable() else "�" for letter in words)
