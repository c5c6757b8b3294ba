"""A user's own Deployment or Argo Rollout, read: what it wants, which revision is which, and how its rollout stands."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chaos.cluster.kinds import DEPLOYMENT, ROLLOUT, Kind
from chaos.cluster.kube import Object

DEPLOYMENT_HASH: Final = "pod-template-hash"
ROLLOUT_HASH: Final = "rollouts-pod-template-hash"
KINDS: Final[Mapping[str, tuple[Kind, str]]] = {
    "deployment": (DEPLOYMENT, DEPLOYMENT_HASH),
    "rollout": (ROLLOUT, ROLLOUT_HASH),
}


class Stand(enum.Enum):
    """How a rollout stands."""

    RESTING = "at rest"
    UNDER_WAY = "under way"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class Seen:
    """A look at a workload.

    Attributes:
        wanted: replicas. hash: of the pods that it wants now, empty when it does not say.
        reason: why it went back or stands still.
        shares: share of the traffic (0..1) that its router gives to pods of each hash, None without one.
    """

    wanted: int
    hash: str
    settled: bool
    stalled: bool
    aborted: bool
    reason: str = ""
    shares: Mapping[str, float] | None = None

    def weight(self, stable_hash: str) -> float | None:
        """Share of the traffic that its router keeps from the revision that was stable when the drill began."""
        if self.shares is None:
            return None
        return sum(share for own, share in self.shares.items() if own != stable_hash)


def selector(found: Object) -> str:
    """Its label selector, as a query holds it; ValueError for one that is more than labels."""
    wanted = found["spec"]["selector"]
    if wanted.get("matchExpressions"):
        raise ValueError("its selector has matchExpressions; expected matchLabels alone")
    return ",".join(f"{name}={value}" for name, value in sorted(wanted.get("matchLabels", {}).items()))


def look(kind: str, found: Object, sets: Iterable[Object]) -> Seen:
    """Read a workload; `sets` are the ReplicaSets of a Deployment, which does not tell its hash itself."""
    return _rollout(found) if kind == "rollout" else _deployment(found, sets)


def stand(seen: Seen, stable_hash: str, *, began: bool) -> Stand:
    """How the rollout stands, seen from the revision that was stable when the drill began.

    Args:
        began: another revision was wanted before.
    """
    if seen.aborted:
        return Stand.ROLLED_BACK
    if not began and seen.hash in ("", stable_hash):
        return Stand.RESTING
    if seen.hash == stable_hash:
        return Stand.ROLLED_BACK
    if seen.stalled:
        return Stand.STALLED
    return Stand.PROMOTED if seen.settled else Stand.UNDER_WAY


def _deployment(found: Object, sets: Iterable[Object]) -> Seen:
    status, wanted = found.get("status", {}), int(found["spec"].get("replicas", 1))
    fresh = status.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    progress = _condition(status, "Progressing")
    late = progress.get("reason") == "ProgressDeadlineExceeded"
    return Seen(
        wanted=wanted,
        hash=_newest(found, sets) if fresh else "",
        settled=fresh and all(count == wanted for count in counts),
        stalled=late,
        aborted=False,
        reason=str(progress.get("message", ""))[:300] if late else "its template went back to that of the old revision",
    )


def _newest(found: Object, sets: Iterable[Object]) -> str:
    """The hash of the ReplicaSet of the Deployment's revision."""
    revision = found["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision")
    for each in sets:
        meta = each["metadata"]
        owned = any(owner.get("uid") == found["metadata"]["uid"] for owner in meta.get("ownerReferences", ()))
        if owned and meta.get("annotations", {}).get("deployment.kubernetes.io/revision") == revision:
            return str(meta.get("labels", {}).get(DEPLOYMENT_HASH, ""))
    return ""


def _rollout(found: Object) -> Seen:
    """Fields of `status` of argoproj.io/v1alpha1: currentPodHash, stableRS, abort, phase, message, weights."""
    status, wanted = found.get("status", {}), int(found["spec"].get("replicas", 1))
    fresh = str(status.get("observedGeneration", "")) == str(found["metadata"].get("generation", ""))
    current, stable = str(status.get("currentPodHash", "")), str(status.get("stableRS", ""))
    return Seen(
        wanted=wanted,
        hash=current if fresh else "",
        settled=fresh and status.get("phase") == "Healthy" and current == stable,
        stalled=status.get("phase") == "Degraded" and not status.get("abort"),
        aborted=bool(status.get("abort")),
        reason=_why(status),
        shares=_shares(status),
    )


def _why(status: Mapping[str, Any]) -> str:
    """Why it was aborted or stands still; of a Rollout that was just told to abort, the message is an older one."""
    progress = _condition(status, "Progressing")
    if progress.get("reason") in ("RolloutAborted", "ProgressDeadlineExceeded"):
        return str(progress.get("message", ""))[:300]
    return "it was aborted" if status.get("abort") else str(status.get("message", ""))[:300]


def _shares(status: Mapping[str, Any]) -> Mapping[str, float] | None:
    """By hash. Once a canary is promoted, its hash is that of the stable side, and the canary's weight is 0 again."""
    if active := status.get("blueGreen", {}).get("activeSelector"):
        return {str(active): 1.0}
    weights = status.get("canary", {}).get("weights")
    if not weights:
        return None
    found: dict[str, float] = {}
    for side in (weights.get("stable"), weights.get("canary"), *(weights.get("additional") or ())):
        if side and isinstance(side.get("weight"), int | float):
            own = str(side.get("podTemplateHash", ""))
            found[own] = found.get(own, 0.0) + side["weight"]
    total = sum(found.values())  # 100, or maxTrafficWeight
    return {own: weight / total for own, weight in found.items()} if total else None


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((each for each in status.get("conditions", ()) if each.get("type") == kind), {})
