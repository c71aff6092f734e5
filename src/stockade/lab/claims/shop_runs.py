"""Orders of the shop at the same moment under one strategy, for the claims that compare strategies.

Neighbours: `runs/` use it; `lab.execution.load` sends orders of presets, which are judged by checks instead.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from sqlalchemy import select

from stockade.core import Accepted, Outcome, Rejected, Stats, Strategy
from stockade.lab.claims.claim import Tools
from stockade.lab.model.burst import Burst
from stockade.lab.runs.repeats import create_rows, fresh_names
from stockade.shop.model.tables import skus
from stockade.store import Database, SqlStore
from stockade.strategies import registry
from stockade.strategies.options import Options

PRICE, WARM_S = 1000, 10.0


@dataclass(frozen=True, slots=True)
class Race:
    """How one race ended.

    Attributes:
        accepted: buyers who have the unit.
        rejected: buyers for whom nothing was left.
        failed: buyers without a decision, by the code of the error.
        stats: of the store.
        seconds: from the first order to the last answer.
        waited_s: of every buyer, until the answer.
        sold: units that left the stock, as the database says.
    """

    accepted: int
    rejected: int
    failed: dict[str, int]
    stats: Stats
    seconds: float
    waited_s: tuple[float, ...]
    sold: int


@asynccontextmanager
async def running(
    tools: Tools, strategy: str, options: Options, pool_size: int
) -> AsyncIterator[tuple[Strategy, SqlStore]]:
    """A strategy over connections of its own."""
    database = await Database.open(tools.target.url, pool_size=pool_size)
    try:
        store = SqlStore(database, tools.target.application.resources)
        running = registry.create(strategy, store, options)
        await running.start()
        try:
            yield running, store
        finally:
            await running.stop()
    finally:
        await database.close()


async def race(
    tools: Tools, strategy: str, options: Options, *, buyers: int, stock: int, pool_size: int, spread_ms: int = 0
) -> Race:
    """Buyers of one unit of one product, all at once.

    Args:
        tools: of the run.
        strategy: its name.
        options: its parameters.
        buyers: how many orders.
        stock: units at the start.
        pool_size: connections.
        spread_ms: by how much the clock of each order is after that of the one before.
    """
    names = fresh_names(buyers, stock)
    product, keys = names.product(1, PRICE, stock)
    await create_rows(tools.target, [Burst((product,), (), keys, stock, -1)])
    orders = [names.order(n, names.id("user", n), keys, "LATER") for n in range(buyers)]
    spread = [replace(each, now_ms=each.now_ms + (n + 1) * spread_ms) for n, each in enumerate(orders)]
    async with running(tools, strategy, options, pool_size) as (running_strategy, store):
        await _warm(store.database, pool_size)
        start = time.monotonic()
        answers = await asyncio.gather(*(_timed(running_strategy, order) for order in spread))
        seconds = time.monotonic() - start
        stats = store.stats
    failed: dict[str, int] = {}
    for answer, _ in answers:
        if isinstance(answer, Exception):
            code = str(getattr(answer, "code", type(answer).__name__))
            failed[code] = failed.get(code, 0) + 1
    return Race(
        accepted=sum(isinstance(answer, Accepted) for answer, _ in answers),
        rejected=sum(isinstance(answer, Rejected) for answer, _ in answers),
        failed=failed,
        stats=stats,
        seconds=seconds,
        waited_s=tuple(waited_s for _, waited_s in answers),
        sold=stock - await free_units(tools, keys[0].id),
    )


async def _timed(strategy: Strategy, order: object) -> tuple[Outcome | Exception, float]:
    start = time.monotonic()
    try:
        answer: Outcome | Exception = await strategy.execute(order)  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001 - it is the answer of this buyer, and is counted
        answer = error
    return answer, time.monotonic() - start


async def _warm(database: Database, pool_size: int) -> None:
    """Open the connections before anything is timed."""
    deadline = time.monotonic() + WARM_S
    calls = (database.transaction(lambda c: c.exec_driver_sql("SELECT 1"), deadline=deadline) for _ in range(pool_size))
    await asyncio.gather(*calls)


async def free_units(tools: Tools, sku: str) -> int:
    """Units that can be sold now, as the database says."""
    statement = select(skus.c.on_hand - skus.c.reserved).where(skus.c.id == sku)
    return int(await tools.target.admin_database.read(lambda connection: connection.execute(statement).scalar_one()))
