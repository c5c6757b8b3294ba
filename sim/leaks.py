"""Leaks that count requests: what a pod has served so far, and the moment at which its leak bites.

A threshold is a number of expected requests (exposure), drawn with the world. All pods of a revision get the same
share, so one running exposure per revision is enough; the next crossing is scheduled in closed form from Lambda and
rescheduled whenever a share or the number of pods changes.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import Final, Protocol

from sim.clock import Clock
from sim.pods import Pod, Pods
from sim.traffic import Arrivals

#: requests by which a crossing may be early: times are whole microseconds, exposure is a float
TOLERANCE: Final = 1e-6


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
        #: heaps of (exposure at which it bites, number, pod, the life that is watched)
        self._watched: list[list[tuple[float, int, Pod, int]]] = [[], []]
        self._watching: tuple[int, ...] = ()  #: revisions with a watched pod, now or before
        self._number = 0
        self._shared_by: set[int] = set()
        self._shared_left = 0.0
        self._plan = 0
        self._planned_at = math.inf  #: Lambda at which the next crossing is looked for

    def watch(self, pod: Pod) -> None:
        """Begin to count for a pod that takes traffic now; `shares_changed` follows and plans its end."""
        kind = self._pods.faults[pod.revision].leak_by_request
        if kind is None:
            return
        self._advance()
        self._number += 1
        pod.leak_from = self._exposure[pod.revision]
        bites = pod.leak_from + self._pods.leak_of(pod)
        if pod.revision not in self._watching:
            self._watching = (*self._watching, pod.revision)
        heappush(self._watched[pod.revision], (bites, self._number, pod, pod.epoch))

    def filled(self, pod: Pod, at_us: int) -> float:
        """How far the leak of a pod has come at a time since the last change, as a share of what makes it bite."""
        passed = self._arrivals.at_us(at_us) - self._seen
        had = self._exposure[pod.revision] + passed * self._rate[pod.revision] - pod.leak_from
        return min(had / self._pods.leak_of(pod), 1.0)

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
        self._rate = [stable / serving[0] if serving[0] else 0.0, canary / serving[1] if serving[1] else 0.0]
        if self._world.shared_pool_empty and all(not self._pods.active[revision] for revision in self._shared_by):
            self._world.shared_pool_empty = False  # the processes that held the connections are gone
            self._shared_by.clear()
            self._clock.call_at(self._clock.now_us, _refresh, self._world)
        self._schedule()

    def _advance(self) -> None:
        total = self._arrivals.at_us(self._clock.now_us)
        passed = total - self._seen
        self._seen = total
        self._exposure[0] += passed * self._rate[0]
        self._exposure[1] += passed * self._rate[1]
        for revision in self._shared_by:
            self._shared_left -= passed * self._share[revision]

    def _schedule(self) -> None:
        """See that something is due by the time of the next crossing.

        Most changes move the crossing to later: what is due already then wakes up early, finds nothing and plans anew.
        """
        best = self._planned_at
        for revision in self._watching:
            watched, rate = self._watched[revision], self._rate[revision]
            while watched and watched[0][2].epoch != watched[0][3]:
                heappop(watched)
            if watched and rate > 0:
                at = self._seen + (watched[0][0] - self._exposure[revision]) / rate
                if at < best:
                    best = at
        if self._shared_by and not self._world.shared_pool_empty:
            share = sum(self._share[revision] for revision in self._shared_by)
            if share > 0:
                best = min(best, self._seen + self._shared_left / share)
        if best < self._planned_at:
            self._planned_at = best
            self._plan += 1
            at_us = self._arrivals.inverse_us(max(best, self._seen))
            self._clock.call_at(max(at_us, self._clock.now_us), self._cross, self._plan)

    def _cross(self, plan: int) -> None:
        if plan != self._plan:
            return
        self._planned_at = math.inf
        self._advance()
        for revision in self._watching:
            limit = self._exposure[revision] + TOLERANCE
            for pod in self._due(revision, limit):
                if self._pods.faults[revision].leak_by_request == "memory":
                    self._pods.crash(pod, "out of memory")
                else:
                    self._pods.exhaust(pod)
        if self._shared_by and self._shared_left <= TOLERANCE and not self._world.shared_pool_empty:
            self._world.shared_pool_empty = True
            self._world.traffic_changed()
        self._schedule()

    def _due(self, revision: int, limit: float) -> list[Pod]:
        watched = self._watched[revision]
        due = []
        while watched and watched[0][0] <= limit:
            _, _, pod, epoch = heappop(watched)
            if pod.epoch == epoch:
                due.append(pod)
        return due


def _refresh(world: _World) -> None:
    world.traffic_changed()
