"""One recording beside the models: the arithmetic step by step, and the simulated control plane as a whole.

The arithmetic must explain every write. The simulated control plane, given the measured delay of each pod, must scale
each ReplicaSet through the same sizes; a sync that saw two pods become ready at once writes once what else would be two
writes, so sizes are compared pod by pod. Its controllers take no time, so its writes come earlier: by no more than twice
what the real syncs took until then (before each, a ReplicaSet's status had to be written too), and a probe period. Under
minReadySeconds a few milliseconds decide from which whole second they count: there it is a second for each write before.

A kubelet may tell that a pod is ready, take it back within milliseconds, and tell it again a second later. The controller
has given up an old pod by then; so many fewer may be available than in the simulation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from controller_cases import Case
from controller_delays import fitted, measured
from controller_deletions import wrong_deletions
from controller_recording import Recording
from controller_replay import replay
from controller_simulate import Simulated, knows, recorded, simulate, units

SLACK_SECONDS = 1.0  #: one period of the probe, beside what the real syncs took


class Times(NamedTuple):
    """Seconds: the largest difference of a write's time (simulated - real), and the last write's times."""

    worst: float
    real: float
    simulated: float

    def __str__(self) -> str:
        return f"{self.worst:+.2f} s, last write after {self.real:.2f} s, simulated {self.simulated:.2f} s"


@dataclass(slots=True)
class Compared:
    """Attributes:
    differences: one sentence each.
    syncs: that wrote.
    lag: longest time from a reason to the real controller's write, seconds.
    deletions: pairs of pods whose order of deletion was compared.
    flaps: how often a pod became not ready for no reason that the case gives.
    measured, fitted: times with the measured delay of each pod, and with one fitted delay for all; None where the
        simulation does not know the case.
    """

    name: str
    differences: list[str] = field(default_factory=list)
    syncs: int = 0
    lag: float = 0.0
    deletions: int = 0
    flaps: int = 0
    measured: Times | None = None
    fitted: Times | None = None

    def __str__(self) -> str:
        words = "DIFFERS" if self.differences else "equal  "
        parts = [f"{words} {self.name:42} {self.syncs:3} syncs, longest lag {self.lag:.2f} s, {self.deletions:3} pairs"]
        if self.flaps:
            parts.append(f"{self.flaps} flaps")
        for name in ("measured", "fitted"):
            if (times := getattr(self, name)) is not None:
                parts.append(f"{name}: {times}")
        return "; ".join(parts)


def compare(case: Case, recording: Recording) -> Compared:
    """Lay all models beside a recording."""
    replayed = replay(case, recording)
    found = Compared(case.name, replayed.differences, syncs=replayed.syncs)
    found.lag = max((lag for _, lag in replayed.lags), default=0.0)
    found.deletions, wrong = wrong_deletions(recording)
    found.differences += wrong
    ends = {**dict.fromkeys(case.pods, 0), **recording.sizes()}
    if ends != case.ends:
        found.differences.append(f"ends with {ends}, worked out by hand: {case.ends}")
    found.flaps = flaps(case, recording)
    if knows(case):
        ran = simulate(case, measured(case, recording), recording)
        found.differences += _other_sizes(case, recording, ran)
        found.differences += _late(case, recording, ran, replayed.lags)
        found.measured = _times(case, recording, ran)
        found.fitted = _times(case, recording, simulate(case, fitted(case, recording), recording))
    return found


def _pairs(case: Case, recording: Recording, ran: Simulated) -> list[tuple[float, float]]:
    """(simulated, real) time of each pod that is asked for or given up, of the template it belongs to."""
    begin = {"a": case.replicas, "b": 0}
    ours, theirs = units(ran.steps, begin), units(recorded(recording), begin)
    return [
        (mine, other) for name in begin for (mine, _), (other, _) in zip(ours[name], theirs[name], strict=False)
    ]  # fmt: skip


def _other_sizes(case: Case, recording: Recording, ran: Simulated) -> list[str]:
    begin = {"a": case.replicas, "b": 0}
    ours, theirs = units(ran.steps, begin), units(recorded(recording), begin)
    found = [
        f"template {name} is simulated through the sizes {[size for _, size in ours[name]]}, "
        f"really {[size for _, size in theirs[name]]}"
        for name in begin
        if [size for _, size in ours[name]] != [size for _, size in theirs[name]]
    ]
    least = least_available(recording)
    if not 0 <= ran.least_available - least <= flaps(case, recording):
        found.append(f"at least {ran.least_available} pods are available in the simulation, really {least}")
    return found


def _late(case: Case, recording: Recording, ran: Simulated, lags: list[tuple[float, float]]) -> list[str]:
    found = []
    for mine, real in _pairs(case, recording, ran):
        before = [lag for at, lag in lags if at <= real]
        period = SLACK_SECONDS * (max(1, len(before)) if case.min_ready else 1)
        slack = period + 2 * sum(before)
        if not -slack <= mine - real <= period:
            found.append(f"a write at {real:.2f} s is simulated at {mine:.2f} s, slack {slack:.2f} s")
    return found


def _times(case: Case, recording: Recording, ran: Simulated) -> Times:
    worst = max((mine - other for mine, other in _pairs(case, recording, ran)), key=abs, default=0.0)
    real = recorded(recording)
    return Times(worst, real[-1][0] if real else 0.0, ran.steps[-1][0] if ran.steps else 0.0)


def flaps(case: Case, recording: Recording) -> int:
    """How often a pod became not ready though it was to stay, and nobody had deleted it."""
    return sum(
        what == "unready" and not any(end == "ended" and when <= at + 0.5 for when, end in life.events)
        for life in recording.lives
        if not case.pods[life.template].crash_after
        for at, what in life.events
        if at > 0
    )


def least_available(recording: Recording) -> int:
    """The fewest pods that were available; what a ReplicaSet still counts beyond what it wants is on its way out."""
    now: dict[str, int] = {}
    least = sum(row.available for row in recording.rows if row.at == 0)
    for row in recording.rows:
        now[row.template] = min(row.spec, row.available)
        if row.at > 0:
            least = min(least, sum(now.values()))
    return least
