"""The drill as a state machine: whatever happens, in whatever order, there is one verdict and one sweep."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos import drill_events as d
from chaos.drill import Command, Do, Drill, Phase
from chaos.drill_events import Event
from strategies.tape import Entry, decode, encode


def any_event(at: float) -> list[Event]:
    """Every kind of event, whether it makes sense then or not."""
    return [
        *(d.Checked(at=at, problems=problems) for problems in ((), ("no Envoy",))),
        *(d.Steady(at=at, since=0.0, problem=problem) for problem in ("", "", "9 of 10 were bad")),
        d.RolloutBegan(at=at),
        *(d.FaultDue(at=at, fault=fault) for fault in range(3)),
        *(d.FaultInjected(at=at, fault=fault, asked=0.0, lo=0.0) for fault in range(3)),
        *(d.FaultRefused(at=at, fault=fault, reason="no") for fault in range(3)),
        d.BadLook(at=at, lo=0.0),
        *(d.Decided(at=at, lo=0.0, outcome=outcome) for outcome in ("promoted", "rolled_back", "stalled")),
        *(d.RolloutEnded(at=at, outcome=outcome) for outcome in ("promoted", "rolled_back", "stalled")),
        d.Settled(at=at),
        d.DeadlinePassed(at=at),
        *(d.Failed(at=at, reason="it broke", work=work) for work in ("", "JUDGE", "RECOVER", "SWEEP")),
        d.Tripped(at=at, guard="error ratio", reason="much"),
        d.Interrupted(at=at, by="SIGINT"),
        *(d.Resumed(at=at, undo=undo) for undo in (False, True)),
        d.Judged(at=at, verdict="pass", exit_code=0),
        *(d.Recovered(at=at, left=left) for left in ((), ("canary-0",))),
        *(d.Swept(at=at, left=left) for left in ((), ("process 7",))),
    ]


EVENTS = st.lists(st.sampled_from([event for at in (0.0, 5.0) for event in any_event(at)]), max_size=40)
#: a drill under way, then anything
STORIES = st.sampled_from([[], [d.Checked(at=1)], [d.Checked(at=1), d.Steady(at=2, since=1), d.RolloutBegan(at=3)]])


def answer(command: Command, drill: Drill) -> list[Event]:
    """What a world that works tells after a command."""
    match command.do:
        case Do.CHECK:
            return [d.Checked(at=1.0)]
        case Do.START:
            return [d.Steady(at=2.0, since=1.5), d.RolloutBegan(at=3.0)]
        case Do.ROLL_OUT | Do.REBUILD | Do.STOP:
            return [d.RolloutEnded(at=4.0, outcome="rolled_back"), d.Settled(at=5.0)]
        case Do.INJECT:
            return [d.FaultInjected(at=3.5, fault=command.fault, asked=3.4, lo=3.4)]
        case Do.JUDGE:
            return [d.Judged(at=6.0, verdict="pass", exit_code=0)]
        case Do.RECOVER:
            return [d.Recovered(at=7.0)]
        case Do.SWEEP:
            return [d.Swept(at=8.0)]
        case Do.FINISH:
            return []
    raise AssertionError(command)


def run(drill: Drill, commands: list[Command], events: Iterable[Event] = ()) -> list[Command]:
    """Feed events, then let the world answer every command until nothing is left to do; all commands there were."""
    done = list(commands)
    for event in events:
        done += drill.take(event)
    at = 0
    while at < len(done):
        for event in answer(done[at], drill):
            done += drill.take(event)
        at += 1
        assert at < 1000
    return done


def how_often(commands: list[Command], what: Do) -> int:
    return sum(command.do is what for command in commands)


def test_the_phases_of_a_drill_in_order() -> None:
    drill = Drill()
    phases = [drill.phase]
    story = [
        d.Checked(at=1),
        d.Steady(at=2, since=1),
        d.RolloutBegan(at=3),
        d.FaultDue(at=4, fault=0),
        d.FaultInjected(at=5, fault=0, asked=4, lo=4),
        d.BadLook(at=6, lo=5),
        d.Decided(at=7, lo=7, outcome="rolled_back", reason="errors"),
        d.RolloutEnded(at=8, outcome="rolled_back", reason="errors"),
        d.Settled(at=9),
        d.Judged(at=10, verdict="pass", exit_code=0),
        d.Recovered(at=11),
        d.Swept(at=12),
    ]
    for event in story:
        drill.take(event)
        if drill.phase is not phases[-1]:
            phases.append(drill.phase)
    assert phases == list(Phase)
    assert (drill.exit_code, drill.outcome, drill.observed_until) == (0, "rolled_back", 9)


@settings(max_examples=400, deadline=None)
@given(STORIES, EVENTS)
def test_any_order_of_events_ends_in_a_verdict_and_a_sweep(story: list[Event], events: list[Event]) -> None:
    events = [*story, *events]
    drill = Drill()
    commands = run(drill, drill.begin(), events)
    if drill.phase is not Phase.ENDED:  # it waits for the world: nothing that it asked for is unanswered
        commands += run(drill, drill.take(d.DeadlinePassed(at=9.0)))
    assert drill.phase is Phase.ENDED
    assert drill.verdict is not None
    assert drill.observed_until is not None
    resumed = sum(isinstance(event, d.Resumed) for event in events)
    for once in (Do.JUDGE, Do.RECOVER, Do.SWEEP):
        assert how_often(commands, once) <= 1 + resumed
    assert drill.exit_code in (0, 4, 5, 130)


@settings(max_examples=200, deadline=None)
@given(STORIES, EVENTS, st.integers(0, 43), st.booleans())
def test_a_killed_drill_is_the_same_drill_and_ends(
    story: list[Event], events: list[Event], cut: int, undo: bool
) -> None:
    events = [*story, *events]
    drill = Drill()
    for event in events:
        drill.take(event)
    entries = [
        Entry(0, d.KIND, -1, type(event).__name__, decode(json.loads(json.dumps(encode(d.to_plain(event))))))
        for event in events
    ]
    again = Drill.of(d.events_of(entries))
    assert again == drill
    killed = Drill.of(events[:cut])
    run(killed, killed.take(d.Resumed(at=99.0, undo=undo)))
    if killed.phase is not Phase.ENDED:
        run(killed, killed.take(d.DeadlinePassed(at=100.0)))
    assert killed.phase is Phase.ENDED


def begun(*events: Event) -> Drill:
    return Drill.of([d.Checked(at=1), d.Steady(at=2, since=1), d.RolloutBegan(at=3), *events])


def test_a_refused_drill_starts_nothing() -> None:
    drill = Drill()
    commands = run(drill, drill.begin()[:0] + drill.take(d.Checked(at=1, problems=("no Envoy",))))
    assert not {Do.START, Do.ROLL_OUT, Do.INJECT} & {command.do for command in commands}
    assert drill.problems == ("no Envoy",)


def test_no_steady_state_is_a_refusal() -> None:
    drill = Drill.of([d.Checked(at=1)])
    commands = drill.take(d.Steady(at=2, since=1, problem="9 of 10 responses were bad"))
    assert [command.do for command in commands] == [Do.JUDGE]
    assert drill.take(d.RolloutBegan(at=3)) == []


def test_a_first_interrupt_takes_the_rollout_back_and_a_second_does_not_wait() -> None:
    drill = begun()
    assert drill.take(d.Interrupted(at=4, by="SIGINT")) == [Command(Do.STOP, reason="interrupted by SIGINT")]
    assert [command.do for command in drill.take(d.Interrupted(at=5, by="SIGINT"))] == [Do.JUDGE]
    run(drill, [Command(Do.JUDGE)])
    assert drill.exit_code == 130


def test_a_guard_stops_once_and_too_late_is_too_late() -> None:
    drill = begun()
    assert [command.do for command in drill.take(d.Tripped(at=4, guard="latency", reason="p99"))] == [Do.STOP]
    assert drill.take(d.Tripped(at=5, guard="wall time", reason="long")) == []
    late = begun(d.Settled(at=4))
    assert late.take(d.Tripped(at=5, guard="latency", reason="p99")) == []
    assert late.tripped is None


def test_a_fault_is_asked_for_once_and_only_while_the_rollout_is_watched() -> None:
    drill = Drill.of([d.Checked(at=1)])
    assert drill.take(d.FaultDue(at=1, fault=0)) == []
    drill = begun()
    assert drill.take(d.FaultDue(at=4, fault=0)) == [Command(Do.INJECT, fault=0)]
    assert drill.take(d.FaultDue(at=5, fault=0)) == []
    assert drill.asked == {0: 4}
    drill.take(d.Settled(at=6))
    assert drill.take(d.FaultDue(at=7, fault=1)) == []


def test_the_first_decision_counts_and_a_way_back_after_a_deadline_changes_the_outcome() -> None:
    drill = begun(
        d.Decided(at=4, lo=4, outcome="stalled", reason="deadline"), d.Decided(at=5, lo=5, outcome="rolled_back")
    )
    assert drill.decided is not None
    assert (drill.decided.at, drill.outcome) == (4, "rolled_back")
    drill.take(d.Decided(at=6, lo=6, outcome="promoted"))
    assert drill.outcome == "rolled_back"


def test_what_cannot_be_cleaned_up_outweighs_everything() -> None:
    drill = begun(d.Settled(at=4), d.Interrupted(at=4, by="SIGINT"), d.Judged(at=5, verdict="pass", exit_code=0))
    drill.take(d.Recovered(at=6, left=("canary-0",)))
    drill.take(d.Swept(at=7))
    assert drill.exit_code == 4


@pytest.mark.parametrize(
    ("phase", "events"),
    [
        (Phase.RECOVER, [d.Settled(at=4), d.Judged(at=5, verdict="pass", exit_code=0)]),
        (Phase.SWEEP, [d.Settled(at=4), d.Judged(at=5, verdict="pass", exit_code=0), d.Recovered(at=6)]),
    ],
)
def test_a_clean_up_that_breaks_is_said_and_goes_on(phase: Phase, events: list[Event]) -> None:
    drill = begun(*events)
    assert drill.phase is phase
    assert drill.take(d.Failed(at=8, reason="a pod died late")) == [], "that is no failure of the clean-up"
    run(drill, drill.take(d.Failed(at=8, reason="the disk is full", work=phase.name)))
    assert drill.phase is Phase.ENDED
    assert any("the disk is full" in each for each in drill.left)
    assert drill.exit_code == 4


def test_resuming_goes_on_where_it_was() -> None:
    assert [c.do for c in Drill.of([]).take(d.Resumed(at=1))] == [Do.CHECK]
    assert [c.do for c in Drill.of([d.Checked(at=1)]).take(d.Resumed(at=2))] == [Do.START]
    running = begun(d.FaultDue(at=4, fault=0))
    assert running.take(d.Resumed(at=5)) == [Command(Do.REBUILD), Command(Do.INJECT, fault=0)]
    undone = begun().take(d.Resumed(at=5, undo=True))
    assert [c.do for c in undone] == [Do.REBUILD, Do.STOP]
    ended = begun(d.RolloutEnded(at=4, outcome="promoted"))
    assert [c.do for c in ended.take(d.Resumed(at=5))] == [Do.JUDGE]


def test_an_unknown_event_lists_the_known() -> None:
    with pytest.raises(ValueError, match="unknown event 'Chekced'; known: Checked, Steady"):
        d.from_plain("Chekced", {})
    with pytest.raises(ValueError, match="Settled"):
        d.from_plain("Settled", {"when": 1})
