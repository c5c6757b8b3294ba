"""The arithmetic of a canary without a router, given what the real controller saw: does it write what that one wrote?

The controller decides by the ReplicaSets in its cache: some state that the API server told of since its last write. A
reconcile writes one ReplicaSet and leaves the next one to the reconcile after it: the stable one first, then the new one,
then those of other revisions. So each recorded write must be what a reconcile of the model makes of one of these states,
at the weight of the step that it stood at or of a later one, and it must make nothing of the last.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rollout_cases import Case
from rollout_recording import Recording

from strategies.models.argo import basic_counts, older_counts
from strategies.models.kubernetes import Counts, resolve_fenceposts

State = dict[str, Counts]  #: (spec, available) of templates a and b
Goal = int | None  #: weight in per cent; None: the template is a again


@dataclass(slots=True)
class Replayed:
    """How a recording compares with the arithmetic.

    Attributes:
        differences: one sentence each; empty when it explains every write.
        writes: how many there were. lags: (when it wrote, seconds since the first state that asked for it).
    """

    differences: list[str] = field(default_factory=list)
    writes: int = 0
    lags: list[tuple[float, float]] = field(default_factory=list)


def reconcile(case: Case, state: State, goal: Goal) -> dict[str, int]:
    """The sizes that one reconcile leaves."""
    old, new = state["a"], state["b"]
    sizes = {name: spec for name, (spec, _) in state.items()}
    surge, unavailable = resolve_fenceposts(case.surge, case.unavailable, case.replicas)
    if goal is None:
        wanted, _ = basic_counts(case.replicas, 100, surge, unavailable, canary=old, stable=None, older=new[0])
        if wanted != old[0]:
            return {**sizes, "a": wanted}
        (left,) = older_counts(case.replicas, unavailable, old[1] + new[1], [new])
        return {**sizes, "b": left}
    canary, stable = basic_counts(case.replicas, goal, surge, unavailable, canary=new, stable=old)
    if stable != old[0]:
        return {**sizes, "a": stable}
    return {**sizes, "b": canary}


def goals(case: Case, recording: Recording) -> list[tuple[float, Goal]]:
    """(seconds, weight) in the order in which they came."""
    found: list[tuple[float, Goal]] = [(0.0, weight_at(case, 0))]
    for moment in recording.moments:
        if moment.template == "a":
            continue
        goal = 0 if moment.phase == "Aborted" else weight_at(case, moment.step)
        if goal != found[-1][1]:
            found.append((moment.at, goal))
    if recording.acted is not None and case.act is not None and case.act.kind == "undo":
        found.append((recording.acted, None))
    return found


def weight_at(case: Case, step: int) -> int:
    """The last setWeight up to a step; past the last step it is all."""
    if step >= len(case.steps):
        return 100
    return next((int(each["setWeight"]) for each in reversed(case.steps[: step + 1]) if "setWeight" in each), 0)


def replay(case: Case, recording: Recording) -> Replayed:
    """Compare a recording with the arithmetic; stops at the first write that it cannot explain."""
    found, wanted = Replayed(), goals(case, recording)
    states = _states(recording)
    at = max(place for place, row in enumerate(recording.rows) if row.at == 0)
    number = 0
    for write in range(at + 1, len(states)):
        if _sizes(states[write]) == _sizes(states[write - 1]):
            continue
        explained = _explain(case, states, (at, write), wanted, number)
        if explained is None:
            found.differences.append(_unexplained(case, recording, states, (at, write), wanted[number:]))
            return found
        number = explained
        found.writes += 1
        found.lags.append((recording.rows[write].at, _lag(case, recording, states, (at, write), wanted[number])))
        at = write
    last = reconcile(case, states[-1], wanted[-1][1])
    if last != _sizes(states[-1]):
        found.differences.append(f"the real controller rests at {_text(states[-1])}; the model goes on to {last}")
    return found


def _states(recording: Recording) -> list[State]:
    now: State = {"a": (0, 0), "b": (0, 0)}
    found = []
    for row in recording.rows:
        now = {**now, row.template: (row.spec, row.available)}
        found.append(now)
    return found


def _sizes(state: State) -> dict[str, int]:
    return {name: spec for name, (spec, _) in state.items()}


def _explain(
    case: Case, states: list[State], span: tuple[int, int], wanted: list[tuple[float, Goal]], first: int
) -> int | None:
    """The number of the goal under which a state since the last write asks for this one; None when there is none."""
    at, write = span
    for number in range(first, len(wanted)):
        for seen in range(write - 1, at - 1, -1):
            if reconcile(case, states[seen], wanted[number][1]) == _sizes(states[write]):
                return number
    return None


def _lag(
    case: Case, recording: Recording, states: list[State], span: tuple[int, int], goal: tuple[float, Goal]
) -> float:
    """Seconds from the first state since the last write that asked for something, under this goal."""
    at, write = span
    asks = (place for place in range(at, write) if reconcile(case, states[place], goal[1]) != _sizes(states[place]))
    return recording.rows[write].at - max(recording.rows[next(asks, write)].at, min(goal[0], recording.rows[write].at))


def _unexplained(
    case: Case, recording: Recording, states: list[State], span: tuple[int, int], wanted: list[tuple[float, Goal]]
) -> str:
    at, write = span
    says = {
        f"{_text(states[seen])} at {goal}: {reconcile(case, states[seen], goal)}"
        for seen in range(at, write)
        for _, goal in wanted
    }
    row = recording.rows[write]
    return (
        f"at {row.at:.3f} s the real controller wrote {_text(states[write])}; the model says: {'; '.join(sorted(says))}"
    )


def _text(state: State) -> str:
    return " ".join(f"{name} {spec}/{available}" for name, (spec, available) in state.items())
