"""Connections of a given pool go back clean, and soon; a pool that is exhausted is an error that says so."""

import asyncio

import pytest

from stockade.locks import LockLost, LockUnavailable
from stockade.locks.database.postgres import PostgresLockDialect
from tests.locks.given.pools import SIZE, AsyncBorrower, Borrower, over
from tests.threads import Running
from tests.waiting import eventually, eventually_async


async def states_after_use(given_aio):
    """The states of all connections of the pool before and after a lock was taken, awaited and released over it."""
    async with given_aio.pool() as pool, given_aio.locks(given_aio.url) as gate:
        app = AsyncBorrower(pool)
        await app.borrow(SIZE)
        if not hasattr(pool, "get_max_size"):  # asyncpg's pool resets what the application has set
            for statement in given_aio.mark.split(";"):
                await app.each(statement)
        before = await app.each(given_aio.state)
        await app.give_back()
        async with given_aio.locks(pool) as locks:
            async with locks.lock("a"), locks.lock("b"):
                pass
            async with gate.lock("a"):
                waiter = asyncio.create_task(locks.lock("a").acquire())
                await eventually_async(lambda: has_waiters(locks, 1))
            await (await waiter).release()
            await asyncio.wait_for(app.borrow(SIZE), 10)  # while the provider is open, too
            after = await app.each(given_aio.state)
            await app.give_back()
    return sorted(before), sorted(after)


async def has_waiters(locks, number):
    return sum(session.pending for session in locks.backend._locks.pool._waiting_sessions) >= number


@over("given_aio")
async def test_connections_go_back_as_they_came(given_aio):
    """Soon after its last use each is in the pool again: the same session, with its own settings, without a lock."""
    before, after = await states_after_use(given_aio)
    assert after == before


@over("given_aio", "pg-AsyncEngine")
async def test_control_connections_that_are_not_cleaned_are_seen(given_aio, monkeypatch):
    """The mutant that gives connections back as they are: the application finds the settings of the locks."""

    async def nothing(self, connection, ended):
        pass

    monkeypatch.setattr(PostgresLockDialect, "clean", nothing)
    before, after = await states_after_use(given_aio)
    assert after != before


@over("given")
def test_connections_of_threads_go_back_as_they_came(given):
    """The same for pools of blocking connections."""
    with given.pool() as pool, given.locks(given.url) as gate:
        app = Borrower(pool)
        app.borrow(SIZE)
        for statement in given.mark.split(";"):
            app.each(statement)
        before = app.each(given.state)
        app.give_back()
        with given.locks(pool) as locks:
            with locks.lock("a"), locks.lock("b"):
                pass
            with gate.lock("a"):
                waiter = Running(lambda: locks.lock("a").acquire().release())
                waiting = locks.backend._locks.pool._waiting_sessions
                eventually(lambda: any(each.pending for each in waiting) or not waiter.is_alive())
            waiter.result(10)
            eventually(lambda: not locks.backend._locks.pool.sessions)
            eventually(lambda: not locks.backend._locks.pool._going_back)
            app.borrow(SIZE)
            after = app.each(given.state)
            app.give_back()
    assert sorted(after) == sorted(before)


@over("given_aio", "pg-AsyncEngine", "my-asyncmy")
async def test_a_pool_that_the_application_has_exhausted(given_aio):
    """A lock is LockUnavailable, in time, with what to do. A lease that is held is released all the same, and the lock
    works again when the pool has connections."""
    async with given_aio.pool() as pool, given_aio.locks(pool, patience_s=0.3) as locks:
        app = AsyncBorrower(pool)
        lease = await locks.lock("held").acquire()
        await app.borrow(SIZE - 1)
        assert lease.alive
        await lease.release()
        await asyncio.wait_for(app.borrow(1), 10)
        for wait in ({}, {"blocking": False}, {"timeout": 0.1}):
            with pytest.raises(LockUnavailable, match=r"given pool gave no connection"):
                await asyncio.wait_for(locks.lock("new").acquire(**wait), 3)
        await app.give_back()
        async with locks.lock("new"):
            pass


@over("given", "pg-Engine-psycopg", "pg-psycopg2.pool")
def test_a_pool_of_threads_that_the_application_has_exhausted(given):
    """The same for pools of blocking connections; nothing that was borrowed too late is lost."""
    with given.pool() as pool, given.locks(pool, patience_s=0.3) as locks:
        app = Borrower(pool)
        lease = locks.lock("held").acquire()
        app.borrow(SIZE - 1)
        lease.release()
        eventually(lambda: not locks.backend._locks.pool.sessions)
        eventually(lambda: not locks.backend._locks.pool._going_back)
        app.borrow(1)
        for wait in ({}, {"blocking": False}, {"timeout": 0.1}):
            with pytest.raises(LockUnavailable, match=r"given pool gave no connection"):
                locks.lock("new").acquire(**wait)
        app.give_back()
        with locks.lock("new"):
            pass
        locks.close()
        app.borrow(SIZE)
        app.give_back()


@over("given_aio")
async def test_a_session_that_ends_is_lost_and_replaced(given_aio):
    """The holder finds its lock lost, the next caller gets it, and the pool has all of its connections again."""
    async with given_aio.pool() as pool, given_aio.locks(pool) as locks, given_aio.locks(given_aio.url) as other:
        lease = await locks.lock("a", on_lost="raise").acquire()
        assert await other.break_("a")  # of another process: it ends the session
        assert await lease.wait_lost(5)
        with pytest.raises(LockLost):
            lease.check()
        async with locks.lock("a").hold(timeout=5):
            pass
        app = AsyncBorrower(pool)
        await asyncio.wait_for(app.borrow(SIZE), 10)
        assert len({row[0] for row in await app.each(given_aio.state)}) == SIZE
        await app.give_back()


@over("given", "pg-Engine-psycopg2", "pg-psycopg_pool", "my-Engine-pymysql")
def test_a_session_of_threads_that_ends_is_lost_and_replaced(given):
    """The same for pools of blocking connections."""
    with given.pool() as pool, given.locks(pool) as locks, given.locks(given.url) as other:
        lease = locks.lock("a", on_lost="raise").acquire()
        assert other.break_("a")
        assert lease.wait_lost(5)
        with locks.lock("a").hold(timeout=5):
            pass
        eventually(lambda: not locks.backend._locks.pool.sessions)
        eventually(lambda: not locks.backend._locks.pool._going_back)
        app = Borrower(pool)
        app.borrow(SIZE)
        assert len({row[0] for row in app.each(given.state)}) == SIZE
        app.give_back()


@over("given_aio", "pg-asyncpg", "my-AsyncEngine")
async def test_cancelled_waiters_leave_nothing(given_aio):
    """Waiters that are cancelled, before or after they have a connection, leave no lock, and the pool whole."""
    async with given_aio.pool() as pool, given_aio.locks(pool) as locks, given_aio.locks(given_aio.url) as gate:
        async with gate.lock("a"):
            for rounds in range(6):
                waiters = [asyncio.create_task(locks.lock("a").acquire()) for _ in range(10)]
                for _ in range(rounds * 2):
                    await asyncio.sleep(0)
                if rounds > 3:
                    await eventually_async(lambda: has_waiters(locks, 1))
                for waiter in waiters:
                    waiter.cancel()
                await asyncio.gather(*waiters, return_exceptions=True)
        async with gate.lock("a").hold(timeout=5):
            pass
        app = AsyncBorrower(pool)
        await asyncio.wait_for(app.borrow(SIZE), 10)
        await app.give_back()
