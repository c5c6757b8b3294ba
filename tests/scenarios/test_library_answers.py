"""The shipped scenarios, run: what each expects holds, and without its faults at least one expectation fails.

Every expectation is checked with a 99.9 % interval of the run. Their bounds come from closed forms (see `because` in
the files) and lie many standard errors away, so that a right engine fails here far less than once in 10,000 seeds.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scenarios import load_scenario
from scenarios.build import build_strategies
from scenarios.library import find, names
from sim.expectations import Checked, Holds, check
from sim.study import simulate

RUNS = 512


def answers(name: str, overrides: dict[str, object] | None = None) -> Iterator[Checked]:
    """Every expectation of a file, in all its cells."""
    for variant in (None, *load_scenario(find(name)).scenario.variants):
        loaded = load_scenario(find(name), variant=variant, overrides=overrides)
        built = build_strategies(loaded)
        cells = simulate(
            loaded.scenario, built.strategies, runs=RUNS, scenario_name=name, variant=variant, routed=built.routed
        )
        yield from check(cells, loaded.scenario.expect)


@pytest.mark.parametrize("name", names())
def test_every_expectation_holds(name: str) -> None:
    checked = list(answers(name))
    assert len(checked) == len(load_scenario(find(name)).scenario.expect), "each expectation has its cell"
    wrong = [
        f"{one.expectation.strategy} {one.expectation.variant}: {one.reason}"
        for one in checked
        if one.holds != Holds.YES
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", [name for name in names() if load_scenario(find(name)).scenario.faults])
def test_without_its_faults_a_file_answers_differently(name: str) -> None:
    assert any(one.holds is Holds.NO for one in answers(name, {"faults": []}))
