"""The Deployment controller of the local world, in Kubernetes' own arithmetic (`strategies.models.kubernetes`)."""

from __future__ import annotations

from chaos.local.pods import Pods
from strategies.effects import Revision, RollTo
from strategies.models import kubernetes


class Deployment:
    """Replaces all pods by those of one revision; at rest until a `RollTo`."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._order: RollTo | None = None
        self._surge = self._unavailable = 0
        self._busy = False

    def roll_to(self, order: RollTo) -> None:
        """Take an order; a later one to the other revision turns the rollout round."""
        self._order = order
        self._surge, self._unavailable = kubernetes.resolve_fenceposts(
            order.max_surge, order.max_unavailable, order.replicas
        )
        self._pods.min_ready_seconds = order.min_ready_seconds
        self._pods.progress_us = self._pods.clock.now_us()
        self.sync()

    def rest(self) -> None:
        """Leave the pods alone from now on."""
        self._order = None

    def sync(self) -> None:
        """Sync until nothing is left to scale; called whenever a pod changed."""
        if self._order is None or self._busy:
            return
        self._busy = True
        try:
            while self._step(self._order):
                pass
        finally:
            self._busy = False

    def _step(self, order: RollTo) -> bool:
        pods, new, old = self._pods, order.revision, _other(order.revision)
        sizes, (old_size,) = kubernetes.rolling_sync(
            order.replicas,
            self._surge,
            self._unavailable,
            new=(pods.spec[new], pods.available(new)) if pods.created[new] else None,
            old=[(pods.spec[old], pods.available(old))],
        )
        if (sizes, old_size) == (pods.spec[new], pods.spec[old]):
            return False
        pods.scale(new, sizes)
        pods.scale(old, old_size)
        return True

    def complete(self) -> bool:
        """All pods are of the new revision and available, and none of the old is counted."""
        if self._order is None:
            return False
        pods, new = self._pods, self._order.revision
        there = len(pods.active[new]) == pods.available(new) == self._order.replicas
        return there and not pods.active[_other(new)]


def _other(revision: Revision) -> Revision:
    return "stable" if revision == "canary" else "canary"
