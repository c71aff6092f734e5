"""Every wait ends: row locks, advisory locks, writers of SQLite, and deadlocks."""

import asyncio
import sqlite3
import time
from contextlib import nullcontext

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_only

from stockade.core import Accepted, Busy, Conflict, Guard, GuardKind
from stockade.devservers import drop_database, fresh_database
from stockade.drivers.failures import Failure, classify
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import SqlStore
from tests.store.commands import Take, rid
from tests.store.conftest import opened, soon, stocked

REPORT_WAIT_S = 5.0  # the lock timeout of the Java report
TOLERANCE_S = 1.0  # MariaDB and MySQL count whole seconds


async def _hold(database, release, held):
    """Another client that locks SKU s and keeps it until it is released."""
    async with database._backend._write.connect() as connection:
        await connection.execute(text("SELECT id FROM skus WHERE id = 's' FOR UPDATE"))
        held.set()
        await release.wait()
        await connection.rollback()


@pytest.mark.slow
async def test_the_reports_lock_timeout_fires(server_database):
    """A row held by someone else: the wait ends after 5000 ms as Busy, and the order goes through afterwards."""
    url = server_database
    async with opened(url) as other, opened(url, wait_s=REPORT_WAIT_S) as database:
        store = await stocked(database, "s")
        release, held = asyncio.Event(), asyncio.Event()
        holder = asyncio.create_task(_hold(other, release, held))
        await asyncio.wait_for(held.wait(), 5)
        start = time.monotonic()
        (answer,) = await store.transact([Take(rid(1))], Guard.ROW, deadline=soon(REPORT_WAIT_S))
        waited_s = time.monotonic() - start
        release.set()
        await holder
        assert isinstance(answer, Busy)
        assert answer.code == "LOCK_TIMEOUT"
        assert REPORT_WAIT_S - 0.1 <= waited_s <= REPORT_WAIT_S + TOLERANCE_S
        assert store.stats.lock_timeouts == 1
        (after,) = await store.transact([Take(rid(1))], Guard.ROW, deadline=soon())
        assert isinstance(after, Accepted)
        assert not after.replayed


async def test_a_short_deadline_bounds_the_lock_wait(server_database):
    """With 0.3 s left the wait ends with the deadline, not with the connection's 5 s."""
    url = server_database
    async with opened(url) as other, opened(url) as database:
        store = await stocked(database, "s")
        release, held = asyncio.Event(), asyncio.Event()
        holder = asyncio.create_task(_hold(other, release, held))
        await asyncio.wait_for(held.wait(), 5)
        start = time.monotonic()
        (answer,) = await store.transact([Take(rid(1))], Guard.ROW, deadline=soon(0.3))
        waited_s = time.monotonic() - start
        release.set()
        await holder
        assert isinstance(answer, Busy)
        assert waited_s <= 0.3 + TOLERANCE_S


async def test_a_busy_sqlite_file_is_waited_for_and_given_up(tmp_path):
    """A second process that writes to the file: Busy at the deadline, and no order lost afterwards."""
    path = tmp_path / "busy.sqlite"
    async with opened(f"sqlite:///{path}") as database:
        store = await stocked(database, "s")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        (answer,) = await store.transact([Take(rid(1))], Guard.ROW, deadline=soon(0.2))
        other.execute("ROLLBACK")
        other.close()
        assert isinstance(answer, Busy)
        assert answer.code == "LOCK_TIMEOUT"
        (after,) = await store.transact([Take(rid(1))], Guard.ROW, deadline=soon())
        assert isinstance(after, Accepted)


async def _opposite_orders(store, guard, rounds):
    """Pairs of orders over the same three SKUs, in opposite directions, together."""
    for n in range(rounds):
        commands = [Take(rid("unsorted", n, i), skus=("a", "b", "c") if i % 2 else ("c", "b", "a")) for i in range(8)]
        answers = await asyncio.gather(*(store.transact([each], guard, deadline=soon(20)) for each in commands))
        assert all(isinstance(answer, Accepted) for (answer,) in answers), answers
        if store.stats.deadlocks:
            return


async def test_unsorted_locks_deadlock_and_sorted_ones_do_not(server_database):
    """The circular wait arises when rows are locked in request order, and never in key order (the Java report)."""
    url = server_database
    async with opened(url, pool_size=8) as database:
        unsorted = await stocked(database, "a", "b", "c", n=100_000)
        await _opposite_orders(unsorted, Guard(GuardKind.ROW, keep_request_order=True), 30)
        assert unsorted.stats.deadlocks > 0, "the experiment has to be able to deadlock"
        for guard in (Guard.ROW, Guard.DELTA, Guard.ADVISORY):
            store = SqlStore(database, SHOP_RESOURCES)  # counters of its own
            await _opposite_orders_sorted(store, guard)
            assert store.stats.deadlocks == 0, guard


async def _opposite_orders_sorted(store, guard):
    async def until_done(command):
        for _ in range(500):
            (answer,) = await store.transact([command], guard, deadline=soon(20))
            if not isinstance(answer, Conflict):
                return answer
        raise AssertionError("500 conflicts in a row")

    for n in range(15):
        commands = [
            Take(rid(guard.kind.value, n, i), skus=("a", "b", "c") if i % 2 else ("c", "b", "a")) for i in range(8)
        ]
        answers = await asyncio.gather(*(until_done(each) for each in commands))
        assert all(isinstance(answer, Accepted) for answer in answers)


@pytest.mark.parametrize("same", [False, True], ids=["two-databases", "control"])
async def test_advisory_locks_belong_to_one_database(server_database, server_url, same):
    """Two shops on one server do not wait for each other; in one database they do."""
    server = server_url("mariadb" if server_database.startswith("mariadb") else "postgres")
    second = server_database if same else await fresh_database(server)
    entered, over = asyncio.Event(), asyncio.Event()

    def hold(_connection):
        entered.set()
        await_only(over.wait())

    try:
        async with opened(server_database) as one, opened(second) as other:
            holder = asyncio.create_task(one.transaction(hold, deadline=soon(), advisory=("stock:42",)))
            await asyncio.wait_for(entered.wait(), 5)
            expected = pytest.raises((Busy, DBAPIError)) if same else nullcontext()
            with expected as told:
                await other.transaction(lambda _connection: None, deadline=soon(1.0), advisory=("stock:42",))
            over.set()
            await holder
            assert not same or isinstance(told.value, Busy) or classify(told.value) is Failure.TIMEOUT
    finally:
        if not same:
            await drop_database(server, second)
