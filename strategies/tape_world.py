"""A scripted world with a tiny clock, for tests of strategies."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Final, TypeAlias

from strategies.drive import MICROSECONDS, PENDING, Refused, Reply, _Pending
from strategies.effects import (
    Answer,
    Approved,
    Ask,
    Available,
    AwaitApproval,
    AwaitAvailable,
    AwaitComplete,
    Counts,
    CountsQuery,
    DeadlinePassed,
    Done,
    Effect,
    Measure,
    Measured,
    Observe,
    Promote,
    PromQuery,
    Query,
    Release,
    Revision,
    RollTo,
    Scale,
    SetWeight,
    Undo,
)
from strategies.models import kubernetes

Looks: TypeAlias = Callable[[Ask, float], Measured | float | None]

GOOD: Final = {"error_ratio": 0.0, "success_ratio": 1.0, "latency_quantile": 0.01, "request_rate": 100.0}
BAD: Final = {"error_ratio": 1.0, "success_ratio": 0.0, "latency_quantile": 1e6, "request_rate": 0.0}


def good(query: Ask, at_seconds: float) -> Measured | float:
    """Every look is good; of a PromQL text nobody here knows what that is."""
    return _look(query, at_seconds, GOOD, 0)


def bad(query: Ask, at_seconds: float) -> Measured | float:
    """Every look is bad; of a PromQL text nobody here knows what that is."""
    return _look(query, at_seconds, BAD, 1)


def _look(query: Ask, at_seconds: float, values: dict[str, float], failing: int) -> Measured | float:
    if isinstance(query, Query):
        return values[query.quantity]
    if isinstance(query, PromQuery):
        raise ValueError(f"what is a good or a bad answer of {query.text!r}? give the world looks of your own")
    canary, stable = int(100 * at_seconds), int(900 * at_seconds)
    return Measured(at_seconds, None, result=[canary, failing * canary, stable, 0])


def undefined(query: Ask, at_seconds: float) -> Measured | float:
    """Every look is NaN: 0/0, requests that did not come."""
    if isinstance(query, CountsQuery):
        return Measured(at_seconds, None, result=[0, 0, 0, 0])
    return float("nan")


def empty(query: Ask, at_seconds: float) -> Measured | None:
    """Every look is an empty vector: no series exists."""
    if isinstance(query, CountsQuery):
        return Measured(at_seconds, None, result=[0, 0, 0, 0])
    return None


class TooLong(AssertionError):
    """A strategy asked for more than the world allows; it probably never ends."""


class TapeWorld:
    """A world that does as it is told: pods are available a constant time after they were asked for.

    Args:
        looks: the answer of a query at a time (seconds): a value, None for an empty vector, or a whole `Measured`.
        startup_seconds: from scaling up until those pods are Ready; scaling down is done at once.
        never_available: revisions whose new pods never become available.
        query_seconds: how long a query takes.
        approval_seconds: how long a person takes to approve; None: nobody does.
        approvals: how often a person approves before nobody answers any more.
        refuse: a person says stop, with this reason, when first asked.
        most_effects: `TooLong` is raised at the next one.

    Attributes worth reading: `asked` (time in seconds, effect) of everything that was asked, `weight`, `spec`,
    `available`, `decision` ("promoted" | "rolled_back" | None).
    """

    def __init__(
        self,
        release: Release,
        *,
        looks: Looks = good,
        startup_seconds: float = 10.0,
        never_available: tuple[Revision, ...] = (),
        query_seconds: float = 0.0,
        approval_seconds: float | None = 60.0,
        approvals: int = 3,
        refuse: str | None = None,
        most_effects: int = 10_000,
    ) -> None:
        stable = 0 if release.first else release.replicas
        self.release = release
        self.looks = looks
        self.startup_us = _us(startup_seconds)
        self.never_available = never_available
        self.query_us = _us(query_seconds)
        self.approval_seconds = approval_seconds
        self.approvals = approvals
        self.refuse = refuse
        self.most_effects = most_effects
        self.asked: list[tuple[float, Effect]] = []
        self.weight = 0.0
        self.spec: dict[Revision, int] = {"stable": stable, "canary": 0}
        self.available: dict[Revision, int] = {"stable": stable, "canary": 0}
        self.decision: str | None = None
        self._min_ready_us = 0
        self._roll: RollTo | None = None
        self._born: dict[Revision, list[int]] = {"stable": [-(10**12)] * stable, "canary": []}
        self._progress_us = 0
        self._waiters: list[tuple[Effect, Reply, int]] = []
        self._now_us = 0
        self._order = itertools.count()
        self._due: list[tuple[int, int, Callable[[], None]]] = []

    # -- what drive.World asks ------------------------------------------------------------------------------------

    def now_us(self) -> int:
        """Microseconds since the rollout began."""
        return self._now_us

    def call_later(self, delay_us: int, function: Callable[[], None]) -> None:
        """Call a function once, later."""
        heapq.heappush(self._due, (self._now_us + delay_us, next(self._order), function))

    def perform(self, effect: Effect, reply: Reply) -> Answer | _Pending:
        """Perform one effect."""
        self.asked.append((self._now_us / MICROSECONDS, effect))
        if len(self.asked) > self.most_effects:
            raise TooLong(f"more than {self.most_effects} effects; the last one: {effect}")
        match effect:
            case Scale(revision, replicas):
                self._roll = None
                self._scale(revision, replicas)
            case RollTo():
                self._roll = effect
                self._min_ready_us = _us(effect.min_ready_seconds)
                self._progress_us = self._now_us
                self._settle()
            case SetWeight(weight):
                assert 0 <= weight <= 1, f"weight must lie in 0..1, got {weight}"
                self.weight = weight
            case AwaitAvailable() | AwaitComplete() | Observe():
                return self._wait_for_pods(effect, reply)
            case Measure(query):
                self.call_later(self.query_us, lambda: reply(self._look(query)))
                return PENDING
            case AwaitApproval():
                return self._ask_person(reply)
            case Promote():
                self.decision = "promoted"
            case Undo():
                self.decision = "rolled_back"
        return Done(self._seconds())

    # -- the clock ------------------------------------------------------------------------------------------------

    def run(self, until_seconds: float = 86_400.0) -> None:
        """Let time pass until nothing is left to do."""
        until_us = _us(until_seconds)
        while self._due and self._due[0][0] <= until_us:
            self._now_us, _, function = heapq.heappop(self._due)
            function()

    def _seconds(self) -> float:
        return self._now_us / MICROSECONDS

    # -- looks and people -----------------------------------------------------------------------------------------

    def _look(self, query: Ask) -> Measured:
        seen = self.looks(query, self._seconds())
        return seen if isinstance(seen, Measured) else Measured(self._seconds(), seen)

    def _ask_person(self, reply: Reply) -> _Pending:
        if self.refuse is not None:
            raise Refused(self.refuse)
        if self.approval_seconds is not None and self.approvals > 0:
            self.approvals -= 1
            self.call_later(_us(self.approval_seconds), lambda: reply(Approved(self._seconds(), "script")))
        return PENDING

    # -- pods -----------------------------------------------------------------------------------------------------

    def _scale(self, revision: Revision, replicas: int) -> None:
        assert replicas >= 0, f"replicas must be 0 or more, got {replicas}"
        born = self._born[revision]
        del born[replicas:]  # the newest go first: those that are not available yet are among them
        born.extend([self._now_us] * (replicas - len(born)))
        if replicas != self.spec[revision]:
            self._progress_us = self._now_us
        self.spec[revision] = replicas
        self.call_later(self.startup_us + self._min_ready_us, self._settle)
        self._settle()

    def _count(self, revision: Revision) -> int:
        old = [at for at in self._born[revision] if at < 0]
        ready = [at for at in self._born[revision] if at + self.startup_us + self._min_ready_us <= self._now_us]
        return len(old) if revision in self.never_available else len(ready)

    def _settle(self) -> None:
        for revision in self.spec:
            available = self._count(revision)
            if available > self.available[revision]:
                self._progress_us = self._now_us
            self.available[revision] = available
        if self._roll is not None:
            self._sync(self._roll)
        for waiter in tuple(self._waiters):
            answer = self._satisfied(waiter[0])
            if answer is not None:
                self._waiters.remove(waiter)
                self.call_later(0, lambda reply=waiter[1], answer=answer: reply(answer))  # type: ignore[misc]

    def _sync(self, roll: RollTo) -> None:
        new: Revision = roll.revision
        old: Revision = "canary" if new == "stable" else "stable"
        fenceposts = kubernetes.resolve_fenceposts(roll.max_surge, roll.max_unavailable, roll.replicas)
        wanted, (rest,) = kubernetes.rolling_sync(
            roll.replicas,
            *fenceposts,
            (self.spec[new], self.available[new]),
            [(self.spec[old], self.available[old])],
        )
        if wanted != self.spec[new]:
            self._scale(new, wanted)
        elif rest != self.spec[old]:
            self._scale(old, rest)

    def _wait_for_pods(self, effect: AwaitAvailable | AwaitComplete | Observe, reply: Reply) -> Answer | _Pending:
        if not isinstance(effect, AwaitComplete) and _us(effect.min_ready_seconds) != self._min_ready_us:
            self._min_ready_us = _us(effect.min_ready_seconds)
            self.call_later(self.startup_us + self._min_ready_us, self._settle)
            self._settle()
        answer = self._satisfied(effect)
        if answer is not None:
            return answer
        waiter = (effect, reply, self._now_us)
        self._waiters.append(waiter)
        if effect.deadline_seconds is not None:
            self.call_later(_us(effect.deadline_seconds), lambda: self._deadline(waiter, _us(effect.deadline_seconds)))
        return PENDING

    def _satisfied(self, effect: Effect) -> Answer | None:
        match effect:
            case AwaitAvailable(revision, replicas):
                return Available(self._seconds()) if self.available[revision] >= replicas else None
            case AwaitComplete(revision, replicas):
                other: Revision = "canary" if revision == "stable" else "stable"
                whole = self.spec[revision] == replicas == self.available[revision]
                return Available(self._seconds()) if whole and self.spec[other] == 0 else None
            case Observe(before):
                canary = (self.spec["canary"], self.available["canary"])
                stable = (self.spec["stable"], self.available["stable"])
                return None if before == (canary, stable) else Counts(self._seconds(), canary, stable)
        raise AssertionError(f"nobody waits with {effect}")

    def _deadline(self, waiter: tuple[Effect, Reply, int], deadline_us: int | None) -> None:
        assert deadline_us is not None
        if waiter not in self._waiters:
            return
        due = max(waiter[2], self._progress_us) + deadline_us
        if due > self._now_us:
            self.call_later(due - self._now_us, lambda: self._deadline(waiter, deadline_us))
            return
        self._waiters.remove(waiter)
        waiter[1](DeadlinePassed(self._seconds()))


def _us(seconds: float | None) -> int:
    return round((seconds or 0.0) * MICROSECONDS)
