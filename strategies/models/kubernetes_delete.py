"""Which pods a ReplicaSet deletes first when it is scaled down.

Source: kubernetes/kubernetes v1.35.4, `pkg/controller/controller_utils.go ActivePodsWithRanks.Less` with the gate
LogarithmicScaleDown, which is on since 1.22. Left out: the annotation for a pod's cost, and how many pods of the set
share a node.
"""

from __future__ import annotations

from typing import Final

_SECOND_US: Final = 1_000_000


def deletion_rank(
    now_us: int, *, running: bool, ready_us: int | None, restarts: int, made_us: int, uid: float
) -> tuple[bool, bool, int, int, float]:
    """What pods are sorted by; the first ones go.

    Pods that do not run yet go first, then those that are not ready (of these, those with more restarts). Among ready
    ones those that became ready lately; but ages count by their power of two alone, and among pods of the same one
    chance decides: the order of their uids. So of pods that became ready in one rollout any may go.

    Args:
        now_us: microseconds, as all times; the API server keeps whole seconds of those before.
        running: the pod's phase is Running.
        ready_us: since when it is ready, None when it is not.
        made_us: when it was made.
        uid: anything that is in no order.

    >>> now = 60_000_000
    >>> young, older, old = (deletion_rank(now, running=True, ready_us=at, restarts=0, made_us=0, uid=at)
    ...                      for at in (50_000_000, 30_000_000, 28_000_000))
    >>> young < old < older  # 10 s against 30 and 32 s, which count as the same
    True
    """
    if ready_us is not None:
        return running, True, 0, _power(now_us, ready_us), uid
    return running, False, -restarts, _power(now_us, made_us), uid


def _power(now_us: int, then_us: int) -> int:
    """Grows with the logarithm of an age in nanoseconds, in whole steps."""
    age_us = now_us - then_us // _SECOND_US * _SECOND_US
    return (max(0, age_us) * 1000).bit_length()
