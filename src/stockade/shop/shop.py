"""An open shop: a service that knows its settings, logs outages, and gives slow queries a connection of their own.

Neighbours: `bootstrap` opens it; HTTP, the command line and the lab's processes use it.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

from stockade.core import Busy, Command, StockadeError, Strategy
from stockade.service import Application, Service
from stockade.shop.config.settings import Settings
from stockade.shop.config.strategy_choice import in_memory
from stockade.shop.database import open_database
from stockade.shop.operations.outage_log import OutageLog
from stockade.store import SqlStore
from stockade.store.registration import Registration

if TYPE_CHECKING:
    from stockade.shop.operations.tracing import Tracing
    from stockade.shop.payments import Notifications, Payments

T = TypeVar("T")
MAX_SLOW_READS = 2  # at the same time in one process: each has connections of its own


class Shop(Service):
    """An open shop. Every group of commands has a strategy of its own; the same object where the names are equal.

    Attributes:
        settings: those in force.
        tracing: makes spans of requests; None: none are made.
        payments: asks the payment gateway; None: the setting `gateway` is none.
        notifications: takes what that gateway reports by itself; None as `payments`.
    """

    tracing: "Tracing | None" = None
    payments: "Payments | None" = None
    notifications: "Notifications | None" = None

    def __init__(
        self,
        settings: Settings,
        application: Application,
        store: SqlStore,
        strategies: dict[str, Strategy],
        registration: Registration | None = None,
    ) -> None:
        super().__init__(application, store, strategies, registration)
        self.settings = settings
        self._outages = OutageLog()
        self._slow_reads = asyncio.Semaphore(MAX_SLOW_READS)

    async def read(
        self, query: Callable[[Connection], T], *, timeout_s: float | None = None, wait_s: float | None = None
    ) -> T:
        """Run a query on a connection of the read pool.

        Args:
            query: a synchronous function that only reads.
            timeout_s: the longest wait for a connection, and then for the result, in seconds each. None: the setting
                `wait_s`.
            wait_s: for a slow query, the longest that it may take, in seconds; it then has a connection of its own, so
                that it takes none from the others. None: it is no slow query.

        Raises:
            Busy: no connection or no result in time, or no database; or `MAX_SLOW_READS` slow queries are at work.
        """
        try:
            if wait_s is None or in_memory(self.settings):
                result = await self.database.read(query, timeout_s=wait_s or timeout_s or self.settings.wait_s)
            else:
                result = await self._read_slowly(query, wait_s)
        except StockadeError as error:
            self._outages.failed("read", error)
            raise
        self._outages.succeeded("read")
        return result

    async def _read_slowly(self, query: Callable[[Connection], T], wait_s: float) -> T:
        if self._slow_reads.locked():
            raise Busy(f"{MAX_SLOW_READS} slow queries are at work", "POOL_EXHAUSTED")
        async with self._slow_reads:
            own = await open_database(self.settings, wait_s=wait_s)
            try:
                return await own.read(query, timeout_s=wait_s)
            finally:
                await own.close()

    def _executed(self, command: Command, error: StockadeError | None) -> None:
        if error is None:
            self._outages.succeeded(command.name)
        else:
            self._outages.failed(command.name, error)
