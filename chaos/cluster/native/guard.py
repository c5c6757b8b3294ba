"""The process that looks after one injection: puts it in place and takes it back, whatever comes."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from chaos.cluster.native import processes
from chaos.cluster.native.acts import ACTS, ALONE, OF_CONTAINER
from chaos.cluster.native.injection import Injection, RefusedError
from chaos.cluster.native.registry import Registry
from chaos.cluster.native.undo import undo
from chaos.cluster.native.watch import Watch

_SET_PDEATHSIG: Final = 1
_UNDO_SECONDS: Final = 2.0  #: that the fault of a killed agent may take to be undone


def guard(injection: Injection, registry: Registry, agent: int, told: int) -> int:
    """In a child of the agent: do it all, and tell of it in JSON lines.

    Args:
        agent: the process whose end is the end of the fault.
        told: file descriptor of a pipe to it: {"placed": [lo, hi]} | {"refused": text, "gone": bool}, and at the end
            {"ended": why, …}.

    Returns:
        The exit code: 0 when nothing is left.
    """

    def tell(message: dict[str, Any]) -> None:
        os.write(told, json.dumps(message).encode() + b"\n")

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _end_with(agent)
    try:
        return _guarded(injection, registry, tell)
    except RefusedError as error:
        tell({"refused": str(error), "gone": error.gone})
        return 0
    except Exception as error:  # whatever it is, the agent must hear of it
        tell({"refused": f"{type(error).__name__}: {error}", "gone": False})
        raise


def _guarded(injection: Injection, registry: Registry, tell: Callable[[dict[str, Any]], None]) -> int:
    target = _target(injection, registry)
    watch = Watch(target, injection.seconds)
    folder = str(processes.cgroup(target, "freezer")) if injection.kind == "freeze" else ""
    entry = registry.enter(injection, folder=folder)
    left = None
    try:
        why, facts = ACTS[injection.kind](
            injection, target, watch, lambda since: tell({"placed": [since, time.monotonic()]})
        )
    finally:
        left = undo(entry)
        if not left:
            registry.remove(injection.id)
    tell({"ended": why, "left": left, **facts})
    return 1 if left else 0


def _target(injection: Injection, registry: Registry) -> int:
    """The process whose end is the end of the target.

    Raises:
        RefusedError: it is not there, or bears a fault that does not go with this one.
    """
    if injection.kind not in ACTS:
        raise RefusedError(f"unknown kind of fault {injection.kind!r}; known: {', '.join(ACTS)}")
    deadline = time.monotonic() + _UNDO_SECONDS
    while (other := _in_the_way(injection, registry)) is not None:
        if other.owner != injection.owner or time.monotonic() > deadline:
            what = f"{other.kind} of {other.owner}"
            raise RefusedError(f"pod {injection.pod} bears {what} already, which {injection.kind} does not go with")
        time.sleep(0.02)  # the one before may be just about to be taken back
    if injection.kind not in OF_CONTAINER:
        return processes.pod_network(injection.uid)
    pids = processes.of_container(injection.container_id)
    if not pids:
        raise RefusedError(f"no container {injection.container_id[:12]} of pod {injection.pod} runs here", gone=True)
    return processes.first(pids)


def _in_the_way(injection: Injection, registry: Registry) -> Injection | None:
    kinds: tuple[str, ...] = next((each for each in ALONE if injection.kind in each), ())
    for other in (entry.injection for entry in registry.entries()):
        same = other.uid == injection.uid and other.id != injection.id
        if injection.kind in OF_CONTAINER:
            same = same and other.container_id == injection.container_id
        if other.kind in kinds and same:
            return other
    return None


def _end_with(agent: int) -> None:
    """Let the kernel send SIGTERM when the agent dies; where it has already, end at once."""
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != agent:
        sys.exit(0)
