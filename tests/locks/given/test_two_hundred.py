"""Two hundred tasks and two hundred threads wait for one PostgreSQL lock over given pools of four connections."""

import asyncio

import pytest
from sqlalchemy import text

from stockade.locks import PostgresLocks, aio
from tests.locks.given.pools import POSTGRES_AIO, POSTGRES_THREADS, SIZE
from tests.threads import Running
from tests.waiting import eventually

pytestmark = pytest.mark.postgres
WAITERS = 200
WORK_S = 60


class Room:
    """Who is inside, who was, and whether two ever were."""

    def __init__(self):
        self.visits = []
        self.inside = 0
        self.crowded = False

    def enter(self, who):
        self.inside += 1
        self.crowded |= self.inside > 1
        self.visits.append(who)

    def leave(self):
        self.inside -= 1


def waiters_of(provider):
    """How many callers wait in this process."""
    locks = provider.backend._locks
    return 0 if locks is None or "hot" not in locks.queues else len(locks.queues["hot"].waiters)


async def visit_in_task(provider, engine, room, number):
    async with provider.lock("hot"), engine.connect() as connection:  # the work needs the pool, too
        room.enter(("task", number))
        assert (await connection.execute(text("SELECT 1"))).scalar() == 1
        room.leave()


def visit_in_thread(provider, engine, room, number):
    with provider.lock("hot"), engine.connect() as connection:
        room.enter(("thread", number))
        assert connection.execute(text("SELECT 1")).scalar() == 1
        room.leave()


def start_threads(provider, engine, room):
    """One after the other, each once the one before it waits."""
    threads = []
    for number in range(WAITERS):
        threads.append(Running(visit_in_thread, provider, engine, room, number))
        eventually(lambda: waiters_of(provider) >= len(threads) or not threads[-1].is_alive())
        if not threads[-1].is_alive():
            threads[-1].result()
    return threads


async def test_two_hundred_tasks_and_two_hundred_threads_get_it_in_turn(postgres_url, request):
    """All of them get the lock, one at a time, in order of arrival within each provider, and the pools are whole."""
    prefix, room = request.node.name, Room()
    async with POSTGRES_AIO["AsyncEngine"](postgres_url) as async_engine:
        with POSTGRES_THREADS["Engine-psycopg"](postgres_url) as engine:
            async with (
                aio.PostgresLocks(postgres_url, prefix=prefix) as gate,
                aio.PostgresLocks(async_engine, prefix=prefix) as in_tasks,
            ):
                with PostgresLocks(engine, prefix=prefix) as in_threads:
                    async with gate.lock("hot"):
                        tasks = [
                            asyncio.create_task(visit_in_task(in_tasks, async_engine, room, number))
                            for number in range(WAITERS)
                        ]
                        threads = await asyncio.to_thread(start_threads, in_threads, engine, room)
                        assert room.visits == []
                        assert engine.pool.checkedout() <= SIZE - 2
                        assert async_engine.pool.checkedout() <= SIZE - 2
                    async with asyncio.timeout(WORK_S):
                        await asyncio.gather(*tasks)
                        await asyncio.to_thread(lambda: [thread.result(WORK_S) for thread in threads])
            assert engine.pool.checkedout() == 0
        assert async_engine.pool.checkedout() == 0
    assert not room.crowded
    assert [number for kind, number in room.visits if kind == "task"] == [*range(WAITERS)]
    assert [number for kind, number in room.visits if kind == "thread"] == [*range(WAITERS)]


async def test_control_one_connection_for_each_waiter_exhausts_the_pool(postgres_url, request):
    """Waiters that each keep a connection while they wait: the holder gets none for its work, and most never enter."""
    room = Room()

    async def visit(engine, number):
        async with engine.connect() as waiting:
            await waiting.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": request.node.name})
            try:
                async with engine.connect():  # the work needs the pool, too
                    room.enter(number)
                    room.leave()
            finally:
                await waiting.execute(text("SELECT pg_advisory_unlock_all()"))

    async with POSTGRES_AIO["AsyncEngine"](postgres_url) as engine:
        answers = await asyncio.gather(*[visit(engine, number) for number in range(WAITERS)], return_exceptions=True)
    assert sum("QueuePool limit" in str(answer) for answer in answers) > WAITERS / 2
    assert len(room.visits) < WAITERS / 2
