"""Take an injection back from outside: what its entry in the registry tells is enough, and twice does no harm."""

from __future__ import annotations

from pathlib import Path

from chaos.cluster.native import freezer, processes, rules, stress
from chaos.cluster.native.injection import RefusedError
from chaos.cluster.native.registry import Entry

_BY_RULES = ("partition", "packet_loss", "packet_delay", "http_delay", "http_abort")


def undo(entry: Entry) -> list[str]:
    """Undo it; what could not be undone, in words. Nothing is to be done where the target is gone."""
    injection = entry.injection
    try:
        if injection.kind in ("cpu_stress", "memory_stress"):
            return stress.kill(injection.mark)
        if injection.kind == "freeze":
            freezer.thaw(Path(entry.facts["folder"]))
            return []
        pids = processes.of_pod(injection.uid)
        if not pids:
            return []  # the network has gone with its pod
        if injection.kind == "bandwidth":
            rules.unshape(pids[0])
        elif injection.kind in _BY_RULES:
            rules.remove(pids[0], injection.mark)
    except (RefusedError, OSError) as error:
        if processes.of_pod(injection.uid):
            return [f"{injection.kind} in pod {injection.pod}: {error}"]
    return []
