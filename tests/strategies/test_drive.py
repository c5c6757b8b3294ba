"""The runtime: resume, spawn, join, cancel, throw, ties, and what it says of a strategy that breaks the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from strategies.drive import PENDING, Reply, Runtime, StrategyError
from strategies.effects import (
    Abort,
    Answer,
    AwaitApproval,
    Cancel,
    Done,
    Effect,
    Fate,
    Inconclusive,
    Join,
    Measure,
    Note,
    Outcome,
    Program,
    Promote,
    Query,
    Release,
    Scale,
    SetWeight,
    Spawn,
    Strategy,
    Undo,
    Wait,
)
from strategies.testing import Rehearsal, rehearse

ERRORS = Query(quantity="error_ratio")
END = Fate(Outcome.PROMOTED)


def play(program: Callable[[Release], Program], *, reads: tuple[Query, ...] = (), **script: Any) -> Rehearsal:
    return rehearse(Strategy("mine", program, reads=reads), **script)


def notes(run: Rehearsal) -> list[str]:
    """The notes of all programs, in order."""
    return [effect.text for _, effect in run.world.asked if isinstance(effect, Note)]


def waiter(name: str, *seconds: float) -> Callable[[], Program]:
    """A program that writes its name after each wait."""

    def program() -> Program:
        for number, pause in enumerate(seconds, 1):
            yield Wait(pause)
            yield Note(f"{name}{number}")

    return program


def failing(after: float, failure: Exception) -> Callable[[], Program]:
    def program() -> Program:
        yield Wait(after)
        raise failure

    return program


# --- time and ties -----------------------------------------------------------------------------------------------


def test_equal_instants_run_in_the_order_in_which_they_were_asked_for() -> None:
    def program(release: Release) -> Program:
        yield Spawn(waiter("a", 10, 10), "a")
        yield Spawn(waiter("b", 5, 15), "b")
        yield Spawn(waiter("c", 10, 10), "c")
        yield Wait(20)
        yield Note("main")
        yield Wait(0)
        return END

    # at 20 s: main asked at 0 s, b at 5 s, a and c at 10 s
    assert notes(play(program)) == ["b1", "a1", "c1", "main", "b2", "a2", "c2"]


def test_a_spawned_program_starts_after_its_parent_waits() -> None:
    def child() -> Program:
        yield Note("child")

    def program(release: Release) -> Program:
        yield Spawn(child, "child")
        yield Note("parent")
        yield Wait(0)
        yield Note("later")
        return END

    assert notes(play(program)) == ["parent", "child", "later"]


def test_answers_carry_the_time_in_seconds() -> None:
    seen: list[Any] = []

    def program(release: Release) -> Program:
        seen.append((yield Wait(0.1)))
        seen.append((yield Wait(0.2)))
        seen.append((yield Scale("canary", 1)))
        return END

    play(program)
    assert seen == [Done(0.1), Done(0.3), Done(0.3)]  # whole microseconds: no 0.30000000000000004


# --- spawn, join, cancel -----------------------------------------------------------------------------------------


def test_join_waits_for_all() -> None:
    def program(release: Release) -> Program:
        one = (yield Spawn(waiter("a", 10), "a")).handle
        two = (yield Spawn(waiter("b", 30), "b")).handle
        joined = yield Join((one, two))
        yield Note(f"joined at {joined.at_seconds:g}")
        again = yield Join((one,))  # one that has ended: at once
        yield Note(f"again at {again.at_seconds:g}")
        return END

    assert notes(play(program)) == ["a1", "b1", "joined at 30", "again at 30"]


def test_cancel_ends_a_program_and_its_clean_up_runs() -> None:
    closed: list[str] = []

    def child() -> Program:
        try:
            yield Wait(10)
        finally:
            closed.append("closed")

    def program(release: Release) -> Program:
        handle = (yield Spawn(child, "child")).handle
        yield Wait(5)
        yield Cancel(handle)
        yield Cancel(handle)  # idempotent
        yield Cancel(99)
        yield Wait(20)
        return END

    assert play(program).fate == END
    assert closed == ["closed"]


def test_a_program_that_is_cancelled_before_it_started_never_starts() -> None:
    def program(release: Release) -> Program:
        yield Cancel((yield Spawn(waiter("a", 0), "a")).handle)
        yield Wait(1)
        return END

    assert notes(play(program)) == []


def test_the_end_of_a_strategy_ends_its_programs() -> None:
    def program(release: Release) -> Program:
        yield Spawn(waiter("a", 10), "a")
        yield Wait(5)
        return END

    run = play(program)
    assert notes(run) == []
    assert [entry.what for entry in run.tape.entries if entry.kind == "end"] == ["cancelled", END]


# --- failures ----------------------------------------------------------------------------------------------------


def test_a_failure_is_thrown_into_the_parent_wherever_it_waits() -> None:
    def program(release: Release) -> Program:
        yield Spawn(failing(10, Abort("broken")), "child")
        try:
            yield Wait(60)
        except Abort as reason:
            yield Undo(str(reason))
        waited = yield Wait(100)  # the answer of the old wait (at 60 s) is not taken for this one's
        yield Note(f"{waited.at_seconds:g}")
        return END

    run = play(program)
    assert run.at(Undo) == [10]
    assert notes(run) == ["110"]


def test_a_failure_first_cancels_the_siblings() -> None:
    def program(release: Release) -> Program:
        yield Spawn(failing(10, Abort("first")), "a")
        yield Spawn(failing(10, Abort("second")), "b")
        yield Spawn(waiter("c", 20), "c")
        try:
            yield Wait(60)
        except Abort as reason:
            yield Undo(str(reason))
        yield Wait(60)
        return END

    run = play(program)
    assert run.effects[-2] == Undo("first")
    assert notes(run) == []


def test_an_inconclusive_end_leaves_the_siblings_alone() -> None:
    def program(release: Release) -> Program:
        yield Spawn(failing(10, Inconclusive("unsure")), "a")
        yield Spawn(waiter("b", 20), "b")
        try:
            yield Wait(60)
        except Inconclusive as reason:
            yield Note(str(reason))
        yield Wait(60)
        return END

    assert notes(play(program)) == ["unsure", "b1"]


def test_while_an_abort_is_handled_a_second_one_becomes_a_note() -> None:
    def program(release: Release) -> Program:
        try:
            yield AwaitApproval("go on?")
        except Abort:
            yield Spawn(failing(5, Abort("second")), "late")
            handle = (yield Spawn(waiter("b", 20), "b")).handle
            yield Join((handle,))  # b is cancelled by its failing sibling: nothing is left to wait for
        yield Undo("first")
        return Fate(Outcome.ROLLED_BACK)

    run = play(program, refuse="first")
    assert notes(run) == ["late: second"]
    assert run.fate == Fate(Outcome.ROLLED_BACK)
    assert run.at(Undo) == [5]


@pytest.mark.parametrize("failure", [Abort("late"), Inconclusive("late")])
@pytest.mark.parametrize("decision", [Promote(), Undo("early")])
def test_after_the_decision_nothing_is_thrown(failure: Exception, decision: Effect) -> None:
    def program(release: Release) -> Program:
        handle = (yield Spawn(failing(10, failure), "child")).handle
        yield decision
        yield Join((handle,))
        yield Wait(10)
        return END

    run = play(program)
    assert notes(run) == ["child: late"]
    assert run.fate == END


def test_a_person_who_says_stop_aborts_the_program_that_asked() -> None:
    def program(release: Release) -> Program:
        try:
            yield AwaitApproval("go on?")
        except Abort as reason:
            yield Undo(str(reason))
        return Fate(Outcome.ROLLED_BACK)

    assert play(program, refuse="no").effects[-1] == Undo("no")


def test_a_world_may_answer_others_while_it_performs() -> None:
    # The world fails a child inside `perform` of its parent: the parent has moved on, and the answer is not its any more.
    class Nested:
        def __init__(self) -> None:
            self.now = 0
            self.due: list[tuple[int, Callable[[], None]]] = []
            self.child: Reply | None = None

        def now_us(self) -> int:
            return self.now

        def call_later(self, delay_us: int, function: Callable[[], None]) -> None:
            self.due.append((self.now + delay_us, function))

        def perform(self, effect: Effect, reply: Reply) -> Answer | Any:
            if isinstance(effect, AwaitApproval):
                self.child = reply
                return PENDING
            if isinstance(effect, SetWeight) and self.child is not None:
                answer, self.child = self.child, None
                answer(Abort("inside"))
            return Done(0.0)

    seen: list[Any] = []

    def child() -> Program:
        yield AwaitApproval()

    def program(release: Release) -> Program:
        yield Spawn(child, "child")
        yield Wait(0)
        try:
            seen.append((yield SetWeight(0.5)))
        except Abort as reason:
            seen.append(str(reason))
            seen.append((yield Wait(5)))
        return END

    world = Nested()
    runtime = Runtime(world, Strategy("mine", program), Release(replicas=1))
    runtime.start()
    while world.due:
        world.now, function = world.due.pop(0)
        function()
    assert seen == ["inside", Done(5.0)]
    assert runtime.fate == END


# --- what is not allowed -----------------------------------------------------------------------------------------


def _not_an_effect(release: Release) -> Program:
    yield Wait(1)
    yield "scale"  # type: ignore[misc]


def _undeclared(release: Release) -> Program:
    yield Measure(ERRORS)


def _two_decisions(release: Release) -> Program:
    yield Promote()
    yield Undo("no")


def _acting_child(release: Release) -> Program:
    def child() -> Program:
        yield Scale("canary", 1)

    yield Spawn(child, "child")
    yield Wait(10)


def _child_that_is_none(release: Release) -> Program:
    yield Spawn(lambda: None, "child")  # type: ignore[arg-type, return-value]


def _no_fate(release: Release) -> Program:
    yield Wait(1)


def _lets_abort_escape(release: Release) -> Program:
    yield Wait(1)
    raise Abort("oops")


def _bug(release: Release) -> Program:
    yield Wait(1)
    yield Wait(1 / 0)


def _joins_nobody(release: Release) -> Program:
    yield Join((7,))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (_not_an_effect, r"strategy 'mine', .*test_drive\.py:\d+: yielded 'scale', which is not an effect"),
        (
            _undeclared,
            r"strategy 'mine', .*test_drive\.py:\d+: measured Query\(.*did not declare in reads; declared: nothing",
        ),
        (_two_decisions, r"strategy 'mine', .*test_drive\.py:\d+: Undo is not legal in phase promoted"),
        (_acting_child, r"strategy 'mine', .*test_drive\.py:\d+: Scale is not legal in a spawned program"),
        (_child_that_is_none, r"strategy 'mine', .*test_drive\.py:\d+: spawned None, which is not a program"),
        (_no_fate, r"strategy 'mine' ended with None; a strategy returns a Fate"),
        (_lets_abort_escape, r"strategy 'mine' let Abort\(oops\) escape"),
        (_bug, r"strategy 'mine', .*test_drive\.py:\d+: ZeroDivisionError"),
        (_joins_nobody, r"strategy 'mine', .*test_drive\.py:\d+: no program 7 to join"),
        (lambda release: None, r"strategy 'mine' returned None, which is not a generator"),
    ],
)
def test_a_broken_strategy_is_named_with_file_and_line(program: Any, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        play(program)


def test_the_line_named_is_the_innermost_one() -> None:
    def inner() -> Program:
        yield Wait(1)
        yield None  # type: ignore[misc]

    def program(release: Release) -> Program:
        yield from inner()

    line = inner.__code__.co_firstlineno + 2
    with pytest.raises(StrategyError, match=rf"test_drive\.py:{line}: yielded None"):
        play(program)
