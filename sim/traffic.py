"""Requests over time as a cumulative rate: Lambda(t), piecewise linear between knots.

Constant rates and recorded traces are exact in this form. A daily sine and a flash crowd are integrated in closed form
at the knots; between two knots the rate is taken as its mean there (at the spacing used here, the error of a count is
below 1e-4 of the requests of a minute, tests/sim/test_traffic.py).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenarios.errors import Place, ScenarioError, ScenarioErrors
from scenarios.schema import ConstantTraffic, DailyTraffic, FlashCrowd, TraceTraffic, Traffic
from scenarios.trace import read_trace
from sim.clock import FAR

FloatArray = NDArray[np.float64]
DAY = 86400.0
MOST_KNOTS: Final = 20_000_000


@dataclass(frozen=True)
class Law:
    """Cumulative requests at knots, and how far into the law a replication may start.

    Args:
        knots_seconds: shape [K], increasing, from 0.
        cumulative: shape [K], expected requests since 0.
        starts_seconds: shape [S], the offsets a replication may start at; one is drawn for each.
        name: what it is, for the reader of results.
    """

    knots_seconds: FloatArray
    cumulative: FloatArray
    starts_seconds: FloatArray
    name: str

    def at(self, seconds: FloatArray) -> FloatArray:
        """Cumulative requests at times since the start of the law, any shape."""
        return np.interp(seconds, self.knots_seconds, self.cumulative)

    @property
    def peak_per_second(self) -> float:
        """The highest rate between two knots."""
        return float(np.max(np.diff(self.cumulative) / np.diff(self.knots_seconds)))


class Arrivals:
    """Lambda of one replication: requests expected since its rollout began."""

    __slots__ = ("at_us", "inverse_us")

    def __init__(self, law: Law, offset_seconds: float, knots: list[float], cumulative: list[float]) -> None:
        """`knots` and `cumulative` are the law's, as lists, shared by all replications."""
        self.at_us: Callable[[int], float]
        self.inverse_us: Callable[[float], int]
        if len(knots) == 2:
            rate = (cumulative[1] - cumulative[0]) / (knots[1] - knots[0]) / 1e6
            self.at_us = lambda t: rate * t
            self.inverse_us = lambda requests: math.ceil(requests / rate) if rate else FAR
            return
        base = float(np.interp(offset_seconds, law.knots_seconds, law.cumulative))

        left = right = slope = below = 0.0  # the piece that was asked for last: the next question mostly lies in it
        latest, value = -1, 0.0  # and the same instant is asked for by all who account for one change

        def at_us(time_us: int) -> float:
            nonlocal left, right, slope, below, latest, value
            if time_us == latest:
                return value
            t = offset_seconds + time_us * 1e-6
            if not left <= t < right:
                i = min(max(bisect_right(knots, t), 1), len(knots) - 1)
                left, right = knots[i - 1], knots[i]
                slope = (cumulative[i] - cumulative[i - 1]) / (right - left)
                below = cumulative[i - 1]
            latest, value = time_us, below + slope * (t - left) - base
            return value

        def inverse_us(requests: float) -> int:
            target = requests + base
            i = min(max(bisect_right(cumulative, target), 1), len(knots) - 1)
            low = cumulative[i - 1]
            step = cumulative[i] - low
            t = knots[i] if step <= 0 else knots[i - 1] + (knots[i] - knots[i - 1]) * (target - low) / step
            return math.ceil((t - offset_seconds) * 1e6)

        self.at_us = at_us
        self.inverse_us = inverse_us


def law(traffic: Traffic, horizon_seconds: float) -> Law:
    """The law of a scenario's traffic, long enough for one horizon from each of its starts."""
    if isinstance(traffic, ConstantTraffic):
        knots = np.array([0.0, horizon_seconds])
        return Law(knots, knots * traffic.rate_per_second, np.zeros(1), f"{traffic.rate_per_second:g} requests/s")
    if isinstance(traffic, DailyTraffic):
        return _daily(traffic, horizon_seconds)
    if isinstance(traffic, FlashCrowd):
        return _flash(traffic, horizon_seconds)
    return _trace(traffic, horizon_seconds)


def _daily(traffic: DailyTraffic, horizon: float) -> Law:
    knots = np.arange(0.0, DAY + horizon + 20.0, 10.0)
    omega = 2 * math.pi / DAY
    phase = omega * (knots - traffic.peak_at_seconds)
    start = math.sin(-omega * traffic.peak_at_seconds)
    cumulative = traffic.mean_per_second * (knots + traffic.amplitude / omega * (np.sin(phase) - start))
    starts = (
        np.arange(0.0, DAY, 300.0) if traffic.start_at_seconds is None else np.array([traffic.start_at_seconds % DAY])
    )
    return Law(knots, cumulative, starts, f"daily curve around {traffic.mean_per_second:g} requests/s")


def _flash(traffic: FlashCrowd, horizon: float) -> Law:
    knots = _flash_knots(traffic.at_seconds, traffic.rise_seconds, traffic.decay_seconds, horizon)
    extra = traffic.peak_per_second - traffic.base_per_second
    before = np.minimum(knots, traffic.at_seconds)
    after = np.maximum(knots - traffic.at_seconds, 0.0)
    # rate = base + extra * exp((t - at) / rise) before the peak, exp(-(t - at) / decay) after it
    rise = extra * traffic.rise_seconds * (
        np.exp((before - traffic.at_seconds) / traffic.rise_seconds)
        - math.exp(-traffic.at_seconds / traffic.rise_seconds)
    )  # fmt: skip
    decay = extra * traffic.decay_seconds * -np.expm1(-after / traffic.decay_seconds)
    cumulative = traffic.base_per_second * knots + rise + decay
    return Law(knots, cumulative, np.zeros(1), f"flash crowd to {traffic.peak_per_second:g} requests/s")


def _flash_knots(at: float, rise: float, decay: float, horizon: float) -> FloatArray:
    """Every 5 s, and so close around the peak that half a step's curvature is below 1e-4 of a minute's requests."""
    parts = [np.linspace(0.0, horizon, max(2, math.ceil(horizon / 5)) + 1), np.array([at])]
    for life, sign in ((rise, -1.0), (decay, 1.0)):
        step = min(5.0, life / 50, 0.2 * math.sqrt(life))
        first = math.floor(max(0.0, at - horizon) / step) * step if sign < 0 else 0.0  # later is not asked for
        reach = min(20 * life, at if sign < 0 else max(0.0, horizon - at))  # e**-20 of the peak is left there
        parts.append(at + sign * np.arange(first, reach, step))
    knots = np.unique(np.concatenate(parts))
    return knots[(knots >= 0.0) & (knots <= horizon)]


def _trace(traffic: TraceTraffic, horizon: float) -> Law:
    trace = read_trace(traffic.file)
    edges = trace.offsets_seconds - trace.offsets_seconds[0]
    cumulative = np.concatenate([[0.0], np.cumsum(trace.requests)])
    length = float(edges[-1])
    if traffic.scale_to_mean_per_second is not None:
        cumulative = cumulative * (traffic.scale_to_mean_per_second * length / cumulative[-1])
    # the trace goes round, so that a replication may start at any row
    rounds = 1 + math.ceil(horizon / length)
    if rounds * edges.size > MOST_KNOTS:
        problem = f"expected a trace that fills the horizon in fewer than {rounds} rounds, got one of {length:g} s"
        raise ScenarioErrors([ScenarioError(problem, field="traffic.file", place=Place(traffic.file))])
    knots = np.concatenate([edges[:-1] + i * length for i in range(rounds)] + [[rounds * length]])
    cum = np.concatenate([cumulative[:-1] + i * cumulative[-1] for i in range(rounds)] + [[rounds * cumulative[-1]]])
    if traffic.start_at_seconds is None:
        starts = edges[:-1][edges[:-1] + horizon <= length]
        starts = edges[:-1] if starts.size == 0 else starts
    else:
        starts = np.array([traffic.start_at_seconds % length])
    mean = cumulative[-1] / length
    return Law(knots, cum, starts, f"trace {traffic.file.rsplit('/', 1)[-1]}, mean {mean:.4g} requests/s")
