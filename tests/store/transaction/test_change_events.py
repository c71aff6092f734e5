"""The events `stock.changed` while two stores write the same rows: a chain, under every guard that protects."""

import asyncio

import pytest
from sqlalchemy import select

from stockade.core import Conflict, Guard, GuardKind, Key
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import SqlStore
from stockade.store.schema.tables import ledger, outbox
from tests.store.commands import Take, rid
from tests.store.conftest import opened, soon, stocked
from tests.store.stock_events import breaks, levels
from tests.store.transaction.test_transact import GUARDS

FENCE = Guard(GuardKind.FENCE, fences={Key("stock", sku): (1, "a") for sku in "st"})
WRITERS, ROUNDS = 4, 3  # of each store


@pytest.fixture
async def stores(database, database_url):
    """Two stores over one database, each with connections of its own: plenty of `s` and of `t`."""
    one = await stocked(database, "s", "t", n=10_000)
    async with opened(database_url) as other:
        yield one, SqlStore(other, SHOP_RESOURCES)


async def race(stores, guard, name=""):
    """Both stores at once: single orders, orders of two lines in either order, and batches of three."""

    async def write(store, *who):
        for n in range(ROUNDS):
            skus = (("s",), ("s", "t"), ("t", "s"))[n % 3]
            batch = [Take(rid(name, *who, n, m), skus=skus) for m in range(1 if n % 3 else 3)]
            answers = await until_decided(store, batch, guard)
            assert all(answer.accepted for answer in answers), answers

    await asyncio.gather(*(write(store, of, who) for of, store in enumerate(stores) for who in range(WRITERS)))


async def until_decided(store, batch, guard):
    """What a retrying strategy does, bounded."""
    for _ in range(500):
        answers = await store.transact(batch, guard, deadline=soon(20))
        if not any(isinstance(answer, Conflict) for answer in answers):
            return answers
    raise AssertionError("500 conflicts in a row")


@pytest.mark.parametrize("guard", [*GUARDS, FENCE], ids=lambda guard: guard.kind.value)
async def test_what_is_told_of_a_row_is_a_chain(stores, guard):
    """Events rise with the versions, `since_version` names the one before, and every level is the ledger's."""
    if not stores[0].supports(guard.kind):
        pytest.skip(f"{stores[0].database.dialect.name} has no {guard.kind.value}")
    await race(stores, guard)
    read = stores[0].database.read
    assert await read(breaks) == []
    told = await read(levels)
    writers = len(stores) * WRITERS
    assert [len(told[sku]) for sku in "st"] == [1 + writers * ROUNDS, 1 + writers * 2]
    assert told["s"][-1].version == 1 + writers * (ROUNDS + 2)  # a batch of three moves it by three, with one event
    assert {each.version - each.since_version for each in told["s"]} == {1, 3}


async def test_without_a_guard_the_chain_breaks(stores):
    """The control: under NONE two stores send events of the same version, or of levels that were never there."""
    for attempt in range(10):
        await race(stores, Guard.NONE, f"attempt {attempt}")
        if await stores[0].database.read(breaks):
            return
    raise AssertionError("ten unprotected races and every chain held: the other test proves nothing")


@pytest.mark.parametrize("guard", [*GUARDS, FENCE], ids=lambda guard: guard.kind.value)
async def test_events_are_numbered_as_the_versions_of_their_key(stores, guard):
    """A key's events of both kinds stand in the outbox as its versions in the ledger: the order's, then the level."""
    if not stores[0].supports(guard.kind):
        pytest.skip(f"{stores[0].database.dialect.name} has no {guard.kind.value}")
    orders = [[Take(rid("buy", n))] for n in range(24)]
    await asyncio.gather(*(until_decided(stores[n % 2], order, guard) for n, order in enumerate(orders)))
    same = (ledger.c.request_id == outbox.c.request_id) & (ledger.c.row_id == "s")
    found = select(outbox.c.kind, ledger.c.version).join_from(outbox, ledger, same).order_by(outbox.c.id)
    numbered = await stores[0].database.read(lambda c: [tuple(row) for row in c.execute(found)])
    each = [(kind, 2 + n) for n in range(24) for kind in ("taken", "stock.changed")]
    assert numbered == [("stock.changed", 1), *each]
