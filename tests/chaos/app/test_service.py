"""What the knobs do to answers: served by a real server on loopback, in this process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from scipy import stats

from chaos.app.metrics import Metrics
from chaos.app.service import Service
from chaos.app.settings import Identity, Knobs

ALPHA = 1e-6  #: chance that a test fails although the law holds


def served(work: Callable[[Service, TestClient], Awaitable[None]], knobs: Knobs, **identity: object) -> Service:
    """Do something with a service that listens."""
    holder: list[Service] = []

    async def main() -> None:
        service = Service(Identity(seed=1, **identity), knobs)  # type: ignore[arg-type]
        holder.append(service)
        async with TestClient(TestServer(service.routes())) as client:
            await work(service, client)
        await service.close()

    asyncio.run(main())
    return holder[0]


async def statuses(client: TestClient, count: int, path: str = "/") -> Counter[int]:
    """Statuses of requests that are sent by ten clients at once."""
    found: Counter[int] = Counter()

    async def ten_at_once() -> None:
        for _ in range(count // 10):
            async with client.get(path) as response:
                await response.read()
                found[response.status] += 1

    await asyncio.gather(*(ten_at_once() for _ in range(10)))
    return found


def within(count: int, of: int, share: float) -> bool:
    """Is a binomial count inside what chance allows?"""
    low, high = stats.binom.ppf([ALPHA / 2, 1 - ALPHA / 2], of, share)
    return bool(low <= count <= high)


def samples(metrics: Metrics, name: str) -> float:
    lines = [line for line in metrics.text().decode().splitlines() if line.startswith(name)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_answers_say_who_gave_them() -> None:
    async def work(service: Service, client: TestClient) -> None:
        for path in ("/", "/checkout", "/healthz", "/readyz", "/metrics"):
            async with client.get(path) as response:
                assert response.status == 200
                assert response.headers["x-version"] == "v2"
                assert response.headers["x-pod"] == "web-1"
                assert response.headers["x-revision"] == "canary"
        async with client.get("/admin/knobs") as response:
            assert response.status == 404, "the knobs are not where users are"
        async with client.post("/checkout", data=b"x" * 10) as response:
            assert response.status == 200

    served(work, Knobs(), app_version="v2", app_pod="web-1", app_revision="canary")


def test_the_share_of_errors_is_that_of_the_knob_and_every_response_is_counted() -> None:
    async def work(service: Service, client: TestClient) -> None:
        found = await statuses(client, 2000)
        assert within(found[500], 2000, 0.2), f"{found[500]} of 2000, 20 % wanted"
        assert samples(service.metrics, 'http_requests_total{code="500"') == found[500]
        assert samples(service.metrics, 'http_requests_total{code="200"') == found[200]
        assert samples(service.metrics, "orders_total") == found[200]
        service.turn(Knobs(error_rate=1.0))
        assert await statuses(client, 50) == {500: 50}

    served(work, Knobs(error_rate=0.2))


def test_the_time_to_answer_is_log_normal_with_a_share_of_it_longer() -> None:
    def draws(knobs: Knobs) -> np.ndarray:
        service = served(_nothing, knobs)
        return np.array([service.draw_seconds() for _ in range(20_000)])

    law = stats.lognorm(s=np.log(0.25 / 0.04) / stats.norm.ppf(0.99), scale=0.04)
    plain = draws(Knobs(latency_p50=0.04, latency_p99=0.25))
    assert stats.kstest(plain, law.cdf).pvalue > ALPHA
    slower = draws(Knobs(latency_p50=0.04, latency_p99=0.25, added_latency=2.0, added_latency_share=0.3))
    added = slower > 2.0
    assert within(int(added.sum()), len(added), 0.3)  # P(more than 2 s by itself) is below 1e-6
    assert stats.kstest(slower[added] - 2.0, law.cdf).pvalue > ALPHA
    assert set(draws(Knobs(latency_p50=0.5, latency_p99=0.0))) == {0.5}
    assert set(draws(Knobs())) == {0.0}


async def _nothing(service: Service, client: TestClient) -> None:
    pass


def test_a_request_takes_at_least_its_time_and_the_histogram_says_so() -> None:
    async def work(service: Service, client: TestClient) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await statuses(client, 20) == {200: 20}
        assert loop.time() - began >= 0.2  # ten at once, two after each other, 0.1 s each
        text = service.metrics.text().decode()
        assert [line.rsplit(" ", 1)[1] for line in text.splitlines() if 'le="0.05"' in line] == ["0.0"]
        assert samples(service.metrics, "http_request_duration_seconds_sum") >= 20 * 0.1

    served(work, Knobs(latency_p50=0.1))


def test_threads_bound_what_is_answered_at_the_same_time() -> None:
    async def work(service: Service, client: TestClient) -> None:
        began = asyncio.get_running_loop().time()
        await statuses(client, 10)
        assert asyncio.get_running_loop().time() - began >= 5 * 0.05  # two at a time

    served(work, Knobs(latency_p50=0.05), threads=2)


def test_a_pool_leak_ends_in_errors_and_a_larger_pool_ends_those() -> None:
    async def work(service: Service, client: TestClient) -> None:
        assert await statuses(client, 30) == {200: 8, 500: 22}
        assert samples(service.metrics, "db_pool_connections_in_use") == 8
        assert samples(service.metrics, "db_pool_connections_max") == 8
        service.turn(Knobs(pool_size=40))
        assert await statuses(client, 30) == {200: 30}
        assert samples(service.metrics, "db_pool_connections_in_use") == 8

    served(work, Knobs(pool_size=8, pool_leak_per_request=1.0, pool_timeout=0.02))


def test_the_share_of_requests_that_leak_is_that_of_the_knob() -> None:
    async def work(service: Service, client: TestClient) -> None:
        await statuses(client, 1000)
        assert within(service.pool.in_use, 1000, 0.05)

    served(work, Knobs(pool_size=1000, pool_leak_per_request=0.05))


def test_a_pool_that_is_held_for_the_whole_answer_bounds_throughput() -> None:
    async def work(service: Service, client: TestClient) -> None:
        began = asyncio.get_running_loop().time()
        assert await statuses(client, 20) == {200: 20}
        assert asyncio.get_running_loop().time() - began >= 10 * 0.02  # two connections

    served(work, Knobs(latency_p50=0.02, pool_size=2, pool_hold_share=1.0, pool_timeout=30.0))


def test_probes_and_scrapes_can_fail_alone() -> None:
    async def work(service: Service, client: TestClient) -> None:
        paths = ("/", "/healthz", "/readyz", "/metrics")

        async def seen() -> list[int]:
            found = []
            for path in paths:
                async with client.get(path) as response:
                    found.append(response.status)
            return found

        assert await seen() == [200, 200, 200, 200]
        service.turn(Knobs(not_ready=True))
        assert await seen() == [200, 200, 503, 200]
        service.turn(Knobs(metrics_blind=True))
        assert await seen() == [200, 200, 200, 503]
        assert samples(service.metrics, "http_requests_total") == 3, "only users are counted"

    served(work, Knobs())


def test_the_same_seed_and_pod_draw_the_same_and_another_pod_does_not() -> None:
    def draws(pod: str) -> list[float]:
        service = served(_nothing, Knobs(latency_p50=0.1, latency_p99=0.2), app_pod=pod)
        return [service.draw_seconds() for _ in range(5)]

    assert draws("a") == draws("a")
    assert draws("a") != draws("b")


@pytest.mark.parametrize("path", ["/nothing", "/metrics/../admin", "/%00", "/checkout/"])
def test_an_unknown_path_is_not_found_and_not_counted(path: str) -> None:
    async def work(service: Service, client: TestClient) -> None:
        async with client.get(path) as response:
            assert response.status == 404
        assert samples(service.metrics, "http_requests_total") == 0

    served(work, Knobs())
