"""What drills could leave behind on the native node: objects, processes, network namespaces, cgroups.

Only for a node that is used by nobody else meanwhile: two looks are compared.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from chaos.cluster.native.node import Node

KINDS: Final = "deployments,replicasets,pods,services,configmaps,httproutes.gateway.networking.k8s.io,leases"
PATIENCE_SECONDS: Final = 20.0  #: for the kubelet to tidy up after a pod whose object is gone


def look(node: Node) -> set[str]:
    """Everything of that kind which is there now, each in words."""
    return {*_objects(node), *_processes(node), *_inside(node)}


def left(node: Node, before: set[str]) -> list[str]:
    """What is there now and was not before, once the kubelet has had time to tidy up."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (new := sorted(look(node) - before)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return new


def _objects(node: Node) -> list[str]:
    command = [str(node.folder / "bin" / "kubectl"), f"--kubeconfig={node.kubeconfig}", "get", KINDS]
    found = subprocess.run(
        node.command([*command, "--all-namespaces", "--selector=rolloutlab/drill", "--output=name"]),
        capture_output=True,
        text=True,
        check=True,
    )
    return [f"object {name}" for name in found.stdout.split()]


def _processes(node: Node) -> list[str]:
    """Programs of this checkout on the machine and everything of ours in the node, for others may test meanwhile."""
    found, inside = [], _namespace(node.pid)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            ours = words[0] == sys.executable or _namespace(int(folder.name)) == inside
            if ours and any(word == "rolloutlab" or word.startswith("chaos.") for word in words):
                found.append(f"process {folder.name}: {' '.join(words).strip()[:120]}")
    return found


def _namespace(pid: int) -> int:
    """The namespace of its processes; 0 when it has ended."""
    try:
        return (Path("/proc") / str(pid) / "ns" / "pid").stat().st_ino
    except OSError:
        return 0


def _inside(node: Node) -> list[str]:
    """Network namespaces and cgroups of pods, of faults too."""
    networks = subprocess.run(
        node.command(["/bin/ls", "/run/netns"], everything=True), capture_output=True, text=True, check=True
    )
    groups = subprocess.run(
        node.command(["/usr/bin/find", "/sys/fs/cgroup", "-type", "d", "-path", "*kubepods*"], everything=True),
        capture_output=True,
        text=True,
        check=False,  # one that goes meanwhile is no failure
    )
    return [
        *(f"network namespace {name}" for name in networks.stdout.split()),
        *(f"cgroup {name}" for name in groups.stdout.split()),
    ]
