"""An id of the outbox is settled when nothing below it can be committed any more, whatever a transaction waits for."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.util import await_only

from stockade.core import Busy
from stockade.store import Database
from stockade.store import settled_events as module
from stockade.store.schema.migrate import STORE_SCHEMA
from stockade.store.schema.tables import outbox
from stockade.store.settled_events import settled_events
from tests.databases import CREATED
from tests.store.conftest import soon
from tests.waiting import eventually_async

ROW = {"request_id": "r", "seq": 0, "kind": "k", "key": "k:1", "body": b"{}", "created_ms": 0}


class Clock:
    """A monotonic clock of the test's own."""

    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


@pytest.fixture
async def database(database_url):
    """A database of each kind with the store's tables."""
    await CREATED.migrate(database_url, STORE_SCHEMA)
    database = await Database.open(database_url)
    try:
        yield database
    finally:
        await database.close()


async def emit(database):
    """A committed event; its id."""
    await database.transaction(lambda c: c.execute(insert(outbox), ROW), deadline=soon())
    return await newest(database)


async def newest(database):
    return await database.read(lambda c: c.execute(select(func.max(outbox.c.id))).scalar_one())


class Undone(Exception):
    """Rolls a transaction back."""


@asynccontextmanager
async def open_transaction(database, *, commits=True):
    """A transaction that has emitted an event and ends when the block ends."""
    emitted, end = asyncio.Event(), asyncio.Event()

    def body(conn):
        conn.execute(insert(outbox), ROW)
        emitted.set()
        await_only(end.wait())
        if not commits:
            raise Undone

    running = asyncio.create_task(database.transaction(body, deadline=soon(20)))
    await emitted.wait()
    try:
        yield
    finally:
        end.set()
        await asyncio.gather(running, return_exceptions=not commits)


def finder(database, clock):
    return settled_events(database, lambda: 1_000, clock)


async def settles(found, clock, id_):
    """Wait until an id is settled; each look is long after the one before."""

    async def settled():
        clock.s += 10
        answer = await found.up_to(None)
        return answer is not None and answer.id == id_

    await eventually_async(settled)


async def test_what_is_committed_is_settled(database):
    """An outbox that nobody writes to is settled up to its newest event; an empty one up to 0."""
    clock = Clock()
    found = finder(database, clock)
    await settles(found, clock, 0)
    for _ in range(3):
        last = await emit(database)
    await settles(found, clock, last)
    assert (await found.up_to(last)).at_ms == 1_000


@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
async def test_an_open_transaction_holds_it_back(database, commits):
    """Ids above one that is not decided yet are committed first, and are settled only after it, however it ends."""
    if database.dialect.name == "sqlite":
        pytest.skip("one transaction writes at a time")
    clock = Clock()
    first = await emit(database)
    found = finder(database, clock)
    await settles(found, clock, first)
    async with open_transaction(database, commits=commits):
        last = await emit(database)
        assert last == first + 2
        for _ in range(4):
            clock.s += 10
            assert (await found.up_to(first)).id == first, "the control, the newest id, has passed the open one"
        assert await newest(database) == last
    await settles(found, clock, last)


async def test_an_open_transaction_at_the_first_look(database):
    """The first look finds it too."""
    if database.dialect.name == "sqlite":
        pytest.skip("one transaction writes at a time")
    clock = Clock()
    found = finder(database, clock)
    async with open_transaction(database):
        last = await emit(database)
        for _ in range(3):
            clock.s += 10
            assert await found.up_to(None) is None
    await settles(found, clock, last)


@pytest.mark.mariadb
async def test_a_young_id_is_not_settled(mariadb_database):
    """A statement that has its id and no row yet has time to insert it: until then nothing says that it is there."""
    database = await Database.open(mariadb_database)
    try:
        await STORE_SCHEMA.migrate(database)
        clock = Clock()
        found = finder(database, clock)
        last = await emit(database)
        assert await found.up_to(None) is None
        clock.s += 1.9
        assert await found.up_to(None) is None
        clock.s += 0.2
        assert (await found.up_to(None)).id == last
    finally:
        await database.close()


@pytest.mark.parametrize("lost", ["rows", "connection", "server", None], ids=lambda lost: lost or "control")
async def test_what_a_lost_server_said_is_forgotten(database, monkeypatch, lost):
    """A promoted replica gives lost ids out again: none of them passes for settled, neither known nor waiting ones."""
    if database.dialect.name == "sqlite":
        pytest.skip("a file has no replica")
    clock = Clock()
    first = await emit(database)
    found = finder(database, clock)
    await settles(found, clock, first)
    async with open_transaction(database):
        for _ in range(3):
            last = await emit(database)
        for _ in range(2):  # it now waits for the open transaction
            assert (await found.up_to(first)).id == first
        await replaced(database, found, monkeypatch, lost)
        clock.s += 10
        answer = await found.up_to(first)
        assert (answer is None) is (lost is not None)
    newest_left = await newest(database)
    assert (newest_left == last) is (lost != "rows")
    await settles(found, clock, newest_left)


async def replaced(database, found, monkeypatch, lost):
    """Make it look as if another server answered."""
    if lost == "rows":
        ids = await database.read(lambda c: c.execute(select(outbox.c.id)).scalars().all())
        for id_ in ids:  # by key: InnoDB must not wait for the open transaction
            await database.transaction(
                lambda c, i=id_: c.execute(delete(outbox).where(outbox.c.id == i)), deadline=soon()
            )
    elif lost == "server":
        for name in ("_POSTGRES_SERVER", "_MYSQL_SERVER"):
            monkeypatch.setattr(module, name, text("SELECT 'the promoted one'"))
    elif lost == "connection":

        async def read(body):
            raise Busy("gone", "DEPENDENCY_DOWN")

        with monkeypatch.context() as patch:
            patch.setattr(database, "read", read)
            with pytest.raises(Busy):
                await found.up_to(None)
