"""Scraped series of many replications, and how a selector finds them.

Axes: S series, R replications, T samples in ascending time. A label set is a mapping that includes `__name__`; a label
with an empty value is the same as no label, as in Prometheus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategies.metrics.regex import Regex

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
Labels: TypeAlias = tuple[tuple[str, str], ...]  #: a label set as pairs, sorted by name, without empty values
MatchOp: TypeAlias = Literal["=", "!=", "=~", "!~"]

NAME: Final = "__name__"
MAX_SERIES: Final = 10_000  #: of one selector


class Matcher(NamedTuple):
    """One condition on a label; the metric's name is the label `__name__`, a missing label is the empty string."""

    label: str
    op: MatchOp
    value: str


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selector finds."""

    labels: tuple[Mapping[str, str], ...]  #: S label sets, including `__name__`
    times_ms: IntArray  #: [S or 1, R, T] ascending along T; a place without a sample may hold any ascending value
    values: FloatArray  #: [S, R, T]; NaN is a legal sample
    kept: BoolArray  #: [S, R, T] a sample is there
    stale: BoolArray | None = None  #: [S, R, T] a staleness marker (`kept` is true there); None: no marker


class Source(Protocol):
    """Whatever holds series: it finds those that satisfy all matchers, in every replication at once."""

    @property
    def replications(self) -> int:
        """R, the length of the replication axis."""

    def select(self, matchers: Sequence[Matcher]) -> Selected:
        """The series that satisfy all matchers."""


def pairs(labels: Mapping[str, str]) -> Labels:
    """A label set in its one canonical form.

    >>> pairs({"job": "web", "__name__": "up", "zone": ""})
    (('__name__', 'up'), ('job', 'web'))
    """
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def satisfies(labels: Mapping[str, str], matchers: Sequence[Matcher]) -> bool:
    """Whether one label set satisfies all matchers; regular expressions match the whole value.

    >>> satisfies({"__name__": "hits", "code": "500"}, [Matcher("code", "=~", "5.."), Matcher("pod", "=", "")])
    True
    """
    return all(_holds(labels.get(matcher.label, ""), matcher) for matcher in matchers)


def _holds(value: str, matcher: Matcher) -> bool:
    if matcher.op == "=":
        return value == matcher.value
    if matcher.op == "!=":
        return value != matcher.value
    return Regex.of(matcher.value).matches(value) is (matcher.op == "=~")


@dataclass(slots=True)
class SeriesStore:
    """Series in memory, each added whole; for tests, conformance and recorded drills.

    >>> store = SeriesStore()
    >>> store.add({"__name__": "up", "job": "web"}, times_ms=[0, 15_000], values=[1.0, 0.0])
    >>> store.select([Matcher("__name__", "=", "up")]).values.tolist()
    [[[1.0, 0.0]]]
    """

    replications: int = 1
    _series: dict[Labels, tuple[IntArray, FloatArray, BoolArray, BoolArray]] = field(default_factory=dict)
    _found: dict[tuple[Matcher, ...], Selected] = field(default_factory=dict)

    def add(
        self,
        labels: Mapping[str, str],
        *,
        times_ms: ArrayLike,
        values: ArrayLike,
        kept: ArrayLike | None = None,
        stale: ArrayLike | None = None,
    ) -> None:
        """Add one series.

        Args:
            labels: its label set, with `__name__`.
            times_ms: shape [T] or [R, T], ascending along T.
            values: shape [T] or [R, T].
            kept: shape [T] or [R, T], false where there is no sample; None: all are there.
            stale: shape [T] or [R, T], true where the sample is a staleness marker; None: none is.

        Raises:
            ValueError: times that do not ascend, shapes that do not fit, or a label set that is already there.
        """
        key = pairs(labels)
        if key in self._series:
            raise ValueError(f"series {dict(key)} is already in the store")
        shape = (self.replications, np.asarray(values).shape[-1])
        times = np.broadcast_to(np.asarray(times_ms, dtype=np.int64), shape)
        if np.any(np.diff(times, axis=1) <= 0):
            raise ValueError(f"series {dict(key)}: times_ms must ascend")
        numbers = np.broadcast_to(np.asarray(values, dtype=np.float64), shape)
        markers = np.broadcast_to(np.asarray(False if stale is None else stale, dtype=np.bool_), shape)
        there = np.broadcast_to(np.asarray(True if kept is None else kept, dtype=np.bool_), shape) | markers
        self._series[key] = (times, numbers, there, markers)
        self._found.clear()

    def select(self, matchers: Sequence[Matcher]) -> Selected:
        """The series that satisfy all matchers, sorted by labels; shorter ones are padded at their end."""
        asked = tuple(matchers)
        if asked not in self._found:
            keys = sorted(key for key in self._series if satisfies(dict(key), asked))
            self._found[asked] = self._stack(keys)
        return self._found[asked]

    def _stack(self, keys: Sequence[Labels]) -> Selected:
        rows = [self._series[key] for key in keys]
        length = max((row[0].shape[1] for row in rows), default=0)
        shape = (len(rows), self.replications, length)
        times = np.zeros(shape, dtype=np.int64)
        values = np.zeros(shape)
        kept, stale = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
        for place, (row_times, numbers, there, markers) in enumerate(rows):
            used = row_times.shape[1]
            times[place, :, :used] = row_times
            if used:
                times[place, :, used:] = row_times[:, -1:] + np.arange(1, length - used + 1)
            values[place, :, :used], kept[place, :, :used], stale[place, :, :used] = numbers, there, markers
        if len(rows) > 1 and (times == times[:1]).all():
            times = times[:1]
        return Selected(
            labels=tuple(dict(key) for key in keys),
            times_ms=times,
            values=values,
            kept=kept,
            stale=stale if stale.any() else None,
        )
