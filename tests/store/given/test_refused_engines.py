"""An engine that does not fit is refused when it is given, with a message that says what to do."""

import asyncio

import pytest
from sqlalchemy import StaticPool, create_engine, event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from stockade.core import Busy, NotSupported
from stockade.drivers.failures import AccessRefused
from stockade.store import Database, StoreTables
from tests.store.given.engines import engine_of


async def refusal(engine, kind=NotSupported, **options):
    """The one line that refuses an engine."""
    with pytest.raises(kind) as caught:
        await Database.from_engine(engine, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda: "sqlite://", "for a URL use Database.open(url)"),
        (lambda: create_engine("sqlite://"), "not an Engine: its calls would block the loop"),
        (AsyncSession, "not AsyncSession"),
        (lambda: None, "not NoneType"),
    ],
)
async def test_what_is_no_engine(given, said):
    """Everything but an AsyncEngine is a TypeError that names what was meant."""
    assert said in await refusal(given(), TypeError)


async def test_a_pool_size_that_cannot_be(tmp_path):
    """At least one connection."""
    async with engine_of(f"sqlite:///{tmp_path}/a.sqlite") as engine:
        assert await refusal(engine, ValueError, pool_size=0) == "pool_size must be at least 1, not 0"
        assert "has no schema" in await refusal(engine, ValueError, tables=StoreTables(schema="x"))


@pytest.mark.parametrize(
    ("driver", "said"), [("psycopg", "postgresql+asyncpg://"), ("mysqlconnector", "mysql+asyncmy://")]
)
async def test_another_driver(driver, said):
    """A driver that the store does not know is named, and the one to take."""
    engine = create_async_engine(f"{said}u@localhost/d")
    engine.sync_engine.dialect.driver = driver  # as its own driver names itself, which need not be installed
    assert f"over the driver {driver}, only asyncpg, asyncmy, aiomysql, aiosqlite: make the engine with {said}" in (
        await refusal(engine)
    )


async def test_sqlite_in_memory_and_with_one_connection(tmp_path):
    """Users of one connection would share one transaction."""
    async with engine_of("sqlite://") as engine:
        assert "use Database.open('sqlite://')" in await refusal(engine)
    async with engine_of(f"sqlite:///{tmp_path}/a.sqlite", poolclass=StaticPool) as engine:
        assert "share one connection (StaticPool), and so its transactions: make it without" in await refusal(engine)


async def test_no_server():
    """As `open`: Busy where nobody answers."""
    engine = create_async_engine("postgresql+asyncpg://u:secret@127.0.0.1:1/d")
    said = await refusal(engine, Busy)
    assert "PostgreSQL at postgresql+asyncpg://u:***@127.0.0.1:1/d gave no connection" in said


@pytest.mark.postgres
async def test_a_wrong_password(postgres_database):
    """As `open`: AccessRefused where the server answers."""
    url = postgres_database.rpartition("/")[0] + "/nowhere"
    async with engine_of(url) as engine:
        assert "nowhere" in await refusal(engine, AccessRefused)


@pytest.mark.postgres
async def test_a_database_that_cannot_hold_every_text(postgres_database):
    """Its encoding is refused before a text is lost."""
    database = await Database.open(postgres_database)
    name = f"{database.url.database}_latin"
    await database.close()
    async with engine_of(postgres_database, isolation_level="AUTOCOMMIT") as engine, engine.connect() as connection:
        await connection.exec_driver_sql(
            f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        async with engine_of(f"{postgres_database.rpartition('/')[0]}/{name}") as latin:
            assert "the database's encoding is LATIN1" in await refusal(latin)
        await connection.exec_driver_sql(f"DROP DATABASE {name}")


@pytest.mark.mariadb
async def test_sessions_of_mariadb_that_do_not_fit(mariadb_database):
    """Each is named with the way to make the engine."""

    def lax(driver, record):
        cursor = driver.cursor()
        cursor.execute("SET SESSION sql_mode = ''")
        cursor.close()

    async with engine_of(mariadb_database) as engine:
        event.listen(engine.sync_engine, "connect", lax)
        assert "sql_mode='', under which the server cuts what does not fit: make it with" in await refusal(engine)
    async with engine_of(mariadb_database, isolation_level="AUTOCOMMIT") as engine:
        assert "commits by itself: make it without AUTOCOMMIT" in await refusal(engine)
    async with engine_of(f"{mariadb_database}?charset=latin1") as engine:
        assert "use latin1, which loses letters: add ?charset=utf8mb4" in await refusal(engine)
    async with engine_of(mariadb_database.replace("mariadb", "mysql", 1)) as engine:
        assert "the server is MariaDB: make the engine with mariadb+asyncmy://" in await refusal(engine)


@pytest.mark.mariadb
async def test_an_aiomysql_that_cannot_send_bytes(mariadb_database, monkeypatch):
    """aiomysql beside a PyMySQL of which it takes what is gone: said at once, and not at the first order."""
    import aiomysql.connection

    monkeypatch.setattr(aiomysql.connection, "escape_bytes_prefixed", "gone")
    async with engine_of(mariadb_database, "aiomysql") as engine:
        assert "aiomysql cannot send bytes here" in await refusal(engine)


async def test_another_event_loop(tmp_path):
    """A Database belongs to the loop in which it was made; another one is told so, and not left to wait."""
    database = await Database.open(f"sqlite:///{tmp_path}/a.sqlite")

    def in_another_loop():
        return asyncio.run(database.read(lambda connection: 1))

    with pytest.raises(RuntimeError, match="this Database belongs to another event loop: open one in each loop"):
        await asyncio.to_thread(in_another_loop)
    await database.close()
