"""Steps that tests of the store share: batches of orders, what they leave, and replies that get lost."""

import asyncio

from sqlalchemy import func, select, text

from stockade.core import Conflict, Guard
from stockade.shop.model.tables import skus
from stockade.store.engine.backends import CommitUnconfirmed
from stockade.store.schema.tables import ledger
from tests.store.commands import Charge, Take, rid
from tests.store.conftest import soon

USERS = [f"u{n}" for n in range(5)]


async def until_decided(store, command, guard):
    """What a retrying strategy does, bounded."""
    for _ in range(500):
        (answer,) = await store.transact([command], guard, deadline=soon(10))
        if not isinstance(answer, Conflict):
            return answer
    raise AssertionError("500 conflicts in a row")


async def figures(store):
    """(on hand, version, ledger entries, sum of deltas) of SKU s."""

    def body(connection):
        row = connection.execute(select(skus.c.on_hand, skus.c.version).where(skus.c.id == "s")).one()
        of_s = (ledger.c.kind == "stock") & (ledger.c.row_id == "s")
        sums = connection.execute(select(func.count(), func.sum(ledger.c.delta)).where(of_s)).one()
        return (row[0], row[1], sums[0], int(sums[1]))

    return await store.database.read(body)


async def chain(store):
    """The ledger of SKU s in the order of versions: (version, units afterwards)."""
    query = select(ledger.c.version, ledger.c.amount_after).where(ledger.c.kind == "stock").order_by(ledger.c.version)
    return await store.database.read(lambda c: [tuple(each) for each in c.execute(query)])


def takes(*numbers):
    """Orders of one unit of SKU s."""
    return [Take(rid("take", number)) for number in numbers]


async def pipelined(store, *batches):
    """Carry out batches of commands: each starts when the one before is decided; their answers in order."""
    running = []
    for batch in batches:
        decided = asyncio.Event()
        running.append(asyncio.create_task(store.transact(batch, Guard.ROW, deadline=soon(30), on_decided=decided.set)))
        await asyncio.wait([asyncio.create_task(decided.wait()), running[-1]], return_when=asyncio.FIRST_COMPLETED)
    return [answer for task in running for answer in await task]


async def sold(store, *groups):
    """The same for batches of `takes`, given by their numbers."""
    return await pipelined(store, *(takes(*group) for group in groups))


async def trusting(store):
    """The store once its users have points, and once what it expected of SKU s has proved right."""
    for user in USERS:
        (answer,) = await store.transact([Charge(rid("charge", user), user=user)], Guard.ROW, deadline=soon())
        assert answer.accepted
    await sold(store, (1, 2), (3, 4), (5, 6))
    return store


async def until_waiting(database):
    """Until some statement waits for a lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with asyncio.timeout(10):
        while not await database.read(lambda c: c.execute(query).scalar_one()):
            await asyncio.sleep(0)


class Lossy:
    """A backend whose commit replies get lost: `after` the commit took effect, or `before` it did."""

    def __init__(self, backend, losses):
        self._backend = backend
        self.losses = list(losses)

    def __getattr__(self, name):
        return getattr(self._backend, name)

    async def write(self, body, run):
        loss = self.losses.pop(0) if self.losses else None
        if loss == "before":
            raise CommitUnconfirmed("the connection broke before the commit arrived")
        result = await self._backend.write(body, run)
        if loss == "after":
            raise CommitUnconfirmed("the connection broke after the commit")
        return result
