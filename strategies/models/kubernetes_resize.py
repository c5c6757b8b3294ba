"""What Kubernetes does to a Deployment whose `replicas` are changed, in a rollout or between two of them.

A sync that finds the change does nothing else (`deployment_controller.go syncDeployment`, `sync.go sync`): the rolling
update goes on in the next one. So a manifest that changes the template and the replicas at once first resizes the *old*
pods. Source: kubernetes/kubernetes v1.35.4, `pkg/controller/deployment/sync.go scale` and
`util/deployment_util.go GetReplicaSetProportion`.
"""

from __future__ import annotations

from collections.abc import Sequence

from strategies.models.kubernetes import Counts


def resize_sync(
    replicas: int, surge: int, sets: Sequence[Counts], most_before: Sequence[int], *, new: int | None = None
) -> list[int]:
    """The sizes of all ReplicaSets after the sync that sees new `replicas`; `sets` is oldest first.

    One ReplicaSet that has pods takes all replicas, and so does the newest where none has. With several, the present
    sizes keep their proportions within replicas + `surge`, so that a resize does not hasten the rollout; what rounding
    leaves goes to the largest.

    Args:
        replicas: that the Deployment wants now.
        surge: resolved for these replicas.
        sets: (spec, available) of each.
        most_before: of each, replicas + surge when it was last scaled, its annotation
            `deployment.kubernetes.io/max-replicas`; where it is 0 the present sum of all is taken.
        new: place of the ReplicaSet of the present template, None while it does not exist.

    >>> resize_sync(15, 4, [(8, 8), (5, 0)], [13, 13], new=1)
    [12, 7]
    """
    sizes = [spec for spec, _ in sets]
    active = [place for place, spec in enumerate(sizes) if spec > 0]
    if len(active) < 2:
        newest = new if new is not None else len(sizes) - 1
        sizes[active[0] if active else newest] = replicas
    elif new is not None and sets[new] == (replicas, replicas):
        sizes = [spec if place == new else 0 for place, spec in enumerate(sizes)]
    else:
        _share_out(sizes, active, replicas + surge if replicas else 0, most_before)
    return sizes


def _share_out(sizes: list[int], active: list[int], most: int, most_before: Sequence[int]) -> None:
    """Bring the sum of all sizes to `most`, in proportion; the largest first, of equal ones the newest when growing."""
    total = sum(sizes)
    left = most - total
    if left == 0:
        return
    grow = left > 0
    order = sorted(active, key=lambda place: (-sizes[place], -place if grow else place))
    for place in order:
        if left:
            share = _rounded(sizes[place] * most, most_before[place] or total) - sizes[place]
            share = min(share, left) if grow else max(share, left)
            sizes[place] += share
            left -= share
    sizes[order[0]] = max(0, sizes[order[0]] + left)


def _rounded(numerator: int, denominator: int) -> int:
    """The nearest whole number, a half upwards; both are 0 or more."""
    return (2 * numerator + denominator) // (2 * denominator)
