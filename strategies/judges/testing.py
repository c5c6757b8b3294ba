"""The contract of a judge, for ours and yours; a base class of tests.

class TestMine(JudgeContract):
    alpha = 0.01

    def make_judge(self) -> Judge:
        return Mine(alpha=0.01, ...)

    def dice(self, seed: int) -> Dice:
        return numpy.random.default_rng(seed)
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.special import bdtrc

from strategies.judges.base import FloatArray, IntArray, Judge, Look, State, Verdict
from strategies.judges.bench import Dice, alarms
from strategies.limits import time_comparative_seconds, time_known_seconds

HORIZON = 900.0  #: seconds of a drawn rollout
CLOSE = 1e-9  #: how far the two ways to compute a statistic may lie apart, relative above 1


def verdicts(judge: Judge, at_seconds: FloatArray, counts: IntArray) -> list[Verdict]:
    """What a judge says along one path, shape [T, 4]."""
    session = judge.begin()
    return [session.update(Look(at, *look)) for at, look in zip(at_seconds.tolist(), counts.tolist(), strict=True)]


def agree(judge: Judge, at_seconds: FloatArray, counts: IntArray) -> None:
    """AssertionError unless a judge says the same of each path, shape [R, T, 4], in both ways; until it decides."""
    many = judge.paths(at_seconds, counts)
    assert many.shape == counts.shape[:2], f"{judge.name}: expected shape {counts.shape[:2]}, got {many.shape}"
    assert not np.isnan(many).any(), f"{judge.name}: a statistic is not a number"
    for run, path in enumerate(counts):
        decided = False
        for look, verdict in enumerate(verdicts(judge, at_seconds, path)):
            _check(judge, verdict, path[look])
            if decided:
                continue
            other = float(many[run, look])
            same = verdict.statistic == other or math.isclose(verdict.statistic, other, rel_tol=CLOSE, abs_tol=CLOSE)
            assert same, f"{judge.name}: run {run}, look {look}: {verdict.statistic} alone, {other} among many"
            near = math.isclose(other, judge.threshold, rel_tol=CLOSE, abs_tol=CLOSE) and other != verdict.statistic
            failed = verdict.state is State.FAIL
            assert near or failed == (other >= judge.threshold), f"{judge.name}: {verdict} at the statistic {other}"
            decided = verdict.state in (State.PASS, State.FAIL)


def _check(judge: Judge, verdict: Verdict, counts: IntArray) -> None:
    assert verdict.reason, f"{judge.name}: a verdict without a reason"
    assert verdict.threshold == judge.threshold
    assert verdict.p_value is None or 0 <= verdict.p_value <= 1, f"{judge.name}: {verdict}"
    silent = verdict.statistic == -math.inf
    assert silent == (verdict.state is State.INCONCLUSIVE), f"{judge.name}: {verdict}"
    if verdict.state is State.FAIL:
        assert verdict.statistic >= judge.threshold


def paths_to_try() -> Iterator[tuple[str, FloatArray, IntArray]]:
    """Count paths that judges have stumbled over: a name, times [T], counts [R, T, 4]."""
    looks = 120
    at_seconds = np.arange(1, looks + 1, dtype=np.float64) * 10.0
    nothing = np.zeros((looks, 4), dtype=np.int64)
    even = np.tile([20, 0, 180, 0], (looks, 1))
    failing = np.tile([20, 20, 180, 2], (looks, 1))
    everything = np.tile([20, 20, 180, 180], (looks, 1))
    late = even.copy()
    late[60:] = [20, 5, 180, 2]
    burst = even.copy()
    burst[30] = [200, 90, 1800, 20]
    pause = late.copy()
    pause[50:70] = 0
    for name, block in {
        "no traffic": nothing,
        "no canary traffic": even * [0, 0, 1, 1],
        "no stable traffic": failing * [1, 1, 0, 0],
        "no error": even,
        "the canary fails": failing,
        "both fail": everything,
        "the canary fails late": late,
        "one burst": burst,
        "a pause": pause,
    }.items():
        yield name, at_seconds, np.cumsum(block, axis=0)[None]
    uneven = np.cumsum(np.tile([0.5, 7.0, 31.0, 0.0, 61.0], looks // 5))
    yield "looks at uneven times", uneven, np.cumsum(late, axis=0)[None]


class JudgeContract:
    """What every judge owes its users.

    Subclass it, name the subclass `Test…`, and give it `make_judge`.
    """

    needs: tuple[str, ...] = ("canary", "stable")  #: the revisions without whose traffic it has nothing to say
    alpha: float | None = None  #: what it promises good releases at all looks together; None: it promises nothing

    def make_judge(self) -> Judge:
        """The judge to be tested; called for each test."""
        raise NotImplementedError

    def dice(self, seed: int) -> Dice:
        """A `numpy.random.Generator`; needed where `alpha` is given."""
        raise NotImplementedError

    def alarms(self, seed: int, p1: float) -> FloatArray:
        """When it fails 400 rollouts of 15 minutes: 100 requests a second, 10 % to the canary, errors 1 % and p1."""
        return alarms({"it": self.make_judge()}, self.dice(seed), 400, HORIZON, 100.0, 0.1, 0.01, p1)["it"]

    def test_good_releases_fail_no_more_often_than_promised(self) -> None:
        """So many false alarms have a probability of more than 1e-6 at the rate that it promises."""
        if self.alpha is None:
            return
        false = int(np.count_nonzero(~np.isnan(self.alarms(1, 0.01))))
        chance = 1.0 if false == 0 else float(bdtrc(false - 1, 400, self.alpha))
        assert chance > 1e-6, f"{false} of 400 good releases failed, {self.alpha:g} promised"

    def test_it_is_not_faster_than_any_judge_can_be(self) -> None:
        """Its mean delay lies above the limit, or below it by less than 5 standard errors (3e-7)."""
        if self.alpha is None:
            return
        alarm = self.alarms(2, 0.05)
        delay = np.where(np.isnan(alarm), HORIZON, alarm)
        missed = float(np.mean(np.isnan(alarm)))
        limit = time_comparative_seconds if "stable" in self.needs else time_known_seconds
        least = limit(0.01, 0.05, rate_per_second=100.0, share=0.1, alpha=self.alpha, beta=missed)
        error = float(delay.std(ddof=1)) / math.sqrt(delay.size)
        assert delay.mean() >= least - 5 * error, f"mean delay {delay.mean():.3g} s ± {error:.2g}, limit {least:.3g} s"

    def test_one_rollout_and_many_agree(self) -> None:
        for name, at_seconds, counts in paths_to_try():
            try:
                agree(self.make_judge(), at_seconds, counts)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error

    def test_paths_do_not_depend_on_the_other_runs(self) -> None:
        tried = [(at, counts) for _, at, counts in paths_to_try()][:-1]
        together = self.make_judge().paths(tried[0][0], np.concatenate([counts for _, counts in tried]))
        for row, (at_seconds, counts) in zip(together, tried, strict=True):
            np.testing.assert_array_equal(row, self.make_judge().paths(at_seconds, counts)[0])

    def test_without_traffic_it_says_nothing_and_how_much_it_needs(self) -> None:
        silent = {"no traffic", *(f"no {revision} traffic" for revision in self.needs)}
        for name, at_seconds, counts in paths_to_try():
            if name not in silent:
                continue
            for verdict in verdicts(self.make_judge(), at_seconds, counts[0]):
                assert verdict.state is State.INCONCLUSIVE, f"{name}: {verdict}"
                assert verdict.needed is not None, f"{name}: {verdict} does not say what it needs"

    def test_fail_and_pass_are_final(self) -> None:
        for name, at_seconds, counts in paths_to_try():
            final = None
            for verdict in verdicts(self.make_judge(), at_seconds, counts[0]):
                assert final is None or verdict == final, f"{name}: {final} became {verdict}"
                if verdict.state in (State.PASS, State.FAIL):
                    final = verdict

    def test_a_canary_that_always_fails_is_failed_and_one_that_never_does_is_not(self) -> None:
        for name, at_seconds, counts in paths_to_try():
            states = {verdict.state for verdict in verdicts(self.make_judge(), at_seconds, counts[0])}
            if name == "the canary fails":
                assert State.FAIL in states
            if name in ("no error", "no traffic"):
                assert State.FAIL not in states

    def test_more_failures_of_the_canary_are_never_less_evidence(self) -> None:
        at_seconds = np.arange(1, 41, dtype=np.float64) * 15.0
        block = np.zeros((21, 40, 4), dtype=np.int64)
        block[:] = [20, 0, 180, 2]
        block[:, :, 1] = np.arange(21)[:, None]
        statistic = self.make_judge().paths(at_seconds, np.cumsum(block, axis=1))
        worst = np.max(statistic, axis=1)
        slack = CLOSE * np.maximum(1, np.abs(np.where(np.isfinite(worst), worst, 0)))
        assert np.all(worst[1:] >= worst[:-1] - slack[:-1]), worst

    def test_counts_that_fall_are_refused(self) -> None:
        session = self.make_judge().begin()
        session.update(Look(10.0, 100, 5, 900, 9))
        for look in (
            Look(9.0, 100, 5, 900, 9),
            Look(20.0, 99, 5, 900, 9),
            Look(20.0, 100, 4, 900, 9),
            Look(20.0, 100, 5, 899, 9),
            Look(20.0, 100, 5, 900, 8),
            Look(20.0, 100, 101, 900, 9),
            Look(20.0, 100, 5, 900, 901),
        ):
            try:
                session.update(look)
            except ValueError:
                continue
            raise AssertionError(f"{look} was taken after 100, 5, 900, 9 at 10 s")
