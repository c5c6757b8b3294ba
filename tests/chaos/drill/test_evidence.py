"""What a traffic log says, against brute force over the same requests; effects of faults with their error bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chaos.evidence import (
    BACK_WINDOWS,
    answered,
    back_to_normal,
    bad,
    bins,
    counts,
    first_bad,
    last_response,
    summary,
    together,
    users_met,
    within,
)
from chaos.faults import ALPHA, FaultPlan, ProcessFault, Seen, verified
from chaos.faults.node import NodeFault
from chaos.faults.verify import Life, more_often
from chaos.load.log import DTYPE, REASONS, Records
from chaos.timeline import Moment
from scenarios.schema import (
    CrashLoopFault,
    ErrorRatioFault,
    LatencyFault,
    MemoryLeakFault,
    NeverReadyFault,
    Outage,
    PoolLeakFault,
    SlowStartFault,
)

SLO = 0.5
STABLE, CANARY = 1, 2


def records(rows: list[tuple[float, float, int, int]], **more: object) -> Records:
    """(due, took, status, revision) in seconds as a log."""
    found = np.zeros(len(rows), DTYPE)
    for place, (due, took, status, revision) in enumerate(rows):
        found[place]["intended_us"] = found[place]["sent_us"] = round(due * 1e6)
        found[place]["done_us"] = round((due + took) * 1e6)
        found[place]["status"], found[place]["revision"] = status, revision
    return together([found])


ROWS = st.lists(
    st.tuples(
        st.floats(0, 100),
        st.sampled_from([0.01, 0.4, 0.6, 3.0]),
        st.sampled_from([200, 500, 503, 0]),
        st.sampled_from([0, 1, 2]),
    ),
    max_size=60,
)


@given(ROWS, st.floats(0, 100))
def test_the_first_bad_and_the_last_response(rows: list[tuple[float, float, int, int]], since: float) -> None:
    log = records(rows)
    wrong = [
        (round((due + took) * 1e6), round(due * 1e6))
        for due, took, status, revision in rows
        if revision == CANARY and round(due * 1e6) >= since * 1e6 and (status in (0, 500, 503) or took > SLO)
    ]
    found = first_bad(log, ["canary"], since, SLO)
    assert (found is None) == (not wrong)
    if found is not None:
        assert round(found.hi * 1e6) == min(wrong)[0]
        assert found.lo >= since - 1e-6
    ours = [round((due + took) * 1e6) for due, took, _, revision in rows if revision == STABLE]
    last = last_response(log, "stable")
    assert (None if last is None else round(last.hi * 1e6)) == max(ours, default=None)


@given(ROWS)
def test_counts_add_up(rows: list[tuple[float, float, int, int]]) -> None:
    log = records(rows)
    every, *parts = counts(log, SLO)
    assert every.requests == len(rows)
    assert every.bad == int(bad(log, SLO).sum())
    unknown = [row for row in rows if row[3] == 0]
    assert sum(each.requests for each in parts) + len(unknown) == every.requests


def test_requests_that_were_never_sent_say_nothing() -> None:
    log = records([(0, 0.1, 0, 0), (1, 0.1, 0, 0), (2, 0.1, 200, 1)])
    log["reason"][:2] = REASONS.index("not_sent"), REASONS.index("refused")
    assert len(answered(log)) == 2


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.001, 0.9))
def test_a_window_within_the_objective(wrong: int, more: int, allowed: float) -> None:
    count = wrong + more
    assert within(wrong, count, allowed) == (wrong == 0 or stats.binom.sf(wrong - 1, count, allowed) > 0.01)


def test_recovery_is_the_first_of_three_good_windows() -> None:
    rows = [(i * 0.1, 0.01, 500 if i < 36 else 200, 1) for i in range(100)]
    found = back_to_normal(records(rows), 0.0, 10.0, window=1.0, allowed_ratio=0.05, slo_seconds=SLO)
    assert (found.lo, found.hi) == (3.0, 4.0)  # six of the fourth ten are bad
    never = back_to_normal(records(rows), 0.0, 3.0 + BACK_WINDOWS, window=1.0, allowed_ratio=0.05, slo_seconds=SLO)
    assert never.censored
    silent = back_to_normal(records([]), 0.0, 10.0, window=1.0, allowed_ratio=0.05, slo_seconds=SLO)
    assert silent.censored, "no traffic is no recovery"


def test_users_are_counted_once() -> None:
    log = records([(i, 0.1, 200, CANARY) for i in range(5)])
    assert users_met(log, "canary", 0.0) is None
    log["user"] = [1, 2, 2, 3, 1]
    assert users_met(log, "canary", 0.0) == 3
    assert users_met(log, "canary", 3.05) == 2


def test_bins_hold_every_request() -> None:
    log = records([(100 + i * 0.5, 0.1, 200, 1 + i % 2) for i in range(20)])
    found = bins(log, 102.0, 4.0, width=8.0, slo_seconds=SLO)
    assert sum(each.counts[0].requests for each in found) == 20
    assert found[0].at == -8.0
    assert found[0].p50["stable"] == pytest.approx(0.1)


# --- effects -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_fishers_test_is_fishers_test(a: int, b: int, c: int, e: int) -> None:
    expected = stats.fisher_exact([[a, b], [c, e]], alternative="greater").pvalue
    assert more_often(a, a + b, c, c + e) == pytest.approx(expected, rel=1e-6)


def plan(fault: object, on: tuple[str, ...] = ("canary",), **more: object) -> FaultPlan:
    told = {"from_seconds": 0.0, "from_weight": None, "for_seconds": None, "severity": 1.0, "engine": "application"}
    kind = getattr(fault, "kind", "blind")
    return FaultPlan(number=0, kind=kind, fault=fault, revisions=on, **{**told, **more})


ERRORS = plan(ErrorRatioFault(kind="error_ratio", ratio=0.2))
INJECTED = Moment(50.0, 50.0)


def seen(rows: Records, **more: object) -> Seen:
    return Seen(records=rows, began=50.0, until=100.0, speed=1.0, **more)


def traffic(
    rng: np.random.Generator, stable: float, canary: float, *, took: float = 0.01, count: int = 1000
) -> Records:
    """Two revisions with these error ratios, from 0 to 100 s; the canary from 50 s on."""
    rows = []
    for due in np.sort(rng.uniform(0, 100, count)).tolist():
        new = due > 50 and rng.random() < 0.3
        ratio = canary if new else stable
        rows.append((due, took if new else 0.01, 500 if rng.random() < ratio else 200, CANARY if new else STABLE))
    return records(rows)


def test_errors_that_bite_are_verified_and_those_that_do_not_are_not() -> None:
    """About 150 responses of the canary: 20 % of them fail against 0.1 %; a miss has a chance below 1e-9."""
    rng = np.random.default_rng(1)
    assert verified(ERRORS, INJECTED, seen(traffic(rng, 0.001, 0.2))).verified
    healthy = [verified(ERRORS, INJECTED, seen(traffic(rng, 0.02, 0.02, count=400))).verified for _ in range(200)]
    assert sum(healthy) <= stats.binom.isf(1e-6, 200, ALPHA), "an A/A comparison says that a fault bites"


def test_a_fault_that_no_target_bore_was_not_seen() -> None:
    effect = verified(ERRORS, None, seen(records([])))
    assert (effect.verified, effect.reason) == (False, "error_ratio: no target ever bore it")


def test_too_little_healthy_traffic_proves_nothing() -> None:
    rows = records([(60 + i * 0.1, 0.01, 500, CANARY) for i in range(100)])
    effect = verified(ERRORS, INJECTED, seen(rows))
    assert not effect.verified
    assert "too few" in effect.reason


def test_delays_are_told_from_their_size() -> None:
    slow = plan(LatencyFault(kind="added_latency", add_seconds=0.6, share=0.5))
    rng = np.random.default_rng(2)
    assert verified(slow, INJECTED, seen(traffic(rng, 0, 0, took=0.7))).verified
    assert not verified(slow, INJECTED, seen(traffic(rng, 0, 0, took=0.55))).verified


def test_silence_of_a_replica() -> None:
    hang = plan(ProcessFault(kind="hang", on="stable"), on=("stable",), engine="processes")
    rng = np.random.default_rng(3)
    log = traffic(rng, 0, 0)
    log["pod"] = np.where(rng.random(len(log)) < 0.5, b"stable-0", b"stable-1")
    assert not verified(hang, INJECTED, seen(log)).verified
    quiet = (log["pod"] == b"stable-1") & (log["done_us"] > 55e6) & (log["done_us"] < 80e6)
    assert verified(hang, INJECTED, seen(log[~quiet])).verified


def test_a_summary_has_the_latency_of_each_revision() -> None:
    rows = [(i / 10, 0.1 if i % 2 else 0.3, 200, STABLE if i % 2 else CANARY) for i in range(20)]
    told = summary(records([*rows, (3.0, 5.0, 0, 0)]), SLO)
    assert {name: each["requests"] for name, each in told.items()} == {"all": 21, "stable": 10, "canary": 10}
    assert [told[name]["p99_seconds"] for name in ("stable", "canary", "all")] == pytest.approx([0.1, 0.3, 0.3])
    assert summary(records([(3.0, 5.0, 0, 0)]), SLO)["all"]["p99_seconds"] is None


def test_who_is_cut_off_before_it_has_answered_is_missed_by_the_router() -> None:
    """A share of 30 % of about 500 requests is answered by nobody; chance gives that with less than 1e-9."""
    cut = plan(NodeFault(kind="partition"), engine="native")
    log = traffic(np.random.default_rng(4), 0, 0)
    answered = verified(cut, INJECTED, seen(log))
    assert not answered.verified
    ours = log["revision"] == CANARY
    missed = log.copy()
    missed["revision"][ours], missed["status"][ours] = 0, 503
    effect = verified(cut, INJECTED, seen(missed))
    assert effect.verified, effect.reason
    assert "0 responses of its targets" in effect.reason
    some = missed.copy()
    some["revision"][np.flatnonzero(ours)[-3:]] = CANARY
    assert not verified(cut, INJECTED, seen(some)).verified, "a target still answers"
    back = missed.copy()
    late = back["sent_us"] >= 80e6
    back["revision"][ours & late], back["status"][ours & late] = CANARY, 200
    assert not verified(cut, INJECTED, seen(back)).verified
    for_a_while = plan(NodeFault(kind="partition", for_seconds=30), engine="native", for_seconds=30.0)
    assert verified(for_a_while, INJECTED, seen(back)).verified, "what answers after its end says nothing"
    always = log.copy()
    always["revision"][ours | (np.arange(len(log)) % 4 == 0)] = 0
    assert not verified(cut, INJECTED, seen(always[~ours])).verified, "it was so before"


NAN = math.nan


@pytest.mark.parametrize(
    ("fault", "lives", "bites"),
    [
        (CrashLoopFault(kind="crash_loop"), [Life("canary-0", "canary", 51, NAN, 53, 1)], True),
        (CrashLoopFault(kind="crash_loop"), [Life("canary-0", "canary", 51, 52, 60, -9)], False),
        (CrashLoopFault(kind="crash_loop"), [Life("stable-0", "stable", 1, 2, 60, 1)], False),
        (NeverReadyFault(kind="never_ready"), [Life("canary-0", "canary", 51, NAN, NAN)], True),
        (NeverReadyFault(kind="never_ready"), [Life("canary-0", "canary", 98, NAN, NAN)], False),
        (NeverReadyFault(kind="never_ready"), [Life("canary-0", "canary", 51, 53, NAN)], False),
        (SlowStartFault(kind="slow_start", add_seconds=10), [Life("canary-0", "canary", 51, 63, NAN)], True),
        (SlowStartFault(kind="slow_start", add_seconds=10), [Life("canary-0", "canary", 51, 53, NAN)], False),
        (MemoryLeakFault(kind="memory_leak", mib_per_minute=10), [Life("canary-0", "canary", 51, 52, 60, 137)], True),
        (ProcessFault(kind="kill"), [Life("canary-0", "canary", 51, 52, 60, -9)], True),
        (ProcessFault(kind="kill"), [Life("canary-0", "canary", 51, 52, 60, 1)], False),
    ],
)  # fmt: skip
def test_lives_and_deaths(fault: object, lives: list[Life], bites: bool) -> None:
    effect = verified(plan(fault), INJECTED, seen(records([]), lives=lives, usual_start_seconds=2.0))
    assert effect.verified is bites, effect.reason


def test_leaks_are_seen_in_what_was_scraped() -> None:
    lives = [Life("canary-0", "canary", 51, 52, NAN), Life("stable-0", "stable", 1, 2, NAN)]
    memory = plan(MemoryLeakFault(kind="memory_leak", mib_per_request=0.1))
    assert verified(memory, INJECTED, seen(records([]), lives=lives, memory_mib={"canary-0": (50.0, 58.0)})).verified
    assert not verified(
        memory,
        INJECTED,
        seen(records([]), lives=lives, memory_mib={"canary-0": (50.0, 51.0), "stable-0": (50.0, 90.0)}),
    ).verified
    pool = plan(PoolLeakFault(kind="pool_leak", per_request=0.01))
    assert verified(pool, INJECTED, seen(records([]), lives=lives, pool={"canary-0": 20.0, "stable-0": 3.0})).verified
    assert not verified(
        pool, INJECTED, seen(records([]), lives=lives, pool={"canary-0": 4.0, "stable-0": 3.0})
    ).verified


def test_blind_metrics_are_seen_by_the_scrapes_that_did_not_come() -> None:
    blind = plan(Outage(from_seconds=0, for_seconds=20), on=(), for_seconds=20.0, engine="scraper")
    every = [float(at) for at in range(100)]
    assert not verified(blind, INJECTED, seen(records([]), rounds=every)).verified
    assert verified(blind, INJECTED, seen(records([]), rounds=[at for at in every if not 50 < at < 70])).verified
