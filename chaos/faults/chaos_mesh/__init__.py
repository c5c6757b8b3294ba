"""Faults of Chaos Mesh as data: each kind builds the manifest that the API server gets, and refuses what it would."""

from __future__ import annotations

from chaos.faults.chaos_mesh.chaos import EXPIRES_AT, Bound, Chaos, Identity, manifest
from chaos.faults.chaos_mesh.http import HTTPChaos, Patch, Replace
from chaos.faults.chaos_mesh.network import Bandwidth, Delay, NetworkChaos, Partition, Reorder, Share
from chaos.faults.chaos_mesh.passthrough import Passthrough, chaos_kind
from chaos.faults.chaos_mesh.pod import PodChaos
from chaos.faults.chaos_mesh.schedule import Schedule
from chaos.faults.chaos_mesh.stress import Cpu, Memory, StressChaos
from chaos.faults.chaos_mesh.target import Mode, Selector, Target

__all__ = [
    # what all have in common
    "Bound", "Chaos", "EXPIRES_AT", "Identity", "Mode", "Selector", "Target", "manifest",
    # kinds
    "HTTPChaos", "NetworkChaos", "Passthrough", "PodChaos", "Schedule", "StressChaos", "chaos_kind",
    # their parts
    "Bandwidth", "Cpu", "Delay", "Memory", "Partition", "Patch", "Reorder", "Replace", "Share",
]  # fmt: skip
