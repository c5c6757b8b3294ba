"""What was heard of one rollout, and its short form in YAML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A ReplicaSet as the API server told of it; in text `1.23 b 5/3`: of template b 5 pods are wanted, 3 available."""

    at: float
    template: str
    spec: int
    available: int

    def __str__(self) -> str:
        return f"{self.at:.3f} {self.template} {self.spec}/{self.available}"

    @classmethod
    def read(cls, text: str) -> Row:
        """From its text."""
        at, template, counts = text.split()
        spec, _, available = counts.partition("/")
        return cls(float(at), template, int(spec), int(available))


class Wish(NamedTuple):
    """What the Deployment wants from `at` on, when the API server had answered; in text `0.04 b 10`."""

    at: float
    template: str
    replicas: int

    def __str__(self) -> str:
        return f"{self.at:.3f} {self.template} {self.replicas}"

    @classmethod
    def read(cls, text: str) -> Wish:
        """From its text."""
        at, template, replicas = text.split()
        return cls(float(at), template, int(replicas))


@dataclass(slots=True)
class Life:
    """One pod, as `b 0.10 run 0.92 ready 2.13` in text: template, when it was made, and what was heard when.

    Attributes:
        made: before 0 where it is older than the rollout.
        events: (seconds, run | ready | unready | ended).
    """

    template: str
    made: float
    events: list[tuple[float, str]] = field(default_factory=list)

    def first(self, what: str) -> float | None:
        """When something happened first, None when it did not."""
        return next((at for at, event in self.events if event == what), None)

    def __str__(self) -> str:
        return " ".join([self.template, f"{self.made:.3f}", *(f"{what} {at:.3f}" for at, what in self.events)])

    @classmethod
    def read(cls, text: str) -> Life:
        """From its text."""
        template, made, *rest = text.split()
        pairs = zip(rest[::2], rest[1::2], strict=True)
        return cls(template, float(made), [(float(at), what) for what, at in pairs])


@dataclass(slots=True)
class Recording:
    """One rollout: times in seconds since it was asked for, each when it was heard.

    Attributes:
        second: where in a second of the wall clock it began, 0 to 1: conditions of pods are kept in whole seconds.
        wishes: in order.
        rows: of ReplicaSets in the order of the API server; the first ones, at 0, are how it began.
        lives: pods, in the order in which they were made.
    """

    case: str
    second: float
    wishes: list[Wish]
    rows: list[Row]
    lives: list[Life]

    def plain(self) -> dict[str, Any]:
        """As it stands in a YAML file."""
        return {
            "case": self.case,
            "second": round(self.second, 3),
            "wishes": [str(each) for each in self.wishes],
            "rows": [str(each) for each in self.rows],
            "pods": [str(each) for each in self.lives],
        }

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Recording:
        """From a YAML file."""
        return cls(
            plain["case"],
            plain["second"],
            [Wish.read(each) for each in plain["wishes"]],
            [Row.read(each) for each in plain["rows"]],
            [Life.read(each) for each in plain["pods"]],
        )

    def lines(self) -> list[str]:
        """Everything, for a person to read."""
        return [
            f"{name}: {each}" for name, of in self.plain().items() for each in (of if isinstance(of, list) else [of])
        ]

    def sizes(self) -> dict[str, int]:
        """What each ReplicaSet wanted last."""
        return {row.template: row.spec for row in self.rows}

    def templates(self) -> list[str]:
        """Those that have a ReplicaSet, oldest first."""
        return list(dict.fromkeys(row.template for row in self.rows))


def paths(rows: Sequence[Row], templates: Sequence[str]) -> list[tuple[float, tuple[int, ...]]]:
    """The sizes of all ReplicaSets each time one was changed; what does not exist yet has size 0."""
    now = dict.fromkeys(templates, 0)
    found: list[tuple[float, tuple[int, ...]]] = []
    for row in rows:
        now[row.template] = row.spec
        sizes = tuple(now[each] for each in templates)
        if not found or found[-1][1] != sizes:
            found.append((row.at, sizes))
    return found
