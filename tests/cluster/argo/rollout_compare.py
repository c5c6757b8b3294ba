"""One recording of a Rollout beside the models: the arithmetic write by write, and the prediction as a whole.

The prediction, given the measured delay of each pod, must scale each ReplicaSet through the same sizes, stand at each
pause with the same sizes, tell a router the same weights, and come to the same end. Sizes are compared pod by pod: a
reconcile that saw two pods become ready at once writes once what else would be two writes. Its writes come earlier, by no
more than twice what the real reconciles took until then and a probe period, or later, as a real pause is up to a second
shorter than it says: when it began is kept in whole seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from controller_simulate import recorded, units
from rollout_cases import Case
from rollout_recording import Moment, Recording
from rollout_replay import replay
from rollout_simulate import Simulated, simulate

SLACK_SECONDS = 1.0  #: a period of the probe
PAUSE_SECONDS = 1.0  #: what a real pause can be shorter
ROUTED_SECONDS = 1.0  #: what the reconciles of a rollout behind a router take in all; they are not told apart


@dataclass(slots=True)
class Compared:
    """Attributes:
    differences: one sentence each.
    writes: of ReplicaSets. lag: longest time from a reason to the real controller's write, seconds.
    worst: largest difference of the time of a write, simulated - real, seconds.
    """

    name: str
    differences: list[str] = field(default_factory=list)
    writes: int = 0
    lag: float = 0.0
    worst: float = 0.0

    def __str__(self) -> str:
        word = "DIFFERS" if self.differences else "equal  "
        return f"{word} {self.name:52} {self.writes:3} writes, lag {self.lag:.2f} s, simulated {self.worst:+.2f} s"


def compare(case: Case, recording: Recording) -> Compared:
    """Lay the models beside a recording."""
    found = Compared(case.name, writes=len(recorded(recording)))
    lags = [(0.0, ROUTED_SECONDS / 2)]
    if case.routed is None:
        replayed = replay(case, recording)
        found.differences += replayed.differences
        lags = replayed.lags
        found.lag = max((lag for _, lag in lags), default=0.0)
    if recording.sizes() != case.ends:
        found.differences.append(f"ends with {recording.sizes()}, worked out by hand: {case.ends}")
    if not case.early and (case.act is None or case.act.kind == "abort"):  # a strategy has no word for an undo
        ran = simulate(case, recording)
        found.differences += [
            *_other_sizes(case, recording, ran),
            *_other_pauses(recording, ran),
            *_other_weights(case, recording, ran),
            *_other_end(recording, ran),
            *_other_times(case, recording, ran, lags),
        ]
        found.worst = max((mine - real for mine, real in _pairs(case, recording, ran)), key=abs, default=0.0)
    return found


def _begin(case: Case) -> dict[str, int]:
    return {"a": case.replicas, "b": 0}


def _pairs(case: Case, recording: Recording, ran: Simulated) -> list[tuple[float, float]]:
    """(simulated, real) time of each pod that is asked for or given up."""
    ours, theirs = units(ran.steps, _begin(case)), units(recorded(recording), _begin(case))
    return [(mine, real) for name in "ab" for (mine, _), (real, _) in zip(ours[name], theirs[name], strict=False)]


def _other_times(case: Case, recording: Recording, ran: Simulated, lags: list[tuple[float, float]]) -> list[str]:
    found = []
    for mine, real in _pairs(case, recording, ran):
        early = SLACK_SECONDS + 2 * sum(lag for at, lag in lags if at <= real)
        ended = sum(moment.phase == "Paused" and moment.at < real for moment in recording.moments)
        if not -early <= mine - real <= SLACK_SECONDS + PAUSE_SECONDS * ended:
            found.append(f"a write at {real:.2f} s is simulated at {mine:.2f} s")
    return found


def _other_sizes(case: Case, recording: Recording, ran: Simulated) -> list[str]:
    ours, theirs = units(ran.steps, _begin(case)), units(recorded(recording), _begin(case))
    return [
        f"template {name} is simulated through the sizes {[size for _, size in ours[name]]}, "
        f"really {[size for _, size in theirs[name]]}"
        for name in "ab"
        if [size for _, size in ours[name]] != [size for _, size in theirs[name]]
    ]


def _other_pauses(recording: Recording, ran: Simulated) -> list[str]:
    real = pauses(recording)
    return [] if real == ran.pauses else [f"it is simulated to pause with (a, b) of {ran.pauses}, really {real}"]


def pauses(recording: Recording) -> list[tuple[int, int]]:
    """Sizes of (a, b) in the middle of each pause: what was heard of two kinds at about one time may be in any order."""
    found = []
    began: Moment | None = None
    for moment in [*recording.moments, None]:
        over = moment is None or moment.phase != "Paused" or (began is not None and moment.step != began.step)
        if began is not None and over:
            sizes = recording.sizes(float("inf") if moment is None else (began.at + moment.at) / 2)
            found.append((sizes["a"], sizes["b"]))
            began = None
        if moment is not None and moment.phase == "Paused" and began is None:
            began = moment
    return found


def _other_weights(case: Case, recording: Recording, ran: Simulated) -> list[str]:
    if case.routed is None:
        return []
    real, ours = weights(recording), _without_repeats([weight for _, weight in ran.weights])
    return [] if real == ours else [f"the router is simulated to be told the weights {ours}, really {real}"]


def weights(recording: Recording) -> list[int]:
    """What the router was told, up to all of it: then the new ReplicaSet is the stable one, and its weight 0."""
    found: list[int] = []
    for moment in recording.moments:
        if moment.template == "b" and moment.weight is not None:
            found.append(moment.weight)
            if moment.weight == 100:
                break
    found = _without_repeats(found)
    return found[1:] if found[:1] == [0] else found


def _without_repeats(found: list[int]) -> list[int]:
    return [each for place, each in enumerate(found) if place == 0 or found[place - 1] != each]


def _other_end(recording: Recording, ran: Simulated) -> list[str]:
    last = recording.moments[-1]
    real = {"Healthy": "promoted", "Aborted": "rolled_back"}.get(last.phase, "")
    ours = "" if ran.outcome == "stalled" else ran.outcome  # a recording does not wait for the progress deadline
    return [] if real == ours else [f"it is simulated to end {ours or 'nowhere'}, really {real or last.phase}"]
