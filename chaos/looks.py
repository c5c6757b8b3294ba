"""Which answers a strategy takes for bad: its own conditions, found in its settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from strategies.analysis import Metric, Script
from strategies.analysis.verdict import judge
from strategies.effects import Ask, Measured, Strategy
from strategies.metrics.conditions import ConditionError


class Looks:
    """Tells bad answers of one strategy; of a strategy whose conditions nobody can see, none is known to be bad."""

    def __init__(self, strategy: Strategy) -> None:
        self._judges: dict[Ask, list[Callable[[Measured], Any]]] = {}
        for metric in _metrics(strategy.program, set()):
            if not isinstance(metric.query, Script):
                self._judges.setdefault(metric.query, []).append(judge(metric))

    @property
    def known(self) -> bool:
        """There are conditions to judge by."""
        return bool(self._judges)

    def bad(self, ask: Ask, look: Measured) -> bool:
        """Whether a metric fails at this answer."""
        for verdict in self._judges.get(ask, ()):
            try:
                if verdict(look) is False:
                    return True
            except ConditionError:
                continue  # no data: an error, not a bad look
        return False


def _metrics(thing: Any, seen: set[int]) -> Iterator[Metric]:
    """All metrics inside the settings of a program, however they are nested."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, Metric):
        yield thing
    elif isinstance(thing, partial):
        yield from _metrics((*thing.args, *thing.keywords.values()), seen)
    elif isinstance(thing, tuple | list):
        for each in thing:
            yield from _metrics(each, seen)
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        for each in dataclasses.fields(thing):
            yield from _metrics(getattr(thing, each.name), seen)
