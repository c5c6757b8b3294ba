"""The world of a drill that only watches: a user's own Deployment or Rollout, which is not touched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from chaos.clock import MICROSECONDS, LiveClock
from chaos.cluster.fleet import Fleet
from chaos.cluster.informer import Informer
from chaos.cluster.kinds import REPLICA_SET
from chaos.cluster.kube import Kube, Object
from chaos.cluster.workload import KINDS, Seen, Stand, look, selector, stand
from chaos.waiting import Waiting
from chaos.world import WorldError
from strategies.drive import Refused
from strategies.effects import (
    Approved,
    Ask,
    Available,
    AwaitAvailable,
    AwaitComplete,
    Counts,
    DeadlinePassed,
    Measured,
    Observe,
    Release,
    Revision,
    RollTo,
)

_TOUCHED: Final = "a drill that only observes gives no orders"


class ObservedWorld:
    """One workload of a user.

    Args:
        what: `deployment/name` or `rollout/name`.

    Attributes worth reading: `fleet`; `stable_hash`, of the pods that were there when the drill began.
    """

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        what: str,
        clock: LiveClock,
        *,
        tell: Callable[..., None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.kube, self.namespace, self.clock = kube, namespace, clock
        self._word, _, self.name = what.partition("/")
        self._kind, self._label = KINDS[self._word]
        self._tell, self._failed = tell, failed
        self.stable_hash = ""
        self.blind = False
        self._began = False
        self._weight = 0.0
        self._waiting = Waiting(clock, lambda: self.fleet.progress_us)
        self._workloads = Informer(kube, self._kind, namespace, changed=self._changed, lost=failed)
        self._sets = Informer(kube, REPLICA_SET, namespace, changed=self._changed, lost=failed)
        self.fleet: Fleet

    async def start(self, release: Release) -> None:
        """See `RealWorld`: what there is must be at rest, so that it is known which revision is the old one."""
        found = await asyncio.to_thread(self.kube.get, self._kind, self.name, self.namespace)
        if found is None:
            raise WorldError(f"no {self._word} {self.name} in namespace {self.namespace}")
        try:
            labels = selector(found)
        except ValueError as error:
            raise WorldError(f"{self._word} {self.name}: {error}") from None
        self.fleet = Fleet(
            self.kube,
            self.namespace,
            labels,
            self.clock,
            tell=self._tell,
            changed=self._pods_changed,
            failed=self._failed,
            revision_of=self._revision,
        )
        await self._workloads.start()
        await self._sets.start()
        seen = self._look()
        if not seen.settled or not seen.hash:
            raise WorldError(
                f"{self._word} {self.name} is not at rest: its last rollout must be complete before a drill begins"
            )
        self.stable_hash = seen.hash
        await self.fleet.start()
        self.fleet.reset()

    async def stop(self) -> None:
        """See `RealWorld`."""
        self._workloads.stop()
        self._sets.stop()
        if hasattr(self, "fleet"):
            self.fleet.stop()

    # -- what is waited for ---------------------------------------------------------------------------------------

    async def await_complete(self, effect: AwaitComplete) -> Available | DeadlinePassed:
        """See `RealWorld`; a way back is `Refused`, which the program hears as `Abort`."""
        await self._waiting.until(lambda: self._stand() not in (Stand.RESTING, Stand.UNDER_WAY), None)
        match self._stand():
            case Stand.PROMOTED:
                return Available(self._seconds())
            case Stand.STALLED:
                return DeadlinePassed(self._seconds())
        raise Refused(self._look().reason)

    async def await_available(self, effect: AwaitAvailable) -> Available | DeadlinePassed:
        """See `RealWorld`: all that the workload wants."""
        wanted = self._look().wanted
        there = await self._waiting.until(
            lambda: self.fleet.available(effect.revision) >= wanted, effect.deadline_seconds
        )
        return Available(self._seconds()) if there else DeadlinePassed(self._seconds())

    async def observe(self, effect: Observe) -> Counts | DeadlinePassed:
        """See `RealWorld`."""
        counts = [(len(self.fleet.active(each)), self.fleet.available(each)) for each in ("canary", "stable")]
        return Counts(self._seconds(), *counts)

    def _stand(self) -> Stand:
        return stand(self._look(), self.stable_hash, began=self._began)

    # -- what is never done ---------------------------------------------------------------------------------------

    async def scale(self, revision: Revision, replicas: int) -> None:
        """See `RealWorld`."""
        raise WorldError(_TOUCHED)

    async def roll_to(self, effect: RollTo) -> None:
        """See `RealWorld`."""
        raise WorldError(_TOUCHED)

    async def set_weight(self, weight: float) -> None:
        """See `RealWorld`."""
        raise WorldError(_TOUCHED)

    async def measure(self, ask: Ask) -> Measured:
        """See `RealWorld`."""
        raise WorldError(_TOUCHED)

    async def ask_person(self, reason: str) -> Approved:
        """See `RealWorld`."""
        raise WorldError(_TOUCHED)

    async def mark(self, decision: str, reason: str) -> None:
        """See `RealWorld`: what was seen to be decided."""
        self._tell("decision" if decision else "note", "observed", outcome=decision, text=reason)

    # -- what is heard --------------------------------------------------------------------------------------------

    def _look(self) -> Seen:
        found = self._workloads.objects.get(self.name)
        if found is None:
            raise WorldError(f"{self._word} {self.name} was deleted during the drill")
        return look(self._word, found, self._sets.objects.values())

    def _changed(self, found: Object, deleted: bool) -> None:
        if deleted and found["metadata"]["name"] == self.name and found.get("kind", "") != "ReplicaSet":
            self._failed(WorldError(f"{self._word} {self.name} was deleted during the drill"))
            return
        if self.stable_hash and self.name in self._workloads.objects:
            seen = self._look()
            if seen.hash and seen.hash != self.stable_hash and not self._began:
                self._began = True
                self._tell("note", "observed", outcome="", text="its rollout began")
            if (weight := seen.weight(self.stable_hash)) is not None:
                self._weighed(weight)
        self._waiting.changed()

    def _pods_changed(self) -> None:
        self._waiting.changed()
        canary, stable = (sum(pod.ready for pod in self.fleet.active(each)) for each in ("canary", "stable"))
        there = self.name in self._workloads.objects  # else its pods are ending, and who waits for it hears of that
        if self.stable_hash and canary + stable and there and self._look().shares is None:
            self._weighed(canary / (canary + stable))

    def _weighed(self, weight: float) -> None:
        if weight != self._weight:
            self._weight = weight
            self._tell("weight_effective", "router", weight=weight)

    def _revision(self, found: Object) -> Revision:
        own = found["metadata"].get("labels", {}).get(self._label, "")
        return "stable" if own == self.stable_hash else "canary"

    def _seconds(self) -> float:
        return self.clock.now_us() / MICROSECONDS
