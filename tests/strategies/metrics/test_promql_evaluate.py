"""Queries whose answer is plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from strategies.metrics.promql import PromqlError, Scalar, Vector, evaluate, parse
from strategies.metrics.series import SeriesStore

TIMES_MS = np.arange(0, 600_001, 15_000)


@pytest.fixture
def store() -> SeriesStore:
    """Two pods, 12 good and 4 bad requests a minute each, scraped every 15 s for ten minutes."""
    store = SeriesStore()
    for pod in ("a", "b"):
        for code, step in (("200", 3.0), ("500", 1.0)):
            labels = {"__name__": "hits", "pod": pod, "code": code}
            store.add(labels, times_ms=TIMES_MS, values=np.arange(len(TIMES_MS)) * step)
    return store


def answer(store: SeriesStore, text: str, at_ms: int = 600_000) -> dict[str, float]:
    vector = evaluate(parse(text), store, np.array([at_ms]))
    assert isinstance(vector, Vector)
    return {
        ",".join(f"{name}={value}" for name, value in sorted(labels.items())): float(vector.values[row, 0])
        for row, labels in enumerate(vector.labels)
        if vector.kept[row, 0]
    }


def test_an_error_ratio(store: SeriesStore) -> None:
    found = answer(store, 'sum(rate(hits{code="500"}[5m])) / sum(rate(hits[5m]))')
    assert found == {"": pytest.approx(0.25)}


def test_increase_by_a_label(store: SeriesStore) -> None:
    assert answer(store, "sum by (code) (increase(hits[5m]))") == {
        "code=200": pytest.approx(120),
        "code=500": pytest.approx(40),
    }


def test_series_that_one_side_lacks_are_not_in_the_answer(store: SeriesStore) -> None:
    assert answer(store, 'hits{pod="a"} / hits') == {"code=200,pod=a": 1.0, "code=500,pod=a": 1.0}
    assert answer(store, "nothing / hits") == {}


def test_a_scalar(store: SeriesStore) -> None:
    value = evaluate(parse("scalar(sum(hits)) + time()"), store, np.array([600_000]))
    assert isinstance(value, Scalar)
    assert value.values.tolist() == [920.0]


def test_many_to_many_is_an_error_with_its_place(store: SeriesStore) -> None:
    text = "sum(hits) + (hits == on(pod) hits)"
    with pytest.raises(PromqlError, match="many-to-many matching not allowed") as caught:
        answer(store, text)
    assert text[caught.value.start : caught.value.end] == "=="
