"""Request ids are looked up before a batch is written only while ids come again; whoever repeats one hears the same."""

import pytest
from sqlalchemy import func, select

from stockade.core import Guard, IdempotencyKeyReused
from stockade.shop.model.tables import point_accounts
from stockade.store.consumer_offsets import Positions
from stockade.store.transaction.single_statement import duplicate_lookup
from tests.store.commands import Charge, Discover, Stock, rid
from tests.store.conftest import opened, soon, stocked
from tests.store.helpers import chain, pipelined, sold, takes


@pytest.fixture
async def store(postgres_database):
    """A store with 20 units of `s`, whose expectations of it have proved right: orders 1 to 6 are recorded."""
    async with opened(postgres_database) as database:
        made = await stocked(database, "s")
        await sold(made, (1, 2), (3, 4), (5, 6))
        yield made


@pytest.mark.parametrize("remembered", [3, 0])
async def test_ids_are_looked_up_while_they_come_again(store, monkeypatch, remembered):
    """The first repeated order costs its batch a second attempt, the next ones none (the control: they do); they get
    the answers of the first time, whatever was looked up."""
    monkeypatch.setattr(duplicate_lookup, "REMEMBERED", remembered)
    real, looked_up = duplicate_lookup.recorded_requests, []
    monkeypatch.setattr(duplicate_lookup, "recorded_requests", lambda *given: looked_up.append(1) or real(*given))
    told = {}

    async def attempts(*numbers, again=()):
        begun, before = store.stats.transactions, len(looked_up)
        answers = await store.transact(takes(*numbers, *again), Guard.ROW, deadline=soon())
        assert [each.replayed for each in answers] == [False] * len(numbers) + [True] * len(again)
        for number, answer in zip((*numbers, *again), answers, strict=True):
            assert told.setdefault(number, answer.versions) == answer.versions
        return store.stats.transactions - begun, len(looked_up) - before

    assert await attempts(7, 8) == (1, 0)
    assert await attempts(9, again=[7]) == (2, 0)
    await sold(store, (10, 11))  # expectations are trusted again
    assert (await attempts(12, again=[8]))[0] == (1 if remembered else 2)
    if remembered:
        assert [await attempts(n, n + 1) for n in (13, 15, 17, 19)] == [(1, 1), (1, 1), (1, 1), (1, 0)]
    entries = await chain(store)
    assert [version for version, _ in entries] == list(range(1, len(entries) + 1))


@pytest.mark.parametrize("hot", [False, True])
async def test_orders_alone_are_looked_up_on_a_hot_row_only(postgres_database, monkeypatch, hot):
    """Elsewhere nothing rests on them (`pessimistic`: each order a transaction of its own), so the claim is enough."""
    async with opened(postgres_database) as database:
        made = await stocked(database, "s")
        if hot:
            await sold(made, (101, 102), (103, 104), (105, 106))
        for _ in range(2):  # the second time it is a repeat
            await made.transact(takes(7), Guard.ROW, deadline=soon())
        if hot:
            await sold(made, (107, 108), (109, 110))
        real, looked_up = duplicate_lookup.recorded_requests, []
        monkeypatch.setattr(duplicate_lookup, "recorded_requests", lambda *given: looked_up.append(1) or real(*given))
        for number in range(8, 12):  # at most two of them to be trusted again
            (answer,) = await made.transact(takes(number), Guard.ROW, deadline=soon())
            assert answer.accepted
        assert bool(looked_up) is hot


async def test_a_double_click_on_a_hot_row_is_one_order(store):
    """The same order alone, three times at once, and once more behind a batch: one outcome, told each time."""
    answers = await pipelined(store, takes(7), takes(7), takes(8, 9), takes(7))
    assert sorted(each.replayed for each in answers) == [False] * 3 + [True] * 2
    assert answers[0].versions == answers[1].versions == answers[4].versions
    assert [version for version, _ in await chain(store)] == list(range(1, 1 + 6 + 3 + 1))


async def test_the_claim_refuses_a_batch_and_those_decided_on_it(store):
    """Repeats in two of three batches in flight: each is told its own order, the others are carried out once."""
    answers = await pipelined(store, takes(7, 1, 8), takes(9, 10), takes(11, 12, 2))
    assert [each.replayed for each in answers] == [False, True, False, False, False, False, False, True]
    assert all(each.accepted for each in answers)
    assert [version for version, _ in await chain(store)] == list(range(1, 1 + 6 + 6 + 1))


async def test_a_repeat_read_from_a_log(store):
    """The position moves past it all the same, and not again when the whole batch is read a second time."""
    positions = Positions(store.database, "orders")
    here = await positions.take(0, 10)
    for replayed in ([False, True, False], [True, True, True]):
        answers = await store.transact(takes(7, 1, 8), Guard.ROW, deadline=soon(), offsets=[here._replace(new=13)])
        assert [each.replayed for each in answers] == replayed
        assert await positions.read() == {0: 13}
    assert len(await chain(store)) == 1 + 6 + 2


async def test_a_repeat_with_other_content_opens_no_account(store):
    """The id is looked up before a row is made for it: the first charge was refused, and the second is no charge."""
    (first,) = await store.transact([Charge(rid("x"), user="nobody", amount=-5)], Guard.ROW, deadline=soon())
    other = Charge(rid("x"), fingerprint="other", user="nobody", amount=5)
    answers = await store.transact([other, *takes(7)], Guard.ROW, deadline=soon())
    assert not first.accepted
    assert isinstance(answers[0], IdempotencyKeyReused)
    assert answers[1].accepted
    count = select(func.count()).select_from(point_accounts)
    assert await store.database.read(lambda c: c.execute(count).scalar_one()) == 0


async def test_a_repeat_behind_a_false_one_that_asks_for_more(store):
    """The false one has no outcome yet when the true one comes: each is judged by what is recorded."""
    stock = Stock(rid("stock", "t"), sku="t", n=1)
    for each in (stock, Discover(rid("d"), wanted=("t",))):
        await store.transact([each], Guard.ROW, deadline=soon())
    false, true = Discover(rid("d"), fingerprint="z", wanted=("t",)), Discover(rid("d"), wanted=("t",))
    answers = await store.transact([false, *takes(7), true], Guard.ROW, deadline=soon())
    assert isinstance(answers[0], IdempotencyKeyReused)
    assert answers[1].accepted
    assert answers[2].replayed
