"""What a scrape stores, and how a query is answered from it; the same arithmetic for one replication and for many.

A window of a query holds the scrapes inside `(t - window, t]`; counts are the difference of its last and first scrape
and nothing is extrapolated. A series exists from the first scrape after the first container of its revision ran: a
window with fewer than two samples is an empty vector (None), a ratio of 0 to 0 is NaN, as in Prometheus.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.model import Model
from strategies.effects import Ask, CountsQuery, Measured, Query

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ERRORS: Final = 0  #: column of failed responses; the columns after it are latency classes of successful ones


class Store:
    """A ring of cumulative counters, shape [T, R, V, 1 + C] with T the longest window in scrapes plus two.

    Scrape k of a replication stands in row k mod T. Latency classes are those of `Model.buckets_seconds`.
    """

    def __init__(self, model: Model, replications: int) -> None:
        self.model = model
        self.interval_us = model.interval_us
        self.length = model.window_scrapes
        self.counts = np.zeros((self.length, replications, 2, 1 + len(model.buckets_seconds)), dtype=np.int64)
        self.phase_us = np.zeros(replications, dtype=np.int64)
        # the objective splits the counts of the simulator, but it is no bucket of the histogram that a query reads
        inside = {*model.scenario.metrics.buckets_seconds, math.inf}
        ends = [place for place, bound in enumerate(model.buckets_seconds) if bound in inside]
        self._bounds = tuple(model.buckets_seconds[place] for place in ends)
        self._first_classes = [0, *(place + 1 for place in ends[:-1])]
        self.born = np.full((replications, 2), 1 << 40, dtype=np.int64)  #: first scrape with samples of a revision

    def put(self, k: int, rows: IntArray | slice, counts: IntArray) -> None:
        """Store scrape k of some replications (or all): rows shape [A], cumulative counts shape [A, V, 1 + C]."""
        self.counts[k % self.length, rows] = counts

    def measured(self, ask: Ask, rows: IntArray, now_us: IntArray, k: int, at_seconds: list[float]) -> list[Measured]:
        """The answers to one question; `at_seconds` says when each replication gets its own, the rest as in `answer`."""
        if isinstance(ask, CountsQuery):
            return self._so_far(rows, k, at_seconds)
        if not isinstance(ask, Query):
            raise NotImplementedError
        value, requests, errors, empty = self.answer(ask, rows, now_us, np.full(rows.size, k))
        answers = zip(at_seconds, value.tolist(), requests.tolist(), errors.tolist(), empty.tolist(), strict=True)
        return [Measured(at, None) if none else Measured(at, v, n, bad) for at, v, n, bad, none in answers]

    def _so_far(self, rows: IntArray, k: int, at_seconds: list[float]) -> list[Measured]:
        """All requests and errors as of the last scrape; zeros before the first."""
        counts = self.counts[k % self.length, rows] if k >= 0 else np.zeros_like(self.counts[0, rows])
        both = np.stack([counts.sum(axis=2), counts[:, :, ERRORS]], axis=2)[:, ::-1]
        return [
            Measured(at, None, result=result)
            for at, result in zip(at_seconds, both.reshape(-1, 4).tolist(), strict=True)
        ]

    def answer(
        self, query: Query, rows: IntArray, now_us: IntArray, k: IntArray
    ) -> tuple[FloatArray, IntArray, IntArray, NDArray[np.bool_]]:
        """Answer one query in many replications, each at its own time.

        Args:
            query: what is asked.
            rows: shape [A], replications.
            now_us: shape [A], when each asks.
            k: shape [A], the last scrape of each, -1 before the first.

        Returns:
            value, requests, errors, empty: shape [A]; where `empty` is true nothing was there to measure.
        """
        window_us = round(query.window_seconds * 1e6)
        oldest = -(
            (self.phase_us[rows] + window_us - now_us) // self.interval_us
        )  # ceil((t - window - phase)/interval)
        # a scrape exactly at t - window is outside the window (Prometheus 3: left-open)
        oldest += (self.phase_us[rows] + oldest * self.interval_us) == now_us - window_us
        revisions = {"stable": (0,), "canary": (1,), "all": (0, 1)}[query.revision]
        total = np.zeros((rows.size, self.counts.shape[3]), dtype=np.int64)
        empty = np.ones(rows.size, dtype=bool)
        span = np.zeros(rows.size)
        for revision in revisions:
            first = np.maximum(np.maximum(oldest, self.born[rows, revision]), 0)
            there = k - first >= 1
            last_row = k % self.length
            first_row = np.where(there, first, k) % self.length
            delta = self.counts[last_row, rows, revision] - self.counts[first_row, rows, revision]
            total += delta * there[:, None]
            empty &= ~there
            span = np.maximum(span, np.where(there, (k - first) * (self.interval_us * 1e-6), 0.0))
        errors = total[:, ERRORS]
        requests = total.sum(axis=1)
        return self._value(query, total, errors, requests, span), requests, errors, empty

    def _value(
        self, query: Query, total: IntArray, errors: IntArray, requests: IntArray, span: FloatArray
    ) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            if query.quantity == "error_ratio":
                return errors / requests
            if query.quantity == "success_ratio":
                return (requests - errors) / requests
            if query.quantity == "request_rate":
                return requests / span
            buckets = np.add.reduceat(total[:, 1:], self._first_classes, axis=1)
            return histogram_quantile(query.quantile, buckets, self._bounds)


def histogram_quantile(quantile: float, counts: IntArray, bounds: tuple[float, ...]) -> FloatArray:
    """The quantile that classic buckets give, by Prometheus' linear interpolation.

    Args:
        quantile: 0..1.
        counts: shape [A, C], responses of each bucket, not cumulative.
        bounds: upper bounds of the C buckets in seconds, the last one infinite.

    Returns:
        shape [A] in seconds; NaN without responses; the highest finite bound when the quantile lies above it.

    Source:
        Prometheus `histogram_quantile`, classic histograms.

    >>> histogram_quantile(0.5, np.array([[10, 10, 0]]), (0.1, 0.2, math.inf)).tolist()
    [0.1]
    """
    cumulative = np.cumsum(counts, axis=1)
    total = cumulative[:, -1]
    rank = quantile * total
    bucket = np.minimum((cumulative < rank[:, None]).sum(axis=1), len(bounds) - 1)
    rows = np.arange(counts.shape[0])
    upper = np.asarray(bounds)[bucket]
    lower = np.concatenate([[0.0], np.asarray(bounds)[:-1]])[bucket]
    before = np.where(bucket > 0, cumulative[rows, bucket - 1], 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = lower + (upper - lower) * (rank - before) / counts[rows, bucket]
    highest = bounds[-2] if len(bounds) > 1 else math.nan
    value = np.where(np.isinf(upper), highest, inside)
    return np.where(total > 0, value, np.nan)
