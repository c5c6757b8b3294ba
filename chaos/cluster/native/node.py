"""What the harness must know of the native node: where its files are, whether it is up, and how to get inside.

`hack/node/up.sh` starts a node, `down.sh` ends it. Its network is a namespace that no interface leads into: a program
sees the API server, the router and the pods from inside only. Nothing here starts or ends a node.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

IP: Final = "10.80.0.1"  #: of the node, in its own network; the same in every node
GATEWAY_PORT: Final = 8000  #: of the router, on the node
ROUTER_METRICS_PORT: Final = 8082
PROMETHEUS_PORT: Final = 9090
CONTEXT: Final = "rolloutlab-native"  #: in the kubeconfig
GATEWAY: Final = ("rolloutlab-system", "rolloutlab")  #: namespace and name
START: Final = "sudo make cluster-up"
_CLONE_NEWNET: Final = 0x4000_0000
_ALL: Final = ("--net", "--mount", "--pid", "--ipc", "--uts", "--cgroup")


class NodeError(Exception):
    """There is no way into the node; the text says what would help."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is up.

    Attributes:
        folder: of its state: kubeconfig, logs, certificates.
        pid: of its first process, seen from outside; every namespace of the node is this process's.
    """

    folder: Path
    pid: int

    @property
    def kubeconfig(self) -> Path:
        """Of its administrator; the server's address in it is reached from the node's network only."""
        return self.folder / "kubeconfig"

    @property
    def python(self) -> Path:
        """Packages that injectors need beside the project's own (netfilterqueue); may be missing."""
        return self.folder / "python"

    def inside(self) -> bool:
        """True when this thread is in the node's network already."""
        return os.stat("/proc/thread-self/ns/net").st_ino == os.stat(self._network).st_ino

    def enter_network(self) -> None:
        """Move this process into the node's network, for good; nothing happens where it is there already.

        Threads have a network each, and children take their parent's: call this before the first thread starts.

        Raises:
            NodeError: threads run already, root's rights are missing, or the node has ended.
        """
        try:
            if self.inside():
                return
            if threading.active_count() > 1:
                raise NodeError("the node's network is entered by the whole process: before threads start")
            descriptor = os.open(self._network, os.O_RDONLY | os.O_CLOEXEC)
        except PermissionError:
            raise NodeError("only root enters the node's network; run the command with sudo") from None
        except (FileNotFoundError, ProcessLookupError):
            raise NodeError(f"the node in {self.folder} has ended; `{START}` starts one") from None
        try:
            _setns(descriptor, _CLONE_NEWNET)
        finally:
            os.close(descriptor)

    def command(self, argv: Sequence[str], *, everything: bool = False) -> list[str]:
        """A command line that runs another one inside the node.

        Args:
            argv: what to run. With `everything` it is looked up by the node's paths: name it absolutely.
            everything: with the node's mounts, processes and cgroups as well, not its network alone: for what acts on
                containers and cgroups.
        """
        return ["nsenter", f"--target={self.pid}", *(_ALL if everything else _ALL[:1]), "--", *argv]

    @property
    def _network(self) -> str:
        return f"/proc/{self.pid}/ns/net"


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the node's state is: `ROLLOUTLAB_NODE`, else below `XDG_STATE_HOME`, as `hack/node/lib.sh` says it."""
    if named := environment.get("ROLLOUTLAB_NODE"):
        return Path(named).resolve()
    base = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return (Path(base) / "rolloutlab" / "node").resolve()


def find(environment: Mapping[str, str] = os.environ) -> Node | None:
    """The node whose state is in `state_folder`; None when it is not up, or not yet."""
    folder = state_folder(environment)
    try:
        outer = int((folder / "pid").read_text())
        first = int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])
        words = Path(f"/proc/{first}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except (OSError, ValueError, IndexError):
        return None
    # Another process may have got the number of one that ended; the node's says which folder is its own.
    if words[-1] != os.fsencode(folder) or not (folder / "ready").exists():
        return None
    return Node(folder, first)


def is_up(environment: Mapping[str, str] = os.environ) -> bool:
    """True when there is a node to work with."""
    return find(environment) is not None


def need(environment: Mapping[str, str] = os.environ) -> Node:
    """As `find`.

    Raises:
        NodeError: it is not up.
    """
    found = find(environment)
    if found is None:
        raise NodeError(f"no native node is up in {state_folder(environment)}; `{START}` starts one")
    return found


def _setns(descriptor: int, kind: int) -> None:
    """`os.setns`, which Python has from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, kind):
        number = ctypes.get_errno()
        if number == 1:
            raise NodeError("only root enters the node's network; run the command with sudo")
        raise OSError(number, os.strerror(number), "setns")
