"""One drill as a state machine without I/O: events with times go in, commands come out.

preflight -> steady state -> roll out -> inject -> observe -> verdict -> recover -> sweep -> ended

House rules: whatever goes wrong, in whatever order, the drill comes to one verdict and one sweep. A fault stays until
the verdict, so that its end cannot be taken for a rollback that worked. An event that comes too late changes nothing
but the facts. The state is a function of the events, and they are journalled: a drill that was killed is the same drill
after `Drill.of(events)`, and `Resumed` says what to do next.

| phase | leaves it |
|---|---|
| preflight | `Checked` |
| steady state | `Steady` |
| roll out, inject, observe | `Settled` (nothing more to see), `DeadlinePassed` |
| verdict | `Judged` |
| recover | `Recovered` |
| sweep | `Swept` |

From every phase before it, `Failed` and a second `Interrupted` lead to the verdict at once; a first `Interrupted` and
`Tripped` stop the rollout and wait for its way back.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from chaos.drill_events import (
    BadLook,
    Checked,
    DeadlinePassed,
    Decided,
    Event,
    Failed,
    FaultDue,
    FaultInjected,
    FaultRefused,
    Interrupted,
    Judged,
    Recovered,
    Resumed,
    RolloutBegan,
    RolloutEnded,
    Settled,
    Steady,
    Swept,
    Tripped,
)


class Phase(enum.StrEnum):
    """Where a drill stands."""

    PREFLIGHT = "preflight"
    STEADY_STATE = "steady_state"
    ROLL_OUT = "roll_out"
    INJECT = "inject"
    OBSERVE = "observe"
    VERDICT = "verdict"
    RECOVER = "recover"
    SWEEP = "sweep"
    ENDED = "ended"


RUNNING: Final = (Phase.ROLL_OUT, Phase.INJECT, Phase.OBSERVE)
_BEFORE_VERDICT: Final = (Phase.PREFLIGHT, Phase.STEADY_STATE, *RUNNING)


# --- commands: what to do next -----------------------------------------------------------------------------------


class Do(enum.Enum):
    """What the drill wants done; each is answered by an event."""

    CHECK = "preflight: Checked"
    START = "bring up the world and its traffic, measure the baseline: Steady, then RolloutBegan"
    ROLL_OUT = "let the strategy run: RolloutEnded"
    INJECT = "put a fault in place: FaultInjected or FaultRefused"
    REBUILD = "bring the world back to where the journal says it was, then go on as ROLL_OUT"
    STOP = "say stop to the strategy: RolloutEnded"
    JUDGE = "reach the verdict: Judged"
    RECOVER = "take all faults back: Recovered"
    SWEEP = "end all processes and remove all files: Swept"
    FINISH = "report"


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to do."""

    do: Do
    fault: int = -1  #: INJECT
    reason: str = ""  #: STOP


Commands: TypeAlias = list[Command]


_WORK: Final = {Phase.VERDICT: Do.JUDGE.name, Phase.RECOVER: Do.RECOVER.name, Phase.SWEEP: Do.SWEEP.name}

# --- the machine -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Drill:
    """The state of one drill; `take` is the only thing that changes it.

    Attributes:
        problems: why it was refused (exit 3).
        failure: why it could not go on.
        tripped: which guard stopped it, and why.
        interrupted: how often.
        asked, injected, refused: faults by number.
        decided, ended: the decision and the fate of the rollout.
        left: what could not be recovered or swept (exit 4).
    """

    phase: Phase = Phase.PREFLIGHT
    problems: tuple[str, ...] = ()
    failure: str = ""
    tripped: Tripped | None = None
    interrupted: int = 0
    steady: Steady | None = None
    began: float | None = None
    asked: dict[int, float] = field(default_factory=dict)
    injected: dict[int, FaultInjected] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    bad_look: BadLook | None = None  #: the first
    decided: Decided | None = None
    outcome: str = ""  #: how the rollout ended, as far as it is known
    ended: RolloutEnded | None = None
    stopped: str = ""  #: why the rollout was told to stop
    deadline: DeadlinePassed | None = None
    observed_until: float | None = None
    verdict: Judged | None = None
    left: tuple[str, ...] = ()
    resumed: int = 0
    torn: bool = False  #: its harness was killed while the strategy was at work, so that times hold that gap
    swept: Swept | None = None

    @classmethod
    def of(cls, events: Iterable[Event]) -> Drill:
        """The state after these events; the commands they led to are of the past."""
        drill = cls()
        for event in events:
            drill.take(event)
        return drill

    def begin(self) -> Commands:
        """What to do first."""
        return [Command(Do.CHECK)]

    @property
    def exit_code(self) -> int:
        """4 when something is left, 130 when interrupted, else what the verdict says."""
        if self.left:
            return 4
        if self.interrupted:
            return 130
        return self.verdict.exit_code if self.verdict is not None else 5

    def take(self, event: Event) -> Commands:
        """Take an event and say what to do."""
        commands: Commands = _ON[type(event)](self, event)
        return commands

    # -- preflight and steady state -------------------------------------------------------------------------------

    def _checked(self, event: Checked) -> Commands:
        if self.phase is not Phase.PREFLIGHT:
            return []
        if event.problems:
            self.problems = event.problems
            return self._judge(event.at)
        self.phase = Phase.STEADY_STATE
        return [Command(Do.START)]

    def _steady(self, event: Steady) -> Commands:
        if self.phase is not Phase.STEADY_STATE:
            return []
        self.steady = event
        if event.problem:
            self.problems = (event.problem,)
            return self._judge(event.at)
        return []

    def _rollout_began(self, event: RolloutBegan) -> Commands:
        if self.phase is not Phase.STEADY_STATE or self.steady is None:
            return []
        self.began = event.at
        self.phase = Phase.ROLL_OUT
        return [Command(Do.ROLL_OUT)]

    # -- the rollout ----------------------------------------------------------------------------------------------

    def _fault_due(self, event: FaultDue) -> Commands:
        if event.fault in self.asked or self.phase not in RUNNING:
            return []
        self.asked[event.fault] = event.at
        self.phase = Phase.INJECT
        return [Command(Do.INJECT, fault=event.fault)]

    def _fault_injected(self, event: FaultInjected) -> Commands:
        self.injected.setdefault(event.fault, event)
        return self._after_fault()

    def _fault_refused(self, event: FaultRefused) -> Commands:
        self.refused.setdefault(event.fault, event.reason)
        return self._after_fault()

    def _after_fault(self) -> Commands:
        if self.phase is Phase.INJECT and not self._waiting():
            self.phase = Phase.OBSERVE
        return []

    def _waiting(self) -> bool:
        """A fault was asked for and is not in place."""
        return not self.asked.keys() <= self.injected.keys() | self.refused.keys()

    def _saw_bad_look(self, event: BadLook) -> Commands:
        if self.bad_look is None:
            self.bad_look = event
        return []

    def _took_decision(self, event: Decided) -> Commands:
        if self.decided is None:
            self.decided = event
        if self.outcome in ("", "stalled"):  # a deadline that was reported may still be followed by a way back
            self.outcome = event.outcome
        return []

    def _rollout_ended(self, event: RolloutEnded) -> Commands:
        if self.ended is None:
            self.ended = event
            self.outcome = self.outcome or event.outcome
        if self.phase is Phase.ROLL_OUT:
            self.phase = Phase.OBSERVE
        return []

    def _settled(self, event: Settled) -> Commands:
        return self._judge(event.at) if self.phase in RUNNING else []

    def _deadline_passed(self, event: DeadlinePassed) -> Commands:
        if self.phase not in _BEFORE_VERDICT:
            return []
        self.deadline = event
        return self._judge(event.at)

    # -- what stops it --------------------------------------------------------------------------------------------

    def _went_wrong(self, event: Failed) -> Commands:
        if self.phase in _BEFORE_VERDICT:
            self.failure = self.failure or event.reason
            return self._judge(event.at)
        if event.work != _WORK.get(self.phase):
            return []  # after the verdict only what ends the drill may hold it up
        if self.phase is Phase.VERDICT:
            self.failure = self.failure or event.reason
            self.verdict = Judged(at=event.at, verdict="inconclusive", exit_code=5, reasons=(event.reason,))
            return self._recover()
        self.left += (f"{self.phase.value}: {event.reason}",)
        if self.phase is Phase.RECOVER:
            return self._sweep()
        self.phase = Phase.ENDED
        return [Command(Do.FINISH)]

    def _guard_tripped(self, event: Tripped) -> Commands:
        if self.tripped is not None or self.phase not in _BEFORE_VERDICT:
            return []
        self.tripped = event
        return self._stop(f"guard {event.guard}: {event.reason}", event.at)

    def _was_interrupted(self, event: Interrupted) -> Commands:
        self.interrupted += 1
        if self.phase not in _BEFORE_VERDICT:
            return []
        if self.interrupted > 1:
            return self._judge(event.at)
        return self._stop(f"interrupted by {event.by}", event.at)

    def _stop(self, reason: str, at: float) -> Commands:
        """Take the rollout back, if there is one."""
        self.stopped = self.stopped or reason
        if self.phase not in RUNNING or self.ended is not None:
            return self._judge(at)
        return [Command(Do.STOP, reason=reason)]

    # -- after a kill ---------------------------------------------------------------------------------------------

    def _was_resumed(self, event: Resumed) -> Commands:
        self.resumed += 1
        match self.phase:
            case Phase.PREFLIGHT:
                return [Command(Do.CHECK)]
            case Phase.STEADY_STATE:
                self.steady = None
                return [Command(Do.START)]
            case Phase.ROLL_OUT | Phase.INJECT | Phase.OBSERVE if self.ended is None:
                self.torn = True
                again = [Command(Do.INJECT, fault=fault) for fault in sorted(self.asked)]
                stop = [Command(Do.STOP, reason="resumed to be undone")] if event.undo else []
                if event.undo:
                    self.stopped = self.stopped or stop[0].reason
                return [Command(Do.REBUILD), *again, *stop]
            case Phase.ROLL_OUT | Phase.INJECT | Phase.OBSERVE:
                return self._judge(event.at)  # its processes are gone: there is nothing more to see
            case Phase.VERDICT:
                return [Command(Do.JUDGE)]
            case Phase.RECOVER:
                return [Command(Do.RECOVER)]
            case Phase.SWEEP:
                return [Command(Do.SWEEP)]
        return [Command(Do.FINISH)]

    # -- the end --------------------------------------------------------------------------------------------------

    def _judge(self, at: float) -> Commands:
        self.observed_until = at
        self.phase = Phase.VERDICT
        return [Command(Do.JUDGE)]

    def _was_judged(self, event: Judged) -> Commands:
        if self.phase is not Phase.VERDICT:
            return []
        self.verdict = event
        return self._recover()

    def _recover(self) -> Commands:
        self.phase = Phase.RECOVER
        return [Command(Do.RECOVER)]

    def _has_recovered(self, event: Recovered) -> Commands:
        if self.phase is not Phase.RECOVER:
            return []
        self.left += event.left
        return self._sweep()

    def _sweep(self) -> Commands:
        self.phase = Phase.SWEEP
        return [Command(Do.SWEEP)]

    def _was_swept(self, event: Swept) -> Commands:
        if self.phase is not Phase.SWEEP:
            return []
        self.swept = event
        self.left += event.left
        self.phase = Phase.ENDED
        return [Command(Do.FINISH)]


_ON: Final[dict[type[Event], Any]] = {
    Checked: Drill._checked,
    Steady: Drill._steady,
    RolloutBegan: Drill._rollout_began,
    FaultDue: Drill._fault_due,
    FaultInjected: Drill._fault_injected,
    FaultRefused: Drill._fault_refused,
    BadLook: Drill._saw_bad_look,
    Decided: Drill._took_decision,
    RolloutEnded: Drill._rollout_ended,
    Settled: Drill._settled,
    DeadlinePassed: Drill._deadline_passed,
    Failed: Drill._went_wrong,
    Tripped: Drill._guard_tripped,
    Interrupted: Drill._was_interrupted,
    Resumed: Drill._was_resumed,
    Judged: Drill._was_judged,
    Recovered: Drill._has_recovered,
    Swept: Drill._was_swept,
}
