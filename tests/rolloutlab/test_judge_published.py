"""The shipped benches give the published table, and a rule's card agrees with a simulation of the whole rollout."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from rolloutlab.judging import chunks
from rolloutlab.judging.bench import HOUR
from rolloutlab.judging.chunks import run_task, tasks_of, together
from rolloutlab.judging.entrant import Entrant
from rolloutlab.judging.field import chosen
from rolloutlab.judging.reading import Asked, read_bench
from rolloutlab.judging.study import Plan, cards
from scenarios.build import build_strategies
from scenarios.library import find
from scenarios.load import load_scenario
from sim.results import OUTCOMES
from sim.study import simulate

PUBLISHED = YAML(typ="safe").load(Path(__file__).parents[1] / "published" / "judges.yaml")["bench"]
BENCHES = {"A": "judge-2pct", "B": "judge-5pct", "C": "judge-5pct-low-traffic", "D": "judge-2pct-small-weight"}
#: names here -> names there; Lindon-Malek is one-sided here and two-sided there: its false alarms are half of theirs
SAME = {
    "ripr-oracle": "ripr_oracle",
    "ripr": "ripr",
    "lindon-malek-10": "lindon_malek k=10",
    "lindon-malek-100": "lindon_malek k=100",
    "msprt": "msprt",
    "sprt": "sprt",
    "cusum": "bernoulli_cusum horizon",
    "cusum-naive": "bernoulli_cusum ln(1/alpha)",
    "rate-for-0s": "threshold for 0",
    "rate-for-1m": "threshold for 60",
    "rate-for-5m": "threshold for 300",
    "argo-1m-limit-0": "failure_limit 60 0",
    "argo-1m-limit-3": "failure_limit 60 3",
    "argo-5m-limit-3": "failure_limit 300 3",
}
#: of 110 numbers none lies further from the published one than this many standard errors of both: bound 1e-4
Z = 5.0


def printed(text: str) -> tuple[float, float]:
    """A printed number and half of its last digit."""
    return float(text), 0.5 * 10.0 ** -len(text.partition(".")[2])


def alarms(plan: Plan, *, bad: bool, seed: int) -> np.ndarray:
    """First alarms of all judges, shape [E, R], on good releases of an hour or on bad ones."""
    thresholds = np.array([[one.judge.threshold] for one in plan.entrants])
    scene = plan.scene(3, bad=plan.bench.p1) if bad else plan.scene(0)
    tasks = tasks_of("some", scene, plan.entrants, thresholds, seed=seed, runs=plan.runs)
    return together([run_task(task) for task in tasks]).seconds[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize("world", BENCHES)
def test_the_shipped_benches_give_the_published_table(world: str) -> None:
    bench = read_bench(BENCHES[world], Asked())
    assert bench.limit_seconds() == pytest.approx(PUBLISHED["worlds"][world]["limit_seconds"], abs=0.051)
    entrants: tuple[Entrant, ...] = tuple(chosen(bench, list(SAME)))
    plan = Plan(bench, entrants, 512)
    bad, good = (alarms(plan, bad=one, seed=2) for one in (True, False))
    wrong = []
    for number, entrant in enumerate(entrants):
        cell = PUBLISHED["judges"][SAME[entrant.name]].get(world)
        if cell is None:
            continue
        late = np.minimum(bad[number], bench.horizon_seconds) / bench.limit_seconds()
        ratio, half = printed(cell[0])
        error = float(late.std(ddof=1)) * math.sqrt(1 / plan.runs + 1 / PUBLISHED["runs"])
        if abs(late.mean() - ratio) > Z * error + half:
            wrong.append(f"{entrant.name}: {late.mean():.3f} times the limit, published {ratio}, error {error:.3f}")
        rate, half = printed(cell[1])
        rate = rate / 2 if entrant.kind == "lindon_malek" else rate
        seen = float((good[number] <= HOUR).mean())
        pooled = (seen * plan.runs + rate * PUBLISHED["runs"] + 1) / (plan.runs + PUBLISHED["runs"] + 2)
        error = math.sqrt(pooled * (1 - pooled) * (1 / plan.runs + 1 / PUBLISHED["runs"]))
        if abs(seen - rate) > Z * error + half:
            wrong.append(f"{entrant.name}: takes back {seen:.4f}, published {rate}, error {error:.4f}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["judge-2pct", "judge-2pct-small-weight"])
def test_a_rules_card_agrees_with_the_simulated_rollout(name: str) -> None:
    """The share of good releases that the scenario's own rule takes back: on counts, and in the cluster with scrapes.

    Error bound 1e-5 for each (z = 4.4 on both samples).
    """
    loaded = load_scenario(find(name), variant="good")
    built = build_strategies(loaded)
    runs = 2048
    (cell,) = simulate(loaded.scenario, built.strategies, runs=runs, scenario_name=name, routed=built.routed)
    whole = float((np.asarray(cell.columns["outcome"]) == OUTCOMES.index("rolled_back")).mean())
    bench = read_bench(name, Asked(look="15s"))
    plan = Plan(bench, tuple(chosen(bench, ["yours"])), 4096)
    card = float((alarms(plan, bad=False, seed=4)[0] <= HOUR).mean())
    error = math.sqrt(whole * (1 - whole) / runs + card * (1 - card) / plan.runs)
    assert abs(whole - card) <= 4.4 * error, (whole, card)


@pytest.mark.slow
@pytest.mark.parametrize("world", BENCHES)
def test_no_judge_of_the_field_beats_the_limit(world: str) -> None:
    bench = read_bench(BENCHES[world], Asked(look="5s"))
    found = cards(Plan(bench, tuple(chosen(bench, [])), 512), seed=7, jobs=1)
    assert sum(card.efficiency is not None for card in found) >= 17
    assert [(card.entrant.label, card.efficiency) for card in found if card.beats_physics] == []


@pytest.mark.slow
def test_a_simulator_that_shows_more_failures_than_it_says_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad canaries fail with 8 % where the bench says 5 %: judges come too soon for what can be known of 5 %."""
    honest = chunks.draw
    monkeypatch.setattr(
        chunks,
        "draw",
        lambda scene, **asked: honest(
            replace(scene, bad=scene.bad * 1.6) if scene.bad > scene.good else scene, **asked
        ),
    )
    bench = read_bench(BENCHES["C"], Asked(look="5s"))
    entrants = tuple(chosen(bench, ["ripr-oracle", "sprt", "msprt"]))
    assert any(card.beats_physics for card in cards(Plan(bench, entrants, 512), seed=7, jobs=1))
