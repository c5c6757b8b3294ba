"""Replication i is the same world, whatever runs in it and however it is run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from worlds import chunk, hold, idle, scenario

from scenarios.schema import Scenario
from sim.model import ChunkDraws, compile_model
from sim.study import simulate
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
    Strategy,
    Undo,
    Wait,
)

ERRORS = Query(quantity="error_ratio", window_seconds=120)
WORDS: dict[str, Any] = {
    "traffic": {"kind": "daily", "mean": "40/s"},
    "release": {"bad": 0.5, "severity": {"kind": "lognormal"}},
    "faults": [{"kind": "error_ratio", "ratio": 0.05}],
}


def looking(release: Release) -> Program:
    """A canary with a look a minute."""
    try:
        yield Scale("canary", release.replicas)
        yield AwaitAvailable("canary", release.replicas)
        for weight in (0.1, 0.5):
            yield SetWeight(weight)
            for _ in range(4):
                yield Wait(60)
                seen = yield Measure(ERRORS)
                if seen.value is not None and seen.value > 0.02:
                    raise Abort("errors")
    except Abort as reason:
        yield Undo(str(reason))
        yield SetWeight(0.0)
        return Fate(Outcome.ROLLED_BACK)
    yield SetWeight(1.0)
    yield Promote()
    return Fate(Outcome.PROMOTED)


LOOKING = Strategy("looking", looking, (ERRORS,))
STRATEGIES = {"looking": LOOKING, "held": Strategy("held", hold(0.3)), "idle": Strategy("idle", idle)}


def worlds(of: Scenario, reads: tuple[Query, ...] = (), seed: int = 3, number: int = 1) -> dict[str, Any]:
    """Everything that is drawn before the first request."""
    draws = ChunkDraws(compile_model(of, reads), seed, number)
    pods = {(v, b): draws.pods(v, b) for v in (0, 1) for b in (0, 1)}
    return {
        "bad": draws.bad,
        "severity": draws.severity,
        "phase": draws.phase_us,
        "offset": draws.offset_seconds,
        "people": draws.approvals_us,
        **{f"pods {key}": (p.scheduled_us, p.started_us, p.lag_in_us, p.lag_out_us) for key, p in pods.items()},
    }


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({}, set()),
        ({"traffic": {"kind": "daily", "mean": "4000/s"}}, set()),
        ({"traffic": {"rate": "40/s"}}, {"offset"}),
        ({"faults": [{"kind": "error_ratio", "ratio": 0.5}]}, set()),
        ({"faults": [{"kind": "pool_leak", "perRequest": 0.1}]}, set()),
        ({"faults": [{"kind": "crash_loop"}, {"kind": "never_ready", "from": "5m"}]}, set()),
        ({"service": {"replicas": 40}}, set()),
        ({"horizon": "2h"}, set()),
        ({"router": {"lag": 9, "connectionLife": 60}}, set()),
        ({"people": {"approval": None}}, {"people"}),
    ],
)
def test_an_edited_scenario_has_the_same_worlds(change: dict[str, Any], differs: set[str]) -> None:
    before, after = worlds(scenario(**WORDS)), worlds(scenario(**{**WORDS, **change}))
    assert {name for name in before if before[name] != after[name]} == differs


def test_what_a_strategy_reads_changes_no_world() -> None:
    assert worlds(scenario(**WORDS)) == worlds(scenario(**WORDS), (ERRORS, Query(quantity="latency_quantile")))


def test_pods_do_not_depend_on_the_order_in_which_they_are_asked_for() -> None:
    model = compile_model(scenario(), ())
    one, other = ChunkDraws(model, 1, 0), ChunkDraws(model, 1, 0)
    forward = [one.pods(v, b).started_us for v in (0, 1) for b in (0, 1, 2)]
    backward = [other.pods(v, b).started_us for v in (1, 0) for b in (2, 1, 0)]
    assert forward == backward[::-1]


def test_worlds_differ_between_seeds_chunks_revisions_and_pods() -> None:
    of = scenario(**WORDS)
    assert worlds(of)["severity"] != worlds(of, seed=4)["severity"]
    assert worlds(of)["severity"] != worlds(of, number=2)["severity"]
    draws = ChunkDraws(compile_model(of, ()), 0, 0)
    starts = [draws.pods(v, b).started_us for v in (0, 1) for b in (0, 1)]
    assert len({str(times[0]) for times in starts}) == 4


def test_the_draws_have_the_laws_of_the_scenario() -> None:
    """Start-up: median and sigma; lag: uniform; badness: its probability; phase: uniform over the interval."""
    from scipy import stats

    of = scenario(**WORDS)
    draws = ChunkDraws(compile_model(of, ()), 5, 0)
    pods = draws.pods(1, 0)
    started = np.log(np.array(pods.started_us).ravel() / 20e6)
    assert stats.kstest(started, stats.norm(0, 0.2).cdf).pvalue > 1e-6
    for lag in (pods.lag_in_us, pods.lag_out_us):
        assert stats.kstest(np.array(lag).ravel() / 1e6, stats.uniform(1, 1).cdf).pvalue > 1e-6
    assert stats.kstest(np.array(draws.phase_us) / 15e6, "uniform").pvalue > 1e-6
    assert stats.kstest(np.log(draws.severity), stats.norm(0, 0.5).cdf).pvalue > 1e-6
    assert abs(sum(draws.bad) - 128) < 5 * 8
    assert draws.approvals_us is not None
    assert stats.kstest(np.log(np.array(draws.approvals_us).ravel() / 600e6), stats.norm(0, 0.5).cdf).pvalue > 1e-6


@pytest.mark.parametrize("severity", [2.5, {"kind": "uniform", "low": 0.5, "high": 3}])
def test_other_laws_of_severity(severity: Any) -> None:
    drawn = np.array(ChunkDraws(compile_model(scenario(release={"severity": severity}), ()), 5, 0).severity)
    if severity == 2.5:
        assert set(drawn) == {2.5}
    else:
        assert 0.5 <= drawn.min() < 0.6
        assert 2.9 < drawn.max() <= 3


def tables(
    runs: int, seed: int = 1, jobs: int = 1, names: tuple[str, ...] = ("looking", "held")
) -> list[dict[str, NDArray[Any]]]:
    cells = simulate(
        scenario(**WORDS),
        {name: STRATEGIES[name] for name in names},
        runs=runs,
        seed=seed,
        jobs=jobs,
        scenario_name="seeds",
    )
    return [cell.columns for cell in cells]


def same(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> None:
    """Bit for bit, NaN where the other is NaN."""
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_partial_chunks_are_cut_not_drawn_anew() -> None:
    few, chunk_of, more = tables(100), tables(256), tables(300)
    for small, middle, large in zip(few, chunk_of, more, strict=True):
        same(small, {name: values[:100] for name, values in middle.items()})
        same(middle, {name: values[:256] for name, values in large.items()})
        assert len(small["outcome"]) == 100


def test_strategies_run_in_the_same_worlds() -> None:
    looked, held, nothing = tables(256, names=("looking", "held", "idle"))
    for name in ("release_bad", "severity"):
        np.testing.assert_array_equal(looked[name], held[name])
        np.testing.assert_array_equal(looked[name], nothing[name])
    alone = tables(256, names=("held",))[0]
    same(alone, held)  # and it does not matter what else is asked


def test_same_seed_same_rows_other_seed_other_rows() -> None:
    first, again, other = tables(64), tables(64), tables(64, seed=2)
    same(first[0], again[0])
    assert (first[0]["failed_requests"] != other[0]["failed_requests"]).mean() > 0.9


def test_two_workers_give_the_same_bits() -> None:
    for one, two in zip(tables(600), tables(600, jobs=2), strict=True):
        same(one, two)


def test_a_row_alone_is_the_row_of_its_chunk() -> None:
    """Counts are drawn for a whole chunk, so a row does not depend on how many of them are kept, but on its chunk."""
    whole = chunk(scenario(**WORDS), looking, reads=(ERRORS,), seed=1).run()
    np.testing.assert_array_equal(whole["failed_requests"], tables(256)[0]["failed_requests"])
