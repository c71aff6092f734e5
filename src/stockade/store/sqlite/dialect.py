"""SQLite: embedded, one writer at a time. The default database, nothing to install."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine, Insert, Select, Table, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import StaticPool

from stockade.core import GuardKind
from stockade.store.engine.backends import DatabaseBackend, ThreadBackend
from stockade.store.engine.dialect import Dialect, insert_one
from stockade.store.engine.url import Place

OPEN_WAIT_S = 5.0  # how long the first use of a file waits for others that have it, whatever its own deadline
_STEPS = 100_000  # of SQLite's own machine between two looks at the clock: about a millisecond
_PAUSE_S = 0.005  # between two tries to turn a file to WAL


class SqliteDialect(Dialect):
    """BEGIN IMMEDIATE makes writers take turns, so ROW needs no row locks, and ADVISORY has nothing to add.

    Optimistic guards load in a read transaction of their own: inside BEGIN IMMEDIATE nothing could change between
    the read and the write, and `unprotected` could not show what it does elsewhere.
    """

    name: ClassVar[str] = "sqlite"
    is_async: ClassVar[bool] = False
    reads_apart: ClassVar[bool] = True
    unsupported: ClassVar[frozenset[GuardKind]] = frozenset({GuardKind.ADVISORY})

    def before_begin(self, connection: Connection, left_s: float) -> None:
        driver: Any = connection.connection.driver_connection
        driver.execute(f"PRAGMA busy_timeout = {max(1, int(left_s * 1000))}")

    @contextmanager
    def reading(self, connection: Connection, limit_s: float) -> Iterator[None]:
        """Here all statements together: the one thread of the readers is then free for the next."""
        driver: Any = connection.connection.driver_connection
        end = time.monotonic() + limit_s
        driver.set_progress_handler(lambda: int(time.monotonic() > end), _STEPS)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)

    def check_writable(self, connection: Connection) -> None:
        return None  # a file has no replica, and a write would wait for the other writers

    def insert_ignore(self, table: Table, columns: Sequence[str]) -> Insert:
        return insert_one(table, columns).prefix_with("OR IGNORE")

    def locking(self, statement: Select[Any], table: Table) -> Select[Any]:
        return statement


def make_engine(url: URL, begin: str) -> Engine:
    """An engine with one connection, whose transactions start with `begin`."""
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def on_connect(driver: Any, _record: Any) -> None:
        driver.isolation_level = None  # the driver's own BEGIN is deferred, and fails instead of waiting
        _turn_to_wal(driver)
        driver.execute(f"PRAGMA busy_timeout = {int(OPEN_WAIT_S * 1000)}")
        driver.execute("PRAGMA synchronous = FULL")
        driver.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _turn_to_wal(driver: Any) -> None:
    """Write ahead from now on. While another is writing SQLite refuses that at once, whatever the `busy_timeout`:
    workers that open a new file together would fail. For readers, and for a commit under way, it does wait."""
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


async def connect(place: Place, pool_size: int, wait_s: float) -> tuple[URL, DatabaseBackend]:
    """A file, or memory when the URL names none (then one process and one connection)."""
    url = place.url
    writer = make_engine(url, "BEGIN IMMEDIATE")
    in_memory = url.database in (None, "", ":memory:")
    reader = writer if in_memory else make_engine(url, "BEGIN")
    return url, ThreadBackend(SqliteDialect(writer.dialect), writer, reader)
