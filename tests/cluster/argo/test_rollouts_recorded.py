"""What the real controller of Argo Rollouts once did, replayed against the models: no cluster is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import rollout_compare
import rollout_replay
from rollout_cases import Case, load
from rollout_compare import compare, pauses
from rollout_kept import kept
from rollout_recording import Recording
from rollout_replay import replay
from rollout_simulate import Simulated, simulate

from strategies.models import argo
from strategies.models.argo import basic_weights
from strategies.models.kubernetes import Counts

CASES = {case.name: case for case in load()}
KEPT = {recording.case: recording for recording in kept()}


def test_each_case_is_kept() -> None:
    assert KEPT.keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_the_models_do_what_the_real_controller_did(name: str) -> None:
    found = compare(CASES[name], KEPT[name])
    assert not found.differences, "\n".join([*found.differences, *KEPT[name].lines()])


def test_a_step_towards_fewer_canary_pods_really_ends_early() -> None:
    """The difference that docs/limits.md tells of is still one: at 20 % of 5 two new pods are left of the three."""
    name = "60 then 20 of 5"
    assert CASES[name].early
    assert basic_weights(5, 20, 1) == (1, 4)
    assert pauses(KEPT[name])[-1] == (4, 2)
    assert compare(replace(CASES[name], early=False), KEPT[name]).differences


# --- a comparison that cannot fail shows nothing -------------------------------------------------------------------------

Basic = Callable[..., tuple[int, int]]


def exact_shares(replicas: int, weight: int, *rest: Any, **more: Any) -> tuple[int, int]:
    """As if a weight were no more than a share of the replicas."""
    return argo.basic_counts(replicas, round(100 * (weight * replicas // 100) / replicas), *rest, **more)


def new_pods_count_before_they_are_available(
    *rest: Any, canary: Counts | None, stable: Counts | None, **more: Any
) -> tuple[int, int]:
    return argo.basic_counts(*rest, canary=canary and (canary[0], canary[0]), stable=stable, **more)


def without_surge(replicas: int, weight: int, surge: int, unavailable: int, **more: Any) -> tuple[int, int]:
    return argo.basic_counts(replicas, weight, 0, max(unavailable, 1), **more)


def all_at_once(replicas: int, weight: int, surge: int, unavailable: int, **more: Any) -> tuple[int, int]:
    """As if nothing bounded the way to a weight."""
    return argo.basic_weights(replicas, weight, surge)


def unexplained() -> list[str]:
    """Cases whose writes the arithmetic does not explain."""
    basic = (case for case in CASES.values() if case.routed is None)
    return [case.name for case in basic if replay(case, KEPT[case.name]).differences]


@pytest.mark.parametrize(
    "variant", [exact_shares, new_pods_count_before_they_are_available, without_surge, all_at_once]
)
def test_a_wrong_model_is_seen(variant: Basic, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not unexplained()
    monkeypatch.setattr(rollout_replay, "basic_counts", variant)
    assert unexplained()


@pytest.mark.parametrize("name", ["20 and 50 of 10", "routed 20 and 60 of 5"])
def test_another_end_of_a_pause_is_seen(name: str) -> None:
    """Sizes at a pause that are off by one pod."""
    found = Recording.read(KEPT[name].plain())
    last = max(place for place, row in enumerate(found.rows) if row.template == "b" and row.spec < 5)
    found.rows[last] = found.rows[last]._replace(spec=found.rows[last].spec + 1)
    assert compare(CASES[name], found).differences


def test_another_weight_is_seen() -> None:
    found = Recording.read(KEPT["routed 20 and 60 of 5"].plain())
    found.moments = [each._replace(weight=25 if each.weight == 20 else each.weight) for each in found.moments]
    assert any("weights" in text for text in compare(CASES["routed 20 and 60 of 5"], found).differences)


def test_a_simulation_that_is_late_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "20 and 50 of 10"

    def late(case: Case, recording: Recording) -> Simulated:
        ran = simulate(case, recording)
        ran.steps = [(at + 3, template, size) for at, template, size in ran.steps]
        return ran

    monkeypatch.setattr(rollout_compare, "simulate", late)
    assert any("is simulated at" in text for text in compare(CASES[name], KEPT[name]).differences)
