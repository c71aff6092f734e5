"""A crew carries the buyers: the open database, the store and the strategy under test.

`LocalCrew` is this process; `ProcessCrew` (in `processes`) is several. Both are asked the same way, so the runner does
not know which it has. The crew has connections of its own: what the runner prepares and reads costs it nothing.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from stockade.core import Command, Stats, Strategy
from stockade.lab.load import Barrier, Shot, fire
from stockade.shop.resources import SHOP_RESOURCES
from stockade.store import Database, SqlStore
from stockade.strategies import registry
from stockade.strategies.options import Options


@dataclass(frozen=True, slots=True)
class Team:
    """Everything a process needs to take orders.

    Attributes:
        url: of the database.
        strategy: its name in the registry.
        pool_size: connections of each process.
        wait_s: longest time one command may wait for its turn.
        unsorted: lock rows in the order a command names them (deadlock experiments).
    """

    url: str
    strategy: str
    pool_size: int = 8
    wait_s: float = 5.0
    unsorted: bool = False


class Played(NamedTuple):
    """The answers of one repeat and the store's effort for it."""

    shots: list[Shot]
    effort: Stats


class Crew(Protocol):
    """Carries the buyers' commands out, all at once."""

    async def play(self, commands: Sequence[Command]) -> Played: ...


class Worker:
    """One process's share of the work: fires commands at its strategy and counts what that took."""

    def __init__(self, strategy: Strategy, store: SqlStore) -> None:
        self._strategy, self._store = strategy, store

    async def play(self, commands: Sequence[Command], barrier: Barrier | None = None) -> Played:
        """Fire all commands at once, after the barrier if there is one."""
        before = self._store.stats.as_dict()
        shots = await fire(self._strategy, commands, barrier)
        after = self._store.stats.as_dict()
        return Played(shots, Stats(**{name: count - before[name] for name, count in after.items()}))


@asynccontextmanager
async def at_work(team: Team) -> AsyncIterator[Worker]:
    """Open the database and start the strategy; stop and close them again."""
    database = await Database.open(team.url, pool_size=team.pool_size, wait_s=team.wait_s)
    try:
        store = SqlStore(database, SHOP_RESOURCES)
        options = Options(wait_s=team.wait_s, unsorted=team.unsorted)
        strategy = registry.create(team.strategy, store, options)
        await strategy.start()
        try:
            yield Worker(strategy, store)
        finally:
            await strategy.stop()
    finally:
        await database.close()
