"""How bodies reach a connection: a greenlet over an asynchronous driver, or SQLite's threads."""

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.util import greenlet_spawn

from stockade.core import Busy
from stockade.drivers.failures import ConnectFailed, Failure, classify, describe, refused_whole
from stockade.store.engine.dialect import Dialect
from stockade.store.engine.pools import Pool

T = TypeVar("T")


class CommitUnconfirmed(Exception):
    """The connection broke while committing: the transaction may or may not be durable."""


@dataclass(slots=True)
class TransactionRun:
    """How to run one transaction, and how far it came.

    Attributes:
        deadline: on the monotonic clock, in seconds.
        isolation: isolation level or None.
        advisory: advisory locks to hold.
        committing: the commit, or the statement that is one, was sent; a run that ends before has changed nothing.
        nowait: where BEGIN takes a lock (`Dialect.locks_at_begin`) it does not wait for it.
        autocommit: each statement of the body is a transaction of its own (on SQLite all of them are one).
    """

    deadline: float
    isolation: str | None
    advisory: tuple[str, ...]
    committing: bool = False
    autocommit: bool = False
    nowait: bool = False

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, never 0 (which means no limit to the databases)."""
        return max(0.001, self.deadline - time.monotonic())


class DatabaseBackend(Protocol):
    """Runs synchronous bodies on connections."""

    dialect: Dialect
    readers: int

    async def read(self, body: Callable[[Connection], T], limit_s: float) -> T:
        """Run a body that only reads; the server ends each statement after this time, in seconds."""

    async def write(self, body: Callable[[Connection], T], run: TransactionRun) -> T: ...
    def lost(self) -> None:
        """The server does not answer: no connection that exists now is used again."""

    @property
    def unsettled(self) -> bool:
        """See `stockade.core.Store.unsettled`."""

    async def settle(self) -> None:
        """See `stockade.core.Store.settle`."""

    async def close(self) -> None: ...


def run_in_transaction(
    connection: Connection, dialect: Dialect, body: Callable[[Connection], T], run: TransactionRun
) -> T:
    """Prepare the session, begin, body, commit; a connection lost during the commit is CommitUnconfirmed."""
    left_s = 0.0 if run.nowait and dialect.locks_at_begin else run.left_s
    dialect.before_begin(connection, left_s)
    with dialect.holding(connection, run.advisory, run.left_s):
        transaction = connection.begin()
        try:
            dialect.after_begin(connection, min(left_s, run.left_s), run.advisory)
            if run.isolation is not None and dialect.isolates_in_transaction:
                dialect.isolate(connection, run.isolation)
            result = body(connection)
        except BaseException as error:
            _roll_back(connection, error)
            raise
        try:
            run.committing = True
            transaction.commit()
        except BaseException as error:
            _roll_back(connection, error)
            if classify(error) is Failure.LOST and not refused_whole(error):
                raise CommitUnconfirmed(describe(error)) from error
            raise
    return result


def run_autocommit(connection: Connection, dialect: Dialect, body: Callable[[Connection], T], run: TransactionRun) -> T:
    """Body, without a transaction around it; a connection lost while it writes is CommitUnconfirmed."""
    dialect.before_begin(connection, run.left_s)
    try:
        return body(connection)
    except BaseException as error:
        _roll_back(connection, error)
        if run.committing and classify(error) is Failure.LOST and not refused_whole(error):
            raise CommitUnconfirmed(describe(error)) from error
        raise


def run_read(connection: Connection, dialect: Dialect, body: Callable[[Connection], T], limit_s: float) -> T:
    """Body, bounded on the server; a connection that broke meanwhile is thrown away."""
    try:
        with dialect.reading(connection, limit_s):
            return body(connection)
    except BaseException as error:
        _roll_back(connection, error)
        raise


def _roll_back(connection: Connection, why: BaseException) -> None:
    """Roll back; a connection that cannot even do that is thrown away, and the first error stays the one raised.

    So is one whose statement was cancelled: whether the server still began a transaction is not known.
    """
    try:
        if not isinstance(why, Exception) or classify(why) is Failure.LOST:
            connection.invalidate()
        elif connection.in_transaction():
            connection.rollback()
    except Exception:  # noqa: BLE001 - whatever it was, this connection is of no more use
        connection.invalidate()


class AsyncBackend:
    """asyncpg and asyncmy: bodies run in a greenlet, each statement suspends the task."""

    def __init__(self, dialect: Dialect, writers: Pool, readers: Pool, reader_count: int) -> None:
        self.dialect = dialect
        self.readers = reader_count
        self._writers, self._readers = writers, readers
        self._write = writers.engine
        self._autocommit = writers.engine.execution_options(isolation_level="AUTOCOMMIT")  # the same connections
        self._read = readers.engine

    async def read(self, body: Callable[[Connection], T], limit_s: float) -> T:
        try:
            async with self._read.connect() as connection:
                return await connection.run_sync(lambda c: run_read(c, self.dialect, body, limit_s))
        except Exception as error:
            self._learn(error)
            raise

    async def write(self, body: Callable[[Connection], T], run: TransactionRun) -> T:
        def work() -> T:
            if run.autocommit:
                with self._autocommit.sync_engine.connect() as connection:
                    return run_autocommit(connection, self.dialect, body, run)
            with self._write.sync_engine.connect() as connection:
                if run.isolation is not None and not self.dialect.isolates_in_transaction:
                    self.dialect.isolate(connection, run.isolation)
                return run_in_transaction(connection, self.dialect, body, run)

        try:
            return await greenlet_spawn(work)  # one for all: connecting, running and giving back cost a third of three
        except Exception as error:
            self._learn(error)
            raise

    def _learn(self, error: Exception) -> None:
        """Notice a lost connection; a new one that cannot be made says nothing about those that exist."""
        if not isinstance(error, ConnectFailed) and classify(error) is Failure.LOST:
            self.lost()

    def lost(self) -> None:
        self._writers.lost()
        self._readers.lost()

    @property
    def unsettled(self) -> bool:
        return bool(self._writers.unsettled)

    async def settle(self) -> None:
        if self._writers.unsettled:
            await asyncio.wait(self._writers.unsettled)

    async def close(self) -> None:
        for pool in (self._writers, self._readers):
            pool.end_all()  # before the first wait, so a cancelled close leaves no connection open
        await asyncio.gather(self._writers.close(), self._readers.close())


class ThreadBackend:
    """SQLite: one writer thread and one reader thread, each with its connection; in memory they are the same."""

    def __init__(self, dialect: Dialect, writer: Engine, reader: Engine) -> None:
        self.dialect = dialect
        self.readers = 8  # how many may queue for the one reader thread
        self._writer, self._reader = writer, reader
        self._write_thread = ThreadPoolExecutor(1, "stockade-sqlite-write")
        shared = reader is writer
        self._read_thread = self._write_thread if shared else ThreadPoolExecutor(1, "stockade-sqlite-read")

    async def read(self, body: Callable[[Connection], T], limit_s: float) -> T:
        deadline = time.monotonic() + limit_s

        def work() -> T:
            left_s = deadline - time.monotonic()
            if left_s <= 0:  # the thread came free too late
                raise Busy("no turn at the database before the deadline", "DEPENDENCY_DOWN")
            with self._reader.connect() as connection, self.dialect.reading(connection, left_s):
                return body(connection)

        return await run_in_thread(self._read_thread, work)

    async def write(self, body: Callable[[Connection], T], run: TransactionRun) -> T:
        def work() -> T:
            if run.deadline <= time.monotonic():  # the thread came free too late
                raise Busy("no turn at the database before the deadline")
            with self._writer.connect() as connection:
                return run_in_transaction(connection, self.dialect, body, run)

        return await run_in_thread(self._write_thread, work)

    def lost(self) -> None:
        return None  # a file has no connections to lose

    @property
    def unsettled(self) -> bool:
        return False  # `run_in_thread` waits for the end of a transaction

    async def settle(self) -> None:
        return None

    async def close(self) -> None:
        for engine, thread in ((self._writer, self._write_thread), (self._reader, self._read_thread)):
            try:
                await run_in_thread(thread, engine.dispose)
            except RuntimeError:  # reader and writer share a thread, which is already shut down
                continue
            thread.shutdown(wait=True)


async def run_in_thread(thread: Executor, work: Callable[[], T]) -> T:
    """Run `work` in a thread. Cancelled before it started, it never runs; once running, its end is awaited first:
    a lock around it must not be released while its transaction is still open."""
    job = thread.submit(contextvars.copy_context().run, work)  # the body knows that it is inside a transaction
    future = asyncio.wrap_future(job)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not job.cancel() and not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue  # cancelled again; the limit of a read, or the busy timeout, bounds the wait
        if future.done() and not future.cancelled():
            future.exception()  # retrieved, so that asyncio does not log it: the caller is gone
        raise
