"""What the exporters of a cluster would show of each pod, and which requests each pod has had since the last scrape.

Arrays of a whole chunk: R replications, V revisions, P pods by ordinal, G regimes. Slot 0 of the requests of a revision
holds those that no pod will ever tell of: nobody answered them, or the process that did died before the next scrape.
Pods of a revision get equal shares, so one rate per state of a pod is enough; it changes only with traffic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.pods import Pod
from sim.world import SimulatedCluster

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
AWAY: Final = 0  #: proxies send it nothing
HEALTHY: Final = 1
EXHAUSTED: Final = 2  #: answers, and every answer is an error
DEAD: Final = 3  #: nobody answers
FAR: Final = 1 << 60


class Board:
    """All pods of a chunk; one row a replication."""

    def __init__(self, replications: int, regimes: int, pods: int) -> None:
        self.replications, self.regimes, self.pods = replications, regimes, pods
        shape = (replications, 2, pods)
        self.state: NDArray[np.int8] = np.zeros(shape, dtype=np.int8)
        self.created_us: IntArray = np.full(shape, FAR, dtype=np.int64)
        self.target_us: IntArray = np.full(shape, FAR, dtype=np.int64)  #: its first container runs: it is a target
        self.answers_us: IntArray = np.full(shape, FAR, dtype=np.int64)  #: from when its process answers a scrape
        self.gone_us: IntArray = np.full(shape, FAR, dtype=np.int64)
        self.leaks_us: IntArray = np.full(shape, FAR, dtype=np.int64)  #: since when a leak by the minute acts
        self.leaks_for_us: IntArray = np.full(shape, FAR, dtype=np.int64)  #: how long such a leak takes to bite
        self.restarts: IntArray = np.zeros(shape, dtype=np.int64)
        self.ready: NDArray[np.bool_] = np.zeros(shape, dtype=bool)
        self.running: NDArray[np.bool_] = np.zeros(shape, dtype=bool)
        self.leaked: FloatArray = np.zeros(shape)  #: share of the room that a leak by request has filled, at a scrape
        self.exposure: FloatArray = np.zeros((replications, 2, 1 + pods, regimes, 2))  #: (failed, succeeded)
        self.rate: FloatArray = np.zeros((replications, 2, 1 + pods, 2))  #: per request of the whole service
        self.seen: FloatArray = np.zeros(replications)  #: Lambda up to which exposure is counted
        self.regime: IntArray = np.zeros(replications, dtype=np.int64)

    def grow(self, pods: int) -> None:
        """Make room for this many pods a revision."""
        if pods <= self.pods:
            return
        wanted = max(pods, 2 * self.pods)
        bigger = Board(self.replications, self.regimes, wanted)
        for name, array in vars(bigger).items():
            if isinstance(array, np.ndarray) and array.ndim > 1:
                mine: NDArray[np.generic] = getattr(self, name)
                array[:, :, : mine.shape[2]] = mine
                setattr(self, name, array)
        self.pods = wanted

    def collect(self, rows: IntArray, seen: FloatArray) -> FloatArray:
        """Exposure since the last scrape, which is set back to 0.

        Args:
            rows: shape [A], replications.
            seen: shape [A], Lambda of each now.

        Returns:
            shape [A, V, 1 + P, G, 2].
        """
        passed = np.maximum(seen - self.seen[rows], 0.0)
        self.seen[rows] = seen
        exposure = self.exposure[rows]
        exposure[np.arange(rows.size), :, :, self.regime[rows]] += passed[:, None, None, None] * self.rate[rows]
        self.exposure[rows] = 0.0
        return exposure


class BoardRow:
    """The pods of one replication."""

    def __init__(
        self, board: Board, row: int, world: SimulatedCluster, *, lost: Callable[[Pod], None] | None = None
    ) -> None:
        """`lost` is told of processes that die, by an engine that counts requests itself."""
        self._board, self._row, self._world, self._told = board, row, world, lost
        for pods in world.pods.every:
            for pod in pods:
                self.show(pod)

    def show(self, pod: Pod) -> None:
        """Something about a pod changed."""
        board = self._board
        if pod.ordinal >= board.pods:
            board.grow(pod.ordinal + 1)
        at = (self._row, pod.revision, pod.ordinal)
        state = AWAY if not pod.serving else DEAD if pod.dead else EXHAUSTED if pod.exhausted else HEALTHY
        board.state[at] = state
        board.created_us[at] = pod.born_us
        if pod.running_us >= 0:
            board.target_us[at] = min(int(board.target_us[at]), pod.running_us)
        board.answers_us[at] = pod.answers_us if pod.answers_us >= 0 else FAR
        board.gone_us[at] = pod.gone_us if pod.gone_us >= 0 else FAR
        board.leaks_us[at] = pod.leaks_us if pod.leaks_us >= 0 else FAR
        board.leaks_for_us[at] = max(self._world.pods.faults[pod.revision].leak_life_us, 1)
        if pod.leak_from < 0:
            board.leaked[at] = 0.0
        board.running[at] = pod.answers_us >= 0
        board.restarts[at] = pod.restarts
        board.ready[at] = pod.ready

    def lost(self, pod: Pod) -> None:
        """The process of a pod died: what it counted since the last scrape nobody will tell."""
        self.settle()
        if self._told is not None:
            self._told(pod)
        board, at = self._board, (self._row, pod.revision)
        board.exposure[at][0] += board.exposure[at][1 + pod.ordinal]
        board.exposure[at][1 + pod.ordinal] = 0.0

    def read_leaks(self, at_us: int) -> None:
        """See how far leaks by request have come at the time of a scrape."""
        leaks = self._world.leaks
        if leaks is None:
            return
        for pods in self._world.pods.every:
            for pod in pods:
                if pod.leak_from >= 0:
                    self._board.leaked[self._row, pod.revision, pod.ordinal] = leaks.filled(pod, at_us)

    def settle(self) -> None:
        """Count the exposure up to now, at the rates so far."""
        board, row = self._board, self._row
        now = self._world.arrivals.at_us(self._world.clock.now_us)
        passed = now - board.seen[row]
        if passed > 0:
            board.exposure[row, :, :, board.regime[row]] += passed * board.rate[row]
            board.seen[row] = now

    def traffic(self, stable: float, canary: float) -> None:
        """The shares of the revisions, or what pods do with them, changed."""
        self.settle()
        board, world = self._board, self._world
        board.regime[self._row] = world.regime
        for revision, share in ((0, stable), (1, canary)):
            error = 1.0 if world.shared_pool_empty else world.base_error[revision]
            serving = world.pods.serving[revision]
            each = share / serving if serving else 0.0
            failed = np.array([0.0, each * error, each, 0.0])
            succeeded = np.array([0.0, each * (1.0 - error), 0.0, 0.0])
            state = board.state[self._row, revision]
            rate = board.rate[self._row, revision]
            rate[1:, 0] = failed[state]
            rate[1:, 1] = succeeded[state]
            dead = int((state == DEAD).sum())
            rate[0, 0] = each * dead if serving else share
