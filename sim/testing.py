"""For tests of engines and strategies: count tapes, their replay in every engine, and the comparison of journals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engines.batch import Chunk
from sim.model import Model
from sim.rows import Rows
from sim.seeds import CHUNK
from strategies.effects import Spawn, Strategy

IntArray = NDArray[np.int64]
#: (microseconds, kind, number of the program, its name, effect or answer as text)
Entry = tuple[int, str, int, str, str]


@dataclass
class Journal:
    """Everything that one strategy asked and learned, as text that tells numpy scalars from plain numbers."""

    entries: list[Entry] = field(default_factory=list)

    def __call__(self, at_us: int, kind: str, task: int, name: str, what: Any) -> None:
        """A `strategies.drive.Recorder`."""
        text = f"Spawn(name={what.name!r})" if isinstance(what, Spawn) else repr(what)
        self.entries.append((at_us, kind, task, name, text))


@dataclass
class CountTape:
    """Counts of every scrape interval of some replications of one chunk.

    `counts[row][k]` has the shape of a `sim.engines.batch.Source`, without A; k = -1 is what follows the last scrape
    that was read.
    """

    root: int
    chunk: int
    counts: list[dict[int, IntArray]]

    def in_batch(self, rows: IntArray, k: int, _: Any) -> IntArray:
        """A `source` of the batch engine."""
        return np.stack([self.counts[row][k] for row in rows.tolist()])


def record_tape(
    model: Model, strategy: Strategy, *, root: int, chunk: int = 0, replications: int = CHUNK
) -> tuple[CountTape, list[Journal], Rows]:
    """Run a chunk in the batch engine; returns its counts, its journals and its rows."""
    tape = CountTape(root, chunk, [{} for _ in range(replications)])

    def tap(rows: IntArray, k: int, counts: IntArray) -> None:
        for row, of_row in zip(rows.tolist(), counts, strict=True):
            tape.counts[row][k] = of_row

    journals = [Journal() for _ in range(replications)]
    record = journals.__getitem__
    rows = Chunk(model, strategy, root, chunk, replications=replications, record=record, tap=tap).run()
    return tape, journals, rows


def replay_in_batch(tape: CountTape, model: Model, strategy: Strategy) -> tuple[list[Journal], Rows]:
    """Run the replications of a tape in the batch engine, from the tape instead of draws."""
    count = len(tape.counts)
    journals = [Journal() for _ in range(count)]
    record = journals.__getitem__
    chunk = Chunk(model, strategy, tape.root, tape.chunk, replications=count, record=record, source=tape.in_batch)
    return journals, chunk.run()


def replay_in_event(tape: CountTape, model: Model, strategy: Strategy, row: int) -> tuple[Journal, Rows]:
    """Run one replication of a tape in the event engine, from the tape instead of requests."""
    from sim.engines.event import run_one

    journal = Journal()
    replication = tape.chunk * CHUNK + row
    source = tape.counts[row].__getitem__
    return journal, run_one(model, strategy, tape.root, replication, record=journal, source=source)


def first_difference(one: Journal, other: Journal) -> str | None:
    """Where two journals part, with the entries around it; None when they are the same."""
    for at, (a, b) in enumerate(zip(one.entries, other.entries, strict=False)):
        if a != b:
            return f"entry {at}: {a} in one, {b} in the other"
    if len(one.entries) != len(other.entries):
        longer = max(one.entries, other.entries, key=len)
        at = min(len(one.entries), len(other.entries))
        return f"entry {at}: only one has {longer[at]}"
    return None
