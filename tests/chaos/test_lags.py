"""Lags that were put into happenings and traffic by hand are found again; what does not show one is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chaos.lags import HEARD, KINDS, by_kind, lags
from chaos.load.log import DTYPE, REVISIONS, Records
from chaos.results import Happening, Lag

BEGAN = 500.0
SPEED = 2.0


def told(at: float, kind: str, who: str = "canary-0", **facts: Any) -> Happening:
    return Happening(at_seconds=at, kind=kind, who=who, facts=facts)


def a_start(pod: str = "canary-0", *, at: float = 10.0, **more: Any) -> list[Happening]:
    """A pod that is made, gets a node after 0.1 s, runs after 1 s more and is ready 2 s later."""
    kinds = {"pod_made": at, "pod_scheduled": at + 0.1, "container_started": at + 1.1, "pod_ready": at + 3.1}
    return [told(when, kind, pod, **more) for kind, when in kinds.items()]


def traffic(pod: str, since: float, until: float, gap: float) -> Records:
    """A request of a pod every `gap` scenario seconds."""
    at = np.arange(since, until, gap)
    found = np.zeros(len(at), DTYPE)
    found["sent_us"] = np.round((BEGAN + at / SPEED) * 1e6)
    found["intended_us"], found["done_us"] = found["sent_us"], found["sent_us"] + 30_000
    found["pod"], found["revision"] = pod.encode(), REVISIONS.index(pod.partition("-")[0])
    return found


def found(happenings: list[Happening], *parts: Records) -> dict[str, list[Lag]]:
    records = np.concatenate(parts) if parts else np.zeros(0, DTYPE)
    ordered = records[np.argsort(records["done_us"], kind="stable")]
    return dict(by_kind(lags(happenings, ordered, began=BEGAN, speed=SPEED)))


def weight(share: float, *, ordered: float, told_at: float | None = None) -> Happening:
    at = ordered + 0.01 if told_at is None else told_at
    return told(at, "weight_effective", "router", weight=share, ordered_seconds=ordered)


# --- starts ----------------------------------------------------------------------------------------------------------


def test_a_start_is_five_spans() -> None:
    there = found(a_start())
    assert {kind: [lag.seconds for lag in there[kind]] for kind in there} == {
        "schedule": [pytest.approx(0.1)],
        "pull": [pytest.approx(1.0)],
        "run": [pytest.approx(1.1)],
        "start": [pytest.approx(2.0)],
        "ready": [pytest.approx(3.1)],
    }
    assert {lag.wait_seconds for each in there.values() for lag in each} == {0.0}


def test_a_world_without_a_scheduler_tells_the_sum() -> None:
    there = found([one for one in a_start() if one.kind != "pod_scheduled"])
    assert sorted(there) == ["ready", "run", "start"]


def test_pods_of_before_the_rollout_and_those_that_died_first_tell_no_start() -> None:
    assert found(a_start(at=-550.0)) == {}
    died = [*a_start()[:3], told(12.0, "container_died"), told(12.5, "container_started"), told(14.0, "pod_ready")]
    assert sorted(found(died)) == ["pull", "run", "schedule"], "its second container was not made with it"


def test_the_revision_is_what_is_told_else_what_the_name_says() -> None:
    names = [*a_start("web-x1-main-77", revision="canary"), *a_start("stable-3", at=20.0)]
    assert [lag.revision for lag in found(names)["ready"]] == ["canary", "stable"]


def test_what_was_heard_late_counts_when_word_of_it_came() -> None:
    """`late_seconds` is real time: at twice the speed 0.3 s are 0.6 s."""
    made, node, *rest = a_start()
    late = [made, told(10.7, "pod_scheduled", late_seconds=0.3), *rest]
    assert found(late)["schedule"][0].seconds == pytest.approx(0.1)
    assert node.at_seconds == pytest.approx(10.1)


# --- endpoints -------------------------------------------------------------------------------------------------------

FOLLOWS = told(0.0, "follows_pods", "router")


def test_a_join_is_from_ready_to_the_first_request_with_the_wait_beside() -> None:
    (lag,) = found([FOLLOWS, *a_start()], traffic("canary-0", 13.7, 30.0, 0.05))["join"]
    assert lag.seconds == pytest.approx(0.6, abs=1e-5)
    assert lag.wait_seconds == pytest.approx(0.05, abs=1e-5)


def test_a_leave_is_from_its_end_to_the_last_request() -> None:
    there = [FOLLOWS, *a_start(), told(40.0, "pod_deleted"), told(45.0, "container_died")]
    (lag,) = found(there, traffic("canary-0", 13.7, 40.31, 0.05))["leave"]
    assert lag.seconds == pytest.approx(0.3, abs=0.051)
    assert lag.wait_seconds == pytest.approx(0.05, abs=1e-5)


def test_a_pod_of_before_the_rollout_leaves_too_and_did_not_join() -> None:
    there = [*a_start("stable-0", at=-560.0), FOLLOWS, told(40.0, "pod_deleted", "stable-0")]
    assert sorted(found(there, traffic("stable-0", -20.0, 40.2, 0.05))) == ["leave"]


def test_a_join_shows_endpoints_only_where_the_revision_has_traffic() -> None:
    """Else its first request waits for the weight, and not for the endpoints."""
    requests = traffic("canary-0", 20.3, 40.0, 0.05)
    without = found([*a_start(), weight(0.25, ordered=20.0)], requests)
    assert "join" not in without
    assert without["weight_on"][0].seconds == pytest.approx(0.3, abs=1e-5)
    second = [weight(0.25, ordered=5.0), *a_start("canary-1")]
    there = found(second, traffic("canary-0", 5.2, 40.0, 0.05), traffic("canary-1", 13.5, 40.0, 0.1))
    assert [(lag.who, round(lag.seconds, 3)) for lag in there["join"]] == [("canary-1", 0.4)]


def test_a_leave_after_the_weight_is_none() -> None:
    there = [weight(0.25, ordered=5.0), *a_start(), weight(0.0, ordered=30.0), told(30.5, "pod_deleted")]
    assert "leave" not in found(there, traffic("canary-0", 13.5, 30.2, 0.05))
    meanwhile = [weight(0.25, ordered=5.0), *a_start(), told(30.0, "pod_deleted"), weight(0.0, ordered=30.2)]
    assert "leave" not in found(meanwhile, traffic("canary-0", 13.5, 30.2, 0.05)), "the weight may have ended it"


def test_a_pod_without_traffic_shows_no_leave() -> None:
    there = [FOLLOWS, *a_start(), told(40.0, "pod_deleted")]
    assert "leave" not in found(there, traffic("canary-0", 13.7, 35.0, 0.05)), "it was cut off five seconds before"
    assert "join" not in found(there, traffic("canary-0", 13.7, 13.8, 0.05)), "too few requests to know the wait"


# --- the router ------------------------------------------------------------------------------------------------------


def test_a_weight_on_and_off() -> None:
    there = [weight(0.25, ordered=20.0), weight(0.5, ordered=30.0), weight(0.0, ordered=40.0)]
    by = found(there, traffic("canary-0", 20.2, 40.16, 0.04), traffic("stable-0", 0.0, 60.0, 0.01))
    assert [lag.seconds for lag in by["weight_on"]] == [pytest.approx(0.2, abs=1e-5)], "25 to 50 % shows no edge"
    (off,) = by["weight_off"]
    assert off.seconds == pytest.approx(0.14, abs=0.021)
    assert off.wait_seconds == pytest.approx(0.04, abs=1e-5)
    assert (off.who, off.revision) == ("router", "canary")


def test_a_switch_shows_both_edges() -> None:
    there = [weight(1.0, ordered=20.0)]
    by = found(there, traffic("canary-0", 20.3, 60.0, 0.01), traffic("stable-0", 0.0, 20.295, 0.01))
    assert [(lag.revision, round(lag.seconds, 2)) for lag in by["weight_on"]] == [("canary", 0.3)]
    assert [(lag.revision, round(lag.seconds, 2)) for lag in by["weight_off"]] == [("stable", 0.29)]


def test_what_nobody_ordered_is_no_lag_of_the_router() -> None:
    followed = [FOLLOWS, told(13.1, "weight_effective", "router", weight=0.2)]
    assert found(followed, traffic("canary-0", 13.4, 30.0, 0.05)) == {}
    late = [weight(0.25, ordered=20.0), weight(0.0, ordered=40.0)]
    assert "weight_on" not in found(late, traffic("canary-0", 45.0, 60.0, 0.05)), "it came after another order"


def test_kinds_are_in_order() -> None:
    there = [FOLLOWS, *a_start(), *a_start("canary-1", at=11.0)]
    both = np.concatenate([traffic("canary-0", 13.7, 30.0, 0.05), traffic("canary-1", 14.7, 30.0, 0.05)])
    kinds = [lag.kind for lag in lags(there, both, began=BEGAN, speed=SPEED)]
    assert kinds == sorted(kinds, key=KINDS.index)
    assert set(kinds) == {*HEARD, "join"}
