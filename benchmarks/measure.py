"""Interleaved timing: A B A B, processor time of this one process, medians."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median

Work = Callable[[int], float]  #: number of the round -> units of work done


def rates(*works: Work, rounds: int) -> list[float]:
    """Median units a second of each, after one round that is not counted."""
    found: list[list[float]] = [[] for _ in works]
    for number in range(rounds + 1):
        for work, of_work in zip(works, found, strict=True):
            gc.collect()
            start = time.process_time()
            units = work(number)
            took = time.process_time() - start
            if number:
                of_work.append(units / took)
    return [median(of_work) for of_work in found]
