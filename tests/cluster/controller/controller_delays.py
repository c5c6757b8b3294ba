"""How long pods take until they are ready: of a recording, for the simulated control plane."""

from __future__ import annotations

from typing import Any, Final

from controller_cases import Case
from controller_recording import Life, Recording

from scenarios.schema import Scenario
from sim.model import US, ChunkDraws, Model, PodDraws, compile_model
from sim.seeds import BLOCK

HORIZON_SECONDS: Final = 600.0


class Delays(ChunkDraws):
    """Seconds from a pod's creation until it is ready, given instead of drawn: by ordinal, the last for all that follow.

    All of it comes before the container runs; it answers at once.
    """

    def __init__(self, model: Model, ready: dict[str, list[float]]) -> None:
        super().__init__(model, 0, 0)
        self.ready = ready

    def pods(self, revision: int, block: int) -> PodDraws:
        """See `ChunkDraws`; one replication."""
        given = self.ready["ab"[revision]]
        of = [given[min(place, len(given) - 1)] for place in range(block * BLOCK, (block + 1) * BLOCK)]
        never = [[0] * BLOCK]
        return PodDraws([[round(each * US) for each in of]], never, never, never, None)


def fitted(case: Case, recording: Recording) -> Delays:
    """One delay for all pods: the mean time from the write of a ReplicaSet until a pod was ready."""
    delays = [delay for each in ("a", "b") for delay in _until(recording, each, "ready") if delay < HORIZON_SECONDS]
    mean = sum(delays) / len(delays) if delays else 0.0
    return Delays(_model(case), {"a": [mean], "b": [mean]})


def measured(case: Case, recording: Recording, model: Model | None = None) -> Delays:
    """The delay of each pod in the order in which pods were made: from the write of its ReplicaSet until this counted it.

    So all that is left out is the time from a status to the next write. With `minReady`, until the pod was ready.
    `model` is the one that the delays are for; None: that of the case.
    """
    old = [0.0] * case.replicas  # these run when the rollout begins
    delays = {each: _until(recording, each, "ready") for each in ("a", "b")}
    if not case.min_ready:
        delays = {each: _counted(recording, each, delays[each]) for each in delays}
    return Delays(model or _model(case), {"a": old + delays["a"], "b": delays["b"]})


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
