"""PromQL of strategies against the series of a scenario: what finds nothing, and what is taken for granted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from scenarios.errors import Place, ScenarioError, dotted, shown
from scenarios.pointer import Fault, pointed
from scenarios.schema import Scenario
from scenarios.series import facts_of
from strategies.effects import Ask, PromQuery, Query, Strategy

UNBORN: Final = (
    "the query has no answer until a canary response has failed, where a counter of failures begins with its first, "
    "and Argo takes that for an error; here such counters are there from the start: metrics.births.codes=first_event "
    "shows the difference, 'or vector(0)' avoids it"
)
NO_CALENDAR: Final = "@ fixes a time of the calendar, which a simulated rollout does not have"
CHUNK: Final = 256  #: replications that are simulated together


@dataclass(slots=True)
class Queries:
    """What is to be said of the queries of all strategies."""

    warnings: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    errors: list[ScenarioError] = field(default_factory=list)  #: findings as errors, and queries that do not parse


def check_queries(
    scenario: Scenario,
    strategies: Mapping[str, Strategy],
    places: Mapping[str, Place | None],
    asked: Mapping[str, Place],
    *,
    strict: bool,
) -> Queries:
    """Look for every series that the strategies ask for.

    Args:
        scenario: with the facts of its manifests.
        strategies: by the names of the scenario.
        places: where each stands.
        asked: where the queries of manifests stand.
        strict: a finding is an error; else it is a warning, and the query goes on with what it finds.
    """
    found = Queries()
    facts = facts_of(scenario)
    for name, strategy in strategies.items():
        texts = _texts(strategy.reads)
        if not texts:
            continue
        from strategies.metrics import promql  # numpy and the parser: only where a query stands
        from strategies.metrics.catalogue import Finding, findings, taken
        from strategies.metrics.unborn import waits_for_a_failure

        for text in texts:
            where, place = dotted(("strategies", name)), places.get(name)
            if text in asked:
                place = asked[text]
                where = f"{place.file}:{place.line}"
            field_name = "query" if text in asked else where
            try:
                parsed = promql.parse(text)
                if (at := promql.fixed_at(parsed)) is not None:
                    raise promql.PromqlError(NO_CALENDAR, *at)
            except promql.PromqlError as refused:
                fault = Fault(refused.problem, refused.start, refused.end)
                found.errors.append(pointed(fault, text, field=field_name, place=place))
                continue
            selectors = promql.names_of(parsed)
            found.assumed += taken([each.matchers for each in selectors], facts)
            once: dict[Finding, promql.Selector] = {}
            for selector in selectors:
                for finding in findings([selector.matchers], facts):
                    once.setdefault(finding, selector)
            for finding, selector in once.items():
                if strict:
                    fault = Fault(finding.problem, *selector.place)
                    more: dict[str, Any] = {"nearest": finding.nearest, "known": finding.known}
                    found.errors.append(pointed(fault, text, field=field_name, place=place, **more))
                else:
                    goes_on = "; the query goes on without it" if finding.empty else ""
                    found.warnings.append(f"{where}: {finding}{goes_on} (query {shown(text)})")
            if facts.codes_born is None and not once and waits_for_a_failure(parsed, facts):
                found.warnings.append(f"{where}: {UNBORN} (query {shown(text)})")
    return found


def pod_samples(scenario: Scenario, reads: Iterable[Ask]) -> float:
    """Numbers that a chunk keeps of its pods, which grow with pods, buckets and scrapes; 0 when it keeps none."""
    metrics = scenario.metrics
    columns = 3
    typed = [ask for ask in reads if isinstance(ask, Query)]
    longest = max([longest_seconds(reads), *(query.window_seconds for query in typed)])
    per_pod = metrics.source == "pods"
    for text in _texts(reads):
        from strategies.metrics import promql
        from strategies.metrics.exported import selected

        with contextlib.suppress(promql.PromqlError):
            series = [
                each
                for found in promql.names_of(promql.parse(text))
                for each in selected(facts_of(scenario), found.matchers)
            ]
            per_pod = per_pod or any(each.family.per_pod for each in series)
            columns = max(columns, 3 + len({each.bound_seconds for each in series}))
    if any(query.quantity == "latency_quantile" for query in typed):
        columns = max(columns, 3 + len(metrics.buckets_seconds))
    scrapes = min(longest, scenario.horizon_seconds) / metrics.scrape_interval_seconds + 3
    return CHUNK * 2.0 * scenario.service.replicas * columns * scrapes if per_pod else 0.0


def longest_seconds(reads: Iterable[Ask]) -> float:
    """How far back the queries of a strategy look; 0 for those that do not parse or fix a time."""
    longest = 0.0
    for text in _texts(reads):
        from strategies.metrics import promql

        try:
            longest = max(longest, (promql.longest_ms(promql.parse(text)) or 0) / 1000)
        except promql.PromqlError:
            continue
    return longest


def _texts(reads: Iterable[Ask]) -> list[str]:
    return [ask.text for ask in reads if isinstance(ask, PromQuery)]
