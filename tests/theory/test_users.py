"""How many different users met a bad release."""

from __future__ import annotations

import math

import pytest
from worlds import CONSTANT_STARTUP, columns, scenario

from strategies.effects import AwaitAvailable, Fate, Outcome, Program, Release, Scale, SetWeight, Undo, Wait

SERVICE = {"errorRatio": 0, "startup": CONSTANT_STARTUP, "endpointLag": [1, 1]}
FAULT = {"kind": "error_ratio", "ratio": 0.1}


def steps(*pairs: tuple[float, float]):  # type: ignore[no-untyped-def]
    def program(release: Release) -> Program:
        yield Scale("canary", release.replicas)
        yield AwaitAvailable("canary", release.replicas)
        yield Wait(8)
        for weight, seconds in pairs:
            yield SetWeight(weight)
            yield Wait(seconds)
        yield Undo("enough")
        yield SetWeight(0.0)
        yield Wait(60)
        yield Scale("canary", 0)
        return Fate(Outcome.ROLLED_BACK)

    return program


def met(program, **words) -> float:  # type: ignore[no-untyped-def]
    rows = columns(scenario(service=SERVICE, **words), program, replications=1)
    return float(rows["users_exposed"][0])


@pytest.mark.parametrize("routing", ["random", "sticky"])
def test_users_alike(routing: str) -> None:
    """U users, m = rate x seconds requests: U (1 - e^(-m w / U)) by chance, w U (1 - e^(-m / U)) when they stay."""
    count, weight, requests = 50_000, 0.05, 100.0 * 600
    got = met(steps((weight, 600)), users={"count": count, "zipf": 0, "routing": routing}, faults=[FAULT])
    by_chance = count * -math.expm1(-requests * weight / count)
    staying = weight * count * -math.expm1(-requests / count)
    assert got == pytest.approx(by_chance if routing == "random" else staying, rel=1e-4)


@pytest.mark.parametrize("zipf", [0.8, 1.0, 1.1, 2.0])
def test_zipf_users_one_by_one(zipf: float) -> None:
    """Against the sum over 5 000 users, through three weights; a user who stays meets the highest band first."""
    count = 5000
    mass = [rank**-zipf for rank in range(1, count + 1)]
    total = sum(mass)
    pairs = ((0.05, 100), (0.25, 50), (0.1, 200))
    users = {"count": count, "zipf": zipf}
    seen = sum(weight * seconds * 100 for weight, seconds in pairs)
    by_chance = sum(-math.expm1(-share / total * seen) for share in mass)
    assert met(steps(*pairs), users=users, faults=[FAULT]) == pytest.approx(by_chance, rel=5e-3)
    staying = 0.0
    for low, high in ((0.0, 0.05), (0.05, 0.1), (0.1, 0.25)):
        requests = sum(seconds * 100 for weight, seconds in pairs if weight >= high)
        staying += (high - low) * sum(-math.expm1(-share / total * requests) for share in mass)
    sticky = {**users, "routing": "sticky"}
    assert met(steps(*pairs), users=sticky, faults=[FAULT]) == pytest.approx(staying, rel=5e-3)


def test_routing_by_chance_hits_about_twice_as_many() -> None:
    """At the same 5 % for ten minutes, Zipf 1.1: the order of 1182 against 597 users of the measured example."""
    words = {"users": {"count": 20_000, "zipf": 1.1}, "faults": [FAULT]}
    by_chance = met(steps((0.05, 600)), **words)
    staying = met(steps((0.05, 600)), **{**words, "users": {**words["users"], "routing": "sticky"}})  # type: ignore[dict-item]
    assert 1.5 < by_chance / staying < 3.0


@pytest.mark.parametrize("routing", ["random", "sticky"])
def test_only_while_it_was_bad(routing: str) -> None:
    """A fault that begins 400 s into a step of 600 s: the 200 s after it count."""
    fault = {**FAULT, "from": 41 + 400}
    users = {"count": 50_000, "zipf": 0, "routing": routing}
    got = met(steps((0.05, 600)), users=users, faults=[fault])
    by_chance = 50_000 * -math.expm1(-0.05 * 100 * 200 / 50_000)
    staying = 0.05 * 50_000 * -math.expm1(-100 * 200 / 50_000)
    assert got == pytest.approx(by_chance if routing == "random" else staying, rel=1e-4)
