"""What this node cannot do, and what would help."""

from __future__ import annotations

import shutil
from typing import Final

from chaos.cluster.native import packets

_PROGRAMS: Final = {
    "partition": ("nsenter", "iptables"),
    "packet_loss": ("nsenter", "iptables"),
    "packet_delay": ("nsenter", "iptables"),
    "http_delay": ("nsenter", "iptables"),
    "http_abort": ("nsenter", "iptables"),
    "bandwidth": ("nsenter", "iptables", "tc", "ip"),
    "cpu_stress": ("stress-ng",),
    "memory_stress": ("stress-ng",),
}


def lacks() -> dict[str, str]:
    """By kind of fault, why it cannot be had here; kinds that can be had are not in it."""
    found = {}
    for kind, programs in _PROGRAMS.items():
        missing = [program for program in programs if shutil.which(program) is None]
        if missing:
            found[kind] = (
                f"{', '.join(missing)} not found on the node (Debian: util-linux, iptables, iproute2, stress-ng)"
            )
    if "packet_delay" not in found and (missing_package := packets.lacks()):
        found["packet_delay"] = missing_package
    return found
