"""A store over an engine that the project has anyway: as right as over its own connections, and a good guest."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import AsyncAdaptedQueuePool, event, select, text, update
from sqlalchemy.util import await_only

from stockade.core import Busy, Guard
from stockade.devservers import drop_database, fresh_database
from stockade.store import Database
from stockade.store.sqlite import given as sqlite
from stockade.strategies import registry
from stockade.strategies.options import Options
from tests.store.commands import rid
from tests.store.conftest import soon
from tests.store.given.conftest import NAMES, over
from tests.store.given.engines import engine_of
from tests.store.test_own_tables import BookSeat, seats
from tests.waiting import eventually

RIGHT = ("sequencer", "pessimistic", "optimistic", "conditional", "serializable", "advisory")


async def left(database):
    return await database.read(lambda c: {row.id: row.free for row in c.execute(select(seats))})


async def booked(stores, name):
    """How many of 24 bookings of five seats are accepted, over several stores at once."""
    strategies = [registry.create(name, store, Options(wait_s=20)) for store in stores]
    for each in strategies:
        await each.start()
    commands = [BookSeat(rid(name, n), name) for n in range(24)]
    answers = await asyncio.gather(
        *(strategies[n % len(stores)].execute(command) for n, command in enumerate(commands)), return_exceptions=True
    )
    for each in strategies:
        await each.stop()
    assert [each for each in answers if isinstance(each, Exception)] == []
    return sum(each.accepted for each in answers)


async def test_five_of_24_get_a_seat(place):
    """Two engines on one database, as two processes have: each strategy sells five seats; unprotected, the control,
    sells more."""
    async with AsyncExitStack() as stack:
        stores = [await over(await stack.enter_async_context(engine_of(*place))) for _ in range(2)]
        for name in RIGHT:
            if stores[0].supports(registry.create(name, stores[0]).guard.kind):
                assert await booked(stores, name) == 5, name
        assert set((await left(stores[0].database)).values()) == {0}
        assert await booked(stores, "unprotected") > 5


async def state_of_session(engine, driver):
    """What a connection has that could outlive a transaction."""
    async with engine.connect() as connection:
        if driver == "aiosqlite":
            names = ("busy_timeout", "foreign_keys", "synchronous", "journal_mode", "query_only")
            return [(await connection.execute(text(f"PRAGMA {name}"))).scalar_one() for name in names]
        settings = "SELECT name, setting FROM pg_settings ORDER BY 1"
        show = settings if driver == "asyncpg" else "SHOW SESSION VARIABLES"
        moving = {"timestamp", "last_insert_id", "insert_id", "rand_seed1", "rand_seed2", "transaction_isolation"}
        changing = ("gtid", "last_", "pseudo", "session_track")
        rows = (await connection.execute(text(show))).all()
        return [tuple(row) for row in rows if row[0] not in moving and not row[0].startswith(changing)]


async def test_a_connection_is_given_back_as_it_was(place):
    """After reads, transactions of every guard and a failed one, the only connection has every setting as before."""
    async with engine_of(*place, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0) as engine:
        before = await state_of_session(engine, place[1])
        store = await over(engine, pool_size=1)
        for number, guard in enumerate((Guard.ROW, Guard.VERSION, Guard.DELTA, Guard.SERIALIZABLE)):
            (answer,) = await store.transact([BookSeat(rid(number), "a")], guard, deadline=soon(3))
            assert answer.accepted
        with pytest.raises(ZeroDivisionError):
            await store.database.transaction(lambda connection: 1 / 0, deadline=soon())
        assert await left(store.database) == {"a": 1}
        assert await state_of_session(engine, place[1]) == before


async def test_the_engine_stays_the_callers(store, engine):
    """Closing the database closes no connection of the engine."""
    await store.database.close()
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_a_cancelled_transaction_leaves_nothing(store):
    """Cancelled in its middle, a transaction is rolled back and its row is free again."""
    (answer,) = await store.transact([BookSeat(rid(0), "a")], Guard.ROW, deadline=soon())
    reached = asyncio.Event()

    def body(connection):
        connection.execute(update(seats).values(free=100))
        reached.set()
        await_only(asyncio.Event().wait())

    task = asyncio.create_task(store.database.transaction(body, deadline=soon()))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (answer,) = await store.transact([BookSeat(rid(1), "a")], Guard.ROW, deadline=soon(10))
    assert answer.data == {"left": 3}


async def test_a_wait_for_a_row_ends_at_the_deadline(place):
    """While another connection holds the row, a command ends as Busy, about when it should."""
    async with engine_of(*place) as engine:
        store = await over(engine)
        await store.transact([BookSeat(rid(0), "a")], Guard.ROW, deadline=soon())
        async with engine.begin() as holder:
            await holder.execute(update(seats).values(free=4))
            async with asyncio.timeout(6):
                (answer,) = await store.transact([BookSeat(rid(1), "a")], Guard.ROW, deadline=soon(1))
        assert isinstance(answer, Busy)
        (answer,) = await store.transact([BookSeat(rid(1), "a")], Guard.ROW, deadline=soon())
        assert answer.accepted


async def test_a_pool_that_others_have_emptied(place):
    """No connection in time is Busy with advice, and not an error of SQLAlchemy."""
    async with engine_of(
        *place, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0, pool_timeout=0.05
    ) as engine:
        database = await Database.from_engine(engine)
        async with engine.connect():
            for call in (database.read, lambda body: database.transaction(body, deadline=soon())):
                with pytest.raises(Busy, match="give the store an engine of its own") as caught:
                    await call(lambda connection: None)
                assert caught.value.code == "POOL_EXHAUSTED"
        await database.read(lambda connection: None)


@pytest.mark.parametrize(
    "driver", [pytest.param("asyncpg", marks=pytest.mark.postgres), pytest.param("asyncmy", marks=pytest.mark.mariadb)]
)
async def test_connections_that_the_server_ended(driver, server_url):
    """After the server has ended every connection of the engine, commands and reads go on with new ones."""
    server = server_url("postgres" if driver == "asyncpg" else "mariadb")
    url = await fresh_database(server)
    async with engine_of(url, driver) as engine, engine_of(url, driver) as other:
        store = await over(engine)
        await booked([store], "pessimistic")
        async with other.connect() as connection:
            if driver == "asyncpg":
                end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                await connection.execute(text(f"{end} AND pid <> pg_backend_pid()"))
            else:
                others = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
                for id_ in (await connection.execute(text(others))).scalars().all():
                    await connection.execute(text(f"KILL {id_}"))
        (answer,) = await store.transact([BookSeat(rid("after"), "b")], Guard.ROW, deadline=soon(20))
        assert answer.accepted
        assert (await left(store.database))["b"] == 4
    await drop_database(server, url)


def with_own_begin(engine):
    """SQLAlchemy's recipe for SQLite: the engine begins its transactions itself."""

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(driver, record):
        driver.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection):
        connection.exec_driver_sql("BEGIN")


@pytest.mark.parametrize("prepare", [lambda engine: None, with_own_begin], ids=["plain", "own begin"])
async def test_sqlite_begins_with_the_writers_turn(prepare, tmp_path):
    """Transactions that read and then write take turns, however the engine begins its own."""
    async with AsyncExitStack() as stack:
        databases = []
        for _ in range(2):
            engine = await stack.enter_async_context(engine_of(f"sqlite:///{tmp_path / 'a.sqlite'}"))
            prepare(engine)
            databases.append((await over(engine)).database)
        await databases[0].transaction(lambda c: c.execute(seats.insert().values(row("s"))), deadline=soon())
        calls = (each.transaction(one_less, deadline=soon(20)) for each in databases * 10)
        await asyncio.gather(*calls)
        assert await left(databases[0]) == {"s": 80}


async def test_a_deferred_begin_is_refused_by_sqlite(tmp_path, monkeypatch):
    """The control: begun as the driver does it, one of two transactions that have read cannot write."""
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(engine_of(f"sqlite:///{tmp_path / 'a.sqlite'}")) for _ in range(2)]
        databases = [(await over(engine)).database for engine in engines]
        await databases[0].transaction(lambda c: c.execute(seats.insert().values(row("s"))), deadline=soon())
        both = asyncio.Barrier(2)
        monkeypatch.setattr(sqlite, "BEGIN", "BEGIN")
        calls = (each.transaction(lambda c: one_less(c, both), deadline=soon(2)) for each in databases)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert any("database is locked" in str(answer) for answer in answers)


def row(id_):
    return {"id": id_, "free": 100, "version": 0, "stamp": 0}


def one_less(connection, barrier=None):
    """Read, then write: what every command does."""
    free = connection.execute(select(seats.c.free)).scalar_one()
    if barrier is not None:
        await_only(barrier.wait())
    connection.execute(update(seats).values(free=free - 1))


@pytest.mark.postgres
@pytest.mark.pgbouncer
async def test_an_engine_through_a_pooler(servers):
    """Settings belong to transactions, so a pooler that changes the session after each of them changes nothing."""
    server = servers.postgres()
    pooler = servers.pgbouncer(server, server_round_robin=1, default_pool_size=3)
    arguments = {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    }
    async with engine_of(pooler.url, connect_args=arguments) as engine:
        store = await over(engine)
        for name in ("sequencer", "pessimistic", "optimistic"):
            assert await booked([store], name) == 5
        async with engine.connect() as connection:
            for _ in range(6):
                assert (await connection.execute(text("SHOW jit"))).scalar_one() == "on"
                await connection.rollback()


async def test_names_of_the_engine_rename_nothing(place):
    """A `schema_translate_map` of the engine is not for the store's tables."""
    async with engine_of(*place, execution_options={"schema_translate_map": {None: "elsewhere"}}) as engine:
        store = await over(engine)
        assert await booked([store], "optimistic") == 5
        assert store.database.tables is NAMES


async def test_waiting_callers_are_counted(store):
    """More callers than connections wait in the store's own fair queue."""
    gate = asyncio.Event()

    def body(connection):
        await_only(gate.wait())

    n = store.database.pool_size + 3
    tasks = [asyncio.create_task(store.database.transaction(body, deadline=soon())) for _ in range(n)]
    await asyncio.to_thread(eventually, lambda: store.database.waiting >= 3)
    gate.set()
    await asyncio.gather(*tasks)
