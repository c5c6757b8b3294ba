"""The recordings that are kept, so that every run of the tests replays the real controller without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from controller_kept import write
from rollout_cases import load
from rollout_recording import Recording
from ruamel.yaml import YAML

FILE: Final = Path(__file__).parents[2] / "published" / "argo_controller.yaml"
HEADER: Final = """\
# What the controller of Argo Rollouts {version} did in the rollouts of tests/cluster/argo/rollout_cases.yaml, as the API
# server told of it. Record again: tests/cluster/argo/record.py --keep, on the native node (hack/node/argo.sh).
# Times are seconds since the rollout was asked for, each when it was heard.
#   second   where in a second of the wall clock it began
#   acted    when it was aborted or undone
#   moments  each change of the Rollout: template wanted, step, phase, the router's weight (- without one)
#   rows     each change of a ReplicaSet, in the API server's order: template, pods wanted / available
#   pods     template, when it was made (before 0: it ran already), and what became of it
"""


def kept() -> list[Recording]:
    """All recordings of the file, none where it does not exist."""
    if not FILE.exists():
        return []
    return [Recording.read(each) for each in YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))]


def keep(recording: Recording, version: str) -> None:
    """Write a recording to the file, in place of that of the same case; those of no case are dropped."""
    known = {each.case: each for each in (*kept(), recording)}
    write(FILE, HEADER.format(version=version), [known[case.name] for case in load() if case.name in known])
