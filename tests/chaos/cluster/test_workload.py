"""A Rollout, read: statuses as the real controller of Argo Rollouts 1.10.0 wrote them on the native node."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.cluster.workload import Stand, look, stand

OLD, NEW = "54dc9b7865", "6cbd4d7f85"
RESTING = {"currentPodHash": OLD, "stableRS": OLD, "phase": "Healthy"}
UNDER_WAY = {
    "currentPodHash": NEW,
    "stableRS": OLD,
    "phase": "Progressing",
    "message": "more replicas need to be updated",
}
PAUSED = {**UNDER_WAY, "phase": "Paused", "message": "CanaryPauseStep"}
PROMOTED = {"currentPodHash": NEW, "stableRS": NEW, "phase": "Healthy"}
#: the user's patch alone, before the controller has looked at it
TOLD_TO_ABORT = {**PAUSED, "abort": True}
ABORTED = {
    **TOLD_TO_ABORT,
    "phase": "Degraded",
    "message": "RolloutAborted: Rollout aborted update to revision 2",
    "conditions": [
        {"type": "Progressing", "reason": "RolloutAborted", "message": "Rollout aborted update to revision 2"}
    ],
}
LATE = {
    **UNDER_WAY,
    "phase": "Degraded",
    "message": 'ProgressDeadlineExceeded: ReplicaSet "web-6cbd4d7f85" has timed out progressing.',
    "conditions": [
        {
            "type": "Progressing",
            "reason": "ProgressDeadlineExceeded",
            "message": 'ReplicaSet "web-6cbd4d7f85" has timed out progressing.',
        }
    ],
}


def rollout(status: dict[str, Any], *, observed: str = "4") -> dict[str, Any]:
    return {
        "metadata": {"generation": 4},
        "spec": {"replicas": 5},
        "status": {"observedGeneration": observed, **status},
    }


@pytest.mark.parametrize(
    ("status", "began", "wanted"),
    [
        (RESTING, False, Stand.RESTING),
        (UNDER_WAY, True, Stand.UNDER_WAY),
        (PAUSED, True, Stand.UNDER_WAY),
        ({**UNDER_WAY, "stableRS": NEW}, True, Stand.UNDER_WAY),  # old pods are pending termination
        (PROMOTED, True, Stand.PROMOTED),
        (TOLD_TO_ABORT, True, Stand.ROLLED_BACK),
        (ABORTED, True, Stand.ROLLED_BACK),
        (LATE, True, Stand.STALLED),
        (RESTING, True, Stand.ROLLED_BACK),  # the template is the old one again
    ],
)
def test_how_a_rollout_stands(status: dict[str, Any], began: bool, wanted: Stand) -> None:
    assert stand(look("rollout", rollout(status), ()), OLD, began=began) is wanted


def test_a_spec_that_the_controller_has_not_seen_is_neither_at_rest_nor_new() -> None:
    """Its own first write of a new spec raises the generation once more."""
    seen = look("rollout", rollout(RESTING, observed="2"), ())
    assert (seen.settled, seen.hash) == (False, "")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (TOLD_TO_ABORT, "it was aborted"),
        (ABORTED, "Rollout aborted update to revision 2"),
        (LATE, 'ReplicaSet "web-6cbd4d7f85" has timed out progressing.'),
    ],
)
def test_why_it_went_back_or_stands_still(status: dict[str, Any], reason: str) -> None:
    """A status that was just told to abort still has the message of its pause."""
    assert look("rollout", rollout(status), ()).reason == reason


def weights(canary: tuple[str, int], stable: tuple[str, int]) -> dict[str, Any]:
    sides = {"canary": canary, "stable": stable}
    return {side: {"podTemplateHash": own, "weight": weight} for side, (own, weight) in sides.items()}


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ({"canary": {}, "blueGreen": {}}, None),
        ({"canary": {"weights": weights((OLD, 0), (OLD, 100))}}, 0.0),
        ({"canary": {"weights": weights((NEW, 20), (OLD, 80))}}, 0.2),
        ({"canary": {"weights": weights((NEW, 100), (OLD, 0))}}, 1.0),
        ({"canary": {"weights": weights((NEW, 0), (NEW, 100))}}, 1.0),  # promoted: the new revision is the stable one
        ({"canary": {"weights": weights((NEW, 50), (OLD, 150))}}, 0.25),  # maxTrafficWeight: 200
        ({"blueGreen": {"activeSelector": OLD}, "canary": {}}, 0.0),
        ({"blueGreen": {"activeSelector": NEW}, "canary": {}}, 1.0),
    ],
)
def test_the_share_of_the_new_revision(status: dict[str, Any], wanted: float | None) -> None:
    assert look("rollout", rollout({**PROMOTED, **status}), ()).weight(OLD) == wanted
