"""The only runtime of a tree of programs: resume, spawn, join, cancel, throw, ties.

House rules:

* A driver supplies a clock and a pair of hands: `now_us`, `call_later` and `perform`. It never resumes a program.
* Time is whole microseconds. Things due at the same instant happen in the order in which they were asked for.
* Everything a program learns comes through an answer, so recorded answers replay to the same decisions (`tape.py`).

Laws of failure: a program that ends with `Abort` or `Inconclusive` first cancels its siblings when it aborts, then the
reason is thrown into its parent. While a parent handles an `Abort`, and once the decision is made (`Promote`, `Undo`),
nothing more is thrown: it becomes a `Note`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FrameType, GeneratorType
from typing import Any, Final, Protocol

from strategies.effects import (
    Abort,
    Answer,
    Ask,
    Cancel,
    Done,
    Effect,
    Fate,
    Inconclusive,
    Join,
    Joined,
    Measure,
    Note,
    Program,
    Release,
    Spawn,
    Spawned,
    Strategy,
    Wait,
)
from strategies.legal import IN_CHILD, TABLE, Phase

MICROSECONDS: Final = 1_000_000
MOST_AT_ONCE: Final = 20_000  #: effects of one rollout while no time passes; beyond, a program turns in circles


class StrategyError(Exception):
    """A strategy broke the contract; the text names the strategy, the file and the line."""


class BadEffect(StrategyError):
    """Raised by a world: an effect that means nothing, as a weight of 2; the runtime adds who asked, and where."""


class Refused(Exception):
    """Raised by a world: a person said stop. Becomes an `Abort` in the program that asked."""


class _Pending:
    """The answer comes later, through `reply`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "PENDING"


PENDING: Final = _Pending()
Reply = Callable[[Answer | Abort], None]


class World(Protocol):
    """What a driver supplies."""

    def now_us(self) -> int:
        """Microseconds since the rollout began."""
        ...

    def call_later(self, delay_us: int, function: Callable[[], None]) -> None:
        """Call a function once, `delay_us` from now; equal instants run first in, first out."""
        ...

    def perform(self, effect: Effect, reply: Reply) -> Answer | _Pending:
        """Perform an effect: answer at once, or return PENDING and call `reply` later with the answer."""
        ...


class Recorder(Protocol):
    """Sees everything that a strategy asks and learns; used by tapes, traces and journals."""

    def __call__(self, at_us: int, kind: str, task: int, name: str, what: Any) -> None:
        """`kind` is start, effect, answer, throw, stop or end."""
        ...


class _Task:
    __slots__ = ("children", "ended", "epoch", "handling", "name", "number", "parent", "program", "waiting_for")

    def __init__(self, number: int, name: str, program: Program, parent: _Task | None) -> None:
        self.number = number
        self.name = name
        self.program = program
        self.parent = parent
        self.children: list[_Task] = []
        self.epoch = 0  # raised at each resume, so that an answer that comes too late is not taken for a fresh one
        self.ended = False
        self.handling = False  # an Abort was thrown into it
        self.waiting_for: set[int] | None = None


class Runtime:
    """Runs one strategy, with everything it spawns, in one world."""

    __slots__ = (
        "_at_once",
        "_instant_us",
        "_legal",
        "_next",
        "ended_us",
        "fate",
        "main",
        "phase",
        "reads",
        "record",
        "strategy",
        "tasks",
        "world",
    )

    def __init__(self, world: World, strategy: Strategy, release: Release, *, record: Recorder | None = None) -> None:
        self.world = world
        self.strategy = strategy
        self.reads: tuple[Ask, ...] = strategy.reads
        self.record = record
        self.phase = Phase.UNDECIDED
        self._legal = TABLE[self.phase]
        self.fate: Fate | None = None
        self.ended_us = -1  #: when the strategy returned its fate
        self._next = 1
        self._instant_us, self._at_once = -1, 0
        program = strategy.program(release)
        if not isinstance(program, GeneratorType):
            raise StrategyError(
                f"strategy {strategy.name!r} returned {program!r}, which is not a generator; did you forget to yield?"
            )
        self.main = _Task(0, strategy.name, program, None)
        self.tasks = {0: self.main}

    def start(self) -> None:
        """Run the strategy up to its first wait."""
        self.start_task(0)

    def start_task(self, number: int) -> None:
        """Run a program up to its first wait (a driver needs this only to replay a tape)."""
        task = self.tasks.get(number)
        if task is None or task.ended or task.epoch:  # (begun already, when a tape was replayed)
            return
        if self.record is not None:
            self.record(self.world.now_us(), "start", task.number, task.name, None)
        self.resume(task, None)

    def deliver(self, number: int, answer: Answer | Abort) -> None:
        """Answer what a program waits for; used to replay a tape."""
        self.resume(self.tasks[number], answer)

    def stop(self, reason: str) -> bool:
        """Say stop from outside, at any moment at which every program waits: `Abort` is thrown into the strategy.

        Returns:
            False when it is too late: the decision is made, an `Abort` is being handled, or the strategy has ended.
        """
        main = self.main
        if main.ended or main.handling or self.phase is not Phase.UNDECIDED:
            return False
        if self.record is not None:
            self.record(self.world.now_us(), "stop", main.number, main.name, Abort(reason))
        for child in main.children:
            self._cancel(child)
        main.waiting_for = None
        self.resume(main, Abort(reason))
        return True

    def dissolve(self) -> None:
        """Let go of all programs; for drivers that run many rollouts and do not wait for the garbage collector."""
        for task in self.tasks.values():
            task.children.clear()
        self.tasks.clear()

    # -- the loop -------------------------------------------------------------------------------------------------

    def resume(self, task: _Task, answer: Answer | Abort | None) -> None:
        """Give a program its answer (an exception is thrown in) and perform what it asks next, until it waits."""
        program, record, world = task.program, self.record, self.world
        while True:
            task.epoch += 1
            if record is not None and answer is not None:
                kind = "throw" if isinstance(answer, Exception) else "answer"
                record(world.now_us(), kind, task.number, task.name, answer)
            try:
                if isinstance(answer, Exception):
                    task.handling = task.handling or isinstance(answer, Abort)
                    effect = program.throw(answer)
                else:
                    effect = program.send(answer)
            except StopIteration as end:
                self._ended(task, end.value)
                return
            except (Abort, Inconclusive) as failure:
                self._failed(task, failure)
                return
            except StrategyError:
                raise
            except (Exception, SystemExit) as error:
                raise StrategyError(f"strategy {self.strategy.name!r}, {_where(error)}: {error!r}") from error
            now_us = world.now_us()
            if now_us != self._instant_us:
                self._instant_us, self._at_once = now_us, 0
            self._at_once += 1
            if self._at_once > MOST_AT_ONCE:
                raise StrategyError(
                    f"{self._asked(task)}: more than {MOST_AT_ONCE} effects while no time passes; "
                    f"the last is {effect!r}"
                )
            kind_of = effect.__class__
            if task.parent is None:
                phase = self._legal.get(kind_of)
                if phase is None:
                    raise self._illegal(task, effect)
                if phase is not self.phase:
                    self.phase, self._legal = phase, TABLE[phase]
            elif kind_of not in IN_CHILD:
                raise self._illegal(task, effect)
            if record is not None:
                record(world.now_us(), "effect", task.number, task.name, effect)
            if kind_of is Wait:
                try:
                    delay_us = max(0, round(effect.seconds * MICROSECONDS))  # type: ignore[attr-defined]
                except (TypeError, ValueError, OverflowError):
                    problem = f"{effect!r}: expected a finite number of seconds"
                    raise StrategyError(f"{self._asked(task)}: {problem}") from None
                world.call_later(delay_us, partial(self._waited, task, task.epoch))
                return
            if kind_of is Measure and not self._declared(effect.query):  # type: ignore[attr-defined]
                raise StrategyError(
                    f"strategy {self.strategy.name!r}, {_line(task.program)}: measured {effect.query} which it did not "  # type: ignore[attr-defined]
                    f"declare in reads; declared: {sorted(map(repr, self.reads)) or 'nothing'}"
                )
            if kind_of is Spawn:
                answer = self._spawn(task, effect)  # type: ignore[arg-type]
            elif kind_of is Join:
                joined = self._join(task, effect)  # type: ignore[arg-type]
                if joined is None:
                    return
                answer = joined
            elif kind_of is Cancel:
                self._cancel(self.tasks.get(effect.handle))  # type: ignore[attr-defined]
                answer = Done(world.now_us() / MICROSECONDS)
            else:
                epoch = task.epoch
                try:
                    given = world.perform(effect, partial(self._reply, task, epoch))
                except Refused as refusal:
                    answer = Abort(str(refusal))
                    continue
                except BadEffect as error:
                    raise StrategyError(f"{self._asked(task)}: {error}") from None
                if given is PENDING or task.epoch != epoch or task.ended:
                    return  # (a world may have answered another program inside `perform`, which moved this one on)
                answer = given  # type: ignore[assignment]

    def _reply(self, task: _Task, epoch: int, answer: Answer | Abort) -> None:
        """Take the answer of a world; a second one, or one that comes too late, is dropped."""
        if task.epoch == epoch and not task.ended:
            self.resume(task, answer)

    def _waited(self, task: _Task, epoch: int) -> None:
        if task.epoch == epoch and not task.ended:
            self.resume(task, Done(self.world.now_us() / MICROSECONDS))

    def _declared(self, query: Ask) -> bool:
        """Is a query in `reads`; by identity first, since the same object is asked again and again."""
        for known in self.reads:
            if known is query:
                return True
        return query in self.reads

    # -- the tree -------------------------------------------------------------------------------------------------

    def _spawn(self, parent: _Task, effect: Spawn) -> Spawned:
        number = self._next
        self._next += 1
        program = effect.factory() if callable(effect.factory) else effect.factory
        if not isinstance(program, GeneratorType):
            raise StrategyError(
                f"strategy {self.strategy.name!r}, {_line(parent.program)}: spawned {program!r}, which is not a "
                "program; did you forget to yield in it?"
            )
        child = _Task(number, effect.name, program, parent)
        self.tasks[number] = child
        parent.children.append(child)
        self.world.call_later(0, lambda: self.start_task(number))
        return Spawned(self.world.now_us() / MICROSECONDS, number)

    def _join(self, task: _Task, effect: Join) -> Joined | None:
        unknown = [handle for handle in effect.handles if handle not in self.tasks]
        if unknown:
            raise StrategyError(
                f"strategy {self.strategy.name!r}, {_line(task.program)}: no program {unknown[0]} to join"
            )
        open_handles = {handle for handle in effect.handles if not self.tasks[handle].ended}
        if not open_handles:
            return Joined(self.world.now_us() / MICROSECONDS)
        task.waiting_for = open_handles
        return None

    def _cancel(self, task: _Task | None) -> None:
        if task is None or task.ended:
            return
        task.ended = True
        for child in task.children:
            self._cancel(child)
        task.program.close()
        if self.record is not None:
            self.record(self.world.now_us(), "end", task.number, task.name, "cancelled")

    def _ended(self, task: _Task, value: Any) -> None:
        task.ended = True
        for child in task.children:
            self._cancel(child)
        if self.record is not None:
            self.record(self.world.now_us(), "end", task.number, task.name, value)
        if task.parent is None:
            if not isinstance(value, Fate):
                raise StrategyError(f"strategy {self.strategy.name!r} ended with {value!r}; a strategy returns a Fate")
            self.fate = value
            self.ended_us = self.world.now_us()
            return
        self._release_joiner(task)

    def _release_joiner(self, task: _Task) -> None:
        parent = task.parent
        if parent is None or parent.ended or parent.waiting_for is None:
            return
        parent.waiting_for = {handle for handle in parent.waiting_for if not self.tasks[handle].ended}
        if not parent.waiting_for:
            parent.waiting_for = None
            self.resume(parent, Joined(self.world.now_us() / MICROSECONDS))

    def _failed(self, task: _Task, failure: Abort | Inconclusive) -> None:
        task.ended = True
        for child in task.children:
            self._cancel(child)
        if self.record is not None:
            self.record(self.world.now_us(), "end", task.number, task.name, failure)
        parent = task.parent
        if parent is None:
            raise StrategyError(
                f"strategy {self.strategy.name!r} let {type(failure).__name__}({failure}) escape; "
                "it must handle it and return a Fate"
            )
        if parent.ended:
            return
        if isinstance(failure, Abort):
            for sibling in parent.children:
                self._cancel(sibling)
        if parent.handling or self.phase is not Phase.UNDECIDED:
            self._note(parent, f"{task.name}: {failure}")
            self._release_joiner(task)
            return
        parent.waiting_for = None
        self.resume(parent, failure)  # type: ignore[arg-type]

    def _note(self, task: _Task, text: str) -> None:
        effect = Note(text)
        if self.record is not None:
            self.record(self.world.now_us(), "effect", task.number, task.name, effect)
        self.world.perform(effect, nobody)

    def _asked(self, task: _Task) -> str:
        """Which strategy asked, and in which line."""
        return f"strategy {self.strategy.name!r}, {_line(task.program)}"

    def _illegal(self, task: _Task, effect: object) -> StrategyError:
        where = self._asked(task)
        if not isinstance(effect, Effect):
            return StrategyError(f"{where}: yielded {effect!r}, which is not an effect")
        role = f"in phase {self.phase}" if task.parent is None else "in a spawned program"
        return StrategyError(f"{where}: {type(effect).__name__} is not legal {role}")


def nobody(_: Answer | Abort) -> None:
    """Takes the answer of an effect that no program waits for."""


def _line(program: Any) -> str:
    """File and line where a suspended program stands, in its innermost `yield from`."""
    place = "already ended"
    while isinstance(program, GeneratorType):
        frame: FrameType | None = program.gi_frame
        if frame is None:
            break
        place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        program = program.gi_yieldfrom
    return place


def _where(error: BaseException) -> str:
    """File and line where an exception was raised."""
    trace = error.__traceback__
    if trace is None:
        return "unknown place"
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
