"""What the questions of a strategy need: which counts are drawn, which gauges are kept, and for how long."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from scenarios.queries import NO_CALENDAR
from scenarios.schema import Scenario
from scenarios.series import facts_of
from strategies.effects import Ask, PromQuery, Query
from strategies.metrics.exported import Facts, selected

if TYPE_CHECKING:
    from strategies.metrics.promql.tree import Query as Parsed

#: signals of each pod that the store keeps beside its counts
GAUGES: Final = ("memory", "working_set", "pool_in_use", "restarts", "ready")


@dataclass(frozen=True)
class Asked:
    """The questions of one strategy, read once."""

    facts: Facts
    parsed: Mapping[PromQuery, Parsed] = field(default_factory=dict)
    per_pod: bool = False  #: counts are drawn for each pod
    gauges: tuple[str, ...] = ()  #: of `GAUGES`
    bounds_seconds: tuple[float, ...] = ()  #: upper bounds of the buckets that are asked for, without the infinite one
    longest_seconds: float = 0.0  #: how far back samples may matter
    late: bool = False  #: some series begins with its first event


def asked_of(scenario: Scenario, reads: tuple[Ask, ...]) -> Asked:
    """Read the questions that a strategy may ask.

    Raises:
        PromqlError: a query that does not parse or uses what is not supported.
    """
    facts = facts_of(scenario)
    pods = scenario.metrics.source == "pods"
    typed = [ask for ask in reads if isinstance(ask, Query)]
    longest = max((query.window_seconds for query in typed), default=0.0)
    bounds: set[float] = set()
    if any(query.quantity == "latency_quantile" for query in typed):
        bounds |= set(facts.buckets_seconds)
    texts = [ask for ask in reads if isinstance(ask, PromQuery)]
    if pods:
        texts += [typed_text(query, facts) for query in typed]
    if not texts:
        late = facts.codes_born == "first_event"
        return Asked(facts, per_pod=pods, bounds_seconds=tuple(sorted(bounds)), longest_seconds=longest, late=late)
    from strategies.metrics import promql  # only for strategies that ask PromQL

    parsed = {text: promql.parse(text.text) for text in texts}
    found = [
        series
        for query in parsed.values()
        for selector in promql.names_of(query)
        for series in selected(facts, selector.matchers)
    ]
    signals = {series.family.signal for series in found}
    bounds |= {series.bound_seconds for series in found if series.bound_seconds is not None} - {math.inf}
    return Asked(
        facts=facts,
        parsed=parsed,
        per_pod=pods or any(series.family.per_pod for series in found),
        gauges=tuple(signal for signal in GAUGES if signal in signals),
        bounds_seconds=tuple(sorted(bounds)),
        longest_seconds=max(longest, *(_longest_seconds(query) for query in parsed.values())),
        late=facts.codes_born == "first_event" or any(series.born == "first_event" for series in found),
    )


def _longest_seconds(query: Parsed) -> float:
    from strategies.metrics import promql

    longest = promql.longest_ms(query)
    if longest is None:
        raise promql.PromqlError(NO_CALENDAR, 0, len(query.text))
    return longest / 1000


def typed_text(query: Query, facts: Facts) -> PromQuery:
    """A typed question as the PromQL that pods' own series answer."""
    which = "" if query.revision == "all" else f"revision={json.dumps(facts.named(query.revision, 'revision'))}"
    window = f"[{round(query.window_seconds * 1000)}ms]"

    def rate(name: str, *matchers: str) -> str:
        return f"rate({name}{{{', '.join(filter(None, (which, *matchers)))}}}{window})"

    every = f"sum({rate('http_requests_total')})"
    if query.quantity == "request_rate":
        return PromQuery(every)
    if query.quantity == "latency_quantile":
        buckets = rate("http_request_duration_seconds_bucket")
        return PromQuery(f"histogram_quantile({query.quantile!r}, sum by (le) ({buckets}))")
    part = 'code=~"5.."' if query.quantity == "error_ratio" else 'code!~"5.."'
    return PromQuery(f"sum({rate('http_requests_total', part)}) / {every}")
