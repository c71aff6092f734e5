"""Connections to SQLite: one that writes and one that reads; in memory they are the same.

Neighbour: `dialect` has the statements.
"""

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import StaticPool

from stockade.store.engine.address import DatabaseAddress
from stockade.store.engine.backends import DatabaseBackend, ThreadBackend
from stockade.store.sqlite.dialect import SqliteDialect

OPEN_WAIT_S = 5.0  # how long the first use of a file waits for others that have it, whatever its own deadline
_PAUSE_S = 0.005  # between two attempts to switch a file to WAL


def make_engine(url: URL, begin: str) -> Engine:
    """An engine with one connection, whose transactions start with `begin`."""
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def on_connect(driver: Any, _record: Any) -> None:
        driver.isolation_level = None  # the driver's own BEGIN is deferred, and fails instead of waiting
        _switch_to_wal(driver)
        driver.execute(f"PRAGMA busy_timeout = {int(OPEN_WAIT_S * 1000)}")
        driver.execute("PRAGMA synchronous = FULL")
        driver.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _switch_to_wal(driver: Any) -> None:
    """Write ahead from now on. While another is writing SQLite refuses that at once, whatever the `busy_timeout`:
    processes that open a new file together would fail. For readers, and for a commit in flight, it does wait."""
    deadline = time.monotonic() + OPEN_WAIT_S
    while True:
        left_s = max(0.0, deadline - time.monotonic())
        try:
            driver.execute(f"PRAGMA busy_timeout = {int(left_s * 1000)}")
            driver.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:  # of any kind
                raise
        time.sleep(_PAUSE_S)


async def connect(target: DatabaseAddress, pool_size: int, wait_s: float) -> tuple[URL, DatabaseBackend]:
    """A file, or memory when the URL names none (then one process and one connection)."""
    url = target.url
    writer = make_engine(url, "BEGIN IMMEDIATE")
    in_memory = url.database in (None, "", ":memory:")
    reader = writer if in_memory else make_engine(url, "BEGIN")
    return url, ThreadBackend(SqliteDialect(writer.dialect), writer, reader)
