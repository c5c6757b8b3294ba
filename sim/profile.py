"""Weights, badness and pods over time, averaged over the first chunk of a cell: what plots show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.model import US
from sim.pods import CANARY
from sim.results import Profile

if TYPE_CHECKING:
    from sim.engines.batch import Chunk

BINS = 181


def profile_of(chunk: Chunk) -> Profile:
    """Expected shares and bad responses at equally spaced times, from the segments of each replication."""
    model = chunk.model
    times = np.linspace(0.0, model.horizon_us / US, BINS)
    times_us = np.rint(times * US).astype(np.int64)
    middles = (times_us[:-1] + times_us[1:]) // 2
    weight = np.zeros((chunk.count, BINS))
    bad = np.zeros((chunk.count, BINS))
    rate = np.zeros((chunk.count, BINS))
    pods = np.zeros((chunk.count, BINS))
    for row, (lane, world) in enumerate(zip(chunk.lanes, chunk.worlds, strict=True)):
        since = np.array([segment[0] for segment in lane.segments])
        at = np.searchsorted(since, times_us, side="right") - 1
        slow = chunk.plane.classes[row, :, :, model.fast_classes :].sum(axis=2)
        shares, badness = [], []
        for _, _, flow, regime in lane.segments:
            shares.append(flow[2 * CANARY])
            badness.append(
                sum(flow[2 * v] * (flow[2 * v + 1] + (1 - flow[2 * v + 1]) * slow[v, regime]) for v in (0, 1))
            )
        weight[row] = np.array(shares)[at]
        bad[row] = np.array(badness)[at]
        edges = np.concatenate([times_us[:1], middles, times_us[-1:]])
        passed = np.diff([world.arrivals.at_us(int(edge)) for edge in edges])
        rate[row] = passed / np.maximum(np.diff(edges) / US, 1e-9)
        lives = np.array(world.pods.lives_until(model.horizon_us + 1))
        born, gone = np.sort(lives[:, 0]), np.sort(lives[:, 1])
        pods[row] = np.searchsorted(born, times_us, side="right") - np.searchsorted(gone, times_us, side="right")
    low, high = np.quantile(weight, [0.05, 0.95], axis=0)
    return Profile(
        time_seconds=times,
        weight_mean=weight.mean(axis=0),
        weight_lo=low,
        weight_hi=high,
        bad_ratio_mean=bad.mean(axis=0),
        bad_per_second=(bad * rate).mean(axis=0),
        pods_mean=pods.mean(axis=0),
    )
