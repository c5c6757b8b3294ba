"""What a look at a machine or a cluster finds: one thing a finding, with the command that mends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

#: missing: a drill cannot run; absent: it can without; warning: it can, and you should know; unknown: not found out
State: TypeAlias = Literal["ok", "missing", "absent", "warning", "unknown"]

GUIDE: Final = "docs/how-to/kind.md says how to install it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Attributes:

    about: one or two words: `API server`, `local drills`.
    text: what was found, as a sentence without its full stop.
    mend: the command, or the step in words, after which it is `ok`; empty where there is nothing to mend.
    """

    about: str
    state: State
    text: str
    mend: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def ready(findings: Iterable[Finding]) -> bool:
    """Nothing that a drill needs is missing."""
    return all(one.state != "missing" for one in findings)
