"""The pods of one service: how each starts, becomes ready, takes traffic, crashes, restarts and ends.

Time 0 is a whole second of the wall clock. That matters for minReadySeconds, which count from the whole second in which
a pod became ready, so that it is available up to a second early (`pkg/api/v1/pod/util.go IsPodAvailable`).

Sources: reference semantics of kubelet probes (`pkg/kubelet/prober/worker.go`), crash-loop back-off, EndpointSlice lag
and pod termination of Kubernetes; see docs/explanation/model.md. Two simplifications, both stated there: requests in
flight when a process dies are counted as those that arrive in one mean response time *after* its death, and the
batches in which a ReplicaSet creates pods take no time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from sim.clock import Clock
from sim.model import US, ChunkDraws, Model, PodDraws, us
from sim.probes import ProbeTimes
from sim.seeds import BLOCK, LIVES
from strategies.models import kubernetes
from strategies.models.kubernetes_delete import deletion_rank

STABLE: Final = 0
CANARY: Final = 1
NAMES: Final = ("stable", "canary")
_LONG_AGO_US: Final = -30 * 86_400 * US  #: since when pods are ready that ran before the rollout


class Listener(Protocol):
    """Hears of changes of pods."""

    def pods_changed(self) -> None:
        """Readiness, availability or the number of pods changed."""
        ...

    def traffic_changed(self) -> None:
        """The set of pods that take traffic, or what they do with it, changed."""
        ...


class Watcher(Protocol):
    """Sees what exporters would show of each pod."""

    def show(self, pod: Pod) -> None:
        """Something about a pod changed."""
        ...

    def lost(self, pod: Pod) -> None:
        """The process of a pod died, and what it had counted with it."""
        ...

    def read_leaks(self, at_us: int) -> None:
        """A scrape sees how far leaks by request have come."""
        ...

    def traffic(self, stable: float, canary: float) -> None:
        """The shares of the revisions, or what pods do with them, changed."""
        ...


class Pod:
    """One pod. `epoch` is raised when its container dies or it is deleted, so that what was due for it is dropped."""

    __slots__ = (
        "answers_us", "available", "backoff", "born_us", "dead", "draws", "epoch", "exhausted", "gone_us", "leak_from",
        "leaks_us", "leaves_us", "ordinal", "place", "ready", "ready_us", "restarts", "revision", "running_us",
        "serving", "terminating",
    )  # fmt: skip

    def __init__(self, revision: int, ordinal: int, born_us: int, draws: PodDraws) -> None:
        self.revision = revision
        self.ordinal = ordinal
        self.place = ordinal % BLOCK
        self.draws = draws
        self.born_us = born_us
        self.running_us = -1  #: when its container started
        self.answers_us = -1  #: from when its process can answer, -1 while there is none
        self.gone_us = -1  #: when it is deleted for good
        self.leaks_us = -1  #: since when memory leaks by the minute
        self.leak_from = -1.0  #: requests of a pod of its revision when a leak by request began, -1 before
        self.ready = False
        self.ready_us = -1
        self.available = False
        self.serving = False  #: proxies send it requests
        self.leaves_us = -1  #: when proxies will stop to, -1 when nothing tells them to
        self.dead = False  #: nobody would answer
        self.exhausted = False  #: its connection pool is empty
        self.terminating = False
        self.restarts = 0
        self.backoff = 0  #: restarts since the crash-loop back-off last began
        self.epoch = 0

    @property
    def name(self) -> str:
        """The name shown in traces."""
        return f"{NAMES[self.revision]}-{self.ordinal}"


class PodFaults:
    """What faults do to the containers of one revision from now on."""

    __slots__ = ("crash_after_us", "leak_by_request", "leak_life_us", "never_ready", "slow_start_us")

    def __init__(self) -> None:
        self.crash_after_us = -1
        self.never_ready = False
        self.slow_start_us = 0
        self.leak_life_us = -1  #: time from start to kill of a leak by the minute
        self.leak_by_request: str | None = None  #: "memory" or "pool"


class Pods:
    """All pods of one replication, and the running totals that everything else reads.

    Lists of two are indexed by revision: `spec` (wanted), `active` (not terminating, oldest first), `ready`,
    `available`, `serving` (take traffic) and `failing` (of these, those that answer nothing).
    """

    def __init__(self, model: Model, draws: ChunkDraws, place: int, clock: Clock, listener: Listener) -> None:
        service = model.scenario.service
        self.model, self.draws, self.place, self.clock, self.listener = model, draws, place, clock, listener
        self.spec = [0, 0]
        self.active: list[list[Pod]] = [[], []]
        self.every: list[list[Pod]] = [[], []]  #: by ordinal, deleted ones too; kept for a watcher only
        self.ready = [0, 0]
        self.available = [0, 0]
        self.serving = [0, 0]
        self.failing = [0, 0]
        self.in_service: list[list[Pod]] = [[], []]  #: pods that proxies send requests to
        self.faults = (PodFaults(), PodFaults())
        self.min_ready_us = 0
        self.born_us = [-1, -1]  #: when the first container of a revision ran, so that its series exist
        self.progress_us = 0
        self.created = [0, 0]
        self._block: dict[int, PodDraws] = {}  #: draws of the block that the newest pod of a revision lies in
        self.lives: list[tuple[int, int]] = []  #: (created, gone) of deleted pods
        self.peak = 0
        self.least_available = 1 << 30
        self.restarts = 0
        self.log: Callable[..., None] | None = None
        self._ending: list[int] = []  #: times at which terminating pods are gone
        self._pre_stop_us = us(service.shutdown.pre_stop_seconds)
        self._graceful = service.shutdown.graceful
        self._lost_us = 0 if self._graceful else us(model.latency.mean_seconds)
        drain = us(service.shutdown.drain_seconds) if self._graceful else 0
        self._gone_us = min(self._pre_stop_us + drain, us(service.shutdown.grace_seconds))
        self._timing = ProbeTimes(model)
        self.exposure_hook: Callable[[Pod], None] | None = None  #: told of pods whose leak counts requests
        self.watcher: Watcher | None = None

    # -- wanted size ----------------------------------------------------------------------------------------------

    def start_with(self, revision: int, count: int) -> None:
        """Pods that have been running since long before the rollout."""
        self.spec[revision] = count
        for _ in range(count):
            pod = self._new(revision, 0)
            pod.running_us = pod.answers_us = 0
            pod.ready = pod.available = True
            pod.ready_us = _LONG_AGO_US
            self._serve(pod)
        self.ready[revision] = self.available[revision] = count
        self.born_us[revision] = 0 if count else -1
        self.peak = self.least_available = count

    def scale(self, revision: int, count: int, *, tell: bool = True) -> None:
        """Set the wanted number of pods of a revision's ReplicaSet; without `tell` the caller looks at them itself."""
        if self.spec[revision] == count:
            return
        self.spec[revision] = count
        self.progress_us = self.clock.now_us
        if self.log is not None:
            self.log("scale", NAMES[revision], replicas=count)
        active = self.active[revision]
        extra = len(active) - count
        if extra > 0:
            for pod in self._deletion_order(active)[:extra] if count else list(active):
                self.terminate(pod)
        else:
            now = self.clock.now_us
            for _ in range(-extra):
                self._create(revision, now)
            self._count_peak()
        if tell:
            self.listener.pods_changed()

    def _deletion_order(self, pods: list[Pod]) -> list[Pod]:
        """Pods in the order in which their ReplicaSet deletes them."""
        now, place = self.clock.now_us, self.place

        def rank(pod: Pod) -> tuple[Any, ...]:
            return deletion_rank(
                now,
                running=pod.running_us >= 0,
                ready_us=pod.ready_us if pod.ready else None,
                restarts=pod.restarts,
                made_us=pod.born_us,
                uid=self.draws.uids(pod.revision, pod.ordinal // BLOCK)[place][pod.place],
            )

        return sorted(pods, key=rank)

    def _create(self, revision: int, now: int) -> None:
        pod = self._new(revision, now)
        self.clock.call_at(now + pod.draws.scheduled_us[self.place][pod.place], self._run_first, pod)

    def _new(self, revision: int, now: int) -> Pod:
        ordinal = self.created[revision]
        self.created[revision] = ordinal + 1
        if ordinal % BLOCK == 0:
            self._block[revision] = self.draws.pods(revision, ordinal // BLOCK)
        pod = Pod(revision, ordinal, now, self._block[revision])
        self.active[revision].append(pod)
        if self.model.asked.per_pod:
            self.every[revision].append(pod)
        if self.watcher is not None:
            self.watcher.show(pod)
        return pod

    def _count_peak(self) -> None:
        now = self.clock.now_us
        if self._ending:
            self._ending = [gone for gone in self._ending if gone > now]
        total = len(self.active[0]) + len(self.active[1]) + len(self._ending)
        if total > self.peak:
            self.peak = total

    # -- one container --------------------------------------------------------------------------------------------

    def _run_first(self, pod: Pod) -> None:
        if not pod.terminating:
            self.run(pod)

    def run(self, pod: Pod) -> None:
        """Start the container of a pod."""
        now = self.clock.now_us
        pod.running_us = now
        if self.born_us[pod.revision] < 0:
            self.born_us[pod.revision] = now
        if self.log is not None:
            self.log("container_started", pod.name, restarts=pod.restarts)
        faults = self.faults[pod.revision]
        app_us = pod.draws.started_us[self.place][pod.place] + faults.slow_start_us
        if faults.crash_after_us >= 0:
            self.clock.call_at(now + faults.crash_after_us, self.crash_if, (pod, pod.epoch, "crash"))
        pod.answers_us = now + app_us
        ready_us, kill_us = self._timing.of(app_us)
        if kill_us is not None:
            self.clock.call_at(now + kill_us, self.crash_if, (pod, pod.epoch, "liveness"))
        # without a readiness probe, traffic comes before the process can answer; after a fast restart it never stopped
        pod.dead = pod.serving or ready_us < app_us
        if pod.dead:
            self.clock.call_at(now + app_us, self._answers, (pod, pod.epoch))
        if self.watcher is not None:
            self.watcher.show(pod)
        if not (0 <= faults.crash_after_us <= ready_us or (kill_us is not None and kill_us <= ready_us)):
            self.clock.call_at(now + ready_us, self._become_ready, (pod, pod.epoch))

    def _answers(self, due: tuple[Pod, int]) -> None:
        pod, epoch = due
        if pod.epoch == epoch:
            self._set_dead(pod, False)

    def _become_ready(self, due: tuple[Pod, int]) -> None:
        pod, epoch = due
        revision = pod.revision
        if pod.epoch != epoch or pod.ready or (self.faults[revision].never_ready and self._timing.probed):
            return
        now = self.clock.now_us
        pod.ready = True
        pod.ready_us = now
        self.ready[revision] += 1
        self.progress_us = now
        self.clock.call_at(now + pod.draws.lag_in_us[self.place][pod.place], self._join_service, (pod, pod.epoch))
        faults = self.faults[revision]
        if faults.leak_life_us >= 0:
            pod.leaks_us = now
            self.clock.call_at(now + faults.leak_life_us, self.crash_if, (pod, pod.epoch, "out of memory"))
        if self.watcher is not None:
            self.watcher.show(pod)
        if self.log is not None:
            self.log("pod_ready", pod.name)
        available_us = now - now % US + self.min_ready_us  # the time of a condition is kept in whole seconds
        if self.min_ready_us and available_us > now:
            self.clock.call_at(available_us, self._become_available, (pod, pod.epoch))
            self.listener.pods_changed()
        else:
            self._become_available((pod, pod.epoch))

    def _become_available(self, due: tuple[Pod, int]) -> None:
        pod, epoch = due
        if pod.epoch != epoch or pod.available or not pod.ready:
            return
        pod.available = True
        self.available[pod.revision] += 1
        self.progress_us = self.clock.now_us
        self.listener.pods_changed()

    def _join_service(self, due: tuple[Pod, int]) -> None:
        pod, epoch = due
        if pod.epoch != epoch or not pod.ready:
            return
        pod.leaves_us = -1  # ready again before the proxies learned that it was not
        if not pod.serving:
            self._serve(pod)
        if pod.draws.leaks is not None and self.exposure_hook is not None:
            self.exposure_hook(pod)
        self.listener.traffic_changed()

    def leak_of(self, pod: Pod) -> float:
        """Requests until the leak of this life of a pod bites."""
        assert pod.draws.leaks is not None
        return pod.draws.leaks[self.place][pod.place][pod.restarts % LIVES]

    def exhaust(self, pod: Pod) -> None:
        """The connection pool of a pod is empty: it fails every request until it restarts."""
        if not pod.exhausted:
            pod.exhausted = True
            if pod.serving and not pod.dead:
                self.failing[pod.revision] += 1
            if self.watcher is not None:
                self.watcher.show(pod)
            if self.log is not None:
                self.log("pool_exhausted", pod.name)
            self.listener.traffic_changed()

    # -- the end of a container and of a pod ----------------------------------------------------------------------

    def crash_if(self, due: tuple[Pod, int, str]) -> None:
        """Crash a pod, for a reason, if it still lives the life (its `epoch`) for which this was planned."""
        pod, epoch, why = due
        if pod.epoch == epoch:
            self.crash(pod, why)

    def crash(self, pod: Pod, why: str) -> None:
        """The container of a pod died; the kubelet restarts it after the crash-loop back-off, unless it was deleted."""
        if pod.terminating:
            if pod.serving:
                self._set_dead(pod, True)
            return
        now = self.clock.now_us
        if self.watcher is not None:
            self.watcher.lost(pod)
        pod.answers_us = pod.leaks_us = -1
        pod.leak_from = -1.0
        ran_seconds = (now - pod.running_us) / US
        if ran_seconds > kubernetes.CRASH_LOOP_RESET_SECONDS:
            pod.backoff = 0
        delay = kubernetes.crash_loop_delay_seconds(pod.backoff)
        pod.backoff += 1
        pod.restarts += 1
        self.restarts += 1
        if self.log is not None:
            self.log("container_died", pod.name, why=why, restarts=pod.restarts, restart_in_seconds=delay)
        was_available = pod.available
        self._unready(pod)
        pod.epoch += 1
        if pod.serving:
            self._set_dead(pod, True)
            self._leave_at(pod, now + pod.draws.lag_out_us[self.place][pod.place] + self._in_flight_us())
        pod.exhausted = False
        if self.watcher is not None:
            self.watcher.show(pod)
        self.clock.call_at(now + us(delay), self._restart, (pod, pod.epoch))
        if was_available:
            self.listener.pods_changed()

    def _in_flight_us(self) -> int:
        return us(self.model.latency.mean_seconds)

    def _restart(self, due: tuple[Pod, int]) -> None:
        pod, epoch = due
        if pod.epoch == epoch:
            self.run(pod)

    def become_unready(self, pod: Pod) -> None:
        """The readiness probe failed often enough: the pod leaves the service but keeps running."""
        if pod.ready:
            now = self.clock.now_us
            self._unready(pod)
            if pod.serving:
                self._leave_at(pod, now + pod.draws.lag_out_us[self.place][pod.place])
            self.listener.pods_changed()

    def terminate(self, pod: Pod) -> None:
        """Delete a pod: it leaves the endpoints and runs its preStop at the same time."""
        now = self.clock.now_us
        self.active[pod.revision].remove(pod)
        self._unready(pod)
        pod.terminating = True
        pod.epoch += 1
        running = pod.running_us >= 0
        gone = now + self._gone_us if running else now
        self.lives.append((pod.born_us, gone))
        pod.gone_us = gone
        if self.watcher is not None:
            self.watcher.show(pod)
        if gone > now:
            self._ending.append(gone)
        if self.log is not None:
            self.log("pod_deleted", pod.name)
        if not pod.serving:
            return
        out = now + pod.draws.lag_out_us[self.place][pod.place]
        stop = now + self._pre_stop_us
        if stop < out:
            out += self._lost_us
            if not self._pre_stop_us:
                self._set_dead(pod, True)
            else:
                self.clock.call_at(stop, self._stop_answering, (pod, pod.epoch))
        self._leave_at(pod, out)

    def _stop_answering(self, due: tuple[Pod, int]) -> None:
        pod, epoch = due
        if pod.epoch == epoch and pod.serving:
            self._set_dead(pod, True)

    def _unready(self, pod: Pod) -> None:
        revision = pod.revision
        if pod.ready:
            pod.ready = False
            self.ready[revision] -= 1
        if pod.available:
            pod.available = False
            self.available[revision] -= 1
            total = self.available[0] + self.available[1]
            if total < self.least_available:
                self.least_available = total
        if self.watcher is not None:
            self.watcher.show(pod)

    # -- traffic --------------------------------------------------------------------------------------------------

    def _serve(self, pod: Pod) -> None:
        pod.serving = True
        self.serving[pod.revision] += 1
        self.in_service[pod.revision].append(pod)
        if pod.dead or pod.exhausted:
            self.failing[pod.revision] += 1
        if self.watcher is not None:
            self.watcher.show(pod)

    def _leave_at(self, pod: Pod, at_us: int) -> None:
        """Proxies stop to send requests to a pod; they may have been told to before."""
        if not 0 <= pod.leaves_us <= at_us:
            pod.leaves_us = at_us
            self.clock.call_at(at_us, self._leave_service, (pod, at_us))

    def _leave_service(self, due: tuple[Pod, int]) -> None:
        pod, at_us = due
        if pod.leaves_us != at_us:
            return
        pod.leaves_us = -1
        pod.serving = False
        self.serving[pod.revision] -= 1
        self.in_service[pod.revision].remove(pod)
        if pod.dead or pod.exhausted:
            self.failing[pod.revision] -= 1
        if self.watcher is not None:
            self.watcher.show(pod)
        self.listener.traffic_changed()

    def _set_dead(self, pod: Pod, dead: bool) -> None:
        if pod.dead == dead:
            return
        pod.dead = dead
        if self.watcher is not None:
            self.watcher.show(pod)
        if pod.serving:
            if not pod.exhausted:
                self.failing[pod.revision] += 1 if dead else -1
            self.listener.traffic_changed()

    def lives_until(self, end_us: int) -> list[tuple[int, int]]:
        """(created, gone) of all pods up to the end of the run, terminating ones included."""
        cut = [(born, min(gone, end_us)) for born, gone in self.lives]
        return cut + [(pod.born_us, end_us) for pods in self.active for pod in pods]

    def pod_us(self, end_us: int) -> int:
        """Pod-microseconds up to the end of the run."""
        return sum(gone - born for born, gone in self.lives_until(end_us))
