"""After a kill: the last orders and decisions of a journal; what is heard of a strategy and of its world."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from chaos import rebuild
from chaos.clock import LiveClock
from chaos.drill_events import BadLook, Decided, Event, FaultDue
from chaos.faults.verify import Life
from chaos.hearing import Hearing
from chaos.lives import Lives
from chaos.plan import Plan, Settings, Source, make
from chaos.results import Happening
from chaos.testing import ScriptedWorld
from scenarios.schema import Startup
from strategies.effects import (
    DeadlinePassed,
    Done,
    Measure,
    Measured,
    Note,
    Promote,
    Query,
    RollTo,
    Scale,
    SetWeight,
    Undo,
)
from strategies.tape import Entry

QUICK = Path(__file__).with_name("quick.yaml")


def entries(*told: object) -> list[Entry]:
    kinds = {Done: "answer", DeadlinePassed: "answer"}
    return [Entry(at * 1_000_000, kinds.get(type(what), "effect"), 0, "x", what) for at, what in enumerate(told)]


def test_the_last_orders_win() -> None:
    found = rebuild.last_orders(
        entries(Scale("canary", 1), SetWeight(0.1), Done(0.1), Scale("canary", 3), Note("hm"), SetWeight(0.5))
    )
    assert (found.scale, found.roll, found.weight) == ({"canary": 3}, None, 0.5)


def test_a_roll_takes_the_place_of_scalings_and_they_of_it() -> None:
    roll = RollTo("canary", 4)
    assert rebuild.last_orders(entries(Scale("canary", 1), roll)) == rebuild.Orders({}, roll, 0.0)
    assert rebuild.last_orders(entries(roll, Scale("stable", 4))) == rebuild.Orders({"stable": 4}, None, 0.0)


def test_orders_are_given_pods_first() -> None:
    async def main() -> ScriptedWorld:
        world = ScriptedWorld(LiveClock(1000.0))
        await rebuild.give(rebuild.Orders({"stable": 4, "canary": 2}, None, 0.4), world, Startup())
        return world

    world = asyncio.run(main())
    assert world.orders == ["stable 4", "canary 2", "weight 0.4"]


def test_decisions_stand_at_the_instants_of_their_entries() -> None:
    clock = LiveClock(4.0, began=100.0)
    found = rebuild.decisions(entries(SetWeight(0.1), DeadlinePassed(1.0), Undo("errors"), Promote()), clock)
    assert [(each.outcome, each.at) for each in found] == [
        ("stalled", 100.25),
        ("rolled_back", 100.5),
        ("promoted", 100.75),
    ]


def hearing(plan: Plan) -> tuple[Hearing, list[Event], list[Happening]]:
    events, told = list[Event](), list[Happening]()
    return (
        Hearing(plan, LiveClock(4.0, began=time.monotonic() - 100), post=events.append, tell=told.append),
        events,
        told,
    )


def test_bad_looks_decisions_and_notes_are_heard(tmp_path: Path) -> None:
    plan = make(Source(path=str(QUICK)), "canary", Settings(state=tmp_path))
    heard, events, told = hearing(plan)
    asked = next(ask for ask in plan.strategy.reads if isinstance(ask, Query) and ask.quantity == "error_ratio")
    for at, value in ((1, 0.01), (2, 0.5), (3, None)):
        heard.strategy(at * 1_000_000, "effect", 1, "errors", Measure(asked))
        heard.strategy(at * 1_000_000, "answer", 1, "errors", Measured(float(at), value))
    heard.strategy(4_000_000, "effect", 0, "canary", Note("so it is"))
    heard.strategy(5_000_000, "effect", 0, "canary", Undo("errors"))
    assert [type(event) for event in events] == [BadLook, Decided]
    assert [(each.kind, each.facts.get("bad")) for each in told] == [
        ("look", False),
        ("look", True),
        ("look", False),
        ("note", None),
    ]
    assert events[1].lo <= events[1].at  # type: ignore[attr-defined]


def test_a_weight_that_is_reached_makes_its_faults_due(tmp_path: Path) -> None:
    faults = [{"kind": "error_ratio", "ratio": "5%", "fromWeight": weight} for weight in ("20%", "60%")]
    plan = make(Source(path=str(QUICK), overrides={"faults": faults}), "canary", Settings(state=tmp_path))
    heard, events, _ = hearing(plan)
    for weight in (0.0, 0.4, 0.6):
        heard.world("weight_effective", "router", weight=weight)
    assert [event.fault for event in events if isinstance(event, FaultDue)] == [0, 0, 1]


def test_traffic_is_told_and_not_kept(tmp_path: Path) -> None:
    heard, _, told = hearing(make(Source(path=str(QUICK)), "canary", Settings(state=tmp_path)))
    heard.traffic({"all": {"requests": 1}})
    heard.happened("phase", "drill", phase="observe")
    assert [each.kind for each in told] == ["traffic", "phase"]
    assert [each.kind for each in heard.happenings] == ["phase"]


def test_lives_are_processes_not_pods() -> None:
    lives = Lives()
    for kind, pod, at, facts in (
        ("container_started", "canary-0", 1.0, {}),
        ("pod_ready", "canary-0", 2.0, {}),
        ("container_died", "canary-0", 3.0, {"code": 137}),
        ("container_started", "canary-0", 4.0, {}),
        ("container_started", "stable-1", 4.5, {}),
        ("pod_ready", "stable-1", 5.0, {}),
        ("pod_gone", "stable-1", 6.0, {}),
        ("weight_effective", "router", 7.0, {}),
    ):
        lives.told(kind, pod, facts, at)
    first, second, third = lives.all()
    assert first == Life("canary-0", "canary", 1.0, 2.0, 3.0, 137)
    assert (second.pod, second.started, second.code) == ("canary-0", 4.0, None)
    assert second.ready != second.ready, "it never was"
    assert (third.revision, third.ready) == ("stable", 5.0)
