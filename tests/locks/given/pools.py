"""Pools of the application, of four connections each: the engines and pools that the locks may borrow from."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import pytest

SIZE = 4


def engine_url(url: str, driver: str) -> str:
    """The URL for SQLAlchemy with this driver."""
    scheme, rest = url.split("://", 1)
    return f"{'postgresql' if scheme.startswith('postgres') else 'mysql'}+{driver}://{rest}"


@asynccontextmanager
async def _async_engine(url: str, driver: str, size: int) -> AsyncIterator[Any]:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(engine_url(url, driver), pool_size=size, max_overflow=0, pool_timeout=1)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def _asyncpg_pool(url: str, size: int) -> AsyncIterator[Any]:
    import asyncpg

    async with asyncpg.create_pool(url, min_size=1, max_size=size) as pool:
        yield pool


@asynccontextmanager
async def _asyncmy_pool(url: str, size: int) -> AsyncIterator[Any]:
    import asyncmy

    pool = await asyncmy.create_pool(minsize=1, maxsize=size, **mysql_arguments(url))
    try:
        yield pool
    finally:
        pool.close()
        await pool.wait_closed()


def mysql_arguments(url: str) -> dict[str, Any]:
    """For the `connect` of PyMySQL and asyncmy."""
    from sqlalchemy import make_url

    parts = make_url(url)
    return {
        "host": parts.host,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password or "",
        "database": parts.database,
    }


@contextmanager
def _engine(url: str, driver: str, size: int) -> Iterator[Any]:
    pytest.importorskip(driver)
    from sqlalchemy import create_engine

    engine = create_engine(engine_url(url, driver), pool_size=size, max_overflow=0, pool_timeout=1)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _psycopg_pool(url: str, size: int) -> Iterator[Any]:
    pool_module = pytest.importorskip("psycopg_pool")
    with pool_module.ConnectionPool(url, min_size=1, max_size=size, timeout=1) as pool:
        yield pool


@contextmanager
def _psycopg2_pool(url: str, size: int) -> Iterator[Any]:
    pytest.importorskip("psycopg2")
    from psycopg2.pool import ThreadedConnectionPool

    pool = ThreadedConnectionPool(size, size, url)  # it closes what exceeds the first number
    try:
        yield pool
    finally:
        pool.closeall()


@contextmanager
def _psycopg_connect(url: str, size: int) -> Iterator[Any]:
    psycopg = pytest.importorskip("psycopg")
    yield lambda: psycopg.connect(url)


@contextmanager
def _pymysql_connect(url: str, size: int) -> Iterator[Any]:
    pymysql = pytest.importorskip("pymysql")
    yield partial(pymysql.connect, **mysql_arguments(url))


@asynccontextmanager
async def _asyncpg_connect(url: str, size: int) -> AsyncIterator[Any]:
    import asyncpg

    async def connect() -> Any:
        return await asyncpg.connect(url)

    yield connect


POSTGRES_AIO = {
    "AsyncEngine": lambda url, size=SIZE: _async_engine(url, "asyncpg", size),
    "asyncpg.Pool": lambda url, size=SIZE: _asyncpg_pool(url, size),
    "asyncpg.connect": lambda url, size=SIZE: _asyncpg_connect(url, size),
}
POSTGRES_THREADS = {
    "Engine-psycopg": lambda url, size=SIZE: _engine(url, "psycopg", size),
    "Engine-psycopg2": lambda url, size=SIZE: _engine(url, "psycopg2", size),
    "psycopg_pool": lambda url, size=SIZE: _psycopg_pool(url, size),
    "psycopg2.pool": lambda url, size=SIZE: _psycopg2_pool(url, size),
    "psycopg.connect": lambda url, size=SIZE: _psycopg_connect(url, size),
}
MYSQL_AIO = {
    "AsyncEngine": lambda url, size=SIZE: _async_engine(url, "asyncmy", size),
    "asyncmy.Pool": lambda url, size=SIZE: _asyncmy_pool(url, size),
}
MYSQL_THREADS = {
    "Engine-pymysql": lambda url, size=SIZE: _engine(url, "pymysql", size),
    "pymysql.connect": lambda url, size=SIZE: _pymysql_connect(url, size),
}


PAIRS_AIO = {
    "pg-AsyncEngine": pytest.param(("postgres", "AsyncEngine"), marks=pytest.mark.postgres),
    "pg-asyncpg": pytest.param(("postgres", "asyncpg.Pool"), marks=pytest.mark.postgres),
    "my-AsyncEngine": pytest.param(("mysql", "AsyncEngine"), marks=pytest.mark.mariadb),
    "my-asyncmy": pytest.param(("mysql", "asyncmy.Pool"), marks=pytest.mark.mariadb),
}
PAIRS = {
    "pg-Engine-psycopg": pytest.param(("postgres", "Engine-psycopg"), marks=pytest.mark.postgres),
    "pg-Engine-psycopg2": pytest.param(("postgres", "Engine-psycopg2"), marks=pytest.mark.postgres),
    "pg-psycopg_pool": pytest.param(("postgres", "psycopg_pool"), marks=pytest.mark.postgres),
    "pg-psycopg2.pool": pytest.param(("postgres", "psycopg2.pool"), marks=pytest.mark.postgres),
    "my-Engine-pymysql": pytest.param(("mysql", "Engine-pymysql"), marks=pytest.mark.mariadb),
}


def over(fixture, *kinds):
    """Run a test over pools of these kinds; none: of every kind."""
    pairs = PAIRS_AIO if fixture == "given_aio" else PAIRS
    kinds = kinds or (*pairs,)
    return pytest.mark.parametrize(fixture, [pairs[kind] for kind in kinds], ids=kinds, indirect=True)


class AsyncBorrower:
    """What the application does with its pool of asyncio: borrow every connection at once, and run a statement."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.held: list[Any] = []

    async def borrow(self, number: int) -> None:
        """Borrow so many more connections."""
        for _ in range(number):
            take = self.pool.connect if hasattr(self.pool, "connect") else self.pool.acquire
            self.held.append(await take())

    async def each(self, sql: str) -> list[tuple[Any, ...]]:
        """The first row of the statement on each borrowed connection."""
        return [await self._run(connection, sql) for connection in self.held]

    async def _run(self, connection: Any, sql: str) -> tuple[Any, ...]:
        if hasattr(connection, "exec_driver_sql"):
            result = await connection.exec_driver_sql(sql)
            rows = result.all() if result.returns_rows else []
            await connection.commit()
        elif hasattr(connection, "fetch"):
            rows = await connection.fetch(sql)
        else:
            async with connection.cursor() as cursor:
                await cursor.execute(sql)
                rows = await cursor.fetchall()
        return tuple(rows[0]) if rows else ()

    async def give_back(self) -> None:
        """Give all of them back."""
        while self.held:
            connection = self.held.pop()
            await (connection.close() if hasattr(self.pool, "connect") else self.pool.release(connection))


class Borrower:
    """The same with a pool for threads."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.held: list[Any] = []

    def borrow(self, number: int) -> None:
        """Borrow so many more connections."""
        for _ in range(number):
            take = self.pool.getconn if hasattr(self.pool, "getconn") else self.pool.raw_connection
            self.held.append(take())

    def each(self, sql: str) -> list[tuple[Any, ...]]:
        """The first row of the statement on each borrowed connection."""
        rows = []
        for connection in self.held:
            cursor = connection.cursor()
            cursor.execute(sql)
            rows.append(tuple(cursor.fetchone()) if cursor.description else ())
            cursor.close()
            connection.commit()
        return rows

    def give_back(self) -> None:
        """Give all of them back."""
        while self.held:
            connection = self.held.pop()
            if hasattr(self.pool, "putconn"):
                self.pool.putconn(connection)
            else:
                connection.close()
