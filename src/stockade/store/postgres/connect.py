"""Connections to PostgreSQL over asyncpg: one pool for transactions, one for queries; directly or through a pooler.

Neighbour: `dialect` has the statements.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL

from stockade.core import NotSupported
from stockade.drivers.failures import reaching
from stockade.drivers.postgres import PostgresAddress, behind_pooler
from stockade.store.engine.address import DatabaseAddress
from stockade.store.engine.backends import AsyncBackend, DatabaseBackend
from stockade.store.engine.pools import Link, Pool
from stockade.store.postgres.dialect import (
    NO_JIT,
    POINT_LOOKUPS,
    STATEMENT_GRACE_MS,
    PooledPostgresDialect,
    PostgresDialect,
)

# SQLAlchemy's arguments: nothing kept prepared, and the one statement at a time without a name
WITHOUT_NAMES: Mapping[str, Any] = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}


async def connect(target: DatabaseAddress, pool_size: int, wait_s: float) -> tuple[URL, DatabaseBackend]:
    """Two pools: one for transactions with plans pinned to point lookups, one for queries."""
    address = target.address
    assert isinstance(address, PostgresAddress)
    ms = max(1, int(wait_s * 1000))
    bounds = {
        "application_name": "stockade",
        "lock_timeout": str(ms),
        "statement_timeout": str(ms + STATEMENT_GRACE_MS),
    }
    isolation = {"default_transaction_isolation": "read committed"}  # whatever the server's own is
    pooled = await behind_pooler(address, {**bounds, **isolation, **POINT_LOOKUPS})
    reader_count = max(2, min(pool_size, 8))
    # last in, first out: few connections are busy, and a statement has to be prepared on each
    if pooled:
        writers = _pool(target.url, address, pool_size, None, isolation_level="READ COMMITTED", pool_use_lifo=True)
        readers = _pool(target.url, address, reader_count, None, isolation_level="READ COMMITTED")
        _bound_readers(readers, bounds)
    else:
        writers = _pool(target.url, address, pool_size, {**bounds, **isolation, **POINT_LOOKUPS}, pool_use_lifo=True)
        readers = _pool(target.url, address, reader_count, {**bounds, "jit": "off"}, isolation_level="AUTOCOMMIT")
    try:
        async with (
            reaching("PostgreSQL", address.place, address.connect_timeout_s),
            writers.engine.connect() as connection,
        ):
            check_encoding(await connection.get_raw_connection())
    except BaseException:
        await writers.close()
        raise
    dialect = (PooledPostgresDialect if pooled else PostgresDialect)(writers.engine.dialect, wait_s)
    return target.url, AsyncBackend(dialect, writers, readers, reader_count)


def _pool(url: URL, address: PostgresAddress, size: int, settings: Mapping[str, str] | None, **options: Any) -> Pool:
    """A pool of connections with these settings of the session; None: of connections through a pooler."""
    more: dict[str, Any] = {"statement_cache_size": 0} if settings is None else {"server_settings": settings}
    link = Link(
        connect=lambda _given: address.connect(**more),
        broken=lambda driver: bool(driver.is_closed()),
        end=lambda driver: driver.close(),
        kill=lambda driver: driver.terminate(),
    )
    if settings is not None:
        return Pool(url, link, size, **options)
    pool = Pool(url, link, size, WITHOUT_NAMES, **options)
    for name in ("setup_asyncpg_json_codec", "setup_asyncpg_jsonb_codec"):
        # queries the server for the types outside of a transaction; no table of ours has such a column
        setattr(pool.engine.sync_engine.dialect, name, _nothing)
    return pool


async def _nothing(_connection: Any) -> None:
    return None


def _bound_readers(readers: Pool, bounds: Mapping[str, str]) -> None:
    """Through a pooler the bounds of a query are set where its transaction begins."""
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in {**bounds, **NO_JIT}.items())

    @event.listens_for(readers.engine.sync_engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT {calls}")


def check_encoding(connection: Any) -> None:
    """Refuse a database that cannot hold every text, before a text is lost in it.

    Raises:
        NotSupported: its encoding is not UTF8; the server has reported it with the connection, so nothing is sent.
    """
    encoding = connection.driver_connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise NotSupported(
            f"the database's encoding is {encoding}, which cannot hold every text: make it with ENCODING 'UTF8', for"
            " example CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0"
        )
