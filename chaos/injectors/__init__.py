"""What puts faults in place and takes them back: one protocol, and its adapters for processes on the machine."""

from __future__ import annotations

from chaos.injectors.protocol import FaultInjector, Targets

__all__ = ["FaultInjector", "Targets"]
