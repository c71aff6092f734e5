"""A service process of the simulated world: a strategy of production over the store of production.

Neighbours: `database/connection.py` and `locks.py` are its ways to the servers; `clients.py` sends it commands.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from sqlalchemy.engine import make_url

from stockade.core import Command, Strategy
from stockade.lab.execution.processes.answers import Answer, answered
from stockade.lab.simulation.database.connection import SimulatedBackend
from stockade.lab.simulation.database.dialect import SimulatedDialect
from stockade.lab.simulation.database.server import DatabaseServer
from stockade.lab.simulation.locks import simulated_locks
from stockade.lab.simulation.world import Process
from stockade.locks.testing.simulated_redis import SimNetwork
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store.engine.database import Database
from stockade.store.transaction.transact import SqlStore
from stockade.strategies.base import Base
from stockade.strategies.lock_based import LockBased
from stockade.strategies.options import Options

_URL = make_url("simulated://")
_DIALECT = SimulatedDialect()


def open_store(server: DatabaseServer, process: Process) -> SqlStore:
    """The store of production in a simulated process."""
    database = Database(_URL, SimulatedBackend(server, process, _DIALECT), pool_size=4)
    return SqlStore(database, SHOP_RESOURCES)


class Service:
    """One process with its store and its strategy.

    Args:
        process: that it is.
        server: the database.
        redis: the ways to the lock servers.
        strategy: the class.
        options: of the strategy.
    """

    def __init__(
        self,
        process: Process,
        server: DatabaseServer,
        redis: Sequence[SimNetwork],
        strategy: type[Base],
        options: Options,
    ) -> None:
        self.process = process
        self._server, self._redis, self._kind, self._options = server, redis, strategy, options
        self.strategy: Strategy | None = None
        self.store: SqlStore | None = None

    async def start(self) -> None:
        """Open the store and start the strategy, in the loop of the process."""
        self.store = open_store(self._server, self.process)
        strategy = self._kind(self.store, self._options)
        if isinstance(strategy, LockBased):
            # `start` would connect to a URL, and begin to watch the server for its log
            strategy._locks = simulated_locks(self.process, self._redis)  # noqa: SLF001
        else:
            await strategy.start()
        self.strategy = cast(Strategy, strategy)

    async def execute(self, command: Command) -> Answer:
        """Carry out one command; see `Operation.in_doubt`."""
        assert self.strategy is not None
        assert self.store is not None
        return await answered(self.strategy.execute(command), self.store.stats)

    async def stop(self) -> None:
        """Stop the strategy, close the store."""
        if self.strategy is not None and self.store is not None:
            await self.strategy.stop()
            await self.store.database.close()

    def run(self, work: Coroutine[Any, Any, Any], done: Callable[[asyncio.Task[Any]], object]) -> asyncio.Task[Any]:
        """Begin a task in this process."""
        task = self.process.loop.create_task(work)
        task.add_done_callback(done)
        return task
