"""Providers that answer what a file says: `script: [0.99, 0.95, NaN, error]`, in a scenario or behind `--bind`.

A scripted answer is a number, `NaN`, `Inf`, `null` (no data), a text, a list or a mapping. `error` says that the
provider could not measure. Where a metric has no condition its provider decides by itself, and an answer may be
Successful, Failed or Inconclusive.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from scenarios.errors import near, shown
from scenarios.units import duration
from strategies.analysis import Phase, Script

After: TypeAlias = Literal["hold", "repeat", "error"]
MAX_ANSWERS: Final = 1000
PREFIX: Final = "script:"
_FORM: Final = "script:ANSWER,ANSWER… with :hold, :repeat or :error and a duration behind it where they are needed"
_NAMED: Final = {
    "nan": float("nan"), "inf": float("inf"), "+inf": float("inf"), "-inf": float("-inf"),
}  # fmt: skip
_PLAIN: Final = {"null": None, "nil": None, "true": True, "false": False}
_MARKS: Final = "[]{}'\"`"  #: of what a command line would cut at its commas, or take with its quotes
_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,300}\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")


def answers(value: Any) -> tuple[Any, ...]:
    """The answers of a file: numbers broken as JSON's are, `error` and NaN by their words; ValueError.

    >>> answers([1, "NaN", "error", {"ok": True}])
    (1.0, nan, <Phase.ERROR: 'Error'>, {'ok': True})
    """
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list of answers such as [0.99, 0.95, NaN, error], got {shown(value)}")
    if not 1 <= len(value) <= MAX_ANSWERS:
        raise ValueError(f"expected 1 to {MAX_ANSWERS} answers, got {len(value)}")
    return tuple(Phase.ERROR if _is_error(each) else _answer(each) for each in value)


def _is_error(value: Any) -> bool:
    return value is Phase.ERROR or (isinstance(value, str) and value in ("error", "Error"))


def _answer(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_answer(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _answer(each) for key, each in value.items()}
    if isinstance(value, str):
        return value if isinstance(value, Phase) else _NAMED.get(value.lower(), value)
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def decisions(given: Sequence[Any]) -> tuple[Any, ...]:
    """Answers of a provider that decides by itself: the names of phases are phases; ValueError for another text.

    >>> decisions(answers(["Failed", 0.5]))
    (<Phase.FAILED: 'Failed'>, 0.5)
    """
    return tuple(_phase(each) if isinstance(each, str) else each for each in given)


def _phase(text: str) -> Phase:
    known = [phase.value for phase in Phase]
    if text in known:
        return Phase(text)
    hint = f" did you mean {near(text, known)!r}?" if near(text, known) else ""
    raise ValueError(f"unknown answer {shown(text)} of a metric without conditions;{hint} known: {', '.join(known)}")


def script(given: Sequence[Any], after: str, seconds: float, *, decides: bool) -> Script:
    """The scripted provider of a metric; `decides`: it has no conditions. ValueError."""
    found = decisions(given) if decides else tuple(given)
    return Script(answers=found, seconds=seconds, at_end=cast(After, after))


def parse_text(text: str) -> dict[str, Any]:
    """`script:0.99,error:repeat:30s` as the words of a file; ValueError.

    >>> parse_text("script:0.99,NaN,error:repeat:30s")
    {'script': [0.99, 'NaN', 'error'], 'after': 'repeat', 'takes': 30.0}
    """
    head, *more = text.removeprefix(PREFIX).split(":")
    found: dict[str, Any] = {"script": [_word(each.strip()) for each in head.split(",")]}
    for part in more:
        word = "after" if part in get_args(After) else "takes"
        try:
            value = part if word == "after" else duration(part)
        except ValueError:
            raise ValueError(f"expected {_FORM}, got {shown(text)}") from None
        if word in found:
            raise ValueError(f"expected {_FORM}, got {shown(text)}")
        found[word] = value
    return found


def _word(text: str) -> Any:
    if not text:
        raise ValueError(f"expected {_FORM}, got an empty answer")
    if text[0] in _MARKS or text[-1] in _MARKS:
        raise ValueError(f"expected plain answers, got {shown(text)}: lists, mappings and quotes are for files")
    if text in _PLAIN:
        return _PLAIN[text]
    return float(text) if _NUMBER.fullmatch(text) else text
