"""The pool: never more than its size, first in first out, and what leaks is gone."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from chaos.app.pool import Connection, Pool, PoolEmptyError

LONG = 30.0


@contextlib.asynccontextmanager
async def pool_of(size: int) -> AsyncIterator[Pool]:
    pool = Pool(size)
    yield pool
    pool.close()
    await asyncio.sleep(0)


def test_a_connection_answers_and_is_used_again() -> None:
    async def main() -> None:
        async with pool_of(2) as pool:
            first = await pool.take(LONG)
            await first.query()
            assert pool.in_use == 1
            pool.give_back(first)
            assert pool.in_use == 0
            assert await pool.take(LONG) is first

    asyncio.run(main())


def test_a_leaked_connection_is_gone_for_good() -> None:
    async def main() -> None:
        async with pool_of(3) as pool:
            for _ in range(3):
                await (await pool.take(LONG)).query()
            assert pool.in_use == 3
            for _ in range(3):
                with pytest.raises(PoolEmptyError, match=r"no connection of 3 became free in 0.01 s"):
                    await pool.take(0.01)
            assert pool.in_use == 3, "who gave up has taken nothing"

    asyncio.run(main())


def test_those_who_wait_are_served_in_order() -> None:
    async def main() -> list[int]:
        order = []
        async with pool_of(1) as pool:
            held = await pool.take(LONG)

            async def client(number: int) -> None:
                connection = await pool.take(LONG)
                order.append(number)
                await connection.query()
                pool.give_back(connection)

            waiting = [asyncio.create_task(client(number)) for number in range(20)]
            await asyncio.sleep(0)
            pool.give_back(held)
            newcomer = asyncio.create_task(client(20))
            await asyncio.gather(*waiting, newcomer)
            return order

    assert asyncio.run(main()) == list(range(21))


def test_a_hundred_clients_never_share_a_connection() -> None:
    async def main() -> None:
        rng, taken, used, gave_up = random.Random(1), set(), set(), 0
        async with pool_of(5) as pool:

            async def client() -> None:
                nonlocal gave_up
                for _ in range(20):
                    try:
                        connection = await pool.take(rng.choice([0.0, 0.001, 0.02, LONG]))
                    except PoolEmptyError:
                        gave_up += 1
                        continue
                    assert connection not in taken
                    taken.add(connection)
                    used.add(connection)
                    assert len(taken) <= pool.in_use <= pool.size
                    await connection.query()
                    await asyncio.sleep(rng.random() * 0.002)
                    taken.remove(connection)
                    pool.give_back(connection)

            await asyncio.gather(*(client() for _ in range(100)))
            assert 0 < gave_up < 2000
            assert pool.in_use == 0
            assert len(used) == 5, "connections are used again, not opened again"

    asyncio.run(main())


def test_a_pool_can_grow_and_shrink() -> None:
    async def main() -> None:
        async with pool_of(1) as pool:
            first = await pool.take(LONG)
            second = asyncio.create_task(pool.take(LONG))
            await asyncio.sleep(0)
            assert not second.done()
            pool.size = 2
            held: list[Connection] = [first, await second]
            pool.size = 1
            for connection in held:
                pool.give_back(connection)
            await asyncio.sleep(0)
            assert sum(each.writer.is_closing() for each in held) == 1, "one too many"
            assert await pool.take(LONG) in held

    asyncio.run(main())
