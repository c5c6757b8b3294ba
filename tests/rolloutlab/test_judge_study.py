"""Cards: the same for any number of workers, right where the answer is known, and a judge that beats physics is caught."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from scipy.special import bdtrc, ndtri, pdtrc

from rolloutlab.judging.bench import Bench, Plumbing
from rolloutlab.judging.card import Card
from rolloutlab.judging.chunks import run_task, tasks_of, together
from rolloutlab.judging.draw import draw
from rolloutlab.judging.entrant import Entrant
from rolloutlab.judging.result import Calibration
from rolloutlab.judging.segments import segments
from rolloutlab.judging.show import text_of
from rolloutlab.judging.study import Plan, cards, run
from rolloutlab.judging.words import best_of, verdicts
from strategies.judges import make
from strategies.judges.base import FloatArray, IntArray, Session

BENCH = Bench(
    name="tiny", title="Tiny", path="tiny", digest="0" * 64, rate_per_second=20.0, share=0.25, p0=0.02, p1=0.10,
    fault_seconds=0.0, alpha=0.05, look_seconds=60.0, horizon_seconds=3600.0, objective=0.99, step_seconds=None,
    plumbing=Plumbing(scrape_seconds=15, lag_seconds=0, evaluation_seconds=100, query_seconds=0.1, router_seconds=1),
    rules=(), assumed=("nothing",),
)  # fmt: skip


@dataclass(frozen=True)
class Tally:
    """Errors of the canary; `ahead` looks into the future, as no judge can."""

    name: ClassVar[str] = "tally"
    threshold: float
    ahead: int = 0
    slope: float = 0.0

    def begin(self) -> Session:
        raise NotImplementedError

    def paths(self, at_seconds: FloatArray, counts: IntArray) -> FloatArray:
        looks = np.minimum(np.arange(at_seconds.size) + self.ahead, at_seconds.size - 1)
        seen = counts[:, looks]
        return (seen[:, :, 1] - self.slope * seen[:, :, 0]).astype(np.float64)


def entrant(judge: Tally, **more: object) -> Entrant:
    return Entrant(name="tally", label="Tally", kind="tally", judge=judge, **more)  # type: ignore[arg-type]


def lindon_malek(bench: Bench = BENCH) -> Entrant:
    judge = make("lindon_malek", share=bench.share, alpha=bench.alpha, k=10.0)
    return Entrant(name="lm", label="LM", kind="lindon_malek", judge=judge, proven=True)


def one(plan: Plan, *, jobs: int = 1, seed: int = 3) -> Card:
    (found,) = cards(plan, seed=seed, jobs=jobs)
    return found


def test_the_numbers_do_not_depend_on_the_workers() -> None:
    plan = Plan(BENCH, (lindon_malek(), entrant(Tally(40.0), knows_baseline=True)), 300)
    here, there = (Calibration([BENCH], cards(plan, seed=7, jobs=jobs), 300, 7).json() for jobs in (1, 2))
    assert here == there


def test_chunks_are_different_and_stand_in_their_order() -> None:
    scene = Plan(BENCH, (lindon_malek(),), 1).scene(0)
    first, second = (draw(scene, seed=1, chunk=chunk) for chunk in (0, 1))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, draw(scene, seed=1, chunk=0))
    tasks = tasks_of("some", scene, (lindon_malek(),), np.array([[3.0]]), seed=1, runs=600)
    assert [task.keep for task in tasks] == [256, 256, 88]
    parts = [run_task(task) for task in tasks]
    whole = together(parts[::-1])
    assert np.array_equal(whole.highest[:, :256], parts[0].highest)
    assert np.array_equal(whole.seconds[:, :, 512:], parts[2].seconds)


def test_more_runs_keep_the_first_ones_and_another_seed_changes_them() -> None:
    some, more = (one(Plan(BENCH, (lindon_malek(),), runs)) for runs in (100, 256))
    assert some.fault.runs == 100
    assert some.hour.alarms <= more.hour.alarms
    assert one(Plan(BENCH, (lindon_malek(),), 256), seed=4).fault.mean != more.fault.mean


def test_rates_and_delays_are_those_of_arithmetic() -> None:
    """The first look with 8 errors: at the k-th look they are Poisson. Bound: 1e-6 each (z = 4.9), 8 numbers."""
    runs, errors = 2048, 9
    card = one(Plan(BENCH, (entrant(Tally(float(errors)), knows_baseline=True),), runs))
    good = BENCH.canary_per_second * BENCH.p0
    for found in card.false_alarms[:3]:
        truth = float(pdtrc(errors - 1, good * found.seconds))
        assert abs(found.share.value - truth) <= 4.9 * math.sqrt(truth * (1 - truth) / found.runs) + 1e-12, found
    bad = BENCH.canary_per_second * BENCH.p1
    later = [float(1 - pdtrc(errors - 1, bad * 60.0 * k)) for k in range(60)]  # not seen after k looks
    mean = 60.0 * sum(later)
    second = 60.0**2 * sum((2 * k + 1) * value for k, value in enumerate(later))
    assert abs(card.fault.mean.value - mean) <= 4.9 * math.sqrt((second - mean**2) / runs)
    exposed = card.fault.exposed_mean
    assert abs(exposed.value - BENCH.canary_per_second * mean) <= 2.5 * (exposed.hi - exposed.lo) / 2, "Wald's identity"


def test_the_day_is_looked_at_coarsely_and_says_so() -> None:
    fine = replace(BENCH, look_seconds=5.0)
    card = one(Plan(fine, (entrant(Tally(1e9), knows_baseline=True),), 16))
    assert [(found.seconds, found.look_seconds) for found in card.false_alarms] == [
        (300.0, 5.0), (900.0, 5.0), (3600.0, 5.0), (86_400.0, 15.0),
    ]  # fmt: skip


def test_a_late_fault_is_counted_from_its_begin() -> None:
    late = replace(BENCH, fault_seconds=1800.0)
    card = one(Plan(late, (lindon_malek(late),), 256))
    early = one(Plan(BENCH, (lindon_malek(),), 256))
    assert 0 < card.fault.p50 <= 1800.0
    assert card.fault.mean.value > early.fault.mean.value, "what went well before speaks for the canary"
    assert card.fault.exposed_mean.value < BENCH.canary_per_second * 1800.0


def test_the_matched_threshold_gives_the_rate_that_was_asked_for_on_new_runs() -> None:
    """Alarms on 2,048 new good runs with the matched threshold, against alpha; both samples vary. Bound: 1e-5."""
    card = one(Plan(BENCH, (entrant(Tally(30.0), knows_baseline=True),), 2048))
    assert card.matched is not None
    again = entrant(Tally(card.matched.threshold.value), knows_baseline=True)
    other = one(Plan(BENCH, (again,), 2048), seed=99)
    reach = 4.5 * math.sqrt(2 * BENCH.alpha * (1 - BENCH.alpha) / 2048)
    assert abs(other.hour.share.value - BENCH.alpha) <= reach + 0.02, "counts are whole: the rate may lie below"
    assert other.hour.share.value <= BENCH.alpha + reach
    assert card.matched.mean.lo <= card.matched.mean.value <= card.matched.mean.hi


def test_the_delays_at_the_matched_threshold_are_those_of_a_judge_with_it() -> None:
    card = one(Plan(BENCH, (entrant(Tally(30.0), knows_baseline=True),), 256))
    assert card.matched is not None
    again = entrant(Tally(card.matched.threshold.value), knows_baseline=True)
    assert one(Plan(BENCH, (again,), 256)).fault == card.matched.delays != card.fault


def test_the_limit_that_counts_is_that_of_what_a_judge_was_told() -> None:
    """A judge that learns p0 is held to the good release that is hardest to tell; one that is told it, to its own."""
    errors = 420
    for told, null in ((True, BENCH.p0), (False, BENCH.pooled)):
        found = one(Plan(BENCH, (entrant(Tally(float(errors)), knows_baseline=told),), 1024)).efficiency
        assert found is not None
        truth = float(pdtrc(errors - 1, BENCH.canary_per_second * null * 3600.0))
        assert found.null == null
        assert abs(found.alpha - truth) <= max(4.9 * math.sqrt(truth * (1 - truth) / 1024), 3.1 / 1024), told


def test_an_honest_judge_stays_below_the_limit_and_near_it() -> None:
    bench = replace(BENCH, p1=0.03, look_seconds=10.0)
    oracle = make("ripr_oracle", alpha=bench.alpha, share=bench.share, p0=bench.p0, p1=bench.p1)
    honest = Entrant(name="oracle", label="oracle", kind="ripr_oracle", judge=oracle, knows_fault=True)
    (found,) = cards(Plan(bench, (honest,), 1024), seed=1, jobs=1)
    assert found.efficiency is not None
    assert found.efficiency.null == bench.pooled, "where the limit's own arithmetic has its hardest good release"
    assert found.efficiency.least < 1
    assert not found.beats_physics
    assert found.efficiency.value > 0.6


def test_a_judge_that_sees_the_future_is_caught() -> None:
    bench = replace(BENCH, p1=0.03)
    plain, seer = (entrant(Tally(450.0, ahead=ahead), knows_baseline=True) for ahead in (0, 59))
    assert not one(Plan(bench, (plain,), 256)).beats_physics
    found = one(Plan(bench, (seer,), 256))
    assert found.beats_physics, "it knows after a minute what the whole hour will bring"
    result = Calibration([bench], [found], 256, 3)
    assert result.exit_code == 1
    assert "is above what is possible" in result.warnings[0]
    assert result.document()["warnings"] == result.warnings


def test_a_judge_that_never_speaks_has_a_card_all_the_same() -> None:
    found = one(Plan(BENCH, (entrant(Tally(math.inf), knows_baseline=True),), 64))
    assert found.efficiency is None
    assert found.fault.p50 == math.inf
    assert found.fault.mean.value == BENCH.horizon_seconds
    assert found.valid
    assert best_of([found]) is None
    Calibration([BENCH], [found], 64, 3).json()


def test_invalid_is_what_takes_back_too_many_beyond_chance() -> None:
    truth = float(pdtrc(379, BENCH.canary_per_second * BENCH.p0 * 3600.0))
    assert 0.1 < truth < 0.2
    found = one(Plan(BENCH, (entrant(Tally(380.0), knows_baseline=True),), 256))
    assert not found.valid
    assert "Do not believe" in "\n".join(verdicts(BENCH, [found]))
    assert best_of([found]) is None


def test_segments_add_up_to_the_whole_and_each_is_where_it_belongs() -> None:
    slow = entrant(Tally(1.0), window_seconds=300.0, hold_seconds=60.0)
    parts = {part.name: part for part in segments(BENCH, slow, 500.0)}
    assert {name: part.seconds for name, part in parts.items()} == pytest.approx(
        {
            "window": 300.0,
            "hold": 60.0,
            "evidence": 140.0,
            "scrape": 7.5,
            "evaluation": 20.0,
            "query": 0.1,
            "router": 1.0,
        }
    )
    assert {part.kind for part in parts.values()} == {"statistics", "settings", "plumbing"}
    quick = segments(BENCH, slow, 320.0)
    assert sum(part.seconds for part in quick if part.kind != "plumbing") == pytest.approx(320.0)
    own = segments(BENCH, replace(slow, evaluates_seconds=100.0), 500.0)
    assert "evaluation" not in {part.name for part in own}, "a rule with its own interval waits in the bench already"


def test_an_interrupted_run_keeps_the_benches_that_are_complete() -> None:
    plans = [Plan(BENCH, (lindon_malek(),), 32), Plan(replace(BENCH, name="other"), (lindon_malek(),), 32)]
    first = next(run(plans, seed=1, jobs=1))
    result = Calibration([plan.bench for plan in plans], first, 32, 1)
    assert result.interrupted
    assert result.exit_code == 130
    assert result.stopped == "interrupted: holds 1 of 2 benches"
    assert [one["scenario"] for one in result.document()["results"]] == ["tiny"]


def test_letters_of_the_input_can_do_nothing_to_a_terminal() -> None:
    evil = replace(BENCH, title="\x1b[31mred", name="a\x07", assumed=("\x1b[2J",))
    result = Calibration([evil], cards(Plan(evil, (lindon_malek(),), 16), seed=1, jobs=1), 16, 1)
    told = text_of(result, full=True, assumptions=True)
    assert "\x1b" not in told
    assert "\x07" not in told
    assert "red" in told


def test_progress_reaches_the_total() -> None:
    told: list[tuple[int, int]] = []
    plan = Plan(BENCH, (lindon_malek(),), 300)
    for _ in run([plan], seed=1, jobs=1, on_progress=lambda done, total: told.append((done, total))):
        pass
    assert told[-1] == (plan.total, plan.total)


def test_wilson_bounds_of_the_false_alarms() -> None:
    found = one(Plan(BENCH, (entrant(Tally(1e9), knows_baseline=True),), 100)).hour
    z = float(ndtri(0.975))
    assert (found.alarms, found.share.lo) == (0, 0.0)
    assert found.share.hi == pytest.approx(z * z / (100 + z * z))
    assert bdtrc(0, 100, found.share.hi) > 0.95
