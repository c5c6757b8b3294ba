"""The vocabulary between a strategy and the world it runs in.

A strategy yields effects and receives answers. Rules of this file:

* effects are absolute and idempotent: performing one twice changes nothing;
* answers are plain Python values, never numpy scalars and never live objects, and carry the time since the rollout
  began (`at_seconds`);
* `Promote` and `Undo` mark the decision; they move no pod and no weight.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

Revision: TypeAlias = Literal["stable", "canary"]


class Outcome(enum.StrEnum):
    """How a rollout ended; `paused` waits for a person who did not come, `stalled` made no progress."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    PAUSED = "paused"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class Fate:
    """What a strategy returns: how the rollout ended and why."""

    outcome: Outcome
    reason: str = ""


class Abort(Exception):
    """Raised in a strategy: an analysis failed, or a person said stop. The argument is the reason."""


class Inconclusive(Exception):
    """Raised in a strategy: an analysis ended without an answer. The argument is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What is rolled out: the number of replicas and the facts that a strategy may know before it begins."""

    replicas: int
    routed: bool = True  #: a router splits traffic by weight; without one, weights follow the number of pods
    first: bool = False  #: there is no stable revision yet
    returning: bool = False  #: the template is that of the stable revision (or inside the rollback window)
    stable: Revision = "stable"
    canary: Revision = "canary"

    def __post_init__(self) -> None:
        if self.replicas < 1:
            raise ValueError(f"replicas must be 1 or more, got {self.replicas}")


Quantity: TypeAlias = Literal["error_ratio", "success_ratio", "latency_quantile", "request_rate"]
QUANTITIES: Final = ("error_ratio", "success_ratio", "latency_quantile", "request_rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A measured quantity of one revision over the window that ends at the time of asking.

    `error_ratio` and `success_ratio` are shares of responses (0..1), `latency_quantile` is in seconds as
    `histogram_quantile` reads it from classic buckets, `request_rate` is in requests per second.
    """

    quantity: Quantity
    revision: Revision | Literal["all"] = "canary"
    window_seconds: float = 300.0
    quantile: float = 0.95  #: used by latency_quantile only

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}, got {self.quantity!r}")
        if not self.window_seconds > 0:
            raise ValueError(f"window_seconds must be above 0, got {self.window_seconds}")
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile must lie between 0 and 1, got {self.quantile}")


@dataclass(frozen=True, slots=True)
class PromQuery:
    """PromQL text, arguments already filled in: what a Prometheus would be sent, at the time of asking.

    The answer's `result` is a list of numbers for a vector, one number for a scalar; its `value` is the first number,
    None for an empty vector.
    """

    text: str


@dataclass(frozen=True, slots=True)
class CountsQuery:
    """Requests and errors of each revision since the rollout began, as far as they have been scraped.

    The answer's `result` is `[canary requests, canary errors, stable requests, stable errors]`; its `value` is None.
    """


Ask: TypeAlias = Query | PromQuery | CountsQuery


# --- effects -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Effect:
    """Base of all effects: something a strategy asks of the world."""


@dataclass(slots=True)
class Scale(Effect):
    """Set the wanted number of pods of one revision's ReplicaSet. Answered at once with `Done`."""

    revision: Revision
    replicas: int


@dataclass(slots=True)
class RollTo(Effect):
    """Let the Deployment controller replace all pods by pods of `revision`. Answered at once with `Done`."""

    revision: Revision
    replicas: int
    max_surge: int | str = "25%"
    max_unavailable: int | str = "25%"
    min_ready_seconds: float = 0.0


@dataclass(slots=True)
class AwaitAvailable(Effect):
    """Wait until `replicas` pods of a revision are available.

    Answered with `Available`, or with `DeadlinePassed` when nothing progressed for `deadline_seconds`.
    """

    revision: Revision
    replicas: int
    deadline_seconds: float | None = 600.0
    min_ready_seconds: float = 0.0


@dataclass(slots=True)
class AwaitComplete(Effect):
    """Wait until the Deployment is complete (all pods updated and available, no old pod counted).

    Answered with `Available`, or with `DeadlinePassed` when nothing progressed for `deadline_seconds`.
    """

    revision: Revision
    replicas: int
    deadline_seconds: float | None = 600.0


@dataclass(slots=True)
class Observe(Effect):
    """Ask for the pod counts of both revisions.

    Answered with `Counts`: at once when they differ from `changed_from` (or that is None), else at the next change,
    or with `DeadlinePassed` when nothing progressed for `deadline_seconds`.
    """

    changed_from: tuple[tuple[int, int], tuple[int, int]] | None = None  #: ((spec, available) canary, stable)
    deadline_seconds: float | None = 600.0
    min_ready_seconds: float = 0.0


@dataclass(slots=True)
class SetWeight(Effect):
    """Send this share (0..1) of requests to the canary. Answered when the router accepts; traffic follows its lag."""

    weight: float


@dataclass(slots=True)
class Wait(Effect):
    """Do nothing for a while. Answered with `Done`."""

    seconds: float


@dataclass(slots=True)
class AwaitApproval(Effect):
    """Wait for a person. Answered with `Approved`; a person who says stop raises `Abort` in the strategy."""

    reason: str = ""


@dataclass(slots=True)
class Measure(Effect):
    """Ask for one measured quantity. Answered with `Measured`; the strategy must have declared it in `reads`."""

    query: Ask


@dataclass(slots=True)
class Spawn(Effect):
    """Start a second program beside this one. Answered with its number (`Spawned`)."""

    factory: Callable[[], Program] = field(repr=False, compare=False)
    name: str


@dataclass(slots=True)
class Join(Effect):
    """Wait until all these programs have ended. Answered with `Joined`."""

    handles: tuple[int, ...]


@dataclass(slots=True)
class Cancel(Effect):
    """End a program without asking it. Answered with `Done`; one that has ended already is left alone."""

    handle: int


@dataclass(slots=True)
class Promote(Effect):
    """Mark the decision: the new revision is the stable one from now on."""


@dataclass(slots=True)
class Undo(Effect):
    """Mark the decision: the new revision is taken back."""

    reason: str = ""


@dataclass(slots=True)
class Note(Effect):
    """Write a line into the record of the rollout."""

    text: str


# --- answers -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Done:
    """The effect was performed. Not frozen, as `Measured`: one is made per wait of each replication."""

    at_seconds: float


@dataclass(frozen=True, slots=True)
class Available:
    """The pods asked for are available (or the Deployment is complete)."""

    at_seconds: float


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """Nothing progressed for as long as the progress deadline; what that means is the strategy's to say."""

    at_seconds: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Pods of each revision: (wanted, available)."""

    at_seconds: float
    canary: tuple[int, int]
    stable: tuple[int, int]


@dataclass(slots=True)
class Measured:
    """A measured value with the evidence behind it.

    `value` is None when no series existed (an empty vector), NaN for 0/0; `requests` and `errors` are the counts of
    the window, None when there was no series or nobody counted. `result` is the whole answer where one number does not
    hold it: numbers, strings, lists and mappings as in JSON. `error` is not empty when there is no answer because the
    question failed (a query that matches many to many, a Prometheus that cannot be reached), and says why. Slotted but
    not frozen: one is made per look of each replication.
    """

    at_seconds: float
    value: float | None
    requests: int | None = None
    errors: int | None = None
    result: Any = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Approved:
    """A person said go on."""

    at_seconds: float
    by: str = ""


@dataclass(frozen=True, slots=True)
class Spawned:
    """The number of the program that was started."""

    at_seconds: float
    handle: int


@dataclass(frozen=True, slots=True)
class Joined:
    """All programs waited for have ended."""

    at_seconds: float


Answer: TypeAlias = Done | Available | DeadlinePassed | Counts | Measured | Approved | Spawned | Joined
Program: TypeAlias = Generator[Effect, Any, Any]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A release strategy: a factory of programs, and the queries those programs may ask.

    `program(release)` is called once a rollout. `settings` is what a reader wants to know of it (shown in results).
    """

    name: str
    program: Callable[[Release], Program]
    reads: tuple[Ask, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict, compare=False)
