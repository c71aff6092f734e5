"""Connections of an engine that belongs to the caller: used, never closed, and given back as they were.

What a connection needs for a transaction of the store is set in that transaction, or set back before its end. So other
users of the engine, and other clients behind a pooler, meet none of it. Neighbour: `adopt` makes it.
"""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from stockade.core import Busy
from stockade.store.engine.backends import AsyncBackend, TransactionRun
from stockade.store.engine.dialect import Dialect

T = TypeVar("T")


class GivenConnections:
    """The pool of a given engine.

    Args:
        engine: shares the caller's pool.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    def lost(self) -> None:
        """The broken connection was thrown away; the engine decides about the others (`pool_pre_ping`)."""

    def end_all(self) -> None:
        """Nothing: the caller ends its connections."""

    async def close(self) -> None:
        """Nothing: the caller closes its engine."""


class GivenBackend(AsyncBackend):
    """Transactions and reads over one engine of the caller.

    Args:
        dialect: sets nothing that outlives a transaction.
        engine: of the caller.
        reader_count: how many reads at the same time.
        options: execution options of the connections.
    """

    def __init__(self, dialect: Dialect, engine: AsyncEngine, reader_count: int, options: dict[str, str]) -> None:
        # statements are compiled with the names that they have, so no map of the engine may rename half of them
        connections = GivenConnections(engine.execution_options(schema_translate_map=None, **options))
        super().__init__(dialect, connections, connections, reader_count)

    async def read(self, body: Callable[[Connection], T], limit_s: float) -> T:
        try:
            return await super().read(body, limit_s)
        except PoolTimeout as error:
            raise _exhausted(error) from error

    async def write(self, body: Callable[[Connection], T], run: TransactionRun) -> T:
        try:
            return await super().write(body, run)
        except PoolTimeout as error:
            raise _exhausted(error) from error


def _exhausted(error: PoolTimeout) -> Busy:
    text = f"the pool of the engine gave no connection: {error.args[0]}"
    return Busy(f"{text}; give the store an engine of its own, or the pool more connections", "POOL_EXHAUSTED")
