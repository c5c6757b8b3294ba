"""The Deployment controller of one replication, in Kubernetes' own arithmetic and order of syncs."""

from __future__ import annotations

from sim.model import us
from sim.pods import Pods
from strategies.effects import RollTo
from strategies.models import kubernetes


class DeploymentController:
    """Replaces all pods by those of one revision; asleep until a `RollTo`."""

    __slots__ = ("_busy", "_pods", "_surge", "_unavailable", "new", "replicas")

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._busy = False
        self.new: int | None = None  #: index of the revision that it rolls to
        self.replicas = 0
        self._surge = self._unavailable = 0

    def roll_to(self, revision: int, order: RollTo) -> None:
        """Take an order; a later one to the other revision turns the rollout round."""
        self.new = revision
        self.replicas = order.replicas
        self._surge, self._unavailable = kubernetes.resolve_fenceposts(
            order.max_surge, order.max_unavailable, order.replicas
        )
        self._pods.min_ready_us = us(order.min_ready_seconds)
        self._pods.progress_us = self._pods.clock.now_us
        self.sync()

    def sync(self) -> None:
        """Sync until nothing is left to scale; called whenever a pod changed."""
        if self.new is None or self._busy:
            return
        pods, new = self._pods, self.new
        old = 1 - new
        if pods.spec[new] == self.replicas and pods.spec[old] == 0:
            return  # nothing is left to scale, whatever becomes of the pods
        self._busy = True
        try:
            while True:
                spec, available = pods.spec, pods.available
                wanted = kubernetes.rolling_sync(
                    self.replicas,
                    self._surge,
                    self._unavailable,
                    new=(spec[new], available[new]) if pods.created[new] else None,
                    old=[(spec[old], available[old])],
                )
                if wanted[0] == spec[new] and wanted[1][0] == spec[old]:
                    return
                pods.scale(new, wanted[0], tell=False)
                pods.scale(old, wanted[1][0], tell=False)
        finally:
            self._busy = False

    def complete(self) -> bool:
        """All pods are of the new revision and available, and none of the old is counted."""
        pods, new = self._pods, self.new
        return (
            new is not None
            and len(pods.active[new]) == pods.available[new] == self.replicas
            and not pods.active[1 - new]
        )
