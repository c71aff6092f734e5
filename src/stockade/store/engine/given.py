"""Connections of an engine that belongs to the caller: used, never closed, and given back as they were.

What a connection needs for a transaction of the store is set in that transaction, or set back before its end. So other
users of the engine, and other clients behind a pooler, meet none of it. Neighbour: `adopt` makes it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from stockade.core import Busy
from stockade.store.engine.backends import TransactionRun, run_autocommit, run_in_transaction, run_read
from stockade.store.engine.dialect import Dialect

T = TypeVar("T")


class GivenBackend:
    """Transactions and reads over one engine of the caller.

    Args:
        dialect: sets nothing that outlives a transaction.
        engine: of the caller.
        readers: how many reads at the same time.
        isolation: of every connection, where SQLAlchemy sets it without a message to the server; None: the dialect
            sets it.
    """

    def __init__(self, dialect: Dialect, engine: AsyncEngine, readers: int, isolation: str | None) -> None:
        self.dialect, self.readers = dialect, readers
        self._engine, self._isolation = engine.sync_engine, isolation

    async def read(self, body: Callable[[Connection], T], limit_s: float) -> T:
        def work(connection: Connection) -> T:
            return run_read(connection, self.dialect, body, limit_s)

        return await self._on_connection(work, self._isolation)

    async def write(self, body: Callable[[Connection], T], run: TransactionRun) -> T:
        def work(connection: Connection) -> T:
            way = run_autocommit if run.autocommit else run_in_transaction
            return way(connection, self.dialect, body, run)

        level = None if self.dialect.isolates_in_transaction else run.isolation
        return await self._on_connection(work, "AUTOCOMMIT" if run.autocommit else level or self._isolation)

    async def _on_connection(self, work: Callable[[Connection], T], isolation: str | None) -> T:
        # the names of compiled statements are final, so no map of the engine may rename others
        options: dict[str, Any] = {"schema_translate_map": None}
        if isolation is not None:
            options["isolation_level"] = isolation

        def connected() -> T:
            with self._engine.connect() as connection:
                try:
                    connection.execution_options(**options)
                except BaseException:
                    connection.invalidate()  # what it is set to is not known
                    raise
                return work(connection)

        try:
            return await greenlet_spawn(connected)
        except PoolTimeout as error:
            text = f"the pool of the engine gave no connection: {error.args[0]}"
            advice = "give the store an engine of its own, or the pool more connections"
            raise Busy(f"{text}; {advice}", "POOL_EXHAUSTED") from error

    def lost(self) -> None:
        """The broken connection was thrown away; the engine decides about the others (`pool_pre_ping`)."""

    @property
    def unsettled(self) -> bool:
        return False  # the engine waits for the end of a connection

    async def settle(self) -> None:
        return None

    async def close(self) -> None:
        """Nothing: the caller closes its engine."""
