"""Connections: pools that queue fairly, bounded waits, and one way to run a transaction on every database.

A transaction is a plain synchronous function over a SQLAlchemy Connection. Asynchronous drivers run it in a
greenlet, SQLite in its writer thread (`backends`). So the logic above exists once, and a whole SQLite transaction
costs one thread switch instead of one for each statement.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from stockade.core import Busy, NotSupported, in_transaction
from stockade.core.grace import GRACE_S
from stockade.drivers.failures import AccessRefused, ConnectFailed, Failure, classify, describe, missing_table
from stockade.store.engine.adopt import adopt
from stockade.store.engine.backends import DatabaseBackend, TransactionRun
from stockade.store.engine.dialect import Dialect
from stockade.store.engine.given import GivenBackend
from stockade.store.engine.registry import connect
from stockade.store.schema.tables import DEFAULT, StoreTables

T = TypeVar("T")
# How long the server may overrun a deadline before the client gives the connection up. The end of the connection
# (`pools.END_IN_TURN_S`) and the release of a lock follow, within the same grace.
OVERRUN_S = 0.625 * GRACE_S


class Database:
    """One database: its dialect, its two pools, and a fair queue in front of each. Make it with `open`.

    Attributes:
        url: with driver and password.
        dialect: what is special about this database.
        pool_size: connections for transactions.
        tables: the store's tables in this database.
        waiting: callers queued for a connection now.
        owns_connections: whether it opened them itself; False over an engine of the caller.
    """

    def __init__(
        self,
        url: URL,
        backend: DatabaseBackend,
        pool_size: int,
        tables: StoreTables = DEFAULT,
        writers: int | None = None,
    ) -> None:
        if tables.schema is not None and backend.dialect.name == "sqlite":
            raise ValueError(f"SQLite has no schema {tables.schema!r}: give the store's tables a prefix instead")
        self.url = url
        self.dialect: Dialect = backend.dialect
        self.pool_size = pool_size
        self.tables = tables
        self.owns_connections = not isinstance(backend, GivenBackend)
        self.waiting = 0
        self._backend = backend
        self._loop = asyncio.get_running_loop()  # to which the connections belong
        self._writers = asyncio.Semaphore(writers or pool_size)
        self._readers = asyncio.Semaphore(backend.readers)
        self._places = asyncio.Semaphore(pool_size)

    @classmethod
    async def open(
        cls, url: str, *, pool_size: int = 8, wait_s: float = 5.0, tables: StoreTables = DEFAULT
    ) -> "Database":
        """Connect to a database.

        Args:
            url: see `stockade.store.engine.registry.read_url`.
            pool_size: connections for transactions. Two for each core of the database server is a good start: few
                connections and a fair queue in front are faster than one connection for each caller.
            wait_s: the longest wait for one row lock in seconds, when the deadline leaves more (PostgreSQL; elsewhere
                the deadline alone bounds it).
            tables: the names of the store's tables in this database.

        Raises:
            ValueError: an unusable URL or pool size.
            NotSupported: the driver is missing; the message names the extra to install.
            Busy: the server cannot be reached (code DEPENDENCY_DOWN).
            AccessRefused: it refuses the user, the password, the database or the certificate.
        """
        if pool_size < 1:
            raise ValueError(f"pool_size must be at least 1, not {pool_size}")
        with _connecting():
            parsed, backend = await connect(url, pool_size, wait_s)
        return cls(parsed, backend, pool_size, tables)

    @classmethod
    async def from_engine(
        cls, engine: AsyncEngine, *, pool_size: int | None = None, wait_s: float = 5.0, tables: StoreTables = DEFAULT
    ) -> "Database":
        """Use the connections of an engine that your program has anyway.

        The engine stays yours: `close` does not close it. A connection is given back as it was: what the store needs is
        set for one transaction, or set back after it (docs/reference/store.md). PostgreSQL carries out no batch as one
        statement on such a connection; `open` is faster there.

        Args:
            engine: over asyncpg, asyncmy, aiomysql or aiosqlite (a file).
            pool_size: most connections for transactions at the same time, and as many again for queries; None: as many
                as the engine's pool keeps, but at most 8. SQLite has one writer.
            wait_s: as for `open`.
            tables: the names of the store's tables in this database.

        Raises:
            TypeError: it is no AsyncEngine.
            ValueError: an unusable pool size.
            NotSupported: its driver, its pool or its sessions do not fit; the message says what does.
            Busy, AccessRefused: as `open`.
        """
        if pool_size is not None and pool_size < 1:
            raise ValueError(f"pool_size must be at least 1, not {pool_size}")
        with _connecting():
            url, backend, size, writers = await adopt(engine, pool_size, wait_s)
        return cls(url, backend, size, tables, writers)

    async def close(self) -> None:
        """Close every connection."""
        await self._backend.close()

    @property
    def unsettled(self) -> bool:
        """See `stockade.core.Store.unsettled`."""
        return self._backend.unsettled

    async def settle(self) -> None:
        """See `stockade.core.Store.settle`."""
        await self._backend.settle()

    async def read(self, body: Callable[[Connection], T], *, timeout_s: float = 5.0, deadline: float = math.inf) -> T:
        """Run a read-only function on a connection of the read pool.

        Args:
            body: a synchronous function over a Connection; it must not write.
            timeout_s: the longest wait for a connection, and then for the answer, in seconds each; the server ends
                a statement that takes longer (PostgreSQL: than the `wait_s` of `open`, or when the caller gives up).
            deadline: on the monotonic clock, in seconds: ends both waits, of a command whose time they are.

        Raises:
            Busy: no connection in time (POOL_EXHAUSTED), or no server or no answer in time (DEPENDENCY_DOWN).
        """
        await self._enter(self._readers, min(deadline, time.monotonic() + timeout_s))
        timeout_s = max(0.001, min(timeout_s, deadline - time.monotonic()))
        try:
            async with asyncio.timeout(timeout_s + OVERRUN_S):
                return await self._read_twice(body, timeout_s)
        except TimeoutError as error:
            self._backend.lost()
            raise Busy(f"the database did not answer within {timeout_s:g} s", "DEPENDENCY_DOWN") from error
        except Busy:
            raise  # complete, whatever caused it
        except Exception as error:
            self._refuse_without_tables(error)
            match classify(error):
                case Failure.LOST | Failure.REFUSED:
                    raise Busy(f"the database cannot be used: {describe(error)}", "DEPENDENCY_DOWN") from error
                case Failure.TIMEOUT:
                    raise Busy(f"the database did not answer in time: {describe(error)}", "DEPENDENCY_DOWN") from error
            raise
        finally:
            self._readers.release()

    async def _read_twice(self, body: Callable[[Connection], T], limit_s: float) -> T:
        """Read; what met a connection that was lost while it was idle is done once more, on a new one."""
        try:
            return await self._backend.read(body, limit_s)
        except Exception as error:
            if isinstance(error, ConnectFailed | TimeoutError) or classify(error) is not Failure.LOST:
                raise
        return await self._backend.read(body, limit_s)

    async def check_writable(self, *, timeout_s: float = 5.0) -> None:
        """Make sure that the server takes writes now: a replica answers reads as well.

        Args:
            timeout_s: as for `read`.

        Raises:
            Busy: it takes none (code DEPENDENCY_DOWN), or as `read`.
        """
        await self.read(lambda c: self.dialect.check_writable(c, self.tables.requests), timeout_s=timeout_s)

    async def transaction(
        self,
        body: Callable[[Connection], T],
        *,
        deadline: float,
        isolation: str | None = None,
        advisory: Sequence[str] = (),
        nowait: bool = False,
    ) -> T:
        """Run a function in one transaction and commit; roll back if it raises.

        Args:
            body: a synchronous function over a Connection inside a transaction.
            deadline: on the monotonic clock, in seconds: ends the wait for a connection and for every lock.
            isolation: "SERIALIZABLE", "REPEATABLE READ", or "READ UNCOMMITTED" (one that the server has); None: READ
                COMMITTED.
            advisory: names to hold as advisory locks from before the first read until after the commit.
            nowait: do not wait for the lock that BEGIN takes on SQLite; the driver's error is raised at once.

        Raises:
            Busy: no connection before the deadline.
            CommitUnconfirmed: the commit was sent, its reply never came.
            TimeoutError: the server overran the deadline; the transaction may or may not be durable.
        """
        return await self._write(body, TransactionRun(deadline, isolation, tuple(advisory), nowait=nowait))

    async def write(
        self,
        body: Callable[[Connection], T],
        *,
        timeout_s: float,
        isolation: str | None = None,
        advisory: Sequence[str] = (),
    ) -> T:
        """`transaction` with a time limit from now.

        Args:
            body: as for `transaction`.
            timeout_s: the longest wait for a connection and for every lock together, in seconds.
            isolation: as for `transaction`.
            advisory: as for `transaction`.

        Raises:
            Busy, CommitUnconfirmed, TimeoutError: as `transaction`.
        """
        deadline = time.monotonic() + timeout_s
        return await self.transaction(body, deadline=deadline, isolation=isolation, advisory=advisory)

    async def autocommit(self, body: Callable[[Connection, TransactionRun], T], *, deadline: float) -> T:
        """Run a function each of whose statements is a transaction of its own.

        Args:
            body: a synchronous function over a Connection; it sets `committing` of its run before it writes.
            deadline: on the monotonic clock, in seconds: ends the wait for a connection. The waits for locks are
                bounded by the connection's own settings.

        Raises:
            Busy, CommitUnconfirmed, TimeoutError: as `transaction`.
        """
        run = TransactionRun(deadline, None, (), autocommit=True)
        return await self._write(lambda connection: body(connection, run), run)

    async def _write(self, body: Callable[[Connection], T], run: TransactionRun) -> T:
        await self._enter(self._writers, run.deadline)
        token = in_transaction.set(True)
        try:
            async with asyncio.timeout(run.left_s + OVERRUN_S):
                return await self._backend.write(body, run)
        except TimeoutError as error:
            self._backend.lost()
            if run.committing:
                raise
            raise Busy("the transaction was given up at its deadline, before its commit") from error
        except Busy:
            raise  # complete, whatever caused it
        except Exception as error:
            self._refuse_without_tables(error)
            if classify(error) is Failure.REFUSED:
                raise Busy(f"the database refuses this: {describe(error)}", "DEPENDENCY_DOWN") from error
            raise
        finally:
            in_transaction.reset(token)
            self._writers.release()

    @asynccontextmanager
    async def reserve_slot(self, deadline: float) -> AsyncIterator[None]:
        """Hold one of `pool_size` slots for a read and for the write that depends on it.

        Where reads stand apart from writes, nothing else bounds how many decide at once on a row that only one of
        them can still write; 500 callers would each lose to 499 others until their deadlines.

        Args:
            deadline: on the monotonic clock, in seconds.

        Raises:
            Busy: no slot before the deadline (POOL_EXHAUSTED).
        """
        await self._enter(self._places, deadline)
        try:
            yield
        finally:
            self._places.release()

    def _refuse_without_tables(self, error: Exception) -> None:
        """Say in one line that the schema was never migrated.

        Raises:
            NotSupported: that is what the error means.
        """
        name = missing_table(error)
        if name in self.tables.names:
            raise NotSupported(
                f"the store's table {name} is not in this database: run `await STORE_SCHEMA.migrate(database)` first"
                f" ({describe(error)})"
            ) from None

    def _check_loop(self) -> None:
        """Refuse another event loop than that in which the Database was made.

        Raises:
            RuntimeError: this is another one.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("this Database belongs to another event loop: open one in each loop (and each process)")

    async def _enter(self, queue: asyncio.Semaphore, deadline: float) -> None:
        self._check_loop()
        left_s = deadline - time.monotonic()
        if left_s <= 0:  # here every attempt passes, so here every retry ends
            raise Busy("the deadline was over before a transaction began")
        if not queue.locked():  # first in, first out: not locked means an empty queue
            await queue.acquire()
            return
        self.waiting += 1
        try:
            async with asyncio.timeout(left_s):
                await queue.acquire()
        except TimeoutError as error:
            text = f"no database connection came free in {left_s:.1f} s (pool of {self.pool_size})"
            raise Busy(text, "POOL_EXHAUSTED") from error
        finally:
            self.waiting -= 1


@contextmanager
def _connecting() -> Iterator[None]:
    """What the first connection meets, as `Database.open` raises it."""
    try:
        yield
    except (ValueError, TypeError):
        raise
    except Exception as error:
        match classify(error):
            case Failure.LOST:
                raise Busy(describe(error), "DEPENDENCY_DOWN") from error
            case Failure.REFUSED:
                raise AccessRefused(describe(error)) from error
        raise
