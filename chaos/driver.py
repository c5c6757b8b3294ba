"""The live driver: a strategy on a real clock in a real world, journalled before it acts, and resumed after a crash.

`strategies.drive.Runtime` runs the programs. This driver is its `World`: it hands effects to a `RealWorld` and answers
when that is done. What moves pods or traffic is done one at a time, in the order in which it was asked for; what waits
runs beside it and is cancelled when its program is.

To resume, the entries of the journal are fed to a fresh runtime: answers as they were, waits to their original
deadline. Effects without an answer are performed again, which changes nothing where they had been done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from chaos.clock import MICROSECONDS, LiveClock
from chaos.journal import JournalError
from chaos.world import RealWorld, WorldError
from strategies.drive import PENDING, Recorder, Refused, Reply, Runtime, StrategyError, _Pending, nobody
from strategies.effects import (
    Abort,
    Answer,
    AwaitApproval,
    AwaitAvailable,
    AwaitComplete,
    Done,
    Effect,
    Fate,
    Measure,
    Note,
    Observe,
    Promote,
    Release,
    RollTo,
    Scale,
    SetWeight,
    Strategy,
    Undo,
)
from strategies.tape import Entry, encode

_ACTIONS = (Scale, RollTo, SetWeight, Promote, Undo, Note)


class LiveDriver:
    """Runs one strategy in a real world.

    Args:
        world: where it acts; `start` was called already.
        clock: scenario time; of a resumed rollout one that began when the rollout first did.
        journal: takes every entry before anything follows from it.
        seen: sees every entry that is not replayed, after the journal; for terminals and timelines.
        entries: what an earlier driver journalled of the same rollout.

    Attributes worth reading: `runtime`, `replayed` (entries that were taken from the journal).
    """

    def __init__(
        self,
        world: RealWorld,
        strategy: Strategy,
        release: Release,
        *,
        clock: LiveClock,
        journal: Recorder | None = None,
        seen: Recorder | None = None,
        entries: Sequence[Entry] = (),
    ) -> None:
        self.world, self.clock = world, clock
        self._journal, self._seen = journal, seen
        self._entries = entries
        self.replayed = 0
        self._turn_us: int | None = None  #: time stands still while programs run, as in the simulator
        self._live = not entries  #: what happens now is not in the journal yet
        self._asking = 0  #: the program whose effect is being performed
        self._open: dict[int, tuple[Effect, Reply]] = {}  #: what programs wait for that was asked in the journal
        self._running: dict[int, asyncio.Task[None]] = {}
        self._actions: asyncio.Queue[tuple[Effect, Reply]] = asyncio.Queue()
        self._end: asyncio.Future[Fate] | None = None
        clock.failed = self._fail
        self.runtime = Runtime(self, strategy, release, record=self._record)

    # -- the run --------------------------------------------------------------------------------------------------

    async def run(self) -> Fate:
        """Run to the fate of the strategy.

        Raises:
            WorldError: the world cannot go on.
            StrategyError: the strategy broke its contract.
            JournalError: the journal is of another strategy.
        """
        self._end = asyncio.get_running_loop().create_future()
        worker = self._watched(self._act())
        try:
            self._guarded(self._replay if self._entries else self.runtime.start)
            return await self._end
        finally:
            self.clock.close()
            running = [worker, *self._running.values()]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def stop(self, reason: str) -> bool:
        """Say stop (in the thread of the loop); False when the decision is made already."""
        answer = False

        def say() -> None:
            nonlocal answer
            answer = self.runtime.stop(reason)

        self._guarded(say)
        return answer

    def _guarded(self, function: Callable[[], object]) -> None:
        """Let programs run; their fate, or what went wrong, ends `run`."""
        self._turn_us = self.clock.now_us()
        try:
            function()
        except (StrategyError, WorldError, JournalError) as error:
            self._fail(error)
        finally:
            self._turn_us = None
        if self.runtime.fate is not None and self._end is not None and not self._end.done():
            self._end.set_result(self.runtime.fate)

    def _fail(self, error: BaseException) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_exception(error)

    # -- the journal ----------------------------------------------------------------------------------------------

    def _record(self, at_us: int, kind: str, task: int, name: str, what: Any) -> None:
        if kind == "effect":
            self._asking = task
        elif kind in ("answer", "throw", "end"):
            self._open.pop(task, None)
            running = self._running.pop(task, None)
            if running is not None and running is not asyncio.current_task():
                running.cancel()
        if self.replayed < len(self._entries):
            self._compare(Entry(at_us, kind, task, name, what))
            return
        self._live = True  # the crash came between an answer and what follows from it: that belongs to its instant
        if self._journal is not None:
            self._journal(at_us, kind, task, name, what)
        if self._seen is not None:
            self._seen(at_us, kind, task, name, what)

    def _compare(self, got: Entry) -> None:
        entry = self._entries[self.replayed]
        if (entry.kind, entry.task, encode(entry.what)) != (got.kind, got.task, encode(got.what)):
            raise JournalError(
                f"entry {self.replayed + 1}: the journal has {entry.kind} {entry.what!r}, the strategy does "
                f"{got.kind} {got.what!r}: it is not the one that was journalled"
            )
        self.replayed += 1

    def _replay(self) -> None:
        """Feed what is journalled; then perform again what nobody answered."""
        while self.replayed < len(self._entries):
            entry, before = self._entries[self.replayed], self.replayed
            self._turn_us = entry.at_us
            if entry.kind == "start":
                self.runtime.start_task(entry.task)
            elif entry.kind in ("answer", "throw"):
                self.runtime.deliver(entry.task, entry.what)
            elif entry.kind == "stop":
                self.runtime.stop(str(entry.what))
            if self.replayed == before:
                raise JournalError(f"entry {before + 1}: nothing in the strategy leads to {entry.kind} {entry.what!r}")
        self._live = True
        for task, (effect, reply) in list(self._open.items()):
            self._perform(task, effect, reply)

    # -- what the runtime asks ------------------------------------------------------------------------------------

    def now_us(self) -> int:
        """Microseconds of scenario time; of a journalled entry while it is replayed."""
        return self.clock.now_us() if self._turn_us is None else self._turn_us

    def call_later(self, delay_us: int, function: Callable[[], None]) -> None:
        """See `World`; a wait that is replayed keeps its original deadline."""
        self.clock.call_at(self.now_us() + delay_us, lambda: self._guarded(function))

    def perform(self, effect: Effect, reply: Reply) -> Answer | _Pending:
        """See `World`."""
        if reply is nobody:  # a note of the runtime itself
            if self._live:
                self._actions.put_nowait((effect, reply))
            return PENDING
        if self._live:
            self._perform(self._asking, effect, reply)
        else:
            self._open[self._asking] = (effect, reply)
        return PENDING

    def _perform(self, task: int, effect: Effect, reply: Reply) -> None:
        if isinstance(effect, _ACTIONS):
            self._actions.put_nowait((effect, reply))
        else:
            self._running[task] = self._watched(self._wait(effect, reply))

    def _watched(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run beside; an error of any kind ends the rollout instead of being forgotten."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    # -- the hands ------------------------------------------------------------------------------------------------

    async def _act(self) -> None:
        """Do what moves pods or traffic, one thing at a time; an order that a later one overtook is done all the same.

        Orders are absolute, so the last one wins, whatever became of the program that gave an earlier one.
        """
        while True:
            effect, reply = await self._actions.get()
            await self._order(effect)
            self._guarded(lambda reply=reply: reply(Done(self.now_us() / MICROSECONDS)))  # type: ignore[misc]

    async def _order(self, effect: Effect) -> None:
        world = self.world
        match effect:
            case Scale(revision, replicas):
                await world.scale(revision, replicas)
            case RollTo():
                await world.roll_to(effect)
            case SetWeight(weight):
                await world.set_weight(weight)
            case Promote():
                await world.mark("promoted", "")
            case Undo(reason):
                await world.mark("rolled_back", reason)
            case Note(text):
                await world.mark("", text)

    async def _wait(self, effect: Effect, reply: Reply) -> None:
        try:
            answer: Answer | Abort = await self._answer(effect)
        except Refused as refusal:
            answer = Abort(str(refusal))
        self._guarded(lambda: reply(answer))

    def _answer(self, effect: Effect) -> Awaitable[Answer]:
        world = self.world
        match effect:
            case AwaitAvailable():
                return world.await_available(effect)
            case AwaitComplete():
                return world.await_complete(effect)
            case Observe():
                return world.observe(effect)
            case Measure(query):
                return world.measure(query)
            case AwaitApproval(reason):
                return world.ask_person(reason)
        raise StrategyError(f"{effect!r}: no real world performs this")
