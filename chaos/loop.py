"""The loop around a drill's state machine: events in, journalled, commands out as tasks; the same for every world."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from chaos import drill_events as d
from chaos.clock import LiveClock
from chaos.drill import Command, Do, Drill, Phase
from chaos.journal import Journal, JournalError
from chaos.world import WorldError
from strategies.drive import StrategyError

Work: TypeAlias = Coroutine[Any, Any, None]
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DrillLoop:
    """Runs one drill.

    Args:
        drill: its state, after the events of a killed harness if there was one.
        does: the work of a command; None: it was done at once.
        entered: hears of each new phase.
    """

    def __init__(
        self,
        drill: Drill,
        journal: Journal,
        clock: LiveClock,
        *,
        does: Callable[[Command], Work | None],
        entered: Callable[[Phase], None],
    ) -> None:
        self.drill, self._journal, self._clock, self._does, self._entered = drill, journal, clock, does, entered
        self._events: asyncio.Queue[d.Event] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._journalled = True
        self._loop: asyncio.AbstractEventLoop

    async def run(self, first: d.Event | None, *, signals: bool) -> None:
        """Run until the drill has ended.

        Args:
            first: what to begin with; None: with the drill's own beginning.
            signals: SIGINT, SIGTERM and SIGHUP become events.
        """
        self._loop = asyncio.get_running_loop()
        handled = _SIGNALS if signals else ()
        for number in handled:
            self._loop.add_signal_handler(number, self._interrupted, number.name)
        try:
            if first is not None:
                self.post(first)
            else:
                self._do(self.drill.begin())
            while self._take(await self._events.get()):
                pass
        finally:
            for number in handled:
                self._loop.remove_signal_handler(number)
            await self.quiet()

    def post(self, event: d.Event) -> None:
        """Tell the state machine what happened."""
        self._events.put_nowait(event)

    def post_from_thread(self, *events: d.Event, then: Callable[[], None]) -> None:
        """The same from another thread; `then` is called when the loop has heard."""

        def heard() -> None:
            then()
            for event in events:
                self.post(event)

        self._loop.call_soon_threadsafe(heard)

    def begin(self, work: Work, name: str = "") -> None:
        """Work beside the machine; what goes wrong in it is an event that bears its name."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, name))

    async def quiet(self) -> None:
        """End all other work: nobody gives orders any more, and nothing is started."""
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def failed(self, error: BaseException, work: str = "") -> None:
        """Something cannot go on."""
        known = isinstance(error, WorldError | StrategyError | JournalError | OSError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        self.post(d.Failed(at=time.monotonic(), reason=text or type(error).__name__, work=work))

    def _take(self, event: d.Event) -> bool:
        """One event: journal it, move on, do what follows; false when the drill has ended."""
        self._write(event)
        phase = self.drill.phase
        commands = self.drill.take(event)
        if self.drill.phase is not phase:
            self._entered(self.drill.phase)
        return self._do(commands)

    def _do(self, commands: list[Command]) -> bool:
        for command in commands:
            if command.do is Do.FINISH:
                return False
            work = self._does(command)
            if work is not None:
                self.begin(work, command.do.name)
        return True

    def _write(self, event: d.Event) -> None:
        if not self._journalled:
            return
        try:
            self._journal(self._clock.now_us(), d.KIND, -1, type(event).__name__, d.to_plain(event))
        except WorldError as error:  # a full disk ends the drill, not its clean-up
            self._journalled = False
            self.failed(error)

    def _ended(self, task: asyncio.Task[None], name: str) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failed(error, name)

    def _interrupted(self, name: str) -> None:
        self.post(d.Interrupted(at=time.monotonic(), by=name))
