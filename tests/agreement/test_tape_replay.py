"""A count tape of the batch engine, replayed in both engines, leads to the same decisions at the same microseconds."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.schema import Scenario
from sim.model import ChunkDraws, Model, compile_model
from sim.rows import Rows
from sim.testing import first_difference, record_tape, replay_in_batch, replay_in_event
from strategies import Analysis, Condition, Metric, PauseStep, SetWeightStep, blue_green, canary, rolling
from strategies.effects import (
    Abort,
    AwaitAvailable,
    Fate,
    Measure,
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

ERRORS = Query(quantity="error_ratio", window_seconds=60)
OF_ALL = Query(quantity="success_ratio", revision="all", window_seconds=45)
P95 = Query(quantity="latency_quantile", window_seconds=60)
RATE = Query(quantity="request_rate", revision="stable", window_seconds=30)


def scenario(**parts: Any) -> Scenario:
    parts = {"apiVersion": "rolloutlab/v1", "strategies": {"any": {}}, "traffic": {"rate": "20/s"}, **parts}
    return Scenario.model_validate(parts)


def assert_replays(model: Model, strategy: Strategy, replications: int, seed: int) -> None:
    tape, journals, rows = record_tape(model, strategy, root=seed, replications=replications)
    again, rows_again = replay_in_batch(tape, model, strategy)
    for row, journal in enumerate(journals):
        assert journal.entries, "nothing was recorded"
        assert "np." not in str(journal.entries), "an answer holds a numpy scalar"
        other, row_again = replay_in_event(tape, model, strategy, row)
        assert first_difference(journal, again[row]) is None, f"batch, replication {row}"
        assert first_difference(journal, other) is None, f"event, replication {row}"
        assert_same_row(rows, row, row_again, f"event, replication {row}")
        assert_same_row(rows, row, {name: values[row : row + 1] for name, values in rows_again.items()}, "batch")


def assert_same_row(rows: Rows, row: int, other: Rows, where: str) -> None:
    for name, values in rows.items():
        np.testing.assert_array_equal(values[row], other[name][0], err_msg=f"{where}: {name}")


# --- the strategies of the product -------------------------------------------------------------------------------

BAD: dict[str, list[dict[str, Any]]] = {
    "good": [],
    "errors": [{"kind": "error_ratio", "ratio": "5%"}],
    "late": [{"kind": "error_ratio", "ratio": "8%", "fromWeight": "30%"}, {"kind": "added_latency", "add": "1s", "from": "5m"}],
    "crash": [{"kind": "crash_loop", "after": "20s"}],
    "leak": [{"kind": "memory_leak", "mibPerRequest": 1.0}, {"kind": "pool_leak", "perRequest": "1%", "on": "both"}],
}  # fmt: skip


def analysis(count: int | None) -> Analysis:
    below = Condition("<", 0.02)
    return Analysis(
        name="errors and latency",
        metrics=(
            Metric(name="errors", query=ERRORS, interval_seconds=30, count=count, failure_limit=1, success=below),
            Metric(name="p95", query=P95, interval_seconds=30, count=count, failure_limit=1, success=Condition("<", 0.5)),
            Metric(name="rate", query=RATE, interval_seconds=20, count=count, inconclusive_limit=2, failure=Condition("<", 1),
                   success=Condition(">", 5)),
        ),
    )  # fmt: skip


STRATEGIES = [
    canary.strategy(
        steps=(
            SetWeightStep(0.1),
            PauseStep(120),
            SetWeightStep(0.4),
            PauseStep(120),
            SetWeightStep(0.8),
            PauseStep(60),
        ),
        analysis=analysis(None),
    ),
    rolling.strategy(analysis=analysis(5)),
    blue_green.strategy(pre_promotion=analysis(2), post_promotion=analysis(3)),
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize(
    ("faults", "no_endpoints"), [*((name, "fail") for name in BAD), ("crash", "uncounted"), ("leak", "uncounted")]
)
def test_strategies_of_the_product(strategy: Strategy, faults: str, no_endpoints: str) -> None:
    question = scenario(
        faults=BAD[faults],
        horizon="15m",
        users={"count": 1000},
        router={"connectionLife": "20s", "noEndpoints": no_endpoints},
        people={"approval": "1m"},
    )
    assert_replays(compile_model(question, strategy.reads), strategy, replications=4, seed=11)


# --- ties ----------------------------------------------------------------------------------------------------------


def looks(query: Query, every: float, limit: int) -> Program:
    """Looks at every multiple of a time and aborts at the limit-th look without an error."""
    clean = 0
    while True:
        look = yield Measure(query)
        clean += look.errors == 0
        if clean >= limit:
            raise Abort(f"{clean} looks without an error of {look}")
        yield Wait(every)


def tied(release: Release, waits: list[float], every: list[float], limit: int) -> Program:
    """Every wait is a multiple of half a scrape interval, several children measure at the same instants."""
    queries = (ERRORS, OF_ALL, RATE)
    try:
        for number, period in enumerate(every):
            yield Spawn(partial(looks, queries[number % 3], period, limit), f"looks {number}")
        for step, wait in enumerate(waits):
            yield Scale("canary", 1 + step)
            yield AwaitAvailable("canary", 1 + step)
            yield SetWeight((1 + step) / (1 + len(waits)))
            yield Wait(wait)
            yield Measure(queries[step % 3])
        yield Promote()
        return Fate(Outcome.PROMOTED)
    except Abort as reason:
        yield Undo(str(reason))
        yield SetWeight(0.0)
        return Fate(Outcome.ROLLED_BACK, str(reason))


HALVES = st.integers(0, 20).map(lambda halves: halves * 2.5)


def set_phases(patch: pytest.MonkeyPatch, phases_us: list[int]) -> None:
    """Scrape phases of replications 0, 1, ... instead of drawn ones."""
    drawn = ChunkDraws.__init__

    def init(self: ChunkDraws, *arguments: Any) -> None:
        drawn(self, *arguments)
        self.phase_us[: len(phases_us)] = phases_us

    patch.setattr(ChunkDraws, "__init__", init)


def tie_model(query_seconds: float, strategy: Strategy) -> Model:
    """Whole seconds everywhere: containers start after 25 s, are ready at 30 s and get traffic at 35 s."""
    question = scenario(
        horizon="5m",
        traffic={"rate": "5/s"},
        service={"startup": {"spread": 0, "schedule": "1s", "pull": "4s", "start": "20s"}, "endpointLag": ["5s", "5s"]},
        router={"lag": "0s"},
        metrics={"scrapeInterval": "5s", "query": query_seconds},
        faults=[{"kind": "error_ratio", "ratio": "20%", "from": "60s"}],
    )
    return compile_model(question, strategy.reads)


@settings(max_examples=25)
@given(
    waits=st.lists(HALVES, min_size=1, max_size=5),
    every=st.lists(HALVES.filter(lambda wait: wait > 0), max_size=4),
    limit=st.integers(3, 40),
    query_seconds=st.sampled_from([0.0, 0.1, 5.0]),
    phase_seconds=st.sampled_from([(0.0, 2.5, 4.999999), None]),
    seed=st.integers(0, 1000),
)
def test_ties_and_random_phases(
    waits: list[float],
    every: list[float],
    limit: int,
    query_seconds: float,
    phase_seconds: tuple[float, ...] | None,
    seed: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if phase_seconds is not None:
            set_phases(patch, [round(phase * 1e6) for phase in phase_seconds])
        strategy = Strategy("tied", partial(tied, waits=waits, every=every, limit=limit), (ERRORS, OF_ALL, RATE))
        assert_replays(tie_model(query_seconds, strategy), strategy, replications=3, seed=seed)
