"""The same baskets through the store of this project: orders of several SKUs, under the guard of `pessimistic`.

The store sorts in one place (`core.command.merged_keys`); the control uses the only way around it, an option for
experiments. Neighbours: `load.py` has the bare SQL, `presets/cart.py` the same as a preset.
"""

import random
import time
from functools import partial

from stockade.core import Busy, Command, Guard, GuardKind
from stockade.drivers.failures import Failure
from stockade.lab.deadlock.arms import CIRCLE, DEADLOCKS, NO_DEADLOCK
from stockade.lab.deadlock.load import Counts, Load, Turn
from stockade.lab.deadlock.session import all_of
from stockade.lab.model.burst import Burst
from stockade.lab.runs.repeats import create_rows, fresh_names
from stockade.lab.targets.target_database import TargetDatabase
from stockade.store import Database, SqlStore

SKUS, PLENTY, WAIT_S = 8, 1_000_000, 5.0
AS_ASKED, SORTED = "orders of the shop, as asked", "orders of the shop, sorted"
WAYS = ((AS_ASKED, "", DEADLOCKS), (SORTED, CIRCLE, NO_DEADLOCK))  # name, condition that is taken away, expectation


def turn_of(target: TargetDatabase, load: Load, name: str) -> Turn:
    """The turn of one of `WAYS`: random orders of `load.basket` of 8 SKUs.

    Args:
        target: the database.
        load: how much is sent.
        name: of the way.
    """
    return partial(_play, target, load, Guard(GuardKind.ROW, keep_request_order=name == AS_ASKED))


async def _play(target: TargetDatabase, load: Load, guard: Guard, seed: int, counts: Counts) -> None:
    names = fresh_names(load.workers, PLENTY)
    product, stock = names.product(SKUS, price=1000, stock=PLENTY)
    await create_rows(target, [Burst((product,), (), stock, PLENTY * SKUS, -load.basket)])
    database = await Database.open(target.url, pool_size=load.workers)
    store = SqlStore(database, target.application.resources, single_statement=False)
    start = time.monotonic()

    async def work(number: int) -> None:
        rng, sent = random.Random(seed * 1000 + number), 0
        while time.monotonic() < start + load.seconds:
            basket = tuple(rng.sample(stock, load.basket))
            command: Command = names.order(number * 1_000_000 + sent, names.id("user", number), basket, "LATER")
            sent += 1
            (answer,) = await store.transact([command], guard, deadline=time.monotonic() + WAIT_S)
            if isinstance(answer, Busy):
                counts.unfinished += 1
            elif isinstance(answer, Exception):
                raise answer
            else:
                counts.done += 1

    try:
        await all_of(work(number) for number in range(load.workers))
    finally:
        await database.close()
    counts.seconds += time.monotonic() - start
    _add(store, counts)


def _add(store: SqlStore, counts: Counts) -> None:
    stats = store.stats
    found = {
        Failure.DEADLOCK: stats.deadlocks,
        Failure.TIMEOUT: stats.lock_timeouts,
        Failure.CONFLICT: stats.conflicts,
    }
    counts.failures.update(found)
    counts.retried += stats.transactions - stats.commits
    counts.statements += stats.transactions
    counts.wasted += stats.transactions - stats.commits
