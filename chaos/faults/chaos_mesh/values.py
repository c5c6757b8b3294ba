"""Values as Chaos Mesh reads them: durations of one unit, percentages as text, sizes in bytes; each checked once.

Source:
    The CRDs of Chaos Mesh 2.8.3; its webhooks where the CRDs are silent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeAlias

Spec: TypeAlias = dict[str, Any]
MOST_SECONDS: Final = 86_400.0  #: longest duration of one object; a drill's own limits are far below
_LABEL: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_KEY: Final = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME: Final = 253


def duration_text(seconds: float) -> str:
    """A duration in the one unit that holds it exactly; the pattern of `delay.latency` takes no sum of units.

    >>> duration_text(90), duration_text(0.25), duration_text(0.0001), duration_text(0)
    ('90s', '250ms', '100us', '0ms')
    """
    micros = round(seconds * 1e6)
    if micros and micros % 1_000_000 == 0:
        return f"{micros // 1_000_000}s"
    return f"{micros // 1000}ms" if micros % 1000 == 0 else f"{micros}us"


def percent_text(share: float) -> str:
    """A share as the percentage that Chaos Mesh wants as text.

    >>> percent_text(0.125), percent_text(1), percent_text(0.07)
    ('12.5', '100', '7')
    """
    return f"{100 * share:.6f}".rstrip("0").rstrip(".")


def number(name: str, value: float, low: float, high: float = math.inf, *, above: bool = False) -> None:
    """Refuse a number outside [low, high], or at low where it must be above.

    Raises:
        ValueError: with the name and what would do.
    """
    if not (value > low if above else value >= low) or not value <= high:
        bounds = f"above {low:g}" if above else f"{low:g} or more"
        most = "" if math.isinf(high) else f" and at most {high:g}"
        raise ValueError(f"{name} must be {bounds}{most}, got {value:g}")


def share(name: str, value: float, *, above: bool = False) -> None:
    """Refuse what is no share of a whole."""
    number(name, value, 0, 1, above=above)


def bounded(seconds: float) -> None:
    """Refuse a duration that is missing or without end: no object of ours lasts for ever."""
    number("duration_seconds", seconds, 0, MOST_SECONDS, above=True)


def one_of(name: str, value: str, known: Collection[str]) -> None:
    """Refuse a word that is not known, and say which are."""
    if value not in known:
        raise ValueError(f"{name}: unknown {value!r}; known: {', '.join(sorted(known))}")


def object_name(name: str, value: str) -> None:
    """Refuse what cannot be the name of an object."""
    if len(value) > _LONGEST_NAME or not _NAME.fullmatch(value):
        raise ValueError(f"{name} must be a name of Kubernetes (small letters, digits, '-' and '.'), got {value!r}")


def labels(name: str, values: Mapping[str, str]) -> None:
    """Refuse what cannot be labels."""
    for key, value in values.items():
        if not _KEY.fullmatch(key) or not _LABEL.fullmatch(value):
            raise ValueError(
                f"{name}: {key!r}: {value!r} is no label of Kubernetes (63 letters, digits, '-_.' at most)"
            )
