"""One function a question; its answer is a mapping of plain values, the same for the table and for programs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final

from rolloutlab.result import SCHEMA, plain
from rolloutlab.samplesize.wanted import EVEN, Split, Wanted
from strategies import limits
from strategies.exact_power import MOST_REQUESTS

#: question -> how it is asked, and what its number means
QUESTIONS: Final = {
    "two_arms": (
        "did the error ratio change?",
        "both revisions are counted once, at the end, and compared (z-test, pooled variance); who looks earlier, or "
        "more than once, has more false alarms than alpha",
    ),
    "one_sample_width": (
        "how large is one error ratio, to within the margin?",
        "enough to measure a single ratio; it compares nothing, and its power is that of two arms whose canary has "
        "this size",
    ),
    "sequential_limit": (
        "how soon could any method know?",
        "on a bad canary no judge, however often it looks, ends after fewer requests on average, at these two error "
        "probabilities; a bound, not a recipe",
    ),
    "no_failures": (
        "what does it say that nothing failed?",
        "so many canary requests without a single failure exclude the larger ratio; fewer do not",
    ),
    "window": (
        "is the window long enough?",
        "what the canary gets within the window against what one look at its end needs, "
        "and the power with what it gets",
    ),
    "smallest_weight": (
        "which weight does the window need?",
        "the smallest weight up to 50% whose canary gets what one look needs, and the smallest with which any method "
        "could know in time on average",
    ),
}
#: how far the exact probabilities of the test may lie from those asked for before a reader is told
_FAR_POWER: Final = 0.02
_FAR_ALPHA: Final = 1.1


@dataclass(frozen=True)
class Sizes:
    """All numbers for one change: results as plain values, each of which names its question."""

    wanted: Wanted
    results: list[dict[str, Any]]
    notes: list[str]
    warnings: list[str]

    def of(self, question: str) -> list[dict[str, Any]]:
        """The results of one question."""
        return [one for one in self.results if one["question"] == question]

    def document(self) -> dict[str, Any]:
        """All of it for programs; what does not exist is None."""
        wanted = self.wanted
        inputs = {
            "from": wanted.p0, "to": wanted.p1, "alpha": wanted.alpha, "power": wanted.power, "sides": wanted.sides,
            "splits": [split.text for split in wanted.splits], "margin": wanted.half_width,
            "rate_per_second": wanted.rate_per_second, "window_seconds": wanted.window_seconds,
        }  # fmt: skip
        shown = {"schema": SCHEMA, "command": "samplesize", "inputs": inputs, "results": self.results}
        found: dict[str, Any] = plain({**shown, "notes": self.notes, "warnings": self.warnings})
        return found

    def json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False, allow_nan=False)


def sizes(wanted: Wanted) -> Sizes:
    """All numbers for one change of an error ratio."""
    arms = [_two_arms(wanted, split) for split in wanted.splits]
    width = _width(wanted)
    results = [*arms, width, *(_limit(wanted, split) for split in wanted.splits), _no_failures(wanted)]
    if wanted.rate_per_second is not None and wanted.window_seconds is not None:
        given = (wanted.rate_per_second, wanted.window_seconds)
        results += [_window(wanted, split, one, given) for split, one in zip(wanted.splits, arms, strict=True)]
        results.append(_weight(wanted, given))
    return Sizes(wanted, results, [*_apart(arms, width), *_quoted(wanted)], _warnings(wanted, arms))


# --- one question each -------------------------------------------------------------------------------------------


def _result(question: str, **values: Any) -> dict[str, Any]:
    asks, means = QUESTIONS[question]
    return {"question": question, "asks": asks, "means": means, **values}


def _two_arms(wanted: Wanted, split: Split) -> dict[str, Any]:
    p0, p1 = wanted.p0, wanted.p1
    needed = limits.two_proportions(
        p0, p1, alpha=wanted.alpha, power=wanted.power, ratio=split.ratio, sides=wanted.sides
    )
    canary = max(1, math.ceil(needed))
    return _result(
        "two_arms",
        split=split.text,
        weight=split.weight,
        canary_requests=canary,
        stable_requests=split.stable(canary),
        total_requests=canary + split.stable(canary),
        exact_power=_power(wanted, split, canary),
        exact_false_alarm=_power(wanted, split, canary, bad=False),
        canary_requests_unrounded=needed,
        canary_requests_fisher=math.ceil(limits.continuity_corrected(max(needed, 1.0), p0, p1, ratio=split.ratio)),
        seconds=_seconds(wanted, canary, split),
    )


def _width(wanted: Wanted) -> dict[str, Any]:
    needed = limits.one_sample(wanted.p0, wanted.half_width, 1 - wanted.alpha)
    requests = max(1, math.ceil(needed))
    # with so many in each arm first: that is how the number is used
    splits = dict.fromkeys((EVEN, *wanted.splits))
    compared = [
        {
            "split": split.text,
            "canary_requests": requests,
            "stable_requests": split.stable(requests),
            "exact_power": _power(wanted, split, requests),
        }
        for split in splits
    ]
    return _result(
        "one_sample_width",
        margin=wanted.half_width,
        confidence=1 - wanted.alpha,
        requests=requests,
        requests_unrounded=needed,
        exact_power=compared[0]["exact_power"],
        as_two_arms=compared,
    )


def _limit(wanted: Wanted, split: Split) -> dict[str, Any]:
    alpha, beta = wanted.alpha, 1 - wanted.power
    canary = limits.minimum_exposure(wanted.p0, wanted.p1, alpha=alpha, beta=beta, share=split.weight)
    return _result(
        "sequential_limit",
        split=split.text,
        weight=split.weight,
        mean_canary_requests=canary,
        mean_stable_requests=canary * split.ratio,
        mean_canary_requests_known_baseline=limits.minimum_exposure(wanted.p0, wanted.p1, alpha=alpha, beta=beta),
        seconds=_seconds(wanted, canary, split),
    )


def _no_failures(wanted: Wanted) -> dict[str, Any]:
    excluded, confidence = max(wanted.p0, wanted.p1), 1 - wanted.alpha
    requests = math.ceil(limits.zero_failures_requests(excluded, confidence))
    return _result(
        "no_failures",
        excludes=excluded,
        confidence=confidence,
        requests=requests,
        bound=limits.zero_failures_bound(requests, confidence),
        probability_at_smaller_ratio=(1 - min(wanted.p0, wanted.p1)) ** requests,
    )


def _window(wanted: Wanted, split: Split, arms: dict[str, Any], given: tuple[float, float]) -> dict[str, Any]:
    # the number of requests times the weight: what is left of a whole number is rounding
    have = math.floor(round(given[0] * given[1] * split.weight, 6))
    return _result(
        "window",
        split=split.text,
        weight=split.weight,
        have_canary_requests=have,
        need_canary_requests=arms["canary_requests"],
        enough=have >= arms["canary_requests"],
        says=limits.have_and_need(have, arms["canary_requests"]),
        exact_power=_power(wanted, split, have),
        needed_seconds=arms["seconds"],
    )


def _weight(wanted: Wanted, given: tuple[float, float]) -> dict[str, Any]:
    rate, window = given
    one_look = limits.smallest_weight(
        wanted.p0, wanted.p1, rate_per_second=rate, window_seconds=window,
        alpha=wanted.alpha, power=wanted.power, sides=wanted.sides,
    )  # fmt: skip
    limit = limits.smallest_weight_limit(
        wanted.p0, wanted.p1, rate_per_second=rate, window_seconds=window, alpha=wanted.alpha, beta=1 - wanted.power
    )
    return _result("smallest_weight", weight=one_look, limit_weight=limit)


def _power(wanted: Wanted, split: Split, canary: int, *, bad: bool = True) -> float | None:
    """Exact power with so many canary requests; None without any, or with more than are added up."""
    stable = split.stable(canary)
    if not (canary and stable and max(canary, stable) <= MOST_REQUESTS):
        return None
    p0, p1 = wanted.p0, wanted.p1
    if p1 < p0:  # count what does not fail: a test of one side then looks the right way for a good canary too
        p0, p1 = 1 - p0, 1 - p1
    return limits.exact_power(
        p0, p1 if bad else p0, canary=canary, stable=stable, alpha=wanted.alpha, sides=wanted.sides
    )


def _seconds(wanted: Wanted, canary: float, split: Split) -> float | None:
    if wanted.rate_per_second is None:
        return None
    return limits.collect_seconds(canary, rate_per_second=wanted.rate_per_second, share=split.weight)


# --- what to make of them ----------------------------------------------------------------------------------------


def _apart(arms: list[dict[str, Any]], width: dict[str, Any]) -> list[str]:
    """Why the numbers differ: what each of them counts."""
    first, points = arms[0], f"± {100 * width['margin']:.4g} points"
    apart = [
        f"{first['total_requests']:,} is what both arms need together at {first['split']}, of which the canary's is "
        f"{first['canary_requests']:,}.",
        *(
            f"At {one['split']} the canary needs {one['canary_requests']:,}, the stable revision "
            f"{one['stable_requests']:,}."
            for one in arms[1:]
        ),
        f"{width['requests']:,} measures one ratio to within {points}.",
    ]
    if width["exact_power"] is not None:
        apart.append(f"Two arms of {width['requests']:,} find the change with probability {width['exact_power']:.2f}.")
    return apart


def _quoted(wanted: Wanted) -> list[str]:
    """Two numbers that are often quoted for one change, and the questions they answer."""
    if (wanted.p0, wanted.p1) != (0.01, 0.015):
        return []
    both, one = 2 * math.ceil(limits.two_proportions(0.01, 0.015)), math.ceil(limits.one_sample(0.01, 0.005))
    return [
        f"A widely read deployment guide asks for 15,000 requests to see 1% become 1.5%, and prints a formula that "
        f"returns {one:,}. The first is near {both:,}, both of two equal arms together (one look, 80% power); the "
        f"second is z² p (1 − p) / E², the width of one interval. They answer different questions."
    ]


def _warnings(wanted: Wanted, arms: list[dict[str, Any]]) -> list[str]:
    """Where the normal approximation behind the number of requests is not good enough."""
    found = []
    for one in arms:
        power, alarm = one["exact_power"], one["exact_false_alarm"]
        if power is None:
            found.append(f"{one['split']}: more than {MOST_REQUESTS:,} requests in one arm, so no exact power")
            continue
        if abs(power - wanted.power) > _FAR_POWER:
            found.append(f"{one['split']}: failures are few, and the exact power is {power:.3f}, not {wanted.power:g}")
        if alarm > _FAR_ALPHA * wanted.alpha:
            found.append(f"{one['split']}: failures are few, and alpha is {alarm:.3f}, not {wanted.alpha:g}")
    return found
