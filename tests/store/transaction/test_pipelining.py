"""Two batches at a time under row locks: each starts when the one before is decided, and no result shows it."""

import asyncio
from itertools import pairwise

import pytest
from sqlalchemy import text
from sqlalchemy.util import await_only

from stockade.core import Accepted, Guard
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import SqlStore
from stockade.strategies import registry, sequencer
from stockade.strategies.options import Options
from tests.store.conftest import opened, soon, stocked
from tests.store.helpers import chain, figures, sold, takes


async def test_pipelined_batches_keep_their_order(server_database, single_statement):
    """Five batches, each handed over when the one before is decided: 20 sold in order, each version once."""
    async with opened(server_database) as database:
        store = await stocked(database, "s", single_statement=single_statement)
        answers = await sold(store, *(range(n * 5, n * 5 + 5) for n in range(5)))
        assert [each.accepted for each in answers] == [True] * 20 + [False] * 5
        assert await figures(store) == (0, 21, 21, 0)
        assert all(one[0] + 1 == two[0] and one[1] - 1 == two[1] for one, two in pairwise(await chain(store)))


async def test_what_another_process_takes_is_seen(server_database, single_statement):
    """A unit that another process takes between two batches is seen, whatever the batch expected."""
    async with opened(server_database) as database, opened(server_database) as elsewhere:
        store, other = (
            await stocked(database, "s", single_statement=single_statement),
            SqlStore(elsewhere, SHOP_RESOURCES),
        )
        await sold(store, (1, 2), (3, 4), (5, 6))
        (theirs,) = await other.transact(takes(100), Guard.ROW, deadline=soon())
        answers = await store.transact(takes(*range(7, 27)), Guard.ROW, deadline=soon())
        assert theirs.accepted
        assert [each.accepted for each in answers] == [True] * 13 + [False] * 7
        assert (await figures(store))[0] == 0


async def test_a_row_changed_by_hand_is_seen(server_database, single_statement):
    """Somebody corrects the stock in SQL and leaves the version alone: no unit is sold that is not there."""
    async with opened(server_database) as database:
        store = await stocked(database, "s", single_statement=single_statement)
        await sold(store, (1, 2), (3, 4), (5, 6))
        by_hand = text("UPDATE skus SET on_hand = 1 WHERE id = 's'")
        await database.transaction(lambda c: c.execute(by_hand), deadline=soon())
        answers = await store.transact(takes(7, 8, 9), Guard.ROW, deadline=soon())
        assert [each.accepted for each in answers] == [True, False, False]


async def test_a_batch_behind_one_that_dies_is_decided_on_the_true_rows(server_database):
    """The first batch's connection ends after it was decided: both are carried out, and no unit is lost."""
    async with opened(server_database) as database:
        store = await stocked(database, "s", single_statement=False)
        await sold(store, (1, 2), (3, 4), (5, 6))
        postgres, killed, real = database.dialect.name == "postgres", [], store._steps.write

        def write_then_die(connection, batch, write_set, guard):
            written = real(connection, batch, write_set, guard)
            if not killed:
                pid = connection.execute(text(f"SELECT {'pg_backend_pid()' if postgres else 'CONNECTION_ID()'}"))
                killed.append(pid.scalar_one())
                kill = f"SELECT pg_terminate_backend({killed[0]})" if postgres else f"KILL {killed[0]}"
                connection.execute(text(kill))
            return written

        store._steps.write = write_then_die
        answers = await sold(store, range(7, 14), range(14, 27))
        assert killed
        assert sum(each.accepted for each in answers) == 14
        assert await figures(store) == (0, 21, 21, 0)


async def test_a_double_click_across_two_batches_is_one_order(server_database, single_statement):
    """The same request in a batch and in the next one: one outcome, returned twice."""
    async with opened(server_database) as database:
        store = await stocked(database, "s", single_statement=single_statement)
        await sold(store, (1, 2), (3, 4), (5, 6))
        answers = await sold(store, (7, 8, 9), (9, 10, 11))
        assert [each.replayed for each in answers] == [False, False, False, True, False, False]
        assert (await figures(store))[0] == 20 - 11


async def test_a_double_click_that_reaches_two_processes_is_one_order(server_database, single_statement):
    """The second process waits for the row while the first one commits the request: one outcome, returned twice."""
    async with opened(server_database) as database, opened(server_database) as elsewhere:
        store = await stocked(database, "s", single_statement=single_statement)
        other = SqlStore(elsewhere, SHOP_RESOURCES, single_statement=single_statement)
        held, began, real = asyncio.Event(), asyncio.Event(), store._steps.write

        def write_later(connection, batch, write_set, guard):
            held.set()
            await_only(asyncio.wait_for(began.wait(), 5))
            return real(connection, batch, write_set, guard)

        store._steps.write = write_later
        first = asyncio.create_task(store.transact(takes(1, 2, 3), Guard.ROW, deadline=soon()))
        await asyncio.wait_for(held.wait(), 5)
        asyncio.get_running_loop().call_soon(began.set)
        second = await other.transact(takes(3, 4, 5), Guard.ROW, deadline=soon())
        assert all(each.accepted and not each.replayed for each in await first)
        assert [each.replayed for each in second] == [True, False, False]
        assert (await figures(store))[0] == 20 - 5


async def test_sqlite_has_one_batch_at_a_time(tmp_path):
    """Where a transaction has a thread to itself, no batch is handed over before the one before has ended."""
    async with opened(f"sqlite:///{tmp_path}/s.db") as database:
        store = await stocked(database, "s")
        assert not store.supports_pipelining
        await sold(store, (1, 2), (3, 4), (5, 6))
        assert store.stats.foreseen == 0


async def test_the_sequencer_keeps_order_over_two_batches(server_database, single_statement):
    """A hundred at once in two batches at a time: the first twenty to come get the twenty units."""
    async with opened(server_database) as database:
        store = await stocked(database, "s", single_statement=single_statement)
        strategy = registry.create("sequencer", store, Options(max_batch=16))
        await strategy.start()
        try:
            answers = await asyncio.gather(*(strategy.execute(command) for command in takes(*range(100))))
        finally:
            await strategy.stop()
        assert [each.accepted for each in answers] == [True] * 20 + [False] * 80
        assert bool(store.stats.foreseen) == (single_statement and database.dialect.name == "postgres")


class Committed:
    """A store whose batches are all committed."""

    supports_pipelining = False

    async def transact(self, commands, guard, *, deadline, on_decided):
        return [Accepted({}) for _ in commands]


async def test_a_sequencer_cancelled_while_it_answers_tells_everybody(monkeypatch):
    """Every caller of a committed batch gets its answer, also those that had none yet."""
    monkeypatch.setattr(sequencer, "ANSWERS_PER_PASS", 1)
    strategy = sequencer.Sequencer(Committed())
    await strategy.start()
    callers = [asyncio.create_task(strategy.execute(command)) for command in takes(*range(10))]
    callers[0].add_done_callback(lambda _: strategy._task.cancel())
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*callers)
    assert all(each.accepted for each in answers)
    with pytest.raises(asyncio.CancelledError):
        await strategy._task
