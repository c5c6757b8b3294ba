"""Record rollouts of a real controller, lay the models beside them, and tell of it."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from controller_recorder import Bench, RecorderError

from chaos.cluster.kube import Kube
from chaos.cluster.native.node import need


def record_all(
    words: Sequence[str],
    cases: Sequence[Any],
    *,
    of: str,
    recorder: Callable[[Bench, Any], Any],
    keep: Callable[[Any, Bench], None],
    compare: Callable[[Any, Any], Any],
) -> int:
    """Record the cases whose names contain one of the words, or all; with `--keep` among the words they are kept.

    Args:
        of: begins the name of the namespace that they are recorded in.

    Returns:
        1 when a model differs or a case could not be recorded, else 0.
    """
    parts = [word for word in words if word != "--keep"]
    chosen = [case for case in cases if not parts or any(part in case.name for part in parts)]
    node = need()
    node.enter_network()
    bench = Bench(kube=Kube(str(node.kubeconfig)), namespace=f"{of}-{uuid.uuid4().hex[:8]}")
    bench.make()
    different = 0
    began = time.monotonic()
    try:
        for case in chosen:
            at = time.monotonic()
            try:
                recording = asyncio.run(recorder(bench, case).record())
            except RecorderError as error:
                _say(str(error))
                different += 1
                continue
            if "--keep" in words:
                keep(recording, bench)
            found = compare(case, recording)
            different += bool(found.differences)
            _say(f"{found}  ({time.monotonic() - at:.0f} s)", *found.differences)
            if found.differences:
                _say(*recording.lines())
    finally:
        bench.remove()
    _say(f"{len(chosen) - different} of {len(chosen)} equal, {time.monotonic() - began:.0f} s")
    return int(different > 0)


def _say(*lines: str) -> None:
    """Print lines at once."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
