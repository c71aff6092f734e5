"""The same baskets through the store of this project: orders of several SKUs, under the guard of `pessimistic`.

The store sorts in one place (`core.command.merged_keys`); the control uses the only way around it, an option for
experiments. Neighbours: `load.py` has the bare SQL, `presets/cart.py` the same as a preset.
"""

import asyncio
import random
import time

from stockade.core import Busy, Command, Guard, GuardKind
from stockade.lab.deadlock.finding import Finding
from stockade.lab.deadlock.load import Load
from stockade.lab.model.burst import Burst
from stockade.lab.runs.repeats import create_rows, fresh_names
from stockade.lab.targets.target_database import TargetDatabase
from stockade.store import Database, SqlStore

SKUS, PLENTY, WAIT_S = 8, 1_000_000, 5.0


async def orders(target: TargetDatabase, load: Load, *, as_asked: bool) -> Finding:
    """Random orders of `load.basket` of 8 SKUs, for the length of one turn."""
    names = fresh_names(load.workers, PLENTY)
    product, stock = names.product(SKUS, price=1000, stock=PLENTY)
    await create_rows(target, [Burst((product,), (), stock, PLENTY * SKUS, -load.basket)])
    database = await Database.open(target.url, pool_size=load.workers)
    store = SqlStore(database, target.application.resources, single_statement=False)
    guard = Guard(GuardKind.ROW, keep_request_order=as_asked)
    start = time.monotonic()

    async def work(number: int) -> int:
        rng, done = random.Random(load.seed * 1000 + number), 0
        while time.monotonic() < start + load.seconds:
            basket = tuple(rng.sample(stock, load.basket))
            command: Command = names.order(number * 1_000_000 + done, names.id("user", number), basket, "LATER")
            (answer,) = await store.transact([command], guard, deadline=time.monotonic() + WAIT_S)
            if isinstance(answer, Busy):
                continue
            if isinstance(answer, Exception):
                raise answer
            done += 1
        return done

    try:
        done = sum(await asyncio.gather(*(work(number) for number in range(load.workers))))
    finally:
        await database.close()
    return _finding(store, done, time.monotonic() - start, as_asked=as_asked)


def _finding(store: SqlStore, done: int, seconds: float, *, as_asked: bool) -> Finding:
    stats = store.stats
    figures = {
        "baskets": done,
        "baskets_s": round(done / seconds, 1),
        "deadlocks": stats.deadlocks,
        "timeouts": stats.lock_timeouts,
        "conflicts": stats.conflicts,
        "refused": 0,
        "retried": stats.transactions - stats.commits,
        "wasted_share": round((stats.transactions - stats.commits) / max(1, stats.transactions), 4),
        "unfinished": 0,
        "seconds": round(seconds, 3),
    }
    name = "orders of the shop, as asked" if as_asked else "orders of the shop, sorted"
    said = f"{stats.deadlocks} deadlocks, {stats.lock_timeouts} time-outs"
    held = (stats.deadlocks > 0) is as_asked and (as_asked or done > 0)
    expected = "deadlocks" if as_asked else "no deadlock"
    return Finding("load", name, "" if as_asked else "circular wait", expected, said, held, figures)
