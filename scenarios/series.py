"""What a scenario says of its series: the facts that the metric catalogue needs."""

from __future__ import annotations

from scenarios.schema import Scenario
from strategies.metrics.exported import Facts


def facts_of(scenario: Scenario) -> Facts:
    """The names, label values, buckets and births of a scenario's series."""
    metrics = scenario.metrics
    labels = {"stable": dict(metrics.labels.stable), "canary": dict(metrics.labels.canary)}
    return Facts(
        service=scenario.service.name,
        labels=labels,
        buckets_seconds=metrics.buckets_seconds,
        services={str(revision): name for revision, name in metrics.services.items()},
        codes_born=metrics.births.codes,
    )
