"""A given engine over SQLite (aiosqlite): the store's transactions take the writer's turn at their beginning.

A driver begins a deferred transaction. One that has read and then writes fails at once where another has written
meanwhile, whatever the busy timeout (https://sqlite.org/isolation.html). So each transaction of the store begins with
BEGIN IMMEDIATE, in whatever mode the engine is. Neighbour: `store.engine.adopt`.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import NullPool, QueuePool
from sqlalchemy.util import await_only

from stockade.core import NotSupported
from stockade.store.sqlite.dialect import STEPS, SqliteDialect

BEGIN = "BEGIN IMMEDIATE"


class GivenSqliteDialect(SqliteDialect):
    """SQLite over aiosqlite, which has a thread for each connection."""

    def before_begin(self, connection: Connection, left_s: float) -> None:
        return None

    def after_begin(self, connection: Connection, left_s: float, advisory: Sequence[str]) -> None:
        driver: Any = connection.connection.driver_connection
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {max(1, int(left_s * 1000))}")
        if driver.in_transaction:  # the engine has begun one of its own, of which nobody knows the kind
            connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql(BEGIN)

    @contextmanager
    def holding(self, connection: Connection, advisory: Sequence[str], left_s: float) -> Iterator[None]:
        before = _pragma(connection, "busy_timeout")
        try:
            yield
        finally:
            if not connection.invalidated:
                _set(connection, "busy_timeout", before)

    @contextmanager
    def reading(self, connection: Connection, limit_s: float) -> Iterator[None]:
        driver: Any = connection.connection.driver_connection
        end = time.monotonic() + limit_s
        await_only(driver.set_progress_handler(lambda: int(time.monotonic() > end), STEPS))
        try:
            yield
        finally:
            await_only(driver.set_progress_handler(None, 0))


def _pragma(connection: Connection, name: str) -> int:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA {name}")
        return int(cursor.fetchall()[0][0])
    finally:
        cursor.close()


def _set(connection: Connection, name: str, value: int) -> None:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA {name} = {value}")
    finally:
        cursor.close()


def check_engine(engine: AsyncEngine) -> None:
    """Refuse an engine whose users share one connection, or whose connections have a database each.

    Raises:
        NotSupported: the message says what to use.
    """
    database = engine.url.database or ""
    if database in ("", ":memory:") or "mode=memory" in database:
        raise NotSupported("a database in memory cannot be shared with an engine: use Database.open('sqlite://')")
    if not isinstance(engine.pool, QueuePool | NullPool):
        name = type(engine.pool).__name__
        raise NotSupported(
            f"the users of the engine share one connection ({name}), and so its transactions: make it without"
            f" poolclass, or use Database.open('sqlite:///{database}')"
        )


async def dialect_of(connection: AsyncConnection, wait_s: float) -> SqliteDialect:
    """The dialect for the engine of this connection."""
    return GivenSqliteDialect(connection.sync_engine.dialect)
