"""The row lock time-out of 5000 ms, measured at this database under `pessimistic`, and what follows it."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from sqlalchemy import select
from sqlalchemy.util import await_only

from stockade.core import Accepted, Busy
from stockade.lab.claims.claim import HOLDS_ONLY_WHEN, JAVA, Claim, Measured, Tools
from stockade.lab.claims.shop_runs import PRICE, running
from stockade.lab.model.burst import Burst
from stockade.lab.runs.repeats import create_rows, fresh_names
from stockade.shop.model.tables import skus
from stockade.store import Database
from stockade.strategies.options import Options

WAIT_S, EARLY_S, LATE_S = 5.0, 0.1, 1.0
WHO_ENDS_IT = {
    "postgres": "lock_timeout of the session",
    "mariadb": "innodb_lock_wait_timeout of the session, in whole seconds",
    "mysql": "innodb_lock_wait_timeout of the session, in whole seconds",
    "sqlite": "busy_timeout of the connection",
}


async def run(tools: Tools) -> Measured:
    """Wait for a row that stays held."""
    names = fresh_names(1, 1)
    product, keys = names.product(1, PRICE, 1)
    await create_rows(tools.target, [Burst((product,), (), keys, 1, -1)])
    order = names.order(0, names.id("user"), keys, "LATER")
    async with running(tools, "pessimistic", Options(wait_s=WAIT_S), 2) as (strategy, _):
        async with held_row(tools, keys[0].id):
            start = time.monotonic()
            try:
                await strategy.execute(order)
                ended = "served"
            except Busy as error:
                ended = error.code
            waited_s = time.monotonic() - start
        after = await strategy.execute(order)
    on_time = WAIT_S - EARLY_S <= waited_s <= WAIT_S + LATE_S
    served = isinstance(after, Accepted) and not after.replayed
    who = WHO_ENDS_IT[tools.target.name]
    lines = (
        f"a row held by somebody else: {ended} after {waited_s * 1000:.0f} ms ({who})",
        f"the same order afterwards: {'accepted, nothing had happened before' if served else 'not accepted'}",
    )
    why = "the time-out is set at the server's session; a hint of the driver may be ignored"
    expected = on_time and ended == "LOCK_TIMEOUT" and served
    return Measured(lines, HOLDS_ONLY_WHEN, why, expected, {"waited_ms": round(waited_s * 1000, 1)})


@asynccontextmanager
async def held_row(tools: Tools, sku: str) -> AsyncIterator[None]:
    """Somebody else holds this row for the length of the block: on SQLite the write lock of the file."""
    if tools.target.name == "sqlite":
        file = tools.target.admin_database.url.database or ""
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
        return
    other_database = await Database.open(tools.target.url, pool_size=1)
    held, over = asyncio.Event(), asyncio.Event()

    def hold(connection: object) -> None:
        connection.execute(select(skus.c.id).where(skus.c.id == sku).with_for_update())  # type: ignore[attr-defined]
        held.set()
        await_only(over.wait())

    holder = asyncio.create_task(other_database.transaction(hold, deadline=time.monotonic() + 4 * WAIT_S))
    try:
        async with asyncio.timeout(WAIT_S):
            await held.wait()
        yield
    finally:
        over.set()
        await holder
        await other_database.close()


CLAIM = Claim("lock-wait", "A wait for a row ends after 5000 ms, and the transaction rolls back.", JAVA, run)
