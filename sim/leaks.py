"""Leaks that count requests: what a pod has served so far, and the moment at which its leak bites.

A threshold is a number of expected requests (exposure), drawn with the world. All pods of a revision get the same
share, so one running exposure per revision is enough; the next crossing is scheduled in closed form from Lambda and
rescheduled whenever a share or the number of pods changes.
"""

from __future__ import annotations

from typing import Protocol

from sim.clock import Clock
from sim.pods import Pod, Pods
from sim.traffic import Arrivals


class _World(Protocol):
    shared_pool_empty: bool

    def traffic_changed(self) -> None: ...


class Leaks:
    """Exposure of the pods of both revisions, and of a pool that all of them share."""

    def __init__(self, pods: Pods, clock: Clock, arrivals: Arrivals, world: _World) -> None:
        self._pods, self._clock, self._arrivals, self._world = pods, clock, arrivals, world
        self._seen = 0.0  #: Lambda at the last change
        self._rate = [0.0, 0.0]  #: share of all requests that one pod gets
        self._share = [0.0, 0.0]
        self._exposure = [0.0, 0.0]  #: requests one pod of a revision would have had since the beginning
        self._watched: list[list[tuple[Pod, int]]] = [[], []]  #: (pod, the life that is watched)
        self._shared_by: set[int] = set()
        self._shared_left = 0.0
        self._plan = 0

    def watch(self, pod: Pod) -> None:
        """Begin to count for a pod that takes traffic now."""
        kind = self._pods.faults[pod.revision].leak_by_request
        if kind is None:
            return
        self._advance()
        pod.leak_at = self._exposure[pod.revision] + self._pods.leak_of(pod)
        self._watched[pod.revision].append((pod, pod.epoch))
        self._schedule()

    def share_pool(self, revision: int, requests: float) -> None:
        """Connections of a pool that all pods share leak with the requests of this revision."""
        self._advance()
        self._shared_by.add(revision)
        self._shared_left = requests
        self._schedule()

    def shares_changed(self, stable: float, canary: float) -> None:
        """The router or the set of pods changed; exposure so far was at the old rates."""
        self._advance()
        serving = self._pods.serving
        self._share = [stable, canary]
        self._rate = [share / count if count else 0.0 for share, count in zip(self._share, serving, strict=True)]
        if self._world.shared_pool_empty and all(not self._pods.active[revision] for revision in self._shared_by):
            self._world.shared_pool_empty = False  # the processes that held the connections are gone
            self._shared_by.clear()
            self._clock.call_at(self._clock.now_us, _refresh, self._world)
        self._schedule()

    def _advance(self) -> None:
        total = self._arrivals.at_us(self._clock.now_us)
        passed = total - self._seen
        self._seen = total
        for revision in (0, 1):
            self._exposure[revision] += passed * self._rate[revision]
            if revision in self._shared_by:
                self._shared_left -= passed * self._share[revision]

    def _schedule(self) -> None:
        """Plan the next crossing; an older plan is dropped by its number."""
        self._plan += 1
        best = None
        for revision in (0, 1):
            rate = self._rate[revision]
            watched = [(pod, epoch) for pod, epoch in self._watched[revision] if epoch == pod.epoch]
            self._watched[revision] = watched
            if rate > 0 and watched:
                first = min(pod.leak_at for pod, _ in watched)
                due = max(0.0, first - self._exposure[revision]) / rate
                best = due if best is None else min(best, due)
        shared = sum(self._share[revision] for revision in self._shared_by)
        if shared > 0 and not self._world.shared_pool_empty:
            due = max(0.0, self._shared_left) / shared
            best = due if best is None else min(best, due)
        if best is not None:
            at = self._arrivals.inverse_us(self._seen + best)
            self._clock.call_at(max(at, self._clock.now_us), self._cross, self._plan)

    def _cross(self, plan: int) -> None:
        if plan != self._plan:
            return
        self._advance()
        tolerance = 1e-6
        for revision in (0, 1):
            limit = self._exposure[revision] + tolerance
            due = [pod for pod, epoch in self._watched[revision] if epoch == pod.epoch and pod.leak_at <= limit]
            self._watched[revision] = [entry for entry in self._watched[revision] if entry[0] not in due]
            for pod in due:
                if self._pods.faults[revision].leak_by_request == "memory":
                    self._pods.crash(pod, "out of memory")
                else:
                    self._pods.exhaust(pod)
        if self._shared_by and self._shared_left <= tolerance and not self._world.shared_pool_empty:
            self._world.shared_pool_empty = True
            self._world.traffic_changed()
        self._schedule()


def _refresh(world: _World) -> None:
    world.traffic_changed()
