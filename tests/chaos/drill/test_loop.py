"""The loop around the state machine: a full disk, broken work and signals end in a sweep all the same."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from chaos import drill_events as d
from chaos.clock import LiveClock
from chaos.drill import Command, Do, Drill, Phase
from chaos.loop import DrillLoop, Work
from chaos.world import WorldError


class World:
    """Answers every command at once; `breaks` is the command whose work goes wrong."""

    def __init__(self, breaks: Do | None = None, error: Exception | None = None) -> None:
        self.breaks, self.error = breaks, error or WorldError("the router died")
        self.did: list[Do] = []
        self.loop: DrillLoop

    def does(self, command: Command) -> Work | None:
        self.did.append(command.do)
        return self.work(command.do)

    async def work(self, do: Do) -> None:
        if do is self.breaks:
            raise self.error
        post = self.loop.post
        match do:
            case Do.CHECK:
                post(d.Checked(at=1))
            case Do.START:
                post(d.Steady(at=2, since=1))
                post(d.RolloutBegan(at=3))
            case Do.ROLL_OUT:
                await asyncio.Event().wait()
            case Do.STOP:
                post(d.RolloutEnded(at=4, outcome="rolled_back"))
                post(d.Settled(at=5))
            case Do.JUDGE:
                await self.loop.quiet()
                post(d.Judged(at=6, verdict="pass", exit_code=0))
            case Do.RECOVER:
                post(d.Recovered(at=7))
            case Do.SWEEP:
                post(d.Swept(at=8))


def run(
    world: World, *, journal: Callable[..., None] = lambda *_: None, late: Callable[[DrillLoop], Any] | None = None
) -> Drill:
    drill = Drill()

    async def main() -> None:
        world.loop = DrillLoop(drill, journal, LiveClock(), does=world.does, entered=entered)  # type: ignore[arg-type]
        await asyncio.wait_for(world.loop.run(None, signals=True), 10)

    def entered(phase: Phase) -> None:
        if phase is Phase.ROLL_OUT and late is not None:
            late(world.loop)

    asyncio.run(main())
    assert drill.phase is Phase.ENDED
    assert world.did[-1] is Do.SWEEP
    return drill


def settle(loop: DrillLoop) -> None:
    loop.post(d.Settled(at=5))


def test_a_drill_runs_through() -> None:
    drill = run(World(), late=settle)
    assert (drill.exit_code, drill.failure, drill.left) == (0, "", ())


def test_a_journal_on_a_full_disk_ends_the_drill_with_its_words() -> None:
    lines: list[str] = []

    def journal(at_us: int, kind: str, task: int, name: str, what: Any) -> None:
        if len(lines) == 2:
            raise WorldError("the journal j cannot be written: No space left on device")
        lines.append(name)

    drill = run(World(), journal=journal)
    assert "No space left" in drill.failure
    assert lines == ["Checked", "Steady"], "nothing is written after what is missing"


@pytest.mark.parametrize("breaks", [Do.START, Do.ROLL_OUT, Do.JUDGE])
def test_work_that_breaks_is_told(breaks: Do) -> None:
    drill = run(World(breaks), late=settle if breaks is Do.JUDGE else None)
    assert drill.failure == "the router died"
    assert drill.verdict is not None
    assert drill.left == ()


@pytest.mark.parametrize("breaks", [Do.RECOVER, Do.SWEEP])
def test_a_clean_up_that_breaks_is_an_alarm(breaks: Do) -> None:
    drill = run(World(breaks), late=settle)
    assert drill.exit_code == 4
    assert "the router died" in drill.left[0]


def test_an_error_that_nobody_expects_is_told_by_its_kind() -> None:
    drill = run(World(Do.ROLL_OUT, ZeroDivisionError("division by zero")))
    assert drill.failure == "ZeroDivisionError: division by zero"


def test_a_signal_takes_the_rollout_back() -> None:
    world = World()
    drill = run(world, late=lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert (drill.exit_code, drill.stopped) == (130, "interrupted by SIGTERM")
    assert Do.STOP in world.did


def test_a_guard_speaks_from_its_thread() -> None:
    heard: list[bool] = []

    def trip(loop: DrillLoop) -> None:
        event = d.Tripped(at=4, guard="latency", reason="p99")
        asyncio.get_running_loop().run_in_executor(
            None, lambda: loop.post_from_thread(event, then=lambda: heard.append(True))
        )

    drill = run(World(), late=trip)
    assert heard == [True]
    assert drill.stopped == "guard latency: p99"
