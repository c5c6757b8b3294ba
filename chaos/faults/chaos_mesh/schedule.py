"""Schedule: Chaos Mesh itself starts a fault again and again; the controller's own time zone counts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from chaos.cluster.kinds import CHAOS_SCHEDULE, Kind
from chaos.faults.chaos_mesh.chaos import Bound, Chaos
from chaos.faults.chaos_mesh.target import Target
from chaos.faults.chaos_mesh.values import Spec, number, one_of

_FIELDS: Final = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 6),
)
_NAMES: Final = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "day of the week": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}
_NICKNAMES: Final = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EVERY: Final = re.compile(r"@every ([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+")
_PART: Final = re.compile(r"(\*|\?|(?P<low>\w+)(-(?P<high>\w+))?)(/(?P<step>\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Attributes:
    cron: five fields, or six that begin with seconds, `@hourly` and its like, or `@every 10m`.
    history_limit: how many finished faults are kept.
    starting_deadline_seconds: a start that is later than this is left out.
    """

    cron: str
    item: Chaos
    concurrency: Literal["Forbid", "Allow"] = "Forbid"
    history_limit: int = 1
    starting_deadline_seconds: int | None = None

    def __post_init__(self) -> None:
        check_cron(self.cron)
        one_of("concurrency", self.concurrency, ("Forbid", "Allow"))
        number("history_limit", self.history_limit, 1)
        if self.starting_deadline_seconds is not None:
            number("starting_deadline_seconds", self.starting_deadline_seconds, 1)
        if isinstance(self.item, Schedule):
            raise ValueError("a schedule of a schedule is not a thing")

    @property
    def kind(self) -> Kind:
        """See `Chaos`."""
        return CHAOS_SCHEDULE

    @property
    def bound(self) -> Bound:
        """See `Chaos`."""
        return self.item.bound

    def aimed(self, target: Target, duration_seconds: float) -> Schedule:
        """See `Chaos`."""
        return replace(self, item=self.item.aimed(target, duration_seconds))

    def spec(self) -> Spec:
        """See `Chaos`; the item stands under the name of its kind with a small beginning."""
        name = self.item.kind.kind
        found: Spec = {
            "schedule": self.cron,
            "type": name,
            "concurrencyPolicy": self.concurrency,
            "historyLimit": self.history_limit,
            name.removesuffix("Chaos").lower() + "Chaos": self.item.spec(),
        }
        late = self.starting_deadline_seconds
        return found if late is None else {**found, "startingDeadlineSeconds": late}


def check_cron(text: str) -> None:
    """Refuse what is no cron expression of Chaos Mesh.

    >>> check_cron("0 10 * * mon-fri")
    >>> check_cron("61 * * * *")
    Traceback (most recent call last):
        ...
    ValueError: cron '61 * * * *': minute must lie in 0..59, got '61'
    """
    if text in _NICKNAMES or _EVERY.fullmatch(text):
        return
    parts = text.split()
    if text.startswith("@") or len(parts) not in (5, 6):
        known = ", ".join(_NICKNAMES)
        raise ValueError(f"cron {text!r}: expected five fields, six with seconds, '@every 10m' or one of {known}")
    for (name, low, high), part in zip(_FIELDS[-len(parts) :], parts, strict=True):
        for each in part.split(","):
            _check(text, name, each, range(low, high + 1))


def _check(text: str, name: str, part: str, allowed: range) -> None:
    found = _PART.fullmatch(part)
    if found is None:
        raise ValueError(f"cron {text!r}: {part!r} is no {name}")
    ends = [_value(name, end) for end in (found["low"], found["high"]) if end is not None]
    if any(end not in allowed for end in ends) or found["step"] == "0":
        raise ValueError(f"cron {text!r}: {name} must lie in {allowed[0]}..{allowed[-1]}, got {part!r}")
    if ends != sorted(ends):
        raise ValueError(f"cron {text!r}: {name} {part!r} ends before it begins")


def _value(name: str, word: str) -> int:
    names = _NAMES.get(name, [])
    if word.lower() in names:
        return names.index(word.lower()) + (name == "month")
    return int(word) if word.isdecimal() and word.isascii() else -1
