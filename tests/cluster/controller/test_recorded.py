"""What the real Deployment controller once did, replayed against the models: no cluster is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import controller_replay
import pytest
from controller_cases import load
from controller_compare import compare
from controller_kept import kept
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


def creating_is_scaling(
    replicas: int, surge: int, unavailable: int, new: Counts | None, old: Sequence[Counts]
) -> tuple[int, list[int]]:
    if new is None:
        total = sum(spec for spec, _ in old)
        return kubernetes.new_replicas(replicas, surge, total, 0), [spec for spec, _ in old]
    return kubernetes.rolling_sync(replicas, surge, unavailable, new, old)


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


def half_up(name: str, value: int | str, replicas: int, *, round_up: bool) -> int:
    return value if isinstance(value, int) else round(int(value[:-1]) * replicas / 100)


def wrong(replaced: Callable[..., Any]) -> list[str]:
    """Names of the cases that tell the models from the real controller."""
    return [name for name, recording in KEPT.items() if replay(CASES[name], recording).differences]


@pytest.mark.parametrize(
    "model",
    [creating_is_scaling, old_ones_first, new_pods_count_before_they_are_available, one_pod_at_a_time, no_clean_up],
)
def test_a_wrong_sync_is_seen(model: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller_replay, "rolling_sync", model)
    assert wrong(model)
