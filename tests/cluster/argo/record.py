"""Record rollouts of the real controller of Argo Rollouts, and lay the models beside them.

usage: python tests/cluster/argo/record.py [--keep] [NAME-OR-PART...]

Needs the native node with that controller (`make cluster-up`, `hack/node/argo.sh`) and root. Prints a table; with --keep
the recordings replace those of the same cases in tests/published/argo_controller.yaml.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
import uuid
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "controller")]

from controller_recorder import Bench, RecorderError  # noqa: E402
from rollout_cases import load  # noqa: E402
from rollout_compare import compare  # noqa: E402
from rollout_kept import keep  # noqa: E402
from rollout_recorder import RolloutRecorder  # noqa: E402

from chaos.cluster.kube import Kube  # noqa: E402
from chaos.cluster.native.node import need  # noqa: E402

MODULE = HERE.parents[2] / "hack" / "node" / "argo" / "go.mod"


def main(*words: str) -> int:
    """Record the cases whose names contain one of the words, or all; 1 when a model differs."""
    parts = [word for word in words if word != "--keep"]
    cases = [case for case in load() if not parts or any(part in case.name for part in parts)]
    node = need()
    node.enter_network()
    bench = Bench(kube=Kube(str(node.kubeconfig)), namespace=f"argo-{uuid.uuid4().hex[:8]}")
    bench.make()
    different = 0
    began = time.monotonic()
    try:
        for case in cases:
            at = time.monotonic()
            try:
                recording = asyncio.run(RolloutRecorder(bench, case).record())
            except RecorderError as error:
                say(str(error))
                different += 1
                continue
            if "--keep" in words:
                keep(recording, version())
            found = compare(case, recording)
            different += bool(found.differences)
            say(f"{found}  ({time.monotonic() - at:.0f} s)", *found.differences)
            if found.differences:
                say(*recording.lines())
    finally:
        bench.remove()
    say(f"{len(cases) - different} of {len(cases)} equal, {time.monotonic() - began:.0f} s")
    return int(different > 0)


def version() -> str:
    """Of Argo Rollouts, as the controller is built."""
    found = re.search(r"argoproj/argo-rollouts v(\S+)", MODULE.read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def say(*lines: str) -> None:
    """Print lines at once."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
