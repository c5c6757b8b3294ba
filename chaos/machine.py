"""What this machine can do: drills with local processes, a Kubernetes node of its own, a kind cluster.

Nothing here imports what it looks for, and nothing is started but `docker info`.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from chaos.finding import Finding, State

LOCAL_PACKAGES: Final = ("aiohttp", "envoy", "junitparser", "platformdirs", "prometheus_client")
KIND_TOOLS: Final = ("docker", "kind", "kubectl", "helm")
#: version 1 hierarchies in which a node of ours makes a cgroup
CONTROLLERS: Final = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids")
_DOCKER_SECONDS: Final = 10.0


def findings(*, need_local: bool = False) -> list[Finding]:
    """Everything about this machine.

    Args:
        need_local: a drill here is what is wanted, so that what it lacks is `missing`.
    """
    return [local("missing" if need_local else "absent"), native(), kind()]


def local(without: State = "absent", system: str = platform.system()) -> Finding:
    """Drills with real processes behind an Envoy."""
    about = "local drills"
    if system != "Linux":
        return Finding(about=about, state=without, text=f"need Linux; this is {system}")
    lacking = [name for name in LOCAL_PACKAGES if importlib.util.find_spec(name) is None]
    if lacking:
        text = f"the extra `local` is not installed; missing: {', '.join(lacking)}"
        return Finding(about=about, state=without, text=text, mend="pip install 'rolloutlab[local]'")
    return Finding(about=about, state="ok", text="processes behind an Envoy, no root, no Docker")


def native(
    *,
    which: Callable[[str], str | None] = shutil.which,
    root: bool | None = None,
    mounts: Path = Path("/proc/mounts"),
    system: str = platform.system(),
) -> Finding:
    """A Kubernetes node in namespaces of this machine, without Docker (hack/node)."""
    lacking = list(_native_lacks(which, os.geteuid() == 0 if root is None else root, mounts, system))
    if lacking:
        text = f"cannot be brought up here: {'; '.join(lacking)}"
        return Finding(about="native node", state="absent", text=text, mend="sudo make cluster-up  # says all it needs")
    return Finding(about="native node", state="ok", text="root, Go and cgroup version 1 are here: make cluster-up")


def _native_lacks(which: Callable[[str], str | None], root: bool, mounts: Path, system: str) -> Iterator[str]:
    if system != "Linux":
        yield f"this is {system}, not Linux"
        return
    if not root:
        yield "it needs root"
    if which("go") is None and not os.access("/usr/local/go/bin/go", os.X_OK):
        yield "it needs Go, which builds Kubernetes"
    lacking = set(CONTROLLERS) - _version_1(mounts)
    if len(lacking) == len(CONTROLLERS):
        yield "it needs cgroup version 1, and this machine has version 2 only"
    elif lacking:
        yield f"it needs the cgroup version 1 hierarchies {', '.join(sorted(lacking))}"


def _version_1(mounts: Path) -> set[str]:
    """The controllers that are mounted as version 1."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    fields = [line.split() for line in lines]
    return {word for each in fields if len(each) > 3 and each[2] == "cgroup" for word in each[3].split(",")}


def kind(
    *,
    which: Callable[[str], str | None] = shutil.which,
    run: Callable[[Sequence[str]], bool] | None = None,
) -> Finding:
    """The tools behind `make kind-up`."""
    about, guide = "kind cluster", "docs/how-to/kind.md says where they come from; make kind-up says it again"
    lacking = [tool for tool in KIND_TOOLS if which(tool) is None]
    if lacking:
        text = f"cannot be made here; not installed: {', '.join(lacking)}"
        return Finding(about=about, state="absent", text=text, mend=guide)
    if not (run or _succeeds)(("docker", "info")):
        text = "cannot be made here: Docker is installed, and its daemon does not answer"
        return Finding(about=about, state="absent", text=text, mend="docker info  # says why")
    return Finding(about=about, state="ok", text=f"{', '.join(KIND_TOOLS)} are here: make kind-up")


def _succeeds(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_DOCKER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
