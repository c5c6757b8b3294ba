"""What a metric measures, as a word: `error_ratio`, `success_ratio`, `request_rate`, `latency_p95`; and bindings.

A binding says what a query of a user's manifest measures: `error_ratio:canary`, `latency_p99:stable:5m`. A query that
answers in per cent or milliseconds is bound with its factor: `success_ratio*100:canary`, `latency_p95*1000:canary`. A
provider may be given its answers instead: `script:0.99,0.95,error`, or `{script: [0.99, 0.95, error], after: hold}`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from scenarios.errors import near, shown, unknown
from scenarios.scripts import PREFIX, After, answers, parse_text
from scenarios.units import duration
from strategies.effects import Quantity, Query, Revision

MEASURES: Final = ("error_ratio", "success_ratio", "request_rate", "latency_p50", "latency_p95", "latency_p99")
REVISIONS: Final = (*get_args(Revision), "all")
PASS: Final = "pass"  #: the binding that assumes a metric always succeeds

_LATENCY = re.compile(r"latency_p(\d{1,2}(?:\.\d{1,4})?|9\d{1,4})")
_FORM = "MEASURE:REVISION or MEASURE:REVISION:WINDOW, such as error_ratio:canary:5m"


def parse_measure(word: str) -> tuple[Quantity, float]:
    """The quantity of a word, and its quantile (0.95 where none is meant).

    >>> parse_measure("error_ratio"), parse_measure("latency_p99"), parse_measure("latency_p999")
    (('error_ratio', 0.95), ('latency_quantile', 0.99), ('latency_quantile', 0.999))

    Raises:
        ValueError: no such measure.
    """
    if word in ("error_ratio", "success_ratio", "request_rate"):
        return cast(Quantity, word), 0.95
    found = _LATENCY.fullmatch(word) if isinstance(word, str) else None
    if found:
        digits = found[1]
        quantile = float(f"0.{digits}") if len(digits) > 2 and "." not in digits else float(digits) / 100
        if quantile > 0:
            return "latency_quantile", round(quantile, 9)
    hint = f" did you mean {near(str(word), MEASURES)!r}?" if near(str(word), MEASURES) else ""
    raise ValueError(f"unknown measure {shown(word)};{hint} known: {', '.join(MEASURES)} (any latency_pNN)")


def query(measure: str, revision: str, window_seconds: float) -> Query:
    """The typed query of a measure word."""
    quantity, quantile = parse_measure(measure)
    return Query(
        quantity=quantity,
        revision=cast("Revision", revision),
        window_seconds=window_seconds,
        quantile=quantile,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What a query of a manifest measures."""

    measure: str
    revision: str
    window_seconds: float | None = None  #: None: the query's own range says it
    factor: float = 1.0  #: the query's answer is the measured quantity times this
    passes: bool = False  #: assumed to succeed always; the rest means nothing then
    script: tuple[Any, ...] | None = None  #: its answers, as `scenarios.scripts.answers` reads them
    after: After = "hold"  #: what follows the last of them
    takes_seconds: float = 0.0  #: how long each takes

    @staticmethod
    def parse(text: object) -> Binding:
        """Read `MEASURE[*FACTOR]:REVISION[:WINDOW]`, `script:ANSWER,…`, the mapping of a script, or `pass`.

        >>> Binding.parse("success_ratio:canary:5m").window_seconds, Binding.parse("script:0.9,error:repeat").after
        (300.0, 'repeat')

        Raises:
            ValueError: another form, an unknown measure or revision, a factor or window that is none.
        """
        if text == PASS:
            return Binding(measure="", revision="", passes=True)
        if isinstance(text, str) and text.startswith(PREFIX):
            return _scripted(parse_text(text))
        if isinstance(text, Mapping):
            return _scripted(text)
        parts = text.split(":") if isinstance(text, str) else []
        if len(parts) not in (2, 3):
            raise ValueError(f"expected {_FORM}, got {shown(text)}")
        word, _, times = parts[0].partition("*")
        parse_measure(word)
        if parts[1] not in REVISIONS:
            hint = f" did you mean {near(parts[1], REVISIONS)!r}?" if near(parts[1], REVISIONS) else ""
            raise ValueError(f"unknown revision {parts[1]!r};{hint} known: {', '.join(REVISIONS)}")
        window = duration(parts[2]) if len(parts) == 3 else None
        if window is not None and not window > 0:
            raise ValueError(f"expected a window above 0, got {parts[2]!r}")
        return Binding(measure=word, revision=parts[1], window_seconds=window, factor=_factor(times, parts[0]))


def _scripted(words: Mapping[str, Any]) -> Binding:
    """The binding of a script, in the words of a file."""
    for word in words:
        if word not in ("script", "after", "takes"):
            raise ValueError(str(unknown(word, ("script", "after", "takes"), what="field")))
    after = words.get("after", "hold")
    if after not in get_args(After):
        raise ValueError(str(unknown(after, get_args(After), what="word")))
    return Binding(
        measure="",
        revision="",
        script=answers(words.get("script")),
        after=after,
        takes_seconds=duration(words.get("takes", 0)),
    )


def _factor(text: str, whole: str) -> float:
    if "*" not in whole:
        return 1.0
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not (math.isfinite(factor) and factor > 0):
        raise ValueError(f"expected a factor above 0 after *, such as success_ratio*100, got {whole!r}")
    return factor
