"""Measure the load generator and the application under test: `python -m benchmarks.load`.

Each runs in a process of its own, on loopback. Rates are per second of processor time, so that other work on the
machine does not count; what is reported as lag does depend on it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ANSWER = b"HTTP/1.1 200 OK\r\nx-version: v1\r\nx-pod: web-1\r\nx-revision: stable\r\ncontent-length: 3\r\n\r\nok\n"
TICKS = os.sysconf("SC_CLK_TCK")


class _Yardstick(asyncio.Protocol):
    """The least that a server can do."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))  # type: ignore[attr-defined]


async def _yardstick() -> None:
    server = await asyncio.get_running_loop().create_server(_Yardstick, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


@contextmanager
def _running(module: str, *words: str) -> Iterator[tuple[int, int]]:
    """A server in a process: its number and its port."""
    with subprocess.Popen([sys.executable, "-m", module, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.pid, json.loads(process.stdout.readline())["port"]
        process.kill()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _load(port: int, seconds: float, **changes: Any) -> dict[str, Any]:
    """One run of the generator: its report."""
    with tempfile.TemporaryDirectory() as folder:
        load = {
            "host": "127.0.0.1",
            "port": port,
            "log": f"{folder}/traffic.bin",
            "duration_seconds": seconds,
            "max_rate_per_second": 50_000,
            "max_lag_seconds": 60,
            **changes,
        }
        path = Path(folder) / "load.json"
        path.write_text(json.dumps(load))
        argv = [sys.executable, "-m", "chaos.load", "--config", str(path)]
        ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        report: dict[str, Any] = json.loads(ended.stdout)
        return report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each run")
    parser.add_argument("--yardstick", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.yardstick:
        asyncio.run(_yardstick())
        return
    print("| | requests/s | processor share | requests per processor second | lag p50, p99 ms | latency p50, p99 ms |")
    print("|---|--:|--:|--:|--:|--:|")
    with _running("benchmarks.load", "--yardstick") as (_, port):
        for what, changes in {
            "generator, 200/s": {"rate_per_second": 200},
            "generator, 1,000/s": {"rate_per_second": 1000},
            "generator, 2,000/s": {"rate_per_second": 2000},
            "generator, 500/s, new connections": {"rate_per_second": 500, "new_connection_share": 1},
            "generator, 50 clients": {"clients": 50},
        }.items():
            report = _load(port, given.seconds, **changes)
            print(_row(what, report, report["cpu_share"] * report["wall_seconds"]))
    with _running("chaos.app") as (pid, port):
        before = _cpu_seconds(pid)
        report = _load(port, given.seconds, rate_per_second=1000)
        print(_row("application, 1,000/s", report, _cpu_seconds(pid) - before))


def _row(what: str, report: dict[str, Any], cpu_seconds: float) -> str:
    wall, lag, latency = report["wall_seconds"], report["lag_seconds"], report["latency_seconds"]
    return (
        f"| {what} | {report['answered'] / wall:,.0f} | {cpu_seconds / wall:.2f} "
        f"| {report['answered'] / cpu_seconds:,.0f} | {lag['p50'] * 1e3:.1f}, {lag['p99'] * 1e3:.1f} "
        f"| {latency['p50'] * 1e3:.1f}, {latency['p99'] * 1e3:.1f} |"
    )


if __name__ == "__main__":
    main()
