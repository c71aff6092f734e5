"""The consumer's half: an event's effect and the note of its id commit together."""

import asyncio

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError

from stockade.core import Guard
from stockade.drivers.failures import Failure, classify
from stockade.service.relay import Inbox
from stockade.shop.audit import audit
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.shop.model.tables import point_accounts
from stockade.store import SqlStore
from stockade.store.outbox import Outbox
from stockade.store.schema.tables import outbox, watermarks
from tests.relay.conftest import NOW_MS, Memory, drain, relay_over
from tests.shop.lived_in import lived_in
from tests.store.commands import Charge, rid
from tests.store.conftest import opened, soon
from tests.store.helpers import until_decided


def add(connection, events):
    """The effect: one point for each event."""
    row = update(point_accounts).where(point_accounts.c.id == "u").values(balance=point_accounts.c.balance + events)
    connection.execute(row)


async def balance(database):
    """What the effect came to."""
    return await database.read(lambda c: c.execute(point_accounts.select()).one().balance)


@pytest.fixture
async def counted(database_url):
    """A database with an account to count in."""
    async with opened(database_url) as database:
        store = SqlStore(database, SHOP_RESOURCES)
        await until_decided(store, Charge(rid("c"), amount=1), Guard.ROW)
        yield database


async def test_an_event_has_its_effect_once(counted):
    """Delivered three times, crashed once in the middle: counted once. Without the inbox: as often as delivered."""
    inbox = Inbox("ranking")

    def deal(connection, ids):
        add(connection, len(inbox.fresh(connection, ids, NOW_MS)))

    def crash(connection):
        deal(connection, ["a:0", "b:0"])
        raise ConnectionAbortedError("the consumer's process died")

    with pytest.raises(ConnectionAbortedError):
        await counted.transaction(crash, deadline=soon())
    assert await balance(counted) == 1
    for ids in (["a:0", "b:0", "a:0"], ["b:0", "c:0"], ["a:0", "b:0", "c:0"]):
        await counted.transaction(lambda c, ids=ids: deal(c, ids), deadline=soon())
    assert await balance(counted) == 1 + 3
    await counted.transaction(lambda c: add(c, 3), deadline=soon())  # the control: the last delivery once more, unasked
    assert await balance(counted) == 1 + 6


async def test_two_consumers_do_not_share_an_inbox(counted):
    """Each consumer deals with each event; forgetting one's old ids leaves the other's."""
    one, two = Inbox("one"), Inbox("two")

    def body(connection):
        return [each.fresh(connection, ["a:0"], at) for each, at in ((one, 10), (one, 10), (two, 10), (two, 20))]

    assert await counted.transaction(body, deadline=soon()) == [["a:0"], [], ["a:0"], []]
    assert await counted.transaction(lambda c: one.forget(c, 11), deadline=soon()) == 1
    assert await counted.transaction(lambda c: two.fresh(c, ["a:0"], 30), deadline=soon()) == []


async def test_the_same_event_in_two_processes_at_once(counted):
    """Both find it new only if one of them is rolled back: after a retry the effect exists once."""
    inbox = Inbox("ranking")

    def deal(connection):
        add(connection, len(inbox.fresh(connection, ["a:0"], NOW_MS)))

    async def deliver():
        for _ in range(20):
            try:
                return await counted.transaction(deal, deadline=soon())
            except DBAPIError as error:
                if classify(error) not in (Failure.DUPLICATE, Failure.DEADLOCK):
                    raise
        raise AssertionError("20 failures in a row")

    await asyncio.gather(*(deliver() for _ in range(6)))
    assert await balance(counted) == 2


async def test_the_audit_knows_purged_events_from_lost_ones(database_url):
    """Relayed and purged, the shop's audit is clean; an event that vanishes without a mark is found."""
    shop, _ = lived_in()
    async with opened(database_url) as database:
        await database.transaction(shop.fill, deadline=soon())
        watch = Outbox(database)
        await watch.open()
        sink = Memory()
        relay = relay_over(database, sink)
        await drain(relay)
        assert sink.got
        assert await database.read(audit) == []
        assert await watch.purge(2**60) == len(sink.got)
        assert await database.read(audit) == []
        await database.transaction(lambda c: c.execute(delete(watermarks)), deadline=soon())
        assert {violation.rule for violation in await database.read(audit)} == {"event-once", "stock-told"}
        assert await database.read(lambda c: c.execute(outbox.select()).all()) == []
