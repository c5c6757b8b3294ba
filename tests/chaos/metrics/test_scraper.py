"""Our scraper: what a Prometheus would have stored, and how questions are answered from it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from chaos.clock import LiveClock
from chaos.metrics import scraper, store
from chaos.metrics.answers import ENVOY, answer, text_of
from chaos.metrics.scraper import Scraper, Target, samples
from chaos.metrics.store import Full, LiveStore
from scenarios.schema import Metrics
from strategies.effects import QUANTITIES, CountsQuery, PromQuery, Query
from strategies.metrics.promql import Vector, evaluate, parse
from strategies.metrics.series import NAME

ROUTER = "envoy_cluster_upstream_rq"


def filled(seconds: int = 300, every: int = 15, errors_from: int = 0) -> LiveStore:
    """Canary: 10 requests a second, one of ten fails; stable: 90 and none."""
    kept = LiveStore()
    for at in range(0, seconds + 1, every):
        rows = [
            ({NAME: ROUTER, "envoy_cluster_name": "stable", "envoy_response_code": "200"}, 90.0 * at),
            ({NAME: ROUTER, "envoy_cluster_name": "canary", "envoy_response_code": "200"}, 9.0 * at),
        ]
        if at >= errors_from:
            rows.append(({NAME: ROUTER, "envoy_cluster_name": "canary", "envoy_response_code": "503"}, 1.0 * at))
        kept.scraped("envoy", at * 1000, rows, own={"instance": "envoy"})
    return kept


def values(kept: LiveStore, text: str, at_ms: int) -> list[float]:
    found = evaluate(parse(text), kept, np.array([at_ms]))
    assert isinstance(found, Vector)
    return [float(value) for value, there in zip(found.values[:, 0], found.kept[:, 0], strict=True) if there]


@pytest.mark.parametrize(
    ("quantity", "revision", "expected"),
    [
        ("error_ratio", "canary", 0.1),
        ("error_ratio", "stable", 0.0),
        ("error_ratio", "all", 0.01),
        ("success_ratio", "canary", 0.9),
        ("request_rate", "canary", 10.0),
        ("request_rate", "all", 100.0),
    ],
)
def test_typed_questions_follow_the_counters(quantity: str, revision: str, expected: float) -> None:
    found = answer(Query(quantity=quantity, revision=revision), filled(), 300_000, Metrics())
    assert found.value == pytest.approx(expected)
    assert found.at_seconds == 300.0


def test_the_evidence_behind_an_answer_is_counted() -> None:
    found = answer(Query(quantity="error_ratio", window_seconds=60), filled(), 300_000, Metrics())
    assert (found.requests, found.errors) == (600, 60)
    counted = answer(CountsQuery(), filled(), 300_000, Metrics())
    assert counted.result == [3000, 300, 27000, 0]


def test_without_series_there_is_no_answer_and_without_errors_the_ratio_is_zero() -> None:
    for quantity in QUANTITIES:
        assert answer(Query(quantity=quantity), LiveStore(), 300_000, Metrics()).value is None
    found = answer(Query(quantity="error_ratio"), filled(errors_from=10_000), 300_000, Metrics())
    assert found.value == 0


def test_promql_is_answered_as_it_stands() -> None:
    found = answer(PromQuery(f"sum by (envoy_cluster_name) (rate({ROUTER}[1m]))"), filled(), 300_000, Metrics())
    assert found.result == pytest.approx([10.0, 90.0])
    assert found.value == pytest.approx(10.0)
    scalar = answer(PromQuery("scalar(vector(3)) + 1"), filled(), 300_000, Metrics())
    assert (scalar.value, scalar.result) == (4.0, 4.0)
    assert answer(PromQuery("nothing"), filled(), 300_000, Metrics()).result == []


def test_a_latency_is_read_from_the_application(tmp_path: Path) -> None:
    kept = LiveStore()
    for at in (0, 15, 30):
        rows = [
            (
                {NAME: "http_request_duration_seconds_bucket", "revision": "canary", "le": le},
                share * 10.0 * at,
            )
            for le, share in (("0.1", 0.5), ("0.2", 1.0), ("+Inf", 1.0))
        ]
        kept.scraped("canary-0", at * 1000, rows, own={})
    found = answer(Query(quantity="latency_quantile", quantile=0.75, window_seconds=60), kept, 30_000, Metrics())
    assert found.value == pytest.approx(0.15)


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("revision", ["canary", "stable", "all"])
def test_every_typed_question_is_valid_promql(quantity: str, revision: str) -> None:
    parse(text_of(Query(quantity=quantity, revision=revision, window_seconds=7.5), ENVOY))


# --- the store ---------------------------------------------------------------------------------------------------


def test_a_series_that_is_no_longer_exported_ends_at_once() -> None:
    kept = LiveStore()
    for at in (0, 15):
        kept.scraped("pod", at * 1000, [({NAME: "a"}, 1.0), ({NAME: "b"}, 2.0)], own={"instance": "x"})
    kept.scraped("pod", 30_000, [({NAME: "a"}, 3.0)], own={"instance": "x"})
    assert values(kept, "b", 29_000) == [2.0]
    assert values(kept, "b", 30_000) == []
    assert values(kept, "a", 30_000) == [3.0]


def test_a_failed_scrape_ends_all_series_and_up_is_zero() -> None:
    kept = filled(60)
    kept.failed("envoy", 75_000, own={"instance": "envoy"})
    assert values(kept, ROUTER, 75_000) == []
    assert values(kept, "up", 75_000) == [0.0]
    kept.scraped("envoy", 90_000, [], own={"instance": "envoy"})
    assert values(kept, "up", 90_000) == [1.0]
    kept.gone("envoy", 105_000, own={"instance": "envoy"})
    assert values(kept, "up", 105_000) == []


@given(st.lists(st.integers(0, 100), max_size=30))
def test_times_of_a_series_ascend_whatever_the_clock_says(times: list[int]) -> None:
    kept = LiveStore()
    for at in times:
        kept.scraped("pod", at, [({NAME: "a"}, 1.0)], own={})
    found = kept.select([])
    assert (np.diff(found.times_ms, axis=2) > 0).all()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_SERIES", 3)
    with pytest.raises(Full, match="at most 3 series"):
        LiveStore().scraped("pod", 0, [({NAME: f"a{i}"}, 1.0) for i in range(4)], own={})
    monkeypatch.setattr(store, "MOST_SAMPLES", 3)
    kept = LiveStore()
    kept.scraped("pod", 0, [({NAME: "a"}, 1.0)], own={})
    with pytest.raises(Full, match="at most 3 samples"):
        kept.scraped("pod", 1, [({NAME: "a"}, 1.0)], own={})


def test_names_of_counters_are_kept() -> None:
    text = '# TYPE envoy_cluster_upstream_rq counter\nenvoy_cluster_upstream_rq{a="x # y"} 3\n# EOF\n'
    assert list(samples(text)) == [({NAME: "envoy_cluster_upstream_rq", "a": "x # y"}, 3.0)]


def test_targets_that_fail_hang_or_lie_do_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraper, "LONGEST", 10_000)

    async def good(request: web.Request) -> web.Response:
        return web.Response(text="a 1\n")

    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def huge(request: web.Request) -> web.Response:
        return web.Response(text="a 1\n" * 10_000)

    async def bad(request: web.Request) -> web.Response:
        return web.Response(text="<html>")

    async def main() -> Scraper:
        app = web.Application()
        for name, handler in {"good": good, "hang": hang, "huge": huge, "bad": bad}.items():
            app.router.add_get(f"/{name}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        targets = [Target(name, f"{base}/{name}", {"instance": name}) for name in ("good", "hang", "huge", "bad", "no")]
        targets.append(Target("refused", "http://127.0.0.1:9/metrics", {"instance": "refused"}))
        found = Scraper(LiveClock(), 1.0, lambda: targets)
        # what hangs is ended after a second, some hundred times as long as the others take
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1.0)) as session:
            await found.round(session)
        await runner.cleanup()
        return found

    found = asyncio.run(main())
    now = found.rounds_us[-1] // 1000 + 1
    assert values(found.store, 'a{instance="good"}', now) == [1.0]
    assert values(found.store, "sum(up)", now) == [1.0]
    assert values(found.store, "count(up)", now) == [6.0]
    assert found.failures == 5
