"""Batches as one statement each: in order, once, and never on rows that are no longer so."""

import asyncio

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_only

from stockade.core import Accepted, Change, Decision, Guard, Key, Rejected, Row, StaleOffset
from stockade.shop.commands import OrderLine, PlaceOrder, SetCartItem
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.shop.model.tables import cart_items, point_accounts, skus
from stockade.store import SqlStore
from stockade.store.consumer_offsets import ConsumerOffsets
from stockade.store.engine.backends import CommitUnconfirmed
from stockade.store.schema.tables import ledger, requests
from stockade.store.transaction.single_statement import executor
from stockade.store.transaction.single_statement.speculation import InFlightBatch
from tests.store.commands import Blind, Broken, Buy, Charge, rid
from tests.store.conftest import held, opened, soon, stocked
from tests.store.helpers import (
    USERS,
    Lossy,
    chain,
    figures,
    pipelined,
    sold,
    takes,
    trusting,
    until_waiting,
)


@pytest.fixture
async def store(postgres_database):
    """A store on PostgreSQL with 20 units of `s`, users with 100 points each, and a forecast that it trusts."""
    async with opened(postgres_database) as database:
        yield await trusting(await stocked(database, "s"))


@pytest.fixture
async def other(postgres_database, store):
    """Another process's store over the same database."""
    async with opened(postgres_database) as database:
        yield SqlStore(database, SHOP_RESOURCES)


def speculation(store):
    """What the store expects of its rows."""
    return store._single_statement._speculation


def buys(*numbers, users=USERS):
    """Orders of one unit each, by the users in turn."""
    return [Buy(rid("buy", number), user=users[number % len(users)]) for number in numbers]


async def test_batches_in_flight_share_users(store):
    """Each batch has the users whose rows the one before is about to change: each is one statement all the same."""
    foreseen, begun = store.stats.foreseen, store.stats.transactions
    answers = await pipelined(store, *(buys(*range(n, n + 5)) for n in (0, 5, 10)))
    assert [each.accepted for each in answers] == [True] * 14 + [False]
    assert store.stats.foreseen - foreseen == store.stats.transactions - begun == 3
    assert (await figures(store))[0] == 0
    balances = select(point_accounts.c.balance).order_by(point_accounts.c.id)
    assert await store.database.read(lambda c: list(c.scalars(balances))) == [70, 70, 70, 70, 80]
    assert speculation(store).pending_rows([Key("points", user) for user in USERS]) == {}


async def test_an_order_alone_is_expected_like_a_batch(store):
    """One that comes between two batches leaves the hot row as the next one expects it: else every batch after it is
    decided twice, for as long as callers come in groups of many, many and one."""
    before = store.stats.foreseen
    answers = await sold(store, (7,), (8, 9), (10,), (11,), (12, 13))
    assert all(each.accepted for each in answers)
    assert store.stats.foreseen == before + 5
    assert (await figures(store))[0] == 20 - 13


async def test_an_id_in_flight_twice_is_looked_up_under_the_locks(store):
    """Both batches of one process have it: the later one waits for the row before it asks, and is carried out once."""
    before = store.stats.transactions
    answers = await sold(store, (7, 8, 9), (9, 10, 11))
    assert [each.replayed for each in answers] == [False, False, False, True, False, False]
    assert before + 2 <= store.stats.transactions <= before + 3, "a busy machine may cost one attempt"
    assert store._single_statement._request_ids == set()


async def test_another_writer_ends_the_trust(store, other):
    """A unit that another process takes between two batches: the next batch is decided under locks."""
    (theirs,) = await other.transact(takes(100), Guard.ROW, deadline=soon())
    foreseen = store.stats.foreseen
    answers = await store.transact(takes(*range(7, 27)), Guard.ROW, deadline=soon())
    assert store.stats.foreseen == foreseen
    assert theirs.accepted
    assert [each.accepted for each in answers] == [True] * 13 + [False] * 7


async def test_switched_off_no_batch_is_a_single_statement(postgres_database):
    """The setting: everything runs under locks, and is right."""
    async with opened(postgres_database) as database:
        store = await trusting(await stocked(database, "s", single_statement=False))
        answers = await sold(store, range(7, 14), range(14, 28))
        assert [each.accepted for each in answers] == [True] * 14 + [False] * 7
        assert store.stats.foreseen == 0


async def test_a_refusal_rests_on_rows_that_are_compared_too(store, other):
    """A user gets points while a batch that must refuse him is under way: what is no longer so refuses nobody."""
    (spent,) = await store.transact([Charge(rid("spend"), user="u0", amount=-100)], Guard.ROW, deadline=soon())
    assert spent.accepted
    real = store._single_statement._write

    def charge_first(connection, run, batch, decided):
        if not charged:
            charge = [Charge(rid("late"), user="u0", amount=100)]
            charged.extend(await_only(other.transact(charge, Guard.ROW, deadline=soon())))
        return real(connection, run, batch, decided)

    charged = []
    store._single_statement._write = charge_first
    answers = await store.transact(buys(0, 1), Guard.ROW, deadline=soon())
    assert charged
    assert [each.accepted for each in answers] == [True, True]


async def test_rows_believed_unseen_sell_a_unit_twice(store, other, monkeypatch):
    """The control: a statement that does not compare sells what another process has sold."""
    (theirs,) = await other.transact(takes(100), Guard.ROW, deadline=soon())
    monkeypatch.setattr(executor, "as_read", lambda row: {"id_": row.key.id, "price": row.state.price})
    answers = await store.transact(takes(*range(7, 27)), Guard.ROW, deadline=soon())
    assert theirs.accepted
    assert 6 + 1 + sum(each.accepted for each in answers) == 21


async def test_a_batch_that_comes_too_early_waits_for_the_one_before(store):
    """The second statement reaches the row first: it writes nothing, and is sent again once the first has ended."""
    real, sent, refused = store._single_statement._write, [], asyncio.Event()

    def late(connection, run, batch, decided):
        sent.append(len(decided.write_set.requests))
        if len(sent) == 1:
            await_only(asyncio.wait_for(refused.wait(), 5))
        written = real(connection, run, batch, decided)
        if not written:
            refused.set()
        return written

    store._single_statement._write = late
    foreseen = store.stats.foreseen
    answers = await sold(store, range(7, 14), range(14, 28))
    assert sent[:3] == [7, 14, 14]
    assert len(sent) <= 4
    assert [each.accepted for each in answers] == [True] * 14 + [False] * 7
    assert store.stats.foreseen == foreseen + 2
    entries = await chain(store)
    assert [version for version, _ in entries] == list(range(1, 22))


async def test_one_connection_is_enough_for_two_batches(postgres_database):
    """The batch that has to wait for the one before gives its connection back meanwhile."""
    async with opened(postgres_database, pool_size=1) as database:
        store = await trusting(await stocked(database, "s"))
        real, first = store._single_statement._write, [True]
        store._single_statement._write = lambda *given: False if first and first.pop() else real(*given)
        answers = await sold(store, range(7, 14), range(14, 28))
        assert [each.accepted for each in answers] == [True] * 14 + [False] * 7


async def test_a_batch_that_fails_takes_those_decided_on_it_along(store):
    """The first one's connection is cut before it writes: the second is decided anew, in its place behind the first."""
    real, killed = store._single_statement._write, []

    def cut(connection, run, batch, decided):
        if not killed:
            killed.append(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
            connection.execute(text(f"SELECT pg_terminate_backend({killed[0]})"))
        return real(connection, run, batch, decided)

    store._single_statement._write = cut
    answers = await sold(store, range(7, 14), range(14, 28))
    assert killed
    assert sum(each.accepted for each in answers) == 14
    assert await figures(store) == (0, 21, 21, 0)


@pytest.mark.parametrize("loss", ["before", "after"])
async def test_a_lost_reply_is_resolved(store, loss):
    """The one statement may have been carried out or not: each order of the batch is there once, and returned."""
    store.database._backend = Lossy(store.database._backend, [loss])
    answers = await store.transact(buys(*range(5)), Guard.ROW, deadline=soon())
    assert all(isinstance(each, Accepted) and each.replayed == (loss == "after") for each in answers)
    assert store.stats.unknown == 5
    assert (await figures(store))[0] == 14 - 5


async def test_a_break_before_the_write_leaves_nothing_in_doubt(store, monkeypatch):
    """The connection ends while rows are read: that is no lost commit."""
    real = executor.fits_single_statement

    def cut(write_set, rows):
        monkeypatch.setattr(executor, "fits_single_statement", real)
        raise ConnectionResetError("cut")

    monkeypatch.setattr(executor, "fits_single_statement", cut)
    answers = await store.transact(buys(0, 1), Guard.ROW, deadline=soon())
    assert [each.accepted for each in answers] == [True, True]
    assert store.stats.unknown == 0


async def test_a_break_while_it_writes_is_a_lost_commit(store):
    """The same at the write: whether it was carried out is not known."""

    def cut(connection, run):
        run.committing = True
        raise ConnectionResetError("cut")

    with pytest.raises(CommitUnconfirmed):
        await store.database.autocommit(cut, deadline=soon())


@pytest.mark.parametrize("size", [5, 1])
async def test_a_cancelled_batch_leaves_nothing_in_flight(store, size):
    """Cancelled while its statement waits for the row: later batches neither wait for it nor believe in it."""
    async with held(store.database, "SELECT id FROM skus FOR UPDATE"):
        batch = asyncio.create_task(store.transact(buys(*range(size)), Guard.ROW, deadline=soon()))
        await until_waiting(store.database)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
    assert speculation(store).pending_rows([Key("stock", "s")]) == {}
    assert speculation(store).earlier_than(InFlightBatch(), [Key("stock", "s")]) == []
    assert store._single_statement._request_ids == set()
    answers = await store.transact(buys(5, 6), Guard.ROW, deadline=soon())
    assert [each.accepted for each in answers] == [True, True]
    kept = (
        select(func.count())
        .select_from(requests)
        .where(requests.c.id.in_([each.request_id for each in buys(*range(5))]))
    )
    assert await store.database.read(lambda c: c.execute(kept).scalar_one()) == 0


async def test_a_batch_without_rows(store):
    """Commands that protect nothing, e.g. of the cart, many at once: each is answered."""
    answers = await store.transact([Broken(rid("a")), Broken(rid("b"))], Guard.ROW, deadline=soon())
    assert all(isinstance(each, ZeroDivisionError) for each in answers)


class Wordy(Blind):
    """Writes more into the ledger than its column takes."""

    def decide(self, rows):
        state = rows[self.keys[0]].state
        return Decision(
            Accepted({}), {self.keys[0]: Change(state._replace(on_hand=state.on_hand - 1), -1, note="x" * 99)}
        )


async def test_one_bad_command_does_not_fail_its_neighbours(store):
    """A column refuses the statement: the batch is run one by one, at once, in its place before newcomers."""
    bad = asyncio.create_task(store.transact([*takes(7, 8), Wordy(rid("bad"))], Guard.ROW, deadline=soon(30)))
    async with asyncio.timeout(15):  # half of what a wait for itself would take
        while not (speculation(store).any_in_flight or bad.done()):
            await asyncio.sleep(0)
        newcomers = await store.transact(takes(9, 10), Guard.ROW, deadline=soon(30))
        one, two, refused = await bad
    assert one.accepted
    assert two.accepted
    assert "value too long" in str(refused)
    assert all(each.accepted for each in newcomers)
    assert (await figures(store))[0] == 14 - 4


async def test_a_deadlock_leaves_no_rows_in_flight(store, other):
    """The statement is chosen as a victim once while somebody sells out: decided anew, and nothing is left behind."""
    real, raised = store._single_statement._write, []

    def victim(connection, run, batch, decided):
        if not raised:
            raised.extend(await_only(other.transact(takes(*range(100, 114)), Guard.ROW, deadline=soon())))
            raise DBAPIError("deadlock", None, Deadlock("deadlock detected"))
        return real(connection, run, batch, decided)

    write, left_over = store._steps.write, []

    def look(connection, batch, write_set, guard):
        left_over.append(speculation(store).pending_rows([Key("points", user) for user in USERS]))
        return write(connection, batch, write_set, guard)

    store._single_statement._write, store._steps.write = victim, look
    answers = await store.transact(buys(*range(5)), Guard.ROW, deadline=soon())
    assert all(each.accepted for each in raised)
    assert left_over == [{}]
    assert store.stats.deadlocks == 1
    assert not any(each.accepted for each in answers)
    assert speculation(store)._pending_rows == {}
    assert not speculation(store).any_in_flight


class Deadlock(Exception):
    """As a driver raises it."""

    sqlstate = "40P01"


async def test_another_process_has_the_id(store, other):
    """The other process commits it after the batch was decided: its key refuses the statement, and it is replayed."""
    real = store._single_statement._write

    def taken_first(connection, run, batch, decided):
        if not taken:
            taken.extend(await_only(other.transact(takes(8), Guard.ROW, deadline=soon())))
            (now,) = await_only(store.database.read(lambda c: c.execute(select(skus)).mappings().all()))
            key = Key("stock", "s")
            state = decided.rows[key].state._replace(on_hand=now["on_hand"])
            rows = {**decided.rows, key: Row(key, state, now["version"], now["stamp"])}
            decided = decided._replace(rows=rows)  # as if the row were what it expects
        return real(connection, run, batch, decided)

    taken = []
    store._single_statement._write = taken_first
    answers = await store.transact(takes(7, 8, 9), Guard.ROW, deadline=soon())
    assert [each.replayed for each in answers] == [False, True, False]
    assert (await figures(store))[0] == 14 - 3


async def test_what_a_batch_puts_in_place_the_next_one_deletes(store):
    """Into the cart, and ordered, without a wait for the answer: the cart is empty, as if one came after the other."""
    decided = asyncio.Event()
    put = SetCartItem(rid("put"), "f", 1, "u0", "s", 1)
    buy = PlaceOrder(rid("order"), "f", 2, "u0", (OrderLine("s", 1),), "LATER")
    real, next_began = store._steps.write, []

    def write_behind(connection, batch, write_set, guard):
        if next_began:  # then its statement is let come as far as it can
            await_only(until_waiting(store.database))
        return real(connection, batch, write_set, guard)

    store._steps.write = write_behind
    first = asyncio.create_task(store.transact([put, *takes(7)], Guard.ROW, deadline=soon(), on_decided=decided.set))
    await asyncio.wait([asyncio.create_task(decided.wait()), first], return_when=asyncio.FIRST_COMPLETED)
    next_began.append(True)
    answers = [*await store.transact([buy, *takes(8)], Guard.ROW, deadline=soon()), *await first]
    decided.set()
    assert all(each.accepted for each in answers)
    assert await store.database.read(lambda c: c.execute(select(cart_items)).all()) == []


async def test_a_user_without_an_account_is_refused(store):
    """A row that is not there cannot be locked: the batch goes the longer way, and is right."""
    answers = await store.transact([*buys(0, 1), Buy(rid("nobody"), user="nobody")], Guard.ROW, deadline=soon())
    assert [each.accepted for each in answers] == [True, True, False]
    assert isinstance(answers[-1], Rejected)


async def test_the_position_moves_in_the_statement(store):
    """A batch from a log: its position is compared and moved along, or nothing is written."""
    positions = ConsumerOffsets(store.database, "orders")
    here = await positions.take(0, 10)
    foreseen = store.stats.foreseen
    await store.transact(buys(0, 1), Guard.ROW, deadline=soon(), offsets=[here._replace(new=12)])
    assert store.stats.foreseen == foreseen + 1
    assert await positions.read() == {0: 12}
    stale = here._replace(old=11, new=14)
    answers = await store.transact(buys(2, 3), Guard.ROW, deadline=soon(), offsets=[stale])
    assert all(isinstance(each, StaleOffset) for each in answers)
    assert await positions.read() == {0: 12}
    entries = select(func.count()).select_from(ledger).where(ledger.c.kind == "stock")
    assert await store.database.read(lambda c: c.execute(entries).scalar_one()) == 1 + 6 + 2


async def test_a_reader_that_lost_its_partition_writes_nothing(store):
    """The epoch is compared as well: a zombie's batch is refused as a whole."""
    positions = ConsumerOffsets(store.database, "orders")
    zombie = await positions.take(0, 10)
    await positions.take(0, 10)
    answers = await store.transact(buys(0, 1), Guard.ROW, deadline=soon(), offsets=[zombie._replace(new=12)])
    assert all(isinstance(each, StaleOffset) for each in answers)
    assert (await figures(store))[0] == 14
