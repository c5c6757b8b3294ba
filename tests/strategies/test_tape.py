"""Tapes: every prefix replays, a changed strategy is found out, and JSON lines keep everything."""

from __future__ import annotations

import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import blue_green, canary, rolling
from strategies.analysis import Analysis, Condition, Metric
from strategies.canary import AnalysisStep, PauseStep, SetWeightStep
from strategies.drive import Runtime
from strategies.effects import (
    Abort,
    Counts,
    Fate,
    Inconclusive,
    Measure,
    Measured,
    Observe,
    Outcome,
    Query,
    Release,
    RollTo,
    Spawn,
    Strategy,
)
from strategies.tape import Entry, Tape, decode, dump, encode, load, replay
from strategies.testing import Looks, TapeWorld, bad, empty, good, rehearse, undefined

ERRORS = Query(quantity="error_ratio", window_seconds=60)
FIVE = Release(replicas=5)


def check(count: int | None = None) -> Analysis:
    metric = Metric(
        name="errors",
        query=ERRORS,
        interval_seconds=30,
        count=count,
        success=Condition("<", 0.05),
        failure=Condition(">", 0.2),
    )
    other = Metric(name="twice", query=Query(quantity="request_rate"), interval_seconds=20, count=2)
    return Analysis(name="errors", metrics=(metric, other))


def canary_of(weight: float = 0.2, pause: float = 60) -> Strategy:
    return canary.strategy(
        steps=[SetWeightStep(weight), PauseStep(pause), AnalysisStep(check(2)), PauseStep()], analysis=check()
    )


STRATEGIES = {
    "canary": canary_of(),
    "blue-green": blue_green.strategy(pre_promotion=check(2), post_promotion=check(3), auto_promotion=False),
    "rolling": rolling.strategy(analysis=check(4)),
}


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("looks", [good, bad, undefined, empty])
@pytest.mark.parametrize("refuse", [None, "stop"])
@pytest.mark.parametrize("release", [FIVE, Release(replicas=5, routed=False)])
def test_every_prefix_replays(name: str, looks: Looks, refuse: str | None, release: Release) -> None:
    run = rehearse(STRATEGIES[name], release, looks=looks, refuse=refuse, query_seconds=0.25)
    for upto in (*range(len(run.tape.entries) + 1), None):
        assert replay(STRATEGIES[name], release, run.tape, upto=upto) is None


@pytest.mark.parametrize("looks", [good, bad, undefined, empty])
def test_a_tape_survives_the_way_through_a_file(looks: Looks) -> None:
    run = rehearse(STRATEGIES["canary"], FIVE, looks=looks)
    text = io.StringIO()
    dump(run.tape, text)
    lines = text.getvalue().splitlines()
    assert len(lines) == len(run.tape.entries)
    for line in lines:
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    again = load(lines)
    assert replay(STRATEGIES["canary"], FIVE, again) is None
    text_again = io.StringIO()
    dump(again, text_again)
    assert text_again.getvalue() == text.getvalue()


def test_the_first_difference_is_named() -> None:
    run = rehearse(canary_of(0.2), FIVE)
    difference = replay(canary_of(0.4), FIVE, run.tape)
    assert difference is not None
    assert difference.at_seconds == 0
    assert str(difference) == (
        "entry 3, 0.000000 s, canary: expected effect Scale(revision='canary', replicas=1) at 0.000000 s, "
        "got effect Scale(revision='canary', replicas=2) at 0.000000 s"
    )


def test_a_difference_is_found_when_it_comes_and_not_before() -> None:
    run = rehearse(canary_of(pause=60), FIVE)
    place = next(
        i for i, entry in enumerate(run.tape.entries) if entry.kind == "effect" and "Wait(seconds=60)" in repr(entry)
    )
    assert replay(canary_of(pause=61), FIVE, run.tape, upto=place) is None
    difference = replay(canary_of(pause=61), FIVE, run.tape, upto=place + 1)
    assert difference is not None
    assert (difference.place, difference.at_seconds) == (place, 10.0)


def test_a_strategy_that_ends_early_or_asks_for_nothing_is_found() -> None:
    run = rehearse(STRATEGIES["rolling"], FIVE)
    shorter = replay(rolling.strategy(), FIVE, run.tape)
    assert shorter is not None
    assert "got effect AwaitComplete" in shorter.got or "AwaitComplete" in str(shorter)
    tape = Tape(run.tape.entries[:4] + run.tape.entries[5:])  # an entry is missing
    assert replay(STRATEGIES["rolling"], FIVE, tape) is not None
    strange = Tape([*run.tape.entries, Entry(99, "answer", 0, "rolling", run.tape.entries[2].what)])
    difference = replay(STRATEGIES["rolling"], FIVE, strange)
    assert difference is not None
    assert difference.got == "nothing"


def test_a_strategy_that_breaks_the_contract_in_a_replay_is_a_difference() -> None:
    run = rehearse(STRATEGIES["rolling"], FIVE)
    blind = Strategy("rolling", STRATEGIES["rolling"].program, reads=())
    difference = replay(blind, FIVE, run.tape)
    assert difference is not None
    assert "did not declare in reads" in difference.got


def test_an_answer_that_was_changed_on_the_tape_is_found() -> None:
    run = rehearse(STRATEGIES["canary"], FIVE)
    place = next(i for i, entry in enumerate(run.tape.entries) if isinstance(entry.what, Measured))
    entry = run.tape.entries[place]
    tape = Tape([*run.tape.entries])
    tape.entries[place] = entry._replace(what=Measured(entry.what.at_seconds, 0.9))
    assert replay(STRATEGIES["canary"], FIVE, tape, upto=place + 1) is None
    assert replay(STRATEGIES["canary"], FIVE, tape) is not None


numbers = st.floats(allow_nan=False)
values = st.one_of(
    st.builds(
        Measured,
        numbers,
        st.one_of(st.none(), st.floats()),
        st.one_of(st.none(), st.integers(0)),
        st.one_of(st.none(), st.integers(0)),
    ),
    st.builds(Counts, numbers, st.tuples(st.integers(), st.integers()), st.tuples(st.integers(), st.integers())),
    st.builds(Measure, st.builds(Query, quantity=st.just("error_ratio"), window_seconds=st.floats(1, 1e9))),
    st.builds(Observe, st.one_of(st.none(), st.just(((1, 2), (3, 4)))), st.one_of(st.none(), numbers)),
    st.builds(RollTo, st.just("canary"), st.integers(), st.one_of(st.integers(), st.text())),
    st.builds(Fate, st.sampled_from(Outcome), st.text()),
)


@given(value=values)
def test_values_survive_json(value: object) -> None:
    again = decode(json.loads(json.dumps(encode(value), allow_nan=False)))
    assert type(again) is type(value)
    assert encode(again) == encode(value)
    assert repr(again) == repr(value)


def test_failures_and_programs_survive_json_as_far_as_they_can() -> None:
    for failure in (Abort("four failures"), Inconclusive("unsure")):
        again = decode(encode(failure))
        assert type(again) is type(failure)
        assert str(again) == str(failure)
    spawn = decode(encode(Spawn(lambda: iter(()), "analysis")))  # type: ignore[arg-type, return-value]
    assert spawn.name == "analysis"
    assert repr(decode(encode(object))) == repr(object)
    assert math.isnan(decode(encode(math.nan)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not an entry of a tape"),
        ('{"at_us": 1}', "line 2: not an entry"),
        (
            '{"at_us": 1, "kind": "effect", "task": 0, "name": "x", "what": {"Explode": {}}}',
            "unknown name 'Explode'; known: ",
        ),
        ('{"at_us": 1, "kind": "effect", "task": 0, "name": "x", "what": {"Wait": {"second": 1}}}', "line 2: .*second"),
        ('{"at_us": 1, "kind": "effect", "task": 0, "name": "x", "what": {"a": 1, "b": 2}}', "expected one name"),
    ],
)
def test_a_line_that_is_no_entry_is_refused_by_number(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(["", line])


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("at_seconds", [0.0, 5.0, 10.0, 70.0, 100.0, 5000.0])
def test_a_stop_from_outside_goes_back_and_replays_at_every_prefix(name: str, at_seconds: float) -> None:
    world, tape = TapeWorld(FIVE, looks=good, query_seconds=0.5, approval_seconds=30.0), Tape()
    runtime = Runtime(world, STRATEGIES[name], FIVE, record=tape)
    runtime.start()
    answers: list[bool] = []
    world.call_later(round(at_seconds * 1e6), lambda: answers.append(runtime.stop("enough")))
    world.run()
    assert runtime.fate is not None
    assert runtime.fate.outcome is (Outcome.ROLLED_BACK if answers == [True] else Outcome.PROMOTED)
    if answers == [True]:
        assert "enough" in runtime.fate.reason
    for upto in range(len(tape.entries) + 1):
        assert replay(STRATEGIES[name], FIVE, tape, upto=upto) is None
    stream = io.StringIO()
    dump(tape, stream)
    assert replay(STRATEGIES[name], FIVE, load(stream.getvalue().splitlines())) is None
