"""The live driver: same decisions as in the simulator, cancellation, and resuming from every prefix of a journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from chaos import journal
from chaos.clock import LiveClock
from chaos.driver import LiveDriver
from chaos.journal import Journal, JournalError
from chaos.testing import ScriptedWorld
from chaos.world import WorldError
from strategies import blue_green, canary, rolling
from strategies.analysis import Analysis, Condition, Metric
from strategies.canary import AnalysisStep, PauseStep, SetWeightStep
from strategies.drive import Refused, StrategyError
from strategies.effects import Fate, Outcome, Query, Release, Strategy
from strategies.tape import Tape, replay
from strategies.tape_world import Looks, bad, good

SPEED = 2000.0
FIVE = Release(replicas=5)
ERRORS = Query(quantity="error_ratio", window_seconds=60)


def check(count: int | None = None) -> Analysis:
    metric = Metric(name="errors", query=ERRORS, interval_seconds=20, count=count, success=Condition("<", 0.05))
    return Analysis(name="errors", metrics=(metric,))


STRATEGIES: dict[str, Strategy] = {
    "canary": canary.strategy(
        steps=[SetWeightStep(0.2), PauseStep(60), AnalysisStep(check(2)), PauseStep()], analysis=check()
    ),
    "blue-green": blue_green.strategy(pre_promotion=check(2), post_promotion=check(3), auto_promotion=False),
    "rolling": rolling.strategy(analysis=check(4)),
}


def run(
    strategy: Strategy, looks: Looks = good, path: Path | None = None, **more: object
) -> tuple[Fate, ScriptedWorld, Tape]:
    """Run a strategy to its end in real time, sped up."""

    async def main() -> tuple[Fate, ScriptedWorld, Tape]:
        clock = LiveClock(SPEED)
        world, tape = ScriptedWorld(clock, looks=looks, **more), Tape()
        await world.start(FIVE)
        with Journal.create(path, {}) if path is not None else nullcontext() as written:
            driver = LiveDriver(world, strategy, FIVE, clock=clock, journal=written, seen=tape)
            return await asyncio.wait_for(driver.run(), 30), world, tape

    return asyncio.run(main())


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_good_release_is_promoted_and_its_tape_replays(name: str) -> None:
    fate, world, tape = run(STRATEGIES[name])
    assert fate.outcome is Outcome.PROMOTED
    assert (world.decision, world.spec) == ("promoted", {"stable": 0, "canary": 5})
    for upto in range(len(tape.entries) + 1):
        assert replay(STRATEGIES[name], FIVE, tape, upto=upto) is None


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_bad_release_is_taken_back(name: str) -> None:
    fate, world, tape = run(STRATEGIES[name], bad)
    assert fate.outcome is Outcome.ROLLED_BACK
    assert world.decision == "rolled_back"
    assert world.weight == 0
    assert replay(STRATEGIES[name], FIVE, tape) is None


def test_waits_last_as_long_as_they_should() -> None:
    began = time.monotonic()
    _, _, tape = run(STRATEGIES["canary"])
    waited = (time.monotonic() - began) * SPEED
    assert waited >= 60
    ended = tape.entries[-1].at_us / 1e6
    assert 60 <= ended <= waited


def test_a_refusal_of_a_person_goes_back() -> None:
    fate, _, _ = run(STRATEGIES["canary"], refuse="not today")
    assert fate.outcome is Outcome.ROLLED_BACK
    assert "not today" in fate.reason


@pytest.mark.parametrize("after", [0.0, 0.004, 0.02, 0.04])
def test_a_stop_at_any_moment_goes_back(after: float) -> None:
    async def main() -> tuple[Fate, Tape, bool]:
        clock = LiveClock(SPEED)
        world, tape = ScriptedWorld(clock), Tape()
        await world.start(FIVE)
        driver = LiveDriver(world, STRATEGIES["canary"], FIVE, clock=clock, seen=tape)
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(after)
        answer = driver.stop("enough")
        return await asyncio.wait_for(running, 30), tape, answer

    fate, tape, answer = asyncio.run(main())
    assert fate.outcome is (Outcome.ROLLED_BACK if answer else Outcome.PROMOTED)
    assert replay(STRATEGIES["canary"], FIVE, tape) is None


def test_an_error_of_the_world_ends_the_run() -> None:
    def break_down(order: str) -> None:
        if order.startswith("weight"):
            raise WorldError("the router died")

    with pytest.raises(WorldError, match="the router died"):
        run(STRATEGIES["canary"], told=break_down)


def test_an_error_nobody_thought_of_ends_the_run_too() -> None:
    def looks(ask: object, at_seconds: float) -> float:
        raise ZeroDivisionError("in the scraper")

    with pytest.raises(ZeroDivisionError):
        run(STRATEGIES["canary"], looks)


# --- resuming ----------------------------------------------------------------------------------------------------


def resume(
    strategy: Strategy, path: Path, looks: Looks, *, speed: float = SPEED, dead_seconds: float = 0.0
) -> tuple[Fate, ScriptedWorld, LiveDriver]:
    """Go on with a journal as a new process would, so many seconds of the scenario after its last entry."""

    async def main() -> tuple[Fate, ScriptedWorld, LiveDriver]:
        recorded = journal.read(path)
        at_us = recorded.entries[-1].at_us if recorded.entries else 0
        clock = LiveClock(speed, began=time.monotonic() - (at_us / 1e6 + dead_seconds) / speed)
        world = ScriptedWorld(clock, looks=looks)
        await world.start(FIVE)
        with Journal.append_to(path, recorded) as written:
            driver = LiveDriver(world, strategy, FIVE, clock=clock, journal=written, entries=recorded.entries)
            return await asyncio.wait_for(driver.run(), 30), world, driver

    return asyncio.run(main())


@pytest.mark.parametrize("looks", [good, bad])
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_driver_that_was_killed_goes_on_from_every_prefix_of_its_journal(
    name: str, looks: Looks, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.jsonl"
    fate, _, _ = run(STRATEGIES[name], looks, whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    for cut in range(1, len(lines) + 1):
        path = tmp_path / f"{cut}.jsonl"
        path.write_bytes(b"".join(lines[:cut]) + lines[min(cut, len(lines) - 1)][: 7 * (cut % 2)])
        again, resumed, driver = resume(STRATEGIES[name], path, looks)
        assert driver.replayed == cut - 1
        assert again.outcome is fate.outcome, f"after {cut} lines"
        recorded = journal.read(path)
        assert replay(STRATEGIES[name], FIVE, Tape(recorded.entries)) is None, f"after {cut} lines"
        done = [text for text in resumed.orders if text in ("promoted", "rolled_back")]
        assert len(done) <= 1


def test_a_wait_that_is_resumed_ends_at_its_original_deadline(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    run(STRATEGIES["canary"], good, path)
    recorded = journal.read(path)
    place = next(
        i for i, e in enumerate(recorded.entries) if e.kind == "effect" and getattr(e.what, "seconds", 0) == 60
    )
    deadline = recorded.entries[place].at_us + 60_000_000
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: place + 2]))
    resume(STRATEGIES["canary"], path, good, speed=50.0, dead_seconds=40.0)
    again = journal.read(path).entries
    answer = next(e for e in again[place + 1 :] if e.kind == "answer" and e.task == 0)
    # who began to wait again would be 40 s late at least, which are 0.8 s of this machine's time
    assert deadline <= answer.at_us < deadline + 40_000_000


def test_a_journal_of_another_strategy_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    run(STRATEGIES["canary"], good, path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-3]))
    with pytest.raises(JournalError, match="not the one that was journalled"):
        resume(STRATEGIES["blue-green"], path, good)


# --- the file ----------------------------------------------------------------------------------------------------


def damaged(change: Callable[[list[bytes]], list[bytes]], path: Path) -> None:
    run(STRATEGIES["rolling"], good, path)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: [], "expected a header"),
        (lambda lines: [b'{"format": "other"}\n', *lines[1:]], "expected format"),
        (lambda lines: [*lines[:3], *lines[4:]], ":4: expected entry 3, got 4: lines are missing"),
        (lambda lines: [*lines[:3], b"{\n", *lines[4:]], ":4: expected JSON"),
        (lambda lines: [*lines[:3], b"[1]\n"], ":4: expected an object"),
        (lambda lines: [lines[0], b'{"n": 1}\n'], ":2: not an entry"),
    ],
)
def test_a_damaged_journal_says_where(
    change: Callable[[list[bytes]], list[bytes]], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    damaged(change, path)
    with pytest.raises(JournalError, match=problem):
        journal.read(path)


def test_a_journal_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("mine")
    with pytest.raises(WorldError, match="File exists"):
        Journal.create(path, {})
    assert path.read_text() == "mine"


def test_a_full_disk_ends_the_run_before_anything_is_done() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("wb", buffering=0) as stream:
        written = Journal(stream)

        async def main() -> ScriptedWorld:
            clock = LiveClock(SPEED)
            world = ScriptedWorld(clock)
            driver = LiveDriver(world, STRATEGIES["canary"], FIVE, clock=clock, journal=written)
            with pytest.raises(WorldError, match="No space left"):
                await driver.run()
            return world

        assert asyncio.run(main()).orders == []


def test_refused_and_strategy_errors_are_what_they_are() -> None:
    def program(release: Release):  # type: ignore[no-untyped-def]
        yield 7

    with pytest.raises(StrategyError, match="not an effect"):
        run(Strategy("odd", program))
    assert issubclass(Refused, Exception)
