"""Blocking connections, borrowed from a pool of the caller: SQLAlchemy's Engine, a pool of psycopg, a function.

Each loan has a thread: in it the connection is borrowed, used and given back. A pool that is exhausted blocks that
thread alone. Supported are psycopg, psycopg2, PyMySQL and mysqlclient: of these the socket can be reached, so that a
server that is silent holds nobody up. Neighbour: `blocking_connection.py`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from stockade.locks.database.sources.blocking_connection import (
    BlockingConnection,
    ConnectionThread,
    MySQLBlocking,
    PostgresBlocking,
)
from stockade.locks.database.sources.source import refused_loan


class Pool(NamedTuple):
    """How a pool of the caller is used; all of it blocks.

    Attributes:
        borrow: a handle of a connection.
        raw: the driver's connection of a handle.
        give_back: takes a handle back.
        discard: the same, of a connection that is closed or of no more use.
        size: connections that it gives at most; None: no limit is known.
        place: of the server, for messages.
    """

    borrow: Callable[[], Any]
    raw: Callable[[Any], Any]
    give_back: Callable[[Any], None]
    discard: Callable[[Any], None]
    size: int | None
    place: str


def engine_pool(engine: Any, size: int | None, place: str) -> Pool:
    """SQLAlchemy's Engine."""

    def discard(handle: Any) -> None:
        handle.invalidate()
        handle.close()

    return Pool(
        engine.raw_connection,
        lambda handle: handle.driver_connection,
        lambda handle: handle.close(),
        discard,
        size,
        place,
    )


def getconn_pool(pool: Any) -> Pool:
    """A pool with `getconn` and `putconn`: of psycopg, or of psycopg2."""
    size = getattr(pool, "max_size", None) or getattr(pool, "maxconn", None)

    def discard(connection: Any) -> None:
        connection.close()
        pool.putconn(connection)

    return Pool(pool.getconn, lambda handle: handle, pool.putconn, discard, size, "the given pool")


def function_pool(connect: Callable[[], Any]) -> Pool:
    """A function that makes connections; they are closed after use."""

    def close(connection: Any) -> None:
        connection.close()

    return Pool(connect, lambda handle: handle, close, close, None, "the given function")


class _Loan:
    """A connection on its way from the pool, or in use. Its settings are changed and set back in its thread alone."""

    def __init__(self, pool: Pool, kind: str, thread: ConnectionThread) -> None:
        self.pool = pool
        self.kind = kind
        self.thread = thread
        self.handle: Any = None  # while the pool counts it as borrowed
        self.autocommit = True  # what it was before
        self._abandoned = False

    def borrow(self) -> Any:
        """In the thread: the driver's connection, in autocommit mode."""
        self.handle = self.pool.borrow()
        try:
            if self._abandoned:  # nothing was changed yet
                self._return()
                return None
            raw = self.pool.raw(self.handle)
            driver_of(raw, self.kind)
            self.autocommit = _autocommit(raw)
            raw.rollback()
            _set_autocommit(raw, True)
        except BaseException:
            self.discard()
            raise
        return raw

    def abandon(self) -> None:
        """Nobody waits any more: what will be borrowed goes back; what was borrowed has other settings, and ends."""
        self._abandoned = True
        self.thread.end(self.discard)

    def give_back(self, raw: Any) -> None:
        """In the thread; a connection that cannot go back as it came is discarded."""
        try:
            _set_autocommit(raw, self.autocommit)
            self._return()
        except BaseException:
            self.discard()
            raise

    def _return(self) -> None:
        self.pool.give_back(self.handle)
        self.handle = None

    def discard(self) -> None:
        """In the thread: the connection is of no more use. Nothing, when it was given back."""
        handle, self.handle = self.handle, None
        if handle is not None:
            with contextlib.suppress(Exception):  # the driver may say once more that the connection has ended
                self.pool.discard(handle)


class BlockingSource:
    """A pool of the caller, used from the event loop of a provider for threads.

    Args:
        pool: how it is used.
        kind: `PostgreSQL` or `MySQL`, the database that the provider is for.
    """

    given = True
    application = ""

    def __init__(self, pool: Pool, kind: str) -> None:
        self._pool = pool
        self._kind = kind
        self.size = pool.size
        self.place = pool.place
        self._loans: dict[BlockingConnection, _Loan] = {}

    async def connect(self, timeout_s: float) -> Any:
        loan = _Loan(self._pool, self._kind, ConnectionThread())
        try:
            raw = await loan.thread.call(loan.borrow)
            connection = self._shown(raw, loan.thread)
        except asyncio.CancelledError:
            loan.abandon()
            raise
        except Exception as error:
            loan.thread.end(loan.discard)
            if (translated := refused_loan(error)) is error:
                raise
            raise translated from error
        self._loans[connection] = loan
        return connection

    def _shown(self, raw: Any, thread: ConnectionThread) -> BlockingConnection:
        driver = driver_of(raw, self._kind)
        made = PostgresBlocking if driver.kind == "PostgreSQL" else MySQLBlocking
        return made(raw, thread, driver.new_cursor, driver.error_type)

    async def give_back(self, connection: Any) -> None:
        loan = self._loans.pop(connection)
        connection.let_go()
        try:
            await loan.thread.call(lambda: loan.give_back(connection.raw))
        finally:
            loan.thread.end(loan.discard)

    def discard(self, connection: Any) -> None:
        connection.abort()
        if (loan := self._loans.pop(connection, None)) is not None:
            loan.thread.end(loan.discard)


class Driver(NamedTuple):
    """A DB-API driver.

    Attributes:
        kind: of the database.
        new_cursor: makes a cursor whose rows are tuples, whatever the connection's own rows are.
        error_type: the base class of its errors.
    """

    kind: str
    new_cursor: Callable[[Any], Any]
    error_type: type[Exception]


def driver_of(raw: Any, kind: str) -> Driver:
    """The driver that made this connection.

    Raises:
        TypeError: it is none of those that are supported, or one for another kind of database.
    """
    for each in type(raw).__mro__:
        make = _DRIVERS.get(each.__module__.partition(".")[0])
        if make is not None and (driver := make()).kind == kind:
            return driver
    raise TypeError(
        f"a connection of {type(raw).__module__} cannot hold locks of {kind}: give a pool of {DRIVERS[kind]}, or a URL"
    )


def _psycopg() -> Driver:
    tuple_row = import_module("psycopg.rows").tuple_row
    return Driver("PostgreSQL", lambda raw: raw.cursor(row_factory=tuple_row), import_module("psycopg").Error)


def _psycopg2() -> Driver:
    cursor = import_module("psycopg2.extensions").cursor
    return Driver("PostgreSQL", lambda raw: raw.cursor(cursor_factory=cursor), import_module("psycopg2").Error)


def _pymysql() -> Driver:
    cursor = import_module("pymysql.cursors").Cursor
    return Driver("MySQL", lambda raw: raw.cursor(cursor), import_module("pymysql").Error)


def _mysqlclient() -> Driver:
    cursor = import_module("MySQLdb.cursors").Cursor
    return Driver("MySQL", lambda raw: raw.cursor(cursor), import_module("MySQLdb").Error)


# by name: the caller has imported the one that is needed, and the others need not be installed
_DRIVERS: dict[str, Callable[[], Driver]] = {
    "psycopg": _psycopg,
    "psycopg2": _psycopg2,
    "pymysql": _pymysql,
    "MySQLdb": _mysqlclient,
}
DRIVERS = {"PostgreSQL": "psycopg or psycopg2", "MySQL": "PyMySQL or mysqlclient"}


def _autocommit(raw: Any) -> bool:
    return bool(raw.get_autocommit()) if hasattr(raw, "get_autocommit") else bool(raw.autocommit)


def _set_autocommit(raw: Any, value: bool) -> None:
    if hasattr(raw, "get_autocommit"):  # of MySQL it is a method
        raw.autocommit(value)
    else:
        raw.autocommit = value
