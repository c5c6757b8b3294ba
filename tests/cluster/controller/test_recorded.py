"""What the real Deployment controller once did, replayed against the models: no cluster is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import controller_compare
import controller_replay
import pytest
from controller_cases import load
from controller_compare import compare
from controller_delays import Delays, measured
from controller_deletions import wrong_deletions
from controller_kept import kept
from controller_recording import Recording
from controller_replay import replay

from strategies.models import kubernetes
from strategies.models.kubernetes import Counts

CASES = {case.name: case for case in load()}
KEPT = {recording.case: recording for recording in kept()}


def test_each_case_is_kept() -> None:
    assert len(CASES) == 40
    assert sum(case.fast for case in CASES.values()) == 12
    assert KEPT.keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_the_models_do_what_the_real_controller_did(name: str) -> None:
    found = compare(CASES[name], KEPT[name])
    assert not found.differences, "\n".join([*found.differences, *KEPT[name].lines()])


def test_the_recordings_show_what_makes_it_hard() -> None:
    """Statuses that lag behind, pods that became available together, old pods given up in two writes of one sync."""
    rows = [row for recording in KEPT.values() for row in recording.rows]
    assert sum(row.available > row.spec for row in rows) > 50
    found = [compare(CASES[name], recording) for name, recording in KEPT.items()]
    assert sum(each.syncs for each in found) > 300
    assert sum(each.deletions for each in found) > 50


# --- a comparison that cannot fail shows nothing -------------------------------------------------------------------------


def old_ones_first(
    replicas: int, surge: int, unavailable: int, new: Counts | None, old: Sequence[Counts]
) -> tuple[int, list[int]]:
    down = kubernetes.old_replicas(replicas, unavailable, new or (0, 0), old)
    if down != [spec for spec, _ in old]:
        return (new or (0, 0))[0], down
    return kubernetes.rolling_sync(replicas, surge, unavailable, new, old)


def new_pods_count_before_they_are_available(
    replicas: int, surge: int, unavailable: int, new: Counts | None, old: Sequence[Counts]
) -> tuple[int, list[int]]:
    return kubernetes.rolling_sync(replicas, surge, unavailable, new and (new[0], new[0]), old)


def one_pod_at_a_time(
    replicas: int, surge: int, unavailable: int, new: Counts | None, old: Sequence[Counts]
) -> tuple[int, list[int]]:
    return kubernetes.rolling_sync(replicas, min(surge, 1), min(unavailable, 1), new, old)


def no_clean_up(
    replicas: int, surge: int, unavailable: int, new: Counts | None, old: Sequence[Counts]
) -> tuple[int, list[int]]:
    return kubernetes.rolling_sync(
        replicas,
        surge,
        unavailable,
        new,
        [(spec, spec) if spec > available else (spec, available) for spec, available in old],
    )


def rounded_the_other_way(surge: int | str, unavailable: int | str, replicas: int) -> tuple[int, int]:
    down = kubernetes.resolve_pods("maxSurge", surge, replicas, round_up=False)
    up = kubernetes.resolve_pods("maxUnavailable", unavailable, replicas, round_up=True)
    return (down, up) if down or up else (0, 1)


def only_the_new_one_grows(
    replicas: int, surge: int, sets: Sequence[Counts], most_before: Sequence[int], *, new: int | None = None
) -> list[int]:
    """As if a change of replicas were nothing special."""
    return [spec for spec, _ in sets]


def unexplained() -> list[str]:
    """Cases whose writes the arithmetic does not explain."""
    return [name for name, recording in KEPT.items() if replay(CASES[name], recording).differences]


@pytest.mark.parametrize(
    ("part", "variant"),
    [
        ("rolling_sync", old_ones_first),
        ("rolling_sync", new_pods_count_before_they_are_available),
        ("rolling_sync", one_pod_at_a_time),
        ("rolling_sync", no_clean_up),
        ("resolve_fenceposts", rounded_the_other_way),
        ("resize_sync", only_the_new_one_grows),
    ],
)
def test_a_wrong_model_is_seen(part: str, variant: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not unexplained()
    monkeypatch.setattr(controller_replay, part, variant)
    assert unexplained()


def test_a_simulation_that_is_late_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "1 and 0 of 3"
    right = measured(CASES[name], KEPT[name])
    late = Delays(right.model, {each: [delay + 1 for delay in of] for each, of in right.ready.items()})
    monkeypatch.setattr(controller_compare, "measured", lambda case, recording: late)
    assert any("is simulated at" in text for text in compare(CASES[name], KEPT[name]).differences)


def test_a_pod_that_is_deleted_out_of_order_is_seen() -> None:
    name = "2 of 10 not ready"
    found = Recording.read(KEPT[name].plain())
    assert not wrong_deletions(found)[1]
    old = [life for life in found.lives if life.template == "a"]
    first = next(life for life in old if life.first("ready") is None)
    last = max(old, key=lambda life: life.first("ended") or 0)
    for life, other in (
        (first, KEPT[name].lives[found.lives.index(last)]),
        (last, KEPT[name].lives[found.lives.index(first)]),
    ):
        kept_events = [event for event in life.events if event[1] != "ended"]
        life.events = sorted(kept_events + [event for event in other.events if event[1] == "ended"])
    assert wrong_deletions(found)[1]
