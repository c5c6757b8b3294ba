"""What a bench comes to, in sentences that stand alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rolloutlab import text
from rolloutlab.judging.bench import Bench
from rolloutlab.judging.card import Card

_SEEN: Final = 0.9  #: of the bad releases: a judge that sees fewer is none to take


def verdicts(bench: Bench, cards: Sequence[Card]) -> list[str]:
    """The scenario's own rule first, then the judge to take, then who must not be believed, then the plumbing."""
    if not cards:
        return []
    found = [yours(card) for card in cards if card.entrant.yours]
    best = best_of(cards)
    if best is not None:
        found.append(_take(bench, best))
    found += [line for line in (_invalid(bench, cards), _plumbing(cards, best), _step(bench)) if line]
    return found


def best_of(cards: Sequence[Card]) -> Card | None:
    """The judge to take: of those that anyone can run and that surely keep alpha, the one that ends it the soonest."""
    able = [card for card in cards if _reliable(card) and card.fault.detected.value >= _SEEN]
    return min(able, key=lambda card: card.end_seconds, default=None)


def _reliable(card: Card) -> bool:
    """Whether it keeps alpha by a theorem, or by all that the runs can tell, without being told the fault."""
    kept = card.entrant.proven or card.hour.share.hi <= card.bench.alpha
    return card.valid and kept and not card.entrant.knows_fault


def yours(card: Card) -> str:
    """The scenario's own rule in one sentence."""
    bench, kind = card.bench, "rule" if card.entrant.kind == "failure_limit" else "judge"
    rule = f"{kind} {card.entrant.label.removeprefix('yours: ')}"
    seen = card.fault.detected.value
    if seen == 0:
        late = f"never sees {change(bench)} within {text.seconds(_watched(bench))}"
    else:
        ratio = f"{times(card.ratio.value)} the physical limit of {text.seconds(bench.limit_seconds())}"
        late = f"takes {text.seconds(card.fault.mean.value)} on average to see {change(bench)}, {ratio}"
        if seen < 0.995:
            late += f" (and misses {percent(1 - seen)} of the bad releases)"
    return f"{place(bench)} your {rule} {late}, and takes back {false_rate(card)} of good releases an hour."


def place(bench: Bench) -> str:
    """`At 11.6 requests/s and 10 % weight`."""
    return f"At {per_second(bench.rate_per_second)} and {percent(bench.share)} weight"


def change(bench: Bench) -> str:
    """`1 → 5 %`."""
    return f"{_number(100 * bench.p0)} → {percent(bench.p1)}"


def percent(share: float) -> str:
    """A share in per cent with two digits that matter, or as many as it has.

    >>> percent(0.05), percent(0.0123), percent(0.000123), percent(1.0)
    ('5 %', '1.2 %', '0.012 %', '100 %')
    """
    return f"{_number(100 * share)} %"


def per_second(rate: float) -> str:
    """A rate as a person reads it.

    >>> per_second(100.0), per_second(11.574)
    ('100 requests/s', '11.6 requests/s')
    """
    return f"{text.significant(rate, 3):g} requests/s"


def times(ratio: float) -> str:
    """A factor.

    >>> times(2.6), times(22.2), times(0.76)
    ('2.6 times', '22 times', '0.76 times')
    """
    return f"{_number(ratio)} times"


def _number(value: float) -> str:
    digits = 3 if abs(value) >= 100 else 2
    return f"{text.significant(value, digits):g}"


def false_rate(card: Card) -> str:
    """Good releases taken back within the hour, in words; nothing seen is below 3/n."""
    one = card.hour
    return f"fewer than {percent(3 / one.runs)}" if one.alarms == 0 else percent(one.share.value)


def impossible(card: Card) -> str:
    """A judge that beats the limit: the simulation is wrong, and its numbers are worth nothing."""
    found = card.efficiency
    assert found is not None
    return (
        f"{card.bench.name}, {card.entrant.label}: efficiency {found.value:.3f} (at least {found.least:.3f}) is above "
        f"what is possible; the simulation or the judge is wrong, do not use these numbers"
    )


def _take(bench: Bench, best: Card) -> str:
    who = "your own rule" if best.entrant.yours else best.entrant.label
    return (
        f"Take {who}: of the judges that surely keep {percent(bench.alpha)} it ends the fault the soonest, "
        f"{text.seconds(best.end_seconds)} on average, {text.seconds(best.fault.mean.value)} of them to be sure "
        f"({times(best.ratio.value)} the limit), after {text.count(best.fault.exposed_mean.value)} exposed requests."
    )


def _invalid(bench: Bench, cards: Sequence[Card]) -> str:
    bad = [card for card in cards if not card.valid and not card.entrant.yours]
    if not bad:
        return ""
    names = "; ".join(f"{card.entrant.label}: {percent(card.hour.share.value)}" for card in bad)
    return f"Do not believe, for they take back more than {percent(bench.alpha)} of good releases an hour: {names}."


def _plumbing(cards: Sequence[Card], best: Card | None) -> str:
    card = best or cards[0]
    pipes = [one for one in card.segments if one.kind == "plumbing"]
    total = sum(one.seconds for one in pipes)
    if not total:
        return ""
    largest = max(pipes, key=lambda one: one.seconds)
    return (
        f"Plumbing takes {text.seconds(total)} whatever the statistics; most of it is {largest.name} "
        f"({text.seconds(largest.seconds)})."
    )


def _step(bench: Bench) -> str:
    if bench.step_seconds is None or bench.limit_seconds() <= bench.step_seconds:
        return ""
    return (
        f"The first step lasts {text.seconds(bench.step_seconds)}: no judge at all can be sure of {change(bench)} in "
        f"it on average; stay longer, give the canary more weight, or watch a stronger signal."
    )


def _watched(bench: Bench) -> float:
    return bench.horizon_seconds - bench.fault_seconds
