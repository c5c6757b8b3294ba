"""Guards: each limit trips by itself, and they work while the event loop does not."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from chaos.guards import Guards, Limits, Trip
from chaos.load.log import TrafficLog, TrafficWriter


def traffic(path: Path, *, status: int = 200, latency: float = 0.01, count: int = 200) -> TrafficLog:
    now = time.monotonic_ns() // 1000
    log = TrafficWriter(path, now)
    for _ in range(count):
        log.add(now - round(latency * 1e6), now - round(latency * 1e6), now, 0, status, 0, 1, False, b"v1", b"stable-0")
    log.flush()
    log.close()
    return TrafficLog(path)


def guards(limits: Limits, log: TrafficLog | None, ready: int = 4) -> Guards:
    return Guards(limits, traffic=lambda: log, ready=lambda: ready, tripped=lambda _: None, end=lambda: None)


def test_limits_trip_one_by_one(tmp_path: Path) -> None:
    now = time.monotonic()
    failing, slow = traffic(tmp_path / "a.bin", status=500), traffic(tmp_path / "b.bin", latency=3.0)
    healthy = traffic(tmp_path / "c.bin")
    every = Limits(error_ratio=0.5, p99_seconds=1.0, ready_replicas=3, wall_seconds=60)
    for log, ready, name in ((failing, 4, "error ratio"), (slow, 4, "latency"), (healthy, 2, "ready replicas")):
        trip = guards(every, log, ready).look(time.monotonic())
        assert trip is not None
        assert trip.guard == name
    assert guards(every, healthy).look(time.monotonic()) is None
    late = guards(every, healthy).look(now + 100)
    assert late is not None
    assert late.guard == "wall time"


def test_few_requests_say_nothing(tmp_path: Path) -> None:
    few = traffic(tmp_path / "a.bin", status=500, count=20)
    assert guards(Limits(error_ratio=0.1), few).look(time.monotonic()) is None
    assert guards(Limits(error_ratio=0.1, fewest_requests=10), few).look(time.monotonic()) is not None
    assert guards(Limits(error_ratio=0.1), None).look(time.monotonic()) is None


def test_old_requests_are_forgotten(tmp_path: Path) -> None:
    log = traffic(tmp_path / "a.bin", status=500)
    watched = guards(Limits(error_ratio=0.1, window_seconds=1.0), log)
    assert watched.look(time.monotonic()) is not None
    assert watched.look(time.monotonic() + 5) is None


@pytest.mark.parametrize(
    "wrong",
    [{"error_ratio": 2}, {"p99_seconds": 0}, {"wall_seconds": -1}, {"ready_replicas": -1}, {"react_seconds": 0}],
)
def test_limits_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)


def test_the_usual_error_ratio_gives_way_to_faults_that_may_fail_everything_and_a_chosen_one_does_not() -> None:
    assert Limits().sparing() == Limits(error_ratio=None)
    for chosen in (Limits(error_ratio=0.5), Limits(strict=True), Limits(error_ratio=None)):
        assert chosen.sparing() == chosen


@pytest.mark.parametrize("blocked", [True, False])
def test_a_loop_that_hangs_has_its_processes_ended(blocked: bool) -> None:
    ended, heard, trips = threading.Event(), threading.Event(), list[Trip]()

    async def main() -> Guards:
        loop = asyncio.get_running_loop()

        def tripped(trip: Trip) -> None:
            trips.append(trip)
            loop.call_soon_threadsafe(lambda: (watched.heard(), heard.set()))

        watched = Guards(
            Limits(ready_replicas=1, react_seconds=0.4 if blocked else 60.0),
            traffic=lambda: None,
            ready=lambda: 0,
            tripped=tripped,
            end=ended.set,
        )
        watched.start()
        if blocked:
            ended.wait(60.0)  # nobody else has a turn
        else:
            while not heard.is_set():
                await asyncio.sleep(0.01)
        watched.stop()
        return watched

    watched = asyncio.run(main())
    assert [trip.guard for trip in trips] == ["ready replicas"]
    assert ended.is_set() is blocked
    assert watched.ended is blocked
