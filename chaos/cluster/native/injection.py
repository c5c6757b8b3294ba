"""One fault in one pod, as the agent on the node is told of it, and as the registry keeps it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

PREFIX: Final = "rolloutlab/"  #: of the comment of every rule that we put into a pod
MARK: Final = "ROLLOUTLAB_FAULT"  #: environment variable of processes that run inside a pod's cgroups for us
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")  #: what may stand in a file name and in a rule's comment


class RefusedError(Exception):
    """The fault cannot be had; the text says why and what to do. `gone`: since the pod or container is not there."""

    def __init__(self, text: str, *, gone: bool = False) -> None:
        super().__init__(text)
        self.gone = gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """One fault in one pod.

    Attributes:
        id: unique on the node; begins with the group.
        group: all injections of one fault of a drill.
        owner: the drill.
        seconds: it ends by itself after this real time, whatever becomes of everybody else.
        parameters: as `chaos.faults.node.NodeFault` names them; HTTP faults also have `port` and `answer_headers`.
    """

    id: str
    group: str
    owner: str
    kind: str
    pod: str
    uid: str
    container_id: str
    seconds: float
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("id", "owner"):
            if not _WORD.fullmatch(getattr(self, name)):
                raise RefusedError(f"{name} must be letters, digits, '.', '_' and '-', got {getattr(self, name)!r}")

    @property
    def mark(self) -> str:
        """What tells its rules and processes from all others, and how to undo it.

        >>> told = {"id": "f1.0", "group": "f1", "owner": "d7", "kind": "freeze", "pod": "a", "uid": "", "seconds": 1}
        >>> Injection.of({**told, "container_id": "", "parameters": {}}).mark
        'rolloutlab/d7/f1.0/freeze'
        """
        return f"{PREFIX}{self.owner}/{self.id}/{self.kind}"

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """What `plain` told of; RefusedError for anything else."""
        try:
            return cls(**{each.name: told[each.name] for each in fields(cls)})
        except KeyError as error:
            raise RefusedError(f"an injection needs {error}") from None
