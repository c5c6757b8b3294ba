"""The simulated control plane, given one case and the delays of the pods: what it does, to lay beside a recording."""

from __future__ import annotations

from typing import Any, NamedTuple

from controller_cases import Act, Case
from controller_delays import HORIZON_SECONDS, Delays
from controller_recording import Recording

from sim.clock import Heap
from sim.model import US
from sim.pods import STABLE
from sim.traffic import Arrivals
from sim.world import SimulatedCluster
from strategies.effects import Revision, RollTo

Step = tuple[float, str, int]  #: (seconds, template, pods that it wants from now on)


def knows(case: Case) -> bool:
    """Is this case one that the simulated control plane can be given? It has two templates."""
    return "c" not in case.pods


class _Still:
    """A data plane without traffic."""

    def flow(self, flow: Any) -> None:
        pass

    def regime(self, regime: int, slow: Any) -> None:
        pass

    def empty(self, revisions: Any) -> None:
        pass

    def measure(self, query: Any, reply: Any) -> None:
        raise AssertionError("nothing is measured")


class Simulated(NamedTuple):
    """Writes in order, and the fewest pods that were available."""

    steps: list[Step]
    least_available: int


def simulate(case: Case, delays: Delays, recording: Recording) -> Simulated:
    """What the simulated control plane writes; times count from the first act, as those of the recording.

    A later act comes when it really came, or as little before or after as it must for the sizes and counts to be those
    which it really met.
    """
    run = _Run(case, delays, recording.second)
    run.act(case.acts[0])
    run.go(HORIZON_SECONDS)
    for act, wish in zip(case.acts[1:], recording.wishes[1:], strict=True):
        at = run.moment(wish.at, _met(recording, wish.at))
        run = _Run(case, delays, recording.second)
        run.act(case.acts[0])
        run.go(at)
        run.act(act)
        run.go(HORIZON_SECONDS)
    return Simulated(run.steps, run.world.pods.least_available)


def _met(recording: Recording, at: float) -> tuple[tuple[int, int], ...]:
    """(spec, available) of templates a and b."""
    now = {row.template: (row.spec, row.available) for row in recording.rows if row.at <= at}
    return now["a"], now.get("b", (0, 0))


class _Run:
    """One simulated rollout; `steps` and `states` (seconds, counts of a and b) are what happened so far."""

    def __init__(self, case: Case, delays: Delays, second: float) -> None:
        model = delays.model
        self.case, self.second, self.clock = case, second, Heap()
        self.steps: list[Step] = []
        self.states: list[tuple[float, tuple[tuple[int, int], ...]]] = []
        arrivals = Arrivals(model.law, 0.0, model.knots, model.cumulative)
        self.world = SimulatedCluster(model, delays, 0, self.clock, _Still(), arrivals, log=self._log)
        for pod in self.world.pods.active[STABLE][: case.unready]:
            self.world.pods.become_unready(pod)
        self.clock.now_us = round(second * US)  # where in a second of the wall clock the rollout begins

    @property
    def now(self) -> float:
        return self.clock.now_us / US - self.second

    def _log(self, at_us: int, kind: str, who: str, what: dict[str, Any]) -> None:
        if kind == "scale":
            self.steps.append((self.now, "a" if who == "stable" else "b", what["replicas"]))

    def act(self, of: Act) -> None:
        """Do something to the Deployment now."""
        case = self.case
        effect = RollTo(NAMES[of.template], of.replicas, case.surge, case.unavailable, case.min_ready)
        self.world.perform(effect, lambda answer: None)
        self._note()

    def go(self, until: float) -> None:
        """Let time pass."""
        limit = round((until + self.second) * US)
        while (due := self.clock.next_us()) <= limit:
            self.clock.run_until(due + 1)
            self._note()
        self.clock.now_us = limit

    def _note(self) -> None:
        pods = self.world.pods
        self.states.append((self.now, tuple(zip(pods.spec, pods.available, strict=True))))

    def moment(self, at: float, counts: tuple[tuple[int, int], ...]) -> float:
        """The time nearest to `at` at which the counts are these; `at` where they never are."""
        ends = [*(when for when, _ in self.states[1:]), HORIZON_SECONDS]
        spans = [(when, end - 1 / US) for (when, now), end in zip(self.states, ends, strict=True) if now == counts]
        near = [min(max(at, when), end) for when, end in spans if when <= end]
        return min(near, key=lambda when: abs(when - at), default=at)


NAMES: dict[str, Revision] = {"a": "stable", "b": "canary"}


def units(steps: list[Step], begin: dict[str, int]) -> dict[str, list[tuple[float, int]]]:
    """For each template: (seconds, size) pod by pod, however many came at once."""
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in begin}
    now = dict(begin)
    for at, name, size in steps:
        step = 1 if size > now[name] else -1
        found[name] += [(at, each) for each in range(now[name] + step, size + step, step)]
        now[name] = size
    return found


def recorded(recording: Recording) -> list[Step]:
    """The writes of a recording."""
    now: dict[str, int] = {}
    steps = []
    for row in recording.rows:
        if now.get(row.template, 0) != row.spec and row.at > 0:
            steps.append((row.at, row.template, row.spec))
        now[row.template] = row.spec
    return steps
