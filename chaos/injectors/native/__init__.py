"""Faults made from the side of the node: the adapter of `FaultInjector`, and its link to the agent on the node."""

from __future__ import annotations

from chaos.injectors.native.injector import NativeInjector
from chaos.injectors.native.link import AgentLink
from chaos.injectors.native.seam import Host, NativeNode, NodeSeam
from chaos.injectors.native.sweep import sweep

__all__ = ["AgentLink", "Host", "NativeInjector", "NativeNode", "NodeSeam", "sweep"]
