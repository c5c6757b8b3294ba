"""The Deployment controller of one replication, in Kubernetes' own arithmetic and order of syncs."""

from __future__ import annotations

from sim.model import us
from sim.pods import Pods
from strategies.effects import RollTo
from strategies.models import kubernetes
from strategies.models.kubernetes_resize import resize_sync


class DeploymentController:
    """Replaces all pods by those of one revision; asleep until a `RollTo`.

    An order for other replicas than before first resizes the pods that are there, as a sync of Kubernetes does that
    finds `replicas` changed.
    """

    __slots__ = ("_busy", "_most_before", "_pods", "_resize", "_surge", "_unavailable", "new", "replicas")

    def __init__(self, pods: Pods, replicas: int) -> None:
        """`replicas` is what the Deployment wants before the first order."""
        self._pods = pods
        self._busy = False
        self.new: int | None = None  #: index of the revision that it rolls to
        self.replicas = replicas
        self._surge = -1  #: not known before the first order
        self._unavailable = 0
        self._resize = False
        self._most_before = 0

    def roll_to(self, revision: int, order: RollTo) -> None:
        """Take an order; a later one to the other revision turns the rollout round."""
        surge, unavailable = kubernetes.resolve_fenceposts(order.max_surge, order.max_unavailable, order.replicas)
        if order.replicas != self.replicas:
            if self._surge < 0:
                before = kubernetes.resolve_fenceposts(order.max_surge, order.max_unavailable, self.replicas)[0]
            else:
                before = self._surge
            self._resize, self._most_before = True, self.replicas + before
        self.new = revision
        self.replicas, self._surge, self._unavailable = order.replicas, surge, unavailable
        self._pods.min_ready_us = us(order.min_ready_seconds)
        self._pods.progress_us = self._pods.clock.now_us
        self.sync()

    def sync(self) -> None:
        """Sync until nothing is left to scale; called whenever a pod changed."""
        if self.new is None or self._busy:
            return
        pods, new = self._pods, self.new
        old = 1 - new
        if pods.spec[new] == self.replicas and pods.spec[old] == 0 and not self._resize:
            return  # nothing is left to scale, whatever becomes of the pods
        self._busy = True
        try:
            if self._resize:
                self._resize = False
                self._resized(new)
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

    def _resized(self, new: int) -> None:
        """One sync that does nothing but bring the pods there are to the new replicas."""
        pods = self._pods
        if not any(pods.spec):
            return  # without pods nothing shows that the replicas are others
        counts = list(zip(pods.spec, pods.available, strict=True))  # the stable ReplicaSet is the older one
        sizes = resize_sync(
            self.replicas, self._surge, counts, [self._most_before] * 2, new=new if pods.created[new] else None
        )
        for revision, size in enumerate(sizes):
            pods.scale(revision, size, tell=False)

    def complete(self) -> bool:
        """All pods are of the new revision and available, and none of the old is counted."""
        pods, new = self._pods, self.new
        return (
            new is not None
            and len(pods.active[new]) == pods.available[new] == self.replicas
            and not pods.active[1 - new]
        )
