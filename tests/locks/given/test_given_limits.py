"""What cannot work over a given pool is refused when the provider is made; a silent server holds nobody up."""

import asyncio
import threading
import time
from functools import partial

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool, StaticPool

from stockade.locks import LockLost, LockUnavailable, MySQLLocks, PostgresLocks, aio
from tests.locks.given.pools import POSTGRES_AIO, POSTGRES_THREADS, SIZE, AsyncBorrower
from tests.waiting import eventually

PG, MY = "postgresql+asyncpg://u@h/d", "mysql+asyncmy://u@h/d"


async def a_coroutine():
    """Returns no connection."""


def engine(url="postgresql+psycopg://u@h/d", **options):
    pytest.importorskip("psycopg")
    return create_engine(url, **options)


class Connection:
    """Looks like one connection."""

    def cursor(self):
        return None


REFUSED = {
    "nothing": (PostgresLocks, lambda: None, TypeError, "needs a URL, an Engine, .* got builtins.NoneType"),
    "nothing, asyncio": (aio.MySQLLocks, lambda: None, TypeError, "needs a URL, an AsyncEngine, a Pool of asyncmy"),
    "a number": (aio.PostgresLocks, lambda: 5, TypeError, "got builtins.int"),
    "one connection": (PostgresLocks, Connection, TypeError, "one connection cannot hold a lock and let others wait"),
    "an AsyncEngine for threads": (
        PostgresLocks,
        lambda: create_async_engine(PG),
        TypeError,
        "which is for stockade.locks.aio.PostgresLocks",
    ),
    "an Engine for asyncio": (aio.PostgresLocks, engine, TypeError, "which is for stockade.locks.PostgresLocks"),
    "an async function for threads": (MySQLLocks, lambda: a_coroutine, TypeError, "which is for stockade.locks.aio"),
    "another database": (aio.PostgresLocks, lambda: create_async_engine(MY), ValueError, "over an engine of mysql"),
    "SQLite": (PostgresLocks, partial(create_engine, "sqlite://"), ValueError, "over an engine of sqlite"),
    "a driver": (
        aio.PostgresLocks,
        lambda: create_async_engine("postgresql+psycopg://u@h/d") if engine() else None,
        ValueError,
        "needs asyncpg, such as postgresql\\+asyncpg://",
    ),
    "one connection in all": (
        aio.PostgresLocks,
        lambda: create_async_engine(PG, pool_size=1, max_overflow=0),
        ValueError,
        "the pool has one connection",
    ),
    "one that all share": (
        aio.PostgresLocks,
        lambda: create_async_engine(PG, poolclass=StaticPool),
        ValueError,
        "StaticPool",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_work_is_refused(what):
    """Each with what to give instead, before anything is connected."""
    provider, make, kind, text = REFUSED[what]
    with pytest.raises(kind, match=text):
        provider(make())


def test_more_connections_than_the_pool_has_are_refused():
    """All of the pool may be used; more may not. A pool without a limit has no such bound."""
    pool = create_async_engine(PG, pool_size=3, max_overflow=1)
    with pytest.raises(ValueError, match="connections is 5, and the pool has 4"):
        aio.PostgresLocks(pool, connections=5)
    aio.PostgresLocks(pool, connections=4)
    aio.PostgresLocks(create_async_engine(PG, poolclass=NullPool), connections=50)


async def test_a_function_that_makes_no_connection_is_an_error():
    """When the first lock is taken; the text names what it made."""
    locks = aio.PostgresLocks(a_coroutine)
    with pytest.raises(TypeError, match="connections of asyncpg or asyncmy; got"):
        await locks.lock("a").acquire()
    await locks.close()
    with (
        PostgresLocks(Connection) as for_threads,
        pytest.raises(TypeError, match=r"cannot hold locks of PostgreSQL: give a pool of psycopg or psycopg2"),
    ):
        for_threads.lock("a").acquire()


@pytest.mark.postgres
async def test_a_waiter_needs_one_connection_when_the_application_has_the_others(postgres_url, request):
    """The application keeps three of four: the waiters share the last one, and all get the lock."""
    prefix = request.node.name
    async with (
        POSTGRES_AIO["asyncpg.Pool"](postgres_url) as pool,
        aio.PostgresLocks(postgres_url, prefix=prefix) as gate,
        aio.PostgresLocks(pool, prefix=prefix, patience_s=1) as locks,
    ):
        app = AsyncBorrower(pool)
        await app.borrow(SIZE - 1)
        async with gate.lock("a"):
            waiters = [asyncio.create_task(visit(locks)) for _ in range(10)]
            await asyncio.wait(waiters, timeout=1.6)  # longer than the patience
            assert not any(waiter.done() for waiter in waiters)
        await asyncio.wait_for(asyncio.gather(*waiters), 10)
        await app.give_back()


async def visit(locks):
    async with locks.lock("a"):
        await asyncio.sleep(0)


def take(locks):
    """A lease, or None while the server recovers."""
    try:
        return locks.lock("new").try_acquire()
    except LockUnavailable:
        return None


@pytest.mark.postgres
def test_a_silent_server_holds_no_thread_up(servers):
    """Calls over blocking connections end in their own time; afterwards locks work, and the pool is whole."""
    server = servers.postgres()
    with (
        POSTGRES_THREADS["Engine-psycopg"](server.url) as pool,
        PostgresLocks(pool, patience_s=0.4, lease_s=0.6) as locks,
    ):
        lease = locks.lock("held", on_lost="raise").acquire()
        server.pause()
        began = time.monotonic()
        with pytest.raises(LockUnavailable):
            locks.lock("new").acquire()
        assert time.monotonic() - began < 1.5
        assert lease.wait_lost(5)
        server.resume()
        eventually(lambda: take(locks), 20).release()
        with pytest.raises(LockLost):
            lease.release()
        eventually(lambda: pool.pool.checkedout() == 0)
    eventually(lambda: not [each for each in threading.enumerate() if each.name == "stockade-lock-connection"])
