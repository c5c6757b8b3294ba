"""Questions of a strategy, answered from scraped series by the evaluator that the simulator uses too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from chaos.metrics.store import LiveStore
from scenarios.schema import Metrics
from strategies.effects import Ask, CountsQuery, Measured, PromQuery, Query
from strategies.metrics.promql import Scalar, evaluate, parse
from strategies.metrics.series import NAME, Matcher

LATENCY: Final = "http_request_duration_seconds_bucket"


@dataclass(frozen=True, slots=True)
class Families:
    """The series that somebody exports about responses.

    Attributes:
        counts: a counter of responses, by the labels `revision` and `code`.
        latency: the buckets of a histogram of seconds, by the label `revision`.
    """

    counts: str
    revision: str
    code: str
    latency: str = LATENCY


ENVOY: Final = Families("envoy_cluster_upstream_rq", "envoy_cluster_name", "envoy_response_code")
APP: Final = Families("http_requests_total", "revision", "code")


def answer(ask: Ask, store: LiveStore, at_ms: int, metrics: Metrics, *, router: Families = ENVOY) -> Measured:
    """The answer at a scenario time; `at_seconds` of it is that time.

    Args:
        router: what the router exports, for scenarios whose metrics are the router's.
    """
    families = families_of(metrics, router)
    at_seconds = at_ms / 1000
    if isinstance(ask, CountsQuery):
        return Measured(at_seconds, None, result=counts(store, at_ms, families))
    text = ask.text if isinstance(ask, PromQuery) else text_of(ask, families)
    found = evaluate(parse(text), store, np.array([at_ms]))
    if isinstance(found, Scalar):
        number = float(found.values[0])
        return Measured(at_seconds, number, result=number)
    numbers = [float(value) for value, kept in zip(found.values[:, 0], found.kept[:, 0], strict=True) if kept]
    first = numbers[0] if numbers else None
    if isinstance(ask, PromQuery):
        return Measured(at_seconds, first, result=numbers)
    if first is None:
        return Measured(at_seconds, None)
    return Measured(at_seconds, first, *_window(ask, store, at_ms, families))


def families_of(metrics: Metrics, router: Families = ENVOY) -> Families:
    """Which series count the responses of a revision."""
    return APP if getattr(metrics, "source", "router") == "pods" else router


def text_of(query: Query, families: Families) -> str:
    """A typed question as PromQL.

    A revision that has no failed response yet has no series of failures: that is a ratio of 0, as in the simulator.
    """
    family, revision_label, code_label = families.counts, families.revision, families.code
    window = f"[{round(query.window_seconds * 1000)}ms]"
    one = "" if query.revision == "all" else f'{revision_label}="{query.revision}"'
    every = f"sum(rate({family}{{{one}}}{window}))"
    if query.quantity == "request_rate":
        return every
    if query.quantity == "latency_quantile":
        who = "" if query.revision == "all" else f'revision="{query.revision}"'
        return f"histogram_quantile({query.quantile!r}, sum by (le) (rate({families.latency}{{{who}}}{window})))"
    failed = f'(sum(rate({family}{{{one + "," if one else ""}{code_label}=~"5.."}}{window})) or vector(0))'
    ratio = f"{failed} / {every}"
    return f"1 - {ratio}" if query.quantity == "success_ratio" else ratio


def counts(store: LiveStore, at_ms: int, families: Families, since_ms: int = 0) -> list[int]:
    """[canary requests, canary errors, stable requests, stable errors] that were scraped since a time."""
    found = []
    for revision in ("canary", "stable"):
        total, failed = increase(store, at_ms, families, revision, since_ms)
        found += [total, failed]
    return found


def increase(store: LiveStore, at_ms: int, families: Families, revision: str, since_ms: int) -> tuple[int, int]:
    """Responses of a revision between two times, and those that failed; a counter that falls began again at 0."""
    matchers = [Matcher(NAME, "=", families.counts)]
    if revision != "all":
        matchers.append(Matcher(families.revision, "=", revision))
    found = store.select(matchers)
    total = failed = 0.0
    for place, labels in enumerate(found.labels):
        grown = _grown(found.times_ms[place, 0], found.values[place, 0], found.kept[place, 0], since_ms, at_ms)
        total += grown
        failed += grown if labels.get(families.code, "").startswith("5") else 0.0
    return round(total), round(failed)


def _grown(
    times_ms: np.ndarray[tuple[int], np.dtype[np.int64]],
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
    kept: np.ndarray[tuple[int], np.dtype[np.bool_]],
    since_ms: int,
    at_ms: int,
) -> float:
    """How much a counter grew in (since, at]; what it had before its first sample in there counts from 0."""
    grown, last = 0.0, 0.0
    for time_ms, value in zip(times_ms[kept].tolist(), values[kept].tolist(), strict=True):
        if math.isnan(value) or time_ms > at_ms:
            continue
        if time_ms > since_ms:
            grown += value - last if value >= last else value
        last = value
    return grown


def _window(query: Query, store: LiveStore, at_ms: int, families: Families) -> tuple[int, int]:
    """The evidence behind a typed answer: requests and errors of its window."""
    since_ms = at_ms - round(query.window_seconds * 1000)
    return increase(store, at_ms, families, query.revision, since_ms)
