"""`--guard NAME=VALUE`: the hard limits of a drill, in the units of a scenario file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from chaos.guards import Limits
from scenarios import units
from scenarios.errors import ScenarioError, pick

#: name -> (field of `Limits`, how its value is read, an example)
GUARDS: Final[dict[str, tuple[str, Callable[[Any], Any], str]]] = {
    "error_ratio": ("error_ratio", units.share, "75%"),
    "p99": ("p99_seconds", units.duration, "2s"),
    "ready_replicas": ("ready_replicas", lambda text: units.whole(int(text)), "3"),
    "wall": ("wall_seconds", units.duration, "30m"),
}


def limits(words: Sequence[str]) -> Limits:
    """The limits of a drill; those that are not named are the usual ones.

    >>> limits(["p99=2s", "error_ratio=off"])
    Limits(error_ratio=None, p99_seconds=2.0, ready_replicas=None, wall_seconds=1800.0, window_seconds=5.0, \
fewest_requests=100, react_seconds=3.0, strict=False)

    Raises:
        ScenarioError: an unknown name, or a value that is none.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise ScenarioError(expected="NAME=VALUE, such as error_ratio=90% or wall=off", got=word, field="--guard")
        field, read, example = pick(name, GUARDS, field="--guard")
        try:
            found[field] = None if value == "off" else read(value)
            Limits(**found)
        except ValueError:
            expected = f"{name} as in {name}={example}, or off"
            raise ScenarioError(expected=expected, got=word, field="--guard") from None
    return Limits(**found, strict=found.get("error_ratio") is not None)
