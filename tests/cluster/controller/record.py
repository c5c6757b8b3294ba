"""Record rollouts of the real Deployment controller, and lay the models beside them.

usage: python tests/cluster/controller/record.py [--keep] [NAME-OR-PART...]

Needs the native node (`make cluster-up`) and root. Prints a table; with --keep the recordings replace those of the same
cases in tests/published/deployment_controller.yaml.
"""

from __future__ import annotations

import sys

from controller_cases import load
from controller_compare import compare
from controller_kept import keep
from controller_recorder import Recorder
from controller_session import record_all

if __name__ == "__main__":
    sys.exit(
        record_all(
            sys.argv[1:],
            load(),
            of="controller",
            recorder=Recorder,
            keep=lambda recording, bench: keep(recording, bench.kube.version()),
            compare=compare,
        )
    )
