"""For tests of strategies, ours and yours: a scripted world with a tiny clock, and the contract of a strategy.

run = rehearse(strategy, looks=lambda query, at: 0.2)
assert run.fate.outcome is Outcome.ROLLED_BACK
assert run.effects[:2] == [Scale("canary", 1), AwaitAvailable("canary", 1)]

class TestMine(StrategyContract):
    def make_strategy(self) -> Strategy:
        return mine(...)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from strategies.drive import MICROSECONDS, Runtime
from strategies.effects import Ask, Effect, Fate, Measured, Outcome, Release, Strategy
from strategies.tape import Tape, replay
from strategies.tape_world import BAD, GOOD, Looks, TapeWorld, TooLong, bad, empty, good, undefined

__all__ = [
    "BAD",
    "GOOD",
    "Looks",
    "Rehearsal",
    "StrategyContract",
    "TapeWorld",
    "TooLong",
    "bad",
    "empty",
    "good",
    "rehearse",
    "undefined",
]

# --- running a strategy in it ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Rehearsal:
    """What a strategy did in a scripted world."""

    fate: Fate | None  #: None: it waits for a person who does not come, or for pods that never do
    world: TapeWorld
    tape: Tape

    @property
    def effects(self) -> list[Effect]:
        """What the strategy itself asked for, in order; its analyses are left out."""
        return [entry.what for entry in self.tape.entries if entry.kind == "effect" and entry.task == 0]

    def at(self, kind: type[Effect]) -> list[float]:
        """When effects of a kind were asked for, by the strategy or its analyses, in seconds."""
        return [entry.at_us / MICROSECONDS for entry in self.tape.entries if isinstance(entry.what, kind)]


def rehearse(
    strategy: Strategy, release: Release | None = None, *, until_seconds: float = 86_400.0, **script: Any
) -> Rehearsal:
    """Run a strategy in a `TapeWorld` (`script`: its keyword arguments) and say what it did."""
    release = release or Release(replicas=4)
    world, tape = TapeWorld(release, **script), Tape()
    runtime = Runtime(world, strategy, release, record=tape)
    runtime.start()
    world.run(until_seconds)
    return Rehearsal(runtime.fate, world, tape)


# --- the contract ------------------------------------------------------------------------------------------------


class StrategyContract:
    """What every strategy owes its users; a base class of tests.

    Subclass it, name the subclass `Test…`, and give it `make_strategy`.
    """

    releases: tuple[Release, ...] = (
        Release(replicas=1),
        Release(replicas=4),
        Release(replicas=10, routed=False),
        Release(replicas=3, first=True),
        Release(replicas=5, returning=True),
    )

    def make_strategy(self) -> Strategy:
        """The strategy to be tested; called for each test."""
        raise NotImplementedError

    def bad(self, query: Ask, at_seconds: float) -> Measured | float | None:
        """A look at a release that must not be promoted."""
        return bad(query, at_seconds)

    def rehearsals(self, **script: Any) -> list[Rehearsal]:
        """The strategy run on each release in the same scripted world."""
        return [rehearse(self.make_strategy(), release, **script) for release in self.releases]

    def test_a_good_release_is_promoted_and_takes_all_traffic_and_pods(self) -> None:
        for run in self.rehearsals(looks=good):
            release = run.world.release
            assert run.fate is not None, f"{release}: never ended"
            assert run.fate.outcome is Outcome.PROMOTED, f"{release}: {run.fate}"
            assert run.world.decision == "promoted"
            assert run.world.available["canary"] == release.replicas
            assert run.world.spec["stable"] == 0

    def test_a_release_that_looks_bad_every_time_is_not_promoted(self) -> None:
        if not self.make_strategy().reads:
            return
        for run in self.rehearsals(looks=self.bad):
            release = run.world.release
            if release.first or release.returning:
                continue  # no analysis then
            assert run.fate is not None, f"{release}: never ended"
            assert run.fate.outcome is Outcome.ROLLED_BACK, f"{release}: {run.fate}"
            assert run.fate.reason
            assert run.world.decision == "rolled_back"
            assert run.world.available["stable"] == release.replicas
            assert run.world.weight == 0

    def test_it_ends_or_waits_for_a_person_whatever_it_sees(self) -> None:
        for looks in (undefined, empty, self.bad, good):
            for never_available in ((), ("canary",)):
                for run in self.rehearsals(looks=looks, never_available=never_available):
                    if run.fate is None:
                        assert run.world.approvals == 0, f"{run.world.release}: waits, and not for a person"

    def test_it_ends_or_waits_for_a_person_when_a_person_says_stop(self) -> None:
        for run in self.rehearsals(looks=undefined, refuse="stop"):
            assert run.fate is not None, f"{run.world.release}: did not end after a stop"

    def test_recorded_answers_lead_to_the_same_decisions_at_every_prefix(self) -> None:
        for looks in (good, self.bad, undefined):
            for run in self.rehearsals(looks=looks, query_seconds=0.5):
                entries = len(run.tape.entries)
                step = max(1, entries // 50)
                for upto in (*range(0, entries, step), entries):
                    assert replay(self.make_strategy(), run.world.release, run.tape, upto=upto) is None
