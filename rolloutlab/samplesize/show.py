"""The numbers of `samplesize` as the text of a terminal: a row a number, then the question that it answers."""

from __future__ import annotations

import textwrap
from typing import Any, Final

from rolloutlab import text
from rolloutlab.grid import Grid
from rolloutlab.samplesize.answers import QUESTIONS, Sizes
from rolloutlab.samplesize.wanted import Wanted
from scenarios.units import duration_text, share_text

_HEADS: Final = {
    "two_arms": "one look at two arms",
    "one_sample_width": "width of one interval",
    "sequential_limit": "any method, on average",
    "no_failures": "nothing failed",
    "window": "what the window gives",
    "smallest_weight": "smallest weight",
}
_WIDTH: Final = 100  #: of sentences, in columns


def table_text(sizes: Sizes) -> str:
    """The whole text: what was asked, the numbers, what they answer, why they differ."""
    rows = [
        *map(_two_arms, sizes.of("two_arms")),
        *map(_width, sizes.of("one_sample_width")),
        *map(_limit, sizes.of("sequential_limit")),
        *map(_no_failures, sizes.of("no_failures")),
        *map(_window, sizes.of("window")),
    ]
    head = ["number", "split", "canary", "stable", "together", "exact power"]
    if sizes.wanted.rate_per_second is None:
        rows = [row[:-1] for row in rows]
    else:
        head.append(f"time at {sizes.wanted.rate_per_second:,.4g}/s")
    told = [row if number == 0 or rows[number - 1][0] != row[0] else ["", *row[1:]] for number, row in enumerate(rows)]
    parts = [facts(sizes.wanted), Grid(head, [], told, 2, _breaks(told), ("together", "stable")).text()]
    parts += ["\n".join(said)] if (said := _of_the_window(sizes)) else []
    asked = dict.fromkeys(one["question"] for one in sizes.results)
    parts.append("Which question each number answers\n" + "\n".join(_question(name) for name in asked))
    parts.append("Why they differ\n" + "\n".join(_wrapped(note, "  ") for note in sizes.notes))
    return "\n\n".join(parts)


def facts(wanted: Wanted) -> str:
    """What was asked, in one line."""
    parts = [
        f"error ratio {share_text(wanted.p0)} → {share_text(wanted.p1)}",
        f"alpha {share_text(wanted.alpha)}, {'two' if wanted.sides == 2 else 'one'}-sided",
        f"power {share_text(wanted.power)}",
        f"margin ± {100 * wanted.half_width:.4g} points",
    ]
    if wanted.window_seconds is not None:
        parts.append(f"window {duration_text(wanted.window_seconds)}")
    return " · ".join(parts)


def _question(name: str) -> str:
    asks, means = QUESTIONS[name]
    return f"  {_HEADS[name]}: {asks}\n{_wrapped(means, '    ')}"


def _wrapped(words: str, indent: str) -> str:
    return textwrap.fill(words, _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _breaks(rows: list[list[str]]) -> list[int]:
    return [number for number, row in enumerate(rows) if number and row[0]]


def _two_arms(one: dict[str, Any]) -> list[str]:
    return [
        _HEADS["two_arms"], one["split"], _whole(one["canary_requests"]), _whole(one["stable_requests"]),
        _whole(one["total_requests"]), _power(one["exact_power"]), _time(one["seconds"]),
    ]  # fmt: skip


def _width(one: dict[str, Any]) -> list[str]:
    power = f"as {one['as_two_arms'][0]['split']} {_power(one['exact_power'])}"
    return [_HEADS["one_sample_width"], "", _whole(one["requests"]), "", _whole(one["requests"]), power, ""]


def _limit(one: dict[str, Any]) -> list[str]:
    canary, stable = one["mean_canary_requests"], one["mean_stable_requests"]
    numbers = [f"{value:,.0f}" for value in (canary, stable, canary + stable)]
    return [_HEADS["sequential_limit"], one["split"], *numbers, "", _time(one["seconds"])]


def _no_failures(one: dict[str, Any]) -> list[str]:
    name = f"{_HEADS['no_failures']}: below {share_text(one['excludes'])}"
    return [name, "", _whole(one["requests"]), "", _whole(one["requests"]), "", ""]


def _window(one: dict[str, Any]) -> list[str]:
    return [
        _HEADS["window"], one["split"], _whole(one["have_canary_requests"]), "", "", _power(one["exact_power"]), "",
    ]  # fmt: skip


def _of_the_window(sizes: Sizes) -> list[str]:
    """What the window is good for, in words."""
    if sizes.wanted.window_seconds is None:
        return []
    window = duration_text(sizes.wanted.window_seconds)
    lines = []
    for one in sizes.of("window"):
        enough = "enough" if one["enough"] else f"not enough; it takes {_time(one['needed_seconds'])}"
        lines.append(f"{window} at {share_text(round(one['weight'], 6))}: {one['says']} canary requests, {enough}.")
    for one in sizes.of("smallest_weight"):
        limits = [_weight(one["weight"]), _weight(one["limit_weight"])]
        lines.append(f"Smallest weight for {window}: {limits[0]}; for any method, on average: {limits[1]}.")
    return lines


def _weight(weight: float | None) -> str:
    return "none up to 50%" if weight is None else f"{100 * weight:.3g}%"


def _whole(number: int) -> str:
    return f"{number:,}"


def _power(power: float | None) -> str:
    return text.NONE if power is None else f"{power:.4f}"


def _time(seconds: float | None) -> str:
    return "" if seconds is None else text.seconds(seconds)
