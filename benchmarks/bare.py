"""The yardstick of the event engine: the shortest SimPy model of requests that is worth the name.

One service without pods, threads, router or strategy: Poisson arrivals, a process for each request, a log-normal time
to answer, and an error ratio. Random numbers come in blocks, as in the engine, so that the two differ in what they
simulate and in nothing else.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import simpy


def serve(rate: float, median: float, sigma: float, error: float, horizon: float, seed: int) -> dict[str, int]:
    """Run it and count the answers."""
    env = simpy.Environment()
    rng = np.random.default_rng(seed)
    gaps = _forever(lambda n: rng.exponential(1 / rate, n))
    services = _forever(lambda n: rng.lognormal(np.log(median), sigma, n))
    fails = _forever(lambda n: rng.random(n))
    counts = {"ok": 0, "failed": 0}

    def request() -> Generator[simpy.Event, Any, None]:
        yield env.timeout(next(services))
        counts["failed" if next(fails) < error else "ok"] += 1

    def arrivals() -> Generator[simpy.Event, Any, None]:
        while True:
            yield env.timeout(next(gaps))
            env.process(request())

    env.process(arrivals())
    env.run(until=horizon)
    return counts


def _forever(draw: Any) -> Iterator[float]:
    while True:
        yield from draw(4096).tolist()
