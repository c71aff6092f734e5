"""Our own arms: a strategy of the registry over our store, as the shop wires it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.harness import Loop, Place
from benchmarks.target import FINGERPRINT, HOT, BenchmarkDatabase, Buy
from stockade.core import Stats
from stockade.devservers import Servers
from stockade.shop.commands.lines import OrderLine
from stockade.shop.commands.place_order import PlaceOrder
from stockade.shop.model.constants import POINTS
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import Database, SqlStore
from stockade.strategies import registry
from stockade.strategies.options import Options

WAIT_S = 60.0  # a slow arm must not fail
POOL = 4  # two connections for each core of this machine
MOST = 128  # connections of an arm that has one for each caller


@dataclass(frozen=True, slots=True)
class Ours:
    """One of our strategies.

    Attributes:
        name: of the arm.
        strategy: its name in the registry.
        callers: at the same time.
        pool: connections.
    """

    name: str
    strategy: str
    callers: int
    pool: int = POOL

    @asynccontextmanager
    async def open(self, target: BenchmarkDatabase) -> AsyncIterator[Loop]:
        """Open the store and start the strategy."""
        async with strategy_on(target, self.strategy, self.pool) as (place, stats):
            begun_before = 0

            def notes(answered: int) -> dict[str, float]:
                nonlocal begun_before
                begun = stats.transactions - begun_before
                begun_before = stats.transactions
                return {"orders_per_transaction": answered / max(1, begun)}

            yield Loop(self.name, self.callers, place, notes)


@dataclass(frozen=True, slots=True)
class Pooled(Ours):
    """The same through a PgBouncer in transaction mode."""

    @asynccontextmanager
    async def open(self, target: BenchmarkDatabase) -> AsyncIterator[Loop]:
        """Start the pooler and the strategy."""
        with Servers() as group:
            url = group.pgbouncer(target.server).url
            async with strategy_on(target, self.strategy, self.pool, url) as (place, _stats):
                yield Loop(self.name, self.callers, place)


@asynccontextmanager
async def strategy_on(
    target: BenchmarkDatabase, name: str, pool: int = POOL, url: str | None = None
) -> AsyncIterator[tuple[Place, Stats]]:
    """A started strategy over a store of its own: what places an order, and the store's counters."""
    database = await Database.open(url or target.url, pool_size=pool, wait_s=WAIT_S)
    store = SqlStore(database, SHOP_RESOURCES)
    strategy = registry.create(name, store, Options(wait_s=WAIT_S))
    await strategy.start()

    async def place(buy: Buy) -> bool:
        return (await strategy.execute(order(buy, target.pay))).accepted

    try:
        yield place, store.stats
    finally:
        await strategy.stop()
        await database.close()


def order(buy: Buy, pay: str = POINTS) -> PlaceOrder:
    """The command that a buyer's request becomes."""
    return PlaceOrder(buy.request_id, FINGERPRINT, buy.now_ms, buy.user_id, (OrderLine(HOT, 1),), pay)
