"""What a scenario tells the application under test, wherever it runs."""

from __future__ import annotations

from typing import Any

from scenarios.schema import Scenario


def told(scenario: Scenario, *, speed: float, seed: int) -> dict[str, Any]:
    """Settings of `chaos.app` that do not depend on the pod; times in real seconds."""
    service = scenario.service
    return {
        "APP_SERVICE": service.name,
        "ERROR_RATE": service.error_ratio,
        "LATENCY_P50": service.latency.p50_seconds,
        "LATENCY_P99": service.latency.p99_seconds,
        "THREADS": service.threads,
        "APP_BUCKETS": list(scenario.metrics.buckets_seconds),
        "APP_BIRTHS": scenario.metrics.births.codes or "start",
        "POOL_SIZE": service.resources.pool_size,
        "MEMORY_LIMIT_MIB": service.resources.memory_limit_mib,
        "START_SECONDS": service.startup.start_seconds / speed,
        "DRAIN": service.shutdown.drain_seconds / speed,
        "GRACEFUL": service.shutdown.graceful,
        "SEED": seed,
    }
