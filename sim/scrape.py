"""What scrapes store, and how questions are answered from it; the same arithmetic for one replication and for many.

A window holds the samples inside `(t - window, t]`, and rates follow Prometheus' own rules: two samples at least,
extrapolation to the edges of the window, never below zero. Typed questions and common queries are compiled shapes
(`sim.shapes`); every other query, and every query over pods, goes through the general evaluator.
A router's series exists from the first scrape after the first container of its revision ran.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sim.asked import typed_text
from sim.board import Board
from sim.model import Model
from sim.pod_ring import PodRing
from sim.shapes import Counter, Shape, evidence, shape_of, typed_shape, value_of
from sim.sight import Sight
from strategies.effects import Ask, CountsQuery, Measured, PromQuery, Query
from strategies.metrics.exported import Exported, selected
from strategies.metrics.series import NAME, Matcher

if TYPE_CHECKING:
    from strategies.metrics.promql import PromqlError, Vector

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
ERRORS: Final = 0  #: column of failed responses; the columns after it are latency classes of successful ones
NEVER: Final = 1 << 40
#: of the samples in a window, shape [S, A] each: times of the first and the last in ms, their number, the value of the
#: first, and by how much the last is more
Ends: TypeAlias = tuple[IntArray, IntArray, IntArray, IntArray, IntArray]


class Store:
    """A ring of cumulative counters, shape [T, R, V, 1 + C] with T what the longest question needs.

    Scrape k of a replication stands in row k mod T. Latency classes are those of `Model.buckets_seconds`.
    """

    def __init__(self, model: Model, replications: int, board: Board | None = None) -> None:
        self.model, self.facts = model, model.asked.facts
        self.interval_us, self.lag_us = model.interval_us, model.lag_us
        self.length = model.window_scrapes
        self.counts = np.zeros((self.length, replications, 2, 1 + len(model.buckets_seconds)), dtype=np.int64)
        self.phase_us = np.zeros(replications, dtype=np.int64)
        self.born = np.full((replications, 2), NEVER, dtype=np.int64)  #: first scrape with samples of a revision
        self.pods = PodRing(model, board, self.length) if board is not None else None
        #: of uneven scrapes: when each came, [T, R], and whether it failed at the router and at the cluster's exporters
        self.times_us: IntArray | None = None
        self.failed: BoolArray | None = None
        if not model.even:
            self.times_us = np.zeros((self.length, replications), dtype=np.int64)
            self.failed = np.zeros((self.length, replications, 2), dtype=bool)
        #: first scrape that shows a failed and a successful response of a revision, where series wait for them
        self.first: IntArray | None = None
        if model.asked.late:
            self.first = np.full((replications, 2, 2), NEVER, dtype=np.int64)
            self.first[:, 0] = [0 if self.began_before(0, part) else NEVER for part in ("failed", "succeeded")]
        self._found: dict[tuple[Matcher, ...], tuple[Exported, ...]] = {}
        self._shapes: dict[Ask, Shape | None] = {}

    def began_before(self, revision: int, part: str) -> bool:
        """Whether a series that waits for its first event had it before the rollout, as the stable one mostly has."""
        return revision == 0 and (part != "failed" or self.model.scenario.service.error_ratio > 0)

    def put(self, k: int, rows: IntArray | slice, counts: IntArray) -> None:
        """Store scrape k of some replications (or all): rows shape [A], cumulative counts shape [A, V, 1 + C]."""
        self.counts[k % self.length, rows] = counts
        if self.first is not None:
            shown = np.stack([counts[..., ERRORS] > 0, counts[..., 1:].any(axis=-1)], axis=-1)
            self.first[rows] = np.where(shown, np.minimum(self.first[rows], k), self.first[rows])

    def mark(self, k: int, rows: IntArray, time_us: IntArray, failed: BoolArray) -> None:
        """When scrape k of some replications came (shape [A]), and where it failed (see `failed`; shape [A, 2])."""
        assert self.times_us is not None, "an even grid is not marked"
        assert self.failed is not None, "an even grid is not marked"
        self.times_us[k % self.length, rows] = time_us
        self.failed[k % self.length, rows] = failed

    def classes(self, bound_seconds: float) -> int:
        """How many latency classes lie below an upper bound."""
        return bisect_right(self.model.buckets_seconds, bound_seconds)

    def selected(self, matchers: tuple[Matcher, ...]) -> tuple[Exported, ...]:
        """The series that a selector finds, before pods are looked at."""
        if matchers not in self._found:
            self._found[matchers] = selected(self.facts, matchers)
        return self._found[matchers]

    # -- answers --------------------------------------------------------------------------------------------------

    def measured(self, ask: Ask, rows: IntArray, now_us: IntArray, k: int, at_seconds: list[float]) -> list[Measured]:
        """The answers to one question in some replications, each asking at its own time.

        Args:
            ask: the question.
            rows: shape [A], replications.
            now_us: shape [A], when each asks.
            k: the last scrape of all of them, -1 before the first.
            at_seconds: A times at which they are answered.
        """
        if isinstance(ask, CountsQuery):
            return self._so_far(rows, now_us, k, at_seconds)
        shape = self.shape(ask)
        if isinstance(ask, Query):
            value, requests, errors, empty = (
                self.answer(shape, rows, now_us, k) if shape is not None else self._of_pods(ask, rows, now_us, k)
            )
            answers = zip(at_seconds, value.tolist(), requests.tolist(), errors.tolist(), empty.tolist(), strict=True)
            return [Measured(at, None) if none else Measured(at, v, n, bad) for at, v, n, bad, none in answers]
        if shape is not None:
            value, _, _, empty = self.answer(shape, rows, now_us, k)
            pairs = zip(at_seconds, value.tolist(), empty.tolist(), strict=True)
            return [Measured(at, None, result=[]) if none else Measured(at, v, result=[v]) for at, v, none in pairs]
        return self._general(ask, rows, now_us, k, at_seconds)

    def shape(self, ask: Query | PromQuery) -> Shape | None:
        """The compiled form of a question; None when the general evaluator must answer it."""
        if ask not in self._shapes:
            self._shapes[ask] = self._compiled(ask)
        return self._shapes[ask]

    def _compiled(self, ask: Query | PromQuery) -> Shape | None:
        if isinstance(ask, Query):
            return None if self.model.per_pod_measures else typed_shape(ask, self.facts, self.classes)
        return shape_of(self.model.asked.parsed[ask], self.facts, self.classes)

    def answer(
        self, shape: Shape, rows: IntArray, now_us: IntArray, k: int
    ) -> tuple[FloatArray, IntArray, IntArray, BoolArray]:
        """Answer a compiled question.

        Returns:
            value, requests, errors, empty: shape [A]; where `empty` is true nothing was there to measure. Requests and
            errors are those of a typed question.
        """
        rates, there, increases = self._rates(shape.counters, rows, now_us, k)
        with np.errstate(all="ignore"):
            value, kept = value_of(shape.root, rates, there)
        requests = np.zeros(rows.size, dtype=np.int64)
        errors = np.zeros(rows.size, dtype=np.int64)
        for place, failed in evidence(shape):
            requests += increases[place]
            if failed:
                errors += increases[place]
        return value, requests, errors, ~kept

    def _rates(
        self, counters: list[Counter], rows: IntArray, now_us: IntArray, k: int
    ) -> tuple[FloatArray, BoolArray, IntArray]:
        """Rate (or increase), whether there is one, and the plain increase of each counter; shape [S, A] each."""
        from strategies.metrics.promql.extrapolate import extrapolated

        ends = self._even_ends if self.times_us is None else self._uneven_ends
        first_ms, last_ms, samples, first, increase = ends(counters, rows, now_us, k)
        there = samples >= 2
        rates = np.empty(there.shape)
        for window in {each[3:] for each in counters}:
            mine = [place for place, each in enumerate(counters) if each[3:] == window]
            at = slice(None) if len(mine) == len(counters) else mine
            range_ms, offset_ms, is_rate = window
            rates[at] = extrapolated(
                first_ms[at],
                first[at].astype(np.float64),
                last_ms[at],
                increase[at].astype(np.float64),
                samples[at],
                now_us // 1000 - offset_ms,
                range_ms,
                is_counter=True,
                is_rate=is_rate,
            )[0]
        return rates, there, increase

    def _even_ends(self, counters: list[Counter], rows: IntArray, now_us: IntArray, k: int) -> Ends:
        """First and last sample of each counter on an even grid, where every scrape succeeds."""
        phase, interval = self.phase_us[rows], self.interval_us
        now_ms = now_us // 1000
        seen = np.minimum(k, (now_us - self.lag_us - phase) // interval)
        found = np.zeros((5, len(counters), rows.size), dtype=np.int64)
        spans: dict[tuple[int, int, int, int], tuple[IntArray, IntArray, IntArray, IntArray]] = {}
        for place, counter in enumerate(counters):
            revision, born = counter.revision, counter.born
            key = (revision, born, counter.range_ms, counter.offset_ms)
            if key not in spans:
                end_ms = now_ms - counter.offset_ms
                last = np.minimum(seen, (end_ms * 1000 + 999 - phase) // interval) if counter.offset_ms else seen
                first = -((phase - (end_ms - counter.range_ms + 1) * 1000) // interval)
                begun = self.born[rows, revision]
                if born and self.first is not None:
                    begun = np.maximum(begun, self.first[rows, revision, born - 1])
                first = np.maximum(np.maximum(first, begun), 0)
                there = last > first
                first = np.where(there, first, last)
                at_first = self.counts[first % self.length, rows, revision]
                at_last = self.counts[last % self.length, rows, revision]
                spans[key] = (first, last, at_first, at_last)
            first, last, at_first, at_last = spans[key]
            found[0, place], found[1, place], found[2, place] = first, last, last - first + 1
            value = _value(at_first, counter.columns)
            found[3, place], found[4, place] = value, _value(at_last, counter.columns) - value
        times_ms = (phase + found[:2] * interval) // 1000
        return times_ms[0], times_ms[1], found[2], found[3], found[4]

    def _uneven_ends(self, counters: list[Counter], rows: IntArray, now_us: IntArray, k: int) -> Ends:
        """The same where scrapes come late or fail: among all samples of the ring."""
        assert self.failed is not None, "only an uneven grid has scrapes that fail"
        sight = self.sight(rows, now_us, k)
        scraped = sight.visible & ~self.failed[(*sight.at, 0)].T
        found = np.zeros((5, len(counters), rows.size), dtype=np.int64)
        for place, counter in enumerate(counters):
            counts = self.counts[(*sight.at, counter.revision)]
            value = _value(counts, counter.columns).T
            end_ms = (now_us // 1000 - counter.offset_ms)[:, None]
            inside = (sight.times_ms > end_ms - counter.range_ms) & (sight.times_ms <= end_ms)
            inside &= scraped & (sight.scrapes >= self.born[rows, counter.revision][:, None])
            part = ("", "failed", "succeeded")[counter.born]
            if part and self.first is not None and not self.began_before(counter.revision, part):
                # of responses, not of the bucket: a histogram begins as a whole
                inside &= (counts[..., :1] if part == "failed" else counts[..., 1:]).any(axis=2).T
            first = np.argmax(inside, axis=1)[:, None]
            last = inside.shape[1] - 1 - np.argmax(inside[:, ::-1], axis=1)[:, None]
            for line, array, at in ((0, sight.times_ms, first), (1, sight.times_ms, last), (3, value, first)):
                found[line, place] = np.take_along_axis(array, at, axis=1)[:, 0]
            found[2, place] = inside.sum(axis=1)
            found[4, place] = np.take_along_axis(value, last, axis=1)[:, 0] - found[3, place]
        found[4] *= found[2] >= 2
        return found[0], found[1], found[2], found[3], found[4]

    def sight(self, rows: IntArray, now_us: IntArray, k: int) -> Sight:
        """The samples that some replications see, as a source of series."""
        return Sight(self, rows, now_us, k)

    def _general(
        self, ask: PromQuery, rows: IntArray, now_us: IntArray, k: int, at_seconds: list[float]
    ) -> list[Measured]:
        found, failures = self._evaluated(ask, rows, now_us, k)
        answers = []
        for row, at in enumerate(at_seconds):
            if row in failures:
                answers.append(Measured(at, None, error=failures[row].problem))
                continue
            if isinstance(found, np.ndarray):
                number = found[row].item()
                answers.append(Measured(at, number, result=number))
                continue
            numbers = found.numbers(row)
            answers.append(Measured(at, numbers[0] if numbers else None, result=numbers))
        return answers

    def _evaluated(
        self, ask: PromQuery, rows: IntArray, now_us: IntArray, k: int
    ) -> tuple[Vector | FloatArray, dict[int, PromqlError]]:
        """The answer of each row, and the error of those in which Prometheus would fail."""
        from strategies.metrics import promql

        query = self.model.asked.parsed[ask]
        found, failures = promql.evaluate_each(query, self.sight(rows, now_us, k), now_us // 1000)
        return found.values if isinstance(found, promql.Scalar) else found, failures

    def _of_pods(
        self, query: Query, rows: IntArray, now_us: IntArray, k: int
    ) -> tuple[FloatArray, IntArray, IntArray, BoolArray]:
        """A typed question answered by the evaluator from pods' own series; returns as `answer` does."""
        found, _ = self._evaluated(typed_text(query, self.facts), rows, now_us, k)
        assert not isinstance(found, np.ndarray), "a typed question is a vector"
        value, empty = np.full(rows.size, np.nan), np.ones(rows.size, dtype=bool)
        for values, kept in zip(found.values, found.kept, strict=True):
            value, empty = np.where(kept, values, value), empty & ~kept
        sight = self.sight(rows, now_us, k)
        range_ms = round(query.window_seconds * 1000)
        every = [Matcher(NAME, "=", "http_requests_total")]
        if query.revision != "all":
            every.append(Matcher("revision", "=", self.facts.named(query.revision, "revision")))
        errors = sight.increase([*every, Matcher("code", "=~", "5..")], now_us // 1000, range_ms)
        return value, sight.increase(every, now_us // 1000, range_ms), errors, empty

    def _so_far(self, rows: IntArray, now_us: IntArray, k: int, at_seconds: list[float]) -> list[Measured]:
        """All requests and errors that a query sees now; zeros before the first scrape."""
        sight = self.sight(rows, now_us, k)
        seen = sight.visible
        if self.model.per_pod_measures:
            assert self.pods is not None, "counts of pods are drawn where they are measured"
            counts = self.pods.told
        else:
            counts = np.stack([self.counts.sum(axis=3), self.counts[..., ERRORS]], axis=3)
            if self.failed is not None:
                seen = seen & ~self.failed[(*sight.at, 0)].T
        last = seen.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
        some = np.asarray(seen.any(axis=1))
        both = counts[sight.places[last], rows] * some[:, None, None]
        answers = both[:, ::-1].reshape(-1, 4).tolist()
        return [Measured(at, None, result=each) for at, each in zip(at_seconds, answers, strict=True)]


def _value(counts: IntArray, columns: slice) -> IntArray:
    """A counter: the sum of some of the columns of the last axis."""
    part: IntArray = counts[..., 0] if columns.stop == 1 else counts[..., columns].sum(axis=-1)
    return part
