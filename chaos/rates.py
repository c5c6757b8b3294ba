"""The traffic of a scenario as steps of a rate, for a load generator: (real second, requests per real second).

The rate of a step is the mean of the scenario's over it, so that the counts of every step are the scenario's.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenarios.schema import ConstantTraffic, DailyTraffic, FlashCrowd, TraceTraffic, Traffic
from scenarios.trace import read_trace

Steps = tuple[tuple[float, float], ...]
MOST_STEPS: Final = 5_000
_DAY: Final = 86_400.0


def steps(
    traffic: Traffic, *, lead_seconds: float, until_seconds: float, speed: float, rng: np.random.Generator
) -> Steps:
    """The rates of one drill.

    Args:
        lead_seconds: scenario time of traffic before the rollout begins, at the rate of its first moment; negative:
            the generator begins so much later than the rollout.
        until_seconds: scenario time of the rollout after which nothing is sent.
        speed: scenario seconds per real second.
        rng: draws the time of day, or the row of a trace, where the scenario leaves it open.
    """
    width = max(until_seconds / MOST_STEPS, 0.5 * speed)
    edges = np.arange(0.0, until_seconds + width, width)
    if isinstance(traffic, ConstantTraffic):
        edges = np.array([0.0, until_seconds])
    per_second = np.diff(_cumulative(traffic, edges, rng)) / np.diff(edges)
    now = min(max(0, int(np.searchsorted(edges, -lead_seconds, side="right")) - 1), len(per_second) - 1)
    found = [(0.0, float(per_second[now] * speed))]
    for edge, rate in zip(edges[:-1].tolist(), per_second.tolist(), strict=True):
        if edge + lead_seconds > 0 and rate * speed != found[-1][1]:
            found.append(((edge + lead_seconds) / speed, rate * speed))
    return tuple(found)


def peak(rates: Steps) -> float:
    """The highest rate, per real second."""
    return max(rate for _, rate in rates)


def _cumulative(traffic: Traffic, at: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Requests since the rollout began, shape of `at` (scenario seconds)."""
    match traffic:
        case ConstantTraffic():
            return at * traffic.rate_per_second
        case DailyTraffic():
            start = traffic.start_at_seconds
            begins = float(rng.random() * _DAY) if start is None else start
            omega = 2 * math.pi / _DAY
            phase = omega * (begins + at - traffic.peak_at_seconds)
            swing = traffic.amplitude / omega * (np.sin(phase) - math.sin(omega * (begins - traffic.peak_at_seconds)))
            return np.asarray(traffic.mean_per_second * (at + swing))
        case FlashCrowd():
            return _flash(traffic, at)
        case TraceTraffic():
            return _trace(traffic, at, rng)


def _flash(traffic: FlashCrowd, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Base rate, an exponential rise to the peak and an exponential decay after it, integrated."""
    extra, peak_at = traffic.peak_per_second - traffic.base_per_second, traffic.at_seconds
    before, after = np.minimum(at, peak_at), np.maximum(at - peak_at, 0.0)
    rise, decay = traffic.rise_seconds, traffic.decay_seconds
    up = rise * (np.exp((before - peak_at) / rise) - math.exp(-peak_at / rise))
    down = -decay * np.expm1(-after / decay)
    return np.asarray(traffic.base_per_second * at + extra * (up + down))


def _trace(traffic: TraceTraffic, at: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A recorded trace, which goes round."""
    trace = read_trace(traffic.file)
    edges, total = trace.offsets_seconds, float(trace.requests.sum())
    known = np.concatenate([[0.0], np.cumsum(trace.requests)])
    length = trace.duration_seconds
    scale = 1.0
    if traffic.scale_to_mean_per_second is not None:
        scale = traffic.scale_to_mean_per_second * length / total
    begins = traffic.start_at_seconds
    if begins is None:
        begins = float(edges[int(rng.random() * (len(edges) - 1))])
    rounds, rest = np.divmod(begins + at, length)
    passed = rounds * total + np.interp(rest, edges, known)
    return np.asarray(scale * (passed - passed[0]))
