"""Take an injection back from outside: what its entry in the registry tells is enough, and twice does no harm."""

from __future__ import annotations

from pathlib import Path

from chaos.cluster.native import freezer, processes, rules, stress
from chaos.cluster.native.injection import RefusedError
from chaos.cluster.native.registry import Entry


def of_rules(pid: int, mark: str) -> list[str]:
    """Undo what is in place in the network of a process under a mark; what was done, in words."""
    if mark.endswith("/bandwidth"):
        return rules.unshape(pid) + rules.remove(pid, mark)
    return rules.remove(pid, mark)


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
        of_rules(pids[0], injection.mark)
    except (RefusedError, OSError) as error:
        if processes.of_pod(injection.uid):
            return [f"{injection.kind} in pod {injection.pod}: {error}"]
    return []
