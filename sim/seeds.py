"""Where every random number comes from: one named stream a quantity, keyed by chunk.

A chunk of 256 replications is the unit of seed, work and resume; a last partial chunk is drawn whole and cut. So
replication i is the same world for every strategy, engine, edited scenario and number of workers.
"""

from __future__ import annotations

from typing import Final

import numpy as np

CHUNK: Final = 256
#: pods of one revision are drawn in blocks of this many ordinals
BLOCK: Final = 32
#: containers of one pod after which the draws of its start-up and leak are used again
LIVES: Final = 4

_STREAMS: Final = {
    "world": 0,
    "pods": 1,
    "counts": 2,
    "finish": 3,
    "requests": 4,
    "people": 5,
    "traffic": 6,
    "scrapes": 7,
    "uids": 8,
    "uncounted": 9,
}


def stream(root: int, chunk: int, name: str, *more: int) -> np.random.Generator:
    """The generator of one quantity of one chunk; `more` keys parts of it (a revision, a block, a replication).

    >>> bool(stream(1, 0, "world").random() == stream(1, 0, "world").random())
    True
    """
    key = (chunk, _STREAMS[name], *more)
    return np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence(root, spawn_key=key)))


def place(replication: int) -> tuple[int, int]:
    """The chunk of a replication and its place in it."""
    return divmod(replication, CHUNK)
