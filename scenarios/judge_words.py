"""A judge in the words of a scenario: its name, when it looks, and its settings with their units.

`judge: {name: lindon_malek, share: 10%, alpha: 1%, interval: 15s}` in the place of `metrics:`. Settings have the names
of the judge's own (`strategies.judges`), in camel case and without the unit, which stands in the value.
"""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Iterable
from typing import Any, Final

from pydantic import ConfigDict, Field, model_validator

from scenarios.errors import near, shown
from scenarios.schema import Model
from scenarios.units import Count, Duration, duration, share
from strategies.judges.base import Judge
from strategies.judges.program import Judging

_SECONDS: Final = "_seconds"
_KINDS: Final[dict[type, str]] = {bool: "true or false", int: "a whole number", str: "a word"}


class JudgeWords(Model):
    """A judge for counts, in the place of metrics; its settings stand beside these words."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True, allow_inf_nan=False)

    name: str = Field(description="threshold, failure_limit, lindon_malek, ripr, msprt, sprt, … (`rolloutlab judge`)")
    interval_seconds: Duration = Field(15.0, alias="interval", gt=0, description="from one look to the next")
    initial_delay_seconds: Duration = Field(0.0, alias="initialDelay", description="before the counts begin")
    count: Count | None = Field(
        None,
        ge=1,
        description="looks without a decision after which it is inconclusive; failure_limit: measurements to pass",
    )

    @model_validator(mode="after")
    def _known(self) -> JudgeWords:
        self.judging()
        return self

    def judging(self) -> Judging:
        """The judge and its looks.

        Raises:
            ValueError: an unknown judge or setting, or a value that it refuses.
        """
        parameters = _parameters(self.name)
        settings: dict[str, Any] = {}
        for word, value in (self.model_extra or {}).items():
            setting = _setting(word, parameters)
            settings[setting] = _value(word, setting, value, parameters[setting])
        count = self.count
        if "count" in parameters:
            settings["count"], count = count, None
        return Judging(
            judge=_made(self.name, settings, parameters),
            every_seconds=self.interval_seconds,
            count=count,
            initial_delay_seconds=self.initial_delay_seconds,
        )


def _made(name: str, settings: dict[str, Any], parameters: Iterable[str]) -> Judge:
    """The judge, ready to judge; what it refuses is said in the words of a file."""
    from strategies.judges import make  # numpy and scipy: only where a judge stands

    try:
        judge = make(name, **settings)
        assert judge.threshold is not None  # some compute it here, and refuse what they cannot reach
    except ValueError as error:
        known = "|".join(each for each in parameters if "_" in each)
        text = re.sub(rf"\b(?:{known})\b", lambda found: word_of(found[0]), str(error)) if known else str(error)
        raise ValueError(text) from None
    return judge


def _parameters(name: str) -> dict[str, Any]:
    """Settings of a judge that a file may give, with their types."""
    from strategies.judges import REGISTRY

    if name not in REGISTRY:
        hint = f" did you mean {near(name, REGISTRY)!r}?" if near(name, REGISTRY) else ""
        raise ValueError(f"unknown judge {shown(name)};{hint} known: {', '.join(sorted(REGISTRY))}")
    hints = typing.get_type_hints(REGISTRY[name])
    return {each: hints[each] for each in inspect.signature(REGISTRY[name]).parameters if each != "alerts"}


def _setting(word: str, parameters: Iterable[str]) -> str:
    """The judge's own name of a setting."""
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", word).lower()
    for setting in (snake, snake + _SECONDS):
        if setting in parameters and not word.endswith(_SECONDS):
            return setting
    known = [word_of(each) for each in parameters]
    hint = f" did you mean {near(word, known)!r}?" if near(word, known) else ""
    raise ValueError(f"unknown setting {shown(word)};{hint} known: {', '.join(sorted(known))}")


def word_of(setting: str) -> str:
    """The word of a file for a setting of a judge.

    >>> word_of("burn_in_seconds"), word_of("failure_limit")
    ('burnIn', 'failureLimit')
    """
    first, *rest = setting.removesuffix(_SECONDS).split("_")
    return first + "".join(part.title() for part in rest)


def _value(word: str, setting: str, value: Any, hint: Any) -> Any:
    """The value of a setting; durations and percentages carry their unit."""
    wanted = [each for each in typing.get_args(hint) or (hint,) if each is not type(None)]
    try:
        if setting.endswith(_SECONDS) and value is not None:
            return duration(value)
        if isinstance(value, str) and value.endswith("%") and float in wanted:
            return share(value)
    except ValueError as error:
        raise ValueError(f"{word}: {error}") from None
    if value is None and len(wanted) < len(typing.get_args(hint)):
        return None
    if float in wanted:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return value
        raise ValueError(f"{word}: expected a number or a percentage, got {shown(value)}")
    kinds = {each if isinstance(each, type) else type(each) for each in wanted}
    if type(value) not in kinds:
        what = " or ".join(_KINDS[kind] for kind in sorted(kinds, key=str))
        raise ValueError(f"{word}: expected {what}, got {shown(value)}")
    return value
