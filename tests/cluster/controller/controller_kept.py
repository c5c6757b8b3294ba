"""The recordings that are kept, so that every run of the tests replays the real controller without a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from controller_cases import load
from controller_recording import Recording
from ruamel.yaml import YAML

FILE: Final = Path(__file__).parents[2] / "published" / "deployment_controller.yaml"
HEADER: Final = """\
# What the Deployment controller of Kubernetes {version} did in the rollouts of tests/cluster/controller/cases.yaml, as the
# API server told of it. Record again: tests/cluster/controller/record.py --keep, on the native node (`make cluster-up`).
# Times are seconds since the rollout was asked for, each when it was heard.
#   second  where in a second of the wall clock it began
#   wishes  what the Deployment wants from then on: template, replicas
#   rows    each change of a ReplicaSet, in the API server's order: template, pods wanted / available
#   pods    template, when it was made (before 0: it ran already), and what became of it
"""


def kept() -> list[Recording]:
    """All recordings of the file, none where it does not exist."""
    if not FILE.exists():
        return []
    return [Recording.read(each) for each in YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))]


def keep(recording: Recording, version: str) -> None:
    """Write a recording to the file, in place of that of the same case; those of no case are dropped."""
    known = {each.case: each for each in (*kept(), recording)}
    found = [known[case.name] for case in load() if case.name in known]
    write(FILE, HEADER.format(version=version.removeprefix("v")), found)


def write(path: Path, header: str, recordings: Iterable[Any]) -> None:
    """A file of recordings, one line for each thing that happened."""
    with path.open("w", encoding="utf-8") as file:
        file.write(header)
        for each in recordings:
            file.write(f"\n- case: {each.case}\n")
            for name, lines in each.plain().items():
                if not isinstance(lines, list):
                    file.write(f"  {name}: {lines}\n" if name != "case" else "")
                else:
                    file.write(f"  {name}:\n" if lines else f"  {name}: []\n")
                    file.writelines(f"  - {line}\n" for line in lines)
