"""The simulated control plane, given the same manifest and the delays of its pods: what it does, to lay beside a recording.

The manifest goes the way of `rolloutlab predict`: it is imported, its strategy is built, and the runtime of every engine
runs it in the simulated cluster.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller_delays import HORIZON_SECONDS, Delays, measured
from controller_simulate import Step, _Still
from rollout_cases import Case
from rollout_recording import Recording
from ruamel.yaml import YAML

from scenarios.build import build_strategies
from scenarios.schema import Scenario
from sim.clock import Heap
from sim.model import US, Model, compile_model
from sim.traffic import Arrivals
from sim.world import SimulatedCluster
from strategies.drive import Runtime
from strategies.effects import AwaitApproval, Strategy, Wait


@dataclass(slots=True)
class Simulated:
    """What a simulated rollout did; times in seconds since it began.

    Attributes:
        steps: writes of ReplicaSets in order. weights: (seconds, per cent) that the router was told.
        pauses: sizes of (a, b) when each pause began.
        outcome: promoted, rolled_back, stalled; empty where it did not end.
    """

    steps: list[Step] = field(default_factory=list)
    weights: list[tuple[float, int]] = field(default_factory=list)
    pauses: list[tuple[int, int]] = field(default_factory=list)
    outcome: str = ""


def simulate(case: Case, recording: Recording) -> Simulated:
    """Run the manifest of a case with the delays that a recording measured, and stop it when it was aborted."""
    strategy, model = compiled(case)
    delays = measured(case, recording, model)
    return _run(strategy, delays, recording)


def _run(strategy: Strategy, delays: Delays, recording: Recording) -> Simulated:
    model, clock, found = delays.model, Heap(), Simulated()
    clock.now_us = zero = round(recording.second * US)

    def log(at_us: int, kind: str, who: str, what: dict[str, Any]) -> None:
        at = (at_us - zero) / US
        if kind == "scale":
            found.steps.append((at, "a" if who == "stable" else "b", what["replicas"]))
        elif kind == "set_weight":
            found.weights.append((at, round(what["weight"] * 100)))

    def record(at_us: int, kind: str, task: int, name: str, what: Any) -> None:
        if kind == "effect" and isinstance(what, Wait | AwaitApproval) and not world.verdict:
            found.pauses.append((world.pods.spec[0], world.pods.spec[1]))

    world = SimulatedCluster(
        model, delays, 0, clock, _Still(), Arrivals(model.law, 0.0, model.knots, model.cumulative), log=log
    )
    runtime = Runtime(world, strategy, model.release, record=record)
    clock.call_at(zero, lambda _: runtime.start(), None)
    if recording.acted is not None:
        clock.call_at(zero + round(recording.acted * US), lambda _: runtime.stop("aborted"), None)
    clock.run_until(zero + round(HORIZON_SECONDS * US))
    found.outcome = world.verdict
    return found


def compiled(case: Case) -> tuple[Strategy, Model]:
    """The strategy that the importer makes of the manifest, and the scenario around it."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [_CONTAINER]}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rollout.yaml"
        with path.open("w", encoding="utf-8") as file:
            YAML().dump(case.manifest("web", template), file)
        scenario = Scenario.model_validate({**_WORDS, "strategies": {"yours": {"from": str(path)}}})
        built = build_strategies(scenario, base_dir=Path(folder))
    faults = [{"kind": "never_ready"}] if case.pods["b"].never else []
    words = {
        **_WORDS,
        "strategies": {"yours": {}},
        "faults": faults,
        "service": {**_WORDS["service"], "replicas": case.replicas},
    }
    routed = built.routed["yours"]
    assert built.patch["service"]["replicas"] == case.replicas, "the manifest's replicas are those of the prediction"
    strategy = built.strategies["yours"]
    return strategy, compile_model(Scenario.model_validate(words), strategy.reads, routed=routed)


_CONTAINER = {
    "name": "app",
    "image": "web",
    "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
}
_WORDS: dict[str, Any] = {
    "apiVersion": "rolloutlab/v1",
    "traffic": {"rate": "1/s"},
    "horizon": HORIZON_SECONDS,
    "people": {"approval": None},
    "router": {"lag": 0},
    "service": {
        "name": "web",
        "probes": {"readiness": {"periodSeconds": 1}},
        "shutdown": {"preStop": 0, "terminationGracePeriod": 1},
    },
}
