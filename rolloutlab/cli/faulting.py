"""`--fault KIND[:NAME=VALUE,...]`: faults of processes and pods, for which a scenario has no word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from chaos.faults import ProcessFault
from chaos.faults.node import NODE_FAULTS, NodeFault
from chaos.faults.plan import Extra
from scenarios import units
from scenarios.errors import ScenarioError, pick

PROCESSES: Final = ("kill", "hang", "refuse")
#: what is written -> (field, how its value is read)
_WORDS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "on": ("on", str),
    "from": ("from_seconds", units.duration),
    "weight": ("from_weight", units.share),
    "for": ("for_seconds", units.duration),
    "replicas": ("replicas", int),
    "latency": ("latency_seconds", units.duration),
    "jitter": ("jitter_seconds", units.duration),
    "loss": ("loss_ratio", units.share),
    "share": ("share", units.share),
    "status": ("status", int),
    "workers": ("workers", int),
    "mib": ("mib", int),
    "kbit": ("rate_kbit_per_second", int),
}


def faults(words: Sequence[str]) -> tuple[Extra, ...]:
    """The faults that were asked for.

    >>> faults(["pod_kill:on=stable,replicas=1,from=10s"])[0].revisions
    ('stable',)

    Raises:
        ScenarioError: an unknown kind or word, or a value that is none.
    """
    return tuple(map(_fault, words))


def _fault(word: str) -> Extra:
    kind, _, rest = word.partition(":")
    known: dict[str, Any] = dict.fromkeys(PROCESSES, ProcessFault) | dict.fromkeys(NODE_FAULTS, NodeFault)
    make = pick(kind, known, field="--fault")
    given: dict[str, Any] = {"kind": kind}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise ScenarioError(expected="NAME=VALUE, such as on=stable", got=part, field="--fault")
        field, read = pick(name, _WORDS, field="--fault")
        try:
            given[field] = read(value)
        except ValueError as error:
            raise ScenarioError(f"{name}: {error}", got=part, field="--fault") from None
    try:
        found: Extra = make(**given)
    except (ValueError, TypeError) as error:
        raise ScenarioError(f"{kind}: {error}", field="--fault") from None
    return found
