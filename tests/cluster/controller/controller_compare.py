"""One recording beside the models: the arithmetic step by step, and the simulated control plane as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller_cases import Case
from controller_deletions import wrong_deletions
from controller_recording import Recording
from controller_replay import replay
from controller_simulate import Delays, fitted, knows, measured, recorded, simulate, units


@dataclass(slots=True)
class Compared:
    """Attributes:
    differences: one sentence each.
    lag: longest time from a reason to the real controller's write, seconds.
    measured, fitted: (largest difference of a write's time, real duration, simulated duration) in seconds, with the
        measured delay of each pod and with one fitted delay for all; None where the simulation does not know the case.
    """

    name: str
    differences: list[str] = field(default_factory=list)
    syncs: int = 0
    deletions: int = 0
    lag: float = 0.0
    measured: tuple[float, float, float] | None = None
    fitted: tuple[float, float, float] | None = None

    def __str__(self) -> str:
        parts = [f"{self.name:42} {self.syncs:3} syncs, {self.deletions:3} pairs, longest lag {self.lag:.2f} s"]
        for name in ("measured", "fitted"):
            if (figures := getattr(self, name)) is not None:
                parts.append(f"{name} {figures[0]:+.2f} ({figures[1]:.2f} real, {figures[2]:.2f} simulated)")
        return ("DIFFERS " if self.differences else "equal   ") + ", ".join(parts)


def compare(case: Case, recording: Recording) -> Compared:
    """Lay both models beside a recording."""
    replayed = replay(case, recording)
    found = Compared(case.name, replayed.differences, replayed.syncs, max(replayed.lags, default=0.0))
    found.deletions, wrong = wrong_deletions(recording)
    found.differences += wrong
    if recording.sizes() != {name: size for name, size in case.ends.items() if name in recording.sizes()}:
        found.differences.append(f"ends with {recording.sizes()}, worked out by hand: {case.ends}")
    if knows(case):
        for name, delays in (("measured", measured(case, recording)), ("fitted", fitted(case, recording))):
            setattr(found, name, _beside(case, recording, delays, found.differences, name))
    return found


def _beside(
    case: Case, recording: Recording, delays: Delays, differences: list[str], name: str
) -> tuple[float, float, float]:
    begin = {"a": case.replicas, "b": 0}
    steps, real = simulate(case, delays, recording.second), recorded(recording)
    ours, theirs = units(steps, begin), units(real, begin)
    worst = 0.0
    for template in begin:
        if [size for _, size in ours[template]] != [size for _, size in theirs[template]]:
            differences.append(f"{name}: {template} simulated {ours[template]}, real {theirs[template]}")
            continue
        for (mine, _), (other, _) in zip(ours[template], theirs[template], strict=True):
            worst = max(worst, mine - other, other - mine, key=abs) if abs(mine - other) <= abs(worst) else mine - other
    return worst, real[-1][0] if real else 0.0, steps[-1][0] if steps else 0.0
