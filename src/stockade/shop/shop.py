"""An open shop: hands each command to the strategy of its group, and runs queries.

Neighbours: `bootstrap` opens it; HTTP, the command line and the lab's processes use it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

from stockade.core import Accepted, Command, Outcome, StockadeError, Strategy, SupportsSubmit
from stockade.shop.config.settings import Settings
from stockade.shop.config.strategy_choice import in_memory
from stockade.shop.database import open_database
from stockade.shop.operations.outage_log import OutageLog
from stockade.store import Database, SqlStore
from stockade.store.registration import Registration

if TYPE_CHECKING:
    from stockade.shop.operations.tracing import Tracing

T = TypeVar("T")
Count = Callable[[str, str, str], None]


class Shop:
    """An open shop.

    Attributes:
        settings: those in force.
        database: its connections.
        store: the store; its `stats` count what it did.
        strategies: the strategy of each group; the same object where the names are equal.
        registration: of its guards; None for a database in memory, which no other process can use.
        count: called with (command, strategy, code) after every command; code is ACCEPTED, REPLAYED, QUEUED, or the
            error code.
        tracing: makes spans of requests; None: none are made.
    """

    tracing: "Tracing | None" = None

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: SqlStore,
        strategies: dict[str, Strategy],
        registration: Registration | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.store = store
        self.strategies = strategies
        self.registration = registration
        self.count: Count = _count_nothing
        self._outages = OutageLog()

    async def execute(self, command: Command) -> Outcome:
        """Carry out one command.

        Raises:
            Busy, Conflict, Unknown, IdempotencyKeyReused, LockLost: see `stockade.core.Strategy.execute`.
        """
        strategy = self.strategies[command.strategy_group]
        code = "INTERNAL_ERROR"
        try:
            outcome = await strategy.execute(command)
            code = "REPLAYED" if outcome.replayed else "ACCEPTED" if isinstance(outcome, Accepted) else outcome.code
            self._outages.succeeded(command.name)
            return outcome
        except StockadeError as error:
            code = error.code
            self._outages.failed(command.name, error)
            raise
        finally:
            self.count(command.name, strategy.name, code)

    async def submit(self, command: Command) -> bool:
        """Queue one command and do not wait for its decision; False, and nothing done, where its strategy has no log.

        Raises:
            Busy, Unknown: see `stockade.core.SupportsSubmit.submit`.
        """
        strategy = self.strategies[command.strategy_group]
        if not isinstance(strategy, SupportsSubmit):
            return False
        code = "INTERNAL_ERROR"
        try:
            await strategy.submit(command)
            code = "QUEUED"
        except StockadeError as error:
            code = error.code
            raise
        finally:
            self.count(command.name, strategy.name, code)
        return True

    async def read(self, query: Callable[[Connection], T], *, wait_s: float | None = None) -> T:
        """Run a query on a connection of the read pool.

        Args:
            query: a synchronous function that only reads.
            wait_s: for a slow query, the longest it may take, in seconds; it then has a connection of its own, so
                that it takes none from the others. None: the setting `wait_s`.

        Raises:
            Busy: no connection or no result in time, or no database.
        """
        try:
            if wait_s is None or in_memory(self.settings):
                result = await self.database.read(query, timeout_s=wait_s or self.settings.wait_s)
            else:
                own = await open_database(self.settings, wait_s=wait_s)
                try:
                    result = await own.read(query, timeout_s=wait_s)
                finally:
                    await own.close()
        except StockadeError as error:
            self._outages.failed("read", error)
            raise
        self._outages.succeeded("read")
        return result

    @property
    def queued(self) -> int:
        """Commands that wait in the strategies' own queues."""
        return sum(each.depth for each in set(self.strategies.values()))


def _count_nothing(command: str, strategy: str, code: str) -> None:
    return None
