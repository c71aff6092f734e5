"""The statements of SQLite: embedded, one writer at a time. The default database, nothing to install."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy import Connection, Select, Table

from stockade.core import GuardKind
from stockade.store.engine.dialect import Dialect

STEPS = 100_000  # of SQLite's own machine between two looks at the clock: about a millisecond


class SqliteDialect(Dialect):
    """BEGIN IMMEDIATE makes writers take turns, so ROW needs no row locks, and ADVISORY has nothing to add.

    Optimistic guards load in a read transaction of their own: inside BEGIN IMMEDIATE nothing could change between
    the read and the write, and `unprotected` could not show what it does elsewhere.
    """

    name: ClassVar[str] = "sqlite"
    now_ms_sql: ClassVar[str] = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
    skipping_taken_keys: ClassVar[str] = "OR IGNORE"
    is_async: ClassVar[bool] = False
    reads_outside_transaction: ClassVar[bool] = True
    locks_at_begin: ClassVar[bool] = True
    unsupported: ClassVar[frozenset[GuardKind]] = frozenset({GuardKind.ADVISORY})

    def before_begin(self, connection: Connection, left_s: float) -> None:
        driver: Any = connection.connection.driver_connection
        driver.execute(f"PRAGMA busy_timeout = {max(1, int(left_s * 1000))}")

    @contextmanager
    def reading(self, connection: Connection, limit_s: float) -> Iterator[None]:
        """Here all statements together: the one thread of the readers is then free for the next."""
        driver: Any = connection.connection.driver_connection
        end = time.monotonic() + limit_s
        driver.set_progress_handler(lambda: int(time.monotonic() > end), STEPS)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)

    def check_writable(self, connection: Connection, requests: Table) -> None:
        return None  # a file has no replica, and a write would wait for the other writers

    def locking(self, statement: Select[Any], table: Table, *, nowait: bool = False) -> Select[Any]:
        return statement
