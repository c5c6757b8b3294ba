"""The series that the application exports: those of `strategies/metrics/catalogue.toml` with source `app`.

The application says of itself what it knows; `job` and `instance` are added by whoever scrapes it, and `up` is written
by the scraper. A request that no handler of the application answered (unknown path) is not counted.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from chaos.app.memory import resident_bytes
from chaos.app.pool import Pool
from chaos.app.settings import Identity

CODES: Final = ("200", "500")  #: there from the start, unless series are born with their first event
REQUEST_LABELS: Final = ("code", "status", "status_code", "method", "path", "handler")
DURATION_LABELS: Final = ("method", "path", "handler")


class Metrics:
    """All series of one process, in a registry of its own."""

    def __init__(self, identity: Identity, pool: Pool) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # series of the exporter, not of the service
        self._registry = CollectorRegistry()
        self._pool = pool
        template_hash = identity.app_template_hash or identity.app_revision
        self._own = {
            "service": identity.app_service,
            "namespace": identity.app_namespace,
            "pod": identity.app_pod,
            "revision": identity.app_revision,
            "version": identity.app_version,
            "pod_template_hash": template_hash,
            "rollouts_pod_template_hash": template_hash,
        }
        own = tuple(self._own)
        self._requests = Counter(
            "http_requests",
            "Responses of one pod, by status code, which stands in three labels, as applications name it differently. "
            "A request that no pod answered is not in it.",
            (*REQUEST_LABELS, *own),
            registry=self._registry,
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "Time to answer of one pod, successful responses only.",
            (*DURATION_LABELS, *own),
            buckets=identity.app_buckets,
            registry=self._registry,
        )
        orders = Counter(
            "orders",
            "A business counter: every successful response of a pod is one order.",
            own,
            registry=self._registry,
        )
        self._orders = orders.labels(**self._own)
        self._gauge("process_resident_memory_bytes", "Resident memory of the process.").set_function(resident_bytes)
        in_use = self._gauge(
            "db_pool_connections_in_use", "Connections of the pod's pool that are taken and not given back."
        )
        in_use.set_function(lambda: self._pool.in_use)
        self._gauge("db_pool_connections_max", "Size of the pod's pool.").set_function(lambda: self._pool.size)
        self._counters: dict[tuple[str, str, str], Counter] = {}
        self._histograms: dict[tuple[str, str], Histogram] = {}
        if identity.app_births == "start":
            for code in CODES:
                self._counter(code, "GET", identity.app_path)
            self._histogram("GET", identity.app_path)

    def count(self, status: int, method: str, path: str, seconds: float) -> None:
        """Count one response."""
        self._counter(str(status), method, path).inc()
        if status < 500:
            self._histogram(method, path).observe(seconds)
            self._orders.inc()

    def text(self) -> bytes:
        """All series, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, tuple(self._own), registry=self._registry).labels(**self._own)

    def _counter(self, code: str, method: str, path: str) -> Counter:
        found = self._counters.get((code, method, path))
        if found is None:
            found = self._requests.labels(
                code=code, status=code, status_code=code, method=method, path=path, handler=path, **self._own
            )
            self._counters[code, method, path] = found
        return found

    def _histogram(self, method: str, path: str) -> Histogram:
        found = self._histograms.get((method, path))
        if found is None:
            found = self._durations.labels(method=method, path=path, handler=path, **self._own)
            self._histograms[method, path] = found
        return found
