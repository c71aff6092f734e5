"""Batches that are decided ahead: only on rows that then prove true, and never seen from outside."""

import asyncio
import time
from itertools import pairwise

import pytest
from sqlalchemy import select, text
from sqlalchemy.util import await_only

from stockade.core import Accepted, Busy, Guard, Key, Row
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.shop.model.states import StockState
from stockade.store import SqlStore
from stockade.store.engine.dialect import Gate
from stockade.store.schema.tables import ledger
from stockade.store.transaction import save
from stockade.store.transaction.decide import Batch, Moved
from stockade.store.transaction.single_statement.speculation import MAX_ROWS, Forecast
from stockade.strategies import registry, sequencer
from stockade.strategies.options import Options
from tests.store.commands import Take, rid
from tests.store.conftest import opened, soon, stocked
from tests.store.test_transact import figures
from tests.waiting import eventually_async

HOT = Key("stock", "s")


def row(on_hand, version, key=HOT):
    """A stock row."""
    return Row(key, StockState("p", 1000, on_hand, 0), version, version)


def changed(*rows, count=2):
    """A batch that leaves these rows."""
    return Batch(moved={each.key: Moved(each, each, count=count) for each in rows})


def takes(*numbers):
    """Orders of one unit of the hot row."""
    return [Take(rid("take", number)) for number in numbers]


def statement_by_statement(store):
    """The store without `at_once`, on any database."""
    store._at_once = None
    return store


async def batches(store, *groups):
    """Batches at once: each starts when the one before is decided."""
    running = []
    for group in groups:
        decided = asyncio.Event()
        running.append(
            asyncio.create_task(store.transact(takes(*group), Guard.ROW, deadline=soon(), on_decided=decided.set))
        )
        await asyncio.wait([asyncio.create_task(decided.wait()), running[-1]], return_when=asyncio.FIRST_COMPLETED)
    return [answer for task in running for answer in await task]


async def chain(store):
    """The ledger of the hot row in order of versions: (version, units after)."""
    query = select(ledger.c.version, ledger.c.amount_after).where(ledger.c.kind == "stock").order_by(ledger.c.version)
    return await store.database.read(lambda c: [tuple(each) for each in c.execute(query)])


async def test_batches_in_flight_are_decided_ahead(server_database):
    """Five batches, the later ones decided while they wait: 20 sold in order, each version once."""
    async with opened(server_database) as database:
        store = await stocked(database, "s")
        answers = await batches(store, *(range(n * 5, n * 5 + 5) for n in range(5)))
        assert [each.accepted for each in answers] == [True] * 20 + [False] * 5
        assert store.stats.foreseen >= 2
        assert await figures(store) == (0, 21, 21, 0)
        assert all(one[0] + 1 == two[0] and one[1] - 1 == two[1] for one, two in pairwise(await chain(store)))


@pytest.mark.parametrize("way", ["the database's own", "statement by statement"])
async def test_an_order_alone_is_foreseen_like_a_batch(server_database, way):
    """One that comes between two batches leaves the hot row as the next one expects it: else every batch after it is
    decided twice, for as long as callers come in groups of many, many and one."""
    async with opened(server_database) as database:
        store = await stocked(database, "s")
        if way == "statement by statement":
            statement_by_statement(store)
        await batches(store, (1, 2), (3, 4), (5, 6))  # trusted from now on
        before = store.stats.foreseen
        answers = await batches(store, (7,), (8, 9), (10,), (11,), (12, 13))
        assert all(each.accepted for each in answers)
        assert store.stats.foreseen == before + 5
        assert (await figures(store))[0] == 20 - 13


async def test_another_writer_makes_the_forecast_void(server_database):
    """A unit that another process takes between two batches is seen, though the batch was decided without it."""
    async with opened(server_database) as database, opened(server_database) as elsewhere:
        store, other = await stocked(database, "s"), SqlStore(elsewhere, SHOP_RESOURCES)
        await batches(store, (1, 2), (3, 4), (5, 6))  # forecasts have come true: they are trusted
        (theirs,) = await other.transact(takes(100), Guard.ROW, deadline=soon())
        foreseen = store.stats.foreseen
        answers = await store.transact(takes(*range(7, 27)), Guard.ROW, deadline=soon())
        assert store.stats.foreseen == foreseen
        assert theirs.accepted
        assert [each.accepted for each in answers] == [True] * 13 + [False] * 7
        assert (await figures(store))[0] == 0


async def test_a_forecast_believed_unseen_sells_a_unit_twice(server_database, monkeypatch):
    """The control: taken as true without a look at the row, the other process's unit is sold again."""
    monkeypatch.setattr(save, "_as_read", lambda row: {"id_": row.key.id, "price": row.state.price})
    monkeypatch.setattr(save, "Gate", lambda resource, values, was: Gate(resource, values, {"price": was["price"]}))
    monkeypatch.setattr(Forecast, "_trusted", property(lambda self: True, lambda self, value: None), raising=False)
    async with opened(server_database) as database, opened(server_database) as elsewhere:
        store, other = await stocked(database, "s"), SqlStore(elsewhere, SHOP_RESOURCES)
        await batches(store, (1, 2), (3, 4))
        (theirs,) = await other.transact(takes(100), Guard.ROW, deadline=soon())
        answers = await store.transact(takes(*range(5, 25)), Guard.ROW, deadline=soon())
        assert theirs.accepted
        assert 4 + 1 + sum(each.accepted for each in answers) == 21


async def test_a_row_changed_by_hand_makes_the_forecast_void(server_database):
    """Somebody corrects the stock in SQL and leaves the version alone: no unit is sold that is not there."""
    async with opened(server_database) as database:
        store = await stocked(database, "s")
        await batches(store, (1, 2), (3, 4), (5, 6))
        by_hand = text("UPDATE skus SET on_hand = 1 WHERE id = 's'")
        await database.transaction(lambda c: c.execute(by_hand), deadline=soon())
        foreseen = store.stats.foreseen
        answers = await store.transact(takes(7, 8, 9), Guard.ROW, deadline=soon())
        assert [each.accepted for each in answers] == [True, False, False]
        assert store.stats.foreseen == foreseen


async def test_a_turn_at_the_hot_row_is_left_by_who_gives_up(server_database):
    """A batch that is cancelled, and one whose time is over, while they wait for their turn: the next one gets it."""
    async with opened(server_database) as database:
        store = statement_by_statement(await stocked(database, "s"))
        await batches(store, (1, 2), (3, 4), (5, 6))
        (turn,) = store._forecast.turns([HOT])
        await turn.acquire()
        given_up = asyncio.create_task(store.transact(takes(7, 8), Guard.ROW, deadline=soon()))
        await eventually_async(lambda: asyncio.sleep(0, turn._waiters))
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        late = await store.transact(takes(9, 10), Guard.ROW, deadline=time.monotonic() + 0.05)
        assert all(isinstance(each, Busy) for each in late)
        turn.release()
        answers = await store.transact(takes(11, 12), Guard.ROW, deadline=soon())
        assert [each.accepted for each in answers] == [True, True]
        assert (await figures(store))[0] == 20 - 8


async def test_a_batch_that_is_undone_takes_its_forecast_along(server_database):
    """The first batch dies after it was decided: the second, decided on what it would have left, is decided anew."""
    async with opened(server_database) as database:
        store = statement_by_statement(await stocked(database, "s"))
        await batches(store, (1, 2), (3, 4), (5, 6))
        postgres, killed, real = database.dialect.name == "postgres", [], store._save

        def save_then_die(connection, batch, guard):
            written = real(connection, batch, guard)
            if not killed:
                pid = connection.execute(text(f"SELECT {'pg_backend_pid()' if postgres else 'CONNECTION_ID()'}"))
                killed.append(pid.scalar_one())
                kill = f"SELECT pg_terminate_backend({killed[0]})" if postgres else f"KILL {killed[0]}"
                connection.execute(text(kill))
            return written

        store._save = save_then_die
        answers = await batches(store, range(7, 14), range(14, 27))
        assert killed
        assert sum(each.accepted for each in answers) == 14
        assert await figures(store) == (0, 21, 21, 0)


async def test_a_double_click_across_two_batches_is_one_order(server_database):
    """The same request in a batch and in the next one, decided ahead: one outcome, told twice."""
    async with opened(server_database) as database:
        store = await stocked(database, "s")
        await batches(store, (1, 2), (3, 4), (5, 6))
        answers = await batches(store, (7, 8, 9), (9, 10, 11))
        assert [each.replayed for each in answers] == [False, False, False, True, False, False]
        assert (await figures(store))[0] == 20 - 11


async def test_a_double_click_that_reaches_two_processes_is_one_order(server_database):
    """The second process decided before the first one's commit: the claim is refused, and it asks again."""
    async with opened(server_database) as database, opened(server_database) as elsewhere:
        store, other = await stocked(database, "s"), SqlStore(elsewhere, SHOP_RESOURCES)
        held, looked = asyncio.Event(), asyncio.Event()
        loop, real, save = asyncio.get_running_loop(), other._repeats.known, store._save

        def look(connection, commands):
            found = real(connection, commands)
            loop.call_soon(looked.set)
            return found

        def save_later(connection, batch, guard):
            held.set()
            await_only(asyncio.wait_for(looked.wait(), 5))
            return save(connection, batch, guard)

        store._save = save_later
        first = asyncio.create_task(store.transact(takes(1, 2, 3), Guard.ROW, deadline=soon()))
        await asyncio.wait_for(held.wait(), 5)
        other._repeats.known = look
        second = await other.transact(takes(3, 4, 5), Guard.ROW, deadline=soon())
        assert all(each.accepted and not each.replayed for each in await first)
        assert [each.replayed for each in second] == [True, False, False]
        assert other.stats.transactions == 2
        assert (await figures(store))[0] == 20 - 5


async def test_an_id_in_flight_twice_is_looked_up_under_the_locks(server_database):
    """Both batches of one process have it: the later one waits for the row before it asks, and is carried out once."""
    async with opened(server_database) as database:
        store = await stocked(database, "s")
        before = store.stats.transactions
        answers = await batches(store, (7, 8, 9), (9, 10, 11))
        assert [each.replayed for each in answers] == [False, False, False, True, False, False]
        assert store.stats.transactions == before + 2
        assert store._in_flight == set()


async def test_sqlite_decides_in_its_own_turn(tmp_path):
    """Where a transaction has a thread to itself, nothing is decided ahead and there is one lane."""
    async with opened(f"sqlite:///{tmp_path}/s.db") as database:
        store = await stocked(database, "s")
        assert not store.supports_pipelining
        await batches(store, (1, 2), (3, 4), (5, 6))
        assert store.stats.foreseen == 0


async def test_the_sequencer_keeps_order_over_two_batches(server_database):
    """A hundred at once in two batches at a time: the first twenty to come get the twenty units."""
    async with opened(server_database) as database:
        store = await stocked(database, "s")
        strategy = registry.create("sequencer", store, Options(max_batch=16))
        await strategy.start()
        try:
            answers = await asyncio.gather(*(strategy.execute(command) for command in takes(*range(100))))
        finally:
            await strategy.stop()
        assert [each.accepted for each in answers] == [True] * 20 + [False] * 80
        assert store.stats.foreseen > 0


class Committed:
    """A store whose batches are all committed."""

    supports_pipelining = False

    async def transact(self, commands, guard, *, deadline, on_decided):
        return [Accepted({}) for _ in commands]


async def test_a_sequencer_cancelled_while_it_answers_tells_everybody(monkeypatch):
    """What is committed is told, also to those whose answers were still to be given."""
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


def test_a_row_must_be_changed_twice_to_be_hot():
    """Rows of single changes are not remembered: there would be one for each user."""
    forecast = Forecast()
    forecast.note(changed(row(5, 1), count=1))
    forecast.compare([HOT], {HOT: row(5, 1)})
    assert forecast.rows([HOT]) is None


def test_a_forecast_is_trusted_only_after_one_came_true():
    """First it is compared; a miss ends the trust until the next hit."""
    forecast = Forecast()
    forecast.note(changed(row(5, 1)))
    assert forecast.rows([HOT]) is None
    forecast.compare([HOT], {HOT: row(5, 1)})
    assert forecast.rows([HOT]) == {HOT: row(5, 1)}
    forecast.compare([HOT], {HOT: row(4, 2)})
    assert forecast.rows([HOT]) is None


def test_an_unknown_row_means_no_forecast():
    """All or none: a batch with one cold row among the last ones is decided after its load."""
    forecast = Forecast()
    forecast.note(changed(row(5, 1)))
    forecast.compare([HOT], {HOT: row(5, 1)})
    assert forecast.rows([HOT, Key("stock", "other")]) is None


def test_memory_is_bounded():
    """Only the newest hot rows are remembered."""
    forecast = Forecast()
    rows = [row(5, 1, Key("stock", str(number))) for number in range(MAX_ROWS + 10)]
    forecast.note(changed(*rows))
    forecast.compare([rows[-1].key], {rows[-1].key: rows[-1]})
    assert forecast.rows([rows[0].key]) is None
    assert forecast.rows([rows[-1].key]) is not None
