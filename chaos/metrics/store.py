"""Scraped series of one drill, kept as a Prometheus would keep them: samples, and markers where a series ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from strategies.metrics.series import NAME, Labels, Matcher, Selected, pairs, satisfies

MOST_SERIES: Final = 50_000
MOST_SAMPLES: Final = 2_000_000  #: of all series; a drill of an hour with 30 replicas stays below


class Full(ValueError):
    """More series or samples than a drill should have."""


class LiveStore:
    """Series of one replication (`strategies.metrics.series.Source` with R = 1) that grow with every scrape."""

    replications: Final = 1

    def __init__(self) -> None:
        self._series: dict[Labels, tuple[list[int], list[float], list[bool]]] = {}
        self._by_target: dict[str, set[Labels]] = {}  #: series that the last scrape of a target held
        self._samples = 0

    def scraped(
        self, target: str, at_ms: int, samples: Iterable[tuple[Mapping[str, str], float]], *, own: Mapping[str, str]
    ) -> int:
        """Store one successful scrape of a target; series that it no longer exports end here.

        Args:
            target: its name.
            at_ms: scenario time of the scrape; must not fall.
            samples: label sets with `__name__`, and values.
            own: labels of the target; those of its series win where both have one (`honor_labels: true`).

        Returns:
            Number of samples.
        """
        seen: set[Labels] = set()
        for labels, value in samples:
            key = pairs({**own, **labels})
            self._put(key, at_ms, value, ended=False)
            seen.add(key)
        for key in self._by_target.get(target, set()) - seen:
            self._put(key, at_ms, float("nan"), ended=True)
        self._by_target[target] = seen
        self._put(pairs({**own, NAME: "up"}), at_ms, 1.0, ended=False)
        return len(seen)

    def failed(self, target: str, at_ms: int, *, own: Mapping[str, str]) -> None:
        """Store that a scrape failed: all its series end, `up` is 0."""
        for key in self._by_target.pop(target, set()):
            self._put(key, at_ms, float("nan"), ended=True)
        self._put(pairs({**own, NAME: "up"}), at_ms, 0.0, ended=False)

    def gone(self, target: str, at_ms: int, *, own: Mapping[str, str]) -> None:
        """Store that a target is no longer there: all its series end, `up` too."""
        for key in self._by_target.pop(target, set()) | {pairs({**own, NAME: "up"})}:
            if key in self._series:
                self._put(key, at_ms, float("nan"), ended=True)

    def select(self, matchers: Sequence[Matcher]) -> Selected:
        """See `Source`."""
        keys = sorted(key for key in self._series if satisfies(dict(key), matchers))
        length = max((len(self._series[key][0]) for key in keys), default=0)
        times = np.zeros((len(keys), 1, length), dtype=np.int64)
        values = np.zeros((len(keys), 1, length))
        kept = np.zeros((len(keys), 1, length), dtype=np.bool_)
        ended = np.zeros((len(keys), 1, length), dtype=np.bool_)
        for place, key in enumerate(keys):
            at_ms, numbers, markers = self._series[key]
            used = len(at_ms)
            times[place, 0, :used] = at_ms
            times[place, 0, used:] = at_ms[-1] + np.arange(1, length - used + 1)
            values[place, 0, :used], ended[place, 0, :used] = numbers, markers
            kept[place, 0, :used] = True
        return Selected(tuple(dict(key) for key in keys), times, values, kept, ended)

    def _put(self, key: Labels, at_ms: int, value: float, *, ended: bool) -> None:
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= MOST_SERIES:
                raise Full(f"expected at most {MOST_SERIES} series, got more: what is scraped has too many labels")
            series = self._series[key] = ([], [], [])
        times, values, markers = series
        if times and at_ms <= times[-1]:
            at_ms = times[-1] + 1  # two scrapes in one millisecond of scenario time
        self._samples += 1
        if self._samples > MOST_SAMPLES:
            raise Full(f"expected at most {MOST_SAMPLES} samples in a drill, got more")
        times.append(at_ms)
        values.append(value)
        markers.append(ended)
