"""When requests are due, and whose they are: seeded, in blocks, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chaos.load.config import Load, Users

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
BLOCK: Final = 4096


@dataclass(frozen=True, slots=True)
class Block:
    """The next requests; shape [N] each."""

    due_seconds: FloatArray  #: since the run began, ascending
    users: IntArray  #: 1 and up; 0: there are no users
    fresh: BoolArray  #: uses a connection of its own


class Requests:
    """All requests of an open loop, in order.

    Args:
        load: the schedule; draws depend on its seed alone, so that a longer run begins like a shorter one.
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        streams = np.random.SeedSequence(load.seed).spawn(3)
        self._arrivals, users, self._connections = (np.random.default_rng(each) for each in streams)
        self.carriers = None if load.users is None else Carriers(load.users, users)

    def blocks(self) -> Iterator[Block]:
        """The requests that are due before the end, at most `max_requests` of them."""
        left = self.load.max_requests
        for due in self._due():
            due = due[due < self.load.duration_seconds][:left]
            left -= len(due)
            if len(due):
                yield self.block(due)
            if not left:
                break

    def block(self, due_seconds: FloatArray) -> Block:
        """Requests that are due at these times."""
        count = len(due_seconds)
        users = np.zeros(count, dtype=np.int64) if self.carriers is None else self.carriers.draw(count)
        return Block(due_seconds, users, self._connections.random(count) < self.load.new_connection_share)

    def _due(self) -> Iterator[FloatArray]:
        if self.load.arrivals_seconds is not None:
            every = np.array(self.load.arrivals_seconds, dtype=np.float64)
            return (every[at : at + BLOCK] for at in range(0, len(every), BLOCK))
        return poisson(self.load.rates, self.load.duration_seconds, self._arrivals)


def poisson(
    rates: Sequence[tuple[float, float]], until_seconds: float, rng: np.random.Generator
) -> Iterator[FloatArray]:
    """Times of Poisson arrivals in blocks, until a block has passed the end.

    Args:
        rates: (second, rate per second from then on), ascending, the first at 0.
        until_seconds: when there is no more need; times after it are the caller's to drop.
        rng: gaps are drawn from it.

    Source:
        Time change of a Poisson process of rate 1 by the inverse of the cumulative rate (Cinlar 1975, section 4.7).
    """
    starts = np.array([second for second, _ in rates])
    slopes = np.array([rate for _, rate in rates])
    cumulative = np.concatenate([[0.0], np.cumsum(slopes[:-1] * np.diff(starts))])
    reached = 0.0
    while True:
        expected = reached + np.cumsum(rng.standard_exponential(BLOCK))
        reached = float(expected[-1])
        if not slopes[-1]:
            expected = expected[expected < cumulative[-1]]  # nothing comes after the last piece
        piece = np.searchsorted(cumulative, expected, side="right") - 1  # of equal ones the last: it is not at rest
        due = starts[piece] + (expected - cumulative[piece]) / slopes[piece]
        yield due
        if len(due) < BLOCK or due[-1] >= until_seconds:
            return


class Carriers:
    """The users, and what each of them carries.

    Args:
        users: how many, how active, and the values they share among them.
        rng: draws the value of each, once, and then the user of each request.
    """

    def __init__(self, users: Users, rng: np.random.Generator) -> None:
        self.users = users
        self._rng = rng
        weights = np.arange(1, users.count + 1, dtype=np.float64) ** -users.zipf
        self._cumulative = np.cumsum(weights / weights.sum())
        self._values = list(users.values)
        shares = np.cumsum(list(users.values.values()))
        self._value_of = np.searchsorted(shares[:-1], rng.random(users.count), side="right") if users.values else None
        self._cookies: dict[int, dict[str, str]] = {}

    def draw(self, count: int) -> IntArray:
        """Users of requests, shape [count], from 1 on."""
        found = np.searchsorted(self._cumulative, self._rng.random(count), side="right")
        return np.minimum(found, self.users.count - 1).astype(np.int64) + 1

    def value(self, user: int) -> str:
        """What a user carries."""
        return str(user) if self._value_of is None else self._values[self._value_of[user - 1]]

    def headers(self, user: int) -> dict[str, str]:
        """Headers of a user's requests."""
        found = {self.users.header: self.value(user)} if self.users.header else {}
        cookies = dict(self._cookies.get(user, {}))
        if self.users.cookie:
            cookies[self.users.cookie] = self.value(user)
        if cookies:
            found["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        return found

    def learn(self, user: int, cookies: dict[str, str]) -> None:
        """Remember what the target has set, at most 20 cookies a user."""
        kept = self._cookies.setdefault(user, {})
        for name, value in cookies.items():
            if name in kept or len(kept) < 20:
                kept[name] = value
