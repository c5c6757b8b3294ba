"""Record rollouts of the real controller of Argo Rollouts, and lay the models beside them.

usage: python tests/cluster/argo/record.py [--keep] [NAME-OR-PART...]

Needs the native node with that controller (`make cluster-up`, `hack/node/argo.sh`) and root. Prints a table; with --keep
the recordings replace those of the same cases in tests/published/argo_controller.yaml.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "controller")]

from controller_session import record_all  # noqa: E402
from rollout_cases import load  # noqa: E402
from rollout_compare import compare  # noqa: E402
from rollout_kept import keep  # noqa: E402
from rollout_recorder import RolloutRecorder  # noqa: E402

MODULE = HERE.parents[2] / "hack" / "node" / "argo" / "go.mod"


def version() -> str:
    """Of Argo Rollouts, as the controller is built."""
    found = re.search(r"argoproj/argo-rollouts v(\S+)", MODULE.read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


if __name__ == "__main__":
    sys.exit(
        record_all(
            sys.argv[1:],
            load(),
            of="argo",
            recorder=RolloutRecorder,
            keep=lambda recording, bench: keep(recording, version()),
            compare=compare,
        )
    )
