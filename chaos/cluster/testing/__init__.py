"""A cluster for tests that needs none: an API server in memory, over real HTTP on loopback, with faults to switch on.

It keeps to what the API promises (versions, conflicts, watches, selectors, server-side apply, owners, finalizers) and
refuses what a real server refuses of the objects that drills make. Pods are words only: nothing runs; `Traffic` answers
for them.
"""

from __future__ import annotations

from chaos.cluster.testing.server import ApiServer
from chaos.cluster.testing.store import Store
from chaos.cluster.testing.traffic import Traffic
from chaos.cluster.testing.workloads import Behaviour, Workloads

__all__ = ["ApiServer", "Behaviour", "Store", "Traffic", "Workloads"]
