"""Did a fault bite? What traffic, deaths of processes and scraped series say, each with a stated bound on the error.

A fault whose effect was not seen proves nothing about the strategy: its drill is inconclusive, never passed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from chaos.evidence import US, of_revision
from chaos.faults.node import NodeFault
from chaos.faults.plan import FaultPlan, ProcessFault
from chaos.load.log import Records, failed, latency_seconds
from chaos.timeline import Moment
from scenarios.schema import (
    CrashLoopFault,
    ErrorRatioFault,
    LatencyFault,
    MemoryLeakFault,
    NeverReadyFault,
    Outage,
    PoolLeakFault,
    SlowStartFault,
)

ALPHA: Final = 1e-4  #: probability at most with which a fault without effect is taken for one that bites
FEWEST: Final = 50  #: requests that a comparison needs on its healthy side
_AT_ONCE_SECONDS: Final = 2.0  #: real time from a deletion without grace until the pod is gone, at most
_NOISE_MIB: Final = 4.0  #: growth of a replica that does not leak, at most


@dataclass(frozen=True, slots=True)
class Life:
    """One process of a replica; monotonic seconds, NaN where it did not happen."""

    pod: str
    revision: str
    started: float
    ready: float
    died: float
    code: int | None = None
    gone: float = math.nan  #: its pod was deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Everything that speaks about faults.

    Attributes:
        records: all requests that the service could answer.
        began, until: monotonic seconds of the rollout's start and of the end of looking.
        memory_mib: by pod, (first, largest) resident memory that was scraped after the fault.
        pool: by pod, the most connections that were in use.
        usual_start_seconds: real seconds from the start of a healthy process until it is ready.
        rounds: monotonic seconds of the scrapes.
    """

    records: Records
    began: float
    until: float
    speed: float
    lives: Sequence[Life] = ()
    memory_mib: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    pool: Mapping[str, float] = field(default_factory=dict)
    usual_start_seconds: float = 0.0
    rounds: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """Whether a fault bit, and what says so; `p_value` is that of the test in traffic, None where none was needed."""

    verified: bool
    reason: str
    p_value: float | None = None


def verified(plan: FaultPlan, injected: Moment | None, seen: Seen) -> Effect:
    """Whether a fault was seen to act."""
    if injected is None:
        return Effect(False, f"{plan.kind}: no target ever bore it")
    fault = plan.fault
    match fault:
        case ErrorRatioFault():
            return _more(plan, injected, seen, failed(seen.records), "failed")
        case LatencyFault():
            line = fault.add_seconds * plan.severity
            slow = (latency_seconds(seen.records) >= line) & (seen.records["status"] > 0)
            return _more(plan, injected, seen, slow, f"took {line:g} s or longer")
        case CrashLoopFault():
            return _deaths(plan, injected, seen, code=1)
        case NodeFault():
            return _outside(plan, fault, injected, seen)
        case ProcessFault(kind="kill"):
            return _deaths(plan, injected, seen, code=-9)
        case ProcessFault():
            return _silence(plan, injected, seen)
        case NeverReadyFault():
            return _never_ready(plan, injected, seen)
        case SlowStartFault():
            return _slow_start(plan, injected, seen, fault.add_seconds * plan.severity / seen.speed)
        case MemoryLeakFault():
            return _memory(plan, injected, seen)
        case PoolLeakFault():
            return _pool(plan, seen)
        case Outage():
            return _blind(plan, injected, seen)
    raise AssertionError(f"nobody knows what {fault!r} should do")


def _outside(plan: FaultPlan, fault: NodeFault, injected: Moment, seen: Seen) -> Effect:
    """A fault that acts on pods from outside."""
    records = seen.records
    answered = records["status"] > 0
    match fault.kind:
        case "pod_kill" | "container_kill" | "pod_failure":
            return _ended(plan, injected, seen)
        case "memory_stress" if (found := _ended(plan, injected, seen)).verified:
            return found
        case "http_abort":
            return _more(plan, injected, seen, records["status"] == fault.parameters()["status"], "were aborted")
        case "freeze" | "partition":
            return _quiet(plan, injected, seen)
        case "packet_delay" | "http_delay" if fault.latency_seconds is not None:
            line = max(0.001, fault.latency_seconds - (fault.jitter_seconds or 0.0))
            slow = (latency_seconds(records) >= line) & answered
            return _more(plan, injected, seen, slow, f"took {line:g} s or longer")
    usual = _usual_seconds(plan, injected, seen)  # loss, stress and bandwidth: slower than users knew it
    slow = (latency_seconds(records) > usual) | ~answered
    return _more(plan, injected, seen, slow, f"took longer than {usual:.3g} s")


def _usual_seconds(plan: FaultPlan, injected: Moment, seen: Seen) -> float:
    """What nine of ten requests did not exceed where the fault does not act, or before it did."""
    records = seen.records
    there = records["done_us"] < injected.lo * US
    taken = latency_seconds(records[there & (records["status"] > 0)])
    return float(np.quantile(taken, 0.9)) if len(taken) else float("inf")


def _ended(plan: FaultPlan, injected: Moment, seen: Seen) -> Effect:
    """Containers of the target died under the fault, or their pods went at once; a rollout deletes pods more slowly."""
    dead = [
        life
        for life in _ours(plan, seen)
        if life.died >= injected.lo or injected.lo <= life.gone <= injected.hi + _AT_ONCE_SECONDS
    ]
    return Effect(bool(dead), f"{plan.kind}: {len(dead)} containers ended")


def _quiet(plan: FaultPlan, injected: Moment, seen: Seen) -> Effect:
    """Requests went without an answer, or a replica that had answered fell silent, or none of the target is reached."""
    lost = _more(plan, injected, seen, seen.records["status"] == 0, "got no answer")
    others = (evidence(plan, injected, seen) for evidence in (_silence, _unreached))
    return lost if lost.verified else next((each for each in others if each.verified), lost)


def _unreached(plan: FaultPlan, injected: Moment, seen: Seen) -> Effect:
    """No pod of the target answered any more, and more requests than before had an answer of no pod at all.

    Who is cut off before it has answered often is named by no response: such a request is told by the router, or by
    nobody.
    """
    records = seen.records
    after = (records["sent_us"] >= injected.hi * US) & (records["sent_us"] < _end(plan, injected.lo, seen) * US)
    before = records["done_us"] < injected.lo * US
    answered = sum(int((of_revision(records, revision) & after).sum()) for revision in plan.revisions)
    nobody = records["revision"] == 0
    counts = [(int((nobody & each).sum()), int(each.sum())) for each in (after, before)]
    text = (
        f"{plan.kind}: {answered} responses of its targets; {counts[0][0]} of {counts[0][1]} requests were answered by "
        f"no pod, {counts[1][0]} of {counts[1][1]} before"
    )
    if counts[1][1] < FEWEST:
        return Effect(False, f"{text}: too few to compare with")
    p_value = more_often(*counts[0], *counts[1])
    return Effect(answered == 0 and p_value <= ALPHA, f"{text} (p = {p_value:.2g})", p_value)


def more_often(count: int, size: int, other_count: int, other_size: int) -> float:
    """How likely at least so many would be in the first sample if both had the same share; Fisher's one-sided test.

    Args:
        count, size: of the first sample; other_count, other_size: of the second.

    Source:
        Fisher (1934): hypergeometric, given the sums of the table.

    >>> round(more_often(3, 4, 1, 4), 6)
    0.242857
    """
    total = count + other_count
    most = min(size, total)
    if count <= max(0, total - other_size):
        return 1.0
    k = np.arange(count, most + 1)
    logs = _choose(size, k) + _choose(other_size, total - k) - _choose(size + other_size, np.array([total]))
    return float(min(1.0, np.exp(special.logsumexp(logs))))


def _choose(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logarithm of the binomial coefficient; shape of k."""
    found: NDArray[np.float64] = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return found


# --- traffic -----------------------------------------------------------------------------------------------------


def _more(plan: FaultPlan, injected: Moment, seen: Seen, property_of: NDArray[np.bool_], what: str) -> Effect:
    """Responses with a property are more frequent in the target than where the fault does not act."""
    records = seen.records
    after = records["sent_us"] >= injected.lo * US
    target = np.zeros(len(records), dtype=np.bool_)
    for revision in plan.revisions:
        target |= of_revision(records, revision)
    others = after & ~target & (records["revision"] > 0)
    before = records["done_us"] < injected.lo * US
    reference, named = (others, "elsewhere") if int(others.sum()) >= FEWEST else (before, "before")
    ours = target & after
    counts = int((property_of & ours).sum()), int(ours.sum())
    rest = int((property_of & reference).sum()), int(reference.sum())
    text = f"{plan.kind}: {counts[0]} of {counts[1]} responses {what}, {rest[0]} of {rest[1]} {named}"
    if rest[1] < FEWEST:
        return Effect(False, f"{text}: too few to compare with")
    p_value = more_often(*counts, *rest)
    return Effect(p_value <= ALPHA, f"{text} (p = {p_value:.2g})", p_value)


def _silence(plan: FaultPlan, injected: Moment, seen: Seen) -> Effect:
    """A replica that answered before is silent for longer than chance allows.

    Of requests that reach a replica with equal chance, the longest gap of one that answers at a rate r lasts longer
    than g with a probability of at most (requests) exp(-r g).
    """
    records = seen.records
    told = []
    for revision in plan.revisions:
        ours = records[of_revision(records, revision)]
        for pod in np.unique(ours["pod"]).tolist():
            done = np.sort(ours["done_us"][ours["pod"] == pod]) / US
            before, after = done[done < injected.lo], done[done >= injected.hi]
            if len(before) < FEWEST:
                continue
            rate = len(before) / (before[-1] - before[0])
            gap = float(np.diff(np.concatenate([[injected.hi], after, [seen.until]])).max())
            p_value = min(1.0, len(done) * float(np.exp(-rate * gap)))
            told.append((p_value, pod.decode(), gap))
    if not told:
        return Effect(False, f"{plan.kind}: no replica had answered {FEWEST} requests before")
    p_value, pod, gap = min(told)
    text = f"{plan.kind}: {pod} did not answer for {gap:.2f} s (p = {p_value:.2g})"
    return Effect(p_value * len(told) <= ALPHA, text, p_value * len(told))


# --- processes ---------------------------------------------------------------------------------------------------


def _deaths(plan: FaultPlan, injected: Moment, seen: Seen, *, code: int) -> Effect:
    dead = [life for life in _ours(plan, seen) if life.code == code and life.died >= injected.lo]
    return Effect(bool(dead), f"{plan.kind}: {len(dead)} processes ended with {code}")


def _never_ready(plan: FaultPlan, injected: Moment, seen: Seen) -> Effect:
    """None became ready though there was time enough: three times what a healthy process takes."""
    enough = 3.0 * seen.usual_start_seconds
    lives = [life for life in _ours(plan, seen) if life.started >= injected.lo]
    ready = [life for life in lives if not np.isnan(life.ready)]
    waited = [life for life in lives if np.isnan(life.ready) and seen.until - life.started >= enough]
    text = f"{plan.kind}: {len(ready)} of {len(lives)} processes became ready, {len(waited)} had {enough:.1f} s for it"
    return Effect(bool(waited) and not ready, text)


def _slow_start(plan: FaultPlan, injected: Moment, seen: Seen, added_seconds: float) -> Effect:
    """A process became ready, or had not yet, later than the delay alone."""
    took = [
        (life.ready if not np.isnan(life.ready) else seen.until) - life.started
        for life in _ours(plan, seen)
        if life.started >= injected.lo
    ]
    late = [seconds for seconds in took if seconds >= added_seconds]
    text = f"{plan.kind}: {len(late)} of {len(took)} processes were not ready for {added_seconds:.2f} s"
    return Effect(bool(late) and len(late) * 2 >= len(took), text)


def _ours(plan: FaultPlan, seen: Seen) -> list[Life]:
    return [life for life in seen.lives if life.revision in plan.revisions]


# --- scraped series ----------------------------------------------------------------------------------------------


def _memory(plan: FaultPlan, injected: Moment, seen: Seen) -> Effect:
    killed = [life for life in _ours(plan, seen) if life.code == 137 and life.died >= injected.lo]
    if killed:
        return Effect(True, f"{plan.kind}: {len(killed)} processes ran into their memory limit")
    named = {life.pod for life in _ours(plan, seen)}
    grown = {pod: high - low for pod, (low, high) in seen.memory_mib.items() if pod in named}
    most = max(grown.values(), default=0.0)
    return Effect(most > _NOISE_MIB, f"{plan.kind}: no process was killed, one grew by {most:.1f} MiB")


def _pool(plan: FaultPlan, seen: Seen) -> Effect:
    """More connections are taken than requests could hold: those of the other revision, or a few, are the measure."""
    named = {life.pod for life in _ours(plan, seen)}
    ours = max((most for pod, most in seen.pool.items() if pod in named), default=0.0)
    rest = max((most for pod, most in seen.pool.items() if pod not in named), default=0.0)
    return Effect(
        ours > rest + 2.0, f"{plan.kind}: {ours:g} connections of a replica in use, {rest:g} where nothing leaks"
    )


def _end(plan: FaultPlan, since: float, seen: Seen) -> float:
    """Until when a fault acted that began then, monotonic seconds."""
    return seen.until if plan.for_seconds is None else min(seen.until, since + plan.for_seconds / seen.speed)


def _blind(plan: FaultPlan, injected: Moment, seen: Seen) -> Effect:
    end = _end(plan, injected.hi, seen)
    inside = [at for at in seen.rounds if injected.hi < at < end]
    text = f"{plan.kind}: {len(inside)} scrapes in {end - injected.hi:.2f} s of {len(seen.rounds)} in all"
    return Effect(len(inside) <= 1 and end > injected.hi, text)  # one may have been under way
