"""A provider may be closed at any moment of a loan: what the pool has afterwards is as the application knows it."""

import asyncio
import threading
import time
from collections.abc import Coroutine

import pytest

from stockade.locks.database import mysql, postgres
from stockade.locks.database.session_locks import SessionLocks
from stockade.locks.database.sources import blocking_pools
from stockade.locks.database.sources.blocking_connection import ConnectionThread
from stockade.locks.database.sources.choose import source_for
from stockade.locks.engine.lock_request import LockRequest
from stockade.locks.errors import LockUnavailable, ProviderClosed
from stockade.locks.provider import Spec
from tests.locks.given.pools import SIZE, AsyncBorrower, Borrower, over
from tests.waiting import eventually

PATIENCE_S = 5.0
MOST_STEPS = 200  # of one loan; then something goes round in a circle


def source_over(given, pool, *, for_asyncio):
    """What the locks borrow from."""
    kind = postgres if given.url.startswith("postgres") else mysql
    return source_for(pool, kind.DATABASE, PATIENCE_S, for_asyncio=for_asyncio)


def dialect_over(given, pool, *, for_asyncio):
    """The statements of the locks over this pool."""
    make = postgres.PostgresLockDialect if given.url.startswith("postgres") else mysql.MySQLLockDialect
    return make(source_over(given, pool, for_asyncio=for_asyncio), given.prefix, PATIENCE_S, 3600.0)


class Closing:
    """The locks of one loan, which are closed at the step with this number."""

    def __init__(self, given, pool, step, *, for_asyncio):
        dialect = dialect_over(given, pool, for_asyncio=for_asyncio)
        self.locks = SessionLocks(dialect, 2, PATIENCE_S, lambda owners, reason: None)
        self.left, self.close = step, None

    def one_step(self):
        """In the event loop: close the locks if it is time."""
        self.left -= 1
        if self.left == 0:
            self.close = asyncio.get_running_loop().create_task(self.locks.close())

    async def run(self):
        """Take the lock, release it, and close. Whether the step came before the end."""
        request = LockRequest(Spec("a"), "0123456789abcdef.1")
        try:
            await self.locks.acquire(request, time.monotonic() + PATIENCE_S, time.monotonic())
            await self.locks.release(request.owner_id, time.monotonic())
        except (ProviderClosed, LockUnavailable):
            assert self.close is not None
        came, self.left = self.close is not None, 0
        await (self.close or self.locks.close())
        return came


class Counted(Coroutine):
    """A coroutine whose steps are reported."""

    def __init__(self, work, report):
        self.work, self.report = work, report
        self.close = work.close

    def send(self, value):
        """One step."""
        self.report()
        return self.work.send(value)

    def throw(self, *error):
        """A step that begins with an error."""
        self.report()
        return self.work.throw(*error)

    def __await__(self):
        return self.work.__await__()


async def left_in_pool(given_aio):
    """What the application finds in a pool of asyncio: before, and after a loan was closed at each of its steps."""
    async with given_aio.pool() as pool:
        found = [await states(pool, given_aio.state)]
        step, came = 0, True
        while came:
            step += 1
            assert step < MOST_STEPS
            closing = Closing(given_aio, pool, step, for_asyncio=True)
            asyncio.get_running_loop().set_task_factory(
                lambda loop, work, closing=closing, **options: asyncio.Task(
                    Counted(work, closing.one_step), loop=loop, **options
                )
            )
            try:
                came = await closing.run()
            finally:
                asyncio.get_running_loop().set_task_factory(None)
            found.append(await states(pool, given_aio.state))
    return found


async def states(pool, state):
    """Of every connection of the pool, without the number of its session."""
    app = AsyncBorrower(pool)
    await asyncio.wait_for(app.borrow(SIZE), 10)
    found = {row[1:] for row in await app.each(state)}
    await app.give_back()
    return found


@over("given_aio")
async def test_a_loan_of_asyncio_that_is_closed_at_any_step(given_aio):
    """The pool has all of its connections, each with the settings of before, and none holds a lock."""
    before, *after = await left_in_pool(given_aio)
    assert all(found == before for found in after)
    assert len(after) > 5  # it was closed in between, indeed


async def left_by_threads(given, monkeypatch):
    """The same for a pool of blocking connections; a step is an answer of a connection's thread."""
    with given.pool() as pool:
        found = [blocking_states(pool, given.state)]
        step, came = 0, True
        while came:
            step += 1
            assert step < MOST_STEPS
            closing = Closing(given, pool, step, for_asyncio=False)
            loop, tell = asyncio.get_running_loop(), ConnectionThread._tell

            def tell_later(self, *args, closing=closing, loop=loop, tell=tell, **options):
                loop.call_soon_threadsafe(closing.one_step)  # the thread has done its part, and nobody knows it yet
                tell(self, *args, **options)

            with monkeypatch.context() as patch:
                patch.setattr(ConnectionThread, "_tell", tell_later)
                came = await closing.run()
            await asyncio.to_thread(eventually, lambda: not threads())
            found.append(blocking_states(pool, given.state))
    return found


def threads():
    """Of loans that have not ended."""
    return [each for each in threading.enumerate() if each.name == "stockade-lock-connection"]


def blocking_states(pool, state):
    """Of every connection of the pool: whether it commits each statement, and its settings."""
    app = Borrower(pool)
    app.borrow(SIZE)
    raw = [getattr(handle, "driver_connection", handle) for handle in app.held]
    rows = zip(raw, app.each(state), strict=True)
    found = {(blocking_pools._autocommit(connection), *row[1:]) for connection, row in rows}
    app.give_back()
    return found


@over("given")
async def test_a_loan_of_threads_that_is_closed_at_any_step(given, monkeypatch):
    """The same for pools of blocking connections: above all, none stays in autocommit mode. Every thread ends."""
    before, *after = await left_by_threads(given, monkeypatch)
    assert all(found == before for found in after)
    assert len(after) > 3


@over("given", "pg-psycopg2.pool")
async def test_control_a_loan_that_goes_back_as_it_is_is_seen(given, monkeypatch):
    """The mutant that gives an abandoned connection back with autocommit on."""

    def abandon(self):
        self.thread.end(lambda: self.pool.give_back(self.handle))

    monkeypatch.setattr(blocking_pools._Loan, "abandon", abandon)
    before, *after = await left_by_threads(given, monkeypatch)
    assert any(found != before for found in after)


def refuse(*_):
    """Fails, as a pool or a driver may."""
    raise RuntimeError("refused")


@over("given", "pg-Engine-psycopg", "pg-psycopg2.pool", "my-Engine-pymysql")
async def test_a_pool_of_threads_that_does_not_take_a_connection_back(given):
    """The error is told, the connection is discarded, and the thread ends; the pool has all of its connections."""
    with given.pool() as pool:
        source = source_over(given, pool, for_asyncio=False)
        source._pool = source._pool._replace(give_back=refuse)
        connection = await source.connect(PATIENCE_S)
        with pytest.raises(RuntimeError, match="refused"):
            await source.give_back(connection)
        await asyncio.to_thread(eventually, lambda: not threads())
        assert len(blocking_states(pool, given.state)) == 1


@over("given", "pg-Engine-psycopg", "pg-psycopg2.pool", "my-Engine-pymysql")
async def test_a_borrowed_connection_of_no_use_is_discarded(given, monkeypatch):
    """One without a socket that can be reached: its thread ends, and the pool has all of its connections."""
    with given.pool() as pool:
        source = source_over(given, pool, for_asyncio=False)
        monkeypatch.setattr(source, "_shown", refuse)
        with pytest.raises(RuntimeError, match="refused"):
            await source.connect(PATIENCE_S)
        await asyncio.to_thread(eventually, lambda: not threads())
        assert len(blocking_states(pool, given.state)) == 1


@over("given", "pg-psycopg2.pool")
async def test_a_statement_after_the_end_of_its_thread_is_an_error(given):
    """It is refused at once: nobody would ever answer it."""
    with given.pool() as pool:
        source = source_over(given, pool, for_asyncio=False)
        connection = await source.connect(PATIENCE_S)
        source.discard(connection)
        with pytest.raises(ConnectionError, match="given up"):
            await asyncio.wait_for(connection.fetchval("SELECT 1"), PATIENCE_S)


@over("given_aio")
async def test_a_pool_of_asyncio_that_does_not_take_a_connection_back(given_aio, monkeypatch):
    """The connection can still be discarded, and the pool has all of its connections."""
    async with given_aio.pool() as pool:
        source = source_over(given_aio, pool, for_asyncio=True)
        connection = await source.connect(PATIENCE_S)
        monkeypatch.setattr(source, "_return", refuse)
        with pytest.raises(RuntimeError, match="refused"):
            await source.give_back(connection)
        source.discard(connection)
        assert len(await states(pool, given_aio.state)) == 1


@over("given", "pg-Engine-psycopg", "pg-psycopg2.pool", "my-Engine-pymysql")
async def test_a_connection_that_went_back_is_not_closed_any_more(given):
    """A late order to discard it comes to nothing: it belongs to the application again."""
    with given.pool() as pool:
        source = source_over(given, pool, for_asyncio=False)
        connection = await source.connect(PATIENCE_S)
        number = (await read_number(connection))[0]
        await source.give_back(connection)
        source.discard(connection)
        app = Borrower(pool)
        app.borrow(SIZE)
        assert number in [row[0] for row in app.each(given.state)]
        app.give_back()


async def read_number(connection):
    """Of the session."""
    if hasattr(connection, "fetchrow"):
        return await connection.fetchrow("SELECT pg_backend_pid()")
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT CONNECTION_ID()")
        return (await cursor.fetchall())[0]


@over("given", "pg-psycopg2.pool", "my-Engine-pymysql")
async def test_a_return_that_is_cancelled_leaves_the_pool_whole(given):
    """As when its event loop ends: the connection is in the pool, with its own settings, or is replaced."""
    with given.pool() as pool:
        before = blocking_states(pool, given.state)
        locks = SessionLocks(dialect_over(given, pool, for_asyncio=False), 2, PATIENCE_S, lambda owners, reason: None)
        session = await locks.pool.shared_session(time.monotonic() + PATIENCE_S)
        locks.pool._give_back(session)
        (going_back,) = locks.pool._going_back
        going_back.cancel()
        await asyncio.wait({going_back})
        await asyncio.to_thread(eventually, lambda: not threads())
        assert blocking_states(pool, given.state) == before
