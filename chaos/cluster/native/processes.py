"""Which processes a pod and a container have, and where their cgroups and namespaces are: all told by /proc.

This holds for every container runtime, both cgroup drivers and both cgroup versions: the uid of the pod and the id of
the container stand in the path of the cgroup. What is here must run in the node's namespaces.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
from pathlib import Path
from typing import Final

from chaos.cluster.native.injection import RefusedError

PROC: Final = Path("/proc")
CGROUPS: Final = Path("/sys/fs/cgroup")
_CONTAINER_ID: Final = re.compile(r"[0-9a-f]{12,64}")
#: a pod of this node's own kubelet: a node that runs inside of this one, as a kind node does, has its own further down
_OWN_POD: Final = re.compile(r":/kube[^/\n]*/[^\n]*pod[0-9a-f]")
_UID: Final = re.compile(r"[0-9a-f]{8}[0-9a-f_-]{4,28}")


def of_container(container_id: str) -> list[int]:
    """Processes of a container, the oldest first; empty when it does not run."""
    return _within(container_id) if _CONTAINER_ID.fullmatch(container_id) else []


def of_pod(uid: str) -> list[int]:
    """Processes of a pod, the oldest first, which is that of its sandbox; empty when it is gone."""
    if not _UID.fullmatch(uid):
        return []
    return _within(f"pod{uid}") or _within(f"pod{uid.replace('-', '_')}")  # the systemd driver cannot have a dash


def of_pods() -> dict[int, int]:
    """One process of each network namespace that pods of this node have: by the namespace's number."""
    found: dict[int, int] = {}
    for pid, text in _cgroups_of_all():
        if _OWN_POD.search(text):
            with contextlib.suppress(OSError):
                found.setdefault(network(pid), pid)
    return {number: pid for number, pid in found.items() if number not in of_node()}


def is_of_pod(pid: int) -> bool:
    """It is a member of a cgroup of a pod of this node."""
    with contextlib.suppress(OSError):
        return _OWN_POD.search((PROC / str(pid) / "cgroup").read_text()) is not None
    return False


def setting(name: str) -> dict[int, str]:
    """Processes whose environment has this variable, and its value."""
    found = {}
    for pid in _all():
        with contextlib.suppress(OSError):
            for each in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                if each.startswith(f"{name}=".encode()) and started(pid) is not None:
                    found[pid] = each.partition(b"=")[2].decode(errors="replace")
    return found


def started(pid: int) -> int | None:
    """When a process began, in clock ticks since boot, which is unique with its number; None when it has ended."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def boot() -> str:
    """Which machine since when: whoever gives the same answer has the same monotonic clock."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def parent(pid: int) -> int:
    """The parent of a process; 0 when it is gone."""
    fields = _stat(pid)
    return 0 if fields is None else int(fields[1])


def first(pids: list[int]) -> int:
    """The first process of a container: the one whose parent is not one of them."""
    return next((pid for pid in pids if parent(pid) not in pids), pids[0])


def network(pid: int) -> int:
    """The number of its network namespace; OSError when it is gone."""
    return (PROC / str(pid) / "ns" / "net").stat().st_ino


def of_node() -> set[int]:
    """The networks that are no pod's own: this process's, and that of the first process where it may be looked at."""
    found = {network(os.getpid())}
    with contextlib.suppress(OSError):
        found.add(network(1))
    return found


def pod_network(uid: str) -> int:
    """A process in the pod's network namespace.

    Raises:
        RefusedError: the pod has no process here, or it shares the network of the node.
    """
    pids = of_pod(uid)
    if not pids:
        raise RefusedError(f"no process of pod {uid} runs on this node", gone=True)
    try:
        if network(pids[0]) in of_node():
            raise RefusedError(f"pod {uid} has the network of its node: a fault there would hit the whole node")
    except OSError:
        raise RefusedError(f"pod {uid} has just ended", gone=True) from None
    return pids[0]


def cgroup(pid: int, controller: str) -> Path:
    """The folder of a process's cgroup that has a controller; of the one hierarchy where there is cgroup v2 only.

    Raises:
        RefusedError: the process is gone, or the hierarchy is not mounted where it is expected.
    """
    try:
        text = (PROC / str(pid) / "cgroup").read_text()
    except OSError:
        raise RefusedError(f"process {pid} has just ended", gone=True) from None
    folder = cgroup_of(text, controller)
    if not folder.is_dir():
        raise RefusedError(f"{folder} is not there: is the {controller} hierarchy mounted below {CGROUPS}?")
    return folder


def cgroup_of(text: str, controller: str) -> Path:
    """The folder that a line of /proc/<pid>/cgroup speaks of.

    >>> cgroup_of("6:freezer:/kubepods/pod1/c1", "freezer").as_posix()
    '/sys/fs/cgroup/freezer/kubepods/pod1/c1'
    >>> cgroup_of("4:cpu,cpuacct:/kubepods/pod1/c1", "cpu").as_posix()
    '/sys/fs/cgroup/cpu,cpuacct/kubepods/pod1/c1'
    >>> cgroup_of("0::/kubepods.slice/c1.scope", "freezer").as_posix()
    '/sys/fs/cgroup/kubepods.slice/c1.scope'
    """
    unified = CGROUPS
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return CGROUPS / names / path.lstrip("/")
        if not names:
            unified = CGROUPS / path.lstrip("/")
    return unified


def watch(pid: int) -> int:
    """A file descriptor that becomes readable when the process ends; RefusedError when it has."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise RefusedError(f"process {pid} has just ended", gone=True) from None


def await_end(pids: list[int], seconds: float) -> list[int]:
    """Wait for the end of processes, each up to this long; those that live on."""
    left = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                if not select.select([descriptor], [], [], seconds)[0]:
                    left.append(pid)
            finally:
                os.close(descriptor)
    return left


def _within(word: str) -> list[int]:
    found = [(started(pid), pid) for pid, text in _cgroups_of_all() if word in text]
    return [pid for since, pid in sorted((since, pid) for since, pid in found if since is not None)]


def _cgroups_of_all() -> list[tuple[int, str]]:
    found = []
    for pid in _all():
        with contextlib.suppress(OSError):
            found.append((pid, (PROC / str(pid) / "cgroup").read_text()))
    return found


def _all() -> list[int]:
    return [int(entry) for entry in os.listdir(PROC) if entry.isdigit()]


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat from the third on: the second, a name, may hold anything."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()
