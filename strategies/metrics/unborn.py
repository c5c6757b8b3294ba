"""Queries that answer nothing before a response of the canary has failed.

A counter of failed responses that begins with the first of them is not there while all is well. A share of errors that
divides by all responses then has no dividend and no answer, which an AnalysisRun takes for an error, of the healthiest
releases most of all. Whether a query is one of these is found by asking it, once with the series and once without.
Series that begin with their first event in the catalogue are in neither: there the simulation itself shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from strategies.metrics.exported import Exported, Facts, selected
from strategies.metrics.promql import PromqlError, Query, Scalar, evaluate, longest_ms
from strategies.metrics.series import Matcher, Selected

_MOST_SCRAPES: Final = 2000
_PER_SCRAPE: Final = 100.0  #: successful responses of a revision


def waits_for_a_failure(query: Query, facts: Facts, *, interval_ms: int = 15_000) -> bool:
    """Whether a query has an answer while the canary's failed responses count 0, and none while nobody counts them.

    >>> from strategies.metrics.promql import parse
    >>> share = 'sum(rate(hits{code="500", revision="canary"}[1m])) %s / sum(rate(hits[1m]))'
    >>> share = share.replace("hits", "http_requests_total")
    >>> [waits_for_a_failure(parse(share % more), Facts()) for more in ("", "or vector(0)")]
    [True, False]
    """
    longest = longest_ms(query)
    if longest is None:
        return False
    source = _Healthy(facts, interval_ms, min(longest // interval_ms + 3, _MOST_SCRAPES))
    try:
        answer = evaluate(query, source, np.full(2, source.now_ms))
    except PromqlError:  # it fails over any series: that is said elsewhere
        return False
    there = ~np.isnan(answer.values) if isinstance(answer, Scalar) else np.atleast_1d(answer.kept.any(axis=0))
    return bool(there[0] and not there[1])


@dataclass(frozen=True, slots=True)
class _Healthy:
    """A pod of each revision without a failure, in two replications; the second has no series of canary failures."""

    facts: Facts
    interval_ms: int
    scrapes: int
    replications: int = 2

    @property
    def now_ms(self) -> int:
        """The time of the last scrape."""
        return (self.scrapes - 1) * self.interval_ms

    def select(self, matchers: Sequence[Matcher]) -> Selected:
        """See `Source`."""
        found = [each for each in selected(self.facts, matchers) if self._of_pod(each, matchers)]
        shape = (len(found), 2, self.scrapes)
        grows = np.array([each.part != "failed" for each in found], dtype=np.float64)
        values = np.broadcast_to(grows[:, None, None] * _PER_SCRAPE * np.arange(self.scrapes), shape)
        kept = np.ones(shape, dtype=np.bool_)
        waits = np.array([each.part == "failed" and each.revision == 1 for each in found], dtype=np.bool_)
        late = np.array([each.born == "first_event" for each in found], dtype=np.bool_)
        kept[waits & late, 0] = False
        kept[waits, 1] = False
        times = np.broadcast_to(np.arange(self.scrapes) * self.interval_ms, (1, 2, self.scrapes))
        return Selected(tuple(each.labels_of(self._pod(each)) for each in found), times, values, kept)

    def _pod(self, series: Exported) -> str:
        return self.facts.pod(series.revision, 0)

    def _of_pod(self, series: Exported, matchers: Sequence[Matcher]) -> bool:
        return all(series.found_by(each, self._pod(series)) for each in matchers if each.label in series.of_pod)
