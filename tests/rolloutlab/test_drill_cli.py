"""`drill`, `abort` and `sweep`: plans, live views, what is refused, exit codes, files; one real drill."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from chaos.local.runs import RUN, Run
from chaos.plan import Settings
from chaos.results import Happening
from chaos.world import WorldError
from rolloutlab.cli import main
from rolloutlab.drill import clearing, door, journal
from rolloutlab.drill.door import Planned, Wanted, planned
from rolloutlab.drill.live import Board, Harmless, Lines, State, traffic_text, view
from rolloutlab.drill.record import Record
from rolloutlab.drill.testing import made_up
from rolloutlab.drill.words import step_of


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("ROLLOUTLAB_STATE", str(folder))
    return folder


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def refused(*words: str, code: int = 2) -> str:
    done = invoke(*words)
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def happening(kind: str, who: str = "drill", at: float = 10.0, **facts: Any) -> Happening:
    return Happening(at_seconds=at, kind=kind, who=who, facts=facts)


TRAFFIC = {
    "all": {"revision": "", "requests": 1000, "failed": 5, "slow": 1},
    "stable": {"revision": "stable", "requests": 900, "failed": 0, "slow": 1},
    "canary": {"revision": "canary", "requests": 100, "failed": 5, "slow": 0, "p99_seconds": 0.31},
}
STORY = [
    happening("phase", at=-3000.0, phase="steady_state"),
    happening("pod_ready", "stable-0", at=-2999.0),
    happening("phase", phase="roll_out", at=0.0),
    happening("fault", "error_ratio", at=0.1, on=["canary"], engine="application"),
    happening("injected", "error_ratio", at=2.0, on=["canary"]),
    happening("pod_ready", "canary-0", at=30.0),
    happening("weight_effective", "router", at=40.0, weight=0.1),
    happening("traffic", "load", at=41.0, **TRAFFIC),
    happening("traffic", "load", at=43.0, **TRAFFIC),
    happening("look", "analysis", at=100.0, value=0.05, bad=True, requests=600, errors=30),
    happening("look", "analysis", at=100.1, value=None, bad=False, requests=None, errors=None),
    happening("decision", "strategy", at=280.0, outcome="rolled_back", text="errors: 4 failed"),
    happening("weight_effective", "router", at=281.0, weight=0.0),
    happening("container_died", "canary-0", at=290.0, code=1),
    happening("verdict", at=300.0, verdict="pass", reason="p50"),
]


@pytest.fixture
def one() -> Planned:
    return planned(Wanted(path="errors-5pct", strategies=("canary",)))[0]


# --- plans and refusals ------------------------------------------------------------------------------------------


def test_a_plan_says_what_would_be_done_and_does_nothing(state: Path) -> None:
    done = invoke("drill", "errors-5pct", "--strategy", "canary", "--plan")
    assert done.exit_code == 0
    for words in ("5 % of responses fail, on canary, by the application", "10 processes of the stable revision",
                  "p50 of detection_seconds is 220 to 250", "127.0.0.1", "every process ended"):  # fmt: skip
        assert words in done.stdout, words
    assert not (state / "runs").exists()


def test_what_is_asked_for_takes_the_place_of_what_the_file_expects() -> None:
    asked = ("drill", "chaos-pods", "--strategy", "canary", "--plan", "-o", "json")
    (usual,) = json.loads(invoke(*asked).stdout)["plan"]
    (other,) = json.loads(invoke(*asked, "--expect", "rolled_back").stdout)["plan"]
    assert usual["expects"] == ["share of outcome=promoted is 0.95 to 1"]
    assert other["expects"] == ["share of outcome=rolled_back is 1 to 1"]
    done = invoke(*asked, "--expect", "rolledback")
    assert done.exit_code == 2
    assert "'promoted', 'rolled_back', 'paused', 'stalled'" in done.stderr
    with pytest.raises(ValueError, match="--expect: unknown outcome 'undone'; known: promoted, "):
        Settings(expect="undone")


def test_a_plan_for_programs() -> None:
    told = json.loads(invoke("drill", "errors-5pct", "--strategy", "canary", "--plan", "-o", "json").stdout)
    (plan,) = told["plan"]
    assert plan["faults"][0]["text"] == "5 % of responses fail, on canary"
    assert plan["problems"] == []
    assert plan["real_seconds"] > 0


def test_a_plan_says_its_guards_and_a_drill_whose_faults_fail_everything_is_not_stopped_for_that() -> None:
    def said(name: str, *words: str) -> str:
        done = invoke("drill", name, "--strategy", "canary", "--plan", *words)
        return next(line for line in done.stdout.splitlines() if line.startswith("guards"))

    assert "stopped when more than 75 % of requests failed in 5.0 s, longer than 30.0 min" in said("errors-5pct")
    assert "failed" not in said("chaos-pool").partition(";")[0]
    assert "its own faults may fail every request" in said("chaos-pool")
    asked = said("chaos-pool", "--guard", "error_ratio=75%", "--guard", "p99=2s", "--guard", "ready_replicas=3")
    assert "more than 75 % of requests failed" in asked
    assert "p99 above 2.0 s, fewer than 3 ready replicas" in asked
    assert said("errors-5pct", "--guard", "error_ratio=off", "--guard", "wall=off").endswith("none")


def test_what_this_world_cannot_do_is_refused_by_name_before_anything_happens(state: Path) -> None:
    words = ("drill", "errors-5pct", "--strategy", "canary", "--set", "router.connectionLife=1m")
    done = invoke(*words, "--plan")
    assert done.exit_code == 3
    assert "Refused:\n  router.connectionLife" in done.stdout
    done = invoke(*words, "-q")
    assert done.exit_code == 3
    assert done.stdout.split("\n")[1].startswith("! REFUSED (exit 3): router.connectionLife")
    assert not [run for run in (state / "runs").iterdir() if Run(run).processes()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--strategy", "canry"), "unknown strategy 'canry'; did you mean 'canary'?"),
        ((), "--strategy: expected one or more of the strategies of the file; known: rolling, blue-green, canary"),
        (("--strategy", "canary", "--world", "cluser"), "--world: unknown name 'cluser'; did you mean 'cluster'? known: cluster, local"),
        (("--strategy", "canary", "--speed", "fast"), "expected auto, or scenario seconds per real second"),
        (("--strategy", "canary", "--speed", "nan"), "expected auto, or scenario seconds per real second"),
        (("--strategy", "canary", "--speed", "-3"), "expected auto, or scenario seconds per real second"),
        (("--strategy", "canary", "--set", "service.replicas"), "--set: expected FIELD=VALUE"),
        (("--strategy", "canary", "--html", "/nowhere/x/y.html"), "/nowhere"),
        (("--strategy", "canary", "--repeat", "0"), "--repeat"),
        (("--strategy", "canary", "--clients", "2001"), "--clients"),
        (("--strategy", "canary", "--guard", "p98=2s"), "--guard: unknown name 'p98'; did you mean 'p99'?"),
        (("--strategy", "canary", "--guard", "error_ratio=8"), "--guard: expected error_ratio as in error_ratio=75%, or off"),
        (("--strategy", "canary", "--guard", "ready_replicas=2.5"), "--guard: expected ready_replicas as in"),
        (("--strategy", "canary", "--guard", "wall"), "--guard: expected NAME=VALUE"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(words: tuple[str, ...], said: str) -> None:
    if os.geteuid() == 0 and "/nowhere/x/y.html" in words:
        words = (*words[:-1], "/dev/null/y.html")
        said = "/dev/null"
    assert said in refused("drill", "errors-5pct", *words)


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec

    def missing(name: str, package: str | None = None) -> Any:
        return None if name in ("aiohttp", "envoy") else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    for verb in (("drill", "errors-5pct"), ("sweep",), ("abort",), ("calibrate", "errors-5pct")):
        line = refused(*verb)
        lacking = "aiohttp" if verb[0] in ("sweep", "abort") else "aiohttp, envoy"  # what clears needs no router
        assert line == f"error: {verb[0]} needs: pip install 'rolloutlab[local]' (missing: {lacking})"


def test_a_world_that_cannot_even_begin_is_exit_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise WorldError("no run directory can be made: No space left on device: /x")

    monkeypatch.setattr(door, "run_drill", broken)
    line = refused("drill", "errors-5pct", "--strategy", "canary", "-q", code=3)
    assert line == "refused: no run directory can be made: No space left on device: /x"


# --- a series ----------------------------------------------------------------------------------------------------


def scripted(monkeypatch: pytest.MonkeyPatch, *records: Record) -> list[int]:
    """Drills that end as they are told; the seeds that they were given."""
    seeds: list[int] = []
    left = iter(records)

    def run(one: Planned, number: int, view: object, **_: object) -> Record:
        seeds.append(one.plan.settings.seed)
        return next(left)

    monkeypatch.setattr(door, "_run", run)
    return seeds


def test_repeats_have_seeds_of_their_own_and_the_exit_code_is_the_most_urgent(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = scripted(
        monkeypatch, made_up(), made_up(verdict="fail", exit_code=1), made_up(verdict="inconclusive", exit_code=5)
    )
    done = invoke("drill", "errors-5pct", "--strategy", "canary", "--repeat", "3", "--seed", "7", "-q", "-o", "json")
    assert seeds == [7, 8, 9]
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["results"][0]["verdicts"] == {"pass": 1, "fail": 1, "inconclusive": 1, "refused": 0}
    assert told["inputs"]["repeat"] == 3


def test_the_command_to_repeat_it_has_the_speed_that_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, made_up())
    words = ["drill", "errors-5pct", "--strategy", "canary", "-q", "--set", "traffic.rate=1/s"]
    said = invoke(*words).stdout
    assert re.search(r"Again: .* --speed [\d.]+ --seed 0\n", said)
    scripted(monkeypatch, made_up())
    assert invoke(*words, "--speed", "2").stdout.count("--speed") == 1


@pytest.mark.parametrize("code", [3, 4, 130])
def test_a_series_ends_with_what_must_not_be_repeated(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    seeds = scripted(monkeypatch, made_up(), made_up(verdict="inconclusive", exit_code=code))
    done = invoke("drill", "errors-5pct", "--strategy", "canary", "--repeat", "9", "-q")
    assert seeds == [0, 1]
    assert done.exit_code == code
    assert "warning: 2 of 9 drills: the others were not begun" in done.stderr


def test_every_file_that_was_asked_for_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripted(monkeypatch, made_up(), made_up(number=1))
    names = {name: tmp_path / "out" / f"drill.{name}" for name in ("html", "junit", "journal", "prometheus")}
    options = [word for name, path in names.items() for word in (f"--{name}", str(path))]
    done = invoke("drill", "errors-5pct", "--strategy", "canary", "--repeat", "2", "-q", *options)
    assert done.exit_code == 0, done.output
    assert names["html"].read_text().lstrip().startswith("<!doctype html>")
    assert ElementTree.fromstring(names["junit"].read_text()).get("tests") == "2"
    assert "rolloutlab_drill_detection_seconds" in names["prometheus"].read_text()
    assert journal.read(names["journal"]) == made_up()
    assert journal.read(Path(f"{names['journal']}.2")).row["replication"] == 1
    assert len([line for line in done.stderr.splitlines() if line.startswith("wrote ")]) == 5


def test_a_full_disk_takes_the_file_and_not_the_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripted(monkeypatch, made_up())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = invoke("drill", "errors-5pct", "--strategy", "canary", "-q", "--junit", str(tmp_path / "x.xml"))
    assert done.exit_code == 2
    assert "✓ PASS" in done.stdout
    assert "No space left" in done.stderr
    assert not list(tmp_path.glob("*x.xml*"))


# --- live views --------------------------------------------------------------------------------------------------


def test_lines_tell_each_change_once(one: Planned) -> None:
    stream = io.StringIO()
    lines = Lines(one, stream, clock=lambda: 0.0)
    for each in STORY:
        lines(each)
    told = stream.getvalue().splitlines()
    assert [line[13:23].strip() for line in told] == [
        "phase", "phase", "fault", "fault", "weight", "traffic", "look", "look", "decision", "weight", "phase",
    ]  # fmt: skip
    assert told[0].startswith("             phase"), "scenario time has no zero before the rollout"
    assert "100.0 s  look      analysis: 0.05 of 600 requests, bad" in told[6]
    assert told[7].endswith("analysis: no answer")
    assert "canary 100 requests, 5 % bad, p99 310 ms" in told[5]
    assert "\x1b" not in stream.getvalue()


def test_trouble_that_lasts_is_told_once(one: Planned) -> None:
    stream = io.StringIO()
    lines = Lines(one, stream, clock=lambda: 0.0)
    for reason in ("it is away", "it is away", "it is back"):
        lines(happening("trouble", "sweep", reason=reason))
    assert [line[23:].strip() for line in stream.getvalue().splitlines()] == ["sweep: it is away", "sweep: it is back"]


def test_pods_of_a_cluster_are_counted_by_their_revision() -> None:
    state = State()
    for name, revision in (("shop-stable-7d9f-x2x4z", "stable"), ("shop-canary-6c5b-abcde", "canary")):
        state.hear(happening("pod_ready", name, revision=revision))
    assert {name: len(pods) for name, pods in state.ready.items()} == {"stable": 1, "canary": 1}
    state.hear(happening("pod_gone", "shop-canary-6c5b-abcde", revision="canary"))
    assert state.ready["canary"] == set()


def test_the_state_is_what_was_heard() -> None:
    state = State()
    for each in STORY:
        state.hear(each)
    assert state.weight == 0.0
    assert state.ready == {"stable": {"stable-0"}, "canary": set()}
    assert state.looks == [True, None]
    assert state.faults == {"error_ratio": "in place"}
    assert state.counts("canary") == (200, 10, 0.31)
    assert state.per_second("canary", 1.0) == 50.0
    assert "stable 1,800 requests" in traffic_text(state)


def board_text(one: Planned, *, colour: bool) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=True, width=100, no_color=not colour, color_system="truecolor" if colour else None
    )
    board = Board(one, 0, console)
    with board:
        for each in STORY:
            board(each)
        console.print(board.drawn())
    return stream.getvalue()


def test_the_board_shows_weights_ratios_faults_looks_and_the_verdict(one: Planned) -> None:
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", board_text(one, colour=False))
    for words in ("errors-5pct, canary · local", "% to the canary", "canary", "5.00 %", "310", "5 % of responses fail, on canary: in place",
                  "looks   ✗?", "rolled back: errors: 4 failed", "pass: p50"):  # fmt: skip
        assert words in said, words


def test_no_colour_means_no_colour(one: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", board_text(one, colour=False))


def test_names_can_do_nothing_to_the_terminal(one: Planned) -> None:
    stream = io.StringIO()
    Lines(one, stream)(happening("decision", "strategy", outcome="rolled_back", text="\x1b[2J\nx"))
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("terminal", "term", "board"), [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)]
)
def test_a_board_needs_a_terminal_that_can_redraw(
    one: Planned, monkeypatch: pytest.MonkeyPatch, terminal: bool, term: str, board: bool
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    monkeypatch.setenv("TERM", term)
    shown = view(Stream())
    assert shown is not None
    with shown(one, 0) as tell:
        assert isinstance(tell, Harmless)
        assert isinstance(tell.shown, Board) is board


def test_a_view_whose_stream_breaks_falls_silent_and_harms_nothing(one: Planned) -> None:
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    shown = view(Broken())
    assert shown is not None
    with shown(one, 0) as tell:
        for each in STORY:
            tell(each)


def test_without_a_stream_there_is_no_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert view() is None


def test_an_interrupt_between_two_drills_keeps_those_that_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    done = iter([made_up()])

    def run(*_: object, **__: object) -> Record:
        found = next(done, None)
        if found is None:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(door, "_run", run)
    result = invoke("drill", "errors-5pct", "--strategy", "canary", "--repeat", "5", "-q", "-o", "json")
    assert result.exit_code == 130
    assert len(json.loads(result.stdout)["drills"]) == 1
    assert "warning: 1 of 5 drills: the others were not begun" in result.stderr


@pytest.mark.parametrize(
    "kind",
    [
        "phase",
        "weight_effective",
        "look",
        "fault",
        "decision",
        "stop",
        "note",
        "approval",
        "verdict",
        "pod_gone",
        "new",
    ],
)
def test_every_kind_has_words_even_without_facts(kind: str) -> None:
    step = step_of(Happening(at_seconds=1.0, kind=kind, who="x"))
    assert step is not None
    assert step.kind in ("phase", "weight", "look", "fault", "decision", "guard", "note", "pods")


# --- abort and sweep ---------------------------------------------------------------------------------------------


def orphan(state: Path) -> tuple[Run, subprocess.Popen[bytes]]:
    """A run whose harness is gone, with a process and a file left."""
    run = Run.create(state)
    (run.path / "owner.json").write_text(json.dumps({"pid": 1, "started": -1, "boot": "another"}))
    (run.path / "envoy.log").write_text("x")
    (run.path / "journal.jsonl").write_text("{}\n")
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={**os.environ, RUN: run.id})
    deadline = time.monotonic() + 10
    while process.pid not in run.processes() and time.monotonic() < deadline:
        time.sleep(0.01)
    return run, process


def test_sweep_ends_processes_and_removes_files_but_keeps_the_journal(state: Path) -> None:
    run, process = orphan(state)
    try:
        done = invoke("sweep", "--plan")
        assert done.exit_code == 0
        assert f"{run.id}: would clear process {process.pid}, envoy.log, owner.json" in done.stdout
        assert process.poll() is None, "a plan touches nothing"
        done = invoke("sweep", "-o", "json")
        assert done.exit_code == 0
        (told,) = json.loads(done.stdout)["runs"]
        assert (told["run_id"], told["left"]) == (run.id, [])
        assert process.wait(10) == -signal.SIGKILL
        assert [one.name for one in run.path.iterdir()] == ["journal.jsonl"]
    finally:
        process.kill()
        process.wait()
    assert invoke("sweep").stdout == "nothing to clear\n"


def test_sweep_of_what_cannot_be_cleared_is_exit_4(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, process = orphan(state)
    process.kill()
    process.wait()
    monkeypatch.setattr(Run, "clear", lambda _: ["envoy.log: Permission denied"])
    done = invoke("sweep")
    assert done.exit_code == 4
    assert done.stdout == f"{run.id}: could not clear envoy.log: Permission denied\n"


HARNESS = """
import signal, sys, time
from pathlib import Path
from chaos.local.runs import Run
run = Run.create(Path(sys.argv[1]))
polite = sys.argv[2] == "polite"
signal.signal(signal.SIGTERM, (lambda *_: sys.exit(0)) if polite else signal.SIG_IGN)
print(run.id, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("manner", "how"), [("polite", "ended"), ("deaf", "killed")])
def test_abort_ends_a_running_drill_politely_then_at_once(state: Path, manner: str, how: str) -> None:
    words = [sys.executable, "-c", HARNESS, str(state), manner]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}) as harness:
        try:
            assert harness.stdout is not None
            name = harness.stdout.readline().strip()
            assert invoke("abort").stdout == f"{name}\n"
            assert "unknown running drill 'nope'" in refused("abort", "nope")
            assert invoke("sweep").stdout == "nothing to clear\n", "a living drill is left alone"
            # a parent that does not wait keeps a zombie, which no longer owns anything once it is reaped
            reaper = __import__("threading").Thread(target=harness.wait)
            reaper.start()
            done = invoke("abort", name, "--timeout", "1" if manner == "deaf" else "20")
            reaper.join()
            assert done.exit_code == 0, done.output
            assert done.stdout.startswith(f"{name}: {how}; ")
        finally:
            harness.kill()
    assert clearing.running(state) == []
    assert invoke("abort", "--all").stdout == "no drill is running\n"


# --- one real drill ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_real_drill_through_the_door(tmp_path: Path, state: Path) -> None:
    """A small service and a canary that looks twice; the machine may be busy, so that no time is asserted."""
    changes = ["service.replicas=2", "traffic.rate=20/s", "horizon=10m", "expect=[]", "slo.latency=2s",
               "service.startup={schedule: 0.1s, pull: 0.1s, start: 1s}", "service.probes.readiness={periodSeconds: 1}"]  # fmt: skip
    words = ["drill", "errors-5pct", "--strategy", "canary", "--speed", "10", "--journal", str(tmp_path / "j.json")]
    words += [word for change in changes for word in ("--set", change)]
    words += ["--set", "faults.0.ratio=30%", "-o", "json"]
    done = invoke(*words)
    told = json.loads(done.stdout)
    (drill,) = told["drills"]
    if done.exit_code == 3 and "steady state" in drill["reasons"][0] and drill["load"]["lag_p99_seconds"] > 0.1:
        pytest.skip(f"the machine is too busy for drills: {drill['reasons'][0]}")
    assert done.exit_code in (0, 5), drill["reasons"]
    assert drill["outcome"] == "rolled_back"
    assert drill["faults"][0]["effect_verified"] is True
    assert drill["timeline"]["t5"]["censored"] is False
    assert journal.read(tmp_path / "j.json").plain() == drill
    assert "the router sends 10 % to the canary" in done.stderr
    assert clearing.orphans(state) == []
    assert clearing.running(state) == []


def test_settings_reach_the_plan() -> None:
    wanted = Wanted(path="errors-5pct", strategies=("canary",), settings=Settings(speed=2.0, seed=5, by_router=True))
    (one,) = planned(wanted)
    assert (one.plan.speed, one.plan.settings.seed, one.plan.faults[0].engine) == (2.0, 5, "router")
    assert one.name == "errors-5pct, canary"
