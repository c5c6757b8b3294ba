"""How a program of ours gets onto a node: as a command line that runs it there, with stdin and stdout kept."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from chaos.cluster.native.node import Node

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ROOT: Final = Path(__file__).parents[3]  #: the folder that holds the package `chaos`


class NodeSeam(Protocol):
    """A node that faults can be made on. It ends the program when the harness dies, or at least closes its stdin."""

    def argv(self, arguments: Sequence[str]) -> list[str]:
        """The command line that runs `python -m chaos.cluster.native ARGUMENTS` on the node.

        It must run as root, with the network, mounts, processes and cgroups of the node.
        """
        ...


@dataclass(frozen=True, slots=True)
class NativeNode:
    """The native node: a set of namespaces on this machine, which are entered; the files of this machine are there."""

    node: Node

    def argv(self, arguments: Sequence[str]) -> list[str]:
        """See `NodeSeam`."""
        return self.node.command(_here(arguments, self.node.python), everything=True)


@dataclass(frozen=True, slots=True)
class Host:
    """This machine is the node, and this program has root's rights on it: a staging node that one is logged in to."""

    def argv(self, arguments: Sequence[str]) -> list[str]:
        """See `NodeSeam`."""
        return _here(arguments)


def _here(arguments: Sequence[str], *packages: Path) -> list[str]:
    paths = ":".join(str(path) for path in (_ROOT, *packages))
    environment = [f"PATH={_PATH}", f"PYTHONPATH={paths}", "PYTHONDONTWRITEBYTECODE=1"]
    return ["/usr/bin/env", *environment, sys.executable, "-m", "chaos.cluster.native", *arguments]
