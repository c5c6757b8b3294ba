"""The contract of a strategy, for each that ships."""

from __future__ import annotations

from strategies import blue_green, canary, rollback, rolling
from strategies.analysis import Analysis, Condition, Metric
from strategies.canary import AnalysisStep, CanaryScaleStep, PauseStep, SetWeightStep
from strategies.effects import Fate, Outcome, Program, Promote, Query, Release, Scale, SetWeight, Strategy
from strategies.tape import replay
from strategies.testing import StrategyContract, rehearse

ERRORS = Query(quantity="error_ratio", window_seconds=60)
LATENCY = Query(quantity="latency_quantile", window_seconds=60)


def checks(count: int | None = None, *, failure: Condition | None = None) -> Analysis:
    return Analysis(
        name="checks",
        metrics=(
            Metric(
                name="errors",
                query=ERRORS,
                interval_seconds=30,
                initial_delay_seconds=20,
                count=count,
                failure_limit=1,
                success=Condition("<", 0.05),
                failure=failure,
            ),
            Metric(
                name="latency",
                query=LATENCY,
                interval_seconds=45,
                count=count,
                failure_limit=1,
                success=Condition("<=", 0.5),
            ),
        ),
    )


UNSURE = Condition(">=", 0.2)  # with the success condition: NaN is inconclusive
STEPS = (
    SetWeightStep(0.2),
    PauseStep(60),
    CanaryScaleStep(weight=0.5),
    AnalysisStep(checks(3, failure=UNSURE)),
    PauseStep(),
    CanaryScaleStep(match_traffic_weight=True),
    SetWeightStep(0.6),
    PauseStep(120),
)


class TestCanary(StrategyContract):
    def make_strategy(self) -> Strategy:
        return canary.strategy(steps=STEPS, analysis=checks(failure=UNSURE), starting_step=1)


class TestCanaryWithoutAnalysis(StrategyContract):
    def make_strategy(self) -> Strategy:
        return canary.strategy(steps=(SetWeightStep(0.5), PauseStep(60)), progress_deadline_abort=True)


class TestCanaryWithDynamicStableScale(StrategyContract):
    def make_strategy(self) -> Strategy:
        return canary.strategy(steps=STEPS, analysis=checks(), dynamic_stable_scale=True, min_ready_seconds=5)


class TestCanaryThatGoesBackInSteps(StrategyContract):
    def make_strategy(self) -> Strategy:
        return canary.strategy(steps=STEPS, analysis=checks(), on_failure=rollback.progressive())


class TestCanaryThatUndoes(StrategyContract):
    def make_strategy(self) -> Strategy:
        return canary.strategy(
            steps=(SetWeightStep(0.5), AnalysisStep(checks(5))),
            on_failure=rollback.undo,
            max_surge=1,
            max_unavailable=0,
        )

    def bad(self, query: Query, at_seconds: float) -> float:
        return 1.0 if query == ERRORS else 0.1


class TestBlueGreen(StrategyContract):
    def make_strategy(self) -> Strategy:
        return blue_green.strategy(
            preview_replicas=1,
            pre_promotion=checks(2, failure=UNSURE),
            post_promotion=checks(3),
            auto_promotion_seconds=60,
        )


class TestBlueGreenByHand(StrategyContract):
    def make_strategy(self) -> Strategy:
        return blue_green.strategy(
            auto_promotion=False, post_promotion=checks(3), guard=True, progress_deadline_abort=True
        )


class TestRolling(StrategyContract):
    def make_strategy(self) -> Strategy:
        return rolling.strategy()


class TestRollingWithAnalysis(StrategyContract):
    def make_strategy(self) -> Strategy:
        return rolling.strategy(analysis=checks(5, failure=UNSURE), max_surge=1, max_unavailable=0)


# --- the contract is worth something: it fails what breaks it ----------------------------------------------------


def _blind(release: Release) -> Program:
    """Promotes whatever it sees."""
    yield Scale("canary", release.replicas)
    yield SetWeight(1.0)
    yield Promote()
    return Fate(Outcome.PROMOTED)


class Blind(StrategyContract):
    def make_strategy(self) -> Strategy:
        return Strategy("blind", _blind, reads=(ERRORS,))


def test_the_contract_refuses_a_strategy_that_does_not_look() -> None:
    for check in (
        Blind().test_a_release_that_looks_bad_every_time_is_not_promoted,
        Blind().test_a_good_release_is_promoted_and_takes_all_traffic_and_pods,
    ):
        try:
            check()
        except AssertionError:
            continue
        raise AssertionError(f"{check.__name__} passed")


def test_the_contract_sees_a_strategy_that_changes_its_mind_between_runs() -> None:
    weights = iter([0.25, 0.5])

    def program(release: Release) -> Program:
        yield SetWeight(next(weights))
        return Fate(Outcome.STALLED)

    strategy = Strategy("fickle", program)
    first = rehearse(strategy)
    difference = replay(strategy, Release(replicas=4), first.tape)
    assert difference is not None
    assert "SetWeight(weight=0.25)" in difference.expected
    assert "SetWeight(weight=0.5)" in difference.got
