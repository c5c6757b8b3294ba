"""The lives of processes as a drill hears of them, and what scraped series say about replicas."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from chaos.clock import LiveClock
from chaos.faults.verify import Life
from chaos.metrics.scraper import Scraper
from chaos.metrics.store import LiveStore
from chaos.results import revision_told
from strategies.metrics.series import NAME, Matcher


class Lives:
    """Starts, readiness and deaths of the processes of all replicas."""

    def __init__(self) -> None:
        self._open: dict[str, Life] = {}
        self._ended: list[Life] = []

    def told(self, kind: str, pod: str, facts: dict[str, Any], at: float) -> None:
        """Hear what happened to a pod at a monotonic time; what is not about lives is ignored."""
        if kind == "container_started":
            self._end(pod)
            self._open[pod] = Life(pod, revision_told(pod, facts), at, math.nan, math.nan)
        elif kind == "pod_ready" and pod in self._open and math.isnan(self._open[pod].ready):
            self._open[pod] = replace(self._open[pod], ready=at)
        elif kind == "container_died" and pod in self._open:
            self._open[pod] = replace(self._open[pod], died=at, code=facts.get("code"))
            self._end(pod)
        elif kind == "pod_gone":
            if pod in self._open:
                self._open[pod] = replace(self._open[pod], gone=at)
            self._end(pod)

    def _end(self, pod: str) -> None:
        if pod in self._open:
            self._ended.append(self._open.pop(pod))

    def all(self) -> list[Life]:
        """Every process, in the order in which they started."""
        return sorted([*self._ended, *self._open.values()], key=lambda life: life.started)

    def scraped(self, scraper: Scraper, clock: LiveClock) -> dict[str, Any]:
        """Memory and pools of replicas since the rollout began, and when scrapes happened."""
        store = scraper.store
        memory = {
            pod: (values[0] / 2**20, max(values) / 2**20)
            for pod, values in _by_pod(store, "process_resident_memory_bytes")
        }
        pool = {pod: max(values) for pod, values in _by_pod(store, "db_pool_connections_in_use")}
        rounds = [clock.real(at_us) for at_us in scraper.rounds_us]
        return {"memory_mib": memory, "pool": pool, "rounds": rounds}


def _by_pod(store: LiveStore, family: str) -> list[tuple[str, list[float]]]:
    """The values of a gauge by pod, in order; markers of an end left out."""
    found = store.select([Matcher(NAME, "=", family)])
    series = []
    for place, labels in enumerate(found.labels):
        values = found.values[place, 0][found.kept[place, 0]]
        there = values[~_nan(values)].tolist()
        if there and "pod" in labels:
            series.append((labels["pod"], there))
    return series


def _nan(values: Any) -> Any:
    return values != values
