"""When requests are due and whose they are: the laws, and the same for the same seed. ALPHA bounds each chance error."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from chaos.load.arrivals import Carriers, Requests
from chaos.load.config import Load, Users

ALPHA = 1e-6


def load(**changes: Any) -> Load:
    given = {"host": "127.0.0.1", "port": 80, "log": "t.bin", "duration_seconds": 100.0, **changes}
    return Load(**given)


def due(**changes: Any) -> np.ndarray:
    blocks = [block.due_seconds for block in Requests(load(**changes)).blocks()]
    return np.concatenate(blocks) if blocks else np.zeros(0)


def test_arrivals_are_poisson_with_the_rate_of_each_step() -> None:
    steps = ((0.0, 50.0), (20.0, 0.0), (40.0, 400.0), (60.0, 10.0))
    found = due(steps=steps)
    assert np.all(np.diff(found) >= 0)
    assert found[-1] < 100
    for (start, rate), end in zip(steps, (20.0, 40.0, 60.0, 100.0), strict=True):
        inside = found[(found >= start) & (found < end)]
        expected = rate * (end - start)
        low, high = stats.poisson.ppf([ALPHA / 2, 1 - ALPHA / 2], expected)
        assert low <= len(inside) <= high, (start, len(inside))
        if rate:
            assert stats.kstest((inside - start) / (end - start), "uniform").pvalue > ALPHA
            assert stats.kstest(np.diff(inside), "expon", args=(0, 1 / rate)).pvalue > ALPHA


def test_a_schedule_that_ends_in_silence_ends() -> None:
    found = due(steps=((0.0, 1000.0), (10.0, 0.0)))
    assert found[-1] < 10
    assert 9000 < len(found) < 11_000
    assert len(due(rate_per_second=0.0)) == 0


def test_the_same_seed_gives_the_same_and_a_longer_run_begins_like_a_shorter_one() -> None:
    short, long = due(rate_per_second=100.0, duration_seconds=50.0, seed=7), due(rate_per_second=100.0, seed=7)
    assert np.array_equal(long[: len(short)], short)
    assert not np.array_equal(due(rate_per_second=100.0, seed=8)[:10], long[:10])


def test_a_trace_is_sent_as_it_is() -> None:
    trace = tuple(np.sort(np.random.default_rng(1).random(10_000) * 120).tolist())
    assert np.array_equal(due(arrivals_seconds=trace), np.array([each for each in trace if each < 100]))


def test_the_number_of_requests_is_bounded() -> None:
    assert len(due(rate_per_second=4000.0, max_requests=50)) == 50
    assert len(due(rate_per_second=4000.0, max_requests=5000)) == 5000


def test_connections_of_their_own_have_their_share() -> None:
    fresh = np.concatenate(
        [block.fresh for block in Requests(load(rate_per_second=200.0, new_connection_share=0.1)).blocks()]
    )
    low, high = stats.binom.ppf([ALPHA / 2, 1 - ALPHA / 2], len(fresh), 0.1)
    assert low <= fresh.sum() <= high


def test_users_are_as_active_as_zipf_says() -> None:
    users = Carriers(Users(count=5, zipf=1.0), np.random.default_rng(1)).draw(100_000)
    weights = 1 / np.arange(1, 6)
    counts = np.bincount(users, minlength=6)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:], weights / weights.sum() * 100_000).pvalue > ALPHA


def test_a_user_keeps_its_value_and_values_have_their_shares() -> None:
    users = Users(count=10_000, header="x-group", cookie="rev", values={"a": 0.2, "b": 0.8})
    carriers = Carriers(users, np.random.default_rng(1))
    values = [carriers.value(user) for user in range(1, 10_001)]
    low, high = stats.binom.ppf([ALPHA / 2, 1 - ALPHA / 2], 10_000, 0.2)
    assert low <= values.count("a") <= high
    assert set(values) == {"a", "b"}
    assert values == [carriers.value(user) for user in range(1, 10_001)]
    assert carriers.headers(1) == {"x-group": values[0], "cookie": f"rev={values[0]}"}
    plain = Carriers(Users(count=3, header="x-user"), np.random.default_rng(1))
    assert [plain.headers(user) for user in (1, 2, 3)] == [{"x-user": "1"}, {"x-user": "2"}, {"x-user": "3"}]


def test_a_user_gives_back_the_cookies_that_it_was_given() -> None:
    carriers = Carriers(Users(count=2, cookie="id", keep_cookies=True), np.random.default_rng(1))
    carriers.learn(2, {"sticky": "pod-7"})
    carriers.learn(2, {"sticky": "pod-8"})
    assert carriers.headers(2) == {"cookie": "sticky=pod-8; id=2"}
    assert carriers.headers(1) == {"cookie": "id=1"}
    carriers.learn(1, {str(number): "x" for number in range(1000)})
    assert len(carriers.headers(1)["cookie"].split(";")) == 21
