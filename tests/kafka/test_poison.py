"""Messages that cannot be carried out: put aside with their reason, in nobody's way, and sent again once mended."""

import asyncio

import pytest
from hypothesis import given

from stockade.core import StockadeError
from stockade.kafka.admin import Admin
from stockade.kafka.dead_letters import dead_letters, send_again
from stockade.kafka.message import BadMessage
from stockade.kafka.producer import Producer
from stockade.service import command_codec
from stockade.shop.model.command_codec import decode_command, encode_command
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store import SqlStore
from tests.kafka.harness import accepted, rigged
from tests.unit.shop.test_total import COMMANDS
from tests.waiting import eventually_async


@pytest.fixture
async def rig(shop_url, kafka_bootstrap):
    """A shop over a topic of one partition: what blocks it would block everyone."""
    async with rigged(shop_url, kafka_bootstrap, parts=1) as found:
        await found.product("s", stock=100)
        yield found


class Mended(SqlStore):
    """A store in which orders of user `cursed` fail like a bug, until it is mended."""

    mended = False

    async def transact(self, commands, guard, *, deadline, offsets=(), on_decided=None):
        """The same, but for the cursed."""
        if not self.mended and any(getattr(command, "user_id", "") == "cursed" for command in commands):
            return [ZeroDivisionError("a bug")] * len(commands)
        return await super().transact(commands, guard, deadline=deadline, offsets=offsets, on_decided=on_decided)


async def test_poison_is_put_aside_and_can_be_sent_again(rig):
    """Garbage, an unknown command and a command that fails on a bug: dead letters, while all around them is decided."""
    store = Mended(rig.database, SHOP_RESOURCES)
    good = [rig.order() for _ in range(10)]
    cursed = rig.order(user="cursed")
    producer = Producer(rig.log.bootstrap)
    async with rig.strategy() as strategy:
        placing = asyncio.ensure_future(rig.place(strategy, good[:5]))
        for value in (b"garbage", command_codec._encode((1, "sell_the_shop", []))):
            await producer.deliver(rig.log.topic, value, key=b"k", headers={}, wait_s=10)
        failing = asyncio.ensure_future(strategy.execute(cursed))
        await asyncio.sleep(0)
        rest = asyncio.ensure_future(rig.place(strategy, good[5:]))
        async with rig.worker(store) as worker:
            assert accepted(await placing) == 5
            assert accepted(await rest) == 5
            with pytest.raises(StockadeError, match="a bug"):
                await failing
            assert worker.stats.dead == 3
            letters = await dead_letters(rig.log)
            assert [letter.reason.partition(":")[0] for letter in letters] == [
                "not a command",
                "unknown command 'sell_the_shop'",
                "ZeroDivisionError",
            ]
            store.mended = True
            assert await send_again(rig.log, letters[2:]) == 1
            await eventually_async(lambda: rig.decided([cursed]))
    await asyncio.to_thread(producer.close)
    assert await rig.check([*good, cursed]) == 11


async def test_poison_that_fills_a_message_keeps_its_beginning(rig):
    """With its reason it would be too large for any topic: its beginning is kept, and its neighbours are decided."""
    producer = Producer(rig.log.bootstrap)
    async with rig.strategy() as strategy, rig.worker():
        await producer.deliver(rig.log.topic, b"x" * 999_900, key=b"k", headers={}, wait_s=10)
        assert accepted(await rig.place(strategy, [rig.order()])) == 1
        (letter,) = await dead_letters(rig.log)
    await asyncio.to_thread(producer.close)
    assert letter.reason.startswith("not a command")
    assert letter.record.headers["cut"] == b"999900"
    assert letter.record.value == b"x" * 1_000
    with pytest.raises(ValueError, match="only the beginning"):
        await send_again(rig.log, [letter])


async def test_a_small_topic_of_dead_letters_blocks_nobody(rig):
    """Brokers that refuse a dead letter for its size get its beginning: the order behind it is decided."""
    await asyncio.to_thread(
        Admin(rig.log.bootstrap).create_topic, rig.log.dead_topic, 1, 1, {"max.message.bytes": "3000"}
    )
    producer = Producer(rig.log.bootstrap)
    async with rig.strategy() as strategy, rig.worker():
        await producer.deliver(rig.log.topic, b"x" * 20_000, key=b"k", headers={}, wait_s=10)
        assert accepted(await rig.place(strategy, [rig.order()])) == 1
        (letter,) = await dead_letters(rig.log)
    await asyncio.to_thread(producer.close)
    assert letter.record.headers["cut"] == b"20000"


async def test_what_a_topic_refuses_is_no_fault_of_the_brokers(rig):
    """A command or a dead letter that is larger than the topic's messages may be: refused at once, and for good."""
    admin = Admin(rig.log.bootstrap)
    await asyncio.to_thread(admin.create_topic, rig.log.topic, 1, 1, {"max.message.bytes": "2000"})
    await asyncio.to_thread(admin.create_topic, rig.log.dead_topic, 1, 1, {})
    producer = Producer(rig.log.bootstrap)
    await producer.deliver(rig.log.dead_topic, b"x" * 5_000, key=b"k", headers={"reason": b"a bug"}, wait_s=10)
    await asyncio.to_thread(producer.close)
    with pytest.raises(ValueError, match="the dead letter 0 cannot be sent"):
        await send_again(rig.log, await dead_letters(rig.log))
    async with rig.strategy() as strategy:
        with pytest.raises(ValueError, match="cannot be queued"):
            await strategy.submit(rig.order(*(f"sku-{n:050}" for n in range(100))))


@given(command=COMMANDS)
def test_every_command_survives_the_log(command):
    """What comes out of a message is what went in, keys included; numbers that no rule allows do not get in."""
    try:
        message = encode_command(command, b"instance", 7)
    except OverflowError:
        assert command.problem() or not -(2**63) <= command.now_ms < 2**64
        return
    again, reply_to, correlation_id = decode_command(message)
    assert again == command
    assert again.keys == command.keys
    assert (reply_to, correlation_id) == (b"instance", 7)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00",
        b"garbage",
        command_codec._encode((2, "place_order", [])),
        command_codec._encode((1, "place_order", ["x"])),
    ],
)
def test_what_is_no_command_is_said_to_be_none(message):
    """Empty, cut off, of another version or with other fields: refused with a reason, never a guess."""
    with pytest.raises(BadMessage):
        decode_command(message)
