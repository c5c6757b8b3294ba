"""The lags of a drill, each seen in it: of its pods' starts, of endpoints, of the router.

| | |
|---|---|
| schedule | a pod is there → it has a node |
| pull | it has a node → its container runs |
| run | a pod is there → its container runs: both together, all that a world without a scheduler tells |
| start | its container runs → it is ready: the start of the process, and the probe that finds it started |
| ready | a pod is there → it is ready: what counts of all these |
| join | it is ready → the first request that it answered |
| leave | it is told to end → the last request that it answered |
| weight_on | a weight is ordered → the first request of the revision that had none |
| weight_off | a weight is ordered → the last request of the revision that is left without |

The first five are told by the API server, or by our own kubelet, and are as exact as news of it: some milliseconds.
But a kubelet sees that a container runs up to a second after it does, which lengthens `pull` and `run` and shortens
`start`: how `ready` is divided is not exact, `ready` is. The others are seen in traffic, and only as exactly as
requests come: after a pod joined, its first request comes `wait_seconds` later on average, and before it left, the last
one came so much earlier. A request counts at the time at which it was sent, so no latency is in them.

A join or a leave shows endpoints only where the revision had traffic at that time; elsewhere it shows the weight, and
is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chaos.evidence import US, of_revision
from chaos.load.log import Records
from chaos.results import Happening, Lag, revision_told
from strategies.effects import Revision

FloatArray = NDArray[np.float64]
#: kind -> (from, to), as happenings
HEARD: Final = {
    "schedule": ("pod_made", "pod_scheduled"),
    "pull": ("pod_scheduled", "container_started"),
    "run": ("pod_made", "container_started"),
    "start": ("container_started", "pod_ready"),
    "ready": ("pod_made", "pod_ready"),
}
SEEN: Final = ("join", "leave", "weight_on", "weight_off")  #: in traffic
KINDS: Final = (*HEARD, *SEEN)
_OTHER: Final[dict[Revision, Revision]] = {"canary": "stable", "stable": "canary"}
_REQUESTS: Final = 20  #: that the mean wait for one is taken of
_FEWEST: Final = 5
_WAITS: Final = 5.0  #: that a last request may lie before the end of traffic: all but 0.7 % do


@dataclass(frozen=True, slots=True)
class _Routing:
    """How traffic is shared out from a time on."""

    at: float  #: scenario seconds
    weight: float | None  #: the canary's; None: every ready pod gets the same
    ordered: float | None = None  #: when the weight was ordered

    @property
    def from_seconds(self) -> float:
        """From when it may hold."""
        return self.at if self.ordered is None else self.ordered

    def reaches(self, revision: str) -> bool:
        """Pods of a revision get requests."""
        return self.weight is None or (self.weight > 0 if revision == "canary" else self.weight < 1)


@dataclass(slots=True)
class _Pod:
    """What was told of one pod; scenario seconds."""

    name: str
    revision: Revision
    marks: dict[str, float] = field(default_factory=dict)
    died: float = math.inf  #: when its container first did


def lags(happenings: Sequence[Happening], records: Records, *, began: float, speed: float) -> tuple[Lag, ...]:
    """Every lag that a drill shows, by kind, in order; none of pods that were there before the rollout.

    Args:
        happenings: in order, pods and weights among them.
        records: the traffic.
        began: monotonic seconds at scenario time 0.
    """
    sent = (records["sent_us"] / US - began) * speed
    routings = _routings(happenings)
    found = [
        lag for pod in _pods(happenings, speed) for lag in (*_heard(pod), *_in_traffic(pod, records, sent, routings))
    ]
    found += _weights(routings, records, sent)
    return tuple(sorted(found, key=lambda lag: KINDS.index(lag.kind)))


def _pods(happenings: Sequence[Happening], speed: float) -> list[_Pod]:
    """Pods in the order in which they were first heard of; times are those at which word of them came."""
    pods: dict[str, _Pod] = {}
    wanted = {name for pair in HEARD.values() for name in pair} | {"pod_deleted"}
    for one in happenings:
        if one.kind in wanted or one.kind == "container_died":
            pod = pods.setdefault(one.who, _Pod(one.who, _revision(one)))
            at = one.at_seconds - speed * float(one.facts.get("late_seconds", 0.0))
            if one.kind == "container_died":
                pod.died = min(pod.died, at)
            else:
                pod.marks.setdefault(one.kind, at)
    return list(pods.values())


def _revision(one: Happening) -> Revision:
    return "canary" if revision_told(one.who, one.facts) == "canary" else "stable"


def _heard(pod: _Pod) -> list[Lag]:
    """How it started; a container that died before it was ready tells no start."""
    if pod.marks.get("pod_made", -1.0) < 0:
        return []
    spans = {kind: (pod.marks.get(a, math.nan), pod.marks.get(b, math.nan)) for kind, (a, b) in HEARD.items()}
    return [
        Lag(kind, pod.name, pod.revision, until - since)
        for kind, (since, until) in spans.items()
        if not math.isnan(until - since) and until <= pod.died
    ]


# --- in traffic --------------------------------------------------------------------------------------------------


def _routings(happenings: Sequence[Happening]) -> list[_Routing]:
    found = [_Routing(-math.inf, 0.0)]
    for one in happenings:
        if one.kind == "follows_pods":
            found.append(_Routing(one.at_seconds, None))
        elif one.kind == "weight_effective" and "ordered_seconds" in one.facts:
            ordered = float(one.facts["ordered_seconds"])
            found.append(_Routing(one.at_seconds, float(one.facts["weight"]), ordered))
    return found


def _in_traffic(pod: _Pod, records: Records, sent: FloatArray, routings: Sequence[_Routing]) -> list[Lag]:
    """When it joined and left the endpoints."""
    its = np.sort(sent[records["pod"] == pod.name.encode()[:64]])
    found = []
    ready, deleted = pod.marks.get("pod_ready"), pod.marks.get("pod_deleted")
    if ready is not None and pod.marks.get("pod_made", -1.0) >= 0 and len(its) and pod.died > ready:
        wait = _wait(its)
        if wait and _reached(routings, pod.revision, ready, float(its[0])):
            found.append(Lag("join", pod.name, pod.revision, float(its[0]) - ready, wait))
    if ready is not None and deleted is not None and deleted >= 0 and len(its) and pod.died > float(its[-1]):
        wait = _wait(-its[::-1])
        last = float(its[-1])
        if wait and last > deleted - _WAITS * wait and _reached(routings, pod.revision, deleted, last + _WAITS * wait):
            found.append(Lag("leave", pod.name, pod.revision, last - deleted, wait))
    return found


def _reached(routings: Sequence[_Routing], revision: str, since: float, until: float) -> bool:
    """A revision had traffic all the time between two instants."""
    since, until = min(since, until), max(since, until)
    ends = [*(one.at for one in routings[1:]), math.inf]  # between an order and its answer both may hold
    there = [one for one, end in zip(routings, ends, strict=True) if one.from_seconds <= until and end >= since]
    return all(one.reaches(revision) for one in there)


def _wait(times: FloatArray) -> float:
    """Mean time between the first requests of some; 0 with too few of them."""
    some = times[: _REQUESTS + 1]
    return float(some[-1] - some[0]) / (len(some) - 1) if len(some) > _FEWEST else 0.0


def _weights(routings: Sequence[_Routing], records: Records, sent: FloatArray) -> list[Lag]:
    """What the router made of each order that gave a revision its first traffic, or took its last."""
    found: list[Lag] = []
    ends = [*(one.from_seconds for one in routings[1:]), math.inf]
    for before, after, end in zip(routings, routings[1:], ends[1:], strict=False):
        if after.ordered is None or after.ordered < 0 or before.weight is None or after.weight is None:
            continue
        for revision in _OTHER:
            had, has = before.reaches(revision), after.reaches(revision)
            if had != has:
                its = np.sort(sent[of_revision(records, revision)])
                lag = _turned(revision, its, after.ordered, end, on=has)
                found += [lag] if lag is not None else []
    return found


def _turned(revision: Revision, its: FloatArray, ordered: float, end: float, *, on: bool) -> Lag | None:
    """From an order to the first, or last, request of a revision before another order."""
    its = its[its < end]
    if on:
        its = its[its >= ordered]
        wait = _wait(its)
        return Lag("weight_on", "router", revision, float(its[0]) - ordered, wait) if wait else None
    wait = _wait(-its[::-1])
    if not wait or its[-1] < ordered - _WAITS * wait:
        return None
    return Lag("weight_off", "router", revision, float(its[-1]) - ordered, wait)


def by_kind(found: Sequence[Lag]) -> Mapping[str, list[Lag]]:
    """The lags of each kind that there is, in the order of KINDS."""
    return {kind: there for kind in KINDS if (there := [lag for lag in found if lag.kind == kind])}
