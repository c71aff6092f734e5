"""Our own arms: a strategy of the registry over our store, as the shop wires it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.ground import FINGERPRINT, HOT, Buy, Ground
from benchmarks.harness import Loop
from stockade.core import Stats
from stockade.shop.commands.lines import OrderLine
from stockade.shop.commands.place_order import PlaceOrder
from stockade.shop.resources import SHOP_RESOURCES
from stockade.store import Database, SqlStore
from stockade.strategies import registry
from stockade.strategies.options import Options

WAIT_S = 60.0  # a slow arm shall be slow, not fail


@dataclass(frozen=True, slots=True)
class Ours:
    """One of our strategies.

    Attributes:
        strategy: its name in the registry.
        pool: connections; None for as many as callers, 128 at most.
        max_batch: of the sequencer.
    """

    strategy: str
    pool: int | None = 4
    max_batch: int = Options().max_batch

    @property
    def name(self) -> str:
        return self.strategy

    @asynccontextmanager
    async def open(self, ground: Ground, callers: int) -> AsyncIterator[Loop]:
        """Open the store and start the strategy."""
        database = await Database.open(ground.url, pool_size=pool_size(self.pool, callers), wait_s=WAIT_S)
        store = SqlStore(database, SHOP_RESOURCES)
        strategy = registry.create(self.strategy, store, Options(wait_s=WAIT_S, max_batch=self.max_batch))
        await strategy.start()

        async def place(buy: Buy) -> bool:
            return (await strategy.execute(order(buy))).accepted

        last = Stats()

        def notes(answered: int) -> dict[str, float]:
            nonlocal last
            now = Stats()
            now.add(store.stats)
            begun = now.transactions - last.transactions
            last = now
            return {"orders_per_transaction": answered / max(1, begun)}

        try:
            yield Loop(self.name, place, notes)
        finally:
            await strategy.stop()
            await database.close()


def order(buy: Buy) -> PlaceOrder:
    """The command that a buyer's request becomes."""
    return PlaceOrder(buy.request_id, FINGERPRINT, buy.now_ms, buy.user_id, (OrderLine(HOT, 1),), "POINTS")


def pool_size(pool: int | None, callers: int) -> int:
    """Connections of an arm."""
    return min(callers, 128) if pool is None else pool
