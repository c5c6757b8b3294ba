"""The samples that a query can see at its time: the store as a source of series for the PromQL evaluator.

Axes: S series, A replications (those that ask, each at its own time), T scrapes in ascending time. A series that a
scrape no longer finds ends with a staleness marker at the time of that scrape, as Prometheus writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from sim.pod_ring import EXISTS, RUNNING, SCRAPED, TARGET, PodRing
from strategies.metrics.exported import Exported
from strategies.metrics.series import Matcher, Selected

if TYPE_CHECKING:
    from sim.scrape import Store

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
#: what must hold at a scrape for a pod's series to be found by it
_FOUND: Final = {"up": TARGET, "restarts": EXISTS, "ready": EXISTS, "working_set": RUNNING}


def column(series: Exported, classes: Callable[[float], int]) -> slice:
    """The columns of a store's counts that add up to a counter; `classes` says how many lie below a bound."""
    if series.part == "failed":
        return slice(0, 1)
    if series.bound_seconds is not None:
        return slice(1, 1 + classes(series.bound_seconds))
    return slice(1, None)


class Sight:
    """What some replications of a store see, each at its own time; see `strategies.metrics.series.Source`."""

    def __init__(self, store: Store, rows: IntArray, now_us: IntArray, k: int) -> None:
        """`rows` and `now_us` have the shape [A]; k is the last scrape of all of them."""
        self._store, self._rows = store, rows
        scrapes = np.arange(k - store.length + 1, k + 1)
        self.places: IntArray = scrapes % store.length
        self._valid = scrapes >= 0
        time_us = store.phase_us[rows][:, None] + scrapes * store.interval_us
        if store.times_us is not None:
            time_us = np.where(self._valid, store.times_us[self.places[:, None], rows[None, :]].T, time_us)
        self.scrapes = scrapes
        self.at = (self.places[:, None], rows[None, :])  #: of the first two axes of a ring: [T, A]
        self.times_ms: IntArray = time_us // 1000
        self.visible: BoolArray = self._valid & (time_us + store.lag_us <= now_us[:, None])

    @property
    def replications(self) -> int:
        """A, the number of replications that ask."""
        return int(self._rows.size)

    def select(self, matchers: Sequence[Matcher]) -> Selected:
        """See `Source`."""
        labels: list[dict[str, str]] = []
        values: list[FloatArray] = []
        exists: list[BoolArray] = []
        for series in self._store.selected(tuple(matchers)):
            if series.family.per_pod:
                self._add_pods(series, matchers, labels, values, exists)
            else:
                labels.append(dict(series.labels))
                value, found = self._of_router(series)
                values.append(value)
                exists.append(found)
        shape = (0, *self.visible.shape)
        value = np.array(values) if values else np.zeros(shape)
        there = np.array(exists) if exists else np.zeros(shape, dtype=bool)
        stale = np.zeros_like(there)
        stale[:, :, 1:] = there[:, :, :-1] & ~there[:, :, 1:]
        stale &= self.visible
        # the first scrape of the ring is there only to see what ended at the second
        return Selected(
            labels=tuple(labels),
            times_ms=self.times_ms[None, :, 1:],
            values=value[:, :, 1:],
            kept=((there | stale) & self.visible)[:, :, 1:],
            stale=stale[:, :, 1:] if stale.any() else None,
        )

    def increase(self, matchers: Sequence[Matcher], at_ms: IntArray, range_ms: int) -> IntArray:
        """What the counters that a selector finds have counted in the window before a time, all together; shape [A]."""
        found = self.select(matchers)
        times = found.times_ms[0]
        inside = (times > (at_ms - range_ms)[:, None]) & (times <= at_ms[:, None])
        total: IntArray = np.zeros(self.replications, dtype=np.int64)
        for row in range(len(found.labels)):
            kept = found.kept[row] & inside
            if found.stale is not None:
                kept &= ~found.stale[row]
            before = np.full(self.replications, np.inf)
            for value, there in zip(found.values[row].T, kept.T, strict=True):
                fresh = np.where(value < before, np.where(np.isinf(before), 0.0, value), value - before)
                total += np.where(there, fresh, 0.0).astype(np.int64)
                before = np.where(there, value, before)
        return total

    def _of_router(self, series: Exported) -> tuple[FloatArray, BoolArray]:
        store, revision = self._store, series.revision
        counts = store.counts[(*self.at, revision)]
        value = counts[..., column(series, store.classes)].sum(axis=2).T.astype(np.float64)
        found = self._valid & (self.scrapes >= store.born[self._rows, revision][:, None])
        if store.failed is not None:
            found &= ~store.failed[(*self.at, 0)].T
        return value, found & self._begun(series, counts).T

    def _add_pods(
        self,
        series: Exported,
        matchers: Sequence[Matcher],
        labels: list[dict[str, str]],
        values: list[FloatArray],
        exists: list[BoolArray],
    ) -> None:
        """Add the series of every pod of a revision that any of the replications has seen."""
        store = self._store
        ring = store.pods
        assert ring is not None, "a query for series of pods must be declared, so that they are drawn"
        flags = ring.flags[(*self.at, series.revision)]
        need = _FOUND.get(series.family.signal, SCRAPED)
        found = ((flags & need) > 0) & self._valid[:, None, None]
        of_pod = [matcher for matcher in matchers if matcher.label in series.of_pod]
        for ordinal in np.flatnonzero(found.any(axis=(0, 1))).tolist():
            pod = store.facts.pod(series.revision, ordinal)
            if all(series.found_by(matcher, pod) for matcher in of_pod):
                counts = ring.counts[(*self.at, series.revision, ordinal)]
                labels.append(series.labels_of(pod))
                values.append(self._of_pod(series, ring, ordinal, counts, flags[:, :, ordinal]))
                exists.append((found[:, :, ordinal] & self._begun(series, counts)).T)

    def _begun(self, series: Exported, counts: IntArray) -> BoolArray:
        """Where a series that waits for its first event has had one; a histogram begins as a whole. Shape [T, A]."""
        if series.born == "start" or self._store.began_before(series.revision, series.part):
            return np.ones(counts.shape[:-1], dtype=bool)
        part = counts[..., :1] if series.part == "failed" else counts[..., 1:]
        return np.asarray(part.any(axis=-1))

    def _of_pod(
        self, series: Exported, ring: PodRing, ordinal: int, counts: IntArray, flags: NDArray[np.uint8]
    ) -> FloatArray:
        """Values of one pod's series, shape [A, T]."""
        signal = series.family.signal
        if signal == "up":
            return ((flags & SCRAPED) > 0).T.astype(np.float64)
        if signal == "pool_max":
            return np.full(self.visible.shape, float(self._store.model.scenario.service.resources.pool_size))
        if signal in ring.gauges:
            gauge: FloatArray = np.asarray(ring.gauges[signal][(*self.at, series.revision, ordinal)].T)
            return 1.0 - gauge if series.part == "false" else gauge
        value: FloatArray = counts[..., column(series, self._store.classes)].sum(axis=2).T.astype(np.float64)
        return value
