"""Consumed positions move with what their messages caused, or not at all. No Kafka is needed to show it."""

import asyncio

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.util import await_only

from stockade.core import Accepted, Guard, OffsetCommit, StaleOffset
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.shop.model.tables import skus
from stockade.store import SqlStore
from stockade.store.consumer_offsets import ConsumerOffsets
from stockade.store.engine.backends import CommitUnconfirmed
from stockade.store.schema.tables import requests
from tests.store.commands import Blind, Broken, Discover, Take, rid
from tests.store.conftest import opened, soon, stocked
from tests.waiting import eventually_async

TOPIC = "orders"
ALL = [Guard.ROW, Guard.VERSION]


def moved(position, by):
    """The same reader, `by` messages further."""
    return position._replace(old=position.new, new=position.new + by)


async def left(store):
    """(units of `s`, requests recorded, next offset of partition 0)."""

    def body(connection):
        on_hand = connection.execute(select(skus.c.on_hand).where(skus.c.id == "s")).scalar_one()
        return int(on_hand), connection.execute(select(func.count()).select_from(requests)).scalar_one()

    return *await store.database.read(body), (await ConsumerOffsets(store.database, TOPIC).read()).get(0)


@pytest.mark.parametrize("guard", ALL, ids=lambda guard: guard.kind.value)
async def test_the_position_moves_with_the_orders(store, guard):
    """A batch and its position commit together; the next batch goes on from there."""
    here = await ConsumerOffsets(store.database, TOPIC).take(0, 7)
    assert here == OffsetCommit(TOPIC, 0, 7, 7, 1)
    first = moved(here, 2)
    answers = await store.transact([Take(rid(1)), Take(rid(2))], guard, deadline=soon(), offsets=[first])
    assert all(isinstance(answer, Accepted) for answer in answers)
    second = moved(first, 1)
    (answer,) = await store.transact([Take(rid(3))], guard, deadline=soon(), offsets=[second])
    assert answer.accepted
    assert await left(store) == (17, 5, 10)


@pytest.mark.parametrize("guard", ALL, ids=lambda guard: guard.kind.value)
async def test_a_stale_reader_changes_nothing(store, guard):
    """After another reader took the partition, the first one's batch is rolled back: StaleOffset for every command."""
    log = ConsumerOffsets(store.database, TOPIC)
    zombie = await log.take(0, 0)
    owner = await log.take(0, 0)
    assert owner.epoch == zombie.epoch + 1
    answers = await store.transact([Take(rid(1)), Take(rid(2))], guard, deadline=soon(), offsets=[moved(zombie, 2)])
    assert [type(answer) for answer in answers] == [StaleOffset, StaleOffset]
    assert await left(store) == (20, 2, 0)
    with pytest.raises(StaleOffset):
        await log.advance([moved(zombie, 2)])
    # the control: without positions the same late batch is carried out
    assert all(each.accepted for each in await store.transact([Take(rid(1))], guard, deadline=soon()))


async def test_replays_move_the_position_too(store):
    """A batch of nothing but known requests gives the recorded outcomes, and its position moves."""
    takes = [Take(rid(n)) for n in range(3)]
    first = await store.transact(takes, Guard.ROW, deadline=soon())
    here = await ConsumerOffsets(store.database, TOPIC).take(0, 0)
    again = await store.transact(takes, Guard.ROW, deadline=soon(), offsets=[moved(here, 3)])
    assert [(each.data, each.replayed) for each in again] == [(each.data, True) for each in first]
    assert await left(store) == (17, 5, 3)


async def test_commands_that_need_more_rows_are_done_before_the_position_moves(database):
    """A command that is run again alone is part of the batch: its position waits for it."""
    store = await stocked(database, "s", "t")
    here = await ConsumerOffsets(database, TOPIC).take(0, 0)
    batch = [Take(rid(1)), Discover(rid(2), wanted=("t",))]
    answers = await store.transact(batch, Guard.ROW, deadline=soon(), offsets=[moved(here, 2)])
    assert [answer.accepted for answer in answers] == [True, True]
    assert await left(store) == (19, 5, 2)


@pytest.mark.parametrize("guard", ALL, ids=lambda guard: guard.kind.value)
async def test_a_wrong_command_beside_it_lets_no_stale_reader_write(store, guard):
    """A command that the store refuses takes the check of the position from none of its neighbours."""
    log = ConsumerOffsets(store.database, TOPIC)
    zombie, owner = await log.take(0, 0), await log.take(0, 0)
    good, bad = Take(rid(1)), Take(rid(2), skus=("s" * 300,))
    answers = await store.transact([good, bad], guard, deadline=soon(), offsets=[moved(zombie, 2)])
    assert [type(answer) for answer in answers] == [StaleOffset, ValueError]
    assert await left(store) == (20, 2, 0)
    # the control: the reader that has the partition writes, and the position waits for the wrong command
    answers = await store.transact([good, bad], guard, deadline=soon(), offsets=[moved(owner, 2)])
    assert [type(answer) for answer in answers] == [Accepted, ValueError]
    assert await left(store) == (19, 3, 0)


@pytest.mark.parametrize("bad", [Broken, Blind])
async def test_the_position_waits_for_the_caller_when_a_command_has_no_outcome(store, bad):
    """A poison command leaves the position where it is; its neighbours are decided; the caller moves it after."""
    log = ConsumerOffsets(store.database, TOPIC)
    move = moved(await log.take(0, 0), 3)
    batch = [Take(rid(1)), bad(rid(2)), Take(rid(3))]
    answers = await store.transact(batch, Guard.ROW, deadline=soon(), offsets=[move])
    assert [isinstance(answer, Exception) for answer in answers] == [False, True, False]
    assert await left(store) == (18, 4, 0)
    await log.advance([move])
    assert await left(store) == (18, 4, 3)


async def test_a_stale_reader_is_stopped_in_a_batch_that_fell_apart(store):
    """Also where one bad command makes the batch run one by one, a late reader changes nothing."""
    log = ConsumerOffsets(store.database, TOPIC)
    zombie = await log.take(0, 0)
    await log.take(0, 0)
    batch = [Take(rid(1)), Blind(rid(2))]
    answers = await store.transact(batch, Guard.ROW, deadline=soon(), offsets=[moved(zombie, 2)])
    assert [type(answer) for answer in answers] == [StaleOffset, StaleOffset]
    assert await left(store) == (20, 2, 0)


async def test_a_lost_commit_is_not_taken_for_another_reader(store, monkeypatch):
    """The commit's reply is lost after it was durable: the retry finds its own move and gives the outcomes."""
    log = ConsumerOffsets(store.database, TOPIC)
    here = await log.take(0, 0)
    plain, lost = store.database.transaction, []

    async def once_lost(body, **options):
        result = await plain(body, **options)
        if not lost:
            lost.append(True)
            raise CommitUnconfirmed("the reply is gone")
        return result

    monkeypatch.setattr(store.database, "transaction", once_lost)
    answers = await store.transact([Take(rid(1))], Guard.ROW, deadline=soon(), offsets=[moved(here, 1)])
    assert [(answer.accepted, answer.replayed) for answer in answers] == [(True, True)]
    assert await left(store) == (19, 3, 1)


async def test_two_partitions_move_together_or_not_at_all(store):
    """A batch from two partitions is undone as a whole when one of them is another reader's."""
    log = ConsumerOffsets(store.database, TOPIC)
    one, two = await log.take(0, 0), await log.take(1, 0)
    await log.take(1, 0)
    moves = [moved(two, 1), moved(one, 1)]
    answers = await store.transact([Take(rid(1)), Take(rid(2))], Guard.ROW, deadline=soon(), offsets=moves)
    assert all(isinstance(answer, StaleOffset) for answer in answers)
    assert await log.read() == {0: 0, 1: 0}


async def test_readers_that_take_a_partition_at_once_get_different_epochs(store):
    """Ten takers of a new partition: one epoch each, and only the last one may move it."""
    log = ConsumerOffsets(store.database, TOPIC)
    taken = await asyncio.gather(*(log.take(5, 3) for _ in range(10)))
    assert sorted(each.epoch for each in taken) == list(range(1, 11))
    refused = 0
    for each in taken:
        try:
            await log.advance([moved(each, 1)])
        except StaleOffset:
            refused += 1
    assert refused == 9


async def test_rewinding_replays_and_stops_the_present_reader(store):
    """A position set back by hand refuses its reader; whoever takes it anew reads from there."""
    log = ConsumerOffsets(store.database, TOPIC)
    reader = moved(await log.take(0, 0), 5)
    await log.advance([reader])
    await log.rewind(0, 0)
    answers = await SqlStore(store.database, store._resources.values()).transact(
        [Take(rid(1))], Guard.ROW, deadline=soon(), offsets=[moved(reader, 1)]
    )
    assert isinstance(answers[0], StaleOffset)
    assert (await log.take(0, 99)).old == 0


@pytest.mark.parametrize("undone", [False, True], ids=["committed", "undone"])
async def test_the_next_batch_waits_for_the_one_before(postgres_database, undone):
    """Two batches of a partition at once, on other rows: the second follows the first one's commit, or is refused."""
    held, gate = asyncio.Event(), asyncio.Event()

    def hold(point):
        if point == "saved":
            held.set()
            await_only(gate.wait())
            if undone:
                raise RuntimeError("the first is undone")

    async with opened(postgres_database) as database:
        store = await stocked(database, "s", "t")
        first = moved(await ConsumerOffsets(database, TOPIC).take(0, 0), 1)
        slow = SqlStore(database, SHOP_RESOURCES, hold)
        one = asyncio.create_task(slow.transact([Take(rid(1))], Guard.ROW, deadline=soon(), offsets=[first]))
        await held.wait()
        two = asyncio.create_task(
            store.transact([Take(rid(2), skus=("t",))], Guard.ROW, deadline=soon(), offsets=[moved(first, 1)])
        )

        async def waits():
            return await database.read(lambda c: c.execute(text("SELECT 1 FROM pg_locks WHERE NOT granted")).first())

        await eventually_async(waits)
        gate.set()
        (answer,), (next_answer,) = await one, await two
        assert isinstance(answer, RuntimeError if undone else Accepted)
        assert isinstance(next_answer, StaleOffset if undone else Accepted)
        assert (await left(store))[2] == (0 if undone else 2)
