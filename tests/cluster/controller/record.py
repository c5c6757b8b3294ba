"""Record rollouts of the real Deployment controller, and lay the models beside them.

usage: python tests/cluster/controller/record.py [--keep] [NAME-OR-PART...]

Needs the native node (`make cluster-up`) and root. Prints a table; with --keep the recordings replace those of the same
cases in tests/published/deployment_controller.yaml.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid

from controller_cases import load
from controller_compare import compare
from controller_kept import keep
from controller_recorder import Bench, Recorder, RecorderError

from chaos.cluster.kube import Kube
from chaos.cluster.native.node import need


def main(*words: str) -> int:
    """Record the cases whose names contain one of the words, or all; 1 when a model differs."""
    parts = [word for word in words if word != "--keep"]
    cases = [case for case in load() if not parts or any(part in case.name for part in parts)]
    node = need()
    node.enter_network()
    bench = Bench(kube=Kube(str(node.kubeconfig)), namespace=f"controller-{uuid.uuid4().hex[:8]}")
    bench.make()
    different = 0
    began = time.monotonic()
    try:
        for case in cases:
            at = time.monotonic()
            try:
                recording = asyncio.run(Recorder(bench, case).record())
            except RecorderError as error:
                say(str(error))
                different += 1
                continue
            if "--keep" in words:
                keep(recording, bench.kube.version())
            found = compare(case, recording)
            different += bool(found.differences)
            say(f"{found}  ({time.monotonic() - at:.0f} s)", *found.differences)
            if found.differences:
                say(*recording.lines())
    finally:
        bench.remove()
    say(f"{len(cases) - different} of {len(cases)} equal, {time.monotonic() - began:.0f} s")
    return int(different > 0)


def say(*lines: str) -> None:
    """Print lines at once."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
