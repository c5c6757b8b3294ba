"""One simulated cluster: the state of one service, and what each effect of a strategy does to it.

The same object runs under every engine. An engine supplies the clock and a data plane, which is told of every change
of the traffic and answers `Measure`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from sim.clock import Clock
from sim.control_plane import DeploymentController
from sim.faults import begin
from sim.leaks import Leaks
from sim.model import NEVER_US, US, ChunkDraws, Model, delays_of, us
from sim.pods import CANARY, NAMES, STABLE, Pods
from sim.router import Router
from sim.traffic import Arrivals
from strategies.analysis.verdict import ABORTS, saw_nothing
from strategies.drive import PENDING, BadEffect, Reply, _Pending
from strategies.effects import (
    Answer,
    Approved,
    Ask,
    Available,
    AwaitApproval,
    AwaitAvailable,
    AwaitComplete,
    Counts,
    DeadlinePassed,
    Done,
    Effect,
    Measure,
    Note,
    Observe,
    Promote,
    RollTo,
    Scale,
    SetWeight,
    Undo,
)

INDEX = {"stable": STABLE, "canary": CANARY}
MOST_PODS: Final = 10_000  #: of one revision
Flow = tuple[float, float, float, float]


class DataPlane(Protocol):
    """What an engine supplies beside the clock."""

    def flow(self, flow: Flow) -> None:
        """The traffic changed: (share of stable, P(fail) there, share of canary, P(fail) there) from now on."""
        ...

    def regime(self, regime: int, slow: tuple[Any, Any]) -> None:
        """A fault began: from now on responses are counted in this regime, with these latency laws."""
        ...

    def empty(self, revisions: tuple[int, ...]) -> None:
        """From now on these revisions have no endpoint; told only where that is not counted, before the new `flow`."""
        ...

    def measure(self, query: Ask, reply: Reply) -> None:
        """Answer a query later, through `reply`."""
        ...


class Waiter:
    """A program that waits for pods."""

    __slots__ = ("deadline_us", "effect", "index", "over", "reply", "since_us")

    def __init__(self, effect: AwaitAvailable | AwaitComplete | Observe, reply: Reply, now_us: int) -> None:
        self.effect = effect
        self.reply = reply
        self.index = -1 if isinstance(effect, Observe) else INDEX[effect.revision]
        self.since_us = now_us
        self.deadline_us = -1 if effect.deadline_seconds is None else us(effect.deadline_seconds)
        self.over = False


class SimulatedCluster:
    """The simulated world of one replication.

    Attributes worth reading: `pods`, `router`, `decision_us` (when the first of Undo, Promote and a passed deadline
    came, -1 before), `verdict` ("promoted", "rolled_back", "stalled" or ""), `fault_us` (when the first fault began to
    act, -1 before), `regime`.
    """

    def __init__(
        self,
        model: Model,
        draws: ChunkDraws,
        place: int,
        clock: Clock,
        plane: DataPlane,
        arrivals: Arrivals,
        *,
        log: Callable[[int, str, str, dict[str, Any]], None] | None = None,
    ) -> None:
        self.model, self.draws, self.place, self.clock, self.plane = model, draws, place, clock, plane
        self.arrivals = arrivals
        self.bad = draws.bad[place]
        self.severity = draws.severity[place]
        self.decision_us = -1
        self.verdict = ""
        self.told: list[str] = []  #: notes of the strategy, and that it undid what it had not seen
        self.fault_us = -1
        self.regime = 0
        self.started: set[int] = set()  #: indices of the faults that act
        self.base_error = [model.scenario.service.error_ratio] * 2
        self.shared_pool_empty = False
        self.waiting_for_person = False
        self._approvals = 0
        self._waiters: list[Waiter] = []
        self._flow: Flow | None = None
        self._uncounted = model.uncounted
        self._empty: tuple[int, ...] = ()  #: revisions without an endpoint, kept where nothing counts for them
        self._log = log
        self.pods = Pods(model, draws, place, clock, self)
        self.router = Router(model, self.pods, clock, self.traffic_changed)
        self.controller = DeploymentController(self.pods, model.release.replicas)
        self.leaks: Leaks | None = None
        if log is not None:
            self.pods.log = self.router.log = self.note
        if not model.release.first:
            self.pods.start_with(STABLE, model.release.replicas)
        else:
            self.pods.least_available = 0
        if self.bad:
            begin(self)
        plane.regime(0, self.slow())
        self.traffic_changed()

    # -- what drive.World asks ------------------------------------------------------------------------------------

    def now_us(self) -> int:
        """Microseconds since the rollout began."""
        return self.clock.now_us

    def call_later(self, delay_us: int, function: Callable[[], None]) -> None:
        """Call a function once, later."""
        self.clock.call_at(self.clock.now_us + min(delay_us, NEVER_US), _call, function)

    def perform(self, effect: Effect, reply: Reply) -> Answer | _Pending:
        """Perform one effect."""
        return _PERFORM[effect.__class__](self, effect, reply)

    # -- effects --------------------------------------------------------------------------------------------------

    def _measure(self, effect: Measure, reply: Reply) -> _Pending:
        self.plane.measure(effect.query, reply)
        return PENDING

    def _done(self) -> Done:
        return Done(self.clock.now_us / US)

    def _scale(self, effect: Scale, reply: Reply) -> Done:
        _check_pods(effect)
        self.controller.new = None
        self.pods.scale(INDEX[effect.revision], effect.replicas)
        return self._done()

    def _roll_to(self, effect: RollTo, reply: Reply) -> Done:
        _check_pods(effect)
        self.router.routed = False
        self.controller.roll_to(INDEX[effect.revision], effect)
        self.traffic_changed()
        return self._done()

    def _set_weight(self, effect: SetWeight, reply: Reply) -> Done:
        if not (isinstance(effect.weight, int | float) and 0 <= effect.weight <= 1):
            raise BadEffect(f"{effect!r}: expected a weight from 0 to 1")
        if self._log is not None:
            self.note("set_weight", "router", weight=effect.weight)
        if self.model.release.routed:
            if not self.router.routed:
                self.router.route()
            self.router.set_weight(effect.weight)
        return self._done()

    def _await(self, effect: AwaitAvailable | AwaitComplete | Observe, reply: Reply) -> Answer | _Pending:
        if not isinstance(effect, AwaitComplete):
            self.pods.min_ready_us = us(effect.min_ready_seconds)
        waiter = Waiter(effect, reply, self.clock.now_us)
        answer = self._satisfied(waiter)
        if answer is not None:
            return answer
        self._waiters.append(waiter)
        if waiter.deadline_us >= 0:
            self._arm(waiter)
        return PENDING

    def _await_approval(self, effect: AwaitApproval, reply: Reply) -> _Pending:
        approvals = self.draws.approvals_us
        self.waiting_for_person = True
        if approvals is not None:
            delay = approvals[self.place][self._approvals % 8]
            self._approvals += 1
            self.clock.call_at(self.clock.now_us + delay, self._approved, reply)
        return PENDING

    def _approved(self, reply: Reply) -> None:
        self.waiting_for_person = False
        reply(Approved(self.clock.now_us / US, "the scenario's people"))

    def _promote(self, effect: Promote, reply: Reply) -> Done:
        self._decide("promoted", "")
        return self._done()

    def _undo(self, effect: Undo, reply: Reply) -> Done:
        self._decide("rolled_back", effect.reason)
        if saw_nothing(effect.reason):
            self.told.append(f"{ABORTS}: {effect.reason}")
        return self._done()

    def _note(self, effect: Note, reply: Reply) -> Done:
        self.told.append(effect.text)
        if self._log is not None:
            self.note("note", "strategy", text=effect.text)
        return self._done()

    def _decide(self, what: str, reason: str) -> None:
        if self.decision_us < 0:
            self.decision_us = self.clock.now_us
        if self.verdict in ("", "stalled"):
            self.verdict = what
        if self._log is not None:
            self.note("decision", "strategy", outcome=what, reason=reason)

    # -- waiting for pods -----------------------------------------------------------------------------------------

    def _satisfied(self, waiter: Waiter) -> Answer | None:
        effect = waiter.effect
        pods = self.pods
        if isinstance(effect, AwaitAvailable):
            return Available(self.clock.now_us / US) if pods.available[waiter.index] >= effect.replicas else None
        if isinstance(effect, AwaitComplete):
            return Available(self.clock.now_us / US) if self.controller.complete() else None
        canary = (pods.spec[CANARY], pods.available[CANARY])
        stable = (pods.spec[STABLE], pods.available[STABLE])
        if effect.changed_from is not None and effect.changed_from == (canary, stable):
            return None
        return Counts(self.clock.now_us / US, canary, stable)

    def _arm(self, waiter: Waiter) -> None:
        due = max(waiter.since_us, self.pods.progress_us) + waiter.deadline_us
        self.clock.call_at(max(due, self.clock.now_us), self._deadline, waiter)

    def _deadline(self, waiter: Waiter) -> None:
        if waiter.over:
            return
        if max(waiter.since_us, self.pods.progress_us) + waiter.deadline_us > self.clock.now_us:
            self._arm(waiter)  # something progressed meanwhile: the deadline starts again
            return
        waiter.over = True
        self._waiters.remove(waiter)
        self._decide_stalled()
        waiter.reply(DeadlinePassed(self.clock.now_us / US))

    def _decide_stalled(self) -> None:
        if self._log is not None:
            self.note("deadline", "pods")
        if self.decision_us < 0:
            self.decision_us = self.clock.now_us
            self.verdict = "stalled"

    def pods_changed(self) -> None:
        """Called by the pods: let the controller sync, then answer who waits."""
        self.controller.sync()
        if not self._waiters:
            return
        for waiter in tuple(self._waiters):
            if waiter.over:
                continue
            answer = self._satisfied(waiter)
            if answer is not None:
                waiter.over = True
                self._waiters.remove(waiter)
                # answered in an event of its own, so that a program never runs inside a scaling that it asked for
                self.clock.call_at(self.clock.now_us, _deliver, (waiter.reply, answer))

    # -- traffic --------------------------------------------------------------------------------------------------

    def traffic_changed(self) -> None:
        """Tell the data plane where requests go from now on."""
        stable, canary = self.router.shares()
        flow = (stable, self._failing(STABLE), canary, self._failing(CANARY))
        if self.leaks is not None:
            self.leaks.shares_changed(stable, canary)  # also when pods share an unchanged flow anew
        if self.pods.watcher is not None:
            self.pods.watcher.traffic(stable, canary)
        if self._uncounted:
            self._tell_empty()  # a dead pod that leaves the endpoints changes no flow
        if flow == self._flow:
            return
        self._flow = flow
        self.plane.flow(flow)
        if self._log is not None:
            self.note("traffic", "router", canary_share=canary, stable_fails=flow[1], canary_fails=flow[3])
        if not self.router.routed and self.router.on_weight is not None:
            self.router.on_weight(canary)  # without a router the share of the pods is the weight

    def _tell_empty(self) -> None:
        empty = tuple(revision for revision in (STABLE, CANARY) if not self.pods.serving[revision])
        if empty != self._empty:
            self._empty = empty
            self.plane.empty(empty)

    def _failing(self, revision: int) -> float:
        pods = self.pods
        serving, failing = pods.serving[revision], pods.failing[revision]
        if serving == failing or self.shared_pool_empty:
            return 1.0
        error = self.base_error[revision]
        return error + (1.0 - error) * failing / serving if failing else error

    def slow(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Probability of each latency class of a successful response, for each revision, as faults stand now."""
        return self._classes(STABLE), self._classes(CANARY)

    def _classes(self, revision: int) -> tuple[float, ...]:
        delays = delays_of(self.model.scenario, NAMES[revision], self.started, self.severity)
        return self.model.latency.classes(self.model.buckets_seconds, delays)

    def note(self, kind: str, who: str, **what: Any) -> None:
        """Write to the log of this replication, when one is kept."""
        if self._log is not None:
            self._log(self.clock.now_us, kind, who, what)


def _call(function: Callable[[], None]) -> None:
    function()


def _check_pods(effect: Scale | RollTo) -> None:
    """Only a strategy of a user's own asks for what there is not."""
    if effect.revision not in INDEX:
        raise BadEffect(f"{effect!r}: expected a revision of {', '.join(INDEX)}")
    if not (isinstance(effect.replicas, int) and effect.replicas <= MOST_PODS):
        raise BadEffect(f"{effect!r}: expected a whole number of replicas, at most {MOST_PODS}")


def _deliver(due: tuple[Reply, Answer]) -> None:
    due[0](due[1])


_PERFORM: dict[type[Effect], Callable[[SimulatedCluster, Any, Reply], Answer | _Pending]] = {
    Measure: SimulatedCluster._measure,
    Scale: SimulatedCluster._scale,
    RollTo: SimulatedCluster._roll_to,
    SetWeight: SimulatedCluster._set_weight,
    AwaitAvailable: SimulatedCluster._await,
    AwaitComplete: SimulatedCluster._await,
    Observe: SimulatedCluster._await,
    AwaitApproval: SimulatedCluster._await_approval,
    Promote: SimulatedCluster._promote,
    Undo: SimulatedCluster._undo,
    Note: SimulatedCluster._note,
}
