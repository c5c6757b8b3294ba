"""Many replications of a PromQL query at once against the same evaluator called once for each.

Run it with `python -m benchmarks.promql`. The question is the usual one of a canary analysis: the share of errors over
five minutes of scrapes every 15 s, eight series. Both ways give the same bits; the ratio is what the numpy axis buys.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from benchmarks.measure import rates
from strategies.metrics.promql import Query, Vector, evaluate, parse
from strategies.metrics.series import SeriesStore

REPLICATIONS = 256
SCRAPE_MS = 15_000
SCRAPES = 240  #: one hour
QUERIES = {
    "error ratio": 'sum(rate(hits{code=~"5.."}[5m])) / sum(rate(hits[5m]))',
    "rate by pod": "sum by (pod) (rate(hits[5m]))",
    "maximum": "max_over_time(hits[5m])",
}


def stores(replications: int, *, seed: int = 7) -> tuple[SeriesStore, list[SeriesStore]]:
    """Counters of four pods and two codes with some resets: all replications in one store, and each in its own."""
    dice = np.random.default_rng(seed)
    together, alone = SeriesStore(replications), [SeriesStore(1) for _ in range(replications)]
    times_ms = dice.integers(0, SCRAPE_MS, size=(replications, 1)) + np.arange(SCRAPES) * SCRAPE_MS
    for pod in ("a", "b", "c", "d"):
        for code, mean in (("200", 150.0), ("500", 1.5)):
            steps = dice.poisson(mean, size=(replications, SCRAPES)).astype(np.float64)
            counts = np.cumsum(steps, axis=1)
            reset = dice.integers(1, SCRAPES, size=(replications, 1))
            counts -= np.where(np.arange(SCRAPES) >= reset, np.take_along_axis(counts, reset - 1, axis=1), 0.0)
            labels = {"__name__": "hits", "pod": pod, "code": code}
            together.add(labels, times_ms=times_ms, values=counts)
            for row, store in enumerate(alone):
                store.add(labels, times_ms=times_ms[row], values=counts[row])
    return together, alone


def ratio(text: str, *, rounds: int = 5, replications: int = REPLICATIONS) -> tuple[float, float, float]:
    """Evaluations a second together and alone, and how many times faster together is."""
    query, (together, alone) = parse(text), stores(replications)
    at_ms = np.full(replications, SCRAPES * SCRAPE_MS * 3 // 4) + np.arange(replications)
    one_by_one = at_ms[:, None]

    def all_at_once(number: int) -> float:
        for _ in range(20):
            evaluate(query, together, at_ms + number)
        return 20.0 * replications

    def each(number: int) -> float:
        for row, store in enumerate(alone):
            evaluate(query, store, one_by_one[row] + number)
        return float(replications)

    _check(query, together, alone, at_ms)
    fast, slow = rates(all_at_once, each, rounds=rounds)
    return fast, slow, fast / slow


def _check(query: Query, together: SeriesStore, alone: list[SeriesStore], at_ms: np.ndarray) -> None:  # type: ignore[type-arg]
    """The two ways give the same bits."""
    value = evaluate(query, together, at_ms)
    assert isinstance(value, Vector)
    for row, store in enumerate(alone):
        single = evaluate(query, store, at_ms[row : row + 1])
        assert isinstance(single, Vector)
        assert np.array_equal(single.values[:, 0], value.values[:, row], equal_nan=True)


def main(show: Callable[[str], object] = lambda line: sys.stdout.write(line + "\n")) -> None:
    """Print the table."""
    show(f"{'query':<14}{'together/s':>12}{'alone/s':>10}{'ratio':>8}")
    for name, text in QUERIES.items():
        fast, slow, times = ratio(text)
        show(f"{name:<14}{fast:>12,.0f}{slow:>10,.0f}{times:>8.0f}")


if __name__ == "__main__":
    main()
