"""`python -m chaos.cluster.native agent | sweep [OWNER]`, as root in the node's namespaces."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from chaos.cluster.native.registry import FOLDER, Registry

USAGE = "usage: python -m chaos.cluster.native agent | sweep [OWNER]"


def main(arguments: list[str]) -> int:
    """Run one command; the exit code: 0, 2 for wrong usage, 4 when a sweep left something."""
    registry = Registry(Path(os.environ.get("ROLLOUTLAB_FAULTS") or FOLDER))
    match arguments:
        case ["agent"]:
            from chaos.cluster.native.agent import Agent

            Agent(registry).serve()
            return 0
        case ["sweep", *owner] if len(owner) <= 1:
            from chaos.cluster.native.sweeping import sweep

            done, left = sweep(registry, owner[0] if owner else None)
            sys.stdout.write(json.dumps({"done": done, "left": left}) + "\n")
            return 4 if left else 0
    sys.stderr.write(USAGE + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
