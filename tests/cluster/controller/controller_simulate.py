"""The simulated control plane, given one case and the delays of the pods: what it does, to lay beside a recording."""

from __future__ import annotations

from typing import Any, NamedTuple

from controller_cases import Act, Case
from controller_recording import Life, Recording

from scenarios.schema import Scenario
from sim.clock import FAR, Heap
from sim.model import US, ChunkDraws, Model, PodDraws, compile_model
from sim.pods import CANARY, STABLE
from sim.seeds import BLOCK
from sim.traffic import Arrivals
from sim.world import SimulatedCluster
from strategies.effects import RollTo

REVISIONS = {"a": STABLE, "b": CANARY}
Step = tuple[float, str, int]  #: (seconds, template, pods that it wants from now on)
HORIZON_SECONDS = 600.0


def knows(case: Case) -> bool:
    """Is this case one that the simulated control plane can be given? It has two templates."""
    return "c" not in case.pods


class Delays(ChunkDraws):
    """Start-up times that are given instead of drawn: seconds by template and ordinal, the last for all that follow."""

    def __init__(self, model: Model, scheduled: dict[str, list[float]], started: dict[str, float]) -> None:
        super().__init__(model, 0, 0)
        self._scheduled, self._started = scheduled, started

    def pods(self, revision: int, block: int) -> PodDraws:
        """See `ChunkDraws`; one replication."""
        template = "ab"[revision]
        given = self._scheduled[template]
        of = [given[min(place, len(given) - 1)] for place in range(block * BLOCK, (block + 1) * BLOCK)]
        never = [[0] * BLOCK]
        return PodDraws(
            [[round(each * US) for each in of]], [[round(self._started[template] * US)] * BLOCK], never, never, None
        )


def fitted(case: Case, recording: Recording) -> Delays:
    """One delay for all pods: the mean time from the write of a ReplicaSet to the start of a container.

    What comes then is what the case says: the process answers after `start` seconds, and is asked each second.
    """
    delays = [delay for each in ("a", "b") for delay in _until(recording, each, "run") if delay < HORIZON_SECONDS]
    mean = sum(delays) / len(delays) if delays else 0.0
    started = {name: pods.start for name, pods in case.pods.items()}
    return Delays(_model(case), {"a": [mean], "b": [mean]}, started)


def measured(case: Case, recording: Recording) -> Delays:
    """The delay of each pod in the order in which pods were made: from the write of its ReplicaSet until this counted it.

    So all that is left out is the time from a status to the next write. With `minReady`, until the pod was ready.
    """
    old = [0.0] * case.replicas  # these run when the rollout begins
    delays = {each: _until(recording, each, "ready") for each in ("a", "b")}
    if not case.min_ready:
        delays = {each: _counted(recording, each, delays[each]) for each in delays}
    return Delays(_model(case), {"a": old + delays["a"], "b": delays["b"]}, {"a": 0.0, "b": 0.0})


def _counted(recording: Recording, template: str, delays: list[float]) -> list[float]:
    """Delays until ready made longer: the first pod that is ready is the first that its ReplicaSet counts, and so on."""
    counts, last = [], 0
    for row in recording.rows:
        if row.template == template:
            counts += [row.at] * (row.available - last) if row.at > 0 else []
            last = row.available
    asked = _asked(recording, template)
    order = sorted((asked[place] + delay, place) for place, delay in enumerate(delays) if delay < HORIZON_SECONDS)
    if len(counts) != len(order):  # one came as another went, or one came twice
        return delays
    found = list(delays)
    for at, (_, place) in zip(counts, order, strict=True):
        found[place] = max(found[place], at - asked[place])
    return found


def _asked(recording: Recording, template: str) -> list[float]:
    """For each pod of the rollout, when the write was heard that asked for it: the first ones by the first write."""
    found: list[float] = []
    size = 0
    for row in recording.rows:
        if row.template == template:
            if row.at > 0:
                found += [row.at] * (row.spec - size)
            size = row.spec
    pods = len(_lives(recording, template))
    return found[:pods] + found[-1:] * (pods - len(found))


def _lives(recording: Recording, template: str) -> list[Life]:
    return [life for life in recording.lives if life.template == template and life.made >= 0]


def _until(recording: Recording, template: str, what: str) -> list[float]:
    """Seconds from the write that asked for a pod until something happened to it; far away when it did not in time."""
    found = []
    for asked, life in zip(_asked(recording, template), _lives(recording, template), strict=True):
        at, ended = life.first(what), life.first("ended")
        late = at is None or (ended is not None and ended < at)
        found.append(HORIZON_SECONDS if at is None or late else at - asked)
    return found


def _model(case: Case) -> Model:
    faults: list[dict[str, Any]] = []
    if case.pods["b"].never:
        faults.append({"kind": "never_ready"})
    if case.pods["b"].crash_after:
        faults.append({"kind": "crash_loop", "after": case.pods["b"].crash_after})
    words = {
        "apiVersion": "rolloutlab/v1",
        "strategies": {"any": {}},
        "traffic": {"rate": "1/s"},
        "horizon": HORIZON_SECONDS,
        "faults": faults,
        "router": {"kind": "pods"},
        "service": {
            "name": "web",
            "replicas": case.replicas,
            "probes": {"readiness": {"periodSeconds": 1}},
            "shutdown": {"preStop": 0, "terminationGracePeriod": 1},
        },
    }
    return compile_model(Scenario.model_validate(words), ())


class _Still:
    """A data plane without traffic."""

    def flow(self, flow: Any) -> None:
        pass

    def regime(self, regime: int, slow: Any) -> None:
        pass

    def measure(self, query: Any, reply: Any) -> None:
        raise AssertionError("nothing is measured")


class Simulated(NamedTuple):
    """Writes in order, and the fewest pods that were available."""

    steps: list[Step]
    least_available: int


def simulate(case: Case, delays: Delays, second: float = 0.0) -> Simulated:
    """What the simulated control plane writes, in order; its acts come by the same words as the real ones.

    `second` is where in a second of the wall clock the rollout begins; times count from there.
    """
    model, clock = delays.model, Heap()
    steps: list[Step] = []

    def log(at_us: int, kind: str, who: str, what: dict[str, Any]) -> None:
        if kind == "scale":
            steps.append((at_us / US - second, "a" if who == "stable" else "b", what["replicas"]))

    arrivals = Arrivals(model.law, 0.0, model.knots, model.cumulative)
    world = SimulatedCluster(model, delays, 0, clock, _Still(), arrivals, log=log)
    for pod in world.pods.active[STABLE][: case.unready]:
        world.pods.become_unready(pod)

    def act(of: Act) -> None:
        world.perform(
            RollTo(NAMES[of.template], of.replicas, case.surge, case.unavailable, case.min_ready), lambda answer: None
        )

    clock.call_at(round(second * US), act, case.acts[0])
    waiting = list(case.acts[1:])
    while (due := clock.next_us()) != FAR and due < model.horizon_us:
        clock.run_until(due + 1)
        if waiting and _is_due(world, waiting[0]):
            clock.call_at(clock.now_us + round(waiting[0].wait * US), act, waiting.pop(0))
    return Simulated(steps, world.pods.least_available)


NAMES = {"a": "stable", "b": "canary"}


def _is_due(world: SimulatedCluster, act: Act) -> bool:
    revision = REVISIONS[act.of]
    return world.pods.available[revision] >= act.available and world.pods.spec[revision] >= act.wanted


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
