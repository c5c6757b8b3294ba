"""The model of the Deployment controller, given what the real one saw: does it write what the real one wrote?

The real controller decides by the ReplicaSets in its cache: some state that the API server told of since the last
write. So each recorded write must be what one sync of the model makes of one of these states, and the last state must
be one of which the model makes nothing. A sync may write more than once (clean up, then scale down; several old
ReplicaSets): such writes must be on the way to what the model says, and get there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from controller_cases import Case
from controller_recording import Recording, Row, Wish

from strategies.models.kubernetes import Counts, resolve_fenceposts, rolling_sync
from strategies.models.kubernetes_resize import resize_sync

Sizes = tuple[int, ...]
State = dict[str, Counts]  #: (spec, available) of each ReplicaSet that exists, oldest first


@dataclass(slots=True)
class Replayed:
    """How a recording compares with the model.

    Attributes:
        differences: one sentence each; empty when the model explains every write.
        syncs: that wrote something.
        lags: for each sync, (when it wrote, seconds since the first state of which the model makes something).
    """

    differences: list[str] = field(default_factory=list)
    syncs: int = 0
    lags: list[tuple[float, float]] = field(default_factory=list)


class Model:
    """One Deployment as the models see it; `desired` and `most` are the annotations of its ReplicaSets."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.desired = {"a": case.replicas}
        self.most = {"a": self._most(case.replicas)}

    def _most(self, replicas: int) -> int:
        return replicas + resolve_fenceposts(self.case.surge, self.case.unavailable, replicas)[0]

    def resized(self, state: State, wish: Wish) -> bool:
        """Does a sync find that the replicas were changed?"""
        return any(spec > 0 and self.desired[name] != wish.replicas for name, (spec, _) in state.items())

    def sync(self, state: State, wish: Wish) -> dict[str, int]:
        """The sizes that one sync leaves."""
        surge, unavailable = resolve_fenceposts(self.case.surge, self.case.unavailable, wish.replicas)
        names = list(state)
        if self.resized(state, wish):
            new = names.index(wish.template) if wish.template in state else None
            sizes = resize_sync(
                wish.replicas, surge, list(state.values()), [self.most[name] for name in names], new=new
            )
            return dict(zip(names, sizes, strict=True))
        old = [name for name in names if name != wish.template]
        size, sizes = rolling_sync(
            wish.replicas, surge, unavailable, state.get(wish.template), [state[name] for name in old]
        )
        return {**dict(zip(old, sizes, strict=True)), wish.template: size}

    def wrote(self, before: State, wish: Wish, sizes: dict[str, int]) -> None:
        """Remember the annotations that a sync leaves."""
        resized = self.resized(before, wish)
        for name, size in sizes.items():
            spec = before.get(name, (0, 0))[0]
            if size != spec or (resized and spec):
                self.desired[name] = wish.replicas
                self.most[name] = self._most(wish.replicas)


def replay(case: Case, recording: Recording) -> Replayed:
    """Compare a recording with the model; stops at the first write that it cannot explain."""
    found = Replayed()
    model = Model(case)
    states = _states(recording.rows)
    at = _begin(recording)
    wish = 0
    while (write := _next_write(states, at)) is not None:
        explained = _explain(model, recording.wishes, states, (at, write), wish)
        if explained is None:
            found.differences.append(_unexplained(model, recording, states, (at, write), wish))
            return found
        seen, wish, last = explained
        now = recording.wishes[wish]
        when = recording.rows[write].at
        found.lags.append((when, when - _first_reason(model, recording, states, (at, write), now)))
        model.wrote(states[seen], now, model.sync(states[seen], now))
        found.syncs += 1
        at = last
    if wish != len(recording.wishes) - 1 and _moved(model, states[-1], recording.wishes[-1]):
        found.differences.append(f"the end {_text(states[-1])} answers no sync for {recording.wishes[-1]}")
    elif _moved(model, states[-1], recording.wishes[-1]):
        says = model.sync(states[-1], recording.wishes[-1])
        found.differences.append(f"the real controller rests at {_text(states[-1])}; the model goes on to {says}")
    return found


def settled(case: Case, wishes: Sequence[Wish], rows: Sequence[Row]) -> bool:
    """Would a sync of the model now do nothing, and is no status older than its spec?"""
    model, now = Model(case), _states(rows)[-1]
    model.desired = dict.fromkeys(now, wishes[-1].replicas)
    return all(available <= spec for spec, available in now.values()) and not _moved(model, now, wishes[-1])


def _states(rows: Sequence[Row]) -> list[State]:
    """The state after each row."""
    now: State = {}
    found = []
    for row in rows:
        now = {**now, row.template: (row.spec, row.available)}
        found.append(now)
    return found


def _begin(recording: Recording) -> int:
    return max(place for place, row in enumerate(recording.rows) if row.at == 0)


def _sizes(state: State) -> dict[str, int]:
    return {name: spec for name, (spec, _) in state.items()}


def _next_write(states: Sequence[State], at: int) -> int | None:
    """The first state after `at` whose sizes, or ReplicaSets, are others."""
    sizes = _sizes(states[at])
    return next((place for place in range(at + 1, len(states)) if _sizes(states[place]) != sizes), None)


def _explain(
    model: Model, wishes: Sequence[Wish], states: Sequence[State], span: tuple[int, int], wish: int
) -> tuple[int, int, int] | None:
    """(state that was seen, wish that was seen, last state that this sync wrote); None when there is none."""
    at, write = span
    for number in range(wish, len(wishes)):
        for seen in range(write - 1, at - 1, -1):
            target = model.sync(states[seen], wishes[number])
            last = _reached(states, seen, write, target)
            if last is not None:
                return seen, number, last
    return None


def _reached(states: Sequence[State], seen: int, write: int, target: dict[str, int]) -> int | None:
    """The state in which the sizes are `target`, when all sizes from `write` on are on the way there."""
    before = _sizes(states[seen])
    for place in range(write, len(states)):
        sizes = _sizes(states[place])
        if sizes == target:
            return place
        if set(sizes) != set(target) or (sizes == before and place > write):
            return None
        if any(not min(before[n], target[n]) <= sizes[n] <= max(before[n], target[n]) for n in sizes if n in before):
            return None
    return None


def _moved(model: Model, state: State, wish: Wish) -> bool:
    return model.sync(state, wish) != _sizes(state)


def _first_reason(
    model: Model, recording: Recording, states: Sequence[State], span: tuple[int, int], wish: Wish
) -> float:
    """When the first state was heard, since the last write, of which the model makes something."""
    at, write = span
    first = next((place for place in range(at, write) if _moved(model, states[place], wish)), write)
    return max(recording.rows[first].at, wish.at)


def _unexplained(model: Model, recording: Recording, states: Sequence[State], span: tuple[int, int], wish: int) -> str:
    at, write = span
    says = {
        f"{_text(states[seen])} for {each.template} {each.replicas}: {model.sync(states[seen], each)}"
        for seen in range(at, write)
        for each in recording.wishes[wish:]
    }
    row = recording.rows[write]
    return (
        f"at {row.at:.3f} s the real controller wrote {_text(states[write])}; the model says: {'; '.join(sorted(says))}"
    )


def _text(state: State) -> str:
    return " ".join(f"{name} {spec}/{available}" for name, (spec, available) in state.items())
