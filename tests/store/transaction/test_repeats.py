"""Repeated requests beside new ones: each gets its first answer, whichever executor carries out its batch."""

import pytest
from sqlalchemy import func, select

from stockade.core import Guard, IdempotencyKeyReused
from stockade.shop.model.tables import point_accounts
from stockade.store.consumer_offsets import ConsumerOffsets
from tests.store.commands import Charge, Discover, Stock, rid
from tests.store.conftest import opened, soon, stocked
from tests.store.helpers import chain, pipelined, sold, takes


@pytest.fixture
async def store(server_database, single_statement):
    """A store with 20 units of `s`, of which orders 1 to 6 are recorded."""
    async with opened(server_database) as database:
        made = await stocked(database, "s", single_statement=single_statement)
        await sold(made, (1, 2), (3, 4), (5, 6))
        yield made


async def test_a_double_click_on_a_hot_row_is_one_order(store):
    """The same order alone, three times at once, and once more behind a batch: one outcome, returned each time."""
    answers = await pipelined(store, takes(7), takes(7), takes(8, 9), takes(7))
    assert sorted(each.replayed for each in answers) == [False] * 3 + [True] * 2
    assert answers[0].versions == answers[1].versions == answers[4].versions
    assert [version for version, _ in await chain(store)] == list(range(1, 1 + 6 + 3 + 1))


async def test_the_claim_refuses_a_batch_and_those_decided_on_it(store):
    """Repeats in two of three batches in flight: each gets its own order, the others are carried out once."""
    answers = await pipelined(store, takes(7, 1, 8), takes(9, 10), takes(11, 12, 2))
    assert [each.replayed for each in answers] == [False, True, False, False, False, False, False, True]
    assert all(each.accepted for each in answers)
    assert [version for version, _ in await chain(store)] == list(range(1, 1 + 6 + 6 + 1))


async def test_a_repeat_read_from_a_log(store):
    """The position moves past it all the same, and not again when the whole batch is read a second time."""
    positions = ConsumerOffsets(store.database, "orders")
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
