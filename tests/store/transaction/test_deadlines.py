"""One deadline for a command: it bounds queues, retries and batches, and nobody pays for a neighbour's."""

import asyncio
import sqlite3
import time

import pytest
from sqlalchemy import text

from stockade.core import Accepted, Busy, FenceRefused, Guard, GuardKind, Key, Unknown
from stockade.drivers.failures import Failure, classify
from stockade.shop.commands import CancelOrder, OrderLine, PlaceOrder
from stockade.store.engine.backends import CommitUnconfirmed
from stockade.strategies import registry
from stockade.strategies.options import Options
from tests.store.commands import Discover, Stock, Take, rid
from tests.store.conftest import opened, soon, stocked
from tests.store.helpers import Lossy, figures

TOLERANCE_S = 1.0


async def test_a_deadline_that_is_over_begins_nothing(store):
    """Every attempt passes the gate, so every retry ends there, also when a connection is free."""
    before = store.stats.commits
    (answer,) = await store.transact([Take(rid(1))], Guard.ROW, deadline=soon(-1))
    assert isinstance(answer, Busy)
    assert store.stats.commits == before


async def test_callers_behind_a_busy_sqlite_thread_end_in_time(tmp_path):
    """Another process holds the file: all eight callers get Busy at their deadline, none "unknown" later."""
    path = tmp_path / "busy.sqlite"
    async with opened(f"sqlite:///{path}") as database:
        store = await stocked(database, "s")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        commands = [Take(rid(n)) for n in range(8)]
        answers = await asyncio.gather(*(store.transact([each], Guard.ROW, deadline=soon(0.5)) for each in commands))
        took_s = time.monotonic() - start
        other.execute("ROLLBACK")
        other.close()
        assert {type(answer) for (answer,) in answers} == {Busy}
        assert took_s < 0.5 + TOLERANCE_S


async def test_commands_that_run_alone_share_one_deadline(server_database):
    """Twelve commands that need one more row, which somebody holds: one deadline for all, not one second for each."""
    async with opened(server_database) as other, opened(server_database) as database:
        store = await stocked(database, "s", "t")
        async with other._backend._write.connect() as holder:
            await holder.execute(text("SELECT id FROM skus WHERE id = 't' FOR UPDATE"))
            start = time.monotonic()
            batch = [Discover(rid(n), wanted=("t",)) for n in range(12)]
            answers = await store.transact(batch, Guard.ROW, deadline=soon(1.0))
            took_s = time.monotonic() - start
            await holder.rollback()
        assert {type(answer) for answer in answers} == {Busy}
        assert took_s < 1.0 + 2 * TOLERANCE_S


async def test_a_neighbour_without_time_does_not_fail_the_batch(server_database):
    """A sequencer's batch ends with its first deadline; those who have time left are run again."""
    async with opened(server_database) as other, opened(server_database) as database:
        store = await stocked(database, "s", n=100)
        strategy = registry.create("sequencer", store, Options(wait_s=4.0))
        await strategy.start()
        async with other._backend._write.connect() as holder:
            await holder.execute(text("SELECT id FROM skus WHERE id = 's' FOR UPDATE"))
            strategy.options = Options(wait_s=0.3)
            hurried = asyncio.create_task(strategy.execute(Take(rid("hurried"))))
            await asyncio.sleep(0)
            strategy.options = Options(wait_s=10.0)
            patient = [asyncio.create_task(strategy.execute(Take(rid(n)))) for n in range(20)]
            with pytest.raises(Busy):
                await hurried
            await holder.rollback()
        answers = await asyncio.gather(*patient)
        assert all(isinstance(answer, Accepted) for answer in answers)
        await strategy.stop()


async def test_a_stop_that_is_given_up_leaves_the_batch_alone(store):
    """Cancelling `stop` does not cancel the batch under way, and nobody waits for ever afterwards."""
    strategy = registry.create("sequencer", store, Options(wait_s=5))
    await strategy.start()
    order = asyncio.create_task(strategy.execute(Take(rid(1))))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(strategy.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    assert isinstance(await order, Accepted)
    with pytest.raises(Busy):
        await strategy.execute(Take(rid(2)))


async def test_an_order_and_its_cancellation_in_one_batch(database):
    """A command for a row that the same batch makes is run once more, after it: not refused as unknown for good."""
    store = await stocked(database, "s")
    place = PlaceOrder(rid("o"), "f", 1000, "u", (OrderLine("s", 1),), "LATER")
    cancel = CancelOrder(rid("c"), "f", 1001, rid("o"), "u", "changed my mind")
    placed, cancelled = await store.transact([place, cancel], Guard.ROW, deadline=soon())
    assert isinstance(placed, Accepted)
    assert isinstance(cancelled, Accepted), cancelled
    assert (await figures(store))[0] == 20


async def test_a_counter_moves_by_what_the_command_says(store):
    """A command whose state and delta disagree is refused: the ledger's sum is the row."""

    class Careless(Take):
        def decide(self, rows):
            decision = Take.decide(self, rows)
            key, change = next(iter(decision.changes.items()))
            decision.changes[key] = change._replace(delta=0)
            return decision

    for guard in (Guard.ROW, Guard.DELTA):
        (answer,) = await store.transact([Careless(rid(guard.kind.value))], guard, deadline=soon())
        assert isinstance(answer, ValueError)
    assert await figures(store) == (20, 1, 1, 20)


async def test_what_is_too_long_is_refused_and_never_cut(store):
    """A note longer than its column: refused on the servers, alone and in a batch; SQLite has no lengths."""

    class Chatty(Take):
        def decide(self, rows):
            decision = Take.decide(self, rows)
            key, change = next(iter(decision.changes.items()))
            decision.changes[key] = change._replace(note="n" * 40)
            return decision

    for size in (1, 3):
        batch = [Chatty(rid(size, n)) for n in range(size)]
        answers = await store.transact(batch, Guard.ROW, deadline=soon())
        if store.database.dialect.name == "sqlite":
            assert all(isinstance(answer, Accepted) for answer in answers)
        else:
            assert {classify(answer) for answer in answers} == {Failure.DATA}


async def test_a_lost_commit_is_never_called_nothing(store):
    """The commit's reply is lost and then a newer fencing token arrives: Unknown, because the unit may be sold."""
    guard = Guard(GuardKind.FENCE, fences={Key("stock", "s"): (1, "a")})
    newer = Guard(GuardKind.FENCE, fences={Key("stock", "s"): (2, "b")})
    backend = store.database._backend

    class Overtaken(Lossy):
        async def write(self, body, run):
            try:
                return await super().write(body, run)
            except CommitUnconfirmed:
                store.database._backend = backend
                (second,) = await store.transact([Take(rid(2))], newer, deadline=soon())
                assert isinstance(second, Accepted)
                raise

    store.database._backend = Overtaken(backend, ["after"])
    (answer,) = await store.transact([Take(rid(1))], guard, deadline=soon())
    assert isinstance(answer, Unknown)
    assert not isinstance(answer, FenceRefused)
    assert (await figures(store))[0] == 18


async def test_claims_of_opposite_batches_do_not_deadlock(server_database):
    """Two batches with the same request ids in opposite orders: the claims are made in id order."""
    async with opened(server_database) as database:
        store = await stocked(database, "s")
        for number in range(10):
            ids = [rid(number, n) for n in range(60)]
            forth = [Stock(each, sku=f"s{number}-{each[:8]}") for each in ids]
            both = (store.transact(batch, Guard.ROW, deadline=soon(20)) for batch in (forth, forth[::-1]))
            for answers in await asyncio.gather(*both):
                assert all(isinstance(answer, Accepted) for answer in answers)
        assert store.stats.deadlocks == 0
