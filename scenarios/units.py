"""Text with units, parsed once: `30s`, `1h30m`, `512Mi`, `120/s`, `5%`.

Every parser returns a float in the unit that field names use (seconds, MiB, requests per second, a share of 0..1) and
raises ValueError with what was expected. Durations follow Go (`1h30m`, `1.5h`; a bare number is seconds).
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

from scenarios.errors import shown

LONGEST_SECONDS: Final = 2_147_483_647  #: what an int32 of Kubernetes holds, 68 years: its word for "never"
SHORTEST_SECONDS: Final = 1e-6  #: control time is whole microseconds
MOST_PER_SECOND: Final = 1e9
LARGEST: Final = 1e15  #: of a plain number: beyond it sums lose whole units

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_MIB = {
    "": 1 / 1048576, "k": 1000 / 1048576, "M": 1e6 / 1048576, "G": 1e9 / 1048576, "T": 1e12 / 1048576,
    "Ki": 1 / 1024, "Mi": 1.0, "Gi": 1024.0, "Ti": 1048576.0,
}  # fmt: skip


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected {what}, got {shown(value)}")
    if not math.isfinite(value):
        raise ValueError(f"expected {what}, got {value}")
    return float(value)


def duration(value: Any) -> float:
    """Seconds of a duration.

    >>> duration("1h30m"), duration("1.5h"), duration(90)
    (5400.0, 5400.0, 90.0)
    """
    what = "a duration such as 30s, 5m or 1h30m"
    if isinstance(value, str):
        text = value.strip()
        parts = _DURATION.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            try:
                return bounded(non_negative(float(text), what), value)
            except ValueError as error:
                known = str(error).startswith("expected a duration of")
                raise ValueError(str(error) if known else f"expected {what}, got {shown(value)}") from None
        return bounded(sum(float(number) * _SECONDS[unit] for number, unit in parts), value)
    return bounded(non_negative(_number(value, what), what), value)


def bounded(seconds: float, given: Any) -> float:
    """A duration that control time can hold: 0, or from a microsecond to 68 years."""
    if seconds > LONGEST_SECONDS:
        raise ValueError(f"expected a duration of at most {LONGEST_SECONDS}s (68 years), got {shown(given)}")
    if 0 < seconds < SHORTEST_SECONDS:
        raise ValueError(f"expected a duration of 0s, or of at least 0.001ms, got {shown(given)}")
    return seconds


def non_negative(value: float, what: str) -> float:
    """The value itself, or an error when it is negative or not a number."""
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"expected {what}, 0 or more, got {value}")
    return value


def quantity_mib(value: Any) -> float:
    """MiB of a Kubernetes quantity of memory.

    >>> quantity_mib("512Mi"), quantity_mib("1Gi")
    (512.0, 1024.0)
    """
    what = "a quantity of memory such as 512Mi or 1Gi"
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([kMGT]i?|Ki)?", value.strip())
        if not found:
            raise ValueError(f"expected {what}, got {value!r}")
        return float(found[1]) * _MIB[found[2] or ""]
    return non_negative(_number(value, what), what) * _MIB[""]


def rate(value: Any) -> float:
    """Events per second.

    >>> rate("120/s"), rate("100/min"), rate("10M/d")
    (120.0, 1.6666666666666667, 115.74074074074075)
    """
    what = "a rate such as 120/s, 100/min or 10M/d"
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)/(s|min|m|h|d)", value.strip())
        if not found:
            raise ValueError(f"expected {what}, got {value!r}")
        per = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}[found[3]]
        per_second = float(found[1]) * {"": 1.0, "k": 1e3, "M": 1e6}[found[2]] / per
        if per_second > MOST_PER_SECOND:
            raise ValueError(f"expected a rate of at most 1000M/s, got {shown(value)}")
        return per_second
    raise ValueError(f"expected {what}, got {shown(value)}")


def share(value: Any) -> float:
    """A share between 0 and 1 of `5%` or `0.05`.

    >>> share("5%"), share(0.05)
    (0.05, 0.05)
    """
    what = "a percentage from 0% to 100% such as 5% (or a share between 0 and 1)"
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)%", value.strip())
        if not found:
            raise ValueError(f"expected {what}, got {value!r}")
        number = float(found[1]) / 100
    else:
        number = _number(value, what)
    if not 0 <= number <= 1:
        raise ValueError(f"expected {what}, got {value!r}")
    return number


def whole(value: Any) -> int:
    """A whole number; a text or a truth value is none.

    >>> whole(10), whole(10.0)
    (10, 10)
    """
    number = _number(value, "a whole number")
    if number != int(number):
        raise ValueError(f"expected a whole number, got {value!r}")
    if abs(number) > LONGEST_SECONDS:
        raise ValueError(f"expected a whole number of at most {LONGEST_SECONDS}, got {shown(value)}")
    return int(number)


def real(value: Any) -> float:
    """A number; a text or a truth value is none."""
    number = _number(value, "a number")
    if abs(number) > LARGEST:
        raise ValueError(f"expected a number of at most {LARGEST:g}, got {shown(value)}")
    if 0 < abs(number) < 1 / LARGEST:
        raise ValueError(f"expected 0, or a number of at least {1 / LARGEST:g}, got {shown(value)}")
    return number


def number_of_seconds(value: Any) -> float:
    """Seconds as Kubernetes counts them: a number, no unit."""
    number = _number(value, "a number of seconds")
    if number > LONGEST_SECONDS:
        raise ValueError(f"expected a number of seconds of at most {LONGEST_SECONDS}, got {shown(value)}")
    return number


# --- back to text: what a reader sees is what a file may say -----------------------------------------------------


def duration_text(seconds: float) -> str:
    """A duration in the largest units that say it exactly; `duration` reads it back.

    >>> duration_text(5400), duration_text(0.25), duration_text(90.5), duration_text(0)
    ('1h30m', '250ms', '90.5s', '0s')
    """
    if seconds == 0:
        return "0s"
    if seconds < 1 and seconds * 1000 == int(seconds * 1000):
        return f"{int(seconds * 1000)}ms"
    if seconds != int(seconds) or seconds >= 1e15:
        return f"{_digits(seconds)}s"
    left, text = int(seconds), ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text


def mib_text(mib: float) -> str:
    """A quantity of memory; `quantity_mib` reads it back.

    >>> mib_text(512), mib_text(2048), mib_text(0.5)
    ('512Mi', '2Gi', '0.5Mi')
    """
    if mib and mib % 1024 == 0 and mib < 1e15:
        return f"{int(mib) // 1024}Gi"
    return f"{_digits(mib)}Mi"


def rate_text(per_second: float) -> str:
    """A rate; `rate` reads it back.

    >>> rate_text(100), rate_text(0.5)
    ('100/s', '0.5/s')
    """
    return f"{_digits(per_second)}/s"


def share_text(value: float) -> str:
    """A percentage, rounded to what a reader needs.

    >>> share_text(0.001), share_text(1.0)
    ('0.1%', '100%')
    """
    return f"{value * 100:.10g}%"


def _digits(value: float) -> str:
    """A number without an exponent, as short as it reads back exactly."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return format(Decimal(repr(value)), "f")


def _unit(read: Any, pattern: str, example: str) -> tuple[Any, ...]:
    """How a unit is read, and how editors see it: a text of this form, or a number."""
    text = {"type": "string", "pattern": f"^(?:{pattern})$", "examples": [example]}
    return BeforeValidator(read), WithJsonSchema({"anyOf": [text, {"type": "number", "minimum": 0}]})


_NUMBER = r"\d+(\.\d+)?"

Duration = Annotated[float, *_unit(duration, rf"({_NUMBER}(ms|s|m|h|d|w))+|{_NUMBER}", "30s")]
Mib = Annotated[float, *_unit(quantity_mib, rf"{_NUMBER}([kMGT]i?|Ki)?", "512Mi")]
Share = Annotated[float, *_unit(share, rf"{_NUMBER}%", "5%")]
Rate = Annotated[
    float,
    BeforeValidator(rate),
    WithJsonSchema({"type": "string", "pattern": rf"^{_NUMBER}[kM]?/(s|min|m|h|d)$", "examples": ["120/s"]}),
]
Count = Annotated[int, BeforeValidator(whole)]
Number = Annotated[float, BeforeValidator(real)]
Seconds = Annotated[float, BeforeValidator(number_of_seconds)]
