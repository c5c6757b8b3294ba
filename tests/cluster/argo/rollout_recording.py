"""What the API server told of one Rollout: a record of plain text lines that lasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from controller_recording import Life, Row


class Moment(NamedTuple):
    """A status of the Rollout; in text `1.23 b 1 Paused 20`: template wanted, step, phase, the router's weight or -."""

    at: float
    template: str
    step: int
    phase: str
    weight: int | None

    def __str__(self) -> str:
        weight = "-" if self.weight is None else self.weight
        return f"{self.at:.3f} {self.template} {self.step} {self.phase} {weight}"

    @classmethod
    def read(cls, text: str) -> Moment:
        """From its text."""
        at, template, step, phase, weight = text.split()
        return cls(float(at), template, int(step), phase, None if weight == "-" else int(weight))


@dataclass(slots=True)
class Recording:
    """One rollout: times in seconds since it was asked for, each when it was heard.

    Attributes:
        second: where in a second of the wall clock it began, 0 to 1.
        acted: when it was aborted or undone, when the API server had answered; None where it was not.
        moments: of the Rollout, rows: of its ReplicaSets, each in the order of the API server. The first rows, at 0, are
            how it began. lives: pods, in the order in which they were made.
    """

    case: str
    second: float
    acted: float | None
    moments: list[Moment]
    rows: list[Row]
    lives: list[Life]

    def plain(self) -> dict[str, Any]:
        """As it stands in a YAML file."""
        acted = {} if self.acted is None else {"acted": round(self.acted, 3)}
        return {
            "case": self.case,
            "second": round(self.second, 3),
            **acted,
            "moments": [str(each) for each in self.moments],
            "rows": [str(each) for each in self.rows],
            "pods": [str(each) for each in self.lives],
        }

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Recording:
        """From a YAML file."""
        return cls(
            plain["case"],
            plain["second"],
            plain.get("acted"),
            [Moment.read(each) for each in plain["moments"]],
            [Row.read(each) for each in plain["rows"]],
            [Life.read(each) for each in plain["pods"]],
        )

    def lines(self) -> list[str]:
        """Everything, for a person to read."""
        return [
            f"{name}: {each}" for name, of in self.plain().items() for each in (of if isinstance(of, list) else [of])
        ]

    def sizes(self, at: float = float("inf")) -> dict[str, int]:
        """What each ReplicaSet wanted at an instant, by default at the end."""
        return {"b": 0, **{row.template: row.spec for row in self.rows if row.at <= at}}
