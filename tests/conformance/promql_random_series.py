"""Random series for the queries of `promql_grammar`."""

from __future__ import annotations

import math
import random

from promql_world import World

BOUNDS = ("0.1", "0.25", "1", "2.5", "+Inf")


def world(dice: random.Random) -> World:
    """Counters with resets, gauges, histograms and constants; gaps, staleness markers, NaN and infinities."""
    interval_ms = dice.choice((5_000, 15_000, 30_000, 60_000))
    length = dice.randint(20, 60)
    pods = [f"web-{number}" for number in range(dice.randint(1, 3))]
    series: list[tuple[str, str]] = []
    for pod in pods:
        for code in ("200", "500", "503")[: dice.randint(1, 3)]:
            series.append((f'hits{{pod="{pod}", code="{code}"}}', _gaps(dice, _counter(dice, length))))
        series.append((f'mem{{pod="{pod}"}}', _gaps(dice, _gauge(dice, length))))
        series.append((f'info{{pod="{pod}", version="v{dice.randint(1, 2)}"}}', _gaps(dice, [1.0] * length, rare=True)))
        series += _histogram(dice, pod, length)
    series.append(("conf", _gaps(dice, [float(dice.randint(1, 9))] * length, rare=True)))
    return World(interval_ms, tuple(series))


def _counter(dice: random.Random, length: int) -> list[float]:
    total, values = float(dice.choice((0, 0, 3, 250, 12345))), []
    step = dice.choice((1, 5, 40, 0.25))
    for _ in range(length):
        total += step * dice.randint(0, 4)
        if dice.random() < 0.04:
            total = float(dice.choice((0, 0, 1, 7)))
        values.append(total)
    return values


def _gauge(dice: random.Random, length: int) -> list[float]:
    value, values = dice.choice((0.0, 100.0, -3.5, 1e5)), []
    odd = dice.random() < 0.3
    for _ in range(length):
        value += dice.choice((-1, 1, 0, 0.1, -0.3, 17.25))
        values.append(dice.choice((math.nan, math.inf, -math.inf)) if odd and dice.random() < 0.08 else value)
    return values


def _histogram(dice: random.Random, pod: str, length: int) -> list[tuple[str, str]]:
    counts = [0.0] * len(BOUNDS)
    rows: list[list[float]] = [[] for _ in BOUNDS]
    for _ in range(length):
        if dice.random() < 0.02:
            counts = [0.0] * len(BOUNDS)
        for place in range(len(BOUNDS)):
            counts[place] += dice.randint(0, 5)
        total = 0.0
        for place, row in enumerate(rows):
            total += counts[place]
            row.append(total)
    gaps = _gap_places(dice, length)
    odd = []
    if dice.random() < 0.2:  # one bound written twice, and one that is no number
        odd = [(f'lat_bucket{{pod="{pod}", le="{bound}"}}', _text(rows[2], {})) for bound in ("1.0", "1e0", "much")]
    return odd + [
        (f'lat_bucket{{pod="{pod}", le="{bound}"}}', _text(row, gaps)) for bound, row in zip(BOUNDS, rows, strict=True)
    ]


def _gaps(dice: random.Random, values: list[float], *, rare: bool = False) -> str:
    return _text(values, _gap_places(dice, len(values)) if not rare or dice.random() < 0.2 else {})


def _gap_places(dice: random.Random, length: int) -> dict[int, str]:
    """Missed scrapes here and there, a late birth, an early end, an outage."""
    gaps = {place: "_" for place in range(length) if dice.random() < 0.05} if dice.random() < 0.5 else {}
    if dice.random() < 0.3:
        gaps |= dict.fromkeys(range(dice.randint(0, length // 2)), "_")
    if dice.random() < 0.2:
        end = dice.randint(length // 2, length - 1)
        gaps |= dict.fromkeys(range(end, length), "_") | {end: "stale"}
    if dice.random() < 0.2:
        start = dice.randint(0, length - 1)
        gaps |= dict.fromkeys(range(start, min(length, start + dice.randint(1, 8))), "_")
    return gaps


def _text(values: list[float], gaps: dict[int, str]) -> str:
    return " ".join(gaps.get(place) or _number(value) for place, value in enumerate(values))


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value == int(value) else repr(value)
